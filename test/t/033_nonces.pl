# More than a million values from several sessions at once: no nonce twice, no prefix in two transactions or processes.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TrustpointCluster;

my $node = new_cluster('nonces', conf => "fsync = off\nautovacuum = off\nmax_wal_size = '4GB'\nwork_mem = '200MB'\n"
      . "max_parallel_maintenance_workers = 0\nmax_worker_processes = 20\nmax_parallel_workers = 16\n");
set_up($node);
# Only the nonces are kept. Those of a transaction that rolls back count as well: they go to a file, which no rollback
# takes back, and are loaded into the table at the end.
$node->safe_psql('postgres', q{
    CREATE UNLOGGED TABLE made (suite text, pid int, transaction bigint, nonce bytea);
    CREATE TABLE plain AS SELECT i AS id, tp_encrypt('row ' || i) AS value FROM generate_series(1, 20000) i;
    ANALYZE plain});
my $folder = $node->basedir;

# Makes n values and writes them down outside the transaction. The id of the transaction is its virtual one: a
# transaction that fails may have no other.
sub make {
    my ($file, $values, $from) = @_;
    $from //= "generate_series(1, $values)";
    return qq{COPY (SELECT current_setting('trustpoint.cipher'), pg_backend_pid(),
        (SELECT split_part(virtualtransaction, '/', 2) FROM pg_locks
            WHERE locktype = 'virtualxid' AND pid = pg_backend_pid() LIMIT 1),
        substring(tp_encrypt('value') FROM 6 FOR
            CASE current_setting('trustpoint.cipher') WHEN 'aes-256-gcm' THEN 12 ELSE 24 END)
        FROM $from) TO PROGRAM 'cat >> $folder/$file'};
}

# One session's work: transactions with savepoints, errors, exception blocks and parallel plans between the values.
sub script {
    my ($file, $cipher, $rounds) = @_;
    my $sql = "SET trustpoint.cipher = '$cipher';
        SET max_parallel_workers_per_gather = 2; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;
        SET min_parallel_table_scan_size = 0;\n";
    my $parallel = "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) SELECT count(tp_decrypt(value)) FROM plain;\n";
    for my $round (1 .. $rounds) {
        my $plan = $round <= 3 ? $parallel : '';
        $sql .= 'BEGIN;' . make($file, 2000) . ";SAVEPOINT s;\n" . make($file, 2000) . ";ROLLBACK TO s;\n"
          . make($file, 2000) . ";\n$plan" . make($file, 2000) . ";SAVEPOINT t;\nSELECT 1 / 0;\nROLLBACK TO t;\n"
          . make($file, 2000) . ";SAVEPOINT u;\n"
          . "SELECT tp_decrypt('\\xe1'); ROLLBACK TO u;\n"
          . make($file, 2000) . ";RELEASE u;\n"
          . ($round % 2 ? 'COMMIT' : 'ROLLBACK') . ";\n";
        $sql .= 'BEGIN;' . make($file, 2000) . ";SELECT 1 / 0;\nCOMMIT;\n";    # ends in an error
        $sql .= make($file, 1000) . ";\n" for 1 .. 2;                          # a transaction each
        $sql .= make($file, 20000, 'plain WHERE tp_decrypt(value) IS NOT NULL') . ";\n" if $plan;    # above a Gather
    }
    return $sql;
}

# Four sessions at once, two with each suite; and one long transaction that must change its prefix after 2^20 values.
my %job;
for my $number (1 .. 4) {
    my $cipher = $number % 2 ? 'xaes-256-gcm' : 'aes-256-gcm';
    $job{$number} = { file => "made.$number", sql => script("made.$number", $cipher, 4) };
}
my $long = 2**20 + 5000;
$job{long} = { file => 'made.long', sql => make('made.long', $long) . ';' };
for my $job (values %job) {
    @$job{qw(in out err)} = ($job->{sql}, '', '');
    $job->{run} = IPC::Run::start([ 'psql', '-XAtq', '-v', 'VERBOSITY=sqlstate', '-d', $node->connstr('postgres'), '-f', '-' ],
        '<', \$job->{in}, '>', \$job->{out}, '2>', \$job->{err});
}
for my $name (sort keys %job) {
    my $job = $job{$name};
    $job->{run}->finish;
    my %errors;
    $errors{$1}++ while $job->{err} =~ /ERROR:  (\w{5})/g;
    is_deeply(\%errors, $name eq 'long' ? {} : { 22012 => 8, '22P03' => 4 }, "session $name: its errors, and no others");
    is(scalar(() = $job->{out} =~ /Workers Launched: [12]$/mg), $name eq 'long' ? 0 : 3, "session $name: its parallel plans");
    $node->safe_psql('postgres', "COPY made FROM '$folder/$job->{file}'");
}

is($node->safe_psql('postgres', q{SELECT count(*) >= 1000000, count(DISTINCT nonce) = count(*) FROM made}), 't|t',
    'a million values and more, no nonce twice');
is($node->safe_psql('postgres', q{SELECT suite, count(*), count(DISTINCT nonce) - count(*), count(DISTINCT pid),
        count(DISTINCT (pid, transaction)) FROM made GROUP BY suite ORDER BY suite}),
    "aes-256-gcm|248000|0|2|38\nxaes-256-gcm|" . (248000 + $long) . '|0|3|39', 'by suite: values, transactions, processes');
# An XAES nonce starts with the 12 bytes that choose its key; those of AES-GCM count from a random start.
is($node->safe_psql('postgres', q{SELECT count(*) FROM (SELECT substring(nonce FOR 12) FROM made
        WHERE suite = 'xaes-256-gcm' GROUP BY 1 HAVING count(DISTINCT (pid, transaction)) > 1) q}), '0',
    'no prefix is shared by two transactions or processes');
is($node->safe_psql('postgres', qq{SELECT string_agg(n::text, ',' ORDER BY n) FROM (SELECT count(*) AS n FROM made
        WHERE pid = (SELECT pid FROM made GROUP BY pid HAVING count(*) = $long) GROUP BY substring(nonce FOR 12)) q}),
    '5000,1048576', 'the long transaction changed its prefix after 2^20 values');
# Nothing rewinds the counter: one start for each transaction, whatever happened in between.
is($node->safe_psql('postgres', q{SELECT max(starts) FROM (SELECT count(DISTINCT substring(nonce FOR 12)) AS starts
        FROM made WHERE suite = 'xaes-256-gcm' GROUP BY pid, transaction HAVING count(*) < 100000) q}), '1',
    'one prefix for each transaction');
is($node->safe_psql('postgres', q{SELECT max(spread) FROM (SELECT max(n) - min(n) + 1 - count(*) AS spread
        FROM (SELECT pid, transaction, ('x' || encode(substring(nonce FROM length(nonce) - 6), 'hex'))::bit(56)::bigint AS n
            FROM made WHERE suite = 'aes-256-gcm') q GROUP BY pid, transaction) q}), '0',
    'AES-GCM: each transaction counts from its start without a gap');

$node->stop;
done_testing();
