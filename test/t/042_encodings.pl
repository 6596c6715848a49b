# What goes in comes out, in every size and database encoding; what cannot come out as text is refused without a byte of it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TrustpointCluster;

my $node = new_cluster('encodings', conf => "log_error_verbosity = verbose\nlog_min_messages = debug1\n"
      . "log_statement = none\nmax_wal_size = '4GB'\nfsync = off\n");
my %database = (utf8 => 'UTF8', latin1 => 'LATIN1', sql_ascii => 'SQL_ASCII');
$node->safe_psql('postgres', "CREATE DATABASE $_ TEMPLATE template0 ENCODING '$database{$_}' LOCALE 'C'") for keys %database;
set_up($node, $_) for 'utf8', 'latin1', 'sql_ascii';

# Text of a number of bytes: bytes of UTF-8 or of LATIN1, which the database takes as they are.
my %source = (
    utf8 => q{convert_from('\xc3a9e282ac20f09f98802041c3bf', 'UTF8')},    # e acute, euro, smiley, A, y diaeresis
    latin1 => q{convert_from('\xe9ff204131c4a0d7', 'LATIN1')},
    sql_ascii => q{convert_from('\xc3a9e282ac20f09f98802041c3bf', 'SQL_ASCII')});

# ---- every size, in a table, with NULL

for my $database (sort keys %database) {
    for my $suite ('xaes-256-gcm', 'aes-256-gcm') {
        my $name = "$database, $suite";
        # Texts of n bytes: whole patterns, the rest filled with ASCII.
        my $script = qq{
            SET trustpoint.cipher = '$suite';
            CREATE TABLE "$suite" AS
            SELECT n, CASE WHEN n IS NOT NULL THEN repeat(s.pattern, n / octet_length(s.pattern))
                || left('filling-filling', n % octet_length(s.pattern)) END AS plain,
                CASE WHEN n IS NOT NULL THEN substring(decode(repeat(md5(n::text), n / 16 + 1), 'hex') FOR n) END AS bytes
            FROM (VALUES (0), (1), (15), (16), (17), (1000), (10000), (NULL)) v(n), (SELECT $source{$database}) s(pattern);
            ALTER TABLE "$suite" ADD encrypted tp_encrypted, ADD encrypted_bytes tp_encrypted;
            UPDATE "$suite" SET encrypted = tp_encrypt(plain, tp_context('t', n::text)),
                encrypted_bytes = tp_encrypt(bytes, tp_context('b', n::text)) WHERE n IS NOT NULL;
            UPDATE "$suite" SET encrypted = tp_encrypt(plain), encrypted_bytes = tp_encrypt(bytes) WHERE n IS NULL;
        };
        $node->safe_psql($database, $script);
        is($node->safe_psql($database, qq{SELECT count(*), count(encrypted), count(encrypted_bytes),
                bool_and(octet_length(plain) = n AND octet_length(bytes) = n) FROM "$suite"}), '8|7|7|t',
            "$name: all sizes are encrypted, the empty one too, and NULL is NULL");
        is($node->safe_psql($database, qq{SELECT count(*) FROM "$suite" WHERE n IS NOT NULL
                AND tp_decrypt(encrypted, tp_context('t', n::text)) = plain COLLATE "C"
                AND tp_decrypt_bytea(encrypted_bytes, tp_context('b', n::text)) = bytes}), '7', "$name: and come back");
        is($node->safe_psql($database, qq{SELECT tp_decrypt(encrypted) IS NULL AND tp_decrypt_bytea(encrypted) IS NULL
                AND tp_rewrap(encrypted) IS NULL AND tp_inspect(encrypted) IS NULL AND tp_is_encrypted(encrypted) IS NULL
                FROM "$suite" WHERE n IS NULL}), 't', "$name: NULL stays NULL");
        my $utf8 = $database eq 'latin1' ? q{convert(convert_to(plain, 'LATIN1'), 'LATIN1', 'UTF8')}
            : $database eq 'utf8' ? q{convert_to(plain, 'UTF8')} : q{convert_to(plain, 'SQL_ASCII')};
        my $overhead = $suite eq 'aes-256-gcm' ? 33 : 45;
        is($node->safe_psql($database, qq{SELECT count(*) FROM "$suite" WHERE n IS NOT NULL
                AND tp_decrypt_bytea(encrypted, tp_context('t', n::text)) = $utf8
                AND (tp_inspect(encrypted)).plaintext_length = octet_length($utf8)
                AND (tp_inspect(encrypted)).suite = '$suite'
                AND octet_length(encrypted) = octet_length($utf8) + $overhead}), '7',
            "$name: as bytes, text is UTF-8, and the value $overhead bytes longer");
    }
}

# ---- 100 MB

is($node->safe_psql('utf8', qq{
    CREATE UNLOGGED TABLE large (kind text, value bytea);
    ALTER TABLE large ALTER value SET STORAGE EXTERNAL;
    INSERT INTO large SELECT 'text', tp_encrypt(repeat($source{latin1} || 'xy', 10000000), 'large');
    SELECT octet_length(value), (tp_inspect(value)).plaintext_length,
        tp_decrypt(value, 'large') = repeat($source{latin1} || 'xy', 10000000) FROM large}), '150000045|150000000|t',
    'utf8: text of 100 million characters, 150 MB');
is($node->safe_psql('latin1', qq{SELECT tp_decrypt(tp_encrypt(t)) = t FROM repeat($source{latin1} || 'xy', 10000000) t}), 't',
    'latin1: text of 100 million bytes');
like(try_sql($node, 'latin1', q{SELECT tp_encrypt(repeat('x', 268435456))}), qr/^54000: text is too large to convert to UTF-8/,
    'latin1: text of 256 MB is refused before anything is converted');
is($node->safe_psql('utf8', q{
    INSERT INTO large SELECT 'bytea', tp_encrypt(decode(repeat('00ff10a5', 25000000), 'hex'), 'large');
    SELECT octet_length(value), tp_decrypt_bytea(value, 'large') = decode(repeat('00ff10a5', 25000000), 'hex')
    FROM large WHERE kind = 'bytea'}), '100000045|t', 'utf8: bytea of 100 MB');

# ---- NULL arguments, which must not become NULL values

my $value = $node->safe_psql('utf8', q{SELECT tp_encrypt('x')});
for my $call (q{tp_encrypt('x', NULL)}, q{tp_encrypt('x', '', NULL)}, q{tp_encrypt('x', key => NULL)}, q{tp_encrypt('\x00'::bytea, NULL)},
    q{tp_encrypt('\x00'::bytea, '', NULL)}, q{tp_encrypt(NULL::text, NULL)}, q{tp_encrypt(NULL::bytea, '', NULL)},
    "tp_decrypt('$value', NULL)", 'tp_decrypt(NULL, NULL)', "tp_decrypt_bytea('$value', NULL)", "tp_rewrap('$value', NULL)",
    q{tp_context('a', NULL)}, q{tp_context(NULL)}, q{tp_context(VARIADIC NULL)}, q{tp_context(VARIADIC ARRAY['a', NULL])},
    'tp_create_dek(NULL)', q{tp_create_dek('n', NULL)}, 'tp_rotate_dek(NULL)', q{tp_rotate_dek('default', NULL)}, 'tp_load_dek(NULL)',
    'tp_hsm_init_token(NULL)', q{tp_grant(NULL, 'encrypt')}, q{tp_grant('pg_monitor', NULL)}) {
    like(try_sql($node, 'utf8', "SELECT $call"), qr/^22004: /, "$call: 22004");
}
is($node->safe_psql('utf8', q{SELECT tp_encrypt(NULL::text) IS NULL, tp_encrypt(NULL::bytea, 'c') IS NULL, tp_decrypt(NULL) IS NULL,
    tp_decrypt_bytea(NULL, 'c') IS NULL, tp_rewrap(NULL, 'c') IS NULL, tp_decrypt(tp_encrypt('')) = '',
    tp_decrypt_bytea(tp_encrypt(''::bytea)) = '', octet_length(tp_encrypt(''))}), 't|t|t|t|t|t|t|45', 'NULL is NULL, and the empty string is not');

# ---- bytes that are no text: refused as text, readable as bytes

my @not_text = ('41ff42fe4d757374657241', '4d75737465723100', '4d7573746572c3', 'c0af4d7573746572', 'eda0804d7573746572', 'f4908080', 'e282');
for my $database (sort keys %database) {
    $node->safe_psql($database, 'CREATE TABLE no_text (n serial, value bytea)');
    $node->safe_psql($database, join '', map { "INSERT INTO no_text (value) VALUES (tp_encrypt('\\x$_'::bytea, 'c'));" } @not_text);
    my $n = 0;
    for my $bytes (@not_text) {
        my $row = "FROM no_text WHERE n = " . ++$n;
        my ($answer, $errors) = answer_and_errors($node, $database, "SELECT tp_decrypt(value, 'c') $row");
        is($answer, '22021: the value is not valid text', "$database: bytes $bytes are no text");
        unlike($errors, qr/$bytes|Muster|0x|\\x|[^\x20-\x7e\n]/i, "$database: and the message shows none of them");
        is(try_sql($node, $database, "SELECT tp_decrypt_bytea(value, 'c') $row"), "\\x$bytes", "$database: as bytea they come back");
    }
}

# SQL_ASCII holds any bytes as text; only UTF-8 is text here. In a table, since a failed statement is logged.
$node->safe_psql('sql_ascii', q{CREATE TABLE raw AS SELECT convert_from('\x4d7573746572ff4d', 'SQL_ASCII') AS plain});
for my $call ('tp_encrypt(plain)', "tp_encrypt('x', plain)", "tp_encrypt('x', '', plain)", 'tp_context(plain)') {
    my ($answer, $errors) = answer_and_errors($node, 'sql_ascii', "SELECT $call FROM raw");
    like($answer, qr/^22021: the value is not valid text/, "sql_ascii: $call of bytes that are no UTF-8");
    unlike($errors, qr/Muster|0x|4d7573/, 'sql_ascii: and the message shows none of them');
}
is($node->safe_psql('sql_ascii', q{SELECT tp_decrypt_bytea(tp_encrypt(convert_to(plain, 'SQL_ASCII'))) FROM raw}), '\x4d7573746572ff4d',
    'sql_ascii: such bytes go as bytea');

# ---- the same values and keys in another encoding

$node->safe_psql('utf8', q{
    SELECT tp_create_dek(convert_from('\xc3bc62657220', 'UTF8') || 'x');
    CREATE TABLE moved (n int, context text, value bytea);
    INSERT INTO moved VALUES (1, 'plain', tp_encrypt('ascii', 'plain'));
    INSERT INTO moved VALUES (2, convert_from('\xc3a9', 'UTF8'), tp_encrypt(convert_from('\xc3a974c3a9', 'UTF8'), convert_from('\xc3a9', 'UTF8')));
    INSERT INTO moved SELECT 3, c, tp_encrypt('by context', c) FROM tp_context('t', convert_from('\xc3a9', 'UTF8')) c;
    INSERT INTO moved VALUES (4, '', tp_encrypt('by key', '', convert_from('\xc3bc62657220', 'UTF8') || 'x'));
    INSERT INTO moved VALUES (5, '', tp_encrypt(convert_from('\x4d7573746572e282ac', 'UTF8')));
    DROP TABLE large;
});
$node->safe_psql('postgres', "CREATE DATABASE to_$_ TEMPLATE template0 ENCODING '$database{$_}' LOCALE 'C'") for 'latin1', 'sql_ascii';
my $dump = $node->basedir . '/utf8.sql';
$node->command_ok([ 'pg_dump', '--no-sync', '-f', $dump, '-d', $node->connstr('utf8') ], 'dumped');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-d', $node->connstr('to_sql_ascii'), '-f', $dump ], 'restored to_sql_ascii');
# Two tables hold texts in the clear that LATIN1 has no place for.
$node->command_ok([ 'pg_dump', '--no-sync', '-f', $dump, '-T', 'xaes*', '-T', 'aes*', '-d', $node->connstr('utf8') ], 'dumped without the clear texts');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-d', $node->connstr('to_latin1'), '-f', $dump ], 'restored to_latin1');

for my $database ('to_latin1', 'to_sql_ascii') {
    is($node->safe_psql($database, 'SELECT n, tp_decrypt(value, context) FROM moved WHERE n IN (1, 3, 4) ORDER BY n') =~ s/\n/ /gr,
        '1|ascii 3|by context 4|by key', "$database: values, contexts and names of keys from UTF8");
    is($node->safe_psql($database, q{SELECT encode(tp_decrypt_bytea(value, context), 'hex') FROM moved WHERE n = 5}), '4d7573746572e282ac',
        "$database: bytes are the bytes of UTF-8");
    is($node->safe_psql($database, 'SELECT count(*) FROM tp_verify_keys() WHERE NOT ok'), '0', "$database: tp_verify_keys");
}
is($node->safe_psql('to_latin1', q{SELECT tp_decrypt(value, context) = convert_from('\xe974e9', 'LATIN1') FROM moved WHERE n = 2}), 't',
    'to_latin1: characters that have a place');
is($node->safe_psql('to_sql_ascii', q{SELECT tp_decrypt(value, context) = convert_from('\xc3a974c3a9', 'SQL_ASCII') FROM moved WHERE n = 2}), 't',
    'to_sql_ascii: the bytes of UTF-8');
is($node->safe_psql('to_latin1', q{SELECT tp_decrypt(tp_encrypt('y', '', convert_from('\xfc62657220', 'LATIN1') || 'x'))}), 'y',
    'to_latin1: a key by its name in LATIN1');
my ($answer, $errors) = answer_and_errors($node, 'to_latin1', 'SELECT tp_decrypt(value, context) FROM moved WHERE n = 5');
is($answer, '22P05: the text has a character that has no place in encoding LATIN1', 'to_latin1: a character without a place');
unlike($errors, qr/Muster|0x|e2|\\x|[^\x20-\x7e\n]/, 'to_latin1: and the message does not show it');

# ---- names and labels beyond ASCII: found again, and shown to a client that speaks UTF-8

$node->safe_psql('postgres', "CREATE DATABASE $_->[0] TEMPLATE template0 ENCODING '$_->[1]' LOCALE 'C'")
  for [ euc_jp => 'EUC_JP' ], [ by_set => 'LATIN1' ], [ by_file => 'LATIN1' ], [ by_file_too => 'UTF8' ];
$node->safe_psql('postgres', 'CREATE ROLE mallory LOGIN');
set_up($node, 'euc_jp');
my $elsewhere = token_folder($node) . '-2';
make_token_folder($elsewhere);
{
    local $ENV{SOFTHSM2_CONF} = "$elsewhere/softhsm2.conf";
    run_log([ 'softhsm2-util', '--init-token', '--free', '--label', $_, '--pin', '1234', '--so-pin', '12345678' ]) or die
      for 'schlüssel', '日本の鍵';
}
local $ENV{PGCLIENTENCODING} = 'UTF8';
for my $case ([ latin1 => 'schlüssel' ], [ euc_jp => '日本の鍵' ]) {
    my ($database, $name) = @$case;
    $node->safe_psql($database, qq{SELECT tp_create_dek('$name'); SELECT tp_grant('mallory', 'encrypt', 'default'), tp_grant('mallory', 'decrypt', 'default');
        CREATE TABLE named AS SELECT tp_encrypt('x', '', '$name') AS value; GRANT SELECT ON named TO mallory; SELECT tp_rotate_dek('$name')});
    my $id = $node->safe_psql($database, "SELECT id FROM tp_keyring WHERE name = '$name' AND state = 'retired'");
    my $is = sub { is(try_sql($node, $database, $_[0]), $_[1], "$database: $_[1]") };
    is(try_sql($node, $database, $_->[1], role => 'mallory'), qq{42501: role "mallory" may not $_->[0] with DEK "$name"}, "$database: may not $_->[0]")
      for [ encrypt => "SELECT tp_encrypt('x', '', '$name')" ], [ decrypt => 'SELECT tp_decrypt(value) FROM named' ];
    $is->("SELECT tp_encrypt('x', '', '${name}2')", qq{42704: there is no DEK named "${name}2" for purpose "data"});
    $is->("SELECT tp_enable_dek($id)", "55000: DEK $id ($name) is retired, not disabled");
    $is->("SELECT tp_disable_dek($id)", '');
    $is->('SELECT tp_decrypt(value) FROM named', "55000: DEK $id ($name) is disabled");
    $is->(q{SELECT tp_rewrap_problem(value, '') FROM named}, "DEK $id ($name) is disabled");
    $node->safe_psql($database, qq{SELECT tp_enable_dek($id); CREATE TABLE good AS TABLE tp_dek;
        UPDATE tp_dek SET wrapped = set_byte(wrapped, 3, get_byte(wrapped, 3) # 1) WHERE id = $id});
    $is->('SELECT tp_decrypt(value) FROM named', "XX001: the wrapped key of DEK $id ($name) is damaged");
    $is->('SELECT problem FROM tp_verify_keys() WHERE NOT ok', "the wrapped key of DEK $id ($name) is damaged");
    $node->safe_psql($database, "UPDATE tp_dek d SET wrapped = g.wrapped FROM good g WHERE g.id = d.id");
    $is->("SELECT tp_rotate_kek('$name') > 1", 't');
    $is->("SELECT tp_rotate_kek('$name')", qq{42710: the key "$name" in the token is a KEK of this database already});
    my $destroy = "SELECT tp_destroy_kek(id, label) FROM tp_kek WHERE label = '$name'";
    $is->($destroy, qq{55000: the KEK "$name" is the one that wraps new DEKs});
    $is->("SELECT tp_generate_ec_key('$name')", qq{42501: "$name" is, or may become, a key of the keyring});
    $is->("SELECT tp_rotate_kek('kek of $database') > 1", 't');
    my ($answer, $notice) = answer_and_errors($node, $database, $destroy);
    is($answer, '', "$database: an old KEK is destroyed by its label");
    like($notice, qr/NOTICE: .*the KEK "$name" is destroyed/, "$database: and called by it");
    $is->(sprintf(q{BEGIN; SELECT tp_move_to_token('%s', '%s', '%s', 'SOFTHSM2_CONF=%s', kek_label => '%s') > 1; ROLLBACK},
            softhsm_module(), $name, "$elsewhere/pin", "$elsewhere/softhsm2.conf", $name), 't');
    is($node->safe_psql($database, 'SELECT count(*) FROM tp_verify_keys() WHERE NOT ok'), '0', "$database: all keys open");
}
like(slurp_file($node->logfile), qr/"event": "create_dek".*"key": "schl\xfcssel"/, 'the audit trail is in the encoding of the database, as the log');

# The label of a KEK as a session sets it, and as postgresql.conf has it for databases of every encoding.
is(try_sql($node, 'by_set', q{CREATE EXTENSION trustpoint; SET trustpoint.kek_label = 'schlüssel-x'; SELECT tp_setup() > 0}), 't',
    'a label that a session sets');
$node->append_conf('postgresql.conf', "trustpoint.kek_label = 'schlüssel-x'\n");
$node->reload;
for my $database ('by_file', 'by_file_too') {
    $node->poll_query_until($database, q{LOAD 'trustpoint'; SELECT setting <> 'trustpoint-pg-kek' FROM pg_settings WHERE name = 'trustpoint.kek_label'}, "LOAD\nt")
      or die 'not reloaded';
    is(try_sql($node, $database, q{CREATE EXTENSION trustpoint; SELECT tp_setup() > 0}), 't', "$database: a label from the file");
    is($node->safe_psql($database, 'SELECT id, label FROM tp_kek'), $node->safe_psql('by_set', 'SELECT id, label FROM tp_kek'),
        "$database: it is the same KEK");
}
is($node->safe_psql('by_set', 'SELECT label FROM tp_kek'), 'schlüssel-x', 'and it has that label');
like(try_sql($node, 'latin1', q{SELECT tp_import_dek('\x} . '00' x 40 . q{', 'schlüssel-x', NULL)}), qr/^22023: "schlüssel-x" is the label of a KEK/,
    'which no import may name');

# ---- nothing of all that in the log

my $log = slurp_file($node->logfile);
is(scalar(() = $log =~ /ERROR:  22021: the value is not valid text/g), 3 * @not_text + 4, 'the log has the refusals');
is(scalar(() = $log =~ /Muster|4d7573746572|byte sequence|filling|\xc3\xa9|\xe9\xff/gi), 0, 'and no byte of a value');

$node->stop;
done_testing();
