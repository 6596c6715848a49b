# Keys as other tools make them and trustpoint would not: without a label, with that of another key, with a long CKA_ID, too short.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TrustpointCluster;

my $node = new_cluster('others');
set_up($node);
my $session = session($node);
ask($session, 'CREATE ROLE app');
sub try { return ask($session, @_); }

sub make_pair { pkcs11_tool($node, '--keypairgen', '--key-type', @_, '--usage-sign'); }

# What pkcs11-tool says of the labels of the key's halves.
sub labels {
    my ($id) = @_;
    my @halves = grep { /ID: +$id$/m } split /(?=^\w+ Key Object)/m, pkcs11_tool($node, '--list-objects');
    return join ',', map { /label: *(.*)/ ? $1 : '' } @halves;
}

# ---- a key without a label

make_pair('EC:prime256v1', '--id', 'aa02');
my $unnamed = 'pkcs11:id=%aa%02';
like(try("SELECT tp_sign('$unnamed', 'x')"), qr/^\\x30/, 'a key without a label signs');
like(try("SELECT tp_grant_key('$unnamed', 'app', '{sign}')"), qr/^22023: the key has no label/, 'it cannot be granted, and why');
is(try("BEGIN; SELECT tp_rename_key('$unnamed', 'named'); ROLLBACK"), '', 'a label that a transaction gave it');
is(labels('aa02'), ',', 'goes with its rollback');
is(try("SELECT tp_rename_key('$unnamed', 'named')"), '', 'it can be given one');
is(labels('aa02'), 'named,named', 'in the token');
is(try(q{SELECT tp_verify('named', 'x', tp_sign('named', 'x'))}), 't', 'and signs by it');
is(try(q{SELECT tp_grant_key('named', 'app', '{sign}')}), '', 'and is granted');

# What an AES key encrypted before it had a label is bound to none.
pkcs11_tool($node, '--keygen', '--key-type', 'AES:32', '--id', 'aa03', '--usage-decrypt', '--sensitive', '--allowed-mechanisms', 'AES-GCM');
my $value = try(q{SELECT tp_aes_encrypt('pkcs11:id=%aa%03', 'before')});
is(try(q{SELECT tp_rename_key('pkcs11:id=%aa%03', 'named aes')}), '', 'an AES key is given a label');
is(try("SELECT convert_from(tp_aes_decrypt('named aes', '$value'), 'UTF8')"), 'before', 'what it encrypted before it had one opens');

# ---- two keys of one label

make_pair('EC:prime256v1', '--id', $_, '--label', 'twin') for 'aa05', 'aa06';
is(try(q{BEGIN; SELECT tp_rename_key('pkcs11:id=%aa%05', 'other'); ROLLBACK}), '', 'one of two keys of a label is renamed');
is(labels('aa05'), 'twin,twin', 'and has it back after a rollback');

# ---- a label that a row cannot hold: no text, or too long

make_pair('EC:prime256v1', '--id', 'aa21', '--label', "bad\xff\xfe");
make_pair('EC:prime256v1', '--id', 'aa22', '--label', "\xc3\xa9" x 150);
pkcs11_tool($node, '--keygen', '--key-type', 'AES:32', '--id', 'aa23', '--label', "aes\xff", '--usage-decrypt', '--sensitive', '--allowed-mechanisms', 'AES-GCM');
my $refused = qr/^22023: the label of the key is not UTF-8, or longer than 254 bytes/;
for my $key ('pkcs11:id=%aa%21', 'pkcs11:id=%aa%22') {
    like(try("SELECT tp_sign('$key', 'x')"), qr/^\\x30/, "$key signs");
    like(try("SELECT $_"), $refused, "and has no row: $_") for "tp_token_key_id('$key')", "tp_grant_key('$key', 'app', '{sign}')";
}
is(try(q{SELECT convert_from(tp_aes_decrypt(uri, tp_aes_encrypt(uri, 'x')), 'UTF8') FROM (VALUES ('pkcs11:id=%aa%23')) AS v (uri)}), 'x', 'an AES key encrypts');
like(try(q{SELECT tp_rename_key('pkcs11:id=%aa%23', 'new aes')}), $refused, 'and keeps the label that this is bound to');
is(try(q{BEGIN; SELECT tp_rename_key('pkcs11:id=%aa%21', 'good'); ROLLBACK}), '', 'a pair is given another label');
is(labels('aa21'), "bad\xff\xfe,bad\xff\xfe", 'which goes with a rollback');
is(try(q{SELECT tp_rename_key('pkcs11:id=%aa%21', 'good')}), '', 'and without one');
is(try(q{SELECT tp_grant_key('good', 'app', '{sign}')}), '', 'and is granted then');
is(try(q{SELECT tp_destroy_key('pkcs11:id=%aa%23')}), '', 'a key with such a label is destroyed');
is(try(q{SELECT label FROM tp_token_trash}), 'aes?', 'what is kept of it is text');
my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump';
$node->command_ok([ 'pg_dump', '--file', $dump, 'postgres' ], 'a dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', 'restored', '-f', $dump ], 'is restored');
is($node->safe_psql('restored', q{SELECT count(*) FROM tp_token_key JOIN tp_key_grant USING (id) WHERE label = 'good'}), '1', 'with grants');

# ---- labels that are not new ones' like: a rollback gives back what was there

my ($long, $half) = (labels('aa22'), PostgreSQL::Test::Utils::tempdir() . '/half');
is(try(q{BEGIN; SELECT tp_rename_key('pkcs11:id=%aa%22', 'short label'); ROLLBACK}), '', 'a key with a long label is renamed');
is(labels('aa22'), $long, 'and has it back whole after a rollback');
make_pair('EC:prime256v1', '--id', 'aa24', '--label', 'half one');
pkcs11_tool($node, '--read-object', '--type', 'pubkey', '--id', 'aa24', '--output-file', $half);
pkcs11_tool($node, '--delete-object', '--type', 'pubkey', '--id', 'aa24');
pkcs11_tool($node, '--write-object', $half, '--type', 'pubkey', '--id', 'aa24', '--label', 'half two');
my $halves = labels('aa24');
is(try(q{BEGIN; SELECT tp_rename_key('pkcs11:id=%aa%24', 'whole'); ROLLBACK}), '', 'a pair whose halves have different labels is renamed');
is(labels('aa24'), $halves, 'and they have them back');
isnt($halves, 'half one,half one', 'both');

# ---- a key that wants the PIN at each use

make_pair('EC:prime256v1', '--id', 'aa25', '--label', 'each time', '--always-auth');
pkcs11_tool($node, '--keypairgen', '--key-type', 'rsa:2048', '--id', 'aa26', '--label', 'each time rsa', '--usage-decrypt', '--always-auth');
like(try("SELECT $_"), qr/^22023: the key "each time(?: rsa)?" wants the PIN at each use/, "a key that wants the PIN at each use is refused: $_")
  for q{tp_sign('each time', 'x')}, q{tp_csr('each time', 'CN=x')}, q{tp_rsa_decrypt('each time rsa', tp_rsa_encrypt('each time rsa', 'x'))};
is(try(q{SELECT tp_rename_key('each time', 'always')}), '', 'and is there for all that needs no PIN');

# ---- a key for one mechanism

pkcs11_tool($node, '--keypairgen', '--key-type', 'rsa:2048', '--id', 'aa27', '--label', 'limited', '--usage-sign', '--allowed-mechanisms', 'SHA256-RSA-PKCS');
my ($limited, $errors) = answer_and_errors($node, 'postgres', q{SELECT tp_sign('limited', 'x', 'rsa-pkcs1-sha256')});
like($limited, qr/^38000: the token does not support CKM_RSA_PKCS/, 'a key that is limited to another mechanism does not sign');
like($errors, qr/^HINT: .*CKA_ALLOWED_MECHANISMS/m, 'and the hint says where that is seen');
like(try(q{SELECT value FROM tp_key_attributes('limited') WHERE attribute = 'CKA_ALLOWED_MECHANISMS'}), qr/CKM_SHA256_RSA_PKCS/, 'it is');

# ---- a short key

make_pair('rsa:1024', '--id', 'aa08', '--label', 'short');
like(try("SELECT tp_sign('short', 'x', 'rsa-pss-sha512')"), qr/^22023: the key "short" of 1024 bits is too short for rsa-pss-sha512/,
    'an RSA key too short for a hash is told so');
is(try("SELECT tp_verify('short', 'x', tp_sign('short', 'x', '$_'), '$_')"), 't', "and signs with what fits: $_") for 'rsa-pss-sha384', 'rsa-pkcs1-sha512';

# ---- a long CKA_ID

make_pair('EC:prime256v1', '--id', 'ab' x 100, '--label', 'long id');
like(try(q{SELECT tp_sign('long id', 'x')}), qr/^\\x30/, 'a key with a long CKA_ID signs');
like(try("SELECT $_"), qr/^55000: the key has no CKA_ID, or one of more than 64 bytes/, "and is not changed: $_")
  for q{tp_rename_key('long id', 'x')}, q{tp_destroy_key('long id')}, q{tp_grant_key('long id', 'app', '{sign}')};

# ---- a label that becomes another key's, in a session that has used it: nobody tells the session

sub remove_pair { pkcs11_tool($node, '--delete-object', '--type', $_, '--id', $_[0]) for qw(privkey pubkey); }
my $signs = q{SELECT tp_verify('moves', 'x', tp_sign('moves', 'x')), length(tp_public_key('moves'))};
make_pair('EC:prime256v1', '--id', 'aa10', '--label', 'moves');
like(try($signs), qr/^t\|/, 'a key of another tool signs');
remove_pair('aa10');
make_pair('EC:secp384r1', '--id', 'aa11', '--label', 'moves');
my $after = try($signs);
is($after, try_sql($node, 'postgres', $signs), 'made anew under another id, it is the new one, as in a new session');
remove_pair('aa11');
make_pair('rsa:2048', '--id', 'aa11', '--label', 'moves');
is(try($signs), try_sql($node, 'postgres', $signs), 'and under the same id with another type');

# Another database, whose tables tell this one nothing.
$node->safe_psql('postgres', 'CREATE DATABASE other');
set_up($node, 'other');
$node->safe_psql('other', q{BEGIN; SELECT tp_rename_key('moves', 'moved'); SELECT tp_generate_ec_key('moves'); COMMIT});
is(try($signs), try_sql($node, 'postgres', $signs), 'renamed there, and its label given to another');
like($after, qr/^t\|/, 'all signed');

# Another token.
$node->safe_psql('postgres', 'CREATE DATABASE third');
$node->safe_psql('third', q{CREATE EXTENSION trustpoint; SELECT tp_hsm_init_token('tp2')});
$node->safe_psql('third', q{SET trustpoint.token = 'tp2'; SELECT tp_generate_rsa_key('moves', 2048)});
is(try("SET trustpoint.token = 'tp2'; $signs"), try_sql($node, 'postgres', "SET trustpoint.token = 'tp2'; $signs"), 'the settings name another token');

$session->quit;
$node->stop;
done_testing();
