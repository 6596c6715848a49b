# The server is killed at random points of rotations, KEK rotations and re-encryptions: every value stays readable, and
# each of them can be done again. TP_LONG=1: 50 points in place of 8.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);
use TrustpointCluster;

my $points = $ENV{TP_LONG} ? 50 : 8;
my $rows = 20_000;
my $node = new_cluster('crash', conf => "restart_after_crash = off\nautovacuum = off\ncheckpoint_timeout = 1h\n");
set_up($node);
$node->safe_psql('postgres', qq{CREATE TABLE secret (id int PRIMARY KEY, v bytea);
    INSERT INTO secret SELECT id, tp_encrypt('secret ' || id, tp_context('secret', id::text)) FROM generate_series(1, $rows) AS id;
    SELECT tp_create_dek('tenant'); ANALYZE secret});
my $readable = q{SELECT count(*) FROM secret WHERE tp_decrypt(v, tp_context('secret', id::text)) = 'secret ' || id};
my $reencrypt = q{CALL tp_reencrypt_column('secret', 'v', $$tp_context('secret', id::text)$$, 500)};
my %work = (
    'rotation' => [ map { ('SELECT tp_rotate_dek()', q{SELECT tp_rotate_dek('tenant')}) } 1 .. 200 ],
    'KEK rotation' => [ map { "SELECT tp_rotate_kek('kek ' || substr(md5(random()::text), 1, 20))" } 1 .. 100 ],
    're-encryption' => [ map { ('SELECT tp_rotate_dek()', $reencrypt) } 1 .. 10 ]);

for my $point (1 .. $points) {
    my $kind = (sort keys %work)[$point % 3];
    my $job = begin_sql($node, 'postgres', "SET application_name = 'work'", @{ $work{$kind} });
    $node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'work'});
    my $pause = rand(0.6);
    sleep($pause);
    my $name = sprintf '%s, killed after %.2f s', $kind, $pause;
    $node->stop('immediate');
    $job->{run}->finish;
    $node->start;
    is(try_sql($node, 'postgres', $readable), $rows, "$name: every value is readable");
    is(try_sql($node, 'postgres', 'SELECT count(*) FROM tp_verify_keys() WHERE NOT ok'), 0, "$name: every DEK opens");
    is(try_sql($node, 'postgres', q{SELECT count(*) FROM tp_keyring WHERE state = 'active'}), 2, "$name: one of each name is active");
    is(try_sql($node, 'postgres', 'SELECT count(DISTINCT kek_id) FROM tp_keyring'), 1, "$name: all are under one KEK");
}
is(try_sql($node, 'postgres', q{SELECT tp_rotate_dek() > 0}), 't', 'at the end: a rotation');
is(try_sql($node, 'postgres', q{SELECT tp_rotate_kek('last') > 0}), 't', 'a KEK rotation');
is(try_sql($node, 'postgres', $reencrypt), '', 'and a re-encryption');
is(try_sql($node, 'postgres', q{SELECT count(*) FROM tp_key_usage('secret', 'v')}), 1, 'all values are under one DEK');
is(try_sql($node, 'postgres', $readable), $rows, 'and readable');
is(scalar(grep { -z } glob(token_folder($node) . '/tokens/*/*.object')), 0, 'the token is whole');
$node->stop;
done_testing();
