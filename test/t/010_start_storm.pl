# Fifty backends that start at once on a SoftHSM2 token all decrypt, and none has to try twice: without the gate most
# of them would fail, or come through by retries.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TrustpointCluster;

my $backends = 50;
my $rounds   = 10;

if (!pkcs11_spy()) {
    die 'pkcs11-spy.so is missing (package opensc-pkcs11)' if $ENV{CI};
    plan skip_all => 'pkcs11-spy.so is not installed (package opensc-pkcs11)';
}

# All wait for one advisory lock, so that they start on the token together.
my $job = q{SELECT pg_advisory_lock_shared(1); SELECT pg_advisory_unlock_shared(1);
    SELECT count(*) FROM secret WHERE tp_decrypt(value) = 'secret ' || id;};

sub storm {
    my ($node) = @_;
    my $holder = $node->background_psql('postgres');
    $holder->query_safe('SELECT pg_advisory_lock(1)');
    my (@runs, @out, @err);
    for my $i (0 .. $backends - 1) {
        my @command = ('psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-c', $job);
        push @runs, IPC::Run::start(\@command, '<', \undef, '>', \$out[$i], '2>', \$err[$i]);
    }
    $node->poll_query_until('postgres',
        "SELECT count(*) = $backends FROM pg_locks WHERE locktype = 'advisory' AND NOT granted");
    $holder->query_safe('SELECT pg_advisory_unlock(1)');
    $holder->quit;
    my $good = 0;
    for my $i (0 .. $backends - 1) {
        $runs[$i]->finish;
        if ($out[$i] =~ /^10$/m && $err[$i] eq '') { $good++; }
        else                                        { diag($err[$i]); }
    }
    return $good;
}

for my $preload ('', 'trustpoint') {
    my $name = $preload eq '' ? 'plain' : 'preloaded';
    # Without the shared cache, so that every backend logs in: 100_shared_cache.pl has it.
    my $node = new_cluster($name,
        conf => "shared_preload_libraries = '$preload'\ntrustpoint.shared_dek_cache = off\n");
    set_up($node);
    $node->safe_psql('postgres', q{CREATE TABLE secret AS SELECT id, tp_encrypt('secret ' || id) AS value
        FROM generate_series(1, 10) id});
    for my $round (1 .. $rounds) {
        is(storm($node), $backends, "$name, round $round: $backends of $backends backends decrypt");
    }
    # A start that disturbed another would be covered up by the retries, so the calls are counted.
    spy_on($node);
    $node->restart;
    is(storm($node), $backends, "$name, watched: $backends of $backends backends decrypt");
    is(calls_seen($node, $_), $backends, "$name, watched: each called $_ once") for qw(C_Initialize C_Login);
    unlike(slurp_file($node->logfile), qr/terminated by signal|PANIC/, "$name: no backend died");
    $node->stop;
}

done_testing();
