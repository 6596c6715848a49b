# A wrong PIN reaches the token once, however many backends there are; a mended file needs no restart.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TrustpointCluster;

my $spy = '/usr/lib/x86_64-linux-gnu/pkcs11/pkcs11-spy.so';
($spy) = grep { -e } $spy, glob('/usr/lib/*/pkcs11/pkcs11-spy.so'), glob('/usr/lib/*/pkcs11-spy.so');
if (!defined $spy) {
    die 'pkcs11-spy.so is missing (package opensc-pkcs11)' if $ENV{CI};
    plan skip_all => 'pkcs11-spy.so is not installed (package opensc-pkcs11)';
}

my $node = new_cluster('pin', conf => "wal_level = replica\nmax_wal_senders = 2\n");
set_up($node);
my $folder = token_folder($node);
my $pin    = "$folder/pin";
my $log    = "$folder/spy.log";
my $memo   = $node->data_dir . '/pg_stat_tmp/trustpoint.pin';
$node->safe_psql('postgres', q{CREATE TABLE secret AS SELECT tp_encrypt('kept') AS value});

# Every call to the token is now written down; the spy also writes the PIN, which only a test may have.
my $module = $node->safe_psql('postgres', 'SELECT module FROM tp_hsm_info()');
$node->append_conf('postgresql.conf', <<"EOF");
trustpoint.pkcs11_module = '$spy'
trustpoint.module_environment = 'SOFTHSM2_CONF=$folder/softhsm2.conf; PKCS11SPY=$module; PKCS11SPY_OUTPUT=$log'
EOF
$node->restart;

sub logins { return scalar grep { /C_Login/ } split /\n/, (-e $log ? slurp_file($log) : ''); }

sub try_at_once {
    my ($count) = @_;
    my (@runs, @out, @err);
    for my $i (0 .. $count - 1) {
        push @runs, IPC::Run::start(
            [ 'psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-d', $node->connstr('postgres'), '-c',
              'SELECT tp_decrypt(value) FROM secret' ], '<', \undef, '>', \$out[$i], '2>', \$err[$i]);
    }
    $_->finish for @runs;
    return (\@out, \@err);
}

is($node->safe_psql('postgres', 'SELECT tp_decrypt(value) FROM secret'), 'kept', 'the right PIN works through the spy');
is(logins(), 1, 'and the spy sees the login');

my $session = $node->background_psql('postgres', on_error_stop => 0);

write_pin($pin, '9999');
my $before = logins();
my (undef, $errors) = try_at_once(20);
is(logins() - $before, 1, '20 backends at once send a wrong PIN once');
is(scalar(grep { /38000/ } @$errors), 20, 'all of them fail with SQLSTATE 38000');
is(scalar(grep { /CKR_PIN_INCORRECT/ } @$errors), 1, 'one has the answer of the token');
is(scalar(grep { /refused this PIN before/ } @$errors), 19, 'the others say that the PIN was refused before');
is(scalar(grep { /HINT/ } @$errors), 20, 'each has a hint');
is(scalar(grep { /9999/ } @$errors), 0, 'none quotes the PIN');
$session->query('SELECT tp_decrypt(value) FROM secret');
is(logins() - $before, 1, 'an open session does not send it again');

write_pin($pin, "9999\n");
try_at_once(2);
is(logins() - $before, 1, 'the same PIN in a rewritten file is not sent again');
$node->restart;
try_at_once(2);
is(logins() - $before, 1, 'nor after a restart');

my $mode = (stat $memo)[2] & 07777;
is(sprintf('%04o', $mode), '0600', 'the memory of the refused PIN is the server\'s alone');
unlike(slurp_file($memo), qr/9999/, 'and does not hold the PIN');
my $backup = PostgreSQL::Test::Utils::tempdir() . '/backup';
$node->command_ok([ 'pg_basebackup', '-D', $backup, '-c', 'fast', '-h', $node->host, '-p', $node->port ], 'a base backup');
ok(!-e "$backup/pg_stat_tmp/trustpoint.pin", 'leaves it out');

$session->quit;
$session = $node->background_psql('postgres', on_error_stop => 0);
$session->query('SELECT tp_decrypt(value) FROM secret');
write_pin($pin, TrustpointCluster::PIN);
my ($values) = try_at_once(5);
is(scalar(grep { /^kept$/m } @$values), 5, 'a mended file needs no restart');
like($session->query('SELECT tp_decrypt(value) FROM secret'), qr/kept/, 'nor a new session');
$session->quit;

sub refusal {
    my (undef, undef, $error) = $node->psql('postgres', '\set VERBOSITY verbose
SELECT tp_decrypt(value) FROM secret');
    return $error;
}
$before = logins();
write_pin($pin, TrustpointCluster::PIN, 0644);
like(refusal(), qr/55000.*open to others/s, 'a PIN file open to others is refused');
write_pin($pin, TrustpointCluster::PIN, 0640);
like(refusal(), qr/55000.*open to others/s, 'also to the group');
write_pin($pin, '');
like(refusal(), qr/55000.*empty/s, 'an empty one');
write_pin($pin, '123');
like(refusal(), qr/55000.*4 to 255 bytes/s, 'a PIN that the token could not have');
unlink $pin;
like(refusal(), qr/55000.*cannot be opened/s, 'a missing one');
mkdir $pin;
like(refusal(), qr/55000.*not a regular file/s, 'a folder');
rmdir $pin;
is(logins(), $before, 'nothing of that reached the token');
write_pin($pin, TrustpointCluster::PIN);
is($node->safe_psql('postgres', 'SELECT tp_decrypt(value) FROM secret'), 'kept', 'and all is well again');

done_testing();
