# tp_stat: what a session did, or with preloading what all did, by database; and what pg_stat_activity shows meanwhile.
use strict;
use warnings;
use Fcntl qw(:DEFAULT :flock SEEK_SET);
use FindBin;
use lib "$FindBin::RealBin/../perl";
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TrustpointCluster;

my $node = new_cluster('statistics', conf => "restart_after_crash = on\n");
my $folder = token_folder($node);
set_up($node);
$node->safe_psql('postgres', q{CREATE TABLE secret AS SELECT tp_encrypt('12345') AS value});

sub row { my ($kind, $name, $columns) = @_; return "SELECT $columns FROM tp_stat() WHERE kind = '$kind' AND name = '$name'" }

# ---- a session's own numbers

my $session = session($node);
sub says { my ($kind, $name, $columns, $expected, $title) = @_; is(ask($session, row($kind, $name, $columns)), $expected, "$kind $name: $title"); }
is(ask($session, 'SELECT count(*) FROM tp_stat()'), 0, 'a new session has done nothing');
is(ask($session, 'SELECT stat_shared FROM tp_status()'), 'f', 'the numbers are its own');
is(ask($session, 'SELECT stat_since <= now() FROM tp_status()'), 't', 'since it began');
ask($session, $_) for q{SELECT tp_encrypt('12345')}, q{SELECT tp_encrypt('é')}, q{SELECT tp_encrypt('\x00'::bytea)},
  'SELECT tp_decrypt(value) FROM secret', 'SELECT tp_rewrap(value) FROM secret';
says('call', 'encrypt', 'database, count, failed, bytes, time_ms', 'postgres|3||8|', 'counted, with bytes of UTF-8');
says('call', 'decrypt', 'count, bytes', '1|5', 'counted');
says('call', 'rewrap', 'count, bytes', '1|5', 'counted');
says('dek', 'token', 'count', 1, 'unwrapped once');
says('dek', 'backend', 'count', 5, 'and found afterwards');
says('dek', 'shared', 'count', '', 'there is no shared cache');
says('token', 'C_Login', 'count, failed, time_ms > 0', '1|0|t', 'one login');
says('token', 'C_UnwrapKey', 'count >= 1, failed', 't|0', 'counted');
says('token', 'C_Sign', 'count', '', 'never called');
ask($session, q{SELECT tp_digest('12345')});
says('token', $_, 'count, failed', '1|0', 'counted') for qw(C_DigestInit C_DigestUpdate C_DigestFinal);

for (['22000', q{SELECT tp_decrypt(value, 'x') FROM secret}], ['22P03', q{SELECT tp_decrypt('\x00')}],
    ['22004', q{SELECT tp_encrypt('x', NULL)}], ['42704', q{SELECT tp_encrypt('x', key => 'none')}],
    ['25006', q{BEGIN READ ONLY; SELECT tp_setup(); ROLLBACK}]) {
    my ($sqlstate, $statement) = @$_;
    like(ask($session, $statement), qr/^$sqlstate/, "refused: $sqlstate");
    ask($session, 'ROLLBACK') if $sqlstate eq '25006';
}
ask($session, q{DO $$ BEGIN PERFORM tp_decrypt('\x00'); EXCEPTION WHEN OTHERS THEN END $$});
says('failure', $_, 'count', 1, 'counted') for '22000', '22004', '42704';
says('failure', '22P03', 'count', 2, 'also one that was caught');
is(ask($session, q{SELECT sum(count) FROM tp_stat() WHERE kind = 'failure'}), 5, "errors of PostgreSQL's own are not ours");
is(ask(my $other = session($node), 'SELECT count(*) FROM tp_stat()'), 0, 'another session knows nothing of it');

write_pin("$folder/pin", 'no such PIN');
like(ask($other, 'SELECT tp_decrypt(value) FROM secret'), qr/^38000/, 'a wrong PIN');
is(ask($other, row('token', 'C_Login', 'count, failed')), '1|1', 'token C_Login: it failed');
is(ask($other, row('failure', '38000', 'count')), 1, 'failure 38000: counted');
write_pin("$folder/pin", TrustpointCluster::PIN);

$node->safe_psql('postgres', q{CREATE ROLE watcher; CREATE ROLE nobody; SELECT tp_grant('watcher', 'status')});
like(ask($session, "SET ROLE watcher; SELECT tp_stat_reset()"), qr/^42501/, 'who may look may not reset');
isnt(ask($session, 'SELECT count(*) FROM tp_stat()'), 0, 'but look');
like(ask($session, 'SET ROLE nobody; SELECT * FROM tp_stat()'), qr/^42501/, 'others may not');
ask($session, 'RESET ROLE; SELECT tp_stat_reset()');
is(ask($session, 'SELECT count(*) FROM tp_stat()'), 0, 'reset');
is(ask($session, q{SELECT stat_since > now() - interval '1 hour' FROM tp_status()}), 't', 'and since when');
$_->quit for $session, $other;

# ---- what pg_stat_activity shows

sub waits_as {
    my ($name, $what) = @_;
    my $waiting = session($node);
    my $pid = ask($waiting, 'SELECT pg_backend_pid()');
    $waiting->query_until(qr/started/, "\\echo started\nSELECT tp_decrypt(value) FROM secret;\n");
    my $event = $node->pg_version >= 17 ? $name : 'Extension';
    ok($node->poll_query_until('postgres',
            "SELECT wait_event_type = 'Extension' AND wait_event = '$event' FROM pg_stat_activity WHERE pid = $pid"),
        "waiting for $what is the wait event $event");
    return $waiting;
}
sub goes_on { my ($waiting, $what) = @_; is(ask($waiting, q{SELECT 'after ' || tp_decrypt(value) FROM secret}) =~ /after 12345/, 1, "after $what it goes on"); }

open(my $gate, '+<', $node->data_dir . '/trustpoint.gate') or die $!;
flock($gate, LOCK_EX) or die $!;
my $waiting = waits_as('TrustpointGate', 'the gate');
flock($gate, LOCK_UN) or die $!;
goes_on($waiting, 'the gate');
is(ask($waiting, row('wait', 'gate', 'count, time_ms > 0')), '1|t', 'wait gate: counted, with its time');
$waiting->quit;

# A token that does not answer: SoftHSM waits for who has locked one of its files. (struct flock of 64-bit Linux)
my ($object) = glob "$folder/tokens/*/token.object";
open(my $file, '+<', $object) or die $!;
my $lock = pack('s s x4 q q l x4', F_WRLCK, SEEK_SET, 0, 0, 0);
fcntl($file, F_SETLK, $lock) or die $!;
$waiting = waits_as('TrustpointToken', 'the token');
$lock = pack('s s x4 q q l x4', F_UNLCK, SEEK_SET, 0, 0, 0);
fcntl($file, F_SETLK, $lock) or die $!;
goes_on($waiting, 'the token');
is(ask($waiting, q{SELECT sum(time_ms) > 0 FROM tp_stat() WHERE kind = 'token'}), 't', 'token: its time is counted');
$waiting->quit;

# ---- with preloading: all sessions of all databases

$node->append_conf('postgresql.conf', "shared_preload_libraries = 'trustpoint'\n");
$node->restart;
$node->safe_psql('postgres', 'CREATE DATABASE other');
set_up($node, 'other');
$node->safe_psql('other', 'CREATE TABLE secret AS SELECT tp_encrypt(i::text) AS value FROM generate_series(1, 1000) i');
is($node->safe_psql('postgres', 'SELECT stat_shared FROM tp_status()'), 't', 'preloaded: the numbers are of the server');
$node->safe_psql('postgres', 'SELECT tp_stat_reset()');
is($node->safe_psql('postgres', 'SELECT count(*) FROM tp_stat()'), 0, 'preloaded: reset');
is($node->safe_psql('other', 'SELECT count(*) FROM tp_stat()'), 0, 'preloaded: in all databases');

sub numbers { my ($kind, $columns) = @_; return $node->safe_psql('postgres', "SELECT $columns FROM tp_stat() WHERE kind = '$kind' ORDER BY 1, 2"); }
my $script = "$folder/script.sql";
write_pin($script, "SELECT tp_is_encrypted(tp_encrypt('12345'));\nBEGIN;\nSELECT tp_is_encrypted(tp_encrypt('1'));\nROLLBACK;\n");
my $output;
IPC::Run::run([ 'pgbench', '-n', '-c4', '-j2', '-t25', '-f', $script, $node->connstr('postgres') ], '>&', \$output) or die $output;
is(numbers('call', 'database, name, count, bytes'), 'postgres|encrypt|200|600',
    'preloaded: four sessions, with transactions that were rolled back');
my $parallel = $node->pg_version >= 16 ? 'debug_parallel_query' : 'force_parallel_mode';
my $workers = "SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET $parallel = on;";
like($node->safe_psql('other', "$workers EXPLAIN SELECT count(tp_decrypt(value)) FROM secret"), qr/Gather/, 'a parallel plan');
is($node->safe_psql('other', "$workers SELECT count(tp_decrypt(value)) FROM secret"), 1000, 'over 1000 values');
is(numbers('call', 'database, name, count'), "other|decrypt|1000\npostgres|encrypt|200",
    'preloaded: the workers count too, and each database for itself');
is($node->safe_psql('postgres', row('dek', 'token', 'database, count')), 'postgres|1',
    'preloaded: one session took the DEK from the token; that of the other database was known');
is($node->safe_psql('postgres', q{SELECT sum(count) >= 1 FROM tp_stat() WHERE kind = 'dek' AND name = 'shared'}), 't',
    'preloaded: others came from the shared cache');
like($node->safe_psql('postgres', q{SET ROLE watcher; SELECT string_agg(DISTINCT database, ' ' ORDER BY database) FROM tp_stat()}),
    qr/^other postgres$/, 'preloaded: the capability shows all databases');
$node->safe_psql('postgres', 'DROP DATABASE other');
is(numbers('call', 'database, name, count'), "postgres|encrypt|200\n|decrypt|1000", 'preloaded: a dropped database has no name');

# What was dropped makes room: all of it is one row.
for my $database ('one', 'two') {
    $node->safe_psql('postgres', "CREATE DATABASE $database");
    $node->safe_psql($database, 'CREATE EXTENSION trustpoint');
    like(try_sql($node, $database, q{SELECT tp_encrypt('x', key => 'none')}), qr/^42704/, 'used');
    is($node->safe_psql('postgres', row('failure', '42704', 'count') . " AND database = '$database'"), 1, 'preloaded: by its name');
    $node->safe_psql('postgres', "DROP DATABASE $database");
}
is($node->safe_psql('postgres', row('failure', '42704', 'database, count')), '|2', 'preloaded: what was dropped is one row');

# A crash starts it anew.
my $victim = session($node);
kill 'KILL', ask($victim, 'SELECT pg_backend_pid()');
eval { $victim->quit };
$node->poll_query_until('postgres', 'SELECT true') or die;
is($node->safe_psql('postgres', 'SELECT count(*) FROM tp_stat()'), 0, 'preloaded: after a crash it starts anew');

done_testing();
