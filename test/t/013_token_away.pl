# The token goes away: who has the DEK goes on, who has not gets a clear error and gets well when the token is back.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TrustpointCluster;

my $read = 'SELECT tp_decrypt(value) FROM secret';
my $node = new_cluster('away');
my $folder = token_folder($node);
set_up($node);
$node->safe_psql('postgres', q{CREATE TABLE secret AS SELECT tp_encrypt('kept') AS value});

# What is taken away: the folder of all tokens, and the one token in it.
my ($token) = glob "$folder/tokens/*";
for my $away ([ 'the folder of tokens', "$folder/tokens",
        qr/^58000: the PKCS#11 module could not be initialised/, qr/^58000: / ],
    [ 'the token', $token,
        qr/^42704: the module does not show an initialised token/, qr/^58000: the token "tp" is not present/ ]) {
    my ($name, $path, $to_new, $to_used) = @$away;
    my ($cached, $used, $cold) = map { session($node) } 1 .. 3;
    is(ask($_, $read), 'kept', "$name: a session decrypts") for $cached, $used;
    ask($cold, 'SELECT 1');
    rename($path, "$folder/gone") or die $!;

    is(ask($cached, $read), 'kept', "$name is gone: who has the DEK goes on");
    $node->safe_psql('postgres', 'VACUUM tp_dek');
    is(ask($cached, $read), 'kept', "$name is gone: also after a VACUUM of tp_dek");
    $node->safe_psql('postgres', 'ANALYZE tp_dek');
    is(ask($cached, $read), 'kept', "$name is gone: and an ANALYZE");
    # More invalidations than the shared queue holds, and a session that cannot keep up: it must forget everything.
    my $pid = ask($cached, 'SELECT pg_backend_pid()');
    kill 'STOP', $pid;
    $node->safe_psql('postgres', q{DO $$ BEGIN
        FOR i IN 1 .. 2000 LOOP
            CREATE TABLE junk (a int);
            DROP TABLE junk;
            COMMIT;
        END LOOP; END $$});
    kill 'CONT', $pid;
    is(ask($cached, $read), 'kept', "$name is gone: and when the queue of invalidations has overflowed");
    is(ask($cached, q{SELECT tp_decrypt(tp_encrypt('new'))}), 'new', "$name is gone: it also encrypts");

    my ($answer, $errors) = answer_and_errors($node, 'postgres', $read);
    like($answer, $to_new, "$name is gone: a new session gets a clear error");
    like($errors, qr/^HINT:  Check /m, "$name is gone: with a hint");
    like(ask($cold, $read), $to_new, "$name is gone: so does one that had not used the token");
    is(ask($used, 'SELECT tp_forget_keys()'), 1, "$name is gone: a session forgets its keys");
    like(ask($used, $read), $to_used, "$name is gone: it gets a clear error too");
    like(ask($cached, 'SELECT count(*) FROM tp_verify_keys() WHERE ok'), qr/^58000|^0$/,
        "$name is gone: tp_verify_keys asks the token itself");
    is(ask($cached, $read), 'kept', "$name is gone: and costs nobody the DEK");

    rename("$folder/gone", $path) or die $!;
    is(ask($_, $read), 'kept', "$name is back: the same session gets well") for $cold, $used, $cached;
    is(try_sql($node, 'postgres', $read), 'kept', "$name is back: and so does a new one");
    is(ask($cached, 'SELECT bool_and(ok) FROM tp_verify_keys()'), 't', "$name is back: tp_verify_keys finds it again");
    $_->quit for $cached, $used, $cold;
}

# A token in another process, as a network HSM is.
sub children {
    my ($parent) = @_;
    return map { m{/proc/(\d+)/} } grep { my $stat = eval { slurp_file($_) } // ''; $stat =~ /^\d+ \(.*\) \S $parent / }
      glob '/proc/[0-9]*/stat';
}

my ($client) = grep { -e } glob('/usr/lib/*/pkcs11/p11-kit-client.so');
SKIP: {
    if (!$client || !grep { -x } glob('/usr/libexec/p11-kit/p11-kit-server /usr/lib/*/p11-kit/p11-kit-server')) {
        die 'p11-kit is missing (packages p11-kit, p11-kit-modules)' if $ENV{CI};
        skip 'p11-kit is not installed (packages p11-kit, p11-kit-modules)', 1;
    }
    my $socket = PostgreSQL::Test::Utils::tempdir_short() . '/hsm';
    local $ENV{SOFTHSM2_CONF} = softhsm_conf($node);
    my $server;
    my $start = sub {
        unlink $socket;
        my @command = ('p11-kit', 'server', '-f', '--provider', softhsm_module(), '-n', $socket, 'pkcs11:token=tp');
        $server = IPC::Run::start(\@command, '<', \undef, '>', \my $out, '2>', \my $err);
        for (1 .. 300) { last if -S $socket; select undef, undef, undef, 0.1; }
        -S $socket or die "p11-kit server does not start: $err";
    };
    # It has a process for each client, and they outlive it.
    my $stop = sub {
        my ($pid) = map { $_->{PID} } @{ $server->{KIDS} };
        kill 'KILL', children($pid);
        $server->kill_kill;
    };
    $start->();
    # The remote end lacks key wrapping, so this database's KEK, made by the local module, cannot serve there.
    my $remote = new_cluster('remote', conf => "trustpoint.pkcs11_module = '$client'\n"
          . "trustpoint.module_environment = 'P11_KIT_SERVER_ADDRESS=unix:path=$socket'\n"
          . "trustpoint.kek_label = 'remote-kek'\ntrustpoint.token = 'tp'\n");
    $remote->safe_psql('postgres', 'CREATE EXTENSION trustpoint; SELECT tp_setup()');
    $remote->safe_psql('postgres', q{CREATE TABLE secret AS SELECT tp_encrypt('kept') AS value});
    is($remote->safe_psql('postgres', $read), 'kept', 'a token behind a socket works');
    is($remote->safe_psql('postgres', 'SELECT use FROM tp_kek'), 'encrypt', 'with single-block wrapping');
    my ($cached, $used, $kept) = map { session($remote) } 1 .. 3;
    is(ask($_, $read), 'kept', 'a session has used it') for $cached, $used, $kept;
    ask($kept, 'SELECT tp_hsm_login()');
    ask($_, 'SELECT tp_forget_keys()') for $used, $kept;

    $stop->();
    like(try_sql($remote, 'postgres', $read), qr/^58000: /, 'its server killed: SQLSTATE 58000');
    like(ask($used, $read), qr/^58000: /, 'also in a session that has used it');
    like(ask($kept, $read), qr/^58000: /, 'also in one that kept its login');
    is(ask($cached, $read), 'kept', 'and who has the DEK goes on');

    $start->();
    is(ask($_, $read), 'kept', 'a session gets well when it is back') for $used, $kept;
    is(try_sql($remote, 'postgres', $read), 'kept', 'and so does a new one');
    is(ask($cached, 'SELECT bool_and(ok) FROM tp_verify_keys()'), 't', 'and the keys are whole');

    # Killed and back between two statements: one new login, and no error.
    $stop->();
    $start->();
    ask($_, 'SELECT tp_forget_keys()') for $used, $kept;
    is(ask($_, $read), 'kept', 'a session notices nothing of a restart between two statements') for $used, $kept;
    $_->quit for $cached, $used, $kept;
    $remote->stop;
    $stop->();
}

done_testing();
