-- trustpoint 1.2: the life of a key: states of DEKs, re-encryption, new KEKs, recovery
\echo Use "ALTER EXTENSION trustpoint UPDATE TO '1.2'" to load this file. \quit

-- ---------------------------------------------------------------- states of DEKs

CREATE FUNCTION tp_disable_dek(id int) RETURNS void
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE COST 100;
COMMENT ON FUNCTION tp_disable_dek(int) IS 'Takes a retired DEK out of service: its values are refused until tp_enable_dek. Waits for transactions that have encrypted. SQLSTATE 55000: it is not retired.';

CREATE FUNCTION tp_enable_dek(id int) RETURNS void
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE COST 100;
COMMENT ON FUNCTION tp_enable_dek(int) IS 'Makes a disabled DEK retired again: its values decrypt.';

CREATE FUNCTION tp_destroy_dek(id int, name text) RETURNS void
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE COST 100;
COMMENT ON FUNCTION tp_destroy_dek(int, text) IS 'DESTROYS a retired or disabled DEK, and with it every value under it. Asks for its id and its name. Waits for transactions that have encrypted, and then refuses (55000) unless the DEK is disabled. The bytes stay in files until VACUUM FULL tp_dek, in the WAL and in backups: see the README.';

-- ---------------------------------------------------------------- values under each DEK

CREATE FUNCTION tp_column_tables(relation regclass, attribute name) RETURNS regclass[]
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kind "char"; type oid; tables regclass[]; foreign_table regclass;
BEGIN
    IF relation IS NULL OR attribute IS NULL THEN
        RAISE EXCEPTION 'relation and attribute must not be NULL' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    SELECT c.relkind, CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END INTO kind, type
        FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = attribute AND a.attnum > 0
            AND NOT a.attisdropped
        LEFT JOIN pg_type t ON t.oid = a.atttypid
        WHERE c.oid = relation;
    IF kind IS NULL OR kind NOT IN ('r', 'p') THEN
        RAISE EXCEPTION '% is not a table', relation USING ERRCODE = 'wrong_object_type';
    ELSIF type IS NULL THEN
        RAISE EXCEPTION 'table % has no column "%"', relation, attribute USING ERRCODE = 'undefined_column';
    ELSIF type <> 'bytea'::regtype THEN
        RAISE EXCEPTION 'column "%" of % is not bytea', attribute, relation USING ERRCODE = 'datatype_mismatch';
    END IF;
    WITH RECURSIVE family AS (
        SELECT relation::oid AS oid
        UNION SELECT i.inhrelid FROM family f JOIN pg_inherits i ON i.inhparent = f.oid)
    SELECT array_agg(c.oid::regclass ORDER BY c.oid) FILTER (WHERE c.relkind = 'r'),
           min(c.oid) FILTER (WHERE c.relkind = 'f')::regclass
        INTO tables, foreign_table
        FROM family f JOIN pg_class c ON c.oid = f.oid;
    IF EXISTS (SELECT FROM unnest(relation || tables) AS t WHERE row_security_active(t)) THEN
        RAISE EXCEPTION 'row security hides rows of % from you', relation USING ERRCODE = 'insufficient_privilege',
            HINT = 'Do it as the owner of the table or as a role with BYPASSRLS.';
    END IF;
    IF foreign_table IS NOT NULL THEN
        RAISE WARNING 'foreign tables under % are left out, such as %', relation, foreign_table
            USING HINT = 'Do it on the servers that hold them.';
    END IF;
    RETURN coalesce(tables, '{}');
END
$$;
COMMENT ON FUNCTION tp_column_tables(regclass, name) IS 'The tables, partitions and children that hold an encrypted column. Refuses what is no such column, and a caller that does not see all rows.';

CREATE FUNCTION tp_warn_of_usage(key_id int, name text, suite text, count bigint) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF suite = 'aes-256-gcm' AND count >= 2147483648 THEN
        RAISE WARNING 'DEK % (%) has % values of suite aes-256-gcm', key_id, name, count
            USING DETAIL = 'It is good for 4294967296 of them in all columns together.',
                HINT = 'Call tp_rotate_dek now, or set trustpoint.cipher = ''xaes-256-gcm''.';
    END IF;
END
$$;
COMMENT ON FUNCTION tp_warn_of_usage(int, text, text, bigint) IS 'Warns from 2^31 values of suite aes-256-gcm under one DEK on; for tp_key_usage.';

CREATE FUNCTION tp_key_usage(relation regclass, attribute name)
    RETURNS TABLE (key_id int, name text, state text, suite text, "values" bigint)
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    part regclass;
    counts text := '';
BEGIN
    FOREACH part IN ARRAY @extschema@.tp_column_tables(relation, attribute) LOOP
        counts := counts || format(' UNION ALL SELECT substr(%1$I, 1, 5) AS head, @extschema@.tp_is_encrypted(%1$I) AS good,'
            ' count(*) AS n FROM ONLY %2$s WHERE %1$I IS NOT NULL GROUP BY 1, 2', attribute, part);
    END LOOP;
    FOR key_id, name, state, suite, "values" IN EXECUTE
        'SELECT u.id, k.name, k.state, u.suite, sum(u.n)::bigint FROM ('
        '  SELECT CASE WHEN good THEN (get_byte(head, 1) << 24) + (get_byte(head, 2) << 16) + (get_byte(head, 3) << 8)'
        '      + get_byte(head, 4) END AS id,'
        '    CASE WHEN good THEN CASE get_byte(head, 0) WHEN 225 THEN ''xaes-256-gcm'' ELSE ''aes-256-gcm'' END END AS suite, n'
        '  FROM (SELECT NULL::bytea AS head, NULL::boolean AS good, NULL::bigint AS n WHERE false' || counts || ') c) u'
        ' LEFT JOIN @extschema@.tp_keyring k ON k.id = u.id GROUP BY 1, 2, 3, 4 ORDER BY k.name, k.state, u.id, u.suite'
    LOOP
        PERFORM @extschema@.tp_warn_of_usage(key_id, name, suite, "values");
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION tp_key_usage(regclass, name) IS 'How many values of a column are under each DEK and suite; a row without a key id counts what is no value at all. A DEK that no column shows may be destroyed. Does not see what other transactions have not committed.';

-- ---------------------------------------------------------------- re-encryption

CREATE FUNCTION tp_needs_rewrap(value bytea) RETURNS boolean
    AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL SAFE COST 5;
COMMENT ON FUNCTION tp_needs_rewrap(bytea) IS 'Whether tp_rewrap has something to do: the value is not under the active DEK of its name in the suite of trustpoint.cipher. Needs no token and proves nothing. NULL gives NULL.';

CREATE FUNCTION tp_rewrap_problem(value bytea, context text) RETURNS text
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 40;
COMMENT ON FUNCTION tp_rewrap_problem(bytea, text) IS 'Why tp_rewrap would refuse a value; NULL when it would not. What is wrong with a key, the token or your rights is an error.';

CREATE FUNCTION tp_take_rewrapped(value bytea) RETURNS bytea
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 5;
COMMENT ON FUNCTION tp_take_rewrapped(bytea) IS 'For tp_reencrypt_column: the value that tp_rewrap_problem has just found no problem with, as tp_rewrap gives it.';

-- Unlogged: it is worth nothing after a crash, as tp_reencrypt_column needs none of it to go on.
CREATE UNLOGGED TABLE tp_reencrypt_job (
    pid           int         NOT NULL,
    relation      regclass    NOT NULL,
    attribute     name        NOT NULL,
    role          regrole     NOT NULL,
    phase         text        COLLATE "C" NOT NULL,
    rows_done     bigint      NOT NULL,
    rows_left     bigint      NOT NULL,
    rows_refused  bigint      NOT NULL,
    started_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    PRIMARY KEY (pid, relation, attribute)
);
COMMENT ON TABLE tp_reencrypt_job IS 'What tp_reencrypt_column writes of its work; see the view tp_reencrypt_progress.';

-- A session that works has a transaction nearly all the time.
CREATE VIEW tp_reencrypt_progress WITH (security_barrier) AS
    SELECT j.relation, j.attribute, j.role, j.pid,
           CASE WHEN j.phase = 'done' OR EXISTS (SELECT FROM pg_catalog.pg_locks l
                   WHERE l.pid = j.pid AND l.locktype = 'virtualxid' AND l.mode = 'ExclusiveLock')
               THEN j.phase ELSE 'interrupted' END AS phase,
           j.rows_done, j.rows_left, j.rows_refused,
           CASE WHEN j.updated_at > j.started_at THEN LEAST(j.rows_done::double precision
               / extract(epoch FROM j.updated_at - j.started_at)::double precision, 1e9::double precision)::int END AS rows_per_second,
           CASE WHEN j.rows_done > 0::bigint THEN pg_catalog.make_interval(secs => LEAST(j.rows_left::double precision
               * extract(epoch FROM j.updated_at - j.started_at)::double precision / j.rows_done::double precision,
               1e9::double precision)) END AS time_left,
           j.started_at, j.updated_at
    FROM tp_reencrypt_job j
    WHERE pg_catalog.has_any_column_privilege(j.relation, 'SELECT');
COMMENT ON VIEW tp_reencrypt_progress IS 'The last tp_reencrypt_column of each session for each column of a table that you may read: values done and left, rate and time left. Phases: counting, first pass, second pass, locked rows, done; interrupted: it was cut off, and may be called again.';

CREATE FUNCTION tp_note_reencryption(relation regclass, attribute name, phase text, rows_done bigint, rows_left bigint,
        rows_refused bigint) RETURNS void
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION tp_note_reencryption(regclass, name, text, bigint, bigint, bigint) IS 'Writes the progress of this session''s tp_reencrypt_column, and shows it now and then.';

-- The statements of tp_reencrypt_column for one table. They run with the search_path of the caller, for the sake of the
-- context expression, so everything else is named in full.
CREATE FUNCTION tp_reencrypt_statements(relation regclass, leaf regclass, attribute name, context_expression text,
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
    value text := format('%s.%I', alias, attribute);
    problem text := format(E'@extschema@.tp_rewrap_problem(%s, (%s\n)::pg_catalog.text)', value, context_expression);
    needed text := format('@extschema@.tp_needs_rewrap(%s)', value);
    possible text := format('%s AND %s IS NULL', needed, problem);
    -- "a = 1, b = 2" of the primary key.
    row_name text := coalesce('pg_catalog.concat(' || (SELECT string_agg(format('%L, %s.%I',
                CASE k.n WHEN 1 THEN '' ELSE ', ' END || a.attname || ' = ', alias, a.attname), ', ' ORDER BY k.n)
            FROM pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, n)
            JOIN pg_attribute a ON a.attrelid = leaf AND a.attnum = k.attnum
            WHERE i.indrelid = leaf AND i.indisprimary) || ')', '''no primary key''');
    locked_first text := format('WITH picked AS MATERIALIZED (SELECT %s AS place, CASE WHEN %s IS NULL THEN'
            ' @extschema@.tp_take_rewrapped(%s) END AS value %s WHERE %s', place, problem, value, source, needed);
    -- Only what is still the row that was locked.
    written text := format(' UPDATE ONLY %s AS target SET %I = picked.value FROM picked'
            ' WHERE target.ctid OPERATOR(pg_catalog.=) picked.place AND picked.value IS NOT NULL', target, attribute);
BEGIN
    count_needed := format('SELECT pg_catalog.count(*) FILTER (WHERE %s), pg_catalog.count(*) %s', needed, source);
    -- $1 and $2: between which ctids. xmax: whoever locked the row last has ended, or nobody ever did.
    update_free := format('UPDATE ONLY %s AS %s SET %I = @extschema@.tp_take_rewrapped(%s) WHERE ', target, alias, attribute, value)
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
COMMENT ON FUNCTION tp_reencrypt_statements(regclass, regclass, name, text) IS 'The statements of tp_reencrypt_column for one table.';

-- With the caller's rights and search_path, as the context expression is the caller's; a SET would forbid COMMIT. So
-- every name and operator is written in full.
CREATE PROCEDURE tp_reencrypt_column(relation regclass, attribute name, context_expression text, batch_size int DEFAULT 10000)
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
    PERFORM @extschema@.tp_note_reencryption(relation, attribute, 'counting', 0, 0, 0);
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
            PERFORM @extschema@.tp_note_reencryption(relation, attribute, 'first pass', rows_done, rows_left, 0);
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
                CASE WHEN together THEN 'second pass' ELSE 'locked rows' END, rows_done, rows_left, 0);
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
    PERFORM @extschema@.tp_note_reencryption(relation, attribute, 'done', rows_done, 0, rows_refused);
    RAISE NOTICE '%.%: % values re-encrypted', relation, attribute, rows_done;
    IF rows_refused OPERATOR(pg_catalog.>) 0::bigint THEN
        RAISE WARNING '%.%: % values were refused and stay as they are', relation, attribute, rows_refused USING
            HINT = pg_catalog.format('SELECT ctid, tp_rewrap_problem(%1$I, %2$s) FROM %3$s WHERE tp_needs_rewrap(%1$I) lists them.',
                attribute, context_expression, relation);
    END IF;
END
$$;
COMMENT ON PROCEDURE tp_reencrypt_column(regclass, name, text, int) IS 'Brings every value of a column, and of its partitions, under the active DEK of its name and the suite of trustpoint.cipher. context_expression is SQL over the row: what was given to tp_encrypt, as tp_context(''t'', ''c'', id::text). Commits after each batch_size rows, so CALL it outside of a transaction block; after a crash or a cancel CALL it again. Needs SELECT and UPDATE on the table and the capability rewrap. Values that cannot be rewrapped stay and are named. Progress: tp_reencrypt_progress.';

-- ---------------------------------------------------------------- KEKs

CREATE FUNCTION tp_rotate_kek(new_label text) RETURNS int
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE COST 10000;
COMMENT ON FUNCTION tp_rotate_kek(text) IS 'Makes a new KEK in the token (label: 1 to 32 bytes) and wraps every DEK by it, each opened and checked before and after. Touches no data. A KEK of that label that another database on the token has made, or an earlier call that failed, is used. The old KEK stays in the token: see tp_destroy_kek. Returns how many DEKs were wrapped.';

CREATE FUNCTION tp_destroy_kek(id bytea, label text) RETURNS void
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE COST 10000;
COMMENT ON FUNCTION tp_destroy_kek(bytea, text) IS 'DESTROYS an old KEK in the token, at once and not undone by a rollback, and its row in tp_kek. Asks for its id and its label. Refuses (55000) the newest KEK, and one that any DEK of this database is wrapped by; and (25001) a transaction that has changed anything before. Other databases on the same token are not asked: what they have wrapped with it is lost, as are backups from before tp_rotate_kek. For the owner and superusers alone.';

CREATE FUNCTION tp_move_to_token(module text, token text, pin_file text, environment text DEFAULT '',
        init_args text DEFAULT '', kek_label text DEFAULT 'trustpoint-pg-kek') RETURNS int
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE COST 10000;
COMMENT ON FUNCTION tp_move_to_token(text, text, text, text, text, text) IS 'Puts every DEK under a KEK (found or made) of another token: opened in the token of the settings, wrapped and opened again in the other one, then written. The arguments are what the settings of those names shall be after the commit; a NOTICE spells them. Returns how many DEKs were wrapped. For superusers alone.';

-- ---------------------------------------------------------------- recovery

CREATE FUNCTION tp_export_dek(id int, recovery_public_key_pem text) RETURNS bytea
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE COST 10000;
COMMENT ON FUNCTION tp_export_dek(int, text) IS 'A DEK encrypted (RSA-OAEP-SHA-256) to the offline recovery key: an RSA key of 3072 bits or more whose SHA-256 is trustpoint.recovery_key_sha256. For tp_recover_dek, after the token is lost. For the owner and superusers alone.';

CREATE FUNCTION tp_recover_dek(id int, blob bytea, key_label text DEFAULT NULL, key_file text DEFAULT NULL,
        passphrase_file text DEFAULT NULL) RETURNS void
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE COST 10000;
COMMENT ON FUNCTION tp_recover_dek(int, bytea, text, text, text) IS 'Brings an exported DEK back into its row, whose check value it must match, wrapped by the newest KEK; where the token lacks that one, by a new one with the label of trustpoint.kek_label. The recovery key is in the token (key_label) or in a PEM file of the server (key_file, passphrase_file), which must be as closed as a PIN file. SQLSTATE 22000: the wrong key, or not the DEK of this row. For the owner and superusers alone.';

-- ---------------------------------------------------------------- privileges

CREATE OR REPLACE FUNCTION tp_capability_functions(capability text) RETURNS regprocedure[]
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    RETURN CASE capability
        WHEN 'encrypt' THEN ARRAY['@extschema@.tp_encrypt(text,text,text)', '@extschema@.tp_encrypt(bytea,text,text)']
        WHEN 'decrypt' THEN ARRAY['@extschema@.tp_decrypt(bytea,text)', '@extschema@.tp_decrypt_bytea(bytea,text)']
        WHEN 'rewrap' THEN ARRAY['@extschema@.tp_rewrap(bytea,text)', '@extschema@.tp_needs_rewrap(bytea)',
            '@extschema@.tp_rewrap_problem(bytea,text)', '@extschema@.tp_take_rewrapped(bytea)',
            '@extschema@.tp_reencrypt_column(regclass,name,text,int)', '@extschema@.tp_column_tables(regclass,name)',
            '@extschema@.tp_reencrypt_statements(regclass,regclass,name,text)',
            '@extschema@.tp_note_reencryption(regclass,name,text,bigint,bigint,bigint)']
        WHEN 'search' THEN ARRAY[]::text[]
        WHEN 'hsm' THEN ARRAY['@extschema@.tp_hsm_info()', '@extschema@.tp_hsm_slots()', '@extschema@.tp_hsm_mechanisms()',
            '@extschema@.tp_hsm_session()', '@extschema@.tp_hsm_login()', '@extschema@.tp_hsm_logout()',
            '@extschema@.tp_hsm_keys()', '@extschema@.tp_digest(bytea,text)', '@extschema@.tp_random(int)']
        WHEN 'keys' THEN ARRAY['@extschema@.tp_setup()', '@extschema@.tp_create_dek(text,text)',
            '@extschema@.tp_rotate_dek(text,text)', '@extschema@.tp_verify_keys()', '@extschema@.tp_load_dek(text)',
            '@extschema@.tp_forget_keys()', '@extschema@.tp_disable_dek(int)', '@extschema@.tp_enable_dek(int)',
            '@extschema@.tp_destroy_dek(int,text)', '@extschema@.tp_rotate_kek(text)',
            '@extschema@.tp_key_usage(regclass,name)', '@extschema@.tp_column_tables(regclass,name)',
            '@extschema@.tp_warn_of_usage(int,text,text,bigint)']
        WHEN 'status' THEN ARRAY['@extschema@.tp_status()']
    END::regprocedure[];

-- As in 1.0, but ROUTINE, as tp_reencrypt_column is a procedure.
CREATE OR REPLACE FUNCTION tp_grant(role regrole, capability text, key text DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    function regprocedure;
BEGIN
    PERFORM @extschema@.tp_check_grant(role, capability, key);
    IF NOT has_schema_privilege(role, '@extschema@'::regnamespace, 'USAGE') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA @extschema@ TO %s', role);
    END IF;
    FOREACH function IN ARRAY @extschema@.tp_capability_functions(capability) LOOP
        EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO %s', function, role);
    END LOOP;
    IF capability IN ('keys', 'status') THEN
        EXECUTE format('GRANT SELECT ON @extschema@.tp_keyring TO %s', role);
    END IF;
    IF capability IN ('encrypt', 'decrypt', 'rewrap', 'search') THEN
        INSERT INTO @extschema@.tp_dek_grant VALUES (role, capability, coalesce(key, '')) ON CONFLICT DO NOTHING;
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION tp_revoke(role regrole, capability text, key text DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    function regprocedure;
BEGIN
    PERFORM @extschema@.tp_check_grant(role, capability, key);
    DELETE FROM @extschema@.tp_dek_grant g
        WHERE g.grantee = role AND g.capability = tp_revoke.capability AND (key IS NULL OR g.name = key);
    -- What is left keeps the functions open, for the names that are left.
    IF EXISTS (SELECT FROM @extschema@.tp_dek_grant g WHERE g.grantee = role AND g.capability = tp_revoke.capability) THEN
        RETURN;
    END IF;
    FOREACH function IN ARRAY @extschema@.tp_capability_functions(capability) LOOP
        EXECUTE format('REVOKE EXECUTE ON ROUTINE %s FROM %s', function, role);
    END LOOP;
    IF capability IN ('keys', 'status') THEN
        EXECUTE format('REVOKE SELECT ON @extschema@.tp_keyring FROM %s', role);
    END IF;
END
$$;

-- Nothing to PUBLIC but the progress of tables that one may read.
GRANT SELECT ON tp_reencrypt_progress TO PUBLIC;
REVOKE ALL ON tp_reencrypt_job FROM PUBLIC;
REVOKE ALL ON ROUTINE
    tp_disable_dek(int), tp_enable_dek(int), tp_destroy_dek(int, text),
    tp_rotate_kek(text), tp_destroy_kek(bytea, text), tp_move_to_token(text, text, text, text, text, text),
    tp_export_dek(int, text), tp_recover_dek(int, bytea, text, text, text),
    tp_column_tables(regclass, name), tp_warn_of_usage(int, text, text, bigint), tp_key_usage(regclass, name),
    tp_needs_rewrap(bytea), tp_rewrap_problem(bytea, text), tp_take_rewrapped(bytea),
    tp_note_reencryption(regclass, name, text, bigint, bigint, bigint),
    tp_reencrypt_statements(regclass, regclass, name, text), tp_reencrypt_column(regclass, name, text, int)
FROM PUBLIC;
