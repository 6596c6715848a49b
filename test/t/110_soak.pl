# Mixed load on two servers while harm is done to them: one has its backends killed by SIGKILL and is stopped at once, the
# other's token goes away again and again. No wrong answer, no lost value, no error without an excuse, no memory that
# grows, tokens intact. TP_SOAK: how many seconds, two minutes unless given; `make soak` is half an hour.
# The clients, and what they may be told, are in test/soak.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time usleep);
use TokenModules;
use TrustpointCluster;

my $seconds = $ENV{TP_SOAK} || 120;
if (!p11_kit_client() || !-x '/usr/bin/p11-kit') {
    die 'p11-kit is missing (packages p11-kit, p11-kit-modules)' if $ENV{CI};
    plan skip_all => 'p11-kit is not installed (packages p11-kit, p11-kit-modules)';
}

my $conf = "shared_preload_libraries = 'trustpoint'\nlog_checkpoints = off\nlog_statement = none\n";
my %server;
$server{killed}{node} = module_cluster('SoftHSM', 'killed', conf => $conf . "restart_after_crash = on\n");
@{ $server{away} }{qw(node p11_kit)} = module_cluster('p11-kit client', 'away', conf => $conf);
for my $name (sort keys %server) {
    my $server = $server{$name};
    my $node = $server->{node};
    $server->{folder} = token_folder($node);
    $node->safe_psql('postgres', q{
        SELECT tp_create_dek('tenant'), tp_create_dek('default', 'index'), tp_generate_ec_key('signer');
        CREATE TABLE secret (id int PRIMARY KEY, version int NOT NULL, value tp_encrypted NOT NULL, lookup bytea UNIQUE)});
    append_to_file($server->{trouble} = "$server->{folder}/trouble", '');
    $server->{size} = -s token_object($server);
    my @arguments = ('python3', '-B', "$FindBin::RealBin/../soak/clients.py", 'run', $node->connstr('postgres'),
        $server->{trouble}, $server->{result} = "$server->{folder}/result", $name eq 'away' ? 'token-away' : ());
    $server->{clients} = IPC::Run::start(\@arguments, '<', \undef, '>', \$server->{out}, '2>', \$server->{err});
}

sub token_object { my ($found) = glob "$_[0]{folder}/tokens/*/token.object"; return $found; }

# Harm, and the time in which it excuses an error.
sub harm {
    my ($server, $name, $code) = @_;
    append_to_file($server->{trouble}, 'x');
    $server->{harm}{$name} += $code->($server->{node});
    append_to_file($server->{trouble}, 'x');
}

sub ready {
    my ($node) = @_;
    for (1 .. 1200) {
        return if IPC::Run::run([ 'pg_isready', '-q', '-d', $node->connstr('postgres') ]);
        usleep(50_000);
    }
    die 'the server does not come back';
}

sub kill_a_backend {
    my ($node) = @_;
    my $before = -s $node->logfile;
    my ($pid) = split /\n/, try_sql($node, 'postgres',
        q{SELECT pid FROM pg_stat_activity WHERE application_name = 'soak' ORDER BY state = 'active' DESC, random()});
    return 0 unless ($pid // '') =~ /^\d+$/ && kill 'KILL', $pid;
    # It may have been at its end already: the postmaster takes it away, and has logged how it ended.
    usleep(10_000) while kill 0, $pid;
    sleep(0.5);
    return 0 unless $node->log_contains(qr/PID $pid\) was terminated by signal 9/, $before);
    $node->wait_for_log(qr/all server processes terminated; reinitializing/, $before);
    ready($node);
    return 1;
}

sub stop_at_once {
    my ($node) = @_;
    $node->stop('immediate');
    $node->start;
    ready($node);
    return 1;
}

# The token's server dies, and not its disk: SoftHSM in another process has no guard of ours against a death within
# C_Login, which empties the token. So it dies at a moment when the file is whole.
sub token_outage {
    my $away = $server{away};
    while (1) {
        kill '-STOP', $away->{p11_kit};
        usleep(2_000);
        last if (-s token_object($away) // 0) == $away->{size};
        kill '-CONT', $away->{p11_kit};
        usleep(rand 1_000);
    }
    stop_p11_kit($away->{p11_kit});
    sleep(rand 2);
    $away->{p11_kit} = start_p11_kit($away->{folder});
    return 1;
}

# The memory of its own of each backend that lives on, in kB: the first time it is asked for, and the last.
my %memory;

sub sample_memory {
    my $backends = $server{away}{node}->safe_psql('postgres',
        q{SELECT pid FROM pg_stat_activity WHERE application_name = 'soak' AND now() - backend_start > interval '10 s'});
    for my $pid (split /\n/, $backends) {
        my ($kb) = slurp_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+)/m;
        push @{ $memory{$pid} }, $kb;
    }
}

# Which names are there, or not, against what the clients know of them: name => [ what may be so ].
sub unknown {
    my ($truth, @there) = @_;
    my %there = map { $_ => 1 } @there;
    my @odd = grep { !exists $truth->{$_} } @there;
    for my $name (keys %$truth) {
        push @odd, $name unless grep { !!$_ == !!$there{$name} } @{ $truth->{$name} };
    }
    return join ' ', sort @odd;
}

sub labels_in_token {
    my ($node, $type) = @_;
    my @labels = sort(pkcs11_tool($node, '--list-objects', '--type', $type) =~ /^  label: +(.*\S)/mg);
    return @labels;
}

my $end = time + $seconds;
my $warm = time + $seconds / 4;
while (time < $end) {
    sleep(1 + rand 3);
    my $turn = rand;
    if    ($turn < 0.4) { harm($server{killed}, 'backends killed', \&kill_a_backend); }
    elsif ($turn < 0.6) { harm($server{killed}, 'immediate stops', \&stop_at_once); }
    else                { harm($server{away}, 'token outages', \&token_outage); }
    sample_memory() if time > $warm;
    $_->{clients}->pump_nb for values %server;
    last if grep { !$_->{clients}->pumpable } values %server;
}
sleep(3);

# ---- what the clients say, and then the servers after a restart

for my $name (sort keys %server) {
    my $server = $server{$name};
    my ($node, $folder) = @$server{qw(node folder)};
    $server->{clients}->signal('TERM');
    ok($server->{clients}->finish, "$name: the clients ran to the end") or diag($server->{err});
    my $result = decode_json(slurp_file($server->{result}));
    my @failures = @{ $result->{failures} };
    is(scalar(@failures), 0, "$name: no wrong answer, and no error without an excuse");
    diag($_) for splice @failures, 0, 20;
    my %count = (%{ $result->{counts} }, %{ $server->{harm} });
    note("$name: ", join ', ', map { "$count{$_} $_" } sort keys %count);
    my @never = grep { !$count{$_} } 'connections', 'commits', 'encrypted', 'decrypted', 'signed', 're-encrypted', 'DEKs rotated',
      'DEKs destroyed', 'KEKs made', 'KEKs destroyed', 'keys made', 'keys destroyed',
      $name eq 'away' ? ('token outages') : ('backends killed', 'immediate stops', 'connection lost');
    is("@never", '', "$name: everything was done");

    $node->restart;
    my ($out, $err);
    IPC::Run::run([ 'python3', '-B', "$FindBin::RealBin/../soak/clients.py", 'check', $node->connstr('postgres'),
            $server->{result} ], '>', \$out, '2>', \$err);
    is($out . $err, '', "$name: every value is the last that was committed, and no row too many");
    is($node->safe_psql('postgres', q{SELECT count(*) FROM tp_verify_keys() WHERE NOT ok}), 0, "$name: every DEK opens");

    # The token: a change of keys settles what was left undone, and then it holds what the clients know of, and no more.
    is($node->safe_psql('postgres', q{SELECT tp_verify('signer', 'x', tp_sign('signer', 'x'))}), 't', "$name: the token signs");
    $node->safe_psql('postgres', q{SELECT tp_destroy_key('signer')});
    my @keys = split /\n/, $node->safe_psql('postgres', 'SELECT label FROM tp_token_key');
    is(unknown($result->{keys}, @keys), '', "$name: the keys are those that were committed");
    is(join(' ', labels_in_token($node, 'privkey')), join(' ', sort @keys), "$name: the token has them and no other");
    is(unknown({ 'trustpoint-pg-kek' => [1], %{ $result->{keks} } }, labels_in_token($node, 'secrkey')), '',
        "$name: and the KEKs that were made and not destroyed");
    isnt(-s token_object($server), 0, "$name: the token's file is not empty");
    unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal (?!9)|TRAP/, "$name: nothing crashed by itself");
    $node->stop;
}

my @grown = grep { $memory{$_}[-1] - $memory{$_}[0] > 1024 } grep { @{ $memory{$_} } > 1 } keys %memory;
my @lived = grep { @{ $memory{$_} } > 3 } keys %memory;
note('memory of backends in kB: ', join ', ', map { "$memory{$_}[0] to $memory{$_}[-1]" } @lived);
cmp_ok(scalar(@lived), '>=', 5, 'the backends of one server lived on');
SKIP: {
    skip 'a sanitizer keeps what was freed', 1 if $ENV{SANITIZE};
    is(join(', ', map { "@{ $memory{$_} }" } @grown), '', 'and their memory has not grown');
}
stop_p11_kit($server{away}{p11_kit});

done_testing();
