-- trustpoint 1.7: tp_check_config() finds more ways to write the tables of keys and of grants, and each remedy can be pasted
\echo Use "ALTER EXTENSION trustpoint UPDATE TO '1.7'" to load this file. \quit

-- As in 1.6, but it finds rights on columns, those of pg_write_all_data, and by whom a right was given on.
CREATE OR REPLACE FUNCTION tp_check_triggers(OUT severity text, OUT finding text, OUT detail text, OUT remedy text)
    RETURNS SETOF record
    LANGUAGE sql VOLATILE PARALLEL RESTRICTED COST 100 ROWS 5 SET search_path = pg_catalog, pg_temp
AS $$
    -- As pg_restore --disable-triggers leaves them.
    SELECT 'critical', 'trigger', format('Trigger %I of %s is not enabled ALWAYS: where logical replication applies changes of keys, '
               'sessions do not hear of them.', tgname, tgrelid::regclass),
           format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', tgrelid::regclass, tgname)
        FROM pg_trigger
        WHERE tgenabled <> 'A' AND tgfoid = ANY (ARRAY['@extschema@.tp_keys_changed()', '@extschema@.tp_skip_known_row()',
            '@extschema@.tp_skip_known_token_row()', '@extschema@.tp_key_grants_follow()']::regprocedure[])
    UNION ALL
    -- GRANT ... ON ALL TABLES IN SCHEMA takes ours too. What somebody has given on goes only with what he has himself.
    SELECT 'critical', 'table_rights', format('%s may %s on %s: rights on keys are what stands in such tables.', role, privileges, relation),
           format('REVOKE %s ON %s FROM %s%s', privileges, relation, CASE WHEN is_owners THEN role ELSE grantor END,
               CASE WHEN is_owners AND NOT gives_on THEN '' ELSE ' CASCADE' END)
        FROM (SELECT c.oid::regclass AS relation, string_agg(DISTINCT a.privilege_type, ', ') AS privileges,
                     CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS role,
                     a.grantor::regrole::text AS grantor, a.grantor = c.relowner AS is_owners, bool_or(a.is_grantable) AS gives_on
                  FROM pg_extension e
                  JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.classid = 'pg_class'::regclass
                  JOIN pg_class c ON c.oid = d.objid
                  CROSS JOIN LATERAL (SELECT * FROM aclexplode(c.relacl) UNION ALL
                                      SELECT r.* FROM pg_attribute t, aclexplode(t.attacl) AS r WHERE t.attrelid = c.oid) AS a
                  WHERE e.extname = 'trustpoint' AND d.deptype = 'e' AND c.relkind = 'r'
                    AND a.privilege_type <> 'SELECT' AND a.grantee <> c.relowner
                  GROUP BY c.oid, a.grantee, a.grantor) AS writers
    UNION ALL
    SELECT 'critical', 'table_rights', format('%s may write all tables, by pg_write_all_data: rights on keys are what stands in ours.',
               m.member::regrole), format('REVOKE pg_write_all_data FROM %s', m.member::regrole)
        FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member
        WHERE m.roleid = 'pg_write_all_data'::regrole AND NOT r.rolsuper;
$$;

-- As in 1.6, with remedies that work for the index of a constraint and of a partition, and do not lose the keys.
CREATE OR REPLACE FUNCTION tp_check_objects(OUT severity text, OUT finding text, OUT detail text, OUT remedy text)
    RETURNS SETOF record
    LANGUAGE sql VOLATILE PARALLEL RESTRICTED COST 1000 ROWS 10 SET search_path = pg_catalog, pg_temp
    SET standard_conforming_strings = on
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
                FROM (SELECT 'pg_proc'::regclass AS classid, oid, proname AS name FROM pg_proc
                      UNION ALL SELECT 'pg_class'::regclass, oid, relname FROM pg_class WHERE relkind IN ('v', 'm')) AS f
                JOIN pg_proc p ON p.prosrc ~* ('\m' || regexp_replace(f.name, '(\W)', '\\\1', 'g') || '\M')
                WHERE f.classid = s.classid AND f.oid = s.objid AND p.oid >= 16384
                  AND p.prolang NOT IN (SELECT l.oid FROM pg_language l WHERE l.lanname IN ('c', 'internal'))
                  AND p.oid NOT IN (SELECT objid FROM own)) AS n
            WHERE s.classid IN ('pg_proc'::regclass, 'pg_operator'::regclass)
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
                        WHEN 'expression_index' THEN coalesce(
                            (SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', k.conrelid::regclass, k.conname)
                                 FROM pg_constraint k WHERE k.conindid = objid AND k.contype IN ('p', 'u', 'x')),
                            format('DROP INDEX %s', i.identity))
                        WHEN 'materialized_view' THEN format('DROP MATERIALIZED VIEW %s', i.identity)
                        WHEN 'generated_column' THEN 'drop the column, then VACUUM FULL the table'
                        ELSE 'drop the rule' END
        FROM kept, pg_identify_object(classid, objid, 0) AS i
        -- A partition's index goes with that of the partitioned table.
        WHERE finding IS NOT NULL AND NOT (finding = 'expression_index' AND EXISTS (SELECT FROM pg_inherits WHERE inhrelid = objid))
    UNION ALL
    SELECT 'critical', 'dump', format('Table %s is no longer marked to be dumped: a dump would hold values without their keys.', t),
           format('SELECT pg_extension_config_dump(%L, '''') in an update script of your own. DROP EXTENSION would delete the keys', t)
        FROM unnest(ARRAY['@extschema@.tp_dek', '@extschema@.tp_kek']::regclass[]) AS t
        WHERE NOT EXISTS (SELECT FROM pg_extension e WHERE e.extname = 'trustpoint' AND t::oid = ANY (e.extconfig))
    UNION ALL
    SELECT 'notice', 'publication',
           format('Publication "%s" holds encrypted columns of %s without the table of keys: a subscriber cannot decrypt.',
               p.pubname, string_agg(DISTINCT format('%I.%I', p.schemaname, p.tablename), ', ')),
           format('ALTER PUBLICATION %I ADD TABLE %s, %s', p.pubname, '@extschema@.tp_dek'::regclass, '@extschema@.tp_kek'::regclass)
        FROM pg_publication_tables p
        JOIN encrypted e ON e.relid = format('%I.%I', p.schemaname, p.tablename)::regclass
        WHERE NOT EXISTS (SELECT FROM pg_publication_tables k WHERE k.pubname = p.pubname
                              AND format('%I.%I', k.schemaname, k.tablename)::regclass = '@extschema@.tp_dek'::regclass)
        GROUP BY p.pubname;
$$;

COMMENT ON FUNCTION tp_forget_keys() IS 'Wipes the DEKs that this session has cached, and those of this database in shared memory; what other sessions have open stays. Returns how many this session had.';
