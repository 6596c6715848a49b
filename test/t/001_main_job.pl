# The main job on a real server: encrypt, decrypt, in another session, after a restart.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TrustpointCluster;

my $node = new_cluster('main');
my $id = set_up($node);
like($id, qr/^\d+$/, 'tp_setup returns the id of the DEK');
is($node->safe_psql('postgres', 'SELECT tp_setup()'), $id, 'tp_setup again changes nothing');

$node->safe_psql('postgres', q{CREATE TABLE secret (id int PRIMARY KEY, value tp_encrypted);
    INSERT INTO secret SELECT i, tp_encrypt('secret ' || i, tp_context('secret', 'value', i::text))
    FROM generate_series(1, 100) i});
my $read = q{SELECT count(*) FROM secret WHERE tp_decrypt(value, tp_context('secret', 'value', id::text)) = 'secret ' || id};
is($node->safe_psql('postgres', $read), '100', 'another session reads all values');
$node->restart;
is($node->safe_psql('postgres', $read), '100', 'and so does a session after a restart');

done_testing();
