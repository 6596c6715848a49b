# CREATE EXTENSION, its updates and its functions in a schema where others have put operators and functions that fit better than
# those of pg_catalog: none of them runs, and nothing of the extension is made of them.
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

# What superusers call.
for my $call (
    q{SELECT tp_hsm_init_token('token')}, 'SELECT tp_setup()', q{SELECT tp_create_dek('other')}, 'SELECT tp_rotate_dek()',
    q{CREATE TABLE secret (id int, value bytea)}, q{INSERT INTO secret VALUES (1, tp_encrypt('x', tp_context('secret', 'value')))},
    q{SELECT tp_rotate_dek()}, q{SELECT * FROM tp_key_usage('secret', 'value')},
    q{CALL tp_reencrypt_column('secret', 'value', $$tp_context('secret', 'value')$$)}, 'SELECT * FROM tp_reencrypt_progress',
    'SELECT * FROM tp_keyring', 'SELECT * FROM tp_check_config()', 'SELECT * FROM tp_verify_keys()', 'SELECT * FROM tp_stat()',
    q{SELECT tp_generate_ec_key('k')}, q{SELECT tp_grant_key('k', 'app', '{sign,verify}')}, q{SELECT tp_revoke_key('k', 'app')},
    (map { ("SELECT tp_grant('app', '$_')", "SELECT tp_revoke('app', '$_')") } qw(encrypt decrypt rewrap search hsm keys status)),
    q{SELECT tp_disable_dek(id) FROM (SELECT min(id) AS id FROM tp_keyring WHERE state OPERATOR(pg_catalog.=) 'retired'::text) r},
    'SELECT tp_rotate_kek(\'kek-2\')', 'SELECT tp_decrypt(value, tp_context(\'secret\', \'value\')) FROM secret',
    q{SELECT tp_destroy_key('k')}, 'DROP EXTENSION trustpoint') {
    unlike(try_sql($node, "fresh", $call), qr/^\w{5}: /, $call);
}

$node->stop;
done_testing();
