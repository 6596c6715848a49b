-- trustpoint 1.6: what others put into our schema decides nothing, functions like ours included; grants that stay and go as they should
\echo Use "ALTER EXTENSION trustpoint UPDATE TO '1.6'" to load this file. \quit

-- Calls of our own functions need every argument of exactly the type that is declared: a function of the same name in the same schema
-- that fits better is taken otherwise, and who may create one there runs as whoever calls. So a column is cast to bytea, as it may be of
-- the domain, and a number to bigint. Names of schemas may hold a %, so format() takes them as arguments.

-- ---------------------------------------------------------------- values under each DEK, re-encryption

CREATE OR REPLACE FUNCTION tp_key_usage(relation regclass, attribute name)
    RETURNS TABLE (key_id int, name text, state text, suite text, "values" bigint)
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    part regclass;
    counts text := '';
BEGIN
    FOREACH part IN ARRAY @extschema@.tp_column_tables(relation, attribute) LOOP
        counts := counts || format(' UNION ALL SELECT substr(%1$I::bytea, 1, 5) AS head, %3$s.tp_is_encrypted(%1$I::bytea) AS good,'
            ' count(*) AS n FROM ONLY %2$s WHERE %1$I IS NOT NULL GROUP BY 1, 2', attribute, part, '@extschema@'::regnamespace);
    END LOOP;
    FOR key_id, name, state, suite, "values" IN EXECUTE
        'SELECT u.id, k.name, k.state, u.suite, sum(u.n)::bigint FROM ('
        '  SELECT CASE WHEN good THEN (get_byte(head, 1) << 24) + (get_byte(head, 2) << 16) + (get_byte(head, 3) << 8)'
        '      + get_byte(head, 4) END AS id,'
        '    CASE WHEN good THEN CASE get_byte(head, 0) WHEN 225 THEN ''xaes-256-gcm'' ELSE ''aes-256-gcm'' END END AS suite, n'
        '  FROM (SELECT NULL::bytea AS head, NULL::boolean AS good, NULL::bigint AS n WHERE false' || counts || ') c) u'
        ' LEFT JOIN ' || '@extschema@.tp_keyring'::regclass || ' k ON k.id = u.id GROUP BY 1, 2, 3, 4 ORDER BY k.name, k.state, u.id, u.suite'
    LOOP
        PERFORM @extschema@.tp_warn_of_usage(key_id, name, suite, "values");
        RETURN NEXT;
    END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION tp_reencrypt_statements(relation regclass, leaf regclass, attribute name, context_expression text,
        OUT count_needed text, OUT update_free text, OUT update_unlocked text, OUT find_left text,
        OUT update_place text, OUT find_refused text)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- The name by which the context expression may call the table, whatever partition it is.
    alias text := (SELECT quote_ident(relname) FROM pg_class WHERE oid = relation);
    target text := (SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.oid = leaf);
    source text := format('FROM ONLY %s AS %s', target, alias);
    place text := alias || '.ctid';
    ours text := '@extschema@'::regnamespace;
    value text := format('%s.%I::pg_catalog.bytea', alias, attribute);
    problem text := format(E'%s.tp_rewrap_problem(%s, (%s\n)::pg_catalog.text)', ours, value, context_expression);
    needed text := format('%s.tp_needs_rewrap(%s)', ours, value);
    possible text := format('%s AND %s IS NULL', needed, problem);
    -- "a = 1, b = 2" of the primary key.
    row_name text := coalesce('pg_catalog.concat(' || (SELECT string_agg(format('%L, %s.%I',
                CASE k.n WHEN 1 THEN '' ELSE ', ' END || a.attname || ' = ', alias, a.attname), ', ' ORDER BY k.n)
            FROM pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, n)
            JOIN pg_attribute a ON a.attrelid = leaf AND a.attnum = k.attnum
            WHERE i.indrelid = leaf AND i.indisprimary) || ')', '''no primary key''');
    locked_first text := format('WITH picked AS MATERIALIZED (SELECT %s AS place, CASE WHEN %s IS NULL THEN'
            ' %s.tp_take_rewrapped(%s) END AS value %s WHERE %s', place, problem, ours, value, source, needed);
    -- Only what is still the row that was locked.
    written text := format(' UPDATE ONLY %s AS target SET %I = picked.value FROM picked'
            ' WHERE target.ctid OPERATOR(pg_catalog.=) picked.place AND picked.value IS NOT NULL', target, attribute);
BEGIN
    count_needed := format('SELECT pg_catalog.count(*) FILTER (WHERE %s), pg_catalog.count(*) %s', needed, source);
    -- $1 and $2: between which ctids. xmax: whoever locked the row last has ended, or nobody ever did.
    update_free := format('UPDATE ONLY %s AS %s SET %I = %s.tp_take_rewrapped(%s) WHERE ', target, alias, attribute,
            ours, value)
        || format('%1$s OPERATOR(pg_catalog.>) $1 AND %1$s OPERATOR(pg_catalog.<) $2', place) || format(' AND pg_catalog.age(%s.xmax) OPERATOR(pg_catalog.>) (SELECT pg_catalog.age('
        'pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::pg_catalog.xid)) AND %s', alias, possible);
    -- $1: where, of which only what nobody has locked.
    update_unlocked := locked_first || format(' AND %s OPERATOR(pg_catalog.=) ANY ($1) FOR NO KEY UPDATE OF %s SKIP LOCKED)', place,
        alias) || written || ' AND target.ctid OPERATOR(pg_catalog.=) ANY ($1)';
    find_left := format('SELECT (pg_catalog.array_agg(place) FILTER (WHERE possible))[1:1000000], pg_catalog.count(*) FILTER (WHERE possible),'
        ' pg_catalog.count(*) FROM (SELECT %s AS place, %s IS NULL AS possible %s WHERE %s) AS places', place, problem, source, needed);
    update_place := locked_first || format(' AND %s OPERATOR(pg_catalog.=) $1 FOR NO KEY UPDATE OF %s)', place, alias) || written;
    find_refused := format('SELECT %s, %s AS row_name, %s AS problem %s WHERE %s LIMIT 100', place, row_name, problem, source,
        needed);
END
$$;

CREATE OR REPLACE PROCEDURE tp_reencrypt_column(relation regclass, attribute name, context_expression text, batch_size int DEFAULT 10000)
    LANGUAGE plpgsql
AS $$
DECLARE
    leaves pg_catalog.regclass[];
    leaf pg_catalog.regclass;
    statement record;
    needed bigint[] := '{}';
    rows bigint[] := '{}';
    number int;
    blocks bigint;
    block bigint;
    step bigint;
    lower_end pg_catalog.tid;
    upper_end pg_catalog.tid;
    places pg_catalog.tid[];
    together boolean;
    first int;
    last int;
    n bigint;
    total bigint;
    written bigint;
    idle_rounds int;
    fewest bigint;
    refused record;
    rows_done bigint := 0;
    rows_left bigint := 0;
    rows_refused bigint := 0;
BEGIN
    IF context_expression IS NULL OR batch_size IS NULL THEN
        RAISE EXCEPTION 'context_expression and batch_size must not be NULL' USING ERRCODE = 'null_value_not_allowed';
    ELSIF batch_size OPERATOR(pg_catalog.<) 1 THEN
        RAISE EXCEPTION 'batch_size must be positive' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    batch_size := LEAST(batch_size, 1000000);
    leaves := @extschema@.tp_column_tables(relation, attribute);
    -- Every transaction sees what others have committed, whatever the session's default is.
    COMMIT;
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    PERFORM @extschema@.tp_note_reencryption(relation, attribute, 'counting'::pg_catalog.text, 0::bigint, 0::bigint, 0::bigint);
    COMMIT;
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    FOREACH leaf IN ARRAY leaves LOOP
        statement := @extschema@.tp_reencrypt_statements(relation, leaf, attribute, context_expression);
        EXECUTE statement.count_needed INTO n, total;
        needed := pg_catalog.array_append(needed, n);
        rows := pg_catalog.array_append(rows, total);
        rows_left := rows_left OPERATOR(pg_catalog.+) n;
        COMMIT;
        SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    END LOOP;
    RAISE NOTICE '%.%: % values to re-encrypt', relation, attribute, rows_left;

    number := 0;
    FOREACH leaf IN ARRAY leaves LOOP
        number := number OPERATOR(pg_catalog.+) 1;
        CONTINUE WHEN needed[number] OPERATOR(pg_catalog.=) 0::bigint;
        statement := @extschema@.tp_reencrypt_statements(relation, leaf, attribute, context_expression);
        -- First all rows that nobody touches.
        blocks := pg_catalog.pg_relation_size(leaf) OPERATOR(pg_catalog./) pg_catalog.current_setting('block_size')::bigint;
        -- So many blocks hold a batch on average.
        step := GREATEST(batch_size OPERATOR(pg_catalog.*) blocks OPERATOR(pg_catalog./) GREATEST(rows[number], 1::bigint), 1::bigint);
        block := 0;
        WHILE block OPERATOR(pg_catalog.<) blocks LOOP
            lower_end := pg_catalog.format('(%s,0)', block)::pg_catalog.tid;
            block := block OPERATOR(pg_catalog.+) step;
            upper_end := pg_catalog.format('(%s,0)', block)::pg_catalog.tid;
            -- What a crash takes back is done again.
            PERFORM pg_catalog.set_config('synchronous_commit', 'off', true);
            BEGIN
                -- Somebody may lock a row in the instant before we write it. We do not wait, as he might for us.
                PERFORM pg_catalog.set_config('lock_timeout', '200ms', true);
                EXECUTE statement.update_free USING lower_end, upper_end;
                GET DIAGNOSTICS written = ROW_COUNT;
            EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
                written := 0;
            END;
            rows_done := rows_done OPERATOR(pg_catalog.+) written;
            rows_left := GREATEST(rows_left OPERATOR(pg_catalog.-) written, 0::bigint);
            PERFORM @extschema@.tp_note_reencryption(relation, attribute, 'first pass'::pg_catalog.text, rows_done, rows_left, 0::bigint);
            COMMIT;
            SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
        END LOOP;

        -- Then those that others had locked or moved: many of them together, as far as they are free now; few of them, or those
        -- that stay locked, one by one. Whoever waits for one row and holds no other keeps nobody out.
        idle_rounds := 0;
        fewest := 9223372036854775807;
        LOOP
            EXECUTE statement.find_left INTO places, n, total;
            EXIT WHEN n OPERATOR(pg_catalog.=) 0::bigint;
            together := n OPERATOR(pg_catalog.>) 100::bigint AND n OPERATOR(pg_catalog.<) fewest;
            idle_rounds := CASE WHEN n OPERATOR(pg_catalog.<) fewest THEN 0 ELSE idle_rounds OPERATOR(pg_catalog.+) 1 END;
            fewest := LEAST(n, fewest);
            IF idle_rounds OPERATOR(pg_catalog.>=) 10 THEN
                RAISE WARNING '% values of % could not be written', n, leaf USING
                    HINT = 'A trigger may undo the change, or others change the rows all the time. Call it again later.';
                EXIT;
            END IF;
            PERFORM @extschema@.tp_note_reencryption(relation, attribute,
                CASE WHEN together THEN 'second pass'::pg_catalog.text ELSE 'locked rows' END, rows_done, rows_left, 0::bigint);
            first := 1;
            last := CASE WHEN together THEN pg_catalog.cardinality(places) ELSE LEAST(pg_catalog.cardinality(places), 100) END;
            WHILE first OPERATOR(pg_catalog.<=) last LOOP
                COMMIT;
                SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
                PERFORM pg_catalog.set_config('synchronous_commit', 'off', true);
                IF together THEN
                    EXECUTE statement.update_unlocked
                        USING places[first:first OPERATOR(pg_catalog.+) batch_size OPERATOR(pg_catalog.-) 1];
                    GET DIAGNOSTICS written = ROW_COUNT;
                    first := first OPERATOR(pg_catalog.+) batch_size;
                ELSE
                    EXECUTE statement.update_place USING places[first];
                    GET DIAGNOSTICS written = ROW_COUNT;
                    first := first OPERATOR(pg_catalog.+) 1;
                END IF;
                rows_done := rows_done OPERATOR(pg_catalog.+) written;
                rows_left := GREATEST(rows_left OPERATOR(pg_catalog.-) written, 0::bigint);
            END LOOP;
            COMMIT;
            SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
        END LOOP;
        COMMIT;
        SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
        needed[number] := total;
        rows_refused := rows_refused OPERATOR(pg_catalog.+) total;
    END LOOP;

    -- What still needs it was refused, and says why.
    number := 0;
    FOREACH leaf IN ARRAY leaves LOOP
        number := number OPERATOR(pg_catalog.+) 1;
        CONTINUE WHEN needed[number] OPERATOR(pg_catalog.=) 0::bigint;
        statement := @extschema@.tp_reencrypt_statements(relation, leaf, attribute, context_expression);
        FOR refused IN EXECUTE statement.find_refused LOOP
            RAISE NOTICE '%, ctid %, %: %', leaf, refused.ctid, refused.row_name, refused.problem;
        END LOOP;
    END LOOP;
    PERFORM @extschema@.tp_note_reencryption(relation, attribute, 'done'::pg_catalog.text, rows_done, 0::bigint, rows_refused);
    RAISE NOTICE '%.%: % values re-encrypted', relation, attribute, rows_done;
    IF rows_refused OPERATOR(pg_catalog.>) 0::bigint THEN
        RAISE WARNING '%.%: % values were refused and stay as they are', relation, attribute, rows_refused USING
            HINT = pg_catalog.format('SELECT ctid, tp_rewrap_problem(%1$I, %2$s) FROM %3$s WHERE tp_needs_rewrap(%1$I) lists them.',
                attribute, context_expression, relation);
    END IF;
END
$$;

-- ---------------------------------------------------------------- grants on keys of the token

-- pg_restore --jobs knows no order between the data of an extension's tables. As a foreign key did before, but as triggers.
ALTER TABLE tp_key_grant DROP CONSTRAINT tp_key_grant_id_fkey;

CREATE FUNCTION tp_key_grants_follow() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        DELETE FROM @extschema@.tp_key_grant;
    ELSIF TG_OP = 'UPDATE' THEN
        UPDATE @extschema@.tp_key_grant SET id = NEW.id WHERE id = OLD.id;
    ELSE
        DELETE FROM @extschema@.tp_key_grant WHERE id = OLD.id;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION tp_key_grants_follow() IS 'Trigger on tp_token_key: the grants on a key go with it.';
CREATE TRIGGER tp_key_grants_follow AFTER DELETE OR UPDATE OF id ON tp_token_key FOR EACH ROW EXECUTE FUNCTION tp_key_grants_follow();
CREATE TRIGGER tp_key_grants_truncated AFTER TRUNCATE ON tp_token_key FOR EACH STATEMENT EXECUTE FUNCTION tp_key_grants_follow();
ALTER TABLE tp_token_key ENABLE ALWAYS TRIGGER tp_key_grants_follow;
ALTER TABLE tp_token_key ENABLE ALWAYS TRIGGER tp_key_grants_truncated;

-- A backslash in a string says nothing where standard_conforming_strings was off.
ALTER TABLE tp_token_key DROP CONSTRAINT tp_token_key_id_check;
ALTER TABLE tp_token_key ADD CONSTRAINT tp_token_key_id_check
    CHECK (octet_length(id) BETWEEN 1 AND 64 AND substr(id, 1, 6) <> pg_catalog.decode('74706b656b00', 'hex'));

-- ---------------------------------------------------------------- privileges

CREATE FUNCTION tp_grant_schema(role regrole) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF has_schema_privilege(role, '@extschema@'::regnamespace, 'USAGE') THEN
        RETURN;
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %s TO %s', '@extschema@'::regnamespace, role);
    -- Without the right to, that was a warning.
    IF NOT has_schema_privilege(role, '@extschema@'::regnamespace, 'USAGE') THEN
        RAISE EXCEPTION 'you may not let role % use schema %', role, '@extschema@'::regnamespace USING ERRCODE = 'insufficient_privilege',
            HINT = format('Let the owner of the schema do it: GRANT USAGE ON SCHEMA %s TO %s;', '@extschema@'::regnamespace, role);
    END IF;
END
$$;
COMMENT ON FUNCTION tp_grant_schema(regrole) IS 'Lets a role use the schema of the extension; for tp_grant and tp_grant_key.';

CREATE FUNCTION tp_has_own_execute(role regrole, function regprocedure) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (SELECT FROM pg_proc p, aclexplode(p.proacl) AS a WHERE p.oid = function AND a.grantee = role);
$$;
COMMENT ON FUNCTION tp_has_own_execute(regrole, regprocedure) IS 'Whether a role itself was granted EXECUTE on a function. Where tp_grant has given it and it is gone, DROP OWNED has taken it: what stands in our tables is then void.';

-- As in 1.5, but DROP OWNED, which knows nothing of our rows, takes for good: what the role had does not come back with this grant.
CREATE OR REPLACE FUNCTION tp_grant(role regrole, capability text, key text DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    function regprocedure;
BEGIN
    PERFORM @extschema@.tp_check_grant(role, capability, key);
    PERFORM @extschema@.tp_grant_schema(role);
    IF NOT @extschema@.tp_has_own_execute(role, (@extschema@.tp_capability_functions(capability))[1]) THEN
        DELETE FROM @extschema@.tp_dek_grant g WHERE g.grantee = role AND g.capability = tp_grant.capability;
    END IF;
    FOREACH function IN ARRAY @extschema@.tp_capability_functions(capability) LOOP
        EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO %s', function, role);
    END LOOP;
    IF capability IN ('keys', 'status') THEN
        EXECUTE format('GRANT SELECT ON %s TO %s', '@extschema@.tp_keyring'::regclass, role);
    END IF;
    IF capability IN ('encrypt', 'decrypt', 'rewrap', 'search', 'keys') THEN
        INSERT INTO @extschema@.tp_dek_grant VALUES (role, capability, coalesce(key, '')) ON CONFLICT DO NOTHING;
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION tp_grant_key(label text, role regrole, operations text[]) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    operation text;
    function regprocedure;
    key_id bytea;
BEGIN
    PERFORM @extschema@.tp_check_key_grant(label, role, operations);
    key_id := @extschema@.tp_token_key_id(label);
    PERFORM @extschema@.tp_grant_schema(role);
    -- Every operation opens this one. A key that the role has made is its own.
    IF NOT @extschema@.tp_has_own_execute(role, '@extschema@.tp_public_key(text)'::regprocedure) THEN
        DELETE FROM @extschema@.tp_key_grant g WHERE g.grantee = role
            AND NOT EXISTS (SELECT FROM @extschema@.tp_token_key k WHERE k.id = g.id
                AND k.owner = pg_get_userbyid(role)::text);
    END IF;
    FOREACH operation IN ARRAY operations LOOP
        FOREACH function IN ARRAY @extschema@.tp_key_operation_functions(operation) LOOP
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', function, role);
        END LOOP;
        INSERT INTO @extschema@.tp_key_grant VALUES (key_id, role, operation) ON CONFLICT DO NOTHING;
    END LOOP;
END
$$;

-- ---------------------------------------------------------------- what leaks, or is missed

ALTER FUNCTION tp_check_settings() SET standard_conforming_strings = on;

-- As in 1.4, but it finds what is over an operator, and a view that a body names.
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
           format('ALTER PUBLICATION %I ADD TABLE %s, %s', p.pubname, '@extschema@.tp_dek'::regclass, '@extschema@.tp_kek'::regclass)
        FROM pg_publication_tables p
        JOIN encrypted e ON e.relid = format('%I.%I', p.schemaname, p.tablename)::regclass
        WHERE NOT EXISTS (SELECT FROM pg_publication_tables k WHERE k.pubname = p.pubname
                              AND format('%I.%I', k.schemaname, k.tablename)::regclass = '@extschema@.tp_dek'::regclass)
        GROUP BY p.pubname;
$$;

-- As in 1.5, but it looks at rights too.
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
    -- GRANT ... ON ALL TABLES IN SCHEMA takes ours too.
    SELECT 'critical', 'table_rights', format('%s may %s on %s: rights on keys are what stands in such tables.', role, privileges, relation),
           format('REVOKE %s ON %s FROM %s', privileges, relation, role)
        FROM (SELECT c.oid::regclass AS relation, string_agg(DISTINCT a.privilege_type, ', ') AS privileges,
                     CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS role
                  FROM pg_extension e
                  JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.classid = 'pg_class'::regclass
                  JOIN pg_class c ON c.oid = d.objid, aclexplode(c.relacl) AS a
                  WHERE e.extname = 'trustpoint' AND d.deptype = 'e' AND c.relkind = 'r'
                    AND a.privilege_type <> 'SELECT' AND a.grantee <> c.relowner
                  GROUP BY c.oid, a.grantee) AS writers;
$$;
COMMENT ON FUNCTION tp_check_triggers() IS 'The part of tp_check_config() that looks at the triggers of the extension''s tables, and at rights on them.';

REVOKE ALL ON FUNCTION tp_key_grants_follow(), tp_grant_schema(regrole), tp_has_own_execute(regrole, regprocedure) FROM PUBLIC;
