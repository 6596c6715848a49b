# Every function of the token that a statement calls fails once, in every way that matters, and before or after the token has done
# what was asked: the statement answers right or ends in an ordinary error, the session goes on, and no key is lost or left. Where
# a key is made, that is so of every call, and not of the first of each function alone; TP_LONG=1 tries each with all faults.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use FailingParts;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TrustpointCluster;

my $missing = failing_parts_missing();
plan skip_all => $missing if defined $missing;

my %faults = (
    CKR_HOST_MEMORY => 0x02, CKR_GENERAL_ERROR => 0x05, CKR_FUNCTION_FAILED => 0x06, CKR_DEVICE_ERROR => 0x30,
    CKR_DEVICE_MEMORY => 0x31, CKR_DEVICE_REMOVED => 0x32, CKR_KEY_HANDLE_INVALID => 0x60, CKR_OBJECT_HANDLE_INVALID => 0x82,
    CKR_OPERATION_ACTIVE => 0x90, CKR_PIN_EXPIRED => 0xA3, CKR_SESSION_CLOSED => 0xB0, CKR_SESSION_HANDLE_INVALID => 0xB3,
    CKR_TOKEN_NOT_PRESENT => 0xE0, CKR_USER_NOT_LOGGED_IN => 0x101, CKR_CRYPTOKI_NOT_INITIALIZED => 0x190,
    CKR_VENDOR_DEFINED => 0x80000001);

my $node = failing_cluster('token', conf => "restart_after_crash = off\nfsync = off\nautovacuum = off\n");
$node->safe_psql('postgres', q{CREATE TABLE secret AS SELECT tp_encrypt('secret') AS value;
    SELECT tp_generate_ec_key('signs'), tp_generate_rsa_key('opens', 2048, 'decrypt'), tp_generate_aes_key('seals')});
$node->safe_psql('postgres', 'CREATE DATABASE fresh');
$node->safe_psql('fresh', 'CREATE EXTENSION trustpoint');
IPC::Run::run([ 'openssl', 'genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256' ], '>', \my $pem) or die 'openssl';

# The objects of the token, by what pkcs11-tool shows of them.
sub objects { return join "\n", sort grep { /label:/ } split /\n/, pkcs11_tool($node, '--list-objects') =~ s/\n +ID:/ ID:/gr; }

# Which faults a call meets: all, or where every call of a function has its turn, some.
my $turn = 0;

sub faults_of {
    my ($test, $function) = @_;
    my @all = sort keys %faults;
    return @all if $ENV{TP_LONG} || !$test->{each};
    my $some = $function =~ /Generate|Create|Destroy/ ? 6 : $test->{each};
    return map { $all[ $turn++ % @all ] } 1 .. $some;
}

# Whether nothing may be seen of such a fault: a session that was lost is opened anew, a token that was away is asked again. Not
# so where the token may mean what it was given, and once a key may have been made.
sub survives {
    my ($test, $function, $nth, $fault) = @_;
    return 0 if $fault eq 'CKR_PIN_EXPIRED';
    return 0 if $fault =~ /GENERAL|FAILED|VENDOR/ && $function =~ /^C_(?:Decrypt|UnwrapKey)$/;
    return !$test->{makes} || ($nth == 1 && $function =~ /^C_(?:Login|OpenSession|Get\w+(?:List|Info)|Find\w+)$/);
}

# A KEK that is half made is found again by its label, so each one of a test has a label of its own.
my $setups = 0;

# name, sql, right => its answer; each => n: every call of a function fails, with n faults, not only the first; makes => 1: a key in
# the token; undo => SQL after which it can run again; begin => sub: SQL before a failure; objects => how many it leaves; only => the
# one function, unless all; database.
my @tests = (
    { name => 'a DEK is opened', sql => q{SELECT tp_forget_keys() IS NULL, tp_decrypt(value) FROM secret}, right => 'f|secret' },
    { name => 'a signature', sql => q{SELECT tp_verify('signs', 'data', tp_sign('signs', 'data'))}, right => 't' },
    { name => 'RSA', sql => q{SELECT convert_from(tp_rsa_decrypt('opens', tp_rsa_encrypt('opens', 'data')), 'UTF8')}, right => 'data' },
    { name => 'AES', sql => q{SELECT convert_from(tp_aes_decrypt('seals', tp_aes_encrypt('seals', 'data')), 'UTF8')}, right => 'data' },
    { name => 'a digest', sql => q{SELECT length(tp_digest('data'))}, right => '32' },
    { name => 'an EC key is made', sql => q{BEGIN; SELECT tp_generate_ec_key('made') IS NULL; ROLLBACK}, right => 'f', each => 2, makes => 1 },
    { name => 'an RSA key is made', sql => q{BEGIN; SELECT tp_generate_rsa_key('made', 2048) IS NULL; ROLLBACK}, right => 'f',
        makes => 1, only => 'C_GenerateKeyPair' },
    { name => 'an AES key is made and destroyed', sql => q{SELECT tp_generate_aes_key('made') IS NULL; SELECT tp_destroy_key('made') IS NULL},
        right => "f\nf", each => 2, makes => 1, undo => q{SELECT tp_destroy_key(label) FROM tp_token_key WHERE label = 'made'} },
    { name => 'a key is imported', sql => qq{BEGIN; SELECT tp_import_key('made', '$pem') IS NULL; ROLLBACK}, right => 'f', each => 2, makes => 1 },
    { name => 'a DEK is made', sql => q{BEGIN; SELECT tp_create_dek('made') IS NULL; ROLLBACK}, right => 'f', each => 2 },
    { name => 'a DEK is rotated', sql => q{BEGIN; SELECT tp_rotate_dek() IS NULL; ROLLBACK}, right => 'f' },
    { name => 'a KEK and a DEK are made', sql => q{SELECT tp_setup() IS NULL; SELECT tp_decrypt(tp_encrypt('secret'))}, right => "f\nsecret",
        each => 1, makes => 1, database => 'fresh', objects => 1, undo => q{DELETE FROM tp_dek; DELETE FROM tp_kek},
        begin => sub { $setups++; return "SET trustpoint.kek_label = 'trustpoint-$setups'" } });

my $objects = objects();
for my $test (@tests) {
    my ($name, $sql, $right, $undo) = @$test{qw(name sql right undo)};
    my $session = session($node, $test->{database});
    $session->set_query_timer_restart;
    my $begin = sub { ask($session, $test->{begin}->()) if $test->{begin} };
    my $heal = sub {
        my ($function) = @_;
        ask($session, 'ROLLBACK');
        # A PIN that was refused, or may have been, is not sent again until the owner says so.
        ask($session, 'SELECT tp_hsm_login() IS NULL, tp_hsm_logout() IS NULL') if $function eq 'C_Login';
        ask($session, $undo) if $undo;
    };
    $begin->();
    fail_token($node);
    is(ask($session, $sql), $right, "$name: it is right") or next;
    my %calls = token_calls($node);
    $heal->('');
    %calls = ($test->{only} => 1) if $test->{only};
    my ($tried, $told, @wrong) = (0, 0);
    for my $function (sort keys %calls) {
        # The last says that a key is damaged, or is not the KEK: where it is unwrapped, an answer may mean that.
        my $ordinary = '58000|38000|42704|22000' . ($function eq 'C_UnwrapKey' ? '|XX001' : '');
        for my $nth (1 .. ($test->{each} ? $calls{$function} : 1)) {
            for my $fault (faults_of($test, $function)) {
                for my $done ($fault =~ /DEVICE|FAILED|GENERAL/ ? (0, 1) : 0) {
                    my $before = objects_in_token($node);
                    $begin->();
                    fail_token($node, $function, $faults{$fault}, nth => $nth, done => $done);
                    my $answer = eval { ask($session, $sql) } // 'the session is lost';
                    fail_token($node);
                    $tried++;
                    my $at = "$function, call $nth, $fault" . ($done ? ' when it was done' : '');
                    note("$at: $answer") if $answer ne $right;
                    $told++ if $answer ne $right;
                    push @wrong, "$at: $answer"
                      if $answer ne $right && ($answer !~ /^(?:$ordinary): / || survives($test, $function, $nth, $fault));
                    # But for a general error, which may be a refusal of some attribute.
                    push @wrong, "$at: a key was asked for again" if $answer eq $right && $function =~ /^C_GenerateKey/ && $fault !~ /GENERAL/;
                    $heal->($function);
                    my $then = eval { ask($session, $sql) } // 'the session is lost';
                    push @wrong, "$at: then $then" if $then ne $right;
                    $heal->('') if $undo;
                    my $left = objects_in_token($node) - $before - ($test->{objects} // 0);
                    push @wrong, "$at: $left objects are left in the token" if $left != 0;
                }
            }
        }
        last if @wrong > 20;
    }
    is(join("\n", @wrong), '', "$name: $tried faults in " . keys(%calls) . " functions, $told told, and it went on");
    $session->quit;
}
fail_token($node);
my $kek = qr/label: +trustpoint-\d+ /;
is(scalar(grep { /$kek/ } split /\n/, objects()), $setups, 'each KEK was made once');
is(join("\n", grep { $_ !~ $kek } split /\n/, objects()), $objects, 'the token has the keys that it had');
unlike(slurp_file($node->logfile), qr/terminated by signal|PANIC|reinitializing/, 'no process crashed');
$node->stop;

done_testing();
