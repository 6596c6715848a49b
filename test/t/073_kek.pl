# A new KEK: open sessions follow, new ones and a restarted server open every DEK; databases that share a token do not hurt
# each other; and four things that can be wrong with keys are four errors before any value is touched.
use strict;
use warnings;
use Fcntl qw(:flock);
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TrustpointCluster;

my $node = new_cluster('kek');
set_up($node);
$node->safe_psql('postgres', q{SELECT tp_create_dek('tenant'); CREATE TABLE v (name text, value bytea);
    INSERT INTO v VALUES ('old', tp_encrypt('plain old')), ('tenant', tp_encrypt('plain tenant', '', 'tenant'));
    SELECT tp_rotate_dek(); INSERT INTO v VALUES ('new', tp_encrypt('plain new'))});
my $in_order = '(SELECT * FROM v ORDER BY name) v';    # in which the values are opened too, so that an error is of the same one
my $all = "SELECT string_agg(tp_decrypt(value), ',' ORDER BY name) FROM $in_order";
my $plain = 'plain new,plain old,plain tenant';
my $session = session($node);
is(ask($session, $all), $plain, 'at first');

sub everywhere {
    my ($name) = @_;
    is(ask($session, $all), $plain, "$name: an open session");
    is(try_sql($node, 'postgres', $all), $plain, "$name: a new one");
    $session->quit;
    $node->restart;
    is(try_sql($node, 'postgres', $all), $plain, "$name: after a restart");
    is(try_sql($node, 'postgres', 'SELECT count(*) FROM tp_verify_keys() WHERE NOT ok'), 0, "$name: all keys open");
    $session = session($node);
    is(ask($session, $all), $plain, "$name: a session that stays open");
}

# Seen by a transaction that is under way, which then encrypts and commits.
ask($session, 'BEGIN ISOLATION LEVEL REPEATABLE READ');
is(ask($session, $all), $plain, 'a transaction under way');
ask($session, q{INSERT INTO v VALUES ('before', tp_encrypt('plain before'))});
is(try_sql($node, 'postgres', q{SELECT tp_rotate_kek('kek 2')}), 3, 'a new KEK beside it: nobody waits');
ask($session, q{INSERT INTO v VALUES ('behind', tp_encrypt('plain behind'))});
is(ask($session, $all), "plain before,plain behind,$plain", 'it goes on reading and encrypting');
is(ask($session, 'COMMIT'), '', 'and commits');
is(try_sql($node, 'postgres', $all), "plain before,plain behind,$plain", 'its values are good');
$node->safe_psql('postgres', q{DELETE FROM v WHERE name LIKE 'be%'});
everywhere('a new KEK');

# Two at once, one of which is rolled back; and a rotation of a DEK beside it.
ask($session, 'BEGIN');
is(ask($session, q{SELECT tp_rotate_kek('kek 3')}), 3, 'in a transaction');
my $other = begin_sql($node, 'postgres', q{SELECT tp_rotate_kek('kek 4')});
ok(waits_for_lock($node, 'SELECT tp_rotate_kek%'), 'another one waits');
my $dek = begin_sql($node, 'postgres', 'SELECT tp_rotate_dek() > 0');
ok(waits_for_lock($node, 'SELECT tp_rotate_dek%'), 'and so does the rotation of a DEK');
is(try_sql($node, 'postgres', $all), $plain, 'readers do not');
ask($session, 'ROLLBACK');
is(end_sql($other), 3, 'the first rolled back, the other goes on');
is(end_sql($dek), 't', 'and the DEK');
is(try_sql($node, 'postgres', 'SELECT string_agg(DISTINCT kek_label, \',\') FROM tp_keyring'), 'kek 4', 'all are under its KEK');
everywhere('two at once');

# A reader that waits for the token has read that its DEKs are under a KEK; when its turn comes, that one is gone.
open(my $gate, '+<', $node->data_dir . '/trustpoint.gate') or die $!;
ask($session, 'BEGIN');
is(ask($session, q{SELECT tp_rotate_kek('kek 5')}), 4, 'a new KEK, not committed');
flock($gate, LOCK_EX) or die $!;
my $reader = begin_sql($node, 'postgres', $all);
my $verifier = begin_sql($node, 'postgres', 'SELECT count(*) FILTER (WHERE ok), count(problem) FROM tp_verify_keys()');
$node->poll_query_until('postgres', q{SELECT count(*) = 2 FROM pg_stat_activity WHERE wait_event_type = 'Extension'})
  or die 'does not wait';
is(ask($session, 'COMMIT'), '', 'it is committed');
pkcs11_tool($node, '--delete-object', '--type', 'secrkey', '--id',
    $node->safe_psql('postgres', q{SELECT encode(id, 'hex') FROM tp_kek WHERE label = 'kek 4'}));
$node->safe_psql('postgres', q{DELETE FROM tp_kek WHERE label = 'kek 4'});
flock($gate, LOCK_UN) or die $!;
is(end_sql($reader), $plain, 'the reader takes the new one');
is(end_sql($verifier), '4|0', 'and tp_verify_keys has nothing to say');
everywhere('an old KEK that somebody waited for');

# A second database on the token: its own keys stay as they are, and it finds a KEK that the first one has made.
$node->safe_psql('postgres', 'CREATE DATABASE second');
$node->safe_psql('second', 'CREATE EXTENSION trustpoint');
$node->safe_psql('second', q{SELECT tp_setup(); CREATE TABLE v AS SELECT 'x' AS name, tp_encrypt('plain second') AS value});
my $tp_kek = q{SELECT string_agg(label, ',' ORDER BY created_at) FROM tp_kek};
is($node->safe_psql('second', $tp_kek), 'trustpoint-pg-kek', 'a second database');
is(try_sql($node, 'postgres', q{SELECT tp_rotate_kek('shared')}), 4, 'a new KEK in the first');
is(try_sql($node, 'second', $all), 'plain second', 'the second is as it was');
is(try_sql($node, 'second', q{SELECT tp_rotate_kek('shared')}), 1, 'it takes the same KEK');
is($node->safe_psql('second', q{SELECT id FROM tp_kek WHERE label = 'shared'}),
    $node->safe_psql('postgres', q{SELECT id FROM tp_kek WHERE label = 'shared'}), 'indeed the same');
is(try_sql($node, 'second', $all), 'plain second', 'and reads');
for my $label ('trustpoint-pg-kek', 'kek 2', 'kek 5') {
    is(try_sql($node, 'postgres', "SELECT tp_destroy_kek(id, label) FROM tp_kek WHERE label = '$label'"), '', "destroyed: $label");
}
is(try_sql($node, 'second', $all), 'plain second', 'the second database has none of its values under them');
everywhere('old KEKs are gone');

# A KEK never takes the label of another key in the token, which nobody could reach any more.
$node->safe_psql('postgres', q{CREATE ROLE keeper LOGIN; SELECT tp_grant('keeper', 'keys'); SELECT tp_generate_ec_key('ca'), tp_generate_aes_key('aes')});
my $in_token = sub { my $list = pkcs11_tool($node, '--list-objects'); return join ',', sort $list =~ /label: +(.*\S)/g };
pkcs11_tool($node, '--keypairgen', '--key-type', 'EC:prime256v1', '--label', $_, '--id', $_ eq 'foreign' ? '0f' : '0e') for 'foreign', 'public';
pkcs11_tool($node, '--delete-object', '--type', 'privkey', '--label', 'public');
my $before_refusals = $in_token->();
for my $label ('ca', 'aes') {
    is(try_sql($node, 'postgres', "SELECT tp_rotate_kek('$label')", role => 'keeper'), qq{42710: there is a key "$label" already},
        "a key of this database: $label");
}
my ($refused, $errors);
for my $label ('ca', 'aes', 'foreign', 'public') {
    ($refused, $errors) = answer_and_errors($node, 'second', "SELECT tp_rotate_kek('$label')");
    is($refused, qq{42710: the label "$label" belongs to another key in the token}, "a key of others: $label");
}
like($errors, qr/HINT:  Choose a label that is free/, 'what to do is said');
$node->safe_psql('postgres', 'CREATE DATABASE third');
$node->safe_psql('third', 'CREATE EXTENSION trustpoint');
is(try_sql($node, 'third', q{SET trustpoint.kek_label = 'ca'; SELECT tp_setup()}), '42710: the label "ca" belongs to another key in the token', 'tp_setup');
is($in_token->(), $before_refusals, 'no refusal has left a key');
is(try_sql($node, 'postgres', q{SELECT tp_verify('ca', 'x', tp_sign('ca', 'x'))}), 't', 'the key signs');

# Nor does it get between one who makes a key and the end of his transaction.
for my $end ([ 'COMMIT', qr/^42710: there is a key "wanted" already/ ], [ 'ROLLBACK', qr/^1$/ ]) {
    my $database = $end->[0] eq 'COMMIT' ? 'postgres' : 'second';
    my $maker = session($node);
    ask($maker, q{BEGIN; SELECT tp_generate_ec_key('wanted')});
    my $waiting = begin_sql($node, $database, q{SELECT tp_rotate_kek('wanted')});
    ok(waits_for_lock($node, 'SELECT tp_rotate_kek%'), 'tp_rotate_kek waits for one who makes a key of this label');
    ask($maker, $end->[0]);
    like(end_sql($waiting), $end->[1], "until his $end->[0]");
    $maker->quit;
    $node->safe_psql('postgres', q{SELECT tp_destroy_key('wanted')}) if $end->[0] eq 'COMMIT';
}
is(try_sql($node, 'postgres', q{SELECT tp_generate_ec_key('wanted')}), '42710: the token has a key "wanted" already', 'and the other way round');
$node->safe_psql('second', q{BEGIN; SELECT tp_rotate_kek('left'); ROLLBACK});
my $left = q{SELECT encode(id, 'hex') FROM tp_hsm_keys() WHERE label = 'left'};
my $left_id = $node->safe_psql('second', $left);
is(try_sql($node, 'second', q{SELECT tp_rotate_kek('left')}), 1, 'a KEK that a rollback left');
is($node->safe_psql('second', q{SELECT encode(id, 'hex') FROM tp_kek WHERE label = 'left'}), $left_id, 'is taken up again');

# Where both have one label already, the key is still reached by its row, and gets out of the way.
my $ca = $node->safe_psql('postgres', q{SELECT string_agg('%' || substr(encode(id, 'hex'), i, 2), '' ORDER BY i)
    FROM tp_token_key, generate_series(1, 31, 2) i WHERE label = 'ca'});
$node->safe_psql('postgres', q{UPDATE tp_kek SET label = 'ca' WHERE label = 'shared'});
is(try_sql($node, 'postgres', "SELECT tp_verify('$_', 'x', tp_sign('$_', 'x'))"), 't', "signs: $_") for 'ca', "pkcs11:id=$ca";
is(try_sql($node, 'postgres', q{SELECT usage FROM tp_hsm_keys() WHERE label = 'ca'}), 'sign', 'and is listed as what it is');
is(try_sql($node, 'postgres', q{SELECT tp_grant_key('ca', 'keeper', '{manage}')}), '', 'is granted');
like(try_sql($node, 'postgres', q{SELECT tp_rename_key('aes', 'ca')}), qr/^42501: /, 'no other gets the label');
is(try_sql($node, 'postgres', q{SELECT tp_rename_key('ca', 'ca 2')}, role => 'keeper'), '', 'is renamed');
like(try_sql($node, 'postgres', q{SELECT tp_sign('ca', 'x')}), qr/^42501: /, 'then the label is the KEK\'s alone');
$node->safe_psql('postgres', q{UPDATE tp_kek SET label = 'ca 2' WHERE label = 'ca'});
is(try_sql($node, 'postgres', q{SELECT tp_destroy_key('ca 2')}), '', 'is destroyed');
$node->safe_psql('postgres', q{UPDATE tp_kek SET label = 'shared' WHERE label = 'ca 2'});
everywhere('keys and KEKs of one label');

# The WAL ends where a page of it does: tp_destroy_kek, which writes out what others have committed, takes that for its end.
my $fill = q{DO $$ DECLARE
    free int; start pg_lsn; overhead int;
BEGIN
    FOR i IN 1 .. 2 LOOP
        start := pg_current_wal_insert_lsn();
        free := 8192 - (start - '0/0') % 8192;
        EXIT WHEN free > 4000;
        PERFORM pg_logical_emit_message(false, '', repeat('x', free));
    END LOOP;
    PERFORM pg_logical_emit_message(false, '', repeat('x', 1000));
    overhead := pg_current_wal_insert_lsn() - start - 1000;
    PERFORM pg_logical_emit_message(false, '', repeat('x', free - 1000 - 2 * overhead));
END $$};
my $wal_end = 'SELECT pg_current_wal_insert_lsn(), (pg_current_wal_insert_lsn() - \'0/0\') % 8192';
my ($at_border, $refusal) = (0, '');
for (1 .. 100) {
    ask($session, $fill);
    my $before = ask($session, $wal_end);
    $refusal = ask($session, q{SELECT tp_destroy_kek('none', 'none')});
    # Others write WAL too.
    last if $at_border = $before =~ /\|24$/ && ask($session, $wal_end) eq $before;
}
ok($at_border, 'the WAL ends with a page');
like($refusal, qr/^42704: /, 'and tp_destroy_kek says what it has to say');

# Four errors, each before a value is touched.
$node->safe_psql('postgres', 'CREATE TABLE good_kek AS TABLE tp_kek; CREATE TABLE good_dek AS TABLE tp_dek');
my $restore = q{BEGIN; DELETE FROM tp_kek; INSERT INTO tp_kek TABLE good_kek; DELETE FROM tp_dek; INSERT INTO tp_dek TABLE good_dek; COMMIT};
my $kek_id = $node->safe_psql('postgres', q{SELECT encode(id, 'hex') FROM tp_kek WHERE label = 'shared'});
my $folder = token_folder($node);
my %error;
# The statement would write a value for each that it can read: nothing of it may stay.
my $touch = "INSERT INTO v SELECT 'touched', tp_rewrap(value) FROM $in_order";
sub refused {
    my ($name) = @_;
    $error{$name} = try_sql($node, 'postgres', $all);
    is(try_sql($node, 'postgres', $touch), $error{$name}, "$name: $error{$name}");
    is($node->safe_psql('postgres', q{SELECT count(*) FROM v WHERE name = 'touched'}), 0, "$name: no value was written");
}
$node->safe_psql('postgres', q{UPDATE tp_kek SET probe = set_byte(probe, 3, get_byte(probe, 3) # 1)});
refused('wrong KEK');
$node->safe_psql('postgres', $restore);
$node->safe_psql('postgres', q{UPDATE tp_dek SET wrapped = set_byte(wrapped, 3, get_byte(wrapped, 3) # 1)});
refused('damaged DEK');
$node->safe_psql('postgres', $restore);
rename "$folder/tokens", "$folder/away" or die $!;
mkdir "$folder/tokens";
refused('missing token');
rmdir "$folder/tokens";
rename "$folder/away", "$folder/tokens" or die $!;
is(try_sql($node, 'postgres', $all), $plain, 'all is well again');
# A KEK with weak attributes in the place of the real one, which nobody can get out to put in again.
pkcs11_tool($node, '--delete-object', '--type', 'secrkey', '--id', $kek_id);
pkcs11_tool($node, '--keygen', '--key-type', 'AES:32', '--label', 'shared', '--id', $kek_id, '--private', '--sensitive',
    '--usage-wrap', '--extractable');
refused('weak KEK');
like($error{'wrong KEK'}, qr/^XX001: the key "shared" in the token is not the KEK of this database/, 'wrong KEK');
like($error{'damaged DEK'}, qr/^XX001: the wrapped key of DEK \d+ \(\w+\) is damaged/, 'damaged DEK');
like($error{'missing token'}, qr/^(?:58000|42704): .*token/, 'missing token');
like($error{'weak KEK'}, qr/^XX001: the key "shared" in the token is too weak to be a KEK/, 'weak KEK');
is(scalar(keys %{ { map { $_ => 1 } values %error } }), 4, 'four different errors');

$session->quit;
$node->stop;
done_testing();
