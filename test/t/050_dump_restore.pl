# Values survive every way a database is copied: dump, template, base backup, standby; and the grants with them.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TrustpointCluster;

my $node = new_cluster('primary', conf => "wal_level = replica\nmax_wal_senders = 5\nhot_standby = on\nfsync = off\n");
append_to_file($node->data_dir . '/pg_hba.conf', "local replication all trust\n");
$node->reload;
$node->safe_psql('postgres', q{CREATE DATABASE app; CREATE ROLE writer LOGIN; CREATE ROLE reader LOGIN; CREATE ROLE tenant_app LOGIN;
    CREATE ROLE keeper LOGIN; CREATE ROLE nobody LOGIN});
set_up($node, 'app');
$node->safe_psql('app', q{
    CREATE TABLE secret (id int PRIMARY KEY, key text, value tp_encrypted);
    SELECT tp_create_dek('tenant');
    SELECT tp_create_dek('other');
    INSERT INTO secret SELECT i, k, tp_encrypt('secret ' || i, tp_context('secret', i::text), k)
        FROM generate_series(1, 200) i, LATERAL (SELECT (ARRAY['default', 'tenant', 'other'])[i % 3 + 1]) k(k);
    SELECT tp_rotate_dek();
    INSERT INTO secret SELECT i, 'default', tp_encrypt('secret ' || i, tp_context('secret', i::text)) FROM generate_series(201, 300) i;
    SET trustpoint.cipher = 'aes-256-gcm';
    INSERT INTO secret SELECT i, 'default', tp_encrypt('secret ' || i, tp_context('secret', i::text)) FROM generate_series(301, 400) i;
    GRANT SELECT ON secret TO PUBLIC;
    SELECT tp_grant('writer', 'encrypt'), tp_grant('reader', 'decrypt'), tp_grant('keeper', 'keys'),
        tp_grant('tenant_app', 'encrypt', 'tenant'), tp_grant('tenant_app', 'decrypt', 'tenant')});

my $all = q{SELECT count(*) FROM secret WHERE tp_decrypt(value, tp_context('secret', id::text)) = 'secret ' || id};

sub reads_all {
    my ($name, $where, $database) = @_;
    is(try_sql($where, $database, $all), '400', "$name: every value decrypts");
    is(try_sql($where, $database, 'SELECT count(*), count(*) FILTER (WHERE ok) FROM tp_verify_keys()'), '4|4',
        "$name: tp_verify_keys finds all well");
}

sub has_grants {
    my ($name, $where, $database) = @_;
    my $encrypt = sub { return "SELECT octet_length(tp_encrypt('x', '', '$_[0]'))" };
    my $decrypt = sub { return "SELECT count(tp_decrypt(value, tp_context('secret', id::text))) FROM secret WHERE key = '$_[0]'" };
    my @cases = (
        [ 'writer', $encrypt->('default'), qr/^46$/ ], [ 'writer', $decrypt->('default'), qr/^42501/ ],
        [ 'reader', $decrypt->('other'), qr/^67$/ ], [ 'reader', $encrypt->('default'), qr/^42501/ ],
        [ 'tenant_app', $encrypt->('tenant'), qr/^46$/ ], [ 'tenant_app', $decrypt->('tenant'), qr/^67$/ ],
        [ 'tenant_app', $encrypt->('default'), qr/^42501/ ], [ 'tenant_app', $decrypt->('other'), qr/^42501/ ],
        [ 'keeper', 'SELECT count(*) FROM tp_verify_keys()', qr/^\d+$/ ], [ 'keeper', $decrypt->('default'), qr/^42501/ ],
        [ 'keeper', 'SELECT count(*) FROM tp_keyring', qr/^\d+$/ ], [ 'keeper', 'SELECT wrapped FROM tp_dek', qr/^42501/ ],
        [ 'nobody', $encrypt->('default'), qr/^42501/ ], [ 'nobody', $decrypt->('default'), qr/^42501/ ]);
    like(try_sql($where, $database, $_->[1], role => $_->[0]), $_->[2], "$name: $_->[0]: $_->[1]") for @cases;
}

reads_all('the database itself', $node, 'app');
has_grants('the database itself', $node, 'app');

# ---- pg_dump

my $folder = $node->basedir;
$node->command_ok([ 'pg_dump', '--no-sync', '-f', "$folder/plain", '-d', $node->connstr('app') ], 'pg_dump, plain');
$node->command_ok([ 'pg_dump', '--no-sync', '-Fc', '-f', "$folder/custom", '-d', $node->connstr('app') ], 'pg_dump, custom');

sub restore {
    my ($name, $database, $format) = @_;
    my $connection = $node->connstr($database);
    return $node->command_ok($format eq 'plain'
        ? [ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-1', '-d', $connection, '-f', "$folder/plain" ]
        : [ 'pg_restore', '--exit-on-error', '-1', '-d', $connection, "$folder/custom" ], "$name: restored");
}

for my $format ('plain', 'custom') {
    $node->safe_psql('postgres', "CREATE DATABASE $format");
    restore("$format dump", $format, $format);
    reads_all("$format dump", $node, $format);
    has_grants("$format dump", $node, $format);
    is($node->safe_psql($format, 'TABLE tp_dek_grant ORDER BY 1, 2, 3'), $node->safe_psql('app', 'TABLE tp_dek_grant ORDER BY 1, 2, 3'),
        "$format dump: the limits to names");
    is($node->safe_psql($format, 'SELECT key_id FROM tp_inspect(tp_encrypt(\'x\'))'),
        $node->safe_psql('app', 'SELECT key_id FROM tp_inspect(tp_encrypt(\'x\'))'), "$format dump: the same DEK is active");
    like($node->safe_psql($format, 'SELECT tp_rotate_dek()'), qr/^\d+$/, "$format dump: and can be rotated");
    is(try_sql($node, $format, $all), '400', "$format dump: which leaves the values readable");
}
like(try_sql($node, 'app', "SELECT tp_decrypt('" . $node->safe_psql('plain', q{SELECT tp_encrypt('x')}) . "')"), qr/^42704/,
    'a DEK of the copy is unknown to the original');

# Into a database with keys of its own: both live side by side.
for my $format ('plain', 'custom') {
    my $database = "beside_$format";
    $node->safe_psql('postgres', "CREATE DATABASE $database");
    my $own = set_up($node, $database);
    my $value = $node->safe_psql($database, q{SELECT tp_encrypt('own')});
    $node->safe_psql($database, q{SELECT tp_grant('tenant_app', 'encrypt', 'tenant')});
    my $session = session($node, $database);
    is(ask($session, "SELECT tp_decrypt('$value')"), 'own', "$database: a value of its own");
    restore($database, $database, $format);
    is(ask($session, $all), '400', "$database: every restored value decrypts, in a session that was open");
    is(ask($session, "SELECT tp_decrypt('$value')"), 'own', "$database: and its own");
    is(ask($session, q{SELECT count(*), count(*) FILTER (WHERE ok) FROM tp_verify_keys()}), '5|5', "$database: five DEKs");
    is(ask($session, 'SELECT count(*) FROM tp_kek'), '1', "$database: under one KEK, since it is one token");
    like(ask($session, q{SELECT key_id FROM tp_inspect(tp_encrypt('x'))}), qr/^$own$/, "$database: the newest DEK encrypts");
    has_grants($database, $node, $database);
    my $rotated = ask($session, 'SELECT tp_rotate_dek()');
    is(ask($session, q{SELECT string_agg(id::text, '') FROM tp_dek WHERE name = 'default' AND state = 'active'}), $rotated,
        "$database: a rotation retires them all");
    $session->quit;
}

# ---- TEMPLATE

$node->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE app');
reads_all('a database made with TEMPLATE', $node, 'copy');
has_grants('a database made with TEMPLATE', $node, 'copy');
my $copied = $node->safe_psql('copy', q{SELECT tp_encrypt('written in the copy')});
is($node->safe_psql('app', "SELECT tp_decrypt('$copied')"), 'written in the copy', 'TEMPLATE shares its DEKs until a rotation');

# ---- an own schema, out of every search_path

for my $schema ('tp', 'Trust Point') {
    my $database = $schema eq 'tp' ? 'own_schema' : 'odd_schema';
    $node->safe_psql('postgres', "CREATE DATABASE $database");
    is($node->safe_psql($database, qq{CREATE SCHEMA "$schema"; CREATE EXTENSION trustpoint SCHEMA "$schema"; SET search_path = '';
        SELECT "$schema".tp_setup() > 0;
        CREATE TABLE public.secret (value "$schema".tp_encrypted);
        INSERT INTO public.secret VALUES ("$schema".tp_encrypt('hidden', "$schema".tp_context('a')));
        GRANT SELECT ON public.secret TO PUBLIC;
        SELECT "$schema".tp_grant('reader', 'decrypt'), "$schema".tp_grant('keeper', 'keys'),
            "$schema".tp_grant('tenant_app', 'encrypt', 'default');}), "t\n||", "schema $schema: set up, with an empty search_path");
    $node->safe_psql($database, qq{SELECT "$schema".tp_create_dek('other')});
    my $read = qq{SET search_path = ''; SELECT "$schema".tp_decrypt(value, "$schema".tp_context('a')) FROM public.secret};
    is(try_sql($node, $database, $read, role => 'reader'), 'hidden', "schema $schema: granted");
    like(try_sql($node, $database, $read, role => 'nobody'), qr/^42501/, "schema $schema: not granted");
    my $encrypt = sub { return qq{SET search_path = ''; SELECT octet_length("$schema".tp_encrypt('x', '', '$_[0]'))} };
    is(try_sql($node, $database, $encrypt->('default'), role => 'tenant_app'), '46', "schema $schema: limited to a name");
    like(try_sql($node, $database, $encrypt->('other'), role => 'tenant_app'), qr/^42501/, "schema $schema: which holds");
    my $rotated = try_sql($node, $database, qq{SELECT "$schema".tp_rotate_dek()}, role => 'keeper');
    like($rotated, qr/^\d+$/, "schema $schema: rotated by a role that owns nothing");
    # A table of the same name in front of it misleads nobody.
    is($node->safe_psql($database, qq{CREATE TABLE public.tp_dek (LIKE "$schema".tp_dek); CREATE TABLE public.tp_kek ();
        SELECT key_id FROM "$schema".tp_inspect("$schema".tp_encrypt('x'))}), $rotated, "schema $schema: a decoy is not looked at");
    $node->safe_psql($database, qq{DROP TABLE public.tp_dek, public.tp_kek; SELECT "$schema".tp_revoke('tenant_app', 'encrypt')});
    like(try_sql($node, $database, $encrypt->('default'), role => 'tenant_app'), qr/^42501/, "schema $schema: revoked");
    $node->safe_psql('postgres', "CREATE DATABASE ${database}_2");
    $node->command_ok([ 'pg_dump', '--no-sync', '-f', "$folder/$database", '-d', $node->connstr($database) ], "schema $schema: dumped");
    $node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-d', $node->connstr("${database}_2"), '-f', "$folder/$database" ],
        "schema $schema: restored");
    is(try_sql($node, "${database}_2", $read, role => 'reader'), 'hidden', "schema $schema: decrypts there");
}

# ---- DROP EXTENSION and CREATE EXTENSION in one session

my ($dropping, $watching) = (session($node, 'copy'), session($node, 'copy'));
my $old = ask($dropping, q{SELECT tp_encrypt('old')});
my $read_old = "SELECT tp_decrypt('$old')";
is(ask($_, $read_old), 'old', 'before the extension is dropped') for $dropping, $watching;
ask($dropping, 'BEGIN; DROP EXTENSION trustpoint CASCADE; CREATE EXTENSION trustpoint');
like(ask($dropping, q{SELECT tp_encrypt('new')}), qr/^42704: there is no DEK named "default"/, 'dropped and made anew: no DEK');
ask($dropping, 'ROLLBACK');
is(ask($_, $read_old), 'old', 'unless it is rolled back') for $dropping, $watching;
ask($dropping, 'DROP EXTENSION trustpoint CASCADE');
like(ask($_, $read_old), qr/^42883: function tp_decrypt/, 'dropped') for $dropping, $watching;
ask($dropping, 'CREATE EXTENSION trustpoint');
like(ask($_, $read_old), qr/^42704: there is no DEK with id \d+ in this database/, 'made anew: the old values are refused')
  for $dropping, $watching;
like(ask($watching, q{SELECT tp_encrypt('new')}), qr/^42704: there is no DEK named "default"/, 'and no DEK serves');
like(ask($dropping, 'SELECT tp_setup()'), qr/^\d+$/, 'set up anew');
my $new = ask($dropping, q{SELECT tp_encrypt('new')});
is(ask($_, "SELECT tp_decrypt('$new')"), 'new', 'new values work') for $dropping, $watching;
like(ask($_, $read_old), qr/^42704/, 'old ones do not') for $dropping, $watching;
$_->quit for $dropping, $watching;

# ---- pg_basebackup, and a standby

$node->backup('base');
ok(!-e $node->backup_dir . '/base/pg_stat_tmp/trustpoint.pin', 'a base backup has no memo of PINs');
my $restored = PostgreSQL::Test::Cluster->new('restored');
$restored->init_from_backup($node, 'base');
$restored->start;
reads_all('pg_basebackup', $restored, 'app');
has_grants('pg_basebackup', $restored, 'app');
$restored->stop;

my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
reads_all('standby', $standby, 'app');
is(try_sql($standby, 'app', $all, role => 'reader'), '400', 'standby: for a role with a grant');
my $on_standby = session($standby, 'app');
is(ask($on_standby, q{BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(tp_decrypt(value, tp_context('secret', id::text))) FROM secret}),
    '400', 'standby: an open transaction');
my $rotated = $node->safe_psql('app', 'SELECT tp_rotate_dek()');
my $value = $node->safe_psql('app', q{SELECT tp_encrypt('after the rotation')});
$node->wait_for_catchup($standby);
is(ask($on_standby, "SELECT tp_decrypt('$value')"), 'after the rotation', 'standby: sees a rotation, inside the transaction');
is(ask($on_standby, 'SELECT tp_load_dek()'), $rotated, 'standby: and which DEK is active now');
ask($on_standby, 'COMMIT');
$node->safe_psql('app', "UPDATE tp_dek SET state = 'disabled' WHERE id = $rotated");
$node->wait_for_catchup($standby);
like(ask($on_standby, "SELECT tp_decrypt('$value')"), qr/^55000: DEK $rotated/, 'standby: and that one is disabled');
$node->safe_psql('app', "UPDATE tp_dek SET state = 'active' WHERE id = $rotated");
$node->wait_for_catchup($standby);
is(ask($on_standby, "SELECT tp_decrypt('$value')"), 'after the rotation', 'standby: and active again');
for my $call (q{tp_encrypt('x')}, q{tp_encrypt('\x00'::bytea)}, "tp_rewrap('$value')", 'tp_rotate_dek()', 'tp_setup()', q{tp_create_dek('y')},
    q{tp_grant('nobody', 'encrypt')}) {
    like(ask($on_standby, "SELECT $call"), qr/^25006: cannot execute /, "standby: $call is refused");
}
my $on_primary = session($node, 'app');
ask($on_primary, 'BEGIN READ ONLY');
for my $call ('tp_rotate_dek()', 'tp_setup()', q{tp_create_dek('y')}) {
    like(ask($on_primary, "SAVEPOINT s; SELECT $call"), qr/^25006: cannot execute tp_\w+\(\) in a read-only transaction/,
        "read-only transaction: $call is refused");
    ask($on_primary, 'ROLLBACK TO s');
}
is(ask($on_primary, "SELECT tp_decrypt('$value')"), 'after the rotation', 'read-only transaction: decrypts');
$on_primary->quit;

$standby->promote;
is(ask($on_standby, q{SELECT tp_decrypt(tp_encrypt('promoted'))}), 'promoted', 'promoted: encrypts, in the open session');
like(ask($on_standby, 'SELECT tp_rotate_dek()'), qr/^\d+$/, 'promoted: rotates');
is(ask($on_standby, $all), '400', 'promoted: every value decrypts');
$on_standby->quit;
$standby->stop;
$node->stop;
done_testing();
