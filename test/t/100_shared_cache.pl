# The shared cache: one login for a whole server, nothing stale or foreign, nothing left where it should be gone.
use strict;
use warnings;
use Fcntl qw(:flock);
use FindBin;
use lib "$FindBin::RealBin/../perl";
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TrustpointCluster;

if (!pkcs11_spy()) {
    die 'pkcs11-spy.so is missing (package opensc-pkcs11)' if $ENV{CI};
    plan skip_all => 'pkcs11-spy.so is not installed (package opensc-pkcs11)';
}

my $node = new_cluster('shared', conf => "shared_preload_libraries = 'trustpoint'\nrestart_after_crash = on\n");
set_up($node);
$node->safe_psql('postgres', q{CREATE TABLE secret AS
    SELECT id, tp_encrypt('secret ' || id, tp_context('secret', id::text)) AS value FROM generate_series(1, 20) id});
spy_on($node);
my $read = q{SELECT count(*) FROM secret WHERE tp_decrypt(value, tp_context('secret', id::text)) = 'secret ' || id};
my $shared = 'SELECT shared_deks FROM tp_status()';

sub read_anew { my ($database) = @_; return try_sql($node, $database // 'postgres', $read); }
sub logins { return calls_seen($node, 'C_Login'); }

# ---- one login for a server start, however many backends

for my $round (1 .. 3) {
    $node->restart;
    my $before = logins();
    my $gate = session($node);
    ask($gate, 'SELECT pg_advisory_lock(1)');
    my @jobs = map {
        my %job = (out => '', err => '');
        $job{run} = IPC::Run::start(
            [ 'psql', '-XqAt', '-d', $node->connstr('postgres'), '-c',
                "SELECT pg_advisory_lock_shared(1); $read" ],
            '<', \undef, '>', \$job{out}, '2>', \$job{err});
        \%job;
    } 1 .. 50;
    $node->poll_query_until('postgres', q{SELECT count(*) = 50 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted})
      or die 'the backends do not gather';
    ask($gate, 'SELECT pg_advisory_unlock(1)');
    $_->{run}->finish for @jobs;
    is(scalar(grep { $_->{out} =~ /^20$/m && $_->{err} eq '' } @jobs), 50, "round $round: 50 of 50 cold backends decrypt");
    is(logins() - $before, 1, "round $round: one of them logged in");
    $gate->quit;
}
is(read_anew(), 20, 'a new backend decrypts');
is($node->safe_psql('postgres', $shared), 1, 'one DEK is shared');
is($node->safe_psql('postgres', 'SELECT shared_cache AND shared_hits >= 49 FROM tp_status()'), 't', 'and was found');

# ---- the token away: new backends go on

my $tokens = token_folder($node) . '/tokens';
rename $tokens, "$tokens.away" or die $!;
is(read_anew(), 20, 'without the token a new backend decrypts');
is($node->safe_psql('postgres', 'VACUUM FULL tp_dek; ANALYZE tp_dek; ' . $read), 20, 'also after tp_dek was rewritten');
is($node->safe_psql('postgres', "SET trustpoint.dek_cache_ttl = '1h'; $read"), 20, 'within a time to live');
$node->safe_psql('postgres', 'SELECT pg_sleep(2.5)');
like(try_sql($node, 'postgres', "SET trustpoint.dek_cache_ttl = '1s'; $read"), qr/^58000/, 'but not after it');
$node->safe_psql('postgres', 'SELECT tp_forget_keys()');
is($node->safe_psql('postgres', $shared), 0, 'tp_forget_keys empties the shared cache');
like(read_anew(), qr/^58000/, 'and then the token is needed');
rename "$tokens.away", $tokens or die $!;
is(read_anew(), 20, 'well again with the token');

# ---- nothing stale

is($node->safe_psql('postgres', $shared), 1, 'the DEK is shared again');
$node->safe_psql('postgres', 'SELECT tp_rotate_dek()');
is($node->safe_psql('postgres', $shared), 0, 'a rotation empties the cache');
is(read_anew(), 20, 'and all is readable');
$node->safe_psql('postgres', q{INSERT INTO secret VALUES (21, tp_encrypt('secret 21', tp_context('secret', '21')))});
is(read_anew(), 21, 'under both versions');
is($node->safe_psql('postgres', $shared), 2, 'which are shared');
$node->safe_psql('postgres', q{BEGIN; SELECT tp_create_dek('undone'); SELECT tp_encrypt('x', '', 'undone');
    SAVEPOINT a; SELECT tp_rotate_dek('undone'); SELECT tp_encrypt('x', '', 'undone'); ROLLBACK TO a; ROLLBACK});
is($node->safe_psql('postgres', $shared), 0, 'keys that were rolled back are not shared');
is(read_anew(), 21, 'the others are found again');

for my $change ("state = 'disabled'", "check_value = sha256(check_value)", "name = 'other'",
    "wrapped = set_byte(wrapped, 5, get_byte(wrapped, 5) # 1)") {
    is(read_anew(), 21, 'all is shared');
    my $session = session($node);
    ask($session, "BEGIN; UPDATE tp_dek SET $change WHERE state = 'retired'");
    is(read_anew(), 21, "$change, not committed: others read on");
    ask($session, 'COMMIT');
    like(read_anew(), qr/^(55000|XX001)/, "$change: refused in a new backend");
    $node->safe_psql('postgres', $change =~ /state/ ? "UPDATE tp_dek SET state = 'retired' WHERE state = 'disabled'" : 'SELECT 1');
    if ($change !~ /state/) {
        $node->safe_psql('postgres', q{UPDATE tp_dek t SET (name, wrapped, check_value) = (SELECT s.name, s.wrapped, s.check_value
            FROM saved s WHERE s.id = t.id)});
    } else {
        $node->safe_psql('postgres', 'CREATE TABLE saved AS SELECT * FROM tp_dek');
    }
    is(read_anew(), 21, "$change: well again");
    $session->quit;
}

# ---- nothing foreign

is(read_anew(), 21, 'shared for this database');
$node->safe_psql('template1', 'CREATE DATABASE copy TEMPLATE postgres');
my $before = logins();
is(read_anew('copy'), 21, 'the copy of the database decrypts');
is(logins() - $before, 2, 'with keys of its own from the token');
$node->safe_psql('copy', 'SELECT tp_forget_keys()');
is($node->safe_psql('postgres', 'SELECT shared_deks FROM tp_status()'), 2, 'which it forgets alone');

# ---- a backend that dies takes the cache with it, and the setting turns it off

my $session = session($node);
my $pid = ask($session, 'SELECT pg_backend_pid()');
kill 'KILL', $pid;
$node->wait_for_log(qr/all server processes terminated; reinitializing/);
for (1 .. 600) {
    last if IPC::Run::run([ 'pg_isready', '-q', '-d', $node->connstr('postgres') ]);
    select undef, undef, undef, 0.1;
}
is($node->safe_psql('postgres', $shared), 0, 'after a crash the cache is empty');
is(read_anew(), 21, 'and serves again');
is($node->safe_psql('postgres', $shared), 2, 'as before');

# A holder of the turn that dies, or is cancelled, frees it.
$node->safe_psql('postgres', 'SELECT tp_forget_keys()');
rename $tokens, "$tokens.away" or die $!;
like(try_sql($node, 'postgres', "BEGIN; SAVEPOINT a; $read"), qr/^58000/, 'an error while the turn is held');
my $open = session($node);
ask($open, 'BEGIN');
like(ask($open, "SAVEPOINT a; $read"), qr/^58000/, 'also inside an open transaction');
ask($open, 'ROLLBACK TO a');
rename "$tokens.away", $tokens or die $!;
is(read_anew(), 21, 'leaves it free for others');
is(ask($open, $read), 21, 'and for itself');
$open->quit;

# Who waits for the turn obeys time-outs, and goes on when the holder is gone without a word.
$node->safe_psql('postgres', 'SELECT tp_forget_keys()');
open(my $turn, '+<', $node->data_dir . '/trustpoint.turn') or die $!;
flock($turn, LOCK_EX) or die $!;
like(try_sql($node, 'postgres', "SET statement_timeout = '300ms'; $read"), qr/^57014/, 'a time-out ends the wait for the turn');
my @waiting = map { begin_sql($node, 'postgres', $read) } 1 .. 3;
$node->poll_query_until('postgres', q{SELECT count(*) = 3 FROM pg_stat_activity
    WHERE query LIKE '%tp_decrypt(value%' AND wait_event_type = 'Extension'}) or die 'nobody waits';
$before = logins();
close $turn;
is(end_sql($_), 21, 'who waited goes on') for @waiting;
is(logins() - $before, 2, 'and one of them logs in for all, for each DEK');

# Whoever waits for a lock of PostgreSQL does not have the turn: the lock's holder may want it.
$node->safe_psql('postgres', 'SELECT tp_forget_keys()');
$open = session($node);
ask($open, "SET statement_timeout = '20s'; BEGIN; LOCK TABLE tp_kek IN ACCESS EXCLUSIVE MODE");
my $waiting = begin_sql($node, 'postgres', $read);
waits_for_lock($node, '%tp_decrypt(value%') or die 'nobody waits';
is(ask($open, $read), 21, 'with the table of KEKs locked, its holder decrypts');
ask($open, 'ROLLBACK');
is(end_sql($waiting), 21, 'and then the other one');
$open->quit;

# Nor for that of an index, by which a large table is read.
$node->safe_psql('postgres', 'DO $$ BEGIN FOR i IN 1 .. 300 LOOP UPDATE tp_dek SET state_changed_at = clock_timestamp(); END LOOP; END $$');
cmp_ok($node->safe_psql('postgres', q{SELECT pg_relation_size('tp_dek') / current_setting('block_size')::int}), '>', 8, 'tp_dek is large');
$node->safe_psql('postgres', 'SELECT tp_forget_keys()');
open($turn, '+<', $node->data_dir . '/trustpoint.turn') or die $!;
flock($turn, LOCK_EX) or die $!;
$waiting = begin_sql($node, 'postgres', $read);
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity
    WHERE query LIKE '%tp_decrypt(value%' AND wait_event_type = 'Extension'}) or die 'nobody waits';
$open = session($node);
ask($open, "SET statement_timeout = '20s'; BEGIN; REINDEX INDEX tp_dek_pkey");
close $turn;
select undef, undef, undef, 0.5;
is(ask($open, $read), 21, 'with an index of tp_dek locked, its holder decrypts');
ask($open, 'ROLLBACK');
is(end_sql($waiting), 21, 'and then the other one');
$open->quit;

$node->append_conf('postgresql.conf', "trustpoint.shared_dek_cache = off\n");
$node->restart;
$before = logins();
is(read_anew(), 21, "off: a backend decrypts") for 1 .. 3;
is(logins() - $before, 6, 'each by logins of its own');
is($node->safe_psql('postgres', 'SELECT shared_cache FROM tp_status()'), 'f', 'and the status says so');
unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal (?!9)/, 'nothing crashed');
$node->stop;

done_testing();
