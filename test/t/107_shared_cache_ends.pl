# A DEK that is destroyed, or dropped with its extension or database, leaves shared memory too, also where the transaction that took
# it away ends past us: COMMIT PREPARED, and the replay on a standby.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TrustpointCluster;

my $node = new_cluster('ends', conf => "shared_preload_libraries = 'trustpoint'\nmax_prepared_transactions = 5\n"
      . "wal_level = replica\nmax_wal_senders = 5\nhot_standby = on\nfsync = off\n");
append_to_file($node->data_dir . '/pg_hba.conf', "local replication all trust\n");
$node->reload;
set_up($node);
$node->safe_psql('postgres', q{CREATE TABLE secret AS SELECT 'default' AS name, tp_encrypt('of default') AS value});

sub deks { my ($on) = @_; return ($on // $node)->safe_psql('postgres', 'SELECT shared_deks FROM tp_status()'); }
sub read_of { my ($name) = @_; return "SELECT tp_decrypt(value) FROM secret WHERE name = '$name'"; }

# A retired DEK with a value, in no memory.
sub doomed {
    my ($name) = @_;
    my $id = $node->safe_psql('postgres', "SELECT tp_create_dek('$name')");
    $node->safe_psql('postgres', "INSERT INTO secret SELECT '$name', tp_encrypt('of $name', '', '$name');
        SELECT tp_rotate_dek('$name')");
    return $id;
}

# ---- COMMIT PREPARED

my $id = doomed('a');
$node->safe_psql('postgres', "BEGIN; SELECT tp_destroy_dek($id, 'a'); PREPARE TRANSACTION 'destroy'");
is(deks(), 0, 'PREPARE empties the cache');
is(try_sql($node, 'postgres', read_of('a')), 'of a', 'while the destruction is prepared, the value is read');
is(deks(), 0, 'but its DEK is not shared');
$node->safe_psql('postgres', "COMMIT PREPARED 'destroy'");
is(deks(), 0, 'nor is it after COMMIT PREPARED');
like(try_sql($node, 'postgres', read_of('a')), qr/^55000: DEK $id \(a\) is destroyed/, 'and it is destroyed');

$id = doomed('b');
$node->safe_psql('postgres', "BEGIN; SELECT tp_destroy_dek($id, 'b'); PREPARE TRANSACTION 'destroy'");
is(try_sql($node, 'postgres', read_of('b')), 'of b', 'prepared again');
$node->safe_psql('postgres', "ROLLBACK PREPARED 'destroy'");
is(try_sql($node, 'postgres', read_of('b')), 'of b', 'and rolled back: it is read');
is(deks(), 1, 'and shared');

# Whoever writes the table by hand takes no lock that tells: there the next call cleans up.
my %change = (
    destroyed => "UPDATE tp_dek SET state = 'destroyed', wrapped = NULL WHERE id = %d",
    deleted => 'DELETE FROM tp_dek WHERE id = %d');
for my $change (sort keys %change) {
    for my $next ('of an open session', 'of a new session', 'for its values') {
        my $name = "$change $next";
        $id = doomed($name);
        my $open = session($node);
        is(ask($open, read_of('default')), 'of default', "$name: another DEK is shared");
        $node->safe_psql('postgres', 'BEGIN; ' . sprintf($change{$change}, $id) . "; PREPARE TRANSACTION 'by hand'");
        is(try_sql($node, 'postgres', read_of($name)), "of $name", "$name: prepared");
        is(try_sql($node, 'postgres', read_of('default')), 'of default', "$name: others are read");
        is(deks(), 2, "$name: both are shared");
        $node->safe_psql('postgres', "COMMIT PREPARED 'by hand'");
        if ($next eq 'of an open session') {
            is(ask($open, read_of('default')), 'of default', "$name: it calls for another DEK");
        } elsif ($next eq 'of a new session') {
            select undef, undef, undef, 1.1;    # new ones look once a second
            is(try_sql($node, 'postgres', read_of('default')), 'of default', "$name: it calls for another DEK");
        } else {
            like(try_sql($node, 'postgres', read_of($name)), qr/^(55000|42704)/, "$name: it calls, and is refused");
        }
        is(deks(), 1, "$name: then the DEK is gone, and the other one stays");
        $open->quit;
    }
}

# ---- on a standby

$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
my $open = session($standby);
for my $next ('of an open session', 'of a new session', 'for its values') {
    my $name = "standby, $next";
    $id = doomed($name);
    $node->wait_for_catchup($standby);
    is(ask($open, read_of('default')), 'of default', "$name: one DEK is shared");
    is(try_sql($standby, 'postgres', read_of($name)), "of $name", "$name: read in a session that ends");
    is(deks($standby), 2, "$name: both are shared");
    $node->safe_psql('postgres', "SELECT tp_disable_dek($id)");
    $node->safe_psql('postgres', "SELECT tp_destroy_dek($id, '$name')");
    $node->wait_for_catchup($standby);
    if ($next eq 'of an open session') {
        is(ask($open, read_of('default')), 'of default', "$name: it calls for another DEK");
    } elsif ($next eq 'of a new session') {
        select undef, undef, undef, 1.1;
        is(try_sql($standby, 'postgres', read_of('default')), 'of default', "$name: it calls for another DEK");
    } else {
        like(try_sql($standby, 'postgres', read_of($name)), qr/^55000: DEK $id \(\Q$name\E\) is destroyed/,
            "$name: it calls, and is refused");
    }
    is(deks($standby), 1, "$name: then the DEK is gone, and the other one stays");
}
$open->quit;
$standby->stop;

# ---- a malformed row takes no other DEK away

is(try_sql($node, 'postgres', read_of('default')), 'of default', 'the DEK is shared');
$id = doomed('malformed');
is(try_sql($node, 'postgres', read_of('malformed')), 'of malformed', 'and another');
$node->safe_psql('postgres', qq{
    SELECT format('ALTER TABLE tp_dek DROP CONSTRAINT %I', conname) FROM pg_constraint
        WHERE conrelid = 'tp_dek'::regclass AND contype = 'c' \\gexec
    BEGIN; UPDATE tp_dek SET wrapped = 'x', state = 'odd' WHERE id = $id; PREPARE TRANSACTION 'malformed'});
is(try_sql($node, 'postgres', "SELECT tp_decrypt(value) FROM secret WHERE name IN ('default', 'malformed')"),
    "of default\nof malformed", 'both are shared again');
$node->safe_psql('postgres', "COMMIT PREPARED 'malformed'");
select undef, undef, undef, 1.1;
is(try_sql($node, 'postgres', read_of('default')), 'of default', 'the first is read past the row of the other');
is(deks(), 1, 'which is shared no more');

# ---- DROP EXTENSION, DROP DATABASE

for my $end ('DROP EXTENSION trustpoint', 'DROP SCHEMA keys CASCADE', 'DROP DATABASE other WITH (FORCE)') {
    $node->safe_psql('postgres', 'CREATE DATABASE other');
    $node->safe_psql('other', 'CREATE SCHEMA keys; CREATE EXTENSION trustpoint SCHEMA keys; SELECT keys.tp_setup() > 0');
    my $in_other = 'SELECT keys.tp_decrypt_bytea(keys.tp_encrypt(value)) FROM (VALUES (bytea $$x$$)) v (value)';
    is($node->safe_psql('other', $in_other), '\x78', "before $end: a value");
    is(deks(), 2, "before $end: two DEKs are shared");
    if ($end !~ /DATABASE/) {
        $node->safe_psql('other', "BEGIN; $end; ROLLBACK");
        is($node->safe_psql('other', $in_other), '\x78', "$end, rolled back: well");
        is(deks(), 2, "$end, rolled back: shared");
    }
    $node->safe_psql($end =~ /DATABASE/ ? 'postgres' : 'other', $end);
    is(deks(), 1, "$end: that of the other database stays");
    $node->safe_psql('postgres', 'DROP DATABASE IF EXISTS other');
}

unlike(slurp_file($node->logfile) . slurp_file($standby->logfile), qr/PANIC|terminated by signal/, 'nothing crashed');
$node->stop;
done_testing();
