# Trustpoint's own data: fields in both forms and DEKs in all four, made by Python with Trustpoint's rules.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TpsecFixtures;
use TrustpointCluster;

my $node = new_cluster('tpsec', conf => "trustpoint.audit = 'all'\nfsync = off\n");
set_up($node);
my %kek = ('trustpoint-kek' => random_key(), 'trustpoint-app-secret-kek' => random_key());
import_kek($node, 'trustpoint-kek', $kek{'trustpoint-kek'}, '01');
import_kek($node, 'trustpoint-app-secret-kek', $kek{'trustpoint-app-secret-kek'}, '02');

my @forms = qw(ecb cwrap-rfc5649 cwrap-pkcs7 enc-cbc-pad enc-cbc cwrap-rfc3394);
my (%dek, %wrapped, %fields, %label);
for my $form (@forms) {
    $label{$form} = $form eq 'ecb' ? 'trustpoint-kek' : 'trustpoint-app-secret-kek';
    $dek{$form} = random_key();
    my %all = wrapped_deks($kek{ $label{$form} }, $dek{$form});
    $wrapped{$form} = $all{$form};
    $fields{$form} = [ fields($dek{$form}) ];
}

# SQL: an import; the sample is a field of the form that this DEK served last.
sub import_sql {
    my ($form, %change) = @_;
    my $sample = (grep { length $_->[2] && $_->[0] eq ($form eq 'ecb' ? 'before' : 'today') } @{ $fields{$form} })[0][2];
    my $quoted = exists $change{sample} ? $change{sample} : "'$sample'";
    return sprintf(q{SELECT tp_import_dek('\x%s', '%s', %s, '%s')}, $change{wrapped} // $wrapped{$form},
        $change{label} // $label{$form}, $quoted, $change{name} // ($form eq 'cwrap-rfc3394' ? 'default' : $form));
}

# Every field of these DEKs, in one statement each; the answers in hex, so that nothing is lost on the way.
sub reads_fields {
    my ($when, @which) = @_;
    for my $form (@which) {
        my $values = join ', ', map { "($_, '$fields{$form}[$_][2]')" } 0 .. $#{ $fields{$form} };
        my @opened = split /\n/, try_sql($node, 'postgres',
            "SELECT encode(convert_to(tpsec_decrypt(f), 'UTF8'), 'hex') FROM (VALUES $values) v (n, f) ORDER BY n"), -1;
        is_deeply(\@opened, [ map { $_->[1] } @{ $fields{$form} } ], "$when: every field under the DEK of form $form");
    }
}

# ---- before there is a DEK

my $open = session($node);
my ($field) = map { $_->[2] } grep { $_->[0] eq 'today' && length $_->[2] } @{ $fields{'cwrap-rfc3394'} };
is(ask($open, "SELECT tpsec_decrypt('') || '.'"), '.', 'the empty field needs no DEK');
is(ask($open, "SELECT tpsec_encrypt('') || '.'"), '.', 'in both directions');
is(ask($open, "SELECT tpsec_decrypt('$field')"), '42704: there is no DEK for purpose "tpsec"', 'no DEK yet: decrypt');
is(ask($open, "SELECT tpsec_encrypt('x')"), '42704: there is no DEK named "default" for purpose "tpsec"', 'no DEK yet: encrypt');

# ---- what an import refuses

like(try_sql($node, 'postgres', import_sql('enc-cbc', sample => "'$field'")), qr/^22000: the sample does not open/,
    'a sample of another DEK');
like(try_sql($node, 'postgres', import_sql('ecb', label => 'trustpoint-app-secret-kek')), qr/^22000: the sample does not open/,
    'ECB under another KEK gives a wrong DEK, which the sample tells');
like(try_sql($node, 'postgres', import_sql('enc-cbc', label => 'trustpoint-kek')), qr/^22000: the sample does not open/, 'CBC too');
like(try_sql($node, 'postgres', import_sql('enc-cbc-pad', label => 'trustpoint-kek')),
    qr/^22000: the (sample|wrapped DEK) does not open/, 'CBC-PAD by its padding, or too');
for my $form (grep { /cwrap/ } @forms) {
    like(try_sql($node, 'postgres', import_sql($form, label => 'trustpoint-kek', sample => 'NULL')),
        qr/^22000: the wrapped DEK does not open by the key "trustpoint-kek"/, "$form under another KEK proves itself wrong");
    (my $damaged = $wrapped{$form}) =~ s/(..)$/sprintf('%02x', hex($1) ^ 1)/e;
    like(try_sql($node, 'postgres', import_sql($form, wrapped => $damaged, sample => 'NULL')), qr/^22000: the wrapped DEK/,
        "$form, damaged");
}
for my $form (@forms) {
    for my $wrapped (substr($wrapped{$form}, 0, -2), $wrapped{$form} . '00', substr($wrapped{$form}, 2)) {
        like(try_sql($node, 'postgres', import_sql($form, wrapped => $wrapped)), qr/^22P03: not a wrapped DEK of Trustpoint/,
            "$form, of another length or prefix");
    }
}
like(try_sql($node, 'postgres', import_sql('enc-cbc', wrapped => unpack('H*', 'tpsec:pkcs11:enc-cbc:v2:') . '00' x 48)), qr/^22P03/,
    'a version to come');
like(try_sql($node, 'postgres', import_sql('ecb', label => 'trustpoint-pg-kek')), qr/^22023: "trustpoint-pg-kek" is the label of a KEK/,
    'our own KEK, by its label');
import_kek($node, 'innocent', random_key(), unpack('H*', "tpkek\0") . '00' x 10);
like(try_sql($node, 'postgres', import_sql('ecb', label => 'innocent')), qr/^22023: the key "innocent" is a KEK of this extension/,
    'and by its id');
like(try_sql($node, 'postgres', import_sql('ecb', label => 'nobody')), qr/^42704: the token has no AES key "nobody"/, 'no such KEK');
import_kek($node, 'twice', random_key(), $_) for '03', '04';
like(try_sql($node, 'postgres', import_sql('ecb', label => 'twice')), qr/^42710: the token has more than one/, 'two of them');
like(try_sql($node, 'postgres', import_sql('ecb', label => '')), qr/^22023: the label/, 'no label');
like(try_sql($node, 'postgres', import_sql('ecb', name => '')), qr/^22023: not a name for a DEK/, 'no name');
like(try_sql($node, 'postgres', import_sql('ecb', sample => "''")), qr/^22023: an empty sample/, 'an empty sample');
like(try_sql($node, 'postgres', import_sql('ecb', sample => "'in clear'")), qr/^22P03: not a field/, 'a sample in clear');
like(try_sql($node, 'postgres', q{SELECT tp_import_dek(NULL, 'trustpoint-kek', NULL)}), qr/^22004: argument "wrapped"/, 'NULL: wrapped');
like(try_sql($node, 'postgres', q{SELECT tp_import_dek('\x00', NULL, NULL)}), qr/^22(004|P03)/, 'NULL: the label');
is($node->safe_psql('postgres', q{SELECT count(*) FROM tp_dek WHERE purpose = 'tpsec'}), '0', 'none of it left a DEK');

# ---- all four forms

my %id;
for my $form (@forms) {
    my ($answer, $errors) = answer_and_errors($node, 'postgres', import_sql($form, $form eq 'enc-cbc' ? (sample => 'NULL') : ()));
    like($answer, qr/^\d+$/, "$form: imported");
    $id{$form} = $answer;
    if ($form eq 'enc-cbc') { like($errors, qr/WARNING: .*nothing proves/, "$form: without a sample, with a warning"); }
    else { is($errors, '', "$form: nothing to warn of"); }
    my ($known) = map { $_->[2] } grep { $_->[0] eq 'before' && length $_->[2] } @{ $fields{$form} };
    is(ask($open, "SELECT tpsec_decrypt('$known')"), pack('H*', $fields{$form}[3][1]), "$form: an open session reads with it at once");
}
is($node->safe_psql('postgres', q{SELECT count(*), bool_and(octet_length(wrapped) = 72), count(DISTINCT kek_id), bool_and(kek_id = (TABLE kek))
    FROM tp_dek WHERE purpose = 'tpsec'} =~ s/\(TABLE kek\)/(SELECT id FROM tp_kek)/r), '6|t|1|t', 'all are wrapped anew in our own form');
is($node->safe_psql('postgres', 'SELECT count(*), count(*) FILTER (WHERE ok) FROM tp_verify_keys()'), '7|7', 'tp_verify_keys finds all well');
like(try_sql($node, 'postgres', import_sql('ecb', name => 'again')), qr/^42710: this DEK is here already: it is DEK $id{ecb} \(ecb\)/,
    'a DEK is imported once');
like(try_sql($node, 'postgres', "SELECT tp_rotate_dek('default', 'tpsec')"), qr/^22023/, 'and not rotated, as Trustpoint would not know');
like(try_sql($node, 'postgres', "SELECT tp_decrypt(tp_encrypt('x', '', 'ecb'))"), qr/^42704: there is no DEK named "ecb" for purpose "data"/,
    'nor used for values');
reads_fields('imported', @forms);

# ---- fields that open in no form

my ($before) = map { $_->[2] } grep { $_->[0] eq 'before' && length $_->[2] } @{ $fields{ecb} };
my $foreign = (fields(random_key()))[2][2];
for my $case (
    [ $foreign, '22000', 'under an unknown DEK' ], [ substr($field, 9), '22000', "today's without its prefix" ],
    [ "tpsec:v1:$before", '22000', "the one before with today's prefix" ], [ 'in clear', '22P03', 'in clear' ],
    [ 'dGhpcyBpcyBpbiBjbGVhciBhbmQgbG9uZyBlbm91Z2g=', '22000', 'in clear, and base64 by chance' ], [ 'tpsec:v1:', '22P03', 'only the prefix' ],
    [ "$field ", '22P03', 'a blank behind it' ], [ "$field\n", '22P03', 'a line end behind it' ], [ " $field", '22P03', 'a blank before it' ],
    [ $field =~ s/=*$/=/r . '====', '22P03', 'too much padding' ], [ $field =~ tr{+/}{-_}r . '-', '22P03', 'the other alphabet' ],
    [ 'TPSEC:V1:' . substr($field, 9), '22P03', 'a prefix in capitals' ], [ "tpsec:v2:" . substr($field, 9), '22P03', 'a version to come' ],
    [ 'tpsec:v1:' . substr($field, 9, 36), '22P03', 'too short' ]) {
    my ($text, $state, $name) = @$case;
    like(ask($open, "SELECT tpsec_decrypt(E'" . $text =~ s/\n/\\n/gr . "')"), qr/^$state: /, "$name: $state");
}
{
    my @wrong;
    for my $at (9 .. length($field) - 1) {
        my $text = $field;
        substr($text, $at, 1) = substr($text, $at, 1) eq 'A' ? 'B' : 'A';
        push @wrong, $text;
    }
    my $values = join ', ', map { "('$_')" } @wrong;
    $node->safe_psql('postgres', q{CREATE FUNCTION state_of(field text) RETURNS text LANGUAGE plpgsql AS $$
        BEGIN PERFORM tpsec_decrypt(field); RETURN 'opens'; EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE; END $$});
    is($node->safe_psql('postgres', "SELECT count(*) FROM (VALUES $values) v (f) WHERE state_of(f) NOT IN ('22000', '22P03')"), '0',
        'no character of a field can be changed');
}

# ---- what we write, Python reads

for my $text ('x', 'Grüße aus Zürich, 世界 🔑', 'ten kB of ä ' x 1000) {
    my $written = ask($open, "SELECT tpsec_encrypt('$text')");
    like($written, qr{^tpsec:v1:[A-Za-z0-9+/]+={0,2}$}, 'a field has the form of today');
    is(open_field($dek{'cwrap-rfc3394'}, $written), unpack('H*', $text), 'and Python opens it under the DEK named default');
    is(open_field($dek{ecb}, $written), undef, 'and under no other');
    is(ask($open, "SELECT tpsec_decrypt('$written')"), $text, 'as we do');
}
is(ask($open, "SELECT count(DISTINCT substr(tpsec_encrypt('x' || n), 10, 16)) FROM generate_series(1, 1000) n"), '1000', 'no nonce twice');
is(ask($open, 'SELECT tpsec_encrypt(NULL) IS NULL, tpsec_decrypt(NULL) IS NULL'), 't|t', 'NULL stays NULL');

# ---- privileges

$node->safe_psql('postgres', q{CREATE ROLE nobody LOGIN; CREATE ROLE app LOGIN; CREATE ROLE one LOGIN; CREATE ROLE keeper LOGIN;
    SELECT tp_grant('app', 'encrypt'), tp_grant('app', 'decrypt'), tp_grant('one', 'decrypt', 'enc-cbc'), tp_grant('keeper', 'keys')});
my %of = map { my $form = $_; $form => (map { $_->[2] } grep { $_->[0] eq 'today' && length $_->[2] } @{ $fields{$form} })[0] } @forms;
like(try_sql($node, 'postgres', "SELECT tpsec_decrypt('$field')", role => 'nobody'), qr/^42501/, 'nobody: decrypt');
like(try_sql($node, 'postgres', "SELECT tpsec_encrypt('x')", role => 'nobody'), qr/^42501/, 'nobody: encrypt');
is(try_sql($node, 'postgres', "SELECT tpsec_decrypt(tpsec_encrypt('both ways'))", role => 'app'), 'both ways', 'app: both ways');
is(try_sql($node, 'postgres', "SELECT tpsec_decrypt('$of{'enc-cbc'}')", role => 'one'), 'x', 'one: the DEK of its grant');
like(try_sql($node, 'postgres', "SELECT tpsec_decrypt('$of{ecb}')", role => 'one'), qr/^22000/, 'one: no other is even tried');
like(try_sql($node, 'postgres', "SELECT tpsec_encrypt('x')", role => 'one'), qr/^42501/, 'one: no encryption');
like(try_sql($node, 'postgres', import_sql('ecb'), role => 'keeper'), qr/^42501/, 'the capability "keys" imports nothing');
$node->safe_psql('postgres', 'GRANT EXECUTE ON FUNCTION tp_import_dek TO keeper');
like(try_sql($node, 'postgres', import_sql('ecb'), role => 'keeper'), qr/^42501: only the owner/, 'nor does EXECUTE');

# ---- in parallel workers, each of which opens the DEKs for itself

$node->safe_psql('postgres', q{CREATE TABLE field AS SELECT n, tpsec_encrypt('field ' || n) AS value FROM generate_series(1, 2000) n});
my $parallel = q{SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;};
my $count = q{SELECT count(*) FROM field WHERE tpsec_decrypt(value) = 'field ' || n};
like($node->safe_psql('postgres', "$parallel EXPLAIN (COSTS OFF) $count"), qr/Gather\n.*Parallel Seq Scan on field/s, 'a parallel plan');
is($node->safe_psql('postgres', "$parallel $count"), '2000', 'reads every field');

# ---- states and versions

$node->safe_psql('postgres', "UPDATE tp_dek SET state = 'disabled' WHERE id = $id{ecb}");
like(ask($open, "SELECT tpsec_decrypt('$of{ecb}')"), qr/^22000/, 'a disabled DEK is not tried');
$node->safe_psql('postgres', "UPDATE tp_dek SET state = 'retired' WHERE id = $id{ecb}");
is(ask($open, "SELECT tpsec_decrypt('$of{ecb}')"), 'x', 'a retired one is');
my $newer = random_key();
my %newer = wrapped_deks($kek{'trustpoint-app-secret-kek'}, $newer);
like(try_sql($node, 'postgres', import_sql('enc-cbc', name => 'default', wrapped => $newer{'cwrap-rfc5649'}, sample => 'NULL')), qr/^\d+$/,
    'a second version of a name');
is($node->safe_psql('postgres', "SELECT state FROM tp_dek WHERE id = $id{'cwrap-rfc3394'}"), 'retired', 'retires the first');
is(open_field($newer, ask($open, "SELECT tpsec_encrypt('new')")), unpack('H*', 'new'), 'and encrypts, in an open session too');
reads_fields('with a newer version', @forms);
for my $n (8, 9) {
    my $key = random_key();
    my %more = wrapped_deks($kek{'trustpoint-app-secret-kek'}, $key);
    like(try_sql($node, 'postgres', import_sql('enc-cbc', name => "more $n", wrapped => $more{'cwrap-rfc3394'}, sample => 'NULL')), qr/^\d+$/,
        "DEK number $n");
}
like(ask($open, "SELECT tpsec_decrypt('$of{ecb}')"), qr/^22000/, 'the ninth, which is the oldest, is not tried');
is(ask($open, "SELECT tpsec_decrypt('$of{'cwrap-rfc5649'}')"), 'x', 'the eighth is');
$node->safe_psql('postgres', q{CREATE ROLE tenant LOGIN; SELECT tp_grant('tenant', 'decrypt', name) FROM tp_dek WHERE id = } . $id{ecb});
is(try_sql($node, 'postgres', "SELECT tpsec_decrypt('$of{ecb}')", role => 'tenant'), 'x', 'who may use few is not kept from them by those of others');
$node->safe_psql('postgres', q{DELETE FROM tp_dek WHERE name LIKE 'more %'});
is(ask($open, "SELECT tpsec_decrypt('$of{ecb}')"), 'x', 'and the ninth again when it is the eighth');

# ---- encodings: fields are UTF-8 whatever the database is, and a blind index is the same

my ($umlauts) = map { $_->[2] } grep { $_->[0] eq 'today' && pack('H*', $_->[1]) =~ /世界/ } @{ $fields{'cwrap-rfc3394'} };
my ($long) = map { $_->[2] } grep { $_->[0] eq 'before' && length $_->[1] > 10000 } @{ $fields{'cwrap-rfc3394'} };
$node->safe_psql('postgres', q{SELECT tp_create_dek('default', 'index')});
my $index = $node->safe_psql('postgres', q{SELECT tp_blind_index('größe', 'c')});
for my $encoding (qw(LATIN1 SQL_ASCII)) {
    my $database = lc $encoding;
    $node->safe_psql('postgres', "CREATE DATABASE $database TEMPLATE template0 ENCODING '$encoding' LC_COLLATE 'C' LC_CTYPE 'C'");
    set_up($node, $database);
    $node->safe_psql('postgres', "COPY (SELECT * FROM tp_dek WHERE purpose <> 'data') TO '" . $node->basedir . "/deks'");
    $node->safe_psql($database, "COPY tp_dek FROM '" . $node->basedir . "/deks'");
    my $answer = sub { return try_sql($node, $database, "SET client_encoding = 'UTF8'; SELECT $_[0]") };
    is($answer->("md5(convert_to(tpsec_decrypt('$long'), 'UTF8'))"), $node->safe_psql('postgres', "SELECT md5(tpsec_decrypt('$long'))"),
        "$encoding: umlauts come as they are") if $encoding eq 'LATIN1';
    like($answer->("tpsec_decrypt('$umlauts')"), $encoding eq 'LATIN1' ? qr/^22P05: / : qr/Grüße/, "$encoding: and what has no place is refused");
    is($answer->("tp_blind_index('größe', 'c')"), $index, "$encoding: a blind index is that of the UTF-8 text");
    is(open_field($newer, $answer->("tpsec_encrypt('größe')")), unpack('H*', 'größe'), "$encoding: Python reads UTF-8 in a field");
    like(try_sql($node, $database, "SET client_encoding = 'SQL_ASCII'; SELECT tpsec_encrypt(E'\\xff')"), qr/^22021: /, "$encoding: bytes that are no text") if $encoding eq 'SQL_ASCII';
}

# ---- later

$open->quit;
$node->restart;
reads_fields('after a restart', @forms);
$node->stop('immediate');
$node->start;
reads_fields('after a crash', @forms);
my $cached = session($node);
is(ask($cached, "SELECT tpsec_decrypt('$_')"), 'x', 'cached') for values %of;
rename(token_folder($node) . '/tokens', token_folder($node) . '/away') or die $!;
is(ask($cached, "SELECT tpsec_decrypt('$_')"), 'x', 'without the token: a cached DEK goes on') for values %of;
like(try_sql($node, 'postgres', "SELECT tpsec_decrypt('$field')"), qr/^58000/, 'without the token: a new backend says so');
rename(token_folder($node) . '/away', token_folder($node) . '/tokens') or die $!;
is(try_sql($node, 'postgres', "SELECT tpsec_decrypt('$field')"), 'x', 'and works again with it');
$cached->quit;

my $log = slurp_file($node->logfile);
like($log, qr/trustpoint audit: \{"event": "import_dek", .*"key": "ecb", "key_id": $id{ecb}\}/, 'an import is in the audit trail');
my $lines = join "\n", grep { !/STATEMENT:|statement:/ } split /\n/, $log;
unlike($lines, qr/$_/, 'no key is in the log') for values %dek, values %kek;
unlike($lines, qr/Zürich/, 'and no plaintext');
$node->stop;
done_testing();
