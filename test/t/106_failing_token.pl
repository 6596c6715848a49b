# Every function of the token that a statement calls fails once, in every way that matters, and before or after the token has done
# what was asked: the statement answers right or ends in an ordinary error, the session goes on, and no key is lost or left.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use FailingParts;
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

# The objects of the token, by what pkcs11-tool shows of them.
sub objects { return join "\n", sort grep { /label:|ID:/ } split /\n/, pkcs11_tool($node, '--list-objects'); }

my $objects = objects();
my @statements = (
    [ 'a DEK is opened', q{SELECT tp_forget_keys() IS NULL, tp_decrypt(value) FROM secret}, 'f|secret' ],
    [ 'a signature', q{SELECT tp_verify('signs', 'data', tp_sign('signs', 'data'))}, 't' ],
    [ 'RSA', q{SELECT convert_from(tp_rsa_decrypt('opens', tp_rsa_encrypt('opens', 'data')), 'UTF8')}, 'data' ],
    [ 'AES', q{SELECT convert_from(tp_aes_decrypt('seals', tp_aes_encrypt('seals', 'data')), 'UTF8')}, 'data' ],
    [ 'a digest', q{SELECT length(tp_digest('data'))}, '32' ]);
for my $test (@statements) {
    my ($name, $sql, $right) = @$test;
    my $session = session($node);
    $session->set_query_timer_restart;
    fail_token($node);
    is(ask($session, $sql), $right, "$name: it is right") or next;
    my %calls = token_calls($node);
    my ($tried, $told, @wrong) = (0, 0);
    for my $function (sort keys %calls) {
        for my $fault (sort keys %faults) {
            for my $done ($fault =~ /DEVICE|FAILED/ ? (0, 1) : 0) {
                fail_token($node, $function, $faults{$fault}, done => $done);
                my $answer = eval { ask($session, $sql) } // 'the session is lost';
                fail_token($node);
                $tried++;
                $told++ if $answer ne $right;
                my $at = "$function, $fault" . ($done ? ' when it was done' : '');
                push @wrong, "$at: $answer" if $answer ne $right && $answer !~ /^(?:58000|38000|42704|22000|42710|XX001): /;
                # A PIN that was refused, or may have been, is not sent again until the owner says so.
                ask($session, 'ROLLBACK; SELECT tp_hsm_login() IS NULL, tp_hsm_logout() IS NULL');
                my $then = eval { ask($session, $sql) } // 'the session is lost';
                push @wrong, "$at: then $then" if $then ne $right;
            }
        }
        last if @wrong > 20;
    }
    is(join("\n", @wrong), '', "$name: $tried faults in " . keys(%calls) . " functions, $told told, and it went on");
    $session->quit;
}
fail_token($node);
is(objects(), $objects, 'the token has the keys that it had');
unlike(slurp_file($node->logfile), qr/terminated by signal|PANIC|reinitializing/, 'no process crashed');
$node->stop;

done_testing();
