# trustpoint.redact_log = calls: what belongs to a call is its statement alone, whatever was logged of that, with all its
# messages of the extended protocol; and what COMMIT or SET CONSTRAINTS finds in its rows.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TrustpointCluster;

my $node = new_cluster('statements', conf => "shared_preload_libraries = 'trustpoint'\nlog_statement = none\n");
set_up($node);
$node->safe_psql('postgres', q{
    CREATE TABLE late (note text UNIQUE DEFERRABLE INITIALLY DEFERRED);
    CREATE FUNCTION hidden(value text) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS
        $$ BEGIN RETURN tp_is_encrypted(tp_encrypt(value)); END $$});

# Runs statements in a new session; returns what was logged of them.
sub logged {
    my ($statements) = @_;
    my $start = -s $node->logfile;
    $node->psql('postgres', $statements, on_error_stop => 0);
    return substr slurp_file($node->logfile), $start;
}

my $division = '1 / (length(version()) - length(version()))';
like(logged("SELECT hidden('opaque'), $division;"), qr/ERROR:  division by zero(?!.*opaque)/s, 'a statement that has called');
like(logged("BEGIN;\nSELECT hidden('a');\nSELECT 1 / 0 AS unrelated;"), qr/STATEMENT:  SELECT 1 \/ 0 AS unrelated/,
    'a later one of its transaction');
like(logged("BEGIN;\nSELECT hidden('a');\nROLLBACK;\nSELECT 1 / 0 AS unrelated;"), qr/STATEMENT:  SELECT 1 \/ 0 AS unrelated/,
    'and of the next');
like(logged("BEGIN;\nDECLARE c CURSOR FOR SELECT hidden(n::text), 1 / (2 - n), 'opaque' FROM generate_series(1, 2) AS n;\n"
        . "FETCH c;\nFETCH c;"), qr/ERROR:  division by zero(?!.*STATEMENT)/s, 'a cursor calls in each FETCH');

# Rows that were written by a statement that has called are told of in these.
my $insert = "INSERT INTO late SELECT 'opaque' FROM generate_series(1, 2) WHERE hidden('a')";
for my $end ('COMMIT', ' end', 'SET CONSTRAINTS ALL IMMEDIATE', '/* by an ORM */ COMMIT', 'SELECT 1; COMMIT') {
    my $log = logged("SET log_min_duration_statement = 0;\nBEGIN;\n$insert;\nSELECT 1;\n" . $end =~ s/;/\\;/r . ';');
    like($log, qr/ERROR:  duplicate key value violates/, "$end: its error is logged");
    unlike($log, qr/opaque/, "$end: without the row");
    like($log, qr/statement: SELECT 1;/, "$end: the statement before it is");
}
like(logged("SET log_statement = 'all';\nBEGIN;\nSELECT hidden('a');\nCOMMIT;"), qr/statement: COMMIT/, 'COMMIT itself is logged');

# A worker has called; its leader, which logs the error too, has not.
my $parallel = $node->pg_version >= 16 ? 'debug_parallel_query' : 'force_parallel_mode';
$node->safe_psql('postgres', q{CREATE TABLE stored AS SELECT tp_encrypt('opaque') AS value;
    CREATE VIEW shown AS SELECT tp_decrypt(value) AS value FROM stored});
my $told = logged("SET $parallel = on;\nSET parallel_leader_participation = off;\nSELECT value::int FROM shown;");
is(scalar(() = $told =~ /ERROR:/g), 2, 'a worker and its leader log an error');
unlike($told, qr/opaque/, 'neither shows the value');

# A call while Bind plans belongs to the Execute too.
my $script = token_folder($node) . '/script.sql';
write_pin($script, "SET log_min_duration_statement = 0;\nSELECT hidden(:secret);\n");
my $start = -s $node->logfile;
$node->command_ok([ 'pgbench', '-n', '-t1', '-M', 'extended', '-D', 'secret=opaque', '-f', $script, $node->connstr('postgres') ],
    'a call in Bind');
my $log = substr slurp_file($node->logfile), $start;
like($log, qr/duration: [\d.]+ ms \(left out/, 'it is redacted');
unlike($log, qr/opaque/, 'and so is what Execute logs');

done_testing();
