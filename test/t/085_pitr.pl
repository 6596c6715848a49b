# Point-in-time recovery from a base backup: what was written before the target is readable, under keys made after the
# backup too; and the keys of the two histories never meet.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TpsecFixtures;
use TrustpointCluster;

my $node = new_cluster('pitr', start => 0, conf => "wal_level = replica\nmax_wal_senders = 5\nfsync = off\n");
append_to_file($node->data_dir . '/pg_hba.conf', "local replication all trust\n");
$node->enable_archiving;
$node->start;
set_up($node);
import_kek($node, 'trustpoint-app-secret-kek', my $kek = random_key(), '01');
my %dek = map { $_ => random_key() } qw(kept lost);
my %import = map {
    my %wrapped = wrapped_deks($kek, $dek{$_});
    $_ => "SELECT tp_import_dek('\\x$wrapped{'cwrap-rfc3394'}', 'trustpoint-app-secret-kek', NULL)"
} keys %dek;
my %field = map { $_ => (map { $_->[2] } grep { length $_->[2] } fields($dek{$_}))[0] } keys %dek;

my $insert = sub {
    my ($from, $to) = @_;
    return "INSERT INTO secret SELECT n, tp_encrypt('secret ' || n, tp_context('secret', n::text)), tp_blind_index('secret ' || n, 'secret.value')
        FROM generate_series($from, $to) n";
};
$node->safe_psql('postgres', q{CREATE TABLE secret (id int PRIMARY KEY, value tp_encrypted, value_index bytea UNIQUE); SELECT tp_create_dek('default', 'index');} . $insert->(1, 100));

$node->backup('base');

# After the backup, before the target: a rotation, a tenant, an index key, an import, a state.
$node->safe_psql('postgres', 'SELECT tp_rotate_dek()');
$node->safe_psql('postgres', $insert->(101, 200));
$node->safe_psql('postgres', q{SELECT tp_create_dek('tenant')});
my $of_tenant = $node->safe_psql('postgres', q{SELECT tp_encrypt('of a tenant', 'c', 'tenant')});
$node->safe_psql('postgres', q{SELECT tp_rotate_dek('default', 'index')});
$node->safe_psql('postgres', $insert->(201, 300));
$node->safe_psql('postgres', $import{kept});
$node->safe_psql('postgres', q{SELECT tp_create_dek('closed'); UPDATE tp_dek SET state = 'disabled' WHERE name = 'closed'});
my $keyring = 'SELECT id, name, purpose, state FROM tp_keyring ORDER BY id';
my $keyring_then = $node->safe_psql('postgres', $keyring);
$node->safe_psql('postgres', q{SELECT pg_create_restore_point('target')});
my $time = $node->safe_psql('postgres', 'SELECT clock_timestamp()');
$node->safe_psql('postgres', 'SELECT pg_sleep(0.2)');

# After the target.
my $lost_key = $node->safe_psql('postgres', 'SELECT tp_rotate_dek()');
$node->safe_psql('postgres', $insert->(301, 400));
my $lost_value = $node->safe_psql('postgres', q{SELECT tp_encrypt('written after the target', 'c')});
$node->safe_psql('postgres', $import{lost});
$node->safe_psql('postgres', q{UPDATE tp_dek SET state = 'disabled' WHERE name = 'tenant'});
$node->safe_psql('postgres', 'SELECT pg_switch_wal()');
my $segment = $node->safe_psql('postgres', 'SELECT pg_walfile_name(pg_current_wal_lsn())');
$node->poll_query_until('postgres', "SELECT last_archived_wal >= '" . ($node->safe_psql('postgres', q{SELECT pg_walfile_name(pg_current_wal_lsn() - 1)}) =~ s/.$//r) . "' FROM pg_stat_archiver");
$node->stop;

my $all = q{SELECT count(*) FROM secret WHERE tp_decrypt(value, tp_context('secret', id::text)) = 'secret ' || id};

sub is_as_then {
    my ($restored, $when) = @_;
    is(try_sql($restored, 'postgres', $all), '300', "$when: every value from before the target decrypts");
    is(try_sql($restored, 'postgres', 'SELECT count(*) FROM secret'), '300', "$when: and there are no others");
    is(try_sql($restored, 'postgres', q{SELECT string_agg(id::text, ',' ORDER BY id) FROM secret WHERE value_index = ANY
        (tp_blind_index_candidates('secret 7', 'secret.value') || tp_blind_index_candidates('secret 207', 'secret.value'))}), '7,207',
        "$when: found by blind index, under both keys");
    is(try_sql($restored, 'postgres', "SELECT tp_decrypt('$of_tenant', 'c')"), 'of a tenant', "$when: a DEK made after the backup, disabled after the target");
    is(try_sql($restored, 'postgres', "SELECT tpsec_decrypt('$field{kept}')"), 'x', "$when: a DEK imported before it");
    like(try_sql($restored, 'postgres', "SELECT tpsec_decrypt('$field{lost}')"), qr/^22000/, "$when: one imported after it is not there");
    is(try_sql($restored, 'postgres', "SELECT tp_decrypt('$lost_value', 'c')"), "42704: there is no DEK with id $lost_key in this database",
        "$when: a value of the history that was left is refused, by the id of its key");
}

for my $target ([ name => 'target' ], [ time => $time ]) {
    my ($kind, $value) = @$target;
    my $restored = PostgreSQL::Test::Cluster->new("to_$kind");
    $restored->init_from_backup($node, 'base', has_restoring => 1, standby => 0);
    $restored->append_conf('postgresql.conf', "recovery_target_$kind = '$value'\nrecovery_target_action = 'promote'\narchive_mode = off\n");
    $restored->start;
    $restored->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()');
    is($restored->safe_psql('postgres', $keyring), $keyring_then, "to a $kind: the keyring is that of then");
    is_as_then($restored, "to a $kind");
    is(try_sql($restored, 'postgres', 'SELECT count(*) FILTER (WHERE NOT ok) FROM tp_verify_keys()'), '0', "to a $kind: all keys are well");
    $restored->restart;
    is_as_then($restored, "to a $kind, after a restart");
    # The new history has keys of its own; no number is given again.
    my $new_key = $restored->safe_psql('postgres', 'SELECT tp_rotate_dek()');
    isnt($new_key, $lost_key, "to a $kind: a new key, a new number");
    is(try_sql($restored, 'postgres', $insert->(301, 310) . ";$all"), '310', "to a $kind: and it goes on");
    my $mine = $restored->safe_psql('postgres', q{SELECT tp_encrypt('of the new history')});
    $restored->stop;
    $node->start;
    is(try_sql($node, 'postgres', "SELECT tp_decrypt('$mine')"), "42704: there is no DEK with id $new_key in this database",
        "to a $kind: which the old history does not read");
    is(try_sql($node, 'postgres', $all), '400', "to a $kind: and the old one is unharmed, on the same token");
    $node->stop;
}
done_testing();
