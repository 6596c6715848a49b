# migration/tpsec_migration.sql: a text column of Trustpoint's fields becomes an encrypted one, under a running application.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TpsecFixtures;
use TrustpointCluster;

my $rows = $ENV{TP_MIGRATION_ROWS} // 3000;    # by hand: a million
my $writes = $ENV{TP_MIGRATION_WRITES} // 300;
my $script = "$FindBin::RealBin/../../migration/tpsec_migration.sql";

my $node = new_cluster('migration', conf => <<'EOF');
log_statement = none
# So that plans are parallel where they may be, as they are with a large table.
parallel_setup_cost = 0
parallel_tuple_cost = 0
min_parallel_table_scan_size = 0
EOF
set_up($node);
import_kek($node, 'trustpoint-app-secret-kek', my $kek = random_key(), '01');
my $dek = random_key();
my %wrapped = wrapped_deks($kek, $dek);
$node->safe_psql('postgres', "SELECT tp_import_dek('\\x$wrapped{'cwrap-rfc3394'}', 'trustpoint-app-secret-kek', NULL)");

# The old release knows the text column and has no right on any key; the new one uses the encrypted column.
$node->safe_psql('postgres', q{
    CREATE ROLE old_release LOGIN; CREATE ROLE new_release LOGIN;
    SELECT tp_grant('new_release', 'encrypt'), tp_grant('new_release', 'decrypt');
    CREATE SCHEMA app; GRANT USAGE ON SCHEMA app TO PUBLIC;
    CREATE TABLE app.device (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, secret text NOT NULL DEFAULT '', expected text, note int);
    CREATE TABLE app.pool (n int PRIMARY KEY, field text, plaintext text);
    GRANT ALL ON ALL TABLES IN SCHEMA app TO PUBLIC; GRANT ALL ON ALL SEQUENCES IN SCHEMA app TO PUBLIC});

# Fields of Python's, in both forms, as the old release writes them.
my $n = 0;
my $pool = join ', ', map { sprintf(q{(%d, '%s', convert_from('\x%s', 'UTF8'))}, ++$n, $_->[2], $_->[1]) } fields($dek);
$node->safe_psql('postgres', "INSERT INTO app.pool VALUES $pool");
$node->safe_psql('postgres', qq{
    INSERT INTO app.device (secret, expected) SELECT p.field, p.plaintext FROM generate_series(1, $rows) i
        JOIN app.pool p ON p.n = i % $n + 1 ORDER BY i;
    UPDATE app.device SET secret = 'stored in clear', expected = NULL WHERE id IN (17, 170, 1700);
    UPDATE app.device SET secret = 'dGhpcyBpcyBpbiBjbGVhciBhbmQgbG9uZyBlbm91Z2g=', expected = NULL WHERE id = 18;
    UPDATE app.device SET secret = '} . (fields(random_key()))[2][2] . q{', expected = NULL WHERE id = 19;
    ANALYZE app.device});

# Runs a psql session of its own; the answer of a CALL and what it said.
sub call {
    my ($call) = @_;
    my ($answer, $errors) = answer_and_errors($node, 'postgres', $call);
    return $answer . $errors;
}

# ---- prepare

$node->command_ok([ 'psql', '-Xq', '-d', $node->connstr('postgres'), '-f', $script ], 'the script loads');
my $prepare = q{CALL tpsec_migration.prepare('app.device', 'secret', 'secret_encrypted', $$tp_context('device', 'secret', id::text)$$)};
like(call(q{CALL tpsec_migration.copy('app.device', 'secret')}), qr/^42704: column "secret" of app.device is not being migrated/, 'copy before prepare');
like(call(q{CALL tpsec_migration.prepare('app.device', 'nothing', 'x', 'id::text')}), qr/^42703: app.device has no column "nothing"/, 'no such column');
is(call($prepare), '', 'prepared');
like(call($prepare), qr/^23505/, 'once');
is($node->safe_psql('postgres', q{SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'app.device'::regclass AND contype = 'c'}),
    'CHECK (tp_is_encrypted(secret_encrypted)) NOT VALID', 'the CHECK is there, and not validated');
like(call(q{CALL tpsec_migration.release('app.device', 'secret')}), qr/^55000: column "secret_encrypted" of app.device is not validated/, 'no release yet');

# ---- both releases work from now on

my $bench = $node->basedir;
sub pgbench {
    my ($role, $sql) = @_;
    my $file = "$bench/$role.sql";
    open(my $out, '>', $file) or die $!;
    print $out "\\set id random(1, $rows)\n\\set n random(1, $n)\n$sql;\n";
    close $out;
    my $log = '';
    return IPC::Run::start([ 'pgbench', '-n', '-c', '2', '-t', $writes, '-f', $file, '-h', $node->host, '-p', $node->port, '-U', $role, 'postgres' ],
        '>', \$log, '2>&1');
}
# Clear values are left alone by both, so that their count stays known.
my $except = 'id <> ALL (ARRAY[17, 18, 19, 170, 1700])';

sub run_releases {
    my ($only_new) = @_;
    my @new = pgbench('new_release', qq{UPDATE app.device SET secret_encrypted = tp_encrypt('new ' || :n, tp_context('device', 'secret', id::text)),
            expected = 'new ' || :n WHERE id = :id AND $except;
            SELECT count(tp_decrypt(secret_encrypted, tp_context('device', 'secret', id::text))) FROM app.device
            WHERE id BETWEEN :id AND :id + 20});
    return @new if $only_new;
    return (@new, pgbench('old_release', qq{BEGIN;
            UPDATE app.device d SET secret = p.field, expected = p.plaintext FROM app.pool p WHERE d.id = :id AND p.n = :n AND $except;
            INSERT INTO app.device (secret, expected) SELECT field, plaintext FROM app.pool WHERE n = :n;
            UPDATE app.device SET note = :n WHERE id = :id;
            DELETE FROM app.device WHERE id = (SELECT max(id) FROM app.device WHERE id > $rows) AND random() < 0.3;
            COMMIT}));
}

sub all_well {
    my ($when) = @_;
    is($node->safe_psql('postgres', "SELECT count(*) FROM app.device WHERE $except AND tpsec_decrypt(secret) IS DISTINCT FROM expected"), '0',
        "$when: the old release reads what was written last, by whom it may");
    is($node->safe_psql('postgres', qq{SELECT count(*) FROM app.device WHERE $except AND secret_encrypted IS NOT NULL
        AND tp_decrypt(secret_encrypted, tp_context('device', 'secret', id::text)) IS DISTINCT FROM expected}), '0', "$when: and so does the new one");
}

# ---- copy, with a crash in the middle

my @running = run_releases();
my $copying = session($node);
$copying->{stdin} .= "CALL tpsec_migration.copy('app.device', 'secret', 100);\n";
$copying->{run}->pump_nb;
ok($node->poll_query_until('postgres', 'SELECT count(*) > 200 FROM app.device WHERE secret_encrypted IS NOT NULL'), 'the copy is under way');
$node->stop('immediate');
$_->finish for @running;
eval { $copying->quit };
$node->start;
all_well('after a crash');
my $before = $node->safe_psql('postgres', 'SELECT count(*) FROM app.device WHERE secret_encrypted IS NOT NULL');
cmp_ok($before, '>', 200, 'what was copied before the crash stays');

# Once more to the end, beside the running application and a row that somebody keeps locked.
my $locking = session($node);
ask($locking, 'BEGIN; UPDATE app.device SET note = 1 WHERE id = 1 AND secret_encrypted IS NULL');
@running = run_releases();
$copying = session($node);
$copying->{stdin} .= "CALL tpsec_migration.copy('app.device', 'secret', 100);\n";
$copying->{run}->pump_nb;
for my $release (@running) { ok($release->finish, 'no release saw an error'); }
ask($locking, 'COMMIT');
$locking->quit;
is(ask($copying, ''), '', 'copied');
like($copying->{stderr}, qr/NOTICE: .* rows copied, 5 refused, 5 left/, 'and said how many');
$copying->quit;
all_well('copied');
is($node->safe_psql('postgres', "SELECT count(*) FROM app.device WHERE $except AND secret_encrypted IS NULL"), '0', 'every row that opens has its value');
is($node->safe_psql('postgres', 'SELECT count(*) FROM app.device WHERE NOT tp_is_encrypted(secret_encrypted)'), '0', 'and each is one');

# ---- what was stored in clear is counted and named, never shown

my $pending = "id = 17|in clear\nid = 18|does not open\nid = 19|does not open\nid = 170|in clear\nid = 1700|in clear";
my $list = q{SELECT * FROM tpsec_migration.pending('app.device', 'secret') ORDER BY length("row"), "row"};
is($node->safe_psql('postgres', $list), $pending, 'pending names rows by primary key');
like(call(q{CALL tpsec_migration.validate('app.device', 'secret')}), qr/^55000: 5 rows of app.device have no encrypted value/, 'validate refuses');
$node->restart;
is($node->safe_psql('postgres', $list), $pending, 'the same after a restart');
is(try_sql($node, 'postgres', q{UPDATE app.device SET secret = 'in clear again' WHERE id = 17}, role => 'old_release'), '',
    'the old release may go on writing in clear');
is($node->safe_psql('postgres', $list), $pending, 'and is told of');

# By hand, each where it belongs.
$node->safe_psql('postgres', q{
    UPDATE app.device SET secret_encrypted = tp_encrypt(secret, tp_context('device', 'secret', id::text)), secret = secret || '' WHERE id IN (17, 170);
    UPDATE app.device SET secret_encrypted = tp_encrypt('was in clear', tp_context('device', 'secret', id::text)) WHERE id = 1700;
    UPDATE app.device SET secret = tpsec_encrypt('set anew') WHERE id = 18;
    DELETE FROM app.device WHERE id = 19});
is($node->safe_psql('postgres', $list), '', 'nothing is pending');
is($node->safe_psql('postgres', q{SELECT id, tpsec_decrypt(secret), tp_decrypt(secret_encrypted, tp_context('device', 'secret', id::text))
    FROM app.device WHERE id IN (18, 170, 1700) AND id <> 170 ORDER BY id}), "18|set anew|set anew\n1700|was in clear|was in clear", 'the columns follow each other');

# ---- validate, release, drop

$node->safe_psql('postgres', q{SET session_replication_role = replica;
    UPDATE app.device SET secret = tpsec_encrypt('behind the trigger') WHERE id = 5});
like(call(q{CALL tpsec_migration.validate('app.device', 'secret')}), qr/^XX001: 1 rows of app.device differ/, 'a difference is found');
is($node->safe_psql('postgres', q{SELECT * FROM tpsec_migration.different('app.device', 'secret')}), 'id = 5', 'and named');
$node->safe_psql('postgres', q{UPDATE app.device SET secret = tpsec_encrypt('mended'), expected = 'mended' WHERE id = 5});
is(call(q{CALL tpsec_migration.validate('app.device', 'secret')}), '', 'validated');
is($node->safe_psql('postgres', q{SELECT convalidated FROM pg_constraint WHERE conname = 'secret_encrypted_encrypted'}), 't', 'the CHECK is');
my $filenode = $node->safe_psql('postgres', q{SELECT pg_relation_filenode('app.device')});
@running = run_releases('only the new one');
is(call(q{CALL tpsec_migration.release('app.device', 'secret')}), '', 'released, with the application running');
for my $release (@running) { ok($release->finish, 'the new release saw no error'); }
is($node->safe_psql('postgres', q{SELECT attname, attnotnull FROM pg_attribute WHERE attrelid = 'app.device'::regclass AND attname ~ 'secret' ORDER BY 1}),
    "secret|f\nsecret_encrypted|t", 'NOT NULL is taken over');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_trigger WHERE tgrelid = 'app.device'::regclass}), '0', 'no trigger is left');
$node->safe_psql('postgres', 'ALTER TABLE app.device DROP COLUMN secret; DROP SCHEMA tpsec_migration CASCADE');
is($node->safe_psql('postgres', q{SELECT pg_relation_filenode('app.device')}), $filenode, 'the table was never rewritten');
is(try_sql($node, 'postgres', q{SELECT count(tp_decrypt(secret_encrypted, tp_context('device', 'secret', id::text))) = count(*)
    FROM app.device}, role => 'new_release'), 't', 'the new release reads on');
like(try_sql($node, 'postgres', q{INSERT INTO app.device (secret_encrypted) VALUES ('in clear')}, role => 'new_release'), qr/^23514/,
    'and nobody writes in clear any more');

# ---- names that need quotes, a key of two columns, the extension in a schema of its own, a key that changes

$node->safe_psql('postgres', 'CREATE DATABASE odd');
$node->safe_psql('odd', q{CREATE SCHEMA "Trust Point"; CREATE EXTENSION trustpoint SCHEMA "Trust Point"; SELECT "Trust Point".tp_setup()});
$node->safe_psql('odd', qq{SELECT "Trust Point".tp_import_dek('\\x$wrapped{'cwrap-rfc3394'}', 'trustpoint-app-secret-kek', NULL)});
my ($field) = map { $_->[2] } grep { $_->[1] eq unpack('H*', 'x') } fields($dek);
$node->safe_psql('odd', qq{CREATE TABLE "Odd Table" ("a b" text, "C" int, "Sec'ret" text, PRIMARY KEY ("C", "a b"));
    INSERT INTO "Odd Table" VALUES ('one', 1, '$field'), ('two', 1, 'clear'), ('three', 2, NULL), ('four', 2, '')});
$node->command_ok([ 'psql', '-Xq', '-d', $node->connstr('odd'), '-f', $script ], 'odd names: the script loads');
is(try_sql($node, 'odd', q{CALL tpsec_migration.prepare('"Odd Table"', 'Sec''ret', 'Sec ret', $$tp_context("a b", "C"::text)$$)}), '', 'odd names: prepared');
is(try_sql($node, 'odd', q{SET search_path = ''; CALL tpsec_migration.copy('public."Odd Table"', 'Sec''ret', 1)}), '', 'odd names: copied');
is($node->safe_psql('odd', q{SELECT * FROM tpsec_migration.pending('"Odd Table"', 'Sec''ret')}), 'C = 1, a b = two|in clear', 'odd names: pending');
$node->safe_psql('odd', q{UPDATE "Odd Table" SET "C" = 7 WHERE "C" = 1});
is($node->safe_psql('odd', q{SELECT "a b", "Trust Point".tp_decrypt("Sec ret", "Trust Point".tp_context("a b", "C"::text)), "Sec ret" IS NULL
    FROM "Odd Table" ORDER BY 1}), "four||f\none|x|f\nthree||t\ntwo||t", 'a changed key: the value follows its context');
$node->safe_psql('odd', q{DELETE FROM "Odd Table" WHERE "a b" = 'two'});
is(try_sql($node, 'odd', q{CALL tpsec_migration.validate('"Odd Table"', 'Sec''ret'); CALL tpsec_migration.release('"Odd Table"', 'Sec''ret')}), '',
    'odd names: validated and released');

# ---- names as long as a name can be, values written in clear after validate, dump and restore in between

my $long = 'x' x 63;
my @columns = (secret => $long, other => 'o' x 62);
my %step = map { my $step = $_; $step => sub { "CALL tpsec_migration.$step('thing', '$_[0]')" } } qw(copy validate release);
$node->safe_psql('postgres', 'CREATE DATABASE early; CREATE DATABASE late');
$node->safe_psql('early', qq{CREATE EXTENSION trustpoint; SELECT tp_setup();
    SELECT tp_import_dek('\\x$wrapped{'cwrap-rfc3394'}', 'trustpoint-app-secret-kek', NULL);
    CREATE TABLE thing (id int PRIMARY KEY, secret text, other varchar(5000) NOT NULL);
    INSERT INTO thing VALUES (1, '$field', '$field'), (2, NULL, ''), (3, '', '$field')});
$node->command_ok([ 'psql', '-Xq', '-d', $node->connstr('early'), '-f', $script ], 'long names: the script loads');
for my $column (qw(secret other)) {
    my %target = @columns;
    is(try_sql($node, 'early', "CALL tpsec_migration.prepare('thing', '$column', '$target{$column}', \$\$tp_context('thing', '$column', id::text)\$\$)"),
        '', "long names: prepared $column");
}
my $dump = $node->basedir . '/early.sql';
$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr('early') ], 'a dump before copy');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('late'), '-f', $dump ], 'restored');
for my $database (qw(early late)) {
    my $sql = sub { return try_sql($node, $database, $_[0]) };
    is($sql->("INSERT INTO thing VALUES (4, '$field', '$field')"), '', "$database: the trigger works");
    for my $column (qw(secret other)) {
        is($sql->($step{$_}->($column)), '', "$database: $_ $column") for qw(copy validate);
        is($sql->("UPDATE thing SET $column = 'in clear again' WHERE id = 3"), '', "$database: the old release writes in clear");
        my ($answer, $errors) = answer_and_errors($node, $database, $step{release}->($column));
        like($answer, qr/^55000: 1 rows of thing have no encrypted value/, "$database: no release would lose it");
        like($errors, qr/HINT:  They were written after validate\. Call tpsec_migration\.copy again/, "$database: with a hint");
        is($sql->("UPDATE thing SET $column = 'in clear again' || '' WHERE id = 3"), '', "$database: and the old release goes on");
        is($sql->("UPDATE thing SET $column = tpsec_encrypt('x') WHERE id = 3"), '', "$database: until it is mended");
        ($answer, $errors) = answer_and_errors($node, $database, 'SET client_min_messages = debug1; ' . $step{release}->($column));
        is($answer, '', "$database: released");
        like($errors, qr/existing constraints on column "thing\.o+" are sufficient to prove/, "$database: without reading it under the lock")
          if $column eq 'other';
    }
    is($sql->(q{SELECT string_agg(conname || ' ' || convalidated, ',' ORDER BY conname) FROM pg_constraint
        WHERE conrelid = 'thing'::regclass AND contype = 'c'}), 'o' x 62 . "_ true,$long true", "$database: both keep their CHECK, validated");
    is($sql->(qq{SELECT string_agg(tp_decrypt($long, tp_context('thing', 'secret', id::text)), ',' ORDER BY id), count(*) FROM thing}), 'x,x,x|4',
        "$database: the values");
}

# ---- a text that the database has no place for

$node->safe_psql('postgres', q{CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0});
my ($chinese) = map { $_->[2] } grep { $_->[1] =~ /e4b896/ } fields($dek);
$node->safe_psql('latin', qq{CREATE EXTENSION trustpoint; SELECT tp_setup();
    SELECT tp_import_dek('\\x$wrapped{'cwrap-rfc3394'}', 'trustpoint-app-secret-kek', NULL);
    CREATE TABLE t (secret text); INSERT INTO t VALUES ('$chinese')});
$node->command_ok([ 'psql', '-Xq', '-d', $node->connstr('latin'), '-f', $script ], 'LATIN1: the script loads');
is(try_sql($node, 'latin', q{CALL tpsec_migration.prepare('t', 'secret', 'secret_encrypted', $$'of all'$$);
    SELECT problem FROM tpsec_migration.pending('t', 'secret')}), 'no text of this database', 'a text that has no place in LATIN1 is told of');

my $log = slurp_file($node->logfile);
unlike($log, qr/stored in clear|in clear again/, 'no value is in the log');
$node->stop;
done_testing();
