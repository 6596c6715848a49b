# Backends that are killed by SIGKILL at any moment of a login do not cost the token: SoftHSM 2.6 leaves its file empty,
# and the copy beside it takes its place. TP_LONG=1 makes it 200 kills.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);
use TrustpointCluster;

my $kills = $ENV{TP_LONG} ? 200 : 20;
my $node = new_cluster('killed', conf => "restart_after_crash = on\n");
set_up($node);
$node->safe_psql('postgres', q{CREATE TABLE secret AS
    SELECT id, tp_encrypt('secret ' || id) AS value FROM generate_series(1, 10) id});
my $read = q{SELECT count(*) FROM secret WHERE tp_decrypt(value) = 'secret ' || id};

# A backend that logs in and out without end.
my $logins = q{DO $$ BEGIN FOR i IN 1..100000 LOOP PERFORM tp_hsm_login(); PERFORM tp_hsm_logout(); END LOOP; END $$};
my ($token) = glob token_folder($node) . '/tokens/*/token.object';
my ($survived, $emptied) = (0, 0);
for my $round (1 .. $kills) {
    my ($out, $err) = ('', '');
    my $log = -s $node->logfile;
    my $client = IPC::Run::start(
        [ 'psql', '-XqAt', '-d', $node->connstr('postgres'), '-c', 'SELECT pg_backend_pid()', '-c', $logins ],
        '<', \undef, '>', \$out, '2>', \$err);
    $client->pump until $out =~ /^\d+\n/;
    my ($pid) = $out =~ /^(\d+)/;
    usleep(20_000 + rand 60_000);
    kill 'KILL', $pid;
    eval { $client->finish };
    $node->wait_for_log(qr/all server processes terminated; reinitializing/, $log);
    for (1 .. 600) {
        last if IPC::Run::run([ 'pg_isready', '-q', '-d', $node->connstr('postgres') ]);
        usleep(50_000);
    }
    $emptied++ if -z $token;
    my $answer = try_sql($node, 'postgres', $read);
    if ($answer eq '10') { $survived++; }
    else                 { diag("round $round: $answer"); last; }
}
is($survived, $kills, "the token and all values survived $kills of $kills kills");
note("$emptied of them left the token's file empty");

# What a kill while a key is made leaves behind, made on purpose: a file that is empty, or has its first number alone, as the C
# library writes the rest at once. There is no key behind it.
$node->safe_psql('postgres', q{SELECT tp_generate_ec_key('signs'), tp_generate_aes_key('seals')});
my $keys = $node->safe_psql('postgres', 'SELECT * FROM tp_hsm_keys() ORDER BY 1, 2');
for my $whole (grep { $_ ne $token } glob $token =~ s/[^\/]*$/*.object/r) {
    my $bytes = slurp_file($whole, 0);
    for my $part (0, 8) {
        my $file = $whole =~ s/\.object$/-$part.object/r;
        write_pin($file, substr $bytes, 0, $part);
        write_pin($file =~ s/object$/lock/r, '');
    }
}
is($node->safe_psql('postgres', 'SELECT * FROM tp_hsm_keys() ORDER BY 1, 2'), $keys, 'files of keys that were not finished are no keys');
is($node->safe_psql('postgres', q{SELECT tp_verify('signs', 'x', tp_sign('signs', 'x'))}), 't', 'the others are found');
is($node->safe_psql('postgres', $read), 10, 'so is the KEK');
is($node->safe_psql('postgres', q{SELECT tp_generate_ec_key('made') IS NULL, tp_create_dek('made') IS NULL, tp_setup() IS NULL}), 'f|f|f', 'and keys are made');
is($node->safe_psql('postgres', q{SELECT tp_destroy_key('signs') IS NULL; SELECT count(*) FROM tp_hsm_keys() WHERE label = 'signs'}), "f\n0", 'and destroyed');

# The copy follows a change of the PIN at once: the old one opens neither.
my $folder = token_folder($node);
write_pin("$folder/new_pin", '56781234');
$node->safe_psql('postgres', "SELECT tp_hsm_change_pin('$folder/new_pin')");
is(slurp_file("$token.trustpoint"), slurp_file($token), 'the copy has the new PIN');
write_pin("$folder/pin", '56781234');
is($node->safe_psql('postgres', $read), 10, 'which opens the token');

# What a kill in the middle of a login leaves behind, with the log that tells of it.
my $before = -s $node->logfile;
truncate $token, 0 or die $!;
is($node->safe_psql('postgres', $read), 10, 'an empty token file is put back');
ok($node->log_contains(qr/LOG: .*SoftHSM had left 1 token file\(s\) empty/, $before), 'and the log says so');
truncate $token, 0 or die $!;
unlink "$token.trustpoint" or die $!;
like(try_sql($node, 'postgres', $read), qr/^(42704|58000): /, 'without the copy it is an error');
$node->stop;

done_testing();
