# Long work on the token ends when its statement is cancelled or runs out of time; the PIN is changed, and every backend
# follows; the session goes on after each.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TrustpointCluster;

my $node = new_cluster('interrupts');
set_up($node);
$node->safe_psql('postgres', q{SELECT tp_generate_rsa_key('rsa', 2048), tp_generate_ec_key('ec')});

# ---- cancel and time-out

# Each would go on for minutes.
my %long = (
    'a digest in the token' => q{SELECT tp_digest(d) FROM convert_to(repeat('x', 100000000), 'UTF8') AS d, generate_series(1, 100000)},
    'signatures' => q{SELECT count(tp_sign('rsa', n::text::bytea)) FROM generate_series(1, 1000000) AS n},
    'a signature of much data' => q{SELECT tp_sign('ec', d) FROM convert_to(repeat('x', 100000000), 'UTF8') AS d, generate_series(1, 100000)},
    'random bytes' => q{SELECT count(tp_random(1048576)) FROM generate_series(1, 1000000)},
    'new keys' => q{SELECT tp_generate_ec_key('new ' || n) FROM generate_series(1, 1000000) AS n});
my $session = session($node);
my $pid = ask($session, 'SELECT pg_backend_pid()');
for my $what (sort keys %long) {
    like(ask($session, "SET statement_timeout = '500ms'; $long{$what}"), qr/^57014: canceling statement due to statement timeout/, "$what: statement_timeout");
    ask($session, 'SET statement_timeout = 0');
    is(ask($session, q{SELECT tp_verify('ec', 'x', tp_sign('ec', 'x'))}), 't', "$what: the session goes on");
}
is(ask($session, q{SELECT count(*) FROM tp_hsm_keys() WHERE label ~ '^new'}), '0', 'no key of a cancelled statement stays');
for my $what (sort keys %long) {
    $session->query_until(qr/started/, "\\echo started\n$long{$what};\n");
    $node->poll_query_until('postgres', "SELECT state = 'active' FROM pg_stat_activity WHERE pid = $pid") or die 'does not run';
    $node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
    $session->query_until(qr/ended/, "\\echo ended\n");
    like($session->{stderr}, qr/57014: canceling statement due to user request/, "$what: pg_cancel_backend");
    $session->{stderr} = '';
}
# One long digest, in pieces: it ends between two of them, and not only after the last. A sequence tells, as nothing looks
# for a cancel between the digest and its next value. Should a digest be over before the cancel comes, there is another try.
my $within = 0;
for (1 .. 4) {
    ask($session, 'DROP SEQUENCE IF EXISTS after; CREATE SEQUENCE after');
    $session->query_until(qr/started/, "\\echo started\nSELECT tp_digest(d, 'sha512'), nextval('after') FROM convert_to(repeat('x', 400000000), 'UTF8') AS d;\n");
    $node->poll_query_until('postgres', "SELECT wait_event_type = 'Extension' OR state = 'idle' FROM pg_stat_activity WHERE pid = $pid") or die;
    $node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
    $session->query_until(qr/ended/, "\\echo ended\n");
    $session->{stderr} = '';
    last if $within = ask($session, 'SELECT NOT is_called FROM after') eq 't';
}
ok($within, 'one digest of 400 MB is cancelled within it');

# ---- the PIN

my $folder = token_folder($node);
sub logs_in { return try_sql($node, 'postgres', q{SELECT octet_length(tp_sign('ec', 'x')) > 0}); }
sub change_to { return try_sql($node, 'postgres', "SELECT tp_hsm_change_pin('$_[0]')"); }

write_pin("$folder/new", "another-pin\n");
for my $bad ([ 'relative', '22023' ], [ "$folder/none", '55000' ], [ '/', '55000' ]) {
    like(change_to($bad->[0]), qr/^$bad->[1]: /, "a new PIN in $bad->[0] is refused");
}
write_pin("$folder/bad", "another-pin\n", 0644);
like(change_to("$folder/bad"), qr/^55000: /, 'a file that others may read is refused');
write_pin("$folder/bad", '');
like(change_to("$folder/bad"), qr/^55000: /, 'an empty one');
write_pin("$folder/bad", '12');
like(change_to("$folder/bad"), qr/^55000: /, 'a PIN that is too short for the token, which was not asked');
is(logs_in(), 't', 'the old PIN still serves');
like(try_sql($node, 'postgres', "BEGIN READ ONLY; SELECT tp_hsm_change_pin('$folder/new')"), qr/^25006: /, 'not in a read-only transaction');

my $mark = -s $node->logfile;
is(change_to("$folder/new"), '', 'the PIN is changed');
is(ask($session, q{SELECT octet_length(tp_sign('ec', 'x')) > 0}) =~ /^(?:t|38000: .*)$/ ? 'said' : 'not', 'said', 'an open session works on or says why not');
like(logs_in(), qr/^38000: /, 'a new session with the old PIN file is refused');
like(logs_in(), qr/^38000: /, 'again, without asking the token');
write_pin("$folder/pin", "another-pin\n");
is(logs_in(), 't', 'with the new PIN in the file everybody logs in');
is(ask($session, q{SELECT octet_length(tp_sign('ec', 'x')) > 0}), 't', 'the open session too');
is($node->safe_psql('postgres', q{SELECT tp_decrypt(tp_encrypt('x'))}), 'x', 'and DEKs are opened');
my $log = slurp_file($node->logfile, $mark);
unlike($log, qr/another-pin|\b1234\b/, 'no PIN is in the log');
like($log, qr/trustpoint audit: \{"event": "change_pin", "role": "postgres"/, 'the change is');
# And back, by a setting in place of the file.
write_pin("$folder/third", 'third-pin');
is(change_to("$folder/third"), '', 'changed once more');
$node->safe_psql('postgres', "ALTER SYSTEM SET trustpoint.pin_file = '$folder/third'; SELECT pg_reload_conf()");
$node->poll_query_until('postgres', q{SELECT current_setting('trustpoint.pin_file') ~ 'third'}) or die;
is(logs_in(), 't', 'the setting that names the new file does the same');
$session->quit;

$node->stop;
done_testing();
