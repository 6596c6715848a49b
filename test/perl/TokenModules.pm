# The PKCS#11 modules that tests run on: each a server with a token of its own, already initialised.
package TokenModules;

use strict;
use warnings;
use Exporter 'import';
use IPC::Run;
use Time::HiRes qw(usleep);
use PostgreSQL::Test::Utils;
use TrustpointCluster;

our @EXPORT = qw(modules_here module_cluster start_p11_kit stop_p11_kit p11_kit_client);

my %running;  # servers of p11-kit, in groups of their own: they must not outlive a test that dies
END { local $?; kill '-KILL', keys %running; }

my $multiarch = '/usr/lib/*-linux-gnu*';

sub first_readable { my ($found) = grep { -r } map { glob } @_; return $found; }
sub p11_kit_client { return first_readable("$multiarch/pkcs11/p11-kit-client.so"); }
sub opencryptoki { return first_readable("$multiarch/pkcs11/libopencryptoki.so", "$multiarch/opencryptoki/libopencryptoki.so"); }
sub softokn { return first_readable("$multiarch/libsoftokn3.so", "$multiarch/nss/libsoftokn3.so"); }

# The modules that can be used here. test/setup starts opencryptoki's daemon, where it may. In CI none may be missing.
sub modules_here {
    my %usable = (
        'SoftHSM' => 1,
        'opencryptoki' => opencryptoki() && $ENV{OPENCRYPTOKI},
        'p11-kit client' => p11_kit_client() && -x '/usr/bin/p11-kit',
        'NSS softokn' => softokn() && -x '/usr/bin/certutil');
    my @missing = sort grep { !$usable{$_} } keys %usable;
    die "cannot be used: @missing" if @missing && $ENV{CI};
    return sort grep { $usable{$_} } keys %usable;
}

# Starts a server of p11-kit, in a process group of its own, that gives out the token "tp" of a folder.
sub start_p11_kit {
    my ($folder) = @_;
    my $socket = "$folder/p11-kit";
    unlink $socket;
    my $pid = fork // die $!;
    if ($pid == 0) {
        setpgrp;
        $ENV{SOFTHSM2_CONF} = "$folder/softhsm2.conf";
        open(STDOUT, '>', "$folder/p11-kit.log");
        open(STDERR, '>&', \*STDOUT);
        exec 'p11-kit', 'server', '--foreground', '--provider', softhsm_module(), '-n', $socket, 'pkcs11:token=tp';
    }
    $running{$pid} = 1;
    for (1 .. 100) { last if -S $socket; usleep(50_000); }
    die 'p11-kit server did not start' unless -S $socket;
    return $pid;
}

sub stop_p11_kit {
    my ($pid) = @_;
    kill '-KILL', $pid;
    delete $running{$pid};
    waitpid $pid, 0;
}

sub settings_of {
    my ($module, $folder) = @_;
    if ($module eq 'opencryptoki') {
        # The SO PIN of a new token, and at most eight digits.
        write_pin("$folder/so_pin", '87654321');
        write_pin("$folder/pin", '12345678');
        return "trustpoint.pkcs11_module = '" . opencryptoki() . "'\ntrustpoint.module_environment = ''\n";
    }
    if ($module eq 'p11-kit client') {
        return "trustpoint.pkcs11_module = '" . p11_kit_client() . "'\n"
          . "trustpoint.module_environment = 'P11_KIT_SERVER_ADDRESS=unix:path=$folder/p11-kit'\n";
    }
    if ($module eq 'NSS softokn') {
        mkdir "$folder/nss" or die $!;
        write_pin("$folder/pin", "1234567890\n");
        my ($out, $errors) = ('', '');
        IPC::Run::run([ 'certutil', '-N', '-d', "sql:$folder/nss", '-f', "$folder/pin" ], '>', \$out, '2>', \$errors)
          or die "certutil: $errors";
        return "trustpoint.pkcs11_module = '" . softokn() . "'\ntrustpoint.module_environment = ''\n"
          . "trustpoint.token = 'NSS Certificate DB'\n"
          . "trustpoint.module_init_args = 'configdir=''sql:$folder/nss'' certPrefix='''' keyPrefix='''' secmod=''secmod.db'' flags='\n";
    }
    return '';
}

# A running server on the module, its token initialised and trustpoint set up; and the pid of the helper to stop_p11_kit.
sub module_cluster {
    my ($module, $name, %option) = @_;
    my $node = new_cluster($name, start => 0, conf => $option{conf});
    my $folder = token_folder($node);
    my $helper;
    if ($module eq 'p11-kit client') {
        local $ENV{SOFTHSM2_CONF} = "$folder/softhsm2.conf";
        IPC::Run::run([ 'softhsm2-util', '--init-token', '--free', '--label', 'tp', '--pin', '1234', '--so-pin', '12345678' ],
            '>', \my $out) or die 'softhsm2-util';
        $helper = start_p11_kit($folder);
    }
    $node->append_conf('postgresql.conf', settings_of($module, $folder));
    $node->start;
    $node->safe_psql('postgres', 'CREATE EXTENSION trustpoint');
    $node->safe_psql('postgres', q{SELECT tp_hsm_init_token('tp')}) if $module eq 'SoftHSM' || $module eq 'opencryptoki';
    $node->safe_psql('postgres', 'SELECT tp_setup()');
    return wantarray ? ($node, $helper) : $node;
}

1;
