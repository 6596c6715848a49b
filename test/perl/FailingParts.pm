# Servers whose memory and whose token fail when a test says so: test/tools/failing_memory.cpp and failing_token.cpp.
package FailingParts;

use strict;
use warnings;
use Exporter 'import';
use FindBin;
use PostgreSQL::Test::Utils;
use TrustpointCluster;

our @EXPORT = qw(failing_parts_missing failing_cluster fail_allocation token_calls fail_token objects_in_token);

use constant RECORD => 'Z32 q q q Q q';    # name, calls, first, last, rv, done

my $tools = "$FindBin::RealBin/../tools";
my %files;    # by node: the orders to its memory and to its token

# What is missing here, if anything. In CI nothing may be.
sub failing_parts_missing {
    my @missing = grep { !-r "$tools/$_" } qw(failing_memory.so failing_token.so);
    return undef if !@missing;
    die "test/tools lacks @missing" if $ENV{CI};
    return "test/tools lacks @missing (make " . join(' ', map { "test/tools/$_" } @missing) . ')';
}

# As new_cluster, running, on SoftHSM behind failing_token, with trustpoint set up. memory => 1: also with failing_memory.
sub failing_cluster {
    my ($name, %option) = @_;
    my $node = new_cluster($name, start => 0, conf => $option{conf});
    my $folder = token_folder($node);
    my $file = $files{ $node->name } = { memory => "$folder/memory", token => "$folder/token" };
    write_pin($file->{memory}, pack('q3', 0, 0, 0));
    write_pin($file->{token}, pack('x4096'));
    my $tool = File::Spec->rel2abs("$tools/failing_token.so");
    $node->append_conf('postgresql.conf', "trustpoint.pkcs11_module = '$tool'\n"
          . "trustpoint.module_environment = 'SOFTHSM2_CONF=$folder/softhsm2.conf; TRUSTPOINT_FAILING_TOKEN=$file->{token}; "
          . 'TRUSTPOINT_FAILING_TOKEN_INNER=' . softhsm_module() . "'\n");
    # It goes before a sanitizer's malloc, to which it passes on, and which wants to be first.
    local $ENV{LD_PRELOAD} = join ' ', grep { defined } $option{memory} ? "$tools/failing_memory.so" : undef, $ENV{LD_PRELOAD};
    local $ENV{ASAN_OPTIONS} = join ':', grep { defined } $ENV{ASAN_OPTIONS}, 'verify_asan_link_order=0';
    local $ENV{TRUSTPOINT_FAILING_MEMORY} = $file->{memory};
    $node->start;
    set_up($node);
    return $node;
}

sub exchange {
    my ($file, $offset, $size, $new) = @_;
    open(my $handle, '+<:raw', $file) or die "$file: $!";
    seek $handle, $offset, 0;
    read $handle, (my $old), $size;
    if (defined $new) {
        seek $handle, $offset, 0;
        syswrite $handle, $new;
    }
    return $old;
}

# The nth allocation of a process from now on fails, once; nth 0: none does. Those within the token's module do not count: SoftHSM
# ends the process when one fails. Returns how many there were since the last order.
sub fail_allocation {
    my ($node, $pid, $nth) = @_;
    my $old = exchange($files{ $node->name }{memory}, 0, 24, pack('q3', $nth ? $pid : 0, $nth, 0));
    return (unpack 'q3', $old)[2];
}

# How often each function of the module was called since the last fail_token.
sub token_calls {
    my ($node) = @_;
    my $all = exchange($files{ $node->name }{token}, 0, 4096);
    return map { my ($name, $calls) = unpack RECORD, $_; $name ne '' && $calls > 0 ? ($name => $calls) : () } unpack '(a72)*', $all;
}

# From now on one call of the function answers rv: the first, or the one of the number nth; with done => 1 after SoftHSM has done
# what was asked. Without a function none does.
sub fail_token {
    my ($node, $function, $rv, %option) = @_;
    my $file = $files{ $node->name }{token};
    my @records = map { [ unpack RECORD, $_ ] } unpack '(a72)*', exchange($file, 0, 4096);
    for my $record (@records) {
        next if @$record < 6;
        @$record[1 .. 5] = (0) x 5;
        next if !defined $function || $record->[0] ne $function;
        my $nth = $option{nth} // 1;
        @$record[2 .. 5] = ($nth, $nth, $rv, $option{done} // 0);
    }
    exchange($file, 0, 4096, join '', map { pack RECORD, @$_ } grep { @$_ == 6 } @records);
}

# How many objects the token has: SoftHSM keeps each in a file of its own.
sub objects_in_token {
    my ($node) = @_;
    return scalar grep { !/token\.object$/ } glob token_folder($node) . '/tokens/*/*.object';
}

1;
