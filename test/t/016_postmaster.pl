# Nothing of PKCS#11 is in the postmaster, wrong settings do not keep the server from starting, and a backend that used
# the token ends as any other, with exit code 0.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TrustpointCluster;

my $node = new_cluster('postmaster', conf => "log_min_messages = debug2\n");    # which tells how backends end
set_up($node);
my $read = q{SELECT tp_decrypt(tp_encrypt('x'))};

sub postmaster_maps {
    my ($postmaster) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
    return slurp_file("/proc/$postmaster/maps");
}

# A backend that used the token and ends: by itself, and by order.
sub ends_well {
    my ($name) = @_;
    for my $end ('quit', 'pg_terminate_backend') {
        my $session = session($node);
        is(ask($session, $read), 'x', "$name: it works");
        is(ask($session, 'SELECT tp_hsm_login()'), '', "$name: and keeps a session on the token");
        my $pid = ask($session, 'SELECT pg_backend_pid()');
        like(slurp_file("/proc/$pid/maps"), qr/softhsm/, "$name: in this backend the module is loaded");
        my $before = -s $node->logfile;
        $node->safe_psql('postgres', "SELECT pg_terminate_backend($pid, 60000)") if $end ne 'quit';
        eval { $session->quit };
        my $code = $end eq 'quit' ? 0 : 1;    # PostgreSQL's own for a backend that was ordered to go
        ok($node->wait_for_log(qr/server process \(PID $pid\) exited with exit code $code\b/, $before),
            "$name, $end: it ends with exit code $code");
    }
}

unlike(postmaster_maps(), qr/trustpoint|softhsm/, 'not preloaded: the postmaster knows nothing of it');
ends_well('not preloaded');
unlike(postmaster_maps(), qr/trustpoint|softhsm/, 'not preloaded: nor does it afterwards');
is($node->safe_psql('postgres', "LOAD 'trustpoint'; SHOW trustpoint.cipher"), 'xaes-256-gcm', 'LOAD works');
unlike($node->safe_psql('postgres', "LOAD 'trustpoint'; SELECT pg_read_file('/proc/self/maps')"), qr/softhsm/,
    'and starts nothing');

$node->append_conf('postgresql.conf', "shared_preload_libraries = 'trustpoint'\n");
$node->restart;
ends_well('preloaded');
my $maps = postmaster_maps();
like($maps, qr/trustpoint\.so/, 'preloaded: the postmaster has loaded the extension');
unlike($maps, qr/softhsm/, 'preloaded: and no PKCS#11 module');
unlike($node->safe_psql('postgres', "SELECT pg_read_file('/proc/self/maps')"), qr/softhsm/,
    'preloaded: nor has a backend that used no key');

# Wrong settings, preloaded and not: the server starts, and a statement that needs the token says what is wrong.
my $folder = token_folder($node);
write_pin("$folder/text.so", 'no library');
my ($libc) = grep { -r } glob('/lib/*/libc.so.6 /lib64/libc.so.6');
$node->append_conf('postgresql.conf', "include = 'wrong.conf'\n");
for my $preload ('trustpoint', '') {
    my $name = $preload eq '' ? 'not preloaded' : 'preloaded';
    for my $wrong ([ 'a module that is not there', q{pkcs11_module = '/nowhere/at/all.so'}, qr/^58000: .*all\.so/ ],
        [ 'a module that is none', "pkcs11_module = '$folder/text.so'", qr/^58000: .*text\.so/ ],
        [ 'a library that is no module', "pkcs11_module = '$libc'", qr/^58000: .*libc/ ],
        [ 'a relative path', q{pkcs11_module = 'libsofthsm2.so'}, qr/^55000: .*absolute/ ],
        [ 'no module', q{pkcs11_module = ''}, qr/^55000: .*pkcs11_module/ ],
        [ 'a PIN file that is not there', q{pin_file = '/nowhere'}, qr/^55000: .*pin_file/ ],
        [ 'another token', q{token = 'nobody'}, qr/^42704: .*nobody/ ],
        [ 'a malformed URI', q{token = 'pkcs11:token=%zz'}, qr/^\w{5}: .*URI is not usable/ ],
        [ 'malformed environment', q{module_environment = 'no equals sign'}, qr/^55000: .*module_environment/ ],
        [ 'a cipher of nobody', q{cipher = 'rot13'}, qr/^x$/ ],
        [ 'a number that is none', q{dek_cache_ttl = 'soon'}, qr/^x$/ ],
        [ 'a setting of nobody', q{nonsense = 'x'}, qr/^x$/ ]) {
        my ($what, $setting, $answer) = @$wrong;
        open(my $conf, '>', $node->data_dir . '/wrong.conf') or die $!;
        print $conf "shared_preload_libraries = '$preload'\ntrustpoint.$setting\n";
        close $conf;
        $node->stop;
        ok($node->start(fail_ok => 1), "$name, $what: the server starts");
        like(try_sql($node, 'postgres', $read), $answer, "$name, $what: the statement tells");
        is(try_sql($node, 'postgres', 'SELECT 1'), 1, "$name, $what: others work");
    }
}
unlike(slurp_file($node->logfile), qr/terminated by signal|reinitializing|PANIC|FATAL:  (?!terminating)/,
    'no process crashed');
$node->stop;

done_testing();
