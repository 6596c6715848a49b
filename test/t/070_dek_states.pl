# DEKs out of service, back and destroyed, seen by open sessions, new ones and after a restart; and what destruction does
# with transactions that may still write values under the DEK.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TrustpointCluster;

my $node = new_cluster('states', conf => "max_prepared_transactions = 5\n");
my $first = set_up($node);
my $second = $node->safe_psql('postgres', q{CREATE TABLE v (name text, value bytea);
    INSERT INTO v VALUES ('first', tp_encrypt('plain first')); SELECT tp_rotate_dek()});
$node->safe_psql('postgres', q{INSERT INTO v VALUES ('second', tp_encrypt('plain second'))});
my $session = session($node);
sub statement { my ($name) = @_; return "SELECT tp_decrypt(value) FROM v WHERE name = '$name'"; }

# In the session that was open all the time, which has the DEK, in a new one, and after a restart.
sub everywhere {
    my ($what, %expect) = @_;
    for my $where ('an open session', 'a new one', 'after a restart') {
        if ($where eq 'after a restart') {
            $session->quit;
            $node->restart;
            $session = session($node);
        }
        for my $name (sort keys %expect) {
            like($where eq 'a new one' ? try_sql($node, 'postgres', statement($name)) : ask($session, statement($name)),
                $expect{$name}, "$what, $where: $name");
        }
    }
}

everywhere('retired', first => qr/^plain first$/, second => qr/^plain second$/);
is(try_sql($node, 'postgres', "SELECT tp_disable_dek($first)"), '', 'disabled');
everywhere('disabled', first => qr/^55000: DEK $first \(default\) is disabled$/, second => qr/^plain second$/);
is(try_sql($node, 'postgres', "SELECT tp_enable_dek($first)"), '', 'enabled');
everywhere('enabled', first => qr/^plain first$/, second => qr/^plain second$/);

# A transaction that took the DEK before the rotation and commits after tp_destroy_dek was called.
my $third;
for my $end ('COMMIT', 'ROLLBACK', 'PREPARE') {
    my ($old) = split /\n/, try_sql($node, 'postgres', "SELECT id FROM tp_keyring WHERE state = 'active'");
    ask($session, 'BEGIN');
    is(ask($session, "INSERT INTO v VALUES ('late $end', tp_encrypt('plain late'))"), '', "$end: a value under the DEK");
    $third = try_sql($node, 'postgres', 'SELECT tp_rotate_dek()');
    is(try_sql($node, 'postgres', "SELECT count(*) FROM tp_key_usage('v', 'value') WHERE key_id = $old"), $end eq 'COMMIT' ? 1 : 0,
        "$end: tp_key_usage cannot see it");
    my $destruction = begin_sql($node, 'postgres', "SELECT tp_destroy_dek($old, 'default')");
    ok(waits_for_lock($node, 'SELECT tp_destroy_dek%'), "$end: tp_destroy_dek waits");
    is(try_sql($node, 'postgres', statement('second')), 'plain second', "$end: readers do not wait");
    if ($end eq 'PREPARE') {
        is(ask($session, q{PREPARE TRANSACTION 'late'}), '', 'prepared');
        ok(waits_for_lock($node, 'SELECT tp_destroy_dek%'), 'a prepared transaction is waited for too');
        is(try_sql($node, 'postgres', q{COMMIT PREPARED 'late'}), '', 'and committed');
    } else {
        is(ask($session, $end), '', "$end: it ends");
    }
    like(end_sql($destruction), qr/^55000: DEK $old \(default\) was not destroyed: transactions/, "$end: and destruction refuses");
    is(try_sql($node, 'postgres', statement("late $end")), $end eq 'ROLLBACK' ? '' : 'plain late',
        "$end: no value is left without its key");
    is(try_sql($node, 'postgres', statement('first')), 'plain first', "$end: nor those before");
}

# A value outlives the savepoint that it was made in: in a variable, in the client.
{
    my ($old) = split /\n/, try_sql($node, 'postgres', "SELECT id FROM tp_keyring WHERE state = 'active'");
    is(ask($session, q{BEGIN; DO $$ DECLARE v bytea; BEGIN
        BEGIN v := tp_encrypt('plain kept'); RAISE 'taken back'; EXCEPTION WHEN raise_exception THEN INSERT INTO v VALUES ('kept', v); END;
        END $$}), '', 'a value made in a block that failed is stored');
    $third = try_sql($node, 'postgres', 'SELECT tp_rotate_dek()');
    my $disabling = begin_sql($node, 'postgres', "SELECT tp_disable_dek($old)");
    ok(waits_for_lock($node, 'SELECT tp_disable_dek%'), 'tp_disable_dek waits for it');
    ask($session, 'COMMIT');
    is(end_sql($disabling), '', 'and goes on');
    is(try_sql($node, 'postgres', "SELECT tp_enable_dek($old)"), '', 'tp_key_usage would have told; back again');
    is(try_sql($node, 'postgres', statement('kept')), 'plain kept', 'the value is readable');
}

# A transaction whose snapshot is older than the key: what cannot be written is an error, never a success.
{
    my $isolation = session($node);
    my $fails = qr/^40001: /;
    my $with_old_snapshot = sub {
        my ($others, $mine) = @_;
        ask($isolation, 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM tp_dek');
        my @numbers = map { try_sql($node, 'postgres', $_) } @$others;
        my $answer = ask($isolation, $mine->(@numbers));
        ask($isolation, 'ROLLBACK');
        return $answer;
    };
    my @made = (q{SELECT tp_create_dek('snapshot')}, q{SELECT tp_rotate_dek('snapshot')});
    like($with_old_snapshot->(\@made, sub { "SELECT tp_destroy_dek($_[0], 'snapshot')" }), $fails, 'tp_destroy_dek of a DEK that the snapshot lacks');
    @made = ('SELECT tp_rotate_dek(\'snapshot\')', "SELECT min(id) FROM tp_keyring WHERE name = 'snapshot'");
    like($with_old_snapshot->(\@made, sub { q{SELECT tp_rotate_dek('snapshot')} }), $fails, 'tp_rotate_dek');
    is(try_sql($node, 'postgres', q{SELECT count(*) FROM tp_keyring WHERE name = 'snapshot' AND state = 'active'}), 1, 'one is active');
    @made = (q{SELECT tp_create_dek('snapshot 2')}, q{SELECT tp_rotate_dek('snapshot 2')});
    like($with_old_snapshot->(\@made, sub { "SELECT tp_disable_dek($_[0])" }), $fails, 'tp_disable_dek');
    my ($retired) = split /\n/, try_sql($node, 'postgres', q{SELECT id FROM tp_keyring WHERE name = 'snapshot 2' AND state = 'retired'});
    like($with_old_snapshot->([ "SELECT tp_disable_dek($retired)" ], sub { "SELECT tp_enable_dek($retired)" }), $fails, 'tp_enable_dek');
    like($with_old_snapshot->([ q{SELECT tp_generate_ec_key('snapshot key')} ], sub { q{SELECT tp_rename_key('snapshot key', 'other')} }), $fails, 'tp_rename_key');
    is(try_sql($node, 'postgres', q{SELECT octet_length(tp_sign('snapshot key', 'x')) > 60}), 't', 'the key has its name');
    like($with_old_snapshot->([ q{SELECT tp_generate_ec_key('snapshot key 2')} ], sub { q{SELECT tp_destroy_key('snapshot key 2')} }), $fails, 'tp_destroy_key');
    is(try_sql($node, 'postgres', q{SELECT octet_length(tp_sign('snapshot key 2', 'x')) > 60}), 't', 'the key is there');
    ask($isolation, 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM tp_dek');
    my ($gone) = split /\n/, try_sql($node, 'postgres', q{SELECT tp_rotate_kek('kek 2'); SELECT tp_rotate_kek('kek 3');
        SELECT quote_literal(id) FROM tp_kek WHERE label = 'kek 2'}) =~ s/^\d+\n\d+\n//r;
    like(ask($isolation, "SELECT tp_destroy_kek($gone, 'kek 2')"), $fails, 'tp_destroy_kek');
    ask($isolation, 'ROLLBACK');
    is(try_sql($node, 'postgres', "SELECT tp_destroy_kek($gone, 'kek 2')"), '', 'which is still there to be destroyed');
    $isolation->quit;
    is(try_sql($node, 'postgres', q{SELECT tp_disable_dek(id), tp_destroy_dek(id, name) FROM tp_keyring WHERE name ^@ 'snapshot' AND state = 'retired'}) =~ tr/|\n//dr,
        '', 'a newer snapshot sees them all');
}

# The way that is sure: disabled first. That waits for such a transaction, and what it left is seen then.
my $old = $third;
ask($session, 'BEGIN');
ask($session, q{INSERT INTO v VALUES ('later', tp_encrypt('plain later'))});
$third = try_sql($node, 'postgres', 'SELECT tp_rotate_dek()');
my $disabling = begin_sql($node, 'postgres', "SELECT tp_disable_dek($old)");
ok(waits_for_lock($node, 'SELECT tp_disable_dek%'), 'tp_disable_dek waits');
ask($session, 'COMMIT');
is(end_sql($disabling), '', 'and goes on');
is(try_sql($node, 'postgres', "SELECT \"values\" FROM tp_key_usage('v', 'value') WHERE key_id = $old"), 1,
    'tp_key_usage shows the value');
is(try_sql($node, 'postgres', "SELECT tp_enable_dek($old)"), '', 'back again');
is(try_sql($node, 'postgres', q{UPDATE v SET value = tp_rewrap(value) WHERE name = 'later'}), '', 'rewrapped');
is(try_sql($node, 'postgres', "SELECT tp_disable_dek($old)"), '', 'disabled again');
ask($session, 'BEGIN');
ask($session, q{SELECT tp_encrypt('of no concern')});
my $destruction = begin_sql($node, 'postgres', "SELECT tp_destroy_dek($old, 'default')");
ok(waits_for_lock($node, 'SELECT tp_destroy_dek%'), 'tp_destroy_dek waits for whoever encrypts under another');
ask($session, 'COMMIT');
is(end_sql($destruction), '', 'and goes on, as nobody can have written under a disabled one');
is(try_sql($node, 'postgres', statement('later')), 'plain later', 'the value is readable');

# The refusal is of the whole transaction: whichever removal was the one that waited, and where, also when it was cancelled.
sub active { return try_sql($node, 'postgres', q{SELECT id FROM tp_keyring WHERE state = 'active' AND name = 'removed'}); }
try_sql($node, 'postgres', q{SELECT tp_create_dek('removed')});
my $in_block = q{DO $$ BEGIN PERFORM %s; RAISE 'undone'; EXCEPTION WHEN raise_exception OR lock_not_available THEN NULL; END $$};
for my $case ([ 'a disabled one first', sub { "SELECT tp_destroy_dek($_[0], 'removed'); SELECT tp_destroy_dek($_[1], 'removed')" } ],
    [ 'another disabled first', sub { "SELECT tp_disable_dek($_[2]); SELECT tp_destroy_dek($_[1], 'removed')" } ],
    [ 'itself disabled first', sub { "SELECT tp_disable_dek($_[1]); SELECT tp_destroy_dek($_[1], 'removed')" } ],
    [ 'a savepoint first', sub { sprintf($in_block, "tp_disable_dek($_[1])") . "; SELECT tp_destroy_dek($_[1], 'removed')" } ],
    [ 'a wait that was cancelled', sub { "SET LOCAL lock_timeout = '2s'; " . sprintf($in_block, "tp_disable_dek($_[1])")
              . "; RESET lock_timeout; SELECT pg_advisory_lock(1), tp_destroy_dek($_[1], 'removed')" } ]) {
    my ($what, $removals) = @$case;
    my @ids = map { my $id = active(); try_sql($node, 'postgres', q{SELECT tp_rotate_dek('removed')}); $id } 1, 2;
    try_sql($node, 'postgres', "SELECT tp_disable_dek($ids[0])");
    my $late = active();
    ask($session, 'SELECT pg_advisory_lock(1); BEGIN');
    ask($session, qq{INSERT INTO v VALUES ('$what', tp_encrypt('plain late', '', 'removed'))});
    try_sql($node, 'postgres', q{SELECT tp_rotate_dek('removed')});
    my $removing = begin_sql($node, 'postgres', 'BEGIN; ' . $removals->($ids[0], $late, $ids[1]) . '; COMMIT');
    ok(waits_for_lock($node, 'BEGIN; %'), "$what: it waits");
    $node->poll_query_until('postgres', q{SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)}) if $what =~ /cancelled/;
    ask($session, 'COMMIT; SELECT pg_advisory_unlock_all()');
    like(end_sql($removing), qr/^55000: DEK $late \(removed\) was not destroyed: transactions/, "$what: and destruction refuses");
    is(try_sql($node, 'postgres', statement($what)), 'plain late', "$what: no value is left without its key");
}
ask($session, "BEGIN; SAVEPOINT s; SELECT count(tp_disable_dek(id)) FROM tp_keyring WHERE name = 'removed' AND state = 'retired'; ROLLBACK TO s");
like(try_sql($node, 'postgres', q{SET lock_timeout = 50; SELECT tp_encrypt('x')}), qr/^55P03/, 'a removal that a savepoint undid keeps encryptors away to the end');
ask($session, 'ROLLBACK');

# Destroyed: its values are refused with its id and name, others go on.
is(try_sql($node, 'postgres', "SELECT tp_destroy_dek($first, 'default')"), '', 'the first one destroyed');
everywhere('destroyed', first => qr/^55000: DEK $first \(default\) is destroyed$/, second => qr/^plain second$/,
    later => qr/^plain later$/);
is(try_sql($node, 'postgres', q{SELECT count(*) FROM tp_verify_keys() WHERE NOT ok}), 0, 'tp_verify_keys finds nothing wrong');
is(try_sql($node, 'postgres', q{SELECT state, count(*) FROM tp_keyring WHERE name <> 'removed' GROUP BY 1 ORDER BY 1}),
    "active|3\ndestroyed|4\ndisabled|1\nretired|4", 'the tombstones stay');

# Locked rows of keys are no values.
like(ask($session, q{BEGIN; SELECT count(*) FROM (SELECT FROM tp_dek FOR UPDATE) AS locked; SELECT tp_disable_dek(id) FROM tp_keyring WHERE state = 'retired' LIMIT 1; ROLLBACK}),
    qr/^\d+\s*$/, 'whoever has locked rows of keys may disable one');

# No version is active: as the HINT says.
ask($session, q{SELECT tp_create_dek('none'); UPDATE tp_dek SET state = 'retired' WHERE name = 'none'});
like(ask($session, q{SELECT tp_encrypt('x', '', 'none')}), qr/^55000: /, 'no active version');
like(ask($session, q{SELECT tp_rotate_dek('none')}), qr/^\d+$/, 'the next one is made');
like(slurp_file($node->logfile), qr/"event": "rotate_dek".*"key": "none"/, 'and audited by its name');

# A lock_timeout ends the wait, and nothing has changed.
ask($session, 'BEGIN');
ask($session, q{SELECT tp_encrypt('x')});
like(try_sql($node, 'postgres', "SET lock_timeout = 50; SELECT tp_destroy_dek($second, 'default')"), qr/^55P03/,
    'lock_timeout is obeyed');
ask($session, 'COMMIT');
is(try_sql($node, 'postgres', statement('second')), 'plain second', 'and the DEK is there');
like(slurp_file($node->logfile), qr/"event": "destroy_dek".*"key_id": $first/, 'destruction is audited');

$session->quit;
$node->stop;
done_testing();
