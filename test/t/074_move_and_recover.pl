# All DEKs to another token, and the exercise of the README: the token is destroyed, and the data comes back from what was
# exported to the recovery key, which is in a file, or in the new token.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use File::Path qw(remove_tree);
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TrustpointCluster;

my $node = new_cluster('move', conf => "include_if_exists = 'moved.conf'\n");
set_up($node);
$node->safe_psql('postgres', q{SELECT tp_create_dek('tenant'); CREATE TABLE v (name text, value bytea);
    INSERT INTO v VALUES ('old', tp_encrypt('plain old')), ('tenant', tp_encrypt('plain tenant', '', 'tenant'));
    SELECT tp_rotate_dek(); INSERT INTO v VALUES ('new', tp_encrypt('plain new'))});
my $all = q{SELECT string_agg(tp_decrypt(value), ',' ORDER BY name) FROM v};
my $plain = 'plain new,plain old,plain tenant';
my $session = session($node);
is(ask($session, $all), $plain, 'at first');

# A second token folder beside the first, with a token of another PIN and label.
my $other = token_folder($node) . '-2';
make_token_folder($other);
write_pin("$other/pin", '987654');
{
    local $ENV{SOFTHSM2_CONF} = "$other/softhsm2.conf";
    my $out;
    IPC::Run::run([ 'softhsm2-util', '--init-token', '--free', '--label', 'other', '--pin', '987654', '--so-pin', '12345678' ],
        '>', \$out, '2>&1') or die $out;
    IPC::Run::run([ 'pkcs11-tool', '--module', softhsm_module(), '--login', '--pin', '987654', '--token-label', 'other', '--keypairgen',
            '--key-type', 'EC:prime256v1', '--label', 'taken', '--id', '0a' ], '>', \$out, '2>&1') or die $out;
}
$node->safe_psql('postgres', q{SELECT tp_generate_ec_key('here')});
my $move = sprintf q{SELECT tp_move_to_token('%s', 'other', '%s', 'SOFTHSM2_CONF=%s')}, softhsm_module(), "$other/pin", "$other/softhsm2.conf";

# ---- the move

# What goes wrong there changes nothing here, and the open session still talks to the first token.
my $keys = q{SELECT md5(string_agg(d::text, ',' ORDER BY id)) FROM tp_dek d};
my $before = $node->safe_psql('postgres', $keys);
for my $wrong ([ 'a wrong PIN', "$other/pin", "$other/so_pin", qr/^38000: / ],
    [ 'a PIN file that is not there', "$other/pin", "$other/nothing", qr/^55000: / ],
    [ 'another label of the token', "'other'", "'nobody'", qr/^42704: / ],
    [ 'a library that is none', softhsm_module(), "$other/pin", qr/^58000: / ],
    [ 'the label of a key over there', "')", "', kek_label => 'taken')", qr/^42710: the label "taken" belongs to another key in the token/ ],
    [ 'the label of a key of this database', "')", "', kek_label => 'here')", qr/^42710: there is a key "here" already/ ]) {
    my ($name, $from, $to, $pattern) = @$wrong;
    like(ask($session, $move =~ s/\Q$from\E/$to/r), $pattern, "$name is refused");
    is(ask($session, 'SELECT tp_forget_keys() > 0'), 't', "$name: the session forgets its keys");
    is(ask($session, $all), $plain, "$name: and has them from its own token");
}
is($node->safe_psql('postgres', $keys), $before, 'nothing was written');

# One PIN was refused over there: that is no hindrance here, nor there with the right one.
ask($session, 'BEGIN');
is(ask($session, $move), 3, 'moved, and rolled back');
like($session->{stderr}, qr/set this and reload at once after the commit/, 'a notice tells the settings');
for my $setting ("pkcs11_module = '" . softhsm_module() . "'", "token = 'other'", "pin_file = '$other/pin'",
    "module_environment = 'SOFTHSM2_CONF=$other/softhsm2.conf'", "kek_label = 'trustpoint-pg-kek'") {
    like($session->{stderr}, qr/^trustpoint\.\Q$setting\E$|DETAIL:\s+trustpoint\.\Q$setting\E$/m, "such as $setting");
}
my ($settings) = $session->{stderr} =~ /((?:trustpoint\.\w+ = '.*'\n)+)/ ? $1 : '';
my ($first) = $session->{stderr} =~ /DETAIL:\s+(trustpoint\.\w+ = '.*'\n)/;
ask($session, 'ROLLBACK');
is(ask($session, $all), $plain, 'rolled back: it reads');
is(try_sql($node, 'postgres', $all), $plain, 'rolled back: so does a new session');
is(ask($session, $move), 3, 'moved');
append_to_file($node->data_dir . '/moved.conf', $first . $settings =~ s/^\Q$first\E//r);
like(try_sql($node, 'postgres', $all), qr/^42704: the KEK "trustpoint-pg-kek" is not in the token/, 'before the reload');
$node->reload;
ok($node->poll_query_until('postgres', q{LOAD 'trustpoint'; SELECT current_setting('trustpoint.token') = 'other'}, "LOAD\nt"), 'after it');
for my $where ('an open session', 'a new one', 'after a restart') {
    if ($where eq 'after a restart') { $session->quit; $node->restart; $session = session($node); }
    is($where eq 'a new one' ? try_sql($node, 'postgres', $all) : ask($session, $all), $plain, "moved: $where");
    is(try_sql($node, 'postgres', 'SELECT count(*) FROM tp_verify_keys() WHERE NOT ok'), 0, "moved, $where: tp_verify_keys");
}
remove_tree(token_folder($node) . '/tokens');
is(try_sql($node, 'postgres', $all), $plain, 'the first token is needed no more');
is(try_sql($node, 'postgres', q{SELECT tp_rotate_dek() > 0}), 't', 'new DEKs are made on the second');
like(ask($session, $move), qr/^42710: /, 'once more to the same token is refused');

# ---- the exercise

# 1. Long before: a recovery key offline, its hash in the settings, the exports kept with the backups.
my $key = $node->basedir . '/recovery.pem';
write_pin($node->basedir . '/passphrase', "recovery passphrase\n");
write_pin($key, '');
for my $command ([ 'openssl', 'genpkey', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:3072', '-aes256', '-pass',
        'file:' . $node->basedir . '/passphrase', '-out', $key ],
    [ 'openssl', 'pkey', '-in', $key, '-passin', 'file:' . $node->basedir . '/passphrase', '-pubout', '-out', "$key.pub" ],
    [ 'openssl', 'pkey', '-pubin', '-in', "$key.pub", '-outform', 'DER', '-out', "$key.der" ]) {
    my $out;
    IPC::Run::run($command, '>', \$out, '2>&1') or die "@$command: $out";
}
chmod 0600, $key;
my $pem = slurp_file("$key.pub");
my $hash = $node->safe_psql('postgres', "SELECT encode(sha256(pg_read_binary_file('$key.der')), 'hex')");
$node->append_conf('postgresql.conf', "trustpoint.recovery_key_sha256 = '$hash'\n");
$node->reload;
$node->poll_query_until('postgres', qq{LOAD 'trustpoint'; SELECT current_setting('trustpoint.recovery_key_sha256') = '$hash'},
    "LOAD\nt");
is(try_sql($node, 'postgres', "CREATE TABLE exported AS SELECT id, tp_export_dek(id, '$pem') AS blob FROM tp_keyring"), '',
    'all DEKs are exported');
my %blob = map { split /\|/ } split /\n/, $node->safe_psql('postgres', q{SELECT id, blob FROM exported});
my @ids = sort keys %blob;
is(scalar @ids, 4, 'four of them');

# 2. The token is lost.
remove_tree("$other/tokens");
mkdir "$other/tokens";
$session->quit;
$node->restart;
like(try_sql($node, 'postgres', $all), qr/^(?:58000|42704): /, 'the token is destroyed: nothing can be read');

# 3. A new token, and back.
is(try_sql($node, 'postgres', q{SELECT length(tp_hsm_init_token('other')) > 0}), 't', 'a new token');
like(try_sql($node, 'postgres', $all), qr/^42704: the KEK "trustpoint-pg-kek" is not in the token/, 'which has no KEK');
my $passphrase_file = $node->basedir . '/passphrase';
my $from_file = sub { my ($id, %o) = @_; return sprintf q{SELECT tp_recover_dek(%s, '%s', key_file => '%s', passphrase_file => '%s')},
    $id, $o{blob} // $blob{$id}, $o{key} // $key, $o{passphrase} // $passphrase_file };
chmod 0644, $key;
like(try_sql($node, 'postgres', $from_file->($ids[0])), qr/^22023: the file of the recovery key is not usable/, 'a file that is open to others');
chmod 0600, $key;
like(try_sql($node, 'postgres', $from_file->($ids[0], passphrase => "$other/pin")), qr/^22023: .*passphrase/, 'a wrong passphrase');
like(try_sql($node, 'postgres', $from_file->($ids[0], blob => $blob{$ids[1]})), qr/^22023: this is the export of DEK $ids[1]/, 'another DEK');
is($node->safe_psql('postgres', q{SELECT length(tp_generate_ec_key('signer'))}), 16, 'a key in the new token');
like(try_sql($node, 'postgres', q{SET trustpoint.kek_label = 'signer'; } . $from_file->($ids[0])), qr/^42710: there is a key "signer" already/,
    'whose label the KEK may not have');
is($node->safe_psql('postgres', q{SELECT count(*) FROM tp_kek}), 2, 'no refusal has left a KEK behind');
is(try_sql($node, 'postgres', $from_file->($_)), '', "DEK $_ is recovered") for @ids[0 .. 2];
is(try_sql($node, 'postgres', 'SELECT count(*) FROM tp_verify_keys() WHERE NOT ok'), 1, 'one is still missing');

# The last one from a key in the new token: brought in as PEM, and gone again from there.
is(try_sql($node, 'postgres', "SELECT length(tp_import_key_file('recovery', '$key', '$passphrase_file', 'decrypt')) > 0"), 't',
    'the recovery key in the token');
is(try_sql($node, 'postgres', "SELECT tp_recover_dek($ids[3], '$blob{$ids[3]}', key_label => 'recovery')"), '', 'the last DEK');
is(try_sql($node, 'postgres', q{SELECT tp_destroy_key('recovery')}), '', 'the recovery key leaves the token');
$session = session($node);
for my $where ('an open session', 'a new one', 'after a restart') {
    if ($where eq 'after a restart') { $session->quit; $node->restart; $session = session($node); }
    is($where eq 'a new one' ? try_sql($node, 'postgres', $all) : ask($session, $all), $plain, "recovered: $where");
    is(try_sql($node, 'postgres', 'SELECT count(*) FROM tp_verify_keys() WHERE NOT ok'), 0, "recovered, $where: tp_verify_keys");
}
is(try_sql($node, 'postgres', q{SELECT tp_setup() > 0}), 't', 'tp_setup is content');
is(try_sql($node, 'postgres', q{SELECT tp_rotate_dek() > 0, tp_decrypt(tp_encrypt('and on it goes'))}), 't|and on it goes',
    'and new keys are made');
my $log = slurp_file($node->logfile);
like($log, qr/"event": "$_"/, "$_ is audited") for qw(move_to_token export_dek recover_dek);
unlike($log, qr/987654|recovery passphrase|PRIVATE KEY/, 'no PIN, passphrase or key in the log');

$session->quit;
$node->stop;
done_testing();
