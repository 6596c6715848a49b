-- trustpoint 1.3: Trustpoint's own data, and blind indexes
\echo Use "ALTER EXTENSION trustpoint UPDATE TO '1.3'" to load this file. \quit

-- ---------------------------------------------------------------- Trustpoint's own data

CREATE FUNCTION tp_import_dek(wrapped bytea, kek_label text, sample text, name text DEFAULT 'default') RETURNS int
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE COST 10000;
COMMENT ON FUNCTION tp_import_dek(bytea, text, text, text) IS 'Brings in the DEK that Trustpoint stores wrapped by a KEK of its own in the token, in each of its four forms, as the newest DEK of purpose "tpsec", wrapped anew by the KEK of this database. Returns its id. sample: a field that Trustpoint stores under it, which must open first; NULL, written out, goes without, though forms other than C_WrapKey''s prove nothing. SQLSTATE 22000: wrapped or sample does not open; 22P03: in no form of Trustpoint''s; 42704: no such KEK; 42710: here already. For the owner and superusers alone.';

CREATE FUNCTION tpsec_encrypt(value text) RETURNS text
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 20;
COMMENT ON FUNCTION tpsec_encrypt(text) IS 'Encrypts a field as Trustpoint does ("tpsec:v1:" and base64), under the active DEK named "default" of purpose "tpsec". The empty text stays empty, NULL stays NULL. At most 2^32 fields of one DEK. Nothing binds the field to its place: tp_encrypt with a context does.';

CREATE FUNCTION tpsec_decrypt(value text) RETURNS text
    AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL SAFE COST 20;
COMMENT ON FUNCTION tpsec_decrypt(text) IS 'Decrypts a field of Trustpoint''s, in the form of today or the one before, trying the newest eight usable DEKs of purpose "tpsec" that the caller may decrypt with. The empty text stays empty. SQLSTATE 22P03: in no form of Trustpoint''s, so perhaps in clear; 22000: opens under none of the DEKs; 22021, 22P05: no text in this database.';

-- ---------------------------------------------------------------- blind index

CREATE FUNCTION tp_blind_index(value text, context text, key text DEFAULT 'default') RETURNS bytea
    AS 'MODULE_PATHNAME', 'tp_blind_index_text' LANGUAGE C STABLE PARALLEL SAFE COST 20;
COMMENT ON FUNCTION tp_blind_index(text, text, text) IS 'A keyed hash (HMAC-SHA-256, 32 bytes) of a value, under the active DEK of this name and purpose "index": equal for equal values of one context, for lookups and UNIQUE on encrypted columns. Text is taken as UTF-8, byte for byte: fold case and spaces first where they shall not matter. Context: the same for all rows (table and column), or nothing is found. NULL stays NULL; a NULL context or key is an error.';

CREATE FUNCTION tp_blind_index(value bytea, context text, key text DEFAULT 'default') RETURNS bytea
    AS 'MODULE_PATHNAME', 'tp_blind_index_bytea' LANGUAGE C STABLE PARALLEL SAFE COST 20;
COMMENT ON FUNCTION tp_blind_index(bytea, text, text) IS 'A blind index of bytes; as for text, but never equal to the index of a text.';

CREATE FUNCTION tp_blind_index_candidates(value text, context text, key text DEFAULT 'default') RETURNS bytea[]
    AS 'MODULE_PATHNAME', 'tp_blind_index_candidates_text' LANGUAGE C STABLE PARALLEL SAFE COST 40;
COMMENT ON FUNCTION tp_blind_index_candidates(text, text, text) IS 'The blind indexes of a value under all usable versions of the DEK, newest first, eight at most. For WHERE column = ANY (tp_blind_index_candidates(...)), while rows from before a rotation are still to be rewritten.';

CREATE FUNCTION tp_blind_index_candidates(value bytea, context text, key text DEFAULT 'default') RETURNS bytea[]
    AS 'MODULE_PATHNAME', 'tp_blind_index_candidates_bytea' LANGUAGE C STABLE PARALLEL SAFE COST 40;
COMMENT ON FUNCTION tp_blind_index_candidates(bytea, text, text) IS 'The same for bytes.';

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
        WHEN 'status' THEN ARRAY['@extschema@.tp_status()']
    END::regprocedure[];

-- Nothing to PUBLIC.
REVOKE ALL ON FUNCTION
    tp_import_dek(bytea, text, text, text), tpsec_encrypt(text), tpsec_decrypt(text),
    tp_blind_index(text, text, text), tp_blind_index(bytea, text, text),
    tp_blind_index_candidates(text, text, text), tp_blind_index_candidates(bytea, text, text)
FROM PUBLIC;
