# A cluster that pg_upgrade makes anew, and an old primary that pg_rewind makes the standby of the new one: values, keys of the
# token, what is pending for them, and grants are those of before.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TrustpointCluster;

my $conf = "shared_preload_libraries = 'trustpoint'\nfsync = off\n";
my $old = new_cluster('old', conf => $conf);
my $folder = token_folder($old);
$old->safe_psql('postgres', 'CREATE ROLE app LOGIN; CREATE DATABASE other');
set_up($old);
set_up($old, 'other');
$old->safe_psql('postgres', q{
    CREATE TABLE secret (id int PRIMARY KEY, value tp_encrypted, value_index bytea UNIQUE);
    SELECT tp_create_dek('default', 'index');
    INSERT INTO secret SELECT n, tp_encrypt('secret ' || n, tp_context('secret', n::text)), tp_blind_index('secret ' || n, 'secret.value')
        FROM generate_series(1, 100) n;
    GRANT ALL ON secret TO app;
    SELECT tp_grant('app', 'decrypt'), tp_grant('app', 'search');
    SELECT tp_generate_ec_key('signs');
    SELECT tp_grant_key('signs', 'app', '{sign}')});
my $signature = $old->safe_psql('postgres', q{SELECT tp_sign('signs', 'text')});
my $elsewhere = $old->safe_psql('other', q{SELECT tp_encrypt('elsewhere')});

sub destroyed_keys { return scalar grep { /label: +destroyed/ } split /\n/, pkcs11_tool($old, '--list-objects', '--type', 'privkey') }

sub is_whole {
    my ($node, $when) = @_;
    is(try_sql($node, 'postgres', q{SELECT count(*) FROM secret WHERE tp_decrypt(value, tp_context('secret', id::text)) = 'secret ' || id}), '100',
        "$when: every value decrypts");
    is(try_sql($node, 'postgres', q{SELECT id FROM secret WHERE value_index = ANY (tp_blind_index_candidates('secret 77', 'secret.value'))}, role => 'app'),
        '77', "$when: and is found, by whoever may");
    like(try_sql($node, 'postgres', 'SELECT tp_encrypt(\'x\')', role => 'app'), qr/^42501/, "$when: who has no right has none");
    is(try_sql($node, 'postgres', "SELECT tp_verify('signs', 'text', '$signature')"), 't', "$when: the key of the token is the same");
    like(try_sql($node, 'postgres', q{SELECT tp_sign('signs', 'x')}, role => 'app'), qr/^\\x30/, "$when: and signs for whom it was granted to");
    is(try_sql($node, 'other', "SELECT tp_decrypt('$elsewhere')"), 'elsewhere', "$when: so does another database");
    is(try_sql($node, 'postgres', 'SELECT count(*) FILTER (WHERE NOT ok) FROM tp_verify_keys()'), '0', "$when: all keys are well");
}

# ---- pg_upgrade

leave_doomed_key($old, $folder, 'doomed');
$old->stop;
my $new = new_cluster('new', conf => $conf . "wal_level = replica\nwal_log_hints = on\nwal_keep_size = 320MB\nwal_retrieve_retry_interval = 100ms\nmax_wal_senders = 5\nhot_standby = on\n", token => $folder, start => 0);
append_to_file($new->data_dir . '/pg_hba.conf', "local replication all trust\n");
my $bin = $old->config_data('--bindir');
my $work = PostgreSQL::Test::Utils::tempdir();
{
    chdir $work or die $!;  # where it writes
    $new->command_ok([ 'pg_upgrade', '--no-sync', '-b', $bin, '-B', $bin, '-d', $old->data_dir, '-D', $new->data_dir, '-p', $old->port, '-P', $new->port,
        '-s', $new->host ], 'pg_upgrade');
    chdir $ENV{TESTDIR} or die $!;
}
$new->start;
is_whole($new, 'upgraded');
is(destroyed_keys(), 1, 'upgraded: the key that was to be destroyed is in the token');
is(try_sql($new, 'postgres', q{SELECT tp_rotate_dek() > 0; SELECT tp_generate_ec_key('another') <> ''; SELECT tp_decrypt(tp_encrypt('new'))}), "t\nt\nnew",
    'upgraded: new keys');
is(destroyed_keys(), 0, 'upgraded: with which it is destroyed');
is_whole($new, 'upgraded, and rotated');

# ---- pg_rewind

$new->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($new, 'base', has_streaming => 1);
$standby->start;
$new->wait_for_catchup($standby);
$standby->promote;
# Both go on: what the old primary does now is not to be.
my $lost = $new->safe_psql('postgres', q{SELECT tp_rotate_dek()});
$new->safe_psql('postgres', q{INSERT INTO secret SELECT n, tp_encrypt('lost') FROM generate_series(101, 200) n});
leave_doomed_key($new, $folder, 'of the old history');
my $kept = $standby->safe_psql('postgres', q{SELECT tp_rotate_dek()});
isnt($kept, $lost, 'no key has the number of another');
my $value = $standby->safe_psql('postgres', q{SELECT tp_encrypt('kept')});
$standby->safe_psql('postgres', 'CHECKPOINT');
$new->stop;
copy_conf($new, "$work/conf");
$new->command_ok([ 'pg_rewind', '--no-sync', '--target-pgdata', $new->data_dir, '--source-server', $standby->connstr('postgres') ], 'pg_rewind');
copy_conf("$work/conf", $new);
$new->enable_streaming($standby);
$new->set_standby_mode;
$new->start;
$standby->wait_for_catchup($new);
is_whole($new, 'rewound');
is(try_sql($new, 'postgres', "SELECT tp_decrypt('$value')"), 'kept', 'rewound: a value of the new history');
is(try_sql($new, 'postgres', "SELECT count(*) FROM tp_dek WHERE id = $lost"), '0', 'rewound: the key of the old one is gone');
$standby->stop;
$new->promote;
is_whole($new, 'promoted again');
is(try_sql($new, 'postgres', q{SELECT tp_generate_ec_key('one more') <> ''; SELECT tp_decrypt(tp_encrypt('again'))}), "t\nagain", 'promoted again: new keys');
$new->stop;
done_testing();

# The settings of a node to a folder, or back: pg_rewind brings those of the other.
sub copy_conf {
    my ($from, $to) = map { ref $_ ? $_->data_dir : $_ } @_;
    mkdir $to;
    for my $file ('postgresql.conf', 'pg_hba.conf') {
        append_to_file("$to/$file.new", slurp_file("$from/$file"));
        rename("$to/$file.new", "$to/$file") or die $!;
    }
}
