# ALTER EXTENSION UPDATE from every earlier version: the old SQL works with the new library, and after the update the
# database is as if the newest version had been created in it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TrustpointCluster;

my $node = new_cluster('updates', conf => "fsync = off\n");
$node->safe_psql('postgres', 'CREATE DATABASE fresh; CREATE ROLE app LOGIN; CREATE ROLE keeper LOGIN; CREATE ROLE nobody LOGIN');
set_up($node, 'fresh');
my $newest = $node->safe_psql('fresh', q{SELECT extversion FROM pg_extension WHERE extname = 'trustpoint'});
is($newest, $node->safe_psql('fresh', q{SELECT default_version FROM pg_available_extensions WHERE name = 'trustpoint'}), "the newest version is $newest");
my @older = split /\n/, $node->safe_psql('fresh', qq{SELECT version FROM pg_available_extension_versions WHERE name = 'trustpoint' AND version <> '$newest'
    ORDER BY string_to_array(version, '.')::int[]});
is($older[0], '1.0', 'the oldest is 1.0');
for my $version (@older) {
    isnt($node->safe_psql('fresh', "SELECT path FROM pg_extension_update_paths('trustpoint') WHERE source = '$version' AND target = '$newest'"), '',
        "there is a path from $version");
}

# All that the extension puts into the catalog, by names and texts, without oids.
my $catalog = q{
    WITH member AS (SELECT classid, objid FROM pg_depend JOIN pg_extension e ON refobjid = e.oid
        WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e' AND extname = 'trustpoint'),
    owned AS (SELECT oid FROM pg_class JOIN member ON classid = 'pg_class'::regclass AND objid = oid)
    SELECT line FROM (
        SELECT 'member ' || pg_describe_object(classid, objid, 0) || ' ' || coalesce(obj_description(objid, classid::regclass::text), '-') FROM member
        UNION ALL
        SELECT 'function ' || oid::regprocedure || ' ' || md5(pg_get_functiondef(oid) || pg_get_function_arguments(oid)) || ' '
            || array_to_string(ARRAY(SELECT acl::text FROM unnest(proacl) acl ORDER BY 1), ',') FROM pg_proc JOIN member ON objid = oid AND classid = 'pg_proc'::regclass
            WHERE prokind IN ('f', 'p')
        UNION ALL
        SELECT 'relation ' || oid::regclass || concat_ws(' ', '', relkind, relpersistence, relreplident, relrowsecurity,
            array_to_string(ARRAY(SELECT acl::text FROM unnest(relacl) acl ORDER BY 1), ','), array_to_string(reloptions, ',')) FROM pg_class JOIN owned USING (oid)
        UNION ALL
        SELECT concat_ws(' ', 'column', attrelid::regclass, attnum, attname, format_type(atttypid, atttypmod), attnotnull, attcollation::regcollation,
            pg_get_expr(adbin, adrelid), attidentity, attgenerated, attstorage, col_description(attrelid, attnum))
            FROM pg_attribute JOIN owned ON oid = attrelid LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum WHERE attnum > 0
        UNION ALL
        SELECT 'view ' || oid::regclass || pg_get_viewdef(oid) FROM pg_class JOIN owned USING (oid) WHERE relkind IN ('v', 'm')
        UNION ALL
        SELECT concat_ws(' ', 'constraint', conrelid::regclass, conname, pg_get_constraintdef(c.oid), convalidated) FROM pg_constraint c JOIN owned ON owned.oid = conrelid
        UNION ALL
        SELECT 'domain constraint ' || conname || ' ' || pg_get_constraintdef(c.oid) FROM pg_constraint c JOIN member ON objid = contypid AND classid = 'pg_type'::regclass
        UNION ALL
        SELECT 'index ' || pg_get_indexdef(indexrelid) FROM pg_index JOIN owned ON oid = indrelid
        UNION ALL
        SELECT concat_ws(' ', 'trigger', pg_get_triggerdef(t.oid), tgenabled) FROM pg_trigger t JOIN owned ON owned.oid = tgrelid WHERE NOT tgisinternal
        UNION ALL
        SELECT 'event trigger ' || evtname || ' ' || evtenabled::text FROM pg_event_trigger JOIN member ON objid = oid AND classid = 'pg_event_trigger'::regclass
        UNION ALL
        SELECT 'policy ' || polname || ' ' || polrelid::regclass FROM pg_policy JOIN owned ON owned.oid = polrelid
        UNION ALL
        SELECT 'initial rights ' || pg_describe_object(p.classoid, p.objoid, p.objsubid) || ' '
            || array_to_string(ARRAY(SELECT acl::text FROM unnest(initprivs) acl ORDER BY 1), ',') FROM pg_init_privs p JOIN member ON objid = objoid AND classid = classoid
        UNION ALL
        SELECT concat_ws(' ', 'dumped', c::regclass, condition) FROM pg_extension, unnest(extconfig, extcondition) d (c, condition) WHERE extname = 'trustpoint'
        UNION ALL
        SELECT concat_ws(' ', 'extension', extversion, extrelocatable, extnamespace::regnamespace) FROM pg_extension WHERE extname = 'trustpoint'
    ) AS lines (line) ORDER BY line COLLATE "C"};
my $expected = $node->safe_psql('fresh', $catalog);
cmp_ok(scalar(split /\n/, $expected), '>', 150, 'a fresh database has a catalog to compare with');

my $all = q{SELECT count(*) FROM secret WHERE tp_decrypt(value, tp_context('secret', id::text)) = 'secret ' || id};
my $insert = sub {
    my ($from, $to, $key) = @_;
    return "INSERT INTO secret SELECT n, tp_encrypt('secret ' || n, tp_context('secret', n::text), '$key') FROM generate_series($from, $to) n";
};

for my $version (@older) {
    my $database = 'from_' . $version =~ tr/./_/r;
    $node->safe_psql('postgres', "CREATE DATABASE $database");
    $node->safe_psql($database, "CREATE EXTENSION trustpoint VERSION '$version'");
    is($node->safe_psql($database, q{SELECT extversion FROM pg_extension WHERE extname = 'trustpoint'}), $version, "$version: created");

    # What 1.0 promised, with today's library.
    my $old = session($node, $database);
    like(ask($old, 'SELECT tp_setup()'), qr/^\d+$/, "$version: set up");
    ask($old, 'CREATE TABLE secret (id int PRIMARY KEY, value tp_encrypted); GRANT ALL ON secret TO PUBLIC');
    is(ask($old, $insert->(1, 100, 'default') . ";$all"), '100', "$version: encrypts and decrypts");
    ask($old, q{SELECT tp_create_dek('tenant'), tp_create_dek('default', 'index')});
    ask($old, $insert->(101, 200, 'tenant'));
    like(ask($old, 'SELECT tp_rotate_dek()'), qr/^\d+$/, "$version: rotates");
    ask($old, q{UPDATE secret SET value = tp_rewrap(value, tp_context('secret', id::text)) WHERE id <= 50});
    is(ask($old, $all), '200', "$version: rewraps");
    ask($old, q{SELECT tp_grant('app', 'encrypt'), tp_grant('app', 'decrypt', 'tenant'), tp_grant('app', 'search'), tp_grant('keeper', 'keys')});
    is(try_sql($node, $database, q{SELECT count(tp_decrypt(value, tp_context('secret', id::text))) FROM secret WHERE id > 100}, role => 'app'), '100',
        "$version: grants work");
    like(try_sql($node, $database, 'SELECT tp_setup()', role => 'keeper'), qr/^\d+$/, "$version: the grant of keys does");
    is(ask($old, 'SELECT count(*) FILTER (WHERE ok) FROM tp_verify_keys()'), '4', "$version: verifies");
    for my $call ('tp_status()', 'tp_hsm_info()', 'tp_hsm_slots()', 'tp_hsm_mechanisms()', 'tp_hsm_session()', 'tp_keyring') {
        like(ask($old, "SELECT count(*) > 0 FROM $call"), qr/^t$/, "$version: $call");
    }
    my $keyring = ask($old, 'SELECT id, name, purpose, state, kek_id, check_value FROM tp_keyring ORDER BY id');
    my $grants = ask($old, 'TABLE tp_dek_grant ORDER BY 1, 2, 3');

    # The update, while that session is open and has everything cached.
    is(try_sql($node, $database, 'ALTER EXTENSION trustpoint UPDATE'), '', "$version: updated");
    is($node->safe_psql($database, q{SELECT extversion FROM pg_extension WHERE extname = 'trustpoint'}), $newest, "$version: to $newest");
    my $got = $node->safe_psql($database, $catalog);
    # Rights that were granted here are no difference.
    my $plain = sub { return join "\n", map { s{(?:app|keeper)=[Xr]/postgres,|,(?:app|keeper)=[Xr]/postgres}{}gr } split /\n/, $_[0] };
    my %fresh = map { $_ => 1 } split /\n/, $plain->($expected);
    my %updated = map { $_ => 1 } split /\n/, $plain->($got);
    is_deeply([ grep { !$fresh{$_} } sort keys %updated ], [ grep { !$updated{$_} } sort keys %fresh ], "$version: the catalog is that of a fresh $newest");
    is(ask($old, $all), '200', "$version: the open session reads on");
    is(ask($old, $insert->(201, 210, 'default') . ";$all"), '210', "$version: and writes on");
    $old->quit;
    is($node->safe_psql($database, 'SELECT id, name, purpose, state, kek_id, check_value FROM tp_keyring ORDER BY id'), $keyring, "$version: the same keys");
    is($node->safe_psql($database, 'TABLE tp_dek_grant ORDER BY 1, 2, 3'), $version lt '1.5' ? "$grants\nkeeper|keys|" : $grants, "$version: the same grants, and who had keys");
    like(try_sql($node, $database, 'SELECT tp_setup()', role => 'keeper'), qr/^\d+$/, "$version: who may change keys still may");
    is(try_sql($node, $database, $all), '210', "$version: a new session reads all");
    is(try_sql($node, $database, q{SELECT count(tp_decrypt(value, tp_context('secret', id::text))) FROM secret WHERE id BETWEEN 101 AND 200}, role => 'app'), '100',
        "$version: old grants are good");
    like(try_sql($node, $database, q{SELECT tp_decrypt(value, tp_context('secret', id::text)) FROM secret WHERE id = 1}, role => 'app'), qr/^42501/,
        "$version: within their limits");

    # What is new works too; the grants of before do not open it until they are made again.
    is(try_sql($node, $database, q{SELECT tp_blind_index('a', 'c') = (tp_blind_index_candidates('a', 'c'))[1]}), 't', "$version: blind indexes under the key that was there");
    like(try_sql($node, $database, q{SELECT octet_length(tp_blind_index('a', 'c'))}, role => 'app'), $version lt '1.3' ? qr/^42501/ : qr/^32$/, "$version: a new function is in no old grant");
    $node->safe_psql($database, q{SELECT tp_grant('app', 'search')});
    is(try_sql($node, $database, q{SELECT octet_length(tp_blind_index('a', 'c'))}, role => 'app'), '32', "$version: tp_grant again opens it");
    like(try_sql($node, $database, q{SELECT tp_blind_index('a', 'c')}, role => 'nobody'), qr/^42501/, "$version: nobody has it");
    is(try_sql($node, $database, q{SELECT tpsec_encrypt('') = '' AND tpsec_decrypt('') = ''}), 't', "$version: Trustpoint's fields");

    # And survives a dump, which creates the newest version.
    my $file = $node->basedir . "/$database.sql";
    $node->command_ok([ 'pg_dump', '--no-sync', '-f', $file, '-d', $node->connstr($database) ], "$version: dumped");
    $node->safe_psql('postgres', "CREATE DATABASE copy_of_$database");
    $node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-d', $node->connstr("copy_of_$database"), '-f', $file ], "$version: restored");
    is(try_sql($node, "copy_of_$database", $all), '210', "$version: and read there");
}

# An update that is rolled back, and one to a version on the way.
$node->safe_psql('postgres', 'CREATE DATABASE rolled_back');
$node->safe_psql('rolled_back', q{CREATE SCHEMA "Trust Point"; CREATE EXTENSION trustpoint VERSION '1.0' SCHEMA "Trust Point"; SELECT "Trust Point".tp_setup()});
my $session = session($node, 'rolled_back');
ask($session, 'SET search_path = "Trust Point"');
my $value = ask($session, q{SELECT tp_encrypt('old')});
ask($session, 'BEGIN; ALTER EXTENSION trustpoint UPDATE');
is(ask($session, "SELECT tp_decrypt('$value')"), 'old', 'within the update: reads');
ask($session, 'ROLLBACK');
is(ask($session, "SELECT tp_decrypt('$value')"), 'old', 'rolled back: reads');
is(ask($session, q{SELECT extversion FROM pg_extension WHERE extname = 'trustpoint'}), '1.0', 'rolled back: the old version');
is(ask($session, "ALTER EXTENSION trustpoint UPDATE TO '$_'; SELECT tp_decrypt('$value')"), 'old', "step by step: $_") for @older[1 .. $#older], $newest;
is(ask($session, 'SELECT octet_length(tp_encrypt(tp_decrypt(tp_encrypt(\'x\'))))'), '46', 'in a schema of its own');
is(ask($session, q{SELECT tp_grant('app', 'search')}), '', 'and grants there');
$session->quit;

$node->restart;
for my $version (@older) {
    my $database = 'from_' . $version =~ tr/./_/r;
    is(try_sql($node, $database, $all), '210', "$version: reads all after a restart");
    is(try_sql($node, $database, 'SELECT count(*) FILTER (WHERE NOT ok) FROM tp_verify_keys()'), '0', "$version: all keys are well");
}
$node->stop;
done_testing();
