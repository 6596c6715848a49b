# Trustpoint's fields, wrapped DEKs and KEKs, made by Python without our code.
package TpsecFixtures;

use strict;
use warnings;
use Exporter 'import';
use File::Basename;
use IPC::Run;
use PostgreSQL::Test::Utils;
use TrustpointCluster;

our @EXPORT = qw(random_key fields wrapped_deks open_field import_kek);

my $script = dirname(__FILE__) . '/../vectors/tpsec_fixtures.py';

# 32 random bytes in hex.
sub random_key {
    open(my $random, '<:raw', '/dev/urandom') or die $!;
    read($random, my $key, 32) == 32 or die $!;
    return unpack('H*', $key);
}

sub run_script {
    my ($input, @arguments) = @_;
    my ($out, $errors) = ('', '');
    my $done = IPC::Run::run([ 'python3', '-B', $script, @arguments ], '<', \$input, '>', \$out, '2>', \$errors);
    die "tpsec_fixtures.py: $errors" if $errors;
    return $done ? $out : undef;
}

sub records { return map { [ map { $_ eq '-' ? '' : $_ } split / / ] } split /\n/, $_[0]; }

# [ form, plaintext in hex, field ], ...
sub fields { return records(run_script('', 'fields', @_)); }

# form => wrapped DEK in hex, ...
sub wrapped_deks { return map { @$_ } records(run_script('', 'wrapped', @_)); }

# What Python makes of a field of today's form: the plaintext in hex; undef when it does not open.
sub open_field {
    my ($dek, $field) = @_;
    my $out = run_script($field, 'open', $dek);
    return undef unless defined $out;
    chomp $out;
    return $out;
}

# Puts a KEK of ours into the token, as Trustpoint has one there.
sub import_kek {
    my ($node, $label, $key, $id) = @_;
    my $file = token_folder($node) . '/kek';
    open(my $out, '>:raw', $file) or die $!;
    print $out pack('H*', $key);
    close $out;
    # Not softhsm2-util: it reads a key as text and ends it at a line end.
    pkcs11_tool($node, '--write-object', $file, '--type', 'secrkey', '--key-type', 'AES:32', '--label', $label, '--id', $id,
        '--sensitive', '--private', '--usage-decrypt', '--usage-wrap');
    unlink $file;
}

1;
