-- trustpoint 1.0: column encryption with keys held in a PKCS#11 token
\echo Use "CREATE EXTENSION trustpoint" to load this file. \quit

-- ---------------------------------------------------------------- tables

CREATE TABLE tp_kek (
    id            bytea       PRIMARY KEY CHECK (octet_length(id) = 16),
    label         text        NOT NULL,
    token_serial  text        NOT NULL,
    use           text        NOT NULL CHECK (use IN ('wrap', 'encrypt')),
    probe         bytea       NOT NULL CHECK (octet_length(probe) = 40),
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE tp_kek IS 'The key-encryption keys (KEKs) in the token, by CKA_ID; the newest wraps new DEKs. Holds no key.';

CREATE TABLE tp_dek (
    id                int         PRIMARY KEY CHECK (id > 0),
    name              text        COLLATE "C" NOT NULL CHECK (name <> ''),
    purpose           text        COLLATE "C" NOT NULL CHECK (purpose IN ('data', 'index', 'tpsec')),
    state             text        COLLATE "C" NOT NULL CHECK (state IN ('active', 'retired', 'disabled', 'destroyed')),
    kek_id            bytea       NOT NULL CHECK (octet_length(kek_id) = 16),
    wrapped           bytea       CHECK (octet_length(wrapped) = 72),
    check_value       bytea       NOT NULL CHECK (octet_length(check_value) = 32),
    created_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    state_changed_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((wrapped IS NULL) = (state = 'destroyed'))
);
CREATE INDEX tp_dek_name_idx ON tp_dek (name, purpose);
-- Each vacuum would make every backend read its rows again.
ALTER TABLE tp_dek SET (autovacuum_enabled = off);
COMMENT ON TABLE tp_dek IS 'The data keys (DEKs), wrapped by a KEK. Back it up with the data: without it no value can be decrypted.';

CREATE TABLE tp_dek_grant (
    grantee     regrole NOT NULL,
    capability  text    COLLATE "C" NOT NULL CHECK (capability IN ('encrypt', 'decrypt', 'rewrap', 'search')),
    name        text    COLLATE "C" NOT NULL DEFAULT '',
    PRIMARY KEY (grantee, capability, name)
);
COMMENT ON TABLE tp_dek_grant IS 'Which DEK names a role may use, by tp_grant; the empty name stands for all.';

SELECT pg_catalog.pg_extension_config_dump('tp_kek', '');
SELECT pg_catalog.pg_extension_config_dump('tp_dek', '');
SELECT pg_catalog.pg_extension_config_dump('tp_dek_grant', 'WHERE EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.oid = grantee)');

REVOKE ALL ON tp_kek, tp_dek, tp_dek_grant FROM PUBLIC;

-- Every backend learns of a change at its next call. ALWAYS: also where logical replication applies it.
CREATE FUNCTION tp_keys_changed() RETURNS trigger
    AS 'MODULE_PATHNAME' LANGUAGE C;
COMMENT ON FUNCTION tp_keys_changed() IS 'Trigger on the tables of keys: tells every backend, with the transaction, that they changed.';

CREATE TRIGGER tp_keys_changed AFTER INSERT OR UPDATE OR DELETE ON tp_dek FOR EACH ROW EXECUTE FUNCTION tp_keys_changed();
CREATE TRIGGER tp_keys_truncated AFTER TRUNCATE ON tp_dek FOR EACH STATEMENT EXECUTE FUNCTION tp_keys_changed();
CREATE TRIGGER tp_keys_changed AFTER INSERT OR UPDATE OR DELETE ON tp_kek FOR EACH ROW EXECUTE FUNCTION tp_keys_changed();
CREATE TRIGGER tp_keys_truncated AFTER TRUNCATE ON tp_kek FOR EACH STATEMENT EXECUTE FUNCTION tp_keys_changed();
CREATE TRIGGER tp_keys_changed AFTER INSERT OR UPDATE OR DELETE ON tp_dek_grant FOR EACH ROW EXECUTE FUNCTION tp_keys_changed();
CREATE TRIGGER tp_keys_truncated AFTER TRUNCATE ON tp_dek_grant FOR EACH STATEMENT EXECUTE FUNCTION tp_keys_changed();
ALTER TABLE tp_dek ENABLE ALWAYS TRIGGER tp_keys_changed;
ALTER TABLE tp_dek ENABLE ALWAYS TRIGGER tp_keys_truncated;
ALTER TABLE tp_kek ENABLE ALWAYS TRIGGER tp_keys_changed;
ALTER TABLE tp_kek ENABLE ALWAYS TRIGGER tp_keys_truncated;
ALTER TABLE tp_dek_grant ENABLE ALWAYS TRIGGER tp_keys_changed;
ALTER TABLE tp_dek_grant ENABLE ALWAYS TRIGGER tp_keys_truncated;

-- A dump restored beside keys of this database's own, or replication from another database on the same token, brings rows
-- again that are here: the KEK, which all databases on a token share, and grants. They must not fail the whole COPY.
CREATE FUNCTION tp_skip_known_row() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_RELID = '@extschema@.tp_kek'::regclass THEN
        IF EXISTS (SELECT FROM @extschema@.tp_kek k WHERE (k.id, k.use, k.probe) = (NEW.id, NEW.use, NEW.probe)) THEN
            RETURN NULL;
        END IF;
    ELSIF EXISTS (SELECT FROM @extschema@.tp_dek_grant g
            WHERE (g.grantee, g.capability, g.name) = (NEW.grantee, NEW.capability, NEW.name)) THEN
        RETURN NULL;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION tp_skip_known_row() IS 'Trigger on tp_kek and tp_dek_grant: leaves out a row that is there already, so that a dump can be restored beside it.';

CREATE TRIGGER tp_skip_known_row BEFORE INSERT ON tp_kek FOR EACH ROW EXECUTE FUNCTION tp_skip_known_row();
CREATE TRIGGER tp_skip_known_row BEFORE INSERT ON tp_dek_grant FOR EACH ROW EXECUTE FUNCTION tp_skip_known_row();
ALTER TABLE tp_kek ENABLE ALWAYS TRIGGER tp_skip_known_row;
ALTER TABLE tp_dek_grant ENABLE ALWAYS TRIGGER tp_skip_known_row;

CREATE VIEW tp_keyring AS
    SELECT d.id, d.name, d.purpose, d.state, k.label AS kek_label, k.token_serial, d.kek_id, d.check_value,
           d.created_at, d.state_changed_at
    FROM tp_dek d LEFT JOIN tp_kek k ON k.id = d.kek_id;
COMMENT ON VIEW tp_keyring IS 'All DEKs with their states and KEKs, without the wrapped bytes.';
REVOKE ALL ON tp_keyring FROM PUBLIC;

-- ---------------------------------------------------------------- column encryption

CREATE FUNCTION tp_encrypt(value text, context text DEFAULT '', key text DEFAULT 'default') RETURNS bytea
    AS 'MODULE_PATHNAME', 'tp_encrypt_text' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 20;
COMMENT ON FUNCTION tp_encrypt(text, text, text) IS 'Encrypts text under the active DEK named key. The context (see tp_context) is authenticated, not stored, and needed again to decrypt. 45 bytes longer than the UTF-8 text. NULL stays NULL; a NULL context or key is an error.';

CREATE FUNCTION tp_encrypt(value bytea, context text DEFAULT '', key text DEFAULT 'default') RETURNS bytea
    AS 'MODULE_PATHNAME', 'tp_encrypt_bytea' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 20;
COMMENT ON FUNCTION tp_encrypt(bytea, text, text) IS 'Encrypts bytes; as for text. Read them with tp_decrypt_bytea.';

CREATE FUNCTION tp_decrypt(value bytea, context text DEFAULT '') RETURNS text
    AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL SAFE COST 20;
COMMENT ON FUNCTION tp_decrypt(bytea, text) IS 'Decrypts a value to text, under the DEK that it names and the context it was encrypted with. SQLSTATE 22000: not authentic; 22P03: not a value; 22021, 22P05: no text in this database.';

CREATE FUNCTION tp_decrypt_bytea(value bytea, context text DEFAULT '') RETURNS bytea
    AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL SAFE COST 20;
COMMENT ON FUNCTION tp_decrypt_bytea(bytea, text) IS 'Decrypts a value to bytes; text comes as UTF-8.';

CREATE FUNCTION tp_rewrap(value bytea, context text DEFAULT '') RETURNS bytea
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 40;
COMMENT ON FUNCTION tp_rewrap(bytea, text) IS 'Encrypts a value anew under the active DEK of the same name and the suite of trustpoint.cipher, and authenticates it on the way. A value that is there already comes back as it is. Shows no plaintext, so it can be granted without tp_decrypt.';

CREATE FUNCTION tp_context(VARIADIC parts text[]) RETURNS text
    AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION tp_context(text[]) IS 'Joins parts (table, column, primary key) to a context, each behind its length in bytes of UTF-8, so that no two lists give the same context. A NULL part is an error.';

CREATE FUNCTION tp_inspect(value bytea, OUT suite text, OUT key_id int, OUT plaintext_length int)
    AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION tp_inspect(bytea) IS 'What a value says of itself: suite, id of its DEK, length of its plaintext in bytes. Needs no key and proves nothing.';

CREATE FUNCTION tp_is_encrypted(value bytea) RETURNS boolean
    AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION tp_is_encrypted(bytea) IS 'Whether the bytes have the form of a value. For CHECK constraints; proves nothing. NULL gives NULL.';

CREATE DOMAIN tp_encrypted AS bytea CHECK (tp_is_encrypted(VALUE));
COMMENT ON DOMAIN tp_encrypted IS 'bytea that has the form of a value of tp_encrypt. For new tables: ALTER TABLE to it rewrites the table.';

-- ---------------------------------------------------------------- keys

CREATE FUNCTION tp_setup() RETURNS int
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE COST 10000;
COMMENT ON FUNCTION tp_setup() IS 'Makes the KEK in the token and the DEK "default" where they are missing, checks them where they are not. Returns the id of the DEK. May be called again, also by two at once.';

CREATE FUNCTION tp_create_dek(name text, purpose text DEFAULT 'data') RETURNS int
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE COST 10000;
COMMENT ON FUNCTION tp_create_dek(text, text) IS 'Makes the first DEK of a name (1 to 63 bytes), for purpose "data" or "index". Returns its id. SQLSTATE 42710: there is one.';

CREATE FUNCTION tp_rotate_dek(name text DEFAULT 'default', purpose text DEFAULT 'data') RETURNS int
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE COST 10000;
COMMENT ON FUNCTION tp_rotate_dek(text, text) IS 'Makes a new version of a DEK and retires the others: new values use the new one, old values still decrypt. Returns its id. Every session follows at its next call after the commit.';

CREATE FUNCTION tp_verify_keys(OUT id int, OUT name text, OUT purpose text, OUT state text, OUT ok boolean, OUT problem text)
    RETURNS SETOF record
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 10000;
COMMENT ON FUNCTION tp_verify_keys() IS 'Unwraps every DEK on the token, past all caches, and checks it: a row for each, with what is wrong. Also on a standby.';

CREATE FUNCTION tp_load_dek(name text DEFAULT 'default') RETURNS int
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 10000;
COMMENT ON FUNCTION tp_load_dek(text) IS 'Loads the active DEK of a name into this session''s cache, so that the first query need not. Returns its id.';

CREATE FUNCTION tp_forget_keys() RETURNS int
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION tp_forget_keys() IS 'Wipes the DEKs that this session has cached; the next use unwraps them again. Returns how many there were.';

-- ---------------------------------------------------------------- token

CREATE FUNCTION tp_hsm_info(OUT module text, OUT module_manufacturer text, OUT module_description text,
        OUT module_version text, OUT cryptoki_version text, OUT slot bigint, OUT label text, OUT manufacturer text,
        OUT model text, OUT serial text, OUT firmware_version text, OUT min_pin_length int, OUT max_pin_length int,
        OUT flags text[])
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 10000;
COMMENT ON FUNCTION tp_hsm_info() IS 'The PKCS#11 module and the token that trustpoint.token chooses, read from the token without a login.';

CREATE FUNCTION tp_hsm_slots(OUT slot bigint, OUT description text, OUT token_present boolean, OUT initialized boolean,
        OUT label text, OUT manufacturer text, OUT model text, OUT serial text, OUT flags text[])
    RETURNS SETOF record
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 10000;
COMMENT ON FUNCTION tp_hsm_slots() IS 'All slots of the module and the tokens in them.';

CREATE FUNCTION tp_hsm_mechanisms(OUT mechanism text, OUT code bigint, OUT min_key_size bigint, OUT max_key_size bigint,
        OUT flags text[])
    RETURNS SETOF record
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 10000;
COMMENT ON FUNCTION tp_hsm_mechanisms() IS 'The mechanisms of the token. Key sizes are in bits or bytes, as the module counts them.';

CREATE FUNCTION tp_hsm_session(OUT state text, OUT user_type text, OUT slot bigint, OUT flags text[])
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 10000;
COMMENT ON FUNCTION tp_hsm_session() IS 'The token session that this backend holds: state (closed, public or user functions), who is logged in (nobody, user, so), flags. Opens none.';

CREATE FUNCTION tp_hsm_login() RETURNS void
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE COST 10000;
COMMENT ON FUNCTION tp_hsm_login() IS 'Logs this backend in to the token and keeps the session until tp_hsm_logout(). Called by the owner or a superuser it first forgets a PIN that the token refused, so that the same PIN is sent once more.';

CREATE FUNCTION tp_hsm_logout() RETURNS void
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION tp_hsm_logout() IS 'Logs this backend out of the token and closes its session. Cached DEKs stay: see tp_forget_keys().';

CREATE FUNCTION tp_hsm_init_token(label text, slot bigint DEFAULT NULL, force boolean DEFAULT false) RETURNS text
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE COST 10000;
COMMENT ON FUNCTION tp_hsm_init_token(text, bigint, boolean) IS 'Initialises a token with the PINs from trustpoint.so_pin_file and trustpoint.pin_file; without a slot, the first that is not initialised. An initialised token only with force, which DESTROYS every key in it. Returns its serial number. For the owner and superusers alone.';

CREATE FUNCTION tp_status(OUT module text, OUT token_label text, OUT token_serial text, OUT session text,
        OUT module_epoch bigint, OUT deks_cached int, OUT secret_memory_reserved bigint, OUT secret_memory_used bigint,
        OUT secret_memory_locked boolean, OUT cipher text, OUT kek_attributes_unknown text)
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION tp_status() IS 'What this session holds: module and token, whether a token session is open, DEKs cached, locked memory in bytes. Never touches the token.';

-- ---------------------------------------------------------------- privileges

-- The functions of each capability, exactly.
CREATE FUNCTION tp_capability_functions(capability text) RETURNS regprocedure[]
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    RETURN CASE capability
        WHEN 'encrypt' THEN ARRAY['@extschema@.tp_encrypt(text,text,text)', '@extschema@.tp_encrypt(bytea,text,text)']
        WHEN 'decrypt' THEN ARRAY['@extschema@.tp_decrypt(bytea,text)', '@extschema@.tp_decrypt_bytea(bytea,text)']
        WHEN 'rewrap' THEN ARRAY['@extschema@.tp_rewrap(bytea,text)']
        WHEN 'search' THEN ARRAY[]::text[]
        WHEN 'hsm' THEN ARRAY['@extschema@.tp_hsm_info()', '@extschema@.tp_hsm_slots()', '@extschema@.tp_hsm_mechanisms()',
            '@extschema@.tp_hsm_session()', '@extschema@.tp_hsm_login()', '@extschema@.tp_hsm_logout()']
        WHEN 'keys' THEN ARRAY['@extschema@.tp_setup()', '@extschema@.tp_create_dek(text,text)',
            '@extschema@.tp_rotate_dek(text,text)', '@extschema@.tp_verify_keys()', '@extschema@.tp_load_dek(text)',
            '@extschema@.tp_forget_keys()']
        WHEN 'status' THEN ARRAY['@extschema@.tp_status()']
    END::regprocedure[];
COMMENT ON FUNCTION tp_capability_functions(text) IS 'The functions that a capability of tp_grant opens; NULL for an unknown capability.';

-- What tp_grant and tp_revoke check before they change anything: a GRANT without the right is only a warning.
CREATE FUNCTION tp_check_grant(role regrole, capability text, key text) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF role IS NULL OR capability IS NULL THEN
        RAISE EXCEPTION 'role and capability must not be NULL' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF @extschema@.tp_capability_functions(capability) IS NULL THEN
        RAISE EXCEPTION 'unknown capability' USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Use encrypt, decrypt, rewrap, search, hsm, keys or status.';
    END IF;
    IF key IS NOT NULL AND capability NOT IN ('encrypt', 'decrypt', 'rewrap', 'search') THEN
        RAISE EXCEPTION 'capability "%" is not limited to a key', capability USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Leave the key out.';
    END IF;
    IF key = '' THEN
        RAISE EXCEPTION 'the name of a key must not be empty' USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Leave it out to grant all keys.';
    END IF;
    IF NOT pg_has_role(current_user, (SELECT relowner FROM pg_class WHERE oid = '@extschema@.tp_dek'::regclass), 'USAGE') THEN
        RAISE EXCEPTION 'only the owner of the extension and superusers may grant' USING ERRCODE = 'insufficient_privilege';
    END IF;
END
$$;
COMMENT ON FUNCTION tp_check_grant(regrole, text, text) IS 'Checks the arguments of tp_grant and tp_revoke, and the right to call them.';

CREATE FUNCTION tp_grant(role regrole, capability text, key text DEFAULT NULL) RETURNS void
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
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', function, role);
    END LOOP;
    IF capability IN ('keys', 'status') THEN
        EXECUTE format('GRANT SELECT ON @extschema@.tp_keyring TO %s', role);
    END IF;
    IF capability IN ('encrypt', 'decrypt', 'rewrap', 'search') THEN
        INSERT INTO @extschema@.tp_dek_grant VALUES (role, capability, coalesce(key, '')) ON CONFLICT DO NOTHING;
    END IF;
END
$$;
COMMENT ON FUNCTION tp_grant(regrole, text, text) IS 'Grants a capability: encrypt, decrypt, rewrap or search (for all DEK names, or for the one named key), hsm, keys or status.';

CREATE FUNCTION tp_revoke(role regrole, capability text, key text DEFAULT NULL) RETURNS void
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
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM %s', function, role);
    END LOOP;
    IF capability IN ('keys', 'status') THEN
        EXECUTE format('REVOKE SELECT ON @extschema@.tp_keyring FROM %s', role);
    END IF;
END
$$;
COMMENT ON FUNCTION tp_revoke(regrole, text, text) IS 'Takes back what tp_grant gave: for one DEK name, or all of the capability.';

-- Nothing to PUBLIC but what needs no key.
REVOKE ALL ON FUNCTION
    tp_keys_changed(), tp_skip_known_row(),
    tp_encrypt(text, text, text), tp_encrypt(bytea, text, text), tp_decrypt(bytea, text), tp_decrypt_bytea(bytea, text),
    tp_rewrap(bytea, text),
    tp_setup(), tp_create_dek(text, text), tp_rotate_dek(text, text), tp_verify_keys(), tp_load_dek(text),
    tp_forget_keys(),
    tp_hsm_info(), tp_hsm_slots(), tp_hsm_mechanisms(), tp_hsm_session(), tp_hsm_login(), tp_hsm_logout(),
    tp_hsm_init_token(text, bigint, boolean), tp_status(),
    tp_capability_functions(text), tp_check_grant(regrole, text, text), tp_grant(regrole, text, text),
    tp_revoke(regrole, text, text)
FROM PUBLIC;
