-- What the extension puts into the catalog, as a listing: a change of a volatility, a parallel mark, a privilege or a
-- comment shows here.
\pset format unaligned
LOAD 'trustpoint';
CREATE TEMPORARY VIEW member AS
    SELECT classid, objid FROM pg_depend
    WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
      AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'trustpoint');
CREATE TEMPORARY VIEW function AS
    SELECT p.*, proname || '(' || pg_get_function_arguments(p.oid) || ')' AS signature
    FROM pg_proc p JOIN member ON objid = p.oid AND classid = 'pg_proc'::regclass;

SELECT signature, pg_get_function_result(oid) AS result FROM function ORDER BY signature COLLATE "C";
SELECT signature,
       CASE provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END AS volatility,
       CASE proparallel WHEN 's' THEN 'safe' WHEN 'r' THEN 'restricted' ELSE 'unsafe' END AS parallel,
       procost AS cost, proconfig AS settings
    FROM function ORDER BY signature COLLATE "C";
-- STRICT would lose a secret, LEAKPROOF would show one, SECURITY DEFINER would hide the caller: none is.
SELECT proname FROM function WHERE proisstrict OR proleakproof OR prosecdef;
-- What needs a key is never IMMUTABLE: the planner would fold the plaintext into plans and indexes.
SELECT proname FROM function WHERE provolatile = 'i' ORDER BY 1;
-- To PUBLIC: what needs no key.
SELECT proname FROM function WHERE has_function_privilege('public', oid, 'EXECUTE') ORDER BY 1;
SELECT relname FROM pg_class JOIN member ON objid = pg_class.oid AND classid = 'pg_class'::regclass
    WHERE EXISTS (SELECT FROM aclexplode(relacl) WHERE grantee = 0);
-- Each of them, and each table, view and domain, has its manual beside it.
SELECT pg_describe_object(classid, objid, 0) FROM member
    WHERE classid IN ('pg_proc'::regclass, 'pg_class'::regclass)
      AND obj_description(objid, classid::regclass::text) IS NULL
      AND NOT EXISTS (SELECT FROM pg_class WHERE pg_class.oid = objid AND relkind NOT IN ('r', 'v'));
SELECT obj_description('tp_encrypted'::regtype, 'pg_type') IS NOT NULL AS domain_described;
SELECT length(obj_description((SELECT oid FROM pg_extension WHERE extname = 'trustpoint'), 'pg_extension')) > 0 AS described;

-- The tables: column by column, as src/pg reads them by number.
SELECT relname, attnum, attname, format_type(atttypid, atttypmod) AS type, attnotnull AS not_null, collname
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid LEFT JOIN pg_collation ON pg_collation.oid = attcollation
    WHERE relname IN ('tp_dek', 'tp_kek', 'tp_dek_grant', 'tp_keyring', 'tp_token_key', 'tp_token_trash', 'tp_key_grant',
        'tp_reencrypt_job', 'tp_reencrypt_progress') AND attnum > 0 ORDER BY relname, attnum;
SELECT conrelid::regclass AS table, contype, pg_get_constraintdef(oid) AS constraint
    FROM pg_constraint WHERE conrelid IN (SELECT objid FROM member WHERE classid = 'pg_class'::regclass)
      AND contype IN ('p', 'c', 'f') ORDER BY conrelid::regclass::text COLLATE "C", contype, pg_get_constraintdef(oid) COLLATE "C";
SELECT indexrelid::regclass AS index, indisunique FROM pg_index
    WHERE indrelid IN (SELECT objid FROM member WHERE classid = 'pg_class'::regclass)
    ORDER BY indexrelid::regclass::text COLLATE "C";
-- The triggers fire also where replication applies rows.
SELECT tgrelid::regclass AS table, tgname, tgenabled, tgfoid::regproc AS function
    FROM pg_trigger WHERE tgrelid IN (SELECT objid FROM member WHERE classid = 'pg_class'::regclass) AND NOT tgisinternal
    ORDER BY tgrelid::regclass::text COLLATE "C", tgname;
SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE contypid = 'tp_encrypted'::regtype;
-- Dumped with the database; not relocatable, as the functions find the tables beside them.
SELECT table_oid::regclass AS dumped, condition FROM pg_extension, unnest(extconfig, extcondition) AS dumps (table_oid, condition)
    WHERE extname = 'trustpoint' ORDER BY table_oid::regclass::text COLLATE "C";
SELECT extrelocatable FROM pg_extension WHERE extname = 'trustpoint';

-- The settings.
SELECT name, vartype, CASE WHEN name ~ 'shared_dek_cache$' THEN '(by preloading)' ELSE context END AS context, unit, min_val, max_val, enumvals,
       CASE WHEN name ~ '_file$|_module$' THEN '(by machine)' ELSE boot_val END AS default
    FROM pg_settings WHERE name LIKE 'trustpoint.%' ORDER BY name COLLATE "C";
SELECT name FROM pg_settings WHERE name LIKE 'trustpoint.%' AND coalesce(short_desc, '') = '';
