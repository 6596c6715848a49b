# Searches the memory of processes, by core images that gdb writes.
package CoreImage;

use strict;
use warnings;
use Exporter 'import';
use FindBin;
use IPC::Run;
use PostgreSQL::Test::Utils;
use TrustpointCluster;

our @EXPORT = qw(can_search_images derived_keys locked_ranges search_image);

my $print_dek = "$FindBin::RealBin/../tools/print_dek";

# Whether it can be done here; in CI it must.
sub can_search_images {
    return 1 if -x '/usr/bin/gdb' && -x $print_dek;
    die 'gdb or test/tools/print_dek is missing' if $ENV{CI};
    return 0;
}

# The DEKs of "KEK_ID WRAPPED" (in hex), their subkeys and the keys derived for nonce prefixes: value => kind.
sub derived_keys {
    my ($node, $deks, @nonces) = @_;
    my %keys;
    local $ENV{SOFTHSM2_CONF} = softhsm_conf($node);
    for my $dek (@$deks) {
        my ($out, $err);
        IPC::Run::run([ $print_dek, softhsm_module(), 'tp', TrustpointCluster::PIN, split(/ /, $dek), @nonces ],
            '>', \$out, '2>', \$err) or die $err;
        $keys{ pack 'H*', $2 } = $1 while $out =~ /^(\w+) (\w{64})$/mg;
    }
    return %keys;
}

# The addresses of memory for keys: what core images leave out, and a fork empties or all processes share; and whether it
# is locked. What glibc has of that kind from 2.41 on, for getrandom, the kernel may also drop.
sub locked_ranges {
    my ($pid) = @_;
    my (@ranges, @range);
    for my $line (split /\n/, slurp_file("/proc/$pid/smaps")) {
        @range = (hex $1, hex $2) if $line =~ /^([0-9a-f]+)-([0-9a-f]+) /;
        push @ranges, [ @range, $line =~ /\blo\b/ ? 1 : 0 ] if $line =~ /^VmFlags:(?=.*\bdd\b)(?=.*\b(?:wf|sh)\b)(?!.*\bdp\b)/;
    }
    return @ranges;
}

# Where a core image of a process has any of the byte strings: how often in memory for keys, and all places elsewhere.
sub search_image {
    my ($node, $pid, $strings, @settings) = @_;
    my $core = $node->basedir . '/core';
    my ($out, $err) = ('', '');
    my @first = map { ('-iex', $_) } 'set auto-load no', 'set debuginfod enabled off';
    my @then = map { ('-ex', $_) } @settings, "gcore $core";
    IPC::Run::run([ 'gdb', '-batch', '-nx', @first, '-p', $pid, @then ], '>', \$out, '2>', \$err);
    -s $core or die "no core image: $out$err";
    my $image = slurp_file($core);
    unlink $core;
    my ($headers, $size, $count) = (unpack('x32 Q', $image), unpack('x54 SS', $image));
    my @segments = grep { $_->[0] == 1 }    # PT_LOAD: type, offset, address, size
      map { [ unpack 'L x4 Q Q x8 Q', substr $image, $headers + $_ * $size, $size ] } 0 .. $count - 1;
    my @locked = locked_ranges($pid);
    my $any = join '|', map { quotemeta } @$strings;
    my ($inside, %outside) = (0);
    while ($image =~ /$any/g) {
        my $at = $-[0];
        my ($segment) = grep { $at >= $_->[1] && $at < $_->[1] + $_->[3] } @segments;
        my $address = $segment ? $segment->[2] + $at - $segment->[1] : -1;
        if (grep { $address >= $_->[0] && $address < $_->[1] } @locked) { $inside++; }
        else                                                            { $outside{ sprintf '%x', $address }++; }
    }
    return ($inside, join ' ', sort keys %outside);
}

1;
