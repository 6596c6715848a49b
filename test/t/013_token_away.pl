# The token goes away: who has the DEK goes on, who has not gets a clear error and gets well when the token is back.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TrustpointCluster;

my $read = 'SELECT tp_decrypt(value) FROM secret';

sub refusal {
    my ($node) = @_;
    my (undef, undef, $error) = $node->psql('postgres', "\\set VERBOSITY verbose\n$read");
    return $error;
}

my $node   = new_cluster('away');
my $folder = token_folder($node);
set_up($node);
$node->safe_psql('postgres', q{CREATE TABLE secret AS SELECT tp_encrypt('kept') AS value});

my $cached = $node->background_psql('postgres', on_error_stop => 0);
is($cached->query_safe($read), 'kept', 'a session caches the DEK');
my $cold = $node->background_psql('postgres', on_error_stop => 0);
$cold->query_safe('SELECT 1');

rename("$folder/tokens", "$folder/gone") or die $!;

is($cached->query_safe($read), 'kept', 'it goes on when the token is gone');
$node->safe_psql('postgres', 'VACUUM tp_dek');
is($cached->query_safe($read), 'kept', 'also after a VACUUM of tp_dek');
$node->safe_psql('postgres', 'ANALYZE tp_dek');
is($cached->query_safe($read), 'kept', 'and an ANALYZE');
# More invalidations than the shared queue holds: the session is told to forget everything.
$node->safe_psql('postgres', q{DO $$ BEGIN
    FOR i IN 1 .. 3000 LOOP
        EXECUTE format('CREATE TABLE junk_%s (a int)', i);
        EXECUTE format('DROP TABLE junk_%s', i);
        COMMIT;
    END LOOP; END $$});
is($cached->query_safe($read), 'kept', 'and when the queue of invalidations has overflowed');
is($cached->query_safe(q{SELECT tp_decrypt(tp_encrypt('new'))}), 'new', 'it also encrypts');

like(refusal($node), qr/58000|42704/, 'a new session gets an error');
unlike(refusal($node), qr/kept/, 'without data');
$cold->query($read);
isnt($cold->{stderr}, '', 'so does a session that had not used the token');
$cold->{stderr} = '';

rename("$folder/gone", "$folder/tokens") or die $!;
is($cold->query_safe($read), 'kept', 'the same session gets well when the token is back');
is($node->safe_psql('postgres', $read), 'kept', 'and so does a new one');

# tp_verify_keys is asked for the token itself.
rename("$folder/tokens", "$folder/gone") or die $!;
my (undef, undef, $error) = $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT * FROM tp_verify_keys()");
like($error, qr/58000|42704/, 'tp_verify_keys needs the token');
my $verify = $cached->query('SELECT count(*) FROM tp_verify_keys()');
isnt($cached->{stderr}, '', 'also in a session that has the DEK cached');
$cached->{stderr} = '';
rename("$folder/gone", "$folder/tokens") or die $!;
is($cached->query_safe('SELECT bool_and(ok) FROM tp_verify_keys()'), 't', 'and finds it again');
$_->quit for $cached, $cold;

# A token in another process, as a network HSM is.
my ($client) = grep { -e } glob('/usr/lib/*/pkcs11/p11-kit-client.so');
SKIP: {
    if (!defined $client || !-x '/usr/bin/p11-kit' || !glob('/usr/libexec/p11-kit/p11-kit-server /usr/lib/*/p11-kit/p11-kit-server')) {
        die 'p11-kit is missing (packages p11-kit, p11-kit-modules)' if $ENV{CI};
        skip 'p11-kit is not installed (packages p11-kit, p11-kit-modules)', 4;
    }
    my $module = $node->safe_psql('postgres', 'SELECT module FROM tp_hsm_info()');
    my $socket = PostgreSQL::Test::Utils::tempdir_short() . '/hsm';
    local $ENV{SOFTHSM2_CONF} = softhsm_conf($node);
    my $start = sub {
        unlink $socket;
        my @command = ('p11-kit', 'server', '-f', '--provider', $module, '-n', $socket, 'pkcs11:token=tp');
        my $server = IPC::Run::start(\@command, '<', \undef, '>', \my $out, '2>', \my $err);
        for (1 .. 100) { last if -S $socket; select undef, undef, undef, 0.1; }
        return $server;
    };
    my $server = $start->();
    # The remote end lacks key wrapping, so this database's KEK, made by the local module, cannot serve there.
    my $remote = new_cluster('remote', conf => "trustpoint.pkcs11_module = '$client'\n"
          . "trustpoint.module_environment = 'P11_KIT_SERVER_ADDRESS=unix:path=$socket'\n"
          . "trustpoint.kek_label = 'remote-kek'\ntrustpoint.token = 'tp'\n");
    $remote->safe_psql('postgres', 'CREATE EXTENSION trustpoint; SELECT tp_setup()');
    $remote->safe_psql('postgres', q{CREATE TABLE secret AS SELECT tp_encrypt('kept') AS value});
    is($remote->safe_psql('postgres', $read), 'kept', 'a token behind a socket works, with single-block wrapping');
    my $session = $remote->background_psql('postgres', on_error_stop => 0);
    is($session->query_safe('SELECT bool_and(ok) FROM tp_verify_keys()'), 't', 'a session has used it');
    $server->kill_kill;
    like(refusal($remote), qr/58000/, 'its server killed: SQLSTATE 58000');
    $server = $start->();
    is($session->query_safe('SELECT bool_and(ok) FROM tp_verify_keys()'), 't', 'the session gets well when it is back');
    $session->quit;
    $remote->stop;
    $server->kill_kill;
}

done_testing();
