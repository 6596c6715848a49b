# A wrong PIN reaches the token once, however many backends there are; a mended file needs no restart.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use Digest::MD5 qw(md5);
use Digest::SHA qw(sha1 sha224 sha256 sha384 sha512 hmac_sha256);
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TrustpointCluster;

if (!pkcs11_spy()) {
    die 'pkcs11-spy.so is missing (package opensc-pkcs11)' if $ENV{CI};
    plan skip_all => 'pkcs11-spy.so is not installed (package opensc-pkcs11)';
}

my $node = new_cluster('pin', conf => "wal_level = replica\nmax_wal_senders = 2\n");
set_up($node);
my $folder = token_folder($node);
my $pin    = "$folder/pin";
my $memo   = $node->data_dir . '/pg_stat_tmp/trustpoint.pin';
$node->safe_psql('postgres', q{CREATE TABLE secret AS SELECT tp_encrypt('kept') AS value});

# Every call to the token is now written down.
spy_on($node);
$node->restart;

sub logins { return calls_seen($node, 'C_Login'); }

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

my $serial = $node->safe_psql('postgres', 'SELECT serial FROM tp_hsm_slots() WHERE initialized');
my $session = $node->background_psql('postgres', on_error_stop => 0);

write_pin($pin, '9999');
my $before = logins();
my (undef, $errors) = try_at_once(20);
is(logins() - $before, 1, '20 backends at once send a wrong PIN once');
is(scalar(grep { /38000/ } @$errors), 20, 'all of them fail with SQLSTATE 38000');
is(scalar(grep { /DETAIL:.*CKR_PIN_INCORRECT/ } @$errors), 20, 'with the answer of the token');
is(scalar(grep { /refused this PIN before/ } @$errors), 19, 'all but one say that the PIN was refused before');
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
$node->stop('immediate');
$node->start;
try_at_once(2);
is(logins() - $before, 1, 'nor after a crash');

my $mode = (stat $memo)[2] & 07777;
is(sprintf('%04o', $mode), '0600', 'the memory of the refused PIN is the server\'s alone');
my $memory = slurp_file($memo);
unlike($memory, qr/9999/, 'and does not hold the PIN');
# Nor what it could be guessed from: a hash of it without a secret, alone or together with what is known.
my @hashes;
for my $text ('9999', "9999\n", "9999\0") {
    for my $known ('', softhsm_module(), pkcs11_spy(), $serial, 'tp', $pin) {
        for my $hash (\&sha1, \&sha224, \&sha256, \&sha384, \&sha512, \&md5) {
            push @hashes, map { $hash->($_) } "$text$known", "$known$text", "$text\0$known", "$known\0$text";
        }
        push @hashes, hmac_sha256($text, $known), hmac_sha256($known, $text);
    }
}
is(scalar(grep { index($memory, substr($_, 0, 8)) >= 0 } @hashes), 0, 'nor an unkeyed hash of it');
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
