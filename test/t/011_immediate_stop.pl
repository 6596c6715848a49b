# An immediate stop in the middle of logins does not destroy the token: SoftHSM empties a token whose login is killed.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);
use TrustpointCluster;

my $node = new_cluster('stopped', conf => "restart_after_crash = off\n");
set_up($node);
$node->safe_psql('postgres', q{CREATE TABLE secret AS SELECT tp_encrypt('kept') AS value; CHECKPOINT});
my $script = $node->basedir . '/login.sql';
append_to_file($script, "SELECT tp_decrypt(value) FROM secret;\n");

my $survived = 0;
for my $round (1 .. 20) {
    # Each connection of pgbench -C logs in to the token anew.
    my ($out, $err) = ('', '');
    my $clients = IPC::Run::start(
        [ 'pgbench', '-n', '-C', '-c', '4', '-T', '30', '-f', $script, '-h', $node->host, '-p', $node->port, 'postgres' ],
        '<', \undef, '>', \$out, '2>', \$err);
    sleep(0.2 + rand(0.2));
    $node->stop('immediate');
    $clients->finish;
    $node->start;
    my $answer = try_sql($node, 'postgres', 'SELECT tp_decrypt(value) FROM secret');
    if ($answer eq 'kept') { $survived++; }
    else                   { diag("round $round: $answer"); last; }
}
is($survived, 20, 'the token survived 20 of 20 immediate stops');

my @empty = grep { -z } glob(token_folder($node) . '/tokens/*/*.object');
is(scalar @empty, 0, 'no file of the token is empty');

done_testing();
