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
    CREATE UNLOGGED TABLE made (label text, data bytea, signature bytea, valid boolean);
    CREATE FUNCTION algorithm_of(label text) RETURNS text IMMUTABLE
        RETURN CASE label WHEN 'key 1' THEN 'rsa-pss-sha256' ELSE 'ecdsa-sha256' END;
    CREATE TABLE public AS SELECT label, tp_public_key(label) AS pem FROM (VALUES ('key 1'), ('key 2'), ('key 3')) AS v (label)});

# Each signature is verified where it was made, and those kept once more, by the public key alone.
my $insert = 'INSERT INTO made SELECT label, data, signature, tp_verify(label, data, signature, algorithm_of(label)) FROM ';
# Each transaction logs in and out again, in turn with the others.
my $one = qq{
\\set key random(1, 3)
$insert (VALUES ('key ' || :key, decode(md5(random()::text), 'hex'))) AS v (label, data), tp_sign(label, data) AS signature;
};
# Many signatures with one login; over digests too.
my $many = qq{
\\set key random(1, 3)
$insert (SELECT n, 'key ' || :key AS label, decode(md5(random()::text), 'hex') AS data FROM generate_series(1, 20) AS n) AS v,
    LATERAL (SELECT CASE n % 2 WHEN 0 THEN tp_sign(label, data)
        ELSE tp_sign_digest(label, sha256(data), algorithm_of(label)) END AS signature) AS s;
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
    my ($count, $valid, $keys) = split /\|/, $node->safe_psql('postgres',
        'SELECT count(*), count(*) FILTER (WHERE valid), count(DISTINCT label) FROM made');
    cmp_ok($count, '>', 50, "$name: $count signatures in $seconds s");
    is($valid, $count, "$name: every one verifies");
    is($keys, 3, "$name: with all three keys");
    is($node->safe_psql('postgres', q{SELECT bool_and(tp_verify_with_public_key(pem, data, signature, algorithm_of(label)))
        FROM (SELECT * FROM made ORDER BY random() LIMIT 1000) AS sample JOIN public USING (label)}),
        't', "$name: and so by the public keys alone");
}
$node->stop;
done_testing();
