# Real faults between two uses of a key: the process that serves the token is killed, its server is killed, the key or the token
# goes away, the PIN is wrong on a token that locks. An error or a recovery, then well again; never another key, and never a
# second try of a PIN.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TokenModules;
use TrustpointCluster;

my %here = map { $_ => 1 } modules_here();

# Signs with each key and verifies with its own public key, which was read before: "ok", or the errors.
sub signs {
    my ($session, %public) = @_;
    my %errors;
    for my $label (sort keys %public) {
        my $valid = ask($session, "SELECT tp_verify_with_public_key(\$pem\$$public{$label}\$pem\$, 'data', "
              . "tp_sign('$label', 'data', 'ecdsa-sha256'), 'ecdsa-sha256')");
        $errors{$valid} = 1 if $valid ne 't';
    }
    return %errors ? join(', ', sort keys %errors) : 'ok';
}

# Opens what was sealed before.
sub opens {
    my ($session, $ciphertext) = @_;
    return ask($session, "SELECT convert_from(tp_rsa_decrypt('opens', '$ciphertext'), 'UTF8')");
}

sub make_keys {
    my ($node, @labels) = @_;
    return map { $node->safe_psql('postgres', "SELECT tp_generate_ec_key('$_')"); $_ => $node->safe_psql('postgres', "SELECT tp_public_key('$_')"); } @labels;
}

sub children_of {
    my ($pid) = @_;
    my @children;
    for my $file (glob '/proc/[0-9]*/stat') {
        open(my $stat, '<', $file) or next;  # it may have ended
        push @children, $1 if (<$stat> // '') =~ /^(\d+) \(.*\) \S (\d+) / && $2 == $pid;
    }
    return @children;
}

# ---- a token in another process, as a network HSM is

SKIP: {
    skip 'p11-kit is not here', 1 unless $here{'p11-kit client'};
    my ($node, $server) = module_cluster('p11-kit client', 'remote');
    my $folder = token_folder($node);
    my %public = make_keys($node, 'one', 'two', 'three');
    $node->safe_psql('postgres', q{SELECT tp_generate_rsa_key('opens', 2048, 'decrypt')});
    my $sealed = $node->safe_psql('postgres', q{SELECT tp_rsa_encrypt('opens', 'secret')});
    my ($plain, $kept) = map { session($node) } 1 .. 2;
    ask($kept, 'SELECT tp_hsm_login()');
    for my $session ($plain, $kept) {
        is(signs($session, %public), 'ok', 'signs through a socket');
        is(opens($session, $sealed), 'secret', 'and decrypts');
    }
    for my $round (1 .. 3) {
        my @serving = children_of($server);
        cmp_ok(scalar @serving, '>=', 1, 'a process serves each client');
        kill 'KILL', @serving;
        for my $session ($plain, $kept) {
            like(signs($session, %public), qr/^ok$|^58000: [^,]*$/, "round $round: that process killed between two signatures");
            is(signs($session, %public), 'ok', "round $round: well again, each by its own key");
        }
        kill 'KILL', children_of($server);
        for my $session ($plain, $kept) {
            like(opens($session, $sealed), qr/^secret$|^58000: [^,]*$/, "round $round: killed between two decryptions");
            is(opens($session, $sealed), 'secret', "round $round: well again");
        }
    }
    # In the middle of a transaction that has signed already.
    ask($kept, 'BEGIN');
    is(signs($kept, %public), 'ok', 'in a transaction');
    kill 'KILL', children_of($server);
    is(signs($kept, %public), 'ok', 'killed in the middle of it, and it goes on');
    ask($kept, 'COMMIT');

    stop_p11_kit($server);
    like(signs($_, %public), qr/^58000: /, 'the server itself is gone: SQLSTATE 58000') for $plain, $kept;
    $server = start_p11_kit($folder);
    is(signs($_, %public), 'ok', 'it is back: the same session is well') for $plain, $kept;
    is(opens($_, $sealed), 'secret', 'and decrypts') for $plain, $kept;
    $_->quit for $plain, $kept;
    $node->stop;
    stop_p11_kit($server);
}

# ---- objects and tokens that others take away

my $node = module_cluster('SoftHSM', 'local');
my $folder = token_folder($node);
my %public = make_keys($node, 'one', 'two');
$node->safe_psql('postgres', q{SELECT tp_generate_rsa_key('opens', 2048, 'decrypt')});
my $sealed = $node->safe_psql('postgres', q{SELECT tp_rsa_encrypt('opens', 'secret')});
my ($plain, $kept) = map { session($node) } 1 .. 2;
ask($kept, 'SELECT tp_hsm_login()');
is(signs($_, %public), 'ok', 'signs') for $plain, $kept;

rename("$folder/tokens", "$folder/gone") or die $!;
like(signs($_, %public), qr/^58000: [^,]*$/, 'the token is taken away') for $plain, $kept;
like(opens($_, $sealed), qr/^58000: /, 'it is no wrong ciphertext') for $plain, $kept;
rename("$folder/gone", "$folder/tokens") or die $!;
is(signs($_, %public), 'ok', 'it is back') for $plain, $kept;
is(opens($_, $sealed), 'secret', 'for decryption too') for $plain, $kept;

pkcs11_tool($node, '--delete-object', '--type', 'privkey', '--label', 'two');
like(signs($_, two => $public{two}), qr/^42704: |^22023: /, 'another program destroys a key: no other one steps in') for $plain, $kept;
is(signs($_, one => $public{one}), 'ok', 'the rest is well') for $plain, $kept;

# Long work that is stopped leaves the session usable.
like(ask($kept, q{SET statement_timeout = '50ms'; SELECT tp_digest(convert_to(repeat('x', 200000000), 'UTF8'))}),
    qr/^57014: /, 'a digest is cancelled');
ask($kept, 'RESET statement_timeout');
is(signs($kept, one => $public{one}), 'ok', 'and the session signs on');

# A wrong PIN: sent once by all sessions together, then told by all without the token.
write_pin("$folder/pin", '9999');
ask($kept, 'SELECT tp_hsm_logout()');
like(signs($_, one => $public{one}), qr/^38000: [^,]*$/, 'a wrong PIN is told') for $plain, $kept, $plain;
write_pin("$folder/pin", '1234');
is(signs($_, one => $public{one}), 'ok', 'the right one works again') for $plain, $kept;
$_->quit for $plain, $kept;
$node->stop;

# ---- a token that locks after three wrong PINs

SKIP: {
    skip 'opencryptoki is not here', 1 unless $here{opencryptoki};
    my $locking = module_cluster('opencryptoki', 'locking');
    my $pin = token_folder($locking) . '/pin';
    my $sign = q{SELECT length(tp_sign('key', 'data'))};
    $locking->safe_psql('postgres', q{SELECT tp_generate_rsa_key('key', 2048)});
    is($locking->safe_psql('postgres', $sign), '256', 'it signs');
    write_pin($pin, '87654320');
    like(try_sql($locking, 'postgres', $sign), qr/^38000: /, 'a wrong PIN is told to every one of ten sessions') for 1 .. 10;
    write_pin($pin, '12345678');
    is($locking->safe_psql('postgres', $sign), '256', 'and has not locked the token');
    is($locking->safe_psql('postgres', q{SELECT 'user_pin_locked' = ANY (flags) FROM tp_hsm_info()}), 'f', 'as it says itself');
    $locking->stop;
}
done_testing();
