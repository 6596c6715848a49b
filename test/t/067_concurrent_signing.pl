# Eight backends sign at once with three keys: no failure, and every signature verifies. Some seconds; a minute with TP_LONG.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TokenModules;
use TrustpointCluster;

my $seconds = $ENV{TP_LONG} ? 60 : 4;
my $node = module_cluster('SoftHSM', 'signing', conf => "trustpoint.audit = 'none'\n");
$node->safe_psql('postgres', q{
    SELECT tp_generate_rsa_key('key 1', 2048);
    SELECT tp_generate_ec_key('key 2');
    SELECT tp_generate_ec_key('key 3', 'secp256k1');
    CREATE UNLOGGED TABLE made (label text, data bytea, signature bytea)});

# Each transaction on its own logs in and out again, in turn with the others.
my $one = q{
\set key random(1, 3)
INSERT INTO made SELECT label, data, tp_sign(label, data)
    FROM (VALUES ('key ' || :key, decode(md5(random()::text), 'hex'))) AS v (label, data);
};
# Many signatures with one login; over digests too.
my $many = q{
\set key random(1, 3)
INSERT INTO made SELECT label, data,
        CASE n % 2 WHEN 0 THEN tp_sign(label, data)
                   ELSE tp_sign_digest(label, sha256(data), CASE :key WHEN 1 THEN 'rsa-pss-sha256' ELSE 'ecdsa-sha256' END) END
    FROM (SELECT n, 'key ' || :key AS label, decode(md5(random()::text), 'hex') AS data FROM generate_series(1, 20) AS n) AS v;
};

for my $load ([ 'a login for each signature', $one ], [ 'many signatures with a login', $many ]) {
    my ($name, $script) = @$load;
    my $file = PostgreSQL::Test::Utils::tempdir . '/script';
    open(my $out, '>', $file) or die $!;
    print $out $script;
    close $out;
    $node->safe_psql('postgres', 'TRUNCATE made');
    my ($said, $errors) = ('', '');
    my $good = IPC::Run::run([ 'pgbench', '-n', '-c', 8, '-j', 2, '-T', $seconds, '-f', $file, $node->connstr('postgres') ],
        '>', \$said, '2>', \$errors);
    ok($good && $errors !~ /ERROR|aborted/, "$name: no failure") or diag($errors);
    my ($count, $valid, $keys) = split /\|/, $node->safe_psql('postgres', q{
        WITH public AS MATERIALIZED (SELECT label, tp_public_key(label) AS pem FROM (VALUES ('key 1'), ('key 2'), ('key 3')) AS v (label))
        SELECT count(*), count(*) FILTER (WHERE tp_verify_with_public_key(pem, data, signature,
                CASE label WHEN 'key 1' THEN 'rsa-pss-sha256' ELSE 'ecdsa-sha256' END)), count(DISTINCT label)
            FROM made JOIN public USING (label)});
    cmp_ok($count, '>', 50, "$name: $count signatures in $seconds s");
    is($valid, $count, "$name: every one verifies");
    is($keys, 3, "$name: with all three keys");
}
$node->stop;
done_testing();
