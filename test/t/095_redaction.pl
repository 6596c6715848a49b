# trustpoint.redact_log: with `all` no log holds a plaintext, whatever is logged of whatever statement; with `calls` none
# of a statement that names or calls our functions; with `off` the same search finds them all. Clients get the same.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use IPC::Run;
use MIME::Base64;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TrustpointCluster;

use constant { PIN => 'PIN-of-this-token', SO_PIN => 'PIN-of-its-officer' };

my $print_dek = "$FindBin::RealBin/../tools/print_dek";
if (!-x $print_dek) {
    die 'test/tools/print_dek is missing' if $ENV{CI};
    plan skip_all => 'test/tools/print_dek is missing (make test/tools/print_dek)';
}

# Everything that PostgreSQL can write down of a statement, to all destinations.
my $node = new_cluster('redaction', start => 0, conf => <<'EOF');
shared_preload_libraries = 'trustpoint'
session_preload_libraries = 'auto_explain'
logging_collector = on
log_directory = 'log'
log_error_verbosity = verbose
log_min_messages = debug3
log_min_error_statement = debug5
log_statement = all
log_duration = on
log_min_duration_statement = 0
log_parameter_max_length = -1
log_parameter_max_length_on_error = -1
debug_print_parse = on
debug_print_rewritten = on
debug_print_plan = on
auto_explain.log_min_duration = 0
auto_explain.log_verbose = on
auto_explain.log_nested_statements = on
deadlock_timeout = 20ms
restart_after_crash = on
EOF
my @destinations = ('log', 'csv', $node->pg_version >= 15 ? 'json' : ());
$node->append_conf('postgresql.conf',
    "log_destination = '" . join(',', 'stderr', 'csvlog', @destinations > 2 ? 'jsonlog' : ()) . "'\n");
my $folder = token_folder($node);
write_pin("$folder/pin", PIN);
write_pin("$folder/so_pin", SO_PIN);

# The plaintexts are "opaque" and a number. calls: the statement names our functions, or what is logged tells of them.
my $parallel = $node->pg_version >= 16 ? 'debug_parallel_query' : 'force_parallel_mode';
my @statements = (
    [ calls => q{SELECT tp_is_encrypted(tp_encrypt('opaque01'))} ],
    [ calls => q{SELECT "public" . "tp_is_encrypted"(public."tp_encrypt"('opaque02', ''))} ],
    [ calls => q{SELECT U&"t\0070_is_encrypted"(U&"t\0070_encrypt"('opaque03'))} ],
    [ calls => q{INSERT INTO secret (value) VALUES (TP_ENCRYPT('opaque04'))} ],
    [ calls => q{INSERT INTO secret (id, value) VALUES (1, tp_encrypt('opaque05'))} ],    # a duplicate key
    [ calls => q{INSERT INTO secret (note, value) VALUES ('opaque06', tp_encrypt('a'))} ],    # breaks a CHECK
    [ calls => q{SELECT tp_encrypt('opaque07'::int::text)} ],
    [ calls => q{SELEC tp_encrypt('opaque08')} ],
    [ calls => q{SELECT tp_encrypt('a') 'opaque09'} ],    # the message quotes it
    [ calls => q{SELECT tp_encrypt('opaque10', key => 'none')} ],
    [ calls => q{SELECT tp_sign('opaque44', 'nokey')} ],    # data in the place of a name
    [ calls => q{SELECT tp_blind_index('x', '', 'opaque45"')} ],
    [ calls => q{DO $$ BEGIN PERFORM tp_encrypt('opaque11'); RAISE NOTICE 'opaque11'; END $$} ],
    [ calls => q{DO $$ BEGIN PERFORM tp_encrypt('a');
        RAISE EXCEPTION 'opaque12' USING DETAIL = 'opaque12', HINT = 'opaque12'; END $$} ],
    [ calls => q{BEGIN; DECLARE c CURSOR FOR SELECT tp_is_encrypted(tp_encrypt('opaque13')); FETCH c; COMMIT} ],
    [ calls => q{COPY (SELECT tp_is_encrypted(tp_encrypt('opaque14'))) TO STDOUT} ],
    [ calls => qq{COPY secret (value) FROM STDIN;\nopaque15\n\\.\n} ],    # the domain tp_encrypted refuses it
    [ calls => q{SET statement_timeout = 50; SELECT tp_encrypt('opaque16'), pg_sleep(60); RESET statement_timeout} ],
    [ calls => q{CREATE TABLE made AS SELECT tp_encrypt('opaque17') AS v; DROP TABLE made} ],
    [ calls => qq{COPY django (value) FROM STDIN;\nopaque35\n\\.\n} ],    # a CHECK that needs no key refuses it
    [ calls => qq{COPY parts (value) FROM STDIN;\nopaque36\n\\.\n} ],    # another CHECK does, after one has called us
    [ calls => q{BEGIN; INSERT INTO late SELECT 'opaque37', tp_encrypt('a') FROM generate_series(1, 2); COMMIT} ],
    [ calls => q{SELECT tp_decrypt(tp_encrypt('opaque18'), 'another context')} ],
    [ calls => q{SELECT tp_is_encrypted(tp_encrypt('opaque19'::bytea))} ],
    [ calls => qq{SET $parallel = on; SELECT tp_decrypt(value)::int, 'opaque20' FROM secret; RESET $parallel} ],
    [ plain => q{SELECT 'opaque21'} ],
    [ plain => q{INSERT INTO secret (note) VALUES ('opaque22')} ],
    [ plain => q{SELECT save('a', 'opaque23')} ],
    [ plain => q{PREPARE p (text) AS SELECT tp_is_encrypted(tp_encrypt($1)), $1::int; EXECUTE p('opaque24')} ],
    [ plain => qq{COPY secret (id) FROM STDIN;\nopaque25\n\\.\n} ],
    [ plain => q{DO $$ BEGIN EXECUTE 'SELECT $1::int' USING 'opaque26'; END $$} ],
    [ plain => q{SELECT opaque27 FROM secret} ],
    [ plain => q{LISTEN opaque28; NOTIFY opaque28, 'opaque28'} ]);

# Runs it all with a setting. Returns what clients were told, and the logs by destination.
sub run_all {
    my ($setting) = @_;
    $node->append_conf('postgresql.conf', "trustpoint.redact_log = '$setting'\nlog_filename = '$setting.log'\n");
    $node->start;
    if ($setting eq 'off') {
        set_up($node);
        $node->safe_psql('postgres', q{
            CREATE TABLE secret (id serial PRIMARY KEY, note text CHECK (length(note) < 3), value tp_encrypted);
            INSERT INTO secret (value) VALUES (tp_encrypt('a'));
            CREATE TABLE django (value bytea CHECK (tp_is_encrypted(value)));
            CREATE TABLE parts (value text CONSTRAINT a CHECK (tp_context(value) > ''), CONSTRAINT b CHECK (value = ''));
            CREATE TABLE late (note text UNIQUE DEFERRABLE INITIALLY DEFERRED, value tp_encrypted);
            CREATE FUNCTION save(note text, value text) RETURNS void LANGUAGE plpgsql AS
                $$ BEGIN INSERT INTO secret (note, value) VALUES (note, tp_encrypt(value)); END $$});
    }
    my ($out, $errors);
    $node->psql('postgres', join('', map { $_->[1] . ($_->[1] =~ /\n\z/ ? '' : ";\n") } @statements),
        stdout => \$out, stderr => \$errors, on_error_stop => 0,
        extra_params => [ '-v', 'VERBOSITY=verbose', '-v', 'SHOW_CONTEXT=always' ]);
    # Bound parameters, in both of the client's ways, of a statement that works and of one that fails.
    for my $mode ('extended', 'prepared') {
        for ([ 'opaque31', 'SELECT tp_is_encrypted(tp_encrypt(:secret))' ],
            [ 'opaque32', 'SELECT tp_is_encrypted(tp_encrypt(:secret)), 1 / (length(:secret::text) - 8)' ]) {
            my ($secret, $statement) = @$_;
            my $script = "$folder/script.sql";
            write_pin($script, "$statement;\n");
            my $told;
            IPC::Run::run([ 'pgbench', '-n', '-t1', '-M', $mode, '-D', "secret=$secret", '-f', $script, $node->connstr('postgres') ],
                '>', \my $ignored, '2>', \$told);
            $errors .= join '', map { "$_\n" } grep { /ERROR|DETAIL|HINT|CONTEXT/ } split /\n/, $told;
        }
    }
    # Whoever detects a deadlock logs the statement of the other, or its beginning, which need not name us.
    my $long = 'x' x 1100;
    for my $value (q{tp_encrypt('opaque33')}, qq{CASE 'opaque38$long' WHEN '' THEN NULL ELSE tp_encrypt('a') END}) {
        my @rivals = map { session($node) } 1, 2;
        $node->safe_psql('postgres', q{DELETE FROM secret WHERE id <> 1; INSERT INTO secret (id) VALUES (-1), (-2)});
        ask($rivals[0], "SET deadlock_timeout = '1h'");
        ask($rivals[$_], 'BEGIN; UPDATE secret SET note = NULL WHERE id = ' . ($_ - 2)) for 0, 1;
        $rivals[$_]->query_until(qr/started/, "\\echo started\nUPDATE secret SET value = " . ($_ ? 'NULL' : $value) . " WHERE id = " . (-1 - $_) . ";\n")
          for 0, 1;
        $node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE state LIKE '%(aborted)'})
          or die 'no deadlock';
        $_->quit for @rivals;
    }
    # The postmaster logs the statement of a backend that crashed.
    for my $value (q{tp_encrypt('opaque34')}, "'opaque39$long', tp_encrypt('a')") {
        my $victim = session($node);
        my $pid = ask($victim, 'SELECT pg_backend_pid()');
        $victim->query_until(qr/started/, "\\echo started\nSELECT $value, pg_sleep(600);\n");
        $node->poll_query_until('postgres', "SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = $pid") or die;
        kill 'KILL', $pid;
        eval { $victim->quit };
        $node->poll_query_until('postgres', 'SELECT true') or die 'the server does not come back';
    }
    $node->stop;
    my %log = map { $_ => slurp_file($node->data_dir . "/log/$setting." . ($_ eq 'log' ? 'log' : $_)) } @destinations;
    $log{start} = slurp_file($node->logfile);
    return ("$out\n$errors", \%log);
}

# The numbers of the plaintexts in a text, written as they are, in hex, or in decimal as in a parse tree.
sub opaque {
    my ($text) = @_;
    my %found;
    $found{$1} = 1 while $text =~ /opaque(\d\d)/gi;
    $found{ pack 'H*', $1 } = 1 while $text =~ /6f7061717565(3\d3\d)/gi;
    $found{ chr($1) . chr($2) } = 1 while $text =~ /111 112 97 113 117 101 (\d\d) (\d\d)/g;
    return join ' ', sort keys %found;
}
my @calls = sort map { $_->[1] =~ /opaque(\d\d)/ } grep { $_->[0] eq 'calls' } @statements;
push @calls, 31 .. 34, 38, 39;
my @plain = sort map { $_->[1] =~ /opaque(\d\d)/ } grep { $_->[0] eq 'plain' } @statements;

my %told;
my %logs;
($told{$_}, $logs{$_}) = run_all($_) for 'off', 'calls', 'all';

for my $destination (@destinations) {
    is(opaque($logs{off}{$destination}), join(' ', sort(@calls, @plain)), "$destination, off: every plaintext is found");
    is(opaque($logs{calls}{$destination}), join(' ', @plain), "$destination, calls: those of other statements are");
    is(opaque($logs{all}{$destination}), '', "$destination, all: none is");
    unlike($logs{all}{$destination}, qr/opaque|6f7061717565|111 112 97 113/i, "$destination, all: nor a part of one");
}
# What only the log of `off` may hold, and what must be left.
like($logs{off}{log}, qr/6f7061717565/, 'off: in hex too');
like($logs{off}{log}, qr/111 112 97 113 117 101/, 'off: in parse trees too');
for my $mode ('calls', 'all') {
    my $log = $logs{$mode}{log};
    like($log, qr/LOG:  \w{5}: duration: [\d.]+ ms \(left out by trustpoint.redact_log\)/, "$mode: durations are left");
    like($log, qr/ERROR:  23514: new row for relation "%s" violates check constraint "%s" \(left out/, "$mode: errors too");
    like($log, qr/ERROR:  22000: the value could not be authenticated\n.*DETAIL:  It was encrypted with another/,
        "$mode: ours as they are");
    like($log, qr/ERROR:  42704: the token has no key "..."\n.*HINT:  tp_hsm_keys\(\) lists the keys/, "$mode: but for names");
    like($log, qr/LOG:  \w{5}: server process \(PID \d+\) was terminated by signal 9/, "$mode: how a backend crashed too");
    like($log, qr/trustpoint audit: \{"event": "open_dek"/, "$mode: and our audit");
}
like($logs{all}{log}, qr/LOG:  \w{5}: database system is ready to accept connections/, 'all: other processes log as ever');
unlike($logs{all}{log}, qr/STATEMENT:  /, 'all: no statement');
like($logs{calls}{log}, qr/STATEMENT:  SELECT opaque27 FROM secret/, 'calls: other statements');

# Clients see no difference,
# but for numbers and ciphertext.
sub comparable { my ($text) = @_; return $text =~ s/\(\d+, /(N, /gr =~ s/\\x[0-9a-f]+/X/gr =~ s/PID \d+|\d{6,}/N/gr; }
is(comparable($told{$_}), comparable($told{off}), "$_: clients are told the same") for 'calls', 'all';
like($told{off}, qr/opaque12/, 'which is what they were always told');

# PINs and keys are in no log at all. The SO PIN and the PIN were sent under `off`.
my ($kek, $wrapped, %keys);
$node->start;
($kek, $wrapped) = split / /, $node->safe_psql('postgres',
    q{SELECT encode(kek_id, 'hex') || ' ' || encode(wrapped, 'hex') FROM tp_dek});
{
    local $ENV{SOFTHSM2_CONF} = softhsm_conf($node);
    my ($out, $errors) = ('', '');
    IPC::Run::run([ $print_dek, softhsm_module(), 'tp', PIN, $kek, $wrapped ], '>', \$out, '2>', \$errors) or die $errors;
    $keys{$1} = $2 while $out =~ /^(\w+) (\w{64})$/mg;
}
ok(exists $keys{dek}, 'the DEK is known');
my $everything = join '', map { values %$_ } values %logs;
for my $secret (PIN, SO_PIN, map { $_, pack('H*', $_), substr(encode_base64(pack('H*', $_), ''), 0, 40) } values %keys) {
    is(index(lc $everything, lc $secret), -1, 'a PIN or key is in no log');
}

# Without preloading it works in a session that has used us, from then on.
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\nlog_filename = 'late.log'\ntrustpoint.redact_log = 'calls'\n");
$node->restart;
$node->safe_psql('postgres', "SELECT tp_encrypt('opaque51');\nSELECT tp_encrypt('opaque52');");
$node->stop;
my $late = opaque(slurp_file($node->data_dir . '/log/late.log'));
is($late, '51', 'not preloaded: the first statement is logged, later ones are not');

done_testing();
