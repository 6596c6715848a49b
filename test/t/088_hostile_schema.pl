# CREATE EXTENSION, its updates and its functions in a schema where others have put operators and functions that fit better than
# those of pg_catalog, or than the extension's own: none of them runs, and nothing of the extension is made of them.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TrustpointCluster;

my $node = new_cluster('hostile', conf => "fsync = off\n");
$node->safe_psql('postgres', 'CREATE ROLE mallory; CREATE ROLE app');

# For every two types of some, operators of each name, and functions of each type, that tell when they run.
my $trap = q{
    SET ROLE mallory;
    DO $do$
    DECLARE
        types text[] := '{bool,bytea,"\"char\"",name,int8,int2,int4,text,oid,float4,float8,timestamptz,interval,numeric,regclass,regprocedure,
            regproc,regrole,regnamespace,regtype,xid,tid,date,varchar,int2vector,oidvector,text[],oid[],name[],regclass[],regprocedure[],aclitem[]}';
        body text := $body$LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'mallory was here'; END $$$body$;
        a text; b text; operator text;
    BEGIN
        FOREACH a IN ARRAY types LOOP
            FOREACH b IN ARRAY types LOOP
                EXECUTE format('CREATE FUNCTION public.trap_bool(%s, %s) RETURNS bool %s', a, b, body);
                EXECUTE format('CREATE FUNCTION public.trap_same(%1$s, %2$s) RETURNS %1$s %3$s', a, b, body);
                FOREACH operator IN ARRAY '{=,<>,<,>,<=,>=,~,~*,@>,&&}'::text[] LOOP
                    EXECUTE format('CREATE OPERATOR public.%s (leftarg = %s, rightarg = %s, function = public.trap_bool)', operator, a, b);
                END LOOP;
                FOREACH operator IN ARRAY '{+,-,*,/,||,<<,%}'::text[] LOOP
                    EXECUTE format('CREATE OPERATOR public.%s (leftarg = %s, rightarg = %s, function = public.trap_same)', operator, a, b);
                END LOOP;
            END LOOP;
            FOREACH operator IN ARRAY '{octet_length,"\"substr\"",array_agg,age,unnest,cardinality,aclexplode,lower,"\"left\"",abs,format}'::text[] LOOP
                EXECUTE format('CREATE FUNCTION public.%s(%s) RETURNS int %s', operator, a, body);
            END LOOP;
        END LOOP;
    END $do$};

# For every function of the extension, others of the same name for each choice of types that values of its arguments' types are
# written in, or may have.
my $namesakes = q{
    SET search_path = pg_catalog;
    DO $do$
    DECLARE
        other jsonb := '{"bytea":"public.tp_encrypted","bigint":"int","integer":"bigint","text":"varchar","regclass":"oid","regrole":"oid","name":"text"}';
        made record; changed text[]; signature text;
    BEGIN
        FOR made IN SELECT p.proname, ARRAY(SELECT format_type(t, NULL) FROM unnest(p.proargtypes) AS t) AS types
            FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid WHERE d.deptype = 'e' AND p.pronargs > 0 AND p.proname ~ '^tp'
        LOOP
            FOR choice IN 1 .. (1 << cardinality(made.types)) - 1 LOOP
                changed := made.types;
                FOR i IN 1 .. cardinality(changed) LOOP
                    IF choice & (1 << (i - 1)) <> 0 THEN
                        changed[i] := coalesce(other ->> changed[i], changed[i]);
                    END IF;
                END LOOP;
                signature := format('public.%s(%s)', made.proname, array_to_string(changed, ','));
                CONTINUE WHEN to_regprocedure(signature) IS NOT NULL;
                EXECUTE format($f$CREATE FUNCTION %s RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'mallory was here'; END $$$f$, signature);
            END LOOP;
        END LOOP;
    END $do$};

# What is made of mallory's things and is not hers.
my $captured = q{
    WITH hers (classid, objid) AS (
        SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass::pg_catalog.oid, oid FROM pg_catalog.pg_proc
            WHERE proowner OPERATOR(pg_catalog.=) 'mallory'::pg_catalog.regrole::pg_catalog.oid
        UNION ALL SELECT 'pg_catalog.pg_operator'::pg_catalog.regclass::pg_catalog.oid, oid FROM pg_catalog.pg_operator
            WHERE oprowner OPERATOR(pg_catalog.=) 'mallory'::pg_catalog.regrole::pg_catalog.oid)
    SELECT pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid) FROM pg_catalog.pg_depend d
        JOIN hers h ON d.refclassid OPERATOR(pg_catalog.=) h.classid AND d.refobjid OPERATOR(pg_catalog.=) h.objid
        WHERE NOT EXISTS (SELECT FROM hers o WHERE o.classid OPERATOR(pg_catalog.=) d.classid AND o.objid OPERATOR(pg_catalog.=) d.objid)};

$node->safe_psql('postgres', 'CREATE DATABASE traps');
# ANALYZE: for the question that comes again and again.
$node->safe_psql("traps", "GRANT CREATE ON SCHEMA public TO mallory; $trap; RESET ROLE; ANALYZE pg_catalog.pg_depend, pg_catalog.pg_proc, pg_catalog.pg_operator");

sub trapped_database { my ($name) = @_; $node->safe_psql('postgres', "CREATE DATABASE $name TEMPLATE traps"); return; }

trapped_database('fresh');
is(try_sql($node, 'fresh', 'SELECT 1::int8 = 2::numeric'), 'P0001: mallory was here', 'the traps are set');
is(try_sql($node, 'fresh', 'CREATE EXTENSION trustpoint'), '', 'the extension is made among them');
is($node->safe_psql('fresh', $captured), '', 'and of none of them');

my @versions = split /\n/, $node->safe_psql('postgres', q{SELECT version FROM pg_available_extension_versions
    WHERE name = 'trustpoint' ORDER BY string_to_array(version, '.')::int[]});
trapped_database('updated');
is(try_sql($node, 'updated', "CREATE EXTENSION trustpoint VERSION '$versions[0]'"), '', "so is version $versions[0]");
for my $version (@versions[1 .. $#versions]) {
    is(try_sql($node, 'updated', "ALTER EXTENSION trustpoint UPDATE TO '$version'"), '', "and updated to $version");
    is($node->safe_psql('updated', $captured), '', "$version is made of none of them");
}

# As scripts before 1.5 left it, where somebody had such an operator.
trapped_database('caught');
is(try_sql($node, 'caught', q{CREATE EXTENSION trustpoint VERSION '1.4'; ALTER EXTENSION trustpoint DROP VIEW tp_reencrypt_progress;
    DROP VIEW tp_reencrypt_progress; CREATE VIEW tp_reencrypt_progress AS SELECT pid::int8 / 1::numeric AS pid FROM tp_reencrypt_job;
    ALTER EXTENSION trustpoint ADD VIEW tp_reencrypt_progress; GRANT SELECT ON tp_reencrypt_progress TO PUBLIC}), '', 'made of one of them');
is($node->safe_psql('caught', $captured), 'rule _RETURN on view tp_reencrypt_progress', 'it is found');
is(try_sql($node, 'caught', 'ALTER EXTENSION trustpoint UPDATE'), '', 'updated');
is($node->safe_psql('caught', $captured), '', 'and not any more');

# What superusers call, with arguments of exactly the types that are declared: anything else they would have to answer for.
is(try_sql($node, 'fresh', "SET ROLE mallory; $namesakes"), '', 'namesakes are made');
is(try_sql($node, 'fresh', q{SELECT tp_is_encrypted(NULL::tp_encrypted)}), 'P0001: mallory was here', 'and taken');
my $column = q{'secret'::regclass, 'value'::name};
for my $call (
    q{SELECT tp_hsm_init_token('token'::text)}, 'SELECT tp_setup()', q{SELECT tp_create_dek('other'::text)}, 'SELECT tp_rotate_dek()',
    (map { my $type = $_; (
        qq{CREATE TABLE secret (id int PRIMARY KEY, value $type)},
        q{INSERT INTO secret VALUES (1, tp_encrypt('x'::text, tp_context('secret', 'value'))), (2, tp_encrypt('y'::text, 'another'::text))},
        q{SELECT tp_rotate_dek()}, "SELECT * FROM tp_key_usage($column)",
        "CALL tp_reencrypt_column($column, \$\$tp_context('secret', 'value')\$\$::text)", 'SELECT * FROM tp_reencrypt_progress',
        q{SELECT tp_decrypt(value::bytea, tp_context('secret', 'value')) FROM secret WHERE id OPERATOR(pg_catalog.=) 1},
        'ALTER TABLE secret RENAME TO ' . ($type eq 'bytea' ? 'first' : 'second')) } qw(bytea tp_encrypted)),
    'SELECT * FROM tp_keyring', 'SELECT * FROM tp_check_config()', 'SELECT * FROM tp_verify_keys()', 'SELECT * FROM tp_stat()',
    q{SELECT tp_generate_ec_key('k'::text)}, q{SELECT tp_grant_key('k'::text, 'app'::regrole, '{sign,verify}')},
    q{SELECT tp_revoke_key('k'::text, 'app'::regrole)},
    (map { ("SELECT tp_grant('app'::regrole, '$_'::text)", "SELECT tp_revoke('app'::regrole, '$_'::text)") }
        qw(encrypt decrypt rewrap search hsm keys status)),
    q{SELECT tp_disable_dek(id) FROM (SELECT min(id) AS id FROM tp_keyring WHERE state OPERATOR(pg_catalog.=) 'retired'::text) r},
    q{SELECT tp_rotate_kek('kek-2'::text)}, q{SELECT tp_destroy_key('k'::text)}, 'DROP EXTENSION trustpoint CASCADE') {
    unlike(try_sql($node, "fresh", $call), qr/^\w{5}: /, $call);
}

# ---- a schema whose name says something to format(), and strings as they were read long ago

$node->safe_psql('postgres', 'CREATE DATABASE percent');
$node->safe_psql('percent', q{CREATE SCHEMA "50%s, all"; ALTER DATABASE percent SET search_path = "50%s, all", public});
for my $call (
    'SET standard_conforming_strings = off; CREATE EXTENSION trustpoint SCHEMA "50%s, all"', 'SELECT tp_setup()',
    'CREATE TABLE secret (id int PRIMARY KEY, value tp_encrypted)', q{INSERT INTO secret VALUES (1, tp_encrypt('x', 'c'))}, 'SELECT tp_rotate_dek()',
    q{SELECT * FROM tp_key_usage('secret', 'value')}, q{CALL tp_reencrypt_column('secret', 'value', $$'c'$$)},
    'CREATE PUBLICATION few FOR TABLE secret', 'SELECT * FROM tp_check_config()',
    q{SELECT tp_generate_ec_key('k')}, q{SELECT tp_grant_key('k', 'app', '{sign,verify}')}, q{SELECT tp_revoke_key('k', 'app')},
    (map { ("SELECT tp_grant('app', '$_')", "SELECT tp_revoke('app', '$_')") } qw(encrypt decrypt rewrap search hsm keys status)),
    q{SELECT tp_destroy_key('k')}) {
    unlike(try_sql($node, 'percent', $call), qr/^\w{5}: /, "in schema 50%s, all: $call");
}
is($node->safe_psql('percent', q{SELECT remedy FROM tp_check_objects() WHERE finding = 'publication'}),
    'ALTER PUBLICATION few ADD TABLE "50%s, all".tp_dek, "50%s, all".tp_kek', 'in schema 50%s, all: a remedy');
like(try_sql($node, 'percent', q{INSERT INTO tp_token_key VALUES ('tpkek' || '\x0001'::bytea, 'x', 'EC', 256, 'P-256', 'sign', NULL, 'x', 'x', 'x')}),
    qr/^23514: .*tp_token_key_id_check/, 'in schema 50%s, all: a KEK is no key of tp_token_key');

$node->stop;
done_testing();
