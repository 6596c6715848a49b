# A statement that waits for the start gate can be cancelled, obeys its time-out, and ends with the server.
use strict;
use warnings;
use Fcntl qw(:flock);
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use TrustpointCluster;

my $node = new_cluster('gate');
set_up($node);
$node->safe_psql('postgres', q{CREATE TABLE secret AS SELECT tp_encrypt('kept') AS value});
my $read = 'SELECT tp_decrypt(value) FROM secret';

open(my $gate, '+<', $node->data_dir . '/trustpoint.gate') or die $!;
sub hold { flock($gate, LOCK_EX) or die $! }
sub free { flock($gate, LOCK_UN) or die $! }

hold();
my $begin = time;
my (undef, undef, $error) = $node->psql('postgres', "SET statement_timeout = '500ms'; $read",
    timeout => 60, timed_out => \my $late);
like($error, qr/statement timeout/, 'statement_timeout ends the wait');
cmp_ok(time - $begin, '<', 10, 'in time');

# In a session that waits: what pg_cancel_backend and pg_terminate_backend do.
sub waiting {
    my $session = $node->background_psql('postgres', on_error_stop => 0);
    my $pid = $session->query_safe('SELECT pg_backend_pid()');
    $session->query_until(qr/started/, "\\echo started\n$read;\n");
    $node->poll_query_until('postgres',
        "SELECT wait_event_type = 'Extension' FROM pg_stat_activity WHERE pid = $pid") or die 'does not wait';
    return ($session, $pid);
}
my ($session, $pid) = waiting();
$node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
ok($node->poll_query_until('postgres', "SELECT state = 'idle' FROM pg_stat_activity WHERE pid = $pid"),
    'pg_cancel_backend ends the wait, and the session lives');
free();
like($session->query($read), qr/kept/, 'which then decrypts');
$session->quit;

hold();
($session, $pid) = waiting();
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid"),
    'pg_terminate_backend ends the session');
eval { $session->quit };

# A holder that dies frees the gate: here a process that took it and is killed.
free();
my $holder = fork() // die $!;
if ($holder == 0) {
    open(my $own, '+<', $node->data_dir . '/trustpoint.gate') or die $!;
    flock($own, LOCK_EX);
    sleep 600;
    POSIX::_exit(0);
}
for (1 .. 100) { last unless flock($gate, LOCK_EX | LOCK_NB); free(); select undef, undef, undef, 0.05; }
kill 'KILL', $holder;
waitpid $holder, 0;
is($node->safe_psql('postgres', $read), 'kept', 'a holder that dies frees the gate');

hold();
($session, $pid) = waiting();
$begin = time;
$node->stop('fast');
cmp_ok(time - $begin, '<', 10, 'a fast shutdown does not wait for the gate');
eval { $session->quit };
free();

done_testing();
