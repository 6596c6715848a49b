# tp_reencrypt_column beside others: rows that they lock come back later, progress is seen from outside, a cancelled run
# goes on where it was, and clients that read and write meet no error.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TrustpointCluster;

my $rows = 20_000;
my $node = new_cluster('reencrypt', conf => "autovacuum = off\n");
set_up($node);
$node->safe_psql('postgres', qq{CREATE TABLE secret (id int PRIMARY KEY, v bytea, counter int NOT NULL DEFAULT 0);
    INSERT INTO secret SELECT id, tp_encrypt('secret ' || id, tp_context('secret', id::text)) FROM generate_series(1, $rows) AS id;
    ANALYZE secret});
my $call = q{CALL tp_reencrypt_column('secret', 'v', $$tp_context('secret', id::text)$$, 500)};
my $session = session($node);

sub rotate { return $node->safe_psql('postgres', 'SELECT tp_rotate_dek()'); }
sub left { return $node->safe_psql('postgres', 'SELECT count(*) FROM secret WHERE tp_needs_rewrap(v)'); }
sub progress { my ($what) = @_; return $node->safe_psql('postgres', "SELECT $what FROM tp_reencrypt_progress ORDER BY updated_at DESC LIMIT 1"); }

# All values, in the open session, a new one, and after a restart.
sub all_readable {
    my ($name, $restart) = @_;
    my $count = q{SELECT count(*) FROM secret WHERE tp_decrypt(v, tp_context('secret', id::text)) = 'secret ' || id};
    is(ask($session, $count), $rows, "$name: all values are readable in an open session");
    is(try_sql($node, 'postgres', $count), $rows, "$name: and in a new one");
    return unless $restart;
    $session->quit;
    $node->restart;
    is(try_sql($node, 'postgres', $count), $rows, "$name: and after a restart");
    $session = session($node);
}

# Rows that another transaction has locked, or changes.
my $active = rotate();
ask($session, 'BEGIN; SELECT id FROM secret WHERE id IN (1, 7777) FOR UPDATE; UPDATE secret SET counter = 1 WHERE id = 4000');
my $job = begin_sql($node, 'postgres', $call);
ok(waits_for_lock($node, 'CALL tp_reencrypt_column%'), 'at last it waits for a row');
is(left(), 3, 'all others are done');
is(progress('phase, rows_done, rows_left, time_left IS NOT NULL'), 'locked rows|' . ($rows - 3) . '|3|t', 'another session sees that');
is(try_sql($node, 'postgres', q{UPDATE secret SET counter = counter + 1 WHERE id % 1000 = 5; SELECT 'no lock'}), 'no lock',
    'while it waits it holds nobody out');
ask($session, 'COMMIT');
is(end_sql($job), '', 'and ends when they are free');
is(left(), 0, 'nothing is left');
is(progress('phase, rows_done, rows_left, rows_refused'), "done|$rows|0|0", 'done');
is($node->safe_psql('postgres', q{SELECT sum(counter) FROM secret}), 1 + $rows / 1000, 'no change of others is lost');
is($node->safe_psql('postgres', q{SELECT key_id, "values" FROM tp_key_usage('secret', 'v')}), "$active|$rows", 'tp_key_usage agrees');
all_readable('rows that were locked', 1);

# Rows that may be locked, for all that their last locker's number tells: the second pass looks closer.
ask($session, 'BEGIN; SELECT txid_current()');
$node->safe_psql('postgres', 'SELECT count(*) FROM (SELECT FROM secret WHERE id <= 3000 FOR UPDATE) AS locked');
rotate();
is(try_sql($node, 'postgres', $call), '', 'beside an old transaction');
is(left(), 0, 'which is not waited for');
ask($session, 'COMMIT');
all_readable('beside an old transaction');

# Two at once share the work.
rotate();
my @jobs = map { begin_sql($node, 'postgres', $call) } 1 .. 2;
is(end_sql($_), '', 'one of two at once') for @jobs;
is(left(), 0, 'both: nothing is left');
all_readable('two at once');

# Cancelled in the middle, with most of it done and committed.
$active = rotate();
ask($session, "BEGIN; SELECT count(*) FROM (SELECT FROM secret WHERE id > $rows - 100 FOR UPDATE) AS locked");
$job = begin_sql($node, 'postgres', $call);
ok(waits_for_lock($node, 'CALL tp_reencrypt_column%'), 'before the cancel');
$node->safe_psql('postgres', q{SELECT pg_cancel_backend(pid) FROM tp_reencrypt_progress WHERE phase = 'locked rows'});
like(end_sql($job), qr/^57014: /, 'cancelled');
is(progress('phase'), 'interrupted', 'which others see');
ask($session, 'COMMIT');
is(left(), 100, 'what was done stays done');
my $xids = $node->safe_psql('postgres', "SELECT md5(string_agg(xmin::text, ',' ORDER BY id)) FROM secret WHERE id <= $rows - 100");
is(try_sql($node, 'postgres', $call), '', 'called again');
is(left(), 0, 'it goes on to the end');
is($node->safe_psql('postgres', "SELECT md5(string_agg(xmin::text, ',' ORDER BY id)) FROM secret WHERE id <= $rows - 100"), $xids,
    'and writes no row that was there');
is(progress('rows_done'), 100, 'as the progress tells');
all_readable('after a cancel', 1);

# Clients that read, and change the other column and the value itself, while a rotation and the re-encryption go on.
my $script = $node->basedir . '/client.sql';
append_to_file($script, <<"EOF");
\\set id random(1, $rows - 1)
\\set other :id + 1
BEGIN;
SELECT 1 / (tp_decrypt(v, tp_context('secret', id::text)) = 'secret ' || id)::int FROM secret WHERE id = :id;
UPDATE secret SET counter = counter + 1 WHERE id = :id;
UPDATE secret SET v = tp_encrypt('secret ' || id, tp_context('secret', id::text)) WHERE id = :other;
COMMIT;
EOF
my $sum = $node->safe_psql('postgres', 'SELECT sum(counter) FROM secret');
my ($out, $err) = ('', '');
# They lock rows in one order, so that they do not deadlock with one another.
my $clients = IPC::Run::start([ 'pgbench', '-n', '-c', '4', '-j', '2', '-t', '400', '-f', $script, '-h', $node->host,
    '-p', $node->port, 'postgres' ], '<', \undef, '>', \$out, '2>', \$err);
my $runs = 0;
while (1) {
    rotate();
    is(try_sql($node, 'postgres', $call), '', 'among clients: run ' . ++$runs);
    last if $runs >= 3;
}
$clients->finish;
like($out, qr/number of transactions actually processed: 1600\/1600/, 'all transactions of the clients are done')
    or diag($out, $err);
like($out, qr/number of failed transactions: 0 /, 'none failed');
is($node->safe_psql('postgres', 'SELECT sum(counter) FROM secret'), $sum + 1600, 'none of them is lost');
is(try_sql($node, 'postgres', $call), '', 'once more');
is(left(), 0, 'among clients: nothing is left');
all_readable('among clients', 1);

# A token that is away does not stop it, as the DEKs are there; a new session cannot begin.
ask($session, 'SELECT tp_load_dek()');
rotate();
is(ask($session, 'SELECT tp_load_dek() > 0'), 't', 'the new DEK is loaded');
is(ask($session, 'SELECT count(tp_decrypt(v, tp_context(\'secret\', id::text))) FROM secret'), $rows, 'and the old one');
my $folder = token_folder($node);
rename "$folder/tokens", "$folder/away" or die $!;
mkdir "$folder/tokens";
like(try_sql($node, 'postgres', $call), qr/^(?:58000|42704): /, 'the token is away: a new session has no key');
is(ask($session, $call), '', 'one that has the keys goes on');
rmdir "$folder/tokens";
rename "$folder/away", "$folder/tokens" or die $!;
is(left(), 0, 'to the end');
all_readable('a token that was away');

# A column whose domain is over the domain, and numbers that no table has.
is(try_sql($node, 'postgres', q{CREATE DOMAIN sealed AS tp_encrypted; CREATE TABLE sealed_secret (v sealed); SELECT tp_column_tables('sealed_secret', 'v')}),
    '{sealed_secret}', 'a domain over the domain');
like(try_sql($node, 'postgres', q{SELECT tp_note_reencryption('sealed_secret', 'v', 'counting', -1, 0, 0)}), qr/^22023: /, 'fewer rows than none');
is(try_sql($node, 'postgres', q{SELECT tp_note_reencryption('sealed_secret', 'v', 'counting', 0, 0, 0);
    SELECT tp_note_reencryption('sealed_secret', 'v', 'first pass', 1, 9223372036854775807, 0);
    SELECT rows_left, time_left IS NOT NULL FROM tp_reencrypt_progress WHERE relation = 'sealed_secret'::regclass}) =~ s/^\n+//r,
    '9223372036854775807|t', 'more than all: the progress of all can still be read');

$session->quit;
$node->stop;
done_testing();
