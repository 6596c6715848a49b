-- trustpoint 1.4: operations: what leaks, what happens, how long it takes
\echo Use "ALTER EXTENSION trustpoint UPDATE TO '1.4'" to load this file. \quit

-- ---------------------------------------------------------------- status

-- A new column is a new function, and a grant made here would be part of the extension, which no dump holds. The operators are named in
-- full: what others have put into our schema must not take part (see 1.5).
DO $$
DECLARE
    roles text;
BEGIN
    SELECT pg_catalog.string_agg(a.grantee::pg_catalog.regrole::pg_catalog.text, ', ') INTO roles
        FROM pg_catalog.pg_proc p, pg_catalog.aclexplode(p.proacl) a
        WHERE p.oid OPERATOR(pg_catalog.=) '@extschema@.tp_status()'::pg_catalog.regprocedure::pg_catalog.oid
          AND a.grantee OPERATOR(pg_catalog.<>) 0::pg_catalog.oid AND a.grantee OPERATOR(pg_catalog.<>) p.proowner;
    IF roles IS NOT NULL THEN
        RAISE WARNING 'tp_status() is made anew, and must be granted again to: %', roles
            USING HINT = 'SELECT tp_grant(role, ''status'');';
    END IF;
END
$$;
DROP FUNCTION tp_status();
CREATE FUNCTION tp_status(OUT module text, OUT token_label text, OUT token_serial text, OUT session text,
        OUT module_epoch bigint, OUT deks_cached int, OUT secret_memory_reserved bigint, OUT secret_memory_used bigint,
        OUT secret_memory_locked boolean, OUT cipher text, OUT kek_attributes_unknown text,
        OUT shared_cache boolean, OUT shared_deks int, OUT shared_hits bigint, OUT shared_misses bigint,
        OUT shared_memory_locked boolean, OUT preloaded boolean, OUT redact_log text,
        OUT stat_shared boolean, OUT stat_since timestamptz)
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION tp_status() IS 'What this session holds: module and token, whether a token session is open, DEKs cached, locked memory in bytes; the shared cache of the server: whether it serves, DEKs in it, how often one was found and not found since the start; whether the library is preloaded, what it leaves out of the log, whether tp_stat() is of the server or of this session, and since when. Never touches the token.';

-- ---------------------------------------------------------------- what happens

CREATE FUNCTION tp_stat(OUT database text, OUT kind text, OUT name text, OUT count bigint, OUT failed bigint,
        OUT bytes bigint, OUT time_ms double precision)
    RETURNS SETOF record
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 50;
COMMENT ON FUNCTION tp_stat() IS 'What happened since tp_status().stat_since, in all databases where the library is preloaded, otherwise in this session. kind: call (of functions on values, with bytes of plaintext), dek (where a DEK was found: in the backend, in the shared cache, on the token), wait (for the gate), token (calls of PKCS#11 functions; failed: with any other answer than CKR_OK), failure (errors by SQLSTATE). What is 0 is left out; a transaction counts when it ends. database NULL: dropped since, or beyond the 63rd.';

CREATE FUNCTION tp_stat_reset() RETURNS void
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION tp_stat_reset() IS 'Sets the numbers of tp_stat() to zero, for all databases. For the owner and superusers alone.';

-- ---------------------------------------------------------------- what leaks

CREATE FUNCTION tp_check_host(OUT severity text, OUT finding text, OUT detail text, OUT remedy text)
    RETURNS SETOF record
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 1000 ROWS 5;
COMMENT ON FUNCTION tp_check_host() IS 'The part of tp_check_config() that looks at the machine: modes and owners of files, core images, swap, locked memory, preloading.';

-- What the settings write down, here and as set for roles and databases.
CREATE FUNCTION tp_check_settings(OUT severity text, OUT finding text, OUT detail text, OUT remedy text)
    RETURNS SETOF record
    LANGUAGE sql VOLATILE PARALLEL RESTRICTED COST 1000 ROWS 10 SET search_path = pg_catalog, pg_temp
AS $$
    -- leaks: the values that write secrets down. in_log: by the server log, where trustpoint.redact_log helps.
    WITH rule (name, leaks, in_log, what, safe) AS (VALUES
        ('log_statement', '^(mod|all)$', true, 'The text of statements is logged, with literals and parameters.', 'none'),
        ('log_min_duration_statement', '^[0-9]', true, 'The text of slow statements is logged, with literals and parameters.', '-1'),
        ('log_min_duration_sample', '^[0-9]', true, 'The text of slow statements is logged, with literals and parameters.', '-1'),
        ('log_transaction_sample_rate', '[1-9]', true, 'The text of statements is logged, with literals and parameters.', '0'),
        ('log_parameter_max_length', '^(-1|[1-9])', true, 'Bound parameters are logged with the statements.', '0'),
        ('log_parameter_max_length_on_error', '^(-1|[1-9])', true, 'Bound parameters of statements that fail are logged.', '0'),
        ('log_min_error_statement', '^(?!fatal|panic)', true, 'The text of statements that fail is logged: an INSERT that breaks a constraint brings its literals.', 'panic'),
        ('log_error_verbosity', '^(?!terse)', true, 'The DETAIL of errors is logged: "Failing row contains" shows a plaintext that a CHECK refused.', 'terse'),
        ('debug_print_parse', '^(on|t|y|1)', true, 'Literals are logged in parse trees.', 'off'),
        ('debug_print_rewritten', '^(on|t|y|1)', true, 'Literals are logged in parse trees.', 'off'),
        ('debug_print_plan', '^(on|t|y|1)', true, 'Literals are logged in plans.', 'off'),
        ('auto_explain.log_min_duration', '^[0-9]', true, 'auto_explain logs statements and plans with literals.', '-1'),
        ('pgaudit.log', '^(?!none)[a-z]', true, 'pgaudit logs the text of statements; trustpoint.audit logs the use of keys without it.', 'none'),
        ('pgaudit.log_parameter', '^(on|t|y|1)', true, 'pgaudit logs bound parameters.', 'off'),
        ('pg_stat_statements.track_utility', '^(on|t|y|1)', false, 'pg_stat_statements keeps the text of utility statements (EXECUTE, CALL, DO, CREATE TABLE AS, DECLARE) with literals, also in a file.', 'off')),
    status AS (SELECT CASE WHEN preloaded THEN redact_log ELSE 'off' END AS redact_log FROM @extschema@.tp_status()),
    -- What takes part in a session as its settings are now. A parameter is logged with its statement only.
    here AS (
        SELECT r.*, s.setting FROM rule r JOIN pg_settings s USING (name) WHERE s.setting ~* r.leaks),
    leak AS (
        SELECT name, in_log, what, setting, format('ALTER SYSTEM SET %s = %L', name, safe) AS remedy FROM here
            WHERE name <> 'log_parameter_max_length'
               OR EXISTS (SELECT FROM here WHERE name ~ '^log_(statement|min_duration|transaction)')
        UNION ALL
        SELECT r.name, r.in_log, r.what, o.value,
               CASE WHEN o.setrole = 0 AND o.setdatabase = 0 THEN format('ALTER ROLE ALL RESET %s', r.name)
                    WHEN o.setrole = 0 THEN format('ALTER DATABASE %I RESET %s', d.datname, r.name)
                    WHEN o.setdatabase = 0 THEN format('ALTER ROLE %I RESET %s', pg_get_userbyid(o.setrole), r.name)
                    ELSE format('ALTER ROLE %I IN DATABASE %I RESET %s', pg_get_userbyid(o.setrole), d.datname, r.name) END
            FROM (SELECT setrole, setdatabase, split_part(line, '=', 1) AS name, substr(line, strpos(line, '=') + 1) AS value
                      FROM pg_db_role_setting, unnest(setconfig) AS line) AS o
            JOIN rule r ON r.name = o.name AND o.value ~* r.leaks
            LEFT JOIN pg_database d ON d.oid = o.setdatabase)
    SELECT CASE WHEN NOT l.in_log THEN 'warning' WHEN s.redact_log = 'calls' OR l.name = 'log_error_verbosity' THEN 'notice'
                ELSE 'warning' END,
           l.name,
           format('%s = %s: ', l.name, l.setting) || l.what || CASE WHEN l.in_log AND s.redact_log = 'calls'
               THEN ' trustpoint.redact_log = calls leaves out only statements that name functions of trustpoint.' ELSE '' END,
           l.remedy
        FROM leak l, status s
        WHERE NOT (l.in_log AND s.redact_log = 'all')
          AND NOT (l.name = 'pg_stat_statements.track_utility' AND current_setting('pg_stat_statements.track', true) = 'none')
    UNION ALL
    SELECT 'warning', 'ssl', format('listen_addresses = %s without TLS: plaintext crosses the network.', current_setting('listen_addresses')),
           'ALTER SYSTEM SET ssl = on, and hostssl in pg_hba.conf'
        WHERE NOT current_setting('ssl')::boolean
          AND EXISTS (SELECT FROM regexp_split_to_table(current_setting('listen_addresses'), '\s*,\s*') AS a
                          WHERE a !~ '^\s*(localhost|127\.|::1|$)')
    UNION ALL
    -- As far as the caller sees the statements of others.
    SELECT 'warning', 'client_side_binding',
           format('Role "%s", application "%s": statements of %s sessions in pg_stat_activity hold the plaintext as a literal.',
               usename, application_name, count(*)),
           'bind parameters on the server (Django: OPTIONS = {"server_side_binding": True}; psycopg 3; PQexecParams)'
        FROM pg_stat_activity
        WHERE pid <> pg_backend_pid() AND query ~* '\mtp(sec)?_(encrypt|blind_index)"?\s*\(\s*(value\s*=>\s*)?(e|u&)?[''$]\D'
        GROUP BY usename, application_name;
$$;
COMMENT ON FUNCTION tp_check_settings() IS 'The part of tp_check_config() that looks at settings and at running statements.';

-- What keeps plaintext in the database, and what a back-up or a subscriber would miss.
CREATE FUNCTION tp_check_objects(OUT severity text, OUT finding text, OUT detail text, OUT remedy text)
    RETURNS SETOF record
    LANGUAGE sql VOLATILE PARALLEL RESTRICTED COST 1000 ROWS 10 SET search_path = pg_catalog, pg_temp
AS $$
    -- Whatever shows plaintext: the functions that decrypt, functions and views over them, and what is made of those.
    WITH RECURSIVE own AS (
        SELECT d.objid FROM pg_depend d JOIN pg_extension e ON d.refobjid = e.oid
            WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
              AND e.extname = 'trustpoint'),
    shows (classid, objid) AS (
        SELECT 'pg_proc'::regclass::oid, p.oid FROM pg_proc p JOIN own ON p.oid = own.objid
            WHERE p.proname IN ('tp_decrypt', 'tp_decrypt_bytea', 'tpsec_decrypt')
        UNION
        SELECT n.classid, n.objid FROM shows s CROSS JOIN LATERAL (
            SELECT CASE WHEN w.relkind IN ('v', 'm') THEN 'pg_class'::regclass::oid ELSE d.classid END AS classid,
                   CASE WHEN w.relkind IN ('v', 'm') THEN w.oid ELSE d.objid END AS objid
                FROM pg_depend d
                LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
                LEFT JOIN pg_class w ON w.oid = r.ev_class
                WHERE d.refclassid = s.classid AND d.refobjid = s.objid AND d.deptype IN ('n', 'a')
            UNION ALL
            -- A body that is a string leaves no dependency.
            SELECT 'pg_proc'::regclass, p.oid
                FROM pg_proc f JOIN pg_proc p ON p.prosrc ~* ('\m' || regexp_replace(f.proname, '(\W)', '\\\1', 'g') || '\M')
                WHERE s.classid = 'pg_proc'::regclass AND f.oid = s.objid AND p.oid >= 16384
                  AND p.prolang NOT IN (SELECT l.oid FROM pg_language l WHERE l.lanname IN ('c', 'internal'))
                  AND p.oid NOT IN (SELECT objid FROM own)) AS n
            WHERE s.classid = 'pg_proc'::regclass
               OR s.classid = 'pg_class'::regclass AND (SELECT c.relkind IN ('v', 'm') FROM pg_class c WHERE c.oid = s.objid)),
    kept AS (
        SELECT CASE WHEN s.classid = 'pg_statistic_ext'::regclass THEN 'extended_statistics'
                    WHEN c.relkind IN ('i', 'I') THEN 'expression_index'
                    WHEN c.relkind = 'm' THEN 'materialized_view'
                    WHEN c.relkind IN ('r', 'p') OR a.attgenerated = 's' THEN 'generated_column'
                    WHEN s.classid = 'pg_rewrite'::regclass THEN 'rule' END AS finding,
               s.classid, s.objid
            FROM shows s
            LEFT JOIN pg_class c ON s.classid = 'pg_class'::regclass AND c.oid = s.objid
            LEFT JOIN pg_attrdef f ON s.classid = 'pg_attrdef'::regclass AND f.oid = s.objid
            LEFT JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum),
    -- Tables with values: a column of the domain, or a CHECK with tp_is_encrypted.
    encrypted AS (
        SELECT a.attrelid AS relid FROM pg_attribute a
            WHERE a.atttypid = '@extschema@.tp_encrypted'::regtype AND a.attnum > 0 AND NOT a.attisdropped
        UNION
        SELECT k.conrelid FROM pg_constraint k JOIN pg_depend d ON d.classid = 'pg_constraint'::regclass AND d.objid = k.oid
            WHERE d.refclassid = 'pg_proc'::regclass AND d.refobjid = '@extschema@.tp_is_encrypted(bytea)'::regprocedure
              AND k.conrelid <> 0)
    SELECT CASE WHEN finding = 'rule' THEN 'warning' ELSE 'critical' END, finding,
           i.type || ' ' || i.identity || ' is made of what a decrypting function shows' ||
               CASE finding WHEN 'rule' THEN '; see that it stores no plaintext.' WHEN 'extended_statistics'
                   THEN ': ANALYZE keeps plaintext in pg_statistic_ext_data.' ELSE ' and keeps plaintext on disk.' END,
           CASE finding WHEN 'extended_statistics' THEN format('DROP STATISTICS %s; VACUUM FULL pg_statistic_ext_data', i.identity)
                        WHEN 'expression_index' THEN format('DROP INDEX %s', i.identity)
                        WHEN 'materialized_view' THEN format('DROP MATERIALIZED VIEW %s', i.identity)
                        WHEN 'generated_column' THEN 'drop the column, then VACUUM FULL the table'
                        ELSE 'drop the rule' END
        FROM kept, pg_identify_object(classid, objid, 0) AS i WHERE finding IS NOT NULL
    UNION ALL
    SELECT 'critical', 'dump', format('Table %s is no longer marked to be dumped: a dump would hold values without their keys.', t),
           format('SELECT pg_extension_config_dump(%L, '''') in an update script of your own, or CREATE EXTENSION anew', t)
        FROM unnest(ARRAY['@extschema@.tp_dek', '@extschema@.tp_kek']::regclass[]) AS t
        WHERE NOT EXISTS (SELECT FROM pg_extension e WHERE e.extname = 'trustpoint' AND t::oid = ANY (e.extconfig))
    UNION ALL
    SELECT 'notice', 'publication',
           format('Publication "%s" holds encrypted columns of %s without the table of keys: a subscriber cannot decrypt.',
               p.pubname, string_agg(DISTINCT format('%I.%I', p.schemaname, p.tablename), ', ')),
           format('ALTER PUBLICATION %I ADD TABLE @extschema@.tp_dek, @extschema@.tp_kek', p.pubname)
        FROM pg_publication_tables p
        JOIN encrypted e ON e.relid = format('%I.%I', p.schemaname, p.tablename)::regclass
        WHERE NOT EXISTS (SELECT FROM pg_publication_tables k WHERE k.pubname = p.pubname
                              AND format('%I.%I', k.schemaname, k.tablename)::regclass = '@extschema@.tp_dek'::regclass)
        GROUP BY p.pubname;
$$;
COMMENT ON FUNCTION tp_check_objects() IS 'The part of tp_check_config() that looks at the objects of this database.';

CREATE FUNCTION tp_check_config(OUT severity text, OUT finding text, OUT detail text, OUT remedy text)
    RETURNS SETOF record
    LANGUAGE sql VOLATILE PARALLEL RESTRICTED COST 10000 ROWS 10 SET search_path = pg_catalog, pg_temp
AS $$
    SELECT * FROM (
        SELECT * FROM @extschema@.tp_check_host()
        UNION ALL SELECT * FROM @extschema@.tp_check_settings()
        UNION ALL SELECT * FROM @extschema@.tp_check_objects()) AS found
    ORDER BY array_position('{critical,warning,notice}', severity), finding, detail;
$$;
COMMENT ON FUNCTION tp_check_config() IS 'What lets plaintext or keys leak, as far as the caller may see it: a row for each finding, with what to set. severity: critical, warning or notice. No row: nothing was found.';

-- ---------------------------------------------------------------- privileges

CREATE OR REPLACE FUNCTION tp_capability_functions(capability text) RETURNS regprocedure[]
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    RETURN CASE capability
        WHEN 'encrypt' THEN ARRAY['@extschema@.tp_encrypt(text,text,text)', '@extschema@.tp_encrypt(bytea,text,text)',
            '@extschema@.tpsec_encrypt(text)']
        WHEN 'decrypt' THEN ARRAY['@extschema@.tp_decrypt(bytea,text)', '@extschema@.tp_decrypt_bytea(bytea,text)',
            '@extschema@.tpsec_decrypt(text)']
        WHEN 'rewrap' THEN ARRAY['@extschema@.tp_rewrap(bytea,text)', '@extschema@.tp_needs_rewrap(bytea)',
            '@extschema@.tp_rewrap_problem(bytea,text)', '@extschema@.tp_take_rewrapped(bytea)',
            '@extschema@.tp_reencrypt_column(regclass,name,text,int)', '@extschema@.tp_column_tables(regclass,name)',
            '@extschema@.tp_reencrypt_statements(regclass,regclass,name,text)',
            '@extschema@.tp_note_reencryption(regclass,name,text,bigint,bigint,bigint)']
        WHEN 'search' THEN ARRAY['@extschema@.tp_blind_index(text,text,text)', '@extschema@.tp_blind_index(bytea,text,text)',
            '@extschema@.tp_blind_index_candidates(text,text,text)', '@extschema@.tp_blind_index_candidates(bytea,text,text)']
        WHEN 'hsm' THEN ARRAY['@extschema@.tp_hsm_info()', '@extschema@.tp_hsm_slots()', '@extschema@.tp_hsm_mechanisms()',
            '@extschema@.tp_hsm_session()', '@extschema@.tp_hsm_login()', '@extschema@.tp_hsm_logout()',
            '@extschema@.tp_hsm_keys()', '@extschema@.tp_digest(bytea,text)', '@extschema@.tp_random(int)']
        WHEN 'keys' THEN ARRAY['@extschema@.tp_setup()', '@extschema@.tp_create_dek(text,text)',
            '@extschema@.tp_rotate_dek(text,text)', '@extschema@.tp_verify_keys()', '@extschema@.tp_load_dek(text)',
            '@extschema@.tp_forget_keys()', '@extschema@.tp_disable_dek(int)', '@extschema@.tp_enable_dek(int)',
            '@extschema@.tp_destroy_dek(int,text)', '@extschema@.tp_rotate_kek(text)',
            '@extschema@.tp_key_usage(regclass,name)', '@extschema@.tp_column_tables(regclass,name)',
            '@extschema@.tp_warn_of_usage(int,text,text,bigint)']
        WHEN 'status' THEN ARRAY['@extschema@.tp_status()', '@extschema@.tp_check_config()', '@extschema@.tp_check_host()',
            '@extschema@.tp_check_settings()', '@extschema@.tp_check_objects()', '@extschema@.tp_stat()']
    END::regprocedure[];

REVOKE ALL ON FUNCTION tp_status(), tp_stat(), tp_stat_reset(), tp_check_config(), tp_check_host(), tp_check_settings(), tp_check_objects() FROM PUBLIC;
