-- trustpoint 1.5: nothing of ours is decided by what others put into our schema; rights that stay apart
\echo Use "ALTER EXTENSION trustpoint UPDATE TO '1.5'" to load this file. \quit

-- What these scripts run and parse looks into the schema of the extension, in which others may be allowed to make operators and
-- functions. One of theirs that fits exactly would be taken for one of pg_catalog that needs a cast. So every operator here has both its
-- sides of a type for which pg_catalog has it, or is named in full. A view and a function of older versions had
-- some that did not: here they are made anew.

-- ---------------------------------------------------------------- re-encryption

-- Not replaced, as the type of a column may be one of theirs.
DROP VIEW tp_reencrypt_progress;
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
GRANT SELECT ON tp_reencrypt_progress TO PUBLIC;

-- As in 1.2, but a domain may be over another domain.
CREATE OR REPLACE FUNCTION tp_column_tables(relation regclass, attribute name) RETURNS regclass[]
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kind "char"; type oid; tables regclass[]; foreign_table regclass;
BEGIN
    IF relation IS NULL OR attribute IS NULL THEN
        RAISE EXCEPTION 'relation and attribute must not be NULL' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    SELECT c.relkind, a.atttypid INTO kind, type
        FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = attribute AND a.attnum > 0
            AND NOT a.attisdropped
        WHERE c.oid = relation;
    WHILE (SELECT t.typtype = 'd' FROM pg_type t WHERE t.oid = type) LOOP
        type := (SELECT t.typbasetype FROM pg_type t WHERE t.oid = type);
    END LOOP;
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

-- ---------------------------------------------------------------- what leaks, or is missed

CREATE FUNCTION tp_check_triggers(OUT severity text, OUT finding text, OUT detail text, OUT remedy text)
    RETURNS SETOF record
    LANGUAGE sql VOLATILE PARALLEL RESTRICTED COST 100 ROWS 5 SET search_path = pg_catalog, pg_temp
AS $$
    -- As pg_restore --disable-triggers leaves them.
    SELECT 'critical', 'trigger', format('Trigger %I of %s is not enabled ALWAYS: where logical replication applies changes of keys, '
               'sessions do not hear of them.', tgname, tgrelid::regclass),
           format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', tgrelid::regclass, tgname)
        FROM pg_trigger
        WHERE tgenabled <> 'A' AND tgfoid = ANY ('{@extschema@.tp_keys_changed(),@extschema@.tp_skip_known_row(),
            @extschema@.tp_skip_known_token_row()}'::regprocedure[]);
$$;
COMMENT ON FUNCTION tp_check_triggers() IS 'The part of tp_check_config() that looks at the triggers of the extension''s tables.';

CREATE OR REPLACE FUNCTION tp_check_config(OUT severity text, OUT finding text, OUT detail text, OUT remedy text)
    RETURNS SETOF record
    LANGUAGE sql VOLATILE PARALLEL RESTRICTED COST 10000 ROWS 10 SET search_path = pg_catalog, pg_temp
AS $$
    SELECT * FROM (
        SELECT * FROM @extschema@.tp_check_host()
        UNION ALL SELECT * FROM @extschema@.tp_check_settings()
        UNION ALL SELECT * FROM @extschema@.tp_check_objects()
        UNION ALL SELECT * FROM @extschema@.tp_check_triggers()) AS found
    ORDER BY array_position('{critical,warning,notice}', severity), finding, detail;
$$;

-- ---------------------------------------------------------------- privileges

CREATE OR REPLACE FUNCTION tp_key_operation_functions(operation text) RETURNS regprocedure[]
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    RETURN CASE WHEN operation IN ('sign', 'sign-digest', 'verify', 'encrypt', 'decrypt', 'decrypt-pkcs1', 'manage') THEN
        (ARRAY['@extschema@.tp_public_key(text)', '@extschema@.tp_public_key_der(text)', '@extschema@.tp_key_attributes(text)'] OPERATOR(pg_catalog.||)
        CASE operation
            WHEN 'sign' THEN ARRAY['@extschema@.tp_sign(text,bytea,text)', '@extschema@.tp_csr(text,text,text[],text)',
                '@extschema@.tp_self_signed_certificate(text,text,int,text[],boolean,text)']
            WHEN 'sign-digest' THEN ARRAY['@extschema@.tp_sign_digest(text,bytea,text)']
            WHEN 'verify' THEN ARRAY['@extschema@.tp_verify(text,bytea,bytea,text)']
            WHEN 'encrypt' THEN ARRAY['@extschema@.tp_rsa_encrypt(text,bytea,text)', '@extschema@.tp_aes_encrypt(text,bytea)']
            WHEN 'decrypt' THEN ARRAY['@extschema@.tp_rsa_decrypt(text,bytea,text)', '@extschema@.tp_aes_decrypt(text,bytea)']
            WHEN 'decrypt-pkcs1' THEN ARRAY['@extschema@.tp_rsa_decrypt(text,bytea,text)']
            WHEN 'manage' THEN ARRAY['@extschema@.tp_rename_key(text,text)', '@extschema@.tp_destroy_key(text)',
                '@extschema@.tp_set_key_attributes(text,date,date)']
        END)::regprocedure[] END;

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
            '@extschema@.tp_check_settings()', '@extschema@.tp_check_objects()', '@extschema@.tp_check_triggers()',
            '@extschema@.tp_stat()']
    END::regprocedure[];

-- Changing keys asks for a grant by tp_grant beside EXECUTE, as using them does: who may execute all functions of a schema may not
-- destroy its keys. The library knows by the name of the constraint that the grants are here.
ALTER TABLE tp_dek_grant DROP CONSTRAINT tp_dek_grant_capability_check;
ALTER TABLE tp_dek_grant ADD CONSTRAINT tp_dek_grant_right_check
    CHECK (capability IN ('encrypt', 'decrypt', 'rewrap', 'search', 'keys'));
COMMENT ON TABLE tp_dek_grant IS 'Which DEK names a role may use, by tp_grant; the empty name stands for all. Also who may change keys.';

-- Whom tp_grant has given keys: it gave both.
INSERT INTO tp_dek_grant (grantee, capability)
    SELECT DISTINCT f.grantee::pg_catalog.regrole, 'keys'
        FROM pg_catalog.pg_proc p, pg_catalog.aclexplode(p.proacl) f, pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) v
        WHERE p.oid OPERATOR(pg_catalog.=) '@extschema@.tp_setup()'::pg_catalog.regprocedure::pg_catalog.oid
          AND c.oid OPERATOR(pg_catalog.=) '@extschema@.tp_keyring'::pg_catalog.regclass::pg_catalog.oid
          AND f.grantee OPERATOR(pg_catalog.=) v.grantee AND f.grantee OPERATOR(pg_catalog.<>) 0::pg_catalog.oid
          AND f.grantee OPERATOR(pg_catalog.<>) p.proowner;

CREATE OR REPLACE FUNCTION tp_grant(role regrole, capability text, key text DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    function regprocedure;
BEGIN
    PERFORM @extschema@.tp_check_grant(role, capability, key);
    IF NOT has_schema_privilege(role, '@extschema@'::regnamespace, 'USAGE') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %s TO %s', '@extschema@'::regnamespace, role);
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

CREATE FUNCTION tp_held_capabilities(role regrole) RETURNS text[]
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT ARRAY(
        SELECT DISTINCT g.capability FROM @extschema@.tp_dek_grant g WHERE g.grantee = role
        UNION ALL
        -- Of the others the first function is theirs alone.
        SELECT c FROM unnest('{hsm,status}'::text[]) c, pg_proc p, aclexplode(p.proacl) a
            WHERE p.oid = (@extschema@.tp_capability_functions(c))[1] AND a.grantee = role);
$$;
COMMENT ON FUNCTION tp_held_capabilities(regrole) IS 'The capabilities that tp_grant has given a role.';

-- As in 1.2, but what another capability of the role needs stays.
CREATE OR REPLACE FUNCTION tp_revoke(role regrole, capability text, key text DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    function regprocedure;
    others text[];
BEGIN
    PERFORM @extschema@.tp_check_grant(role, capability, key);
    DELETE FROM @extschema@.tp_dek_grant g
        WHERE g.grantee = role AND g.capability = tp_revoke.capability AND (key IS NULL OR g.name = key);
    -- What is left keeps the functions open, for the names that are left.
    IF EXISTS (SELECT FROM @extschema@.tp_dek_grant g WHERE g.grantee = role AND g.capability = tp_revoke.capability) THEN
        RETURN;
    END IF;
    others := array_remove(@extschema@.tp_held_capabilities(role), capability);
    FOR function IN
        SELECT unnest(@extschema@.tp_capability_functions(capability))
        EXCEPT SELECT unnest(@extschema@.tp_capability_functions(o)) FROM unnest(others) o
    LOOP
        EXECUTE format('REVOKE EXECUTE ON ROUTINE %s FROM %s', function, role);
    END LOOP;
    IF capability IN ('keys', 'status') AND NOT others && '{keys,status}' THEN
        EXECUTE format('REVOKE SELECT ON %s FROM %s', '@extschema@.tp_keyring'::regclass, role);
    END IF;
END
$$;

REVOKE ALL ON FUNCTION tp_check_triggers(), tp_held_capabilities(regrole) FROM PUBLIC;
