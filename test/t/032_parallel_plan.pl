# A parallel plan decrypts what a serial one does, also under a DEK that nobody else can see yet.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TrustpointCluster;

my $node = new_cluster('parallel', conf => "max_parallel_workers = 4\nmax_worker_processes = 8\nautovacuum = off\n");
set_up($node);
$node->safe_psql('postgres', q{
    CREATE TABLE v (id int, value tp_encrypted);
    INSERT INTO v SELECT i, tp_encrypt('value ' || i, tp_context('v', i::text)) FROM generate_series(1, 20000) i;
    ANALYZE v});

my $parallel = q{SET max_parallel_workers_per_gather = 2; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;
    SET min_parallel_table_scan_size = 0};
my $serial = 'SET max_parallel_workers_per_gather = 0';
my $session = session($node);

# Rows, how many are right, and a digest of all plaintexts in whatever order they come.
my $digest = q{SELECT count(*), count(*) FILTER (WHERE plain = 'value ' || id), sum(hashtextextended(plain, 0))
    FROM (SELECT id, tp_decrypt(value, tp_context('v', id::text)) AS plain FROM v OFFSET 0) q};

sub workers_launched {
    my ($query) = @_;
    my $plan = ask($session, "EXPLAIN (ANALYZE, VERBOSE, COSTS OFF, TIMING OFF, SUMMARY OFF) $query");
    return $plan =~ /Workers Launched: (\d+)/ ? $1 : "none: $plan";
}

sub same_both_ways {
    my ($name, $rows) = @_;
    ask($session, $serial);
    like(workers_launched($digest), qr/^none/, "$name: a serial plan to compare with");
    my $expected = ask($session, $digest);
    like($expected, qr/^$rows\|$rows\|/, "$name: the serial plan reads all");
    ask($session, $parallel);
    is(workers_launched($digest), 2, "$name: two workers");
    is(ask($session, $digest), $expected, "$name: the parallel plan reads the same");
    ask($session, 'SET parallel_leader_participation = off');
    is(ask($session, $digest), $expected, "$name: also when the workers do it all");
    ask($session, 'RESET parallel_leader_participation');
}

same_both_ways('one DEK', 20000);

# Values of two DEKs and two suites, mixed.
ask($session, 'SELECT tp_rotate_dek()');
ask($session, q{SET trustpoint.cipher = 'aes-256-gcm'});
ask($session, q{UPDATE v SET value = tp_rewrap(value, tp_context('v', id::text)) WHERE id % 3 = 0});
ask($session, 'RESET trustpoint.cipher');
same_both_ways('two DEKs, two suites', 20000);

# A rotation that only this transaction knows of.
ask($session, 'BEGIN');
my $uncommitted = ask($session, 'SELECT tp_rotate_dek()');
ask($session, q{INSERT INTO v SELECT i, tp_encrypt('value ' || i, tp_context('v', i::text))
    FROM generate_series(20001, 40000) i});
is(ask($session, "SELECT count(*) FROM v, tp_inspect(value) WHERE key_id = $uncommitted"), 20000,
    'written under an uncommitted DEK');
same_both_ways('a DEK not yet committed', 40000);
ask($session, 'ROLLBACK');
same_both_ways('after the rollback', 20000);

# A value that does not open fails the query from a worker too, and the session lives.
ask($session, q{UPDATE v SET value = set_byte(value, 40, get_byte(value, 40) # 1) WHERE id = 15000});
like(ask($session, $digest), qr/^22000: the value could not be authenticated/, 'a changed value in a parallel plan');
ask($session, q{UPDATE v SET value = set_byte(value, 40, get_byte(value, 40) # 1) WHERE id = 15000});
same_both_ways('put right again', 20000);

# tp_encrypt stays in the leader: above the Gather, with one nonce prefix for all values.
my $encrypt = q{SELECT tp_encrypt(tp_decrypt(value, tp_context('v', id::text))) FROM v};
my $plan = ask($session, "EXPLAIN (VERBOSE, COSTS OFF) $encrypt");
like($plan, qr/^Gather\n\s+Output: tp_encrypt/, 'the leader encrypts, in the Gather');
unlike($plan =~ s/.*?->//sr, qr/tp_encrypt/, 'and nobody below it');
is(ask($session, qq{SELECT count(*), count(DISTINCT substring(e FROM 6 FOR 24)), count(DISTINCT substring(e FROM 6 FOR 12))
    FROM ($encrypt OFFSET 0) q(e)}), '20000|20000|1', 'one process has encrypted');
is(ask($session, q{SELECT proname || ' ' || proparallel::text FROM pg_proc WHERE proname IN ('tp_encrypt', 'tp_rewrap', 'tp_decrypt',
    'tp_decrypt_bytea', 'tp_inspect') GROUP BY 1 ORDER BY 1}) =~ s/\n/ /gr,
    'tp_decrypt s tp_decrypt_bytea s tp_encrypt r tp_inspect s tp_rewrap r', 'as they are labelled');

$session->quit;
$node->stop;
done_testing();
