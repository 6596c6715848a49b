-- trustpoint 1.1: the token from SQL: keys, signatures, encryption, digests, certificates
\echo Use "ALTER EXTENSION trustpoint UPDATE" to load this file. \quit

-- ---------------------------------------------------------------- tables

CREATE TABLE tp_token_key (
    id            bytea       PRIMARY KEY CHECK (octet_length(id) BETWEEN 1 AND 64 AND substr(id, 1, 6) <> '\x74706b656b00'),
    label         text        COLLATE "C" NOT NULL CHECK (label <> ''),
    type          text        COLLATE "C" NOT NULL CHECK (type IN ('RSA', 'EC', 'AES')),
    bits          int         NOT NULL CHECK (bits > 0),
    curve         text        COLLATE "C",
    usage         text        COLLATE "C" NOT NULL CHECK (usage IN ('sign', 'decrypt', 'sign, decrypt', 'encrypt, decrypt', 'none')),
    mode          text        COLLATE "C" CHECK (mode IN ('gcm', 'cbc-pad', 'ecb')),
    bound_label   text        COLLATE "C" NOT NULL,
    owner         text        NOT NULL,
    token_serial  text        NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((curve IS NOT NULL) = (type = 'EC') AND (mode IS NULL OR type = 'AES'))
);
CREATE INDEX tp_token_key_label_idx ON tp_token_key (label);
COMMENT ON TABLE tp_token_key IS 'The keys in the token that this database made, imported or was given grants on, by CKA_ID. Holds no key. The label is the one that SQL knows it by; bound_label, the first it had, is authenticated with what an AES key encrypts.';

CREATE TABLE tp_token_trash (
    id            bytea       PRIMARY KEY,
    label         text        NOT NULL,
    token_serial  text        NOT NULL,
    owner         text        NOT NULL,
    destroyed_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE tp_token_trash IS 'Keys that tp_destroy_key took away and that may still be in the token, as it was out of reach at the commit. Nobody can use them; the next function that changes keys destroys them.';

CREATE TABLE tp_key_grant (
    id         bytea   NOT NULL REFERENCES tp_token_key ON UPDATE CASCADE ON DELETE CASCADE,
    grantee    regrole NOT NULL,
    operation  text    COLLATE "C" NOT NULL
               CHECK (operation IN ('sign', 'sign-digest', 'verify', 'encrypt', 'decrypt', 'decrypt-pkcs1', 'manage')),
    PRIMARY KEY (id, grantee, operation)
);
COMMENT ON TABLE tp_key_grant IS 'What a role may do with a key of the token, by tp_grant_key.';

-- The trash stays out of dumps: it speaks of a token, and a restored database may not destroy keys by hearsay.
SELECT pg_catalog.pg_extension_config_dump('tp_token_key', '');
SELECT pg_catalog.pg_extension_config_dump('tp_key_grant', 'WHERE EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.oid = grantee)');

REVOKE ALL ON tp_token_key, tp_token_trash, tp_key_grant FROM PUBLIC;

CREATE TRIGGER tp_keys_changed AFTER INSERT OR UPDATE OR DELETE ON tp_token_key FOR EACH ROW EXECUTE FUNCTION tp_keys_changed();
CREATE TRIGGER tp_keys_truncated AFTER TRUNCATE ON tp_token_key FOR EACH STATEMENT EXECUTE FUNCTION tp_keys_changed();
CREATE TRIGGER tp_keys_changed AFTER INSERT OR UPDATE OR DELETE ON tp_token_trash FOR EACH ROW EXECUTE FUNCTION tp_keys_changed();
CREATE TRIGGER tp_keys_truncated AFTER TRUNCATE ON tp_token_trash FOR EACH STATEMENT EXECUTE FUNCTION tp_keys_changed();
CREATE TRIGGER tp_keys_changed AFTER INSERT OR UPDATE OR DELETE ON tp_key_grant FOR EACH ROW EXECUTE FUNCTION tp_keys_changed();
CREATE TRIGGER tp_keys_truncated AFTER TRUNCATE ON tp_key_grant FOR EACH STATEMENT EXECUTE FUNCTION tp_keys_changed();
ALTER TABLE tp_token_key ENABLE ALWAYS TRIGGER tp_keys_changed;
ALTER TABLE tp_token_key ENABLE ALWAYS TRIGGER tp_keys_truncated;
ALTER TABLE tp_token_trash ENABLE ALWAYS TRIGGER tp_keys_changed;
ALTER TABLE tp_token_trash ENABLE ALWAYS TRIGGER tp_keys_truncated;
ALTER TABLE tp_key_grant ENABLE ALWAYS TRIGGER tp_keys_changed;
ALTER TABLE tp_key_grant ENABLE ALWAYS TRIGGER tp_keys_truncated;

-- As tp_skip_known_row does for tp_kek: a dump restored beside the same keys must not fail the whole COPY.
CREATE FUNCTION tp_skip_known_token_row() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_RELID = '@extschema@.tp_token_key'::regclass THEN
        IF EXISTS (SELECT FROM @extschema@.tp_token_key k WHERE k.id = NEW.id) THEN
            RETURN NULL;
        END IF;
    ELSIF EXISTS (SELECT FROM @extschema@.tp_key_grant g
            WHERE (g.id, g.grantee, g.operation) = (NEW.id, NEW.grantee, NEW.operation)) THEN
        RETURN NULL;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION tp_skip_known_token_row() IS 'Trigger on tp_token_key and tp_key_grant: leaves out a row that is there already, so that a dump can be restored beside it.';

CREATE TRIGGER tp_skip_known_row BEFORE INSERT ON tp_token_key FOR EACH ROW EXECUTE FUNCTION tp_skip_known_token_row();
CREATE TRIGGER tp_skip_known_row BEFORE INSERT ON tp_key_grant FOR EACH ROW EXECUTE FUNCTION tp_skip_known_token_row();
ALTER TABLE tp_token_key ENABLE ALWAYS TRIGGER tp_skip_known_row;
ALTER TABLE tp_key_grant ENABLE ALWAYS TRIGGER tp_skip_known_row;

-- ---------------------------------------------------------------- key pairs and keys

CREATE FUNCTION tp_generate_rsa_key(label text, bits int DEFAULT 3072, usage text DEFAULT 'sign') RETURNS bytea
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE COST 10000;
COMMENT ON FUNCTION tp_generate_rsa_key(text, int, text) IS 'Makes an RSA key pair in the token: bits 2048, 3072 or 4096, usage "sign" or "decrypt", never both. The private key cannot leave the token. Returns its CKA_ID. Gone again when the transaction rolls back. SQLSTATE 42710: the label is taken.';

CREATE FUNCTION tp_generate_ec_key(label text, curve text DEFAULT 'P-256') RETURNS bytea
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE COST 10000;
COMMENT ON FUNCTION tp_generate_ec_key(text, text) IS 'Makes an EC key pair for signatures in the token: curve P-256, P-384, P-521 or secp256k1. As tp_generate_rsa_key.';

CREATE FUNCTION tp_generate_aes_key(label text, bits int DEFAULT 256, mode text DEFAULT 'gcm') RETURNS bytea
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE COST 10000;
COMMENT ON FUNCTION tp_generate_aes_key(text, int, text) IS 'Makes an AES key in the token: bits 128, 192 or 256, and one mode for life: "gcm", "cbc-pad" or "ecb". As tp_generate_rsa_key.';

CREATE FUNCTION tp_import_key(label text, pem text, passphrase text DEFAULT NULL, usage text DEFAULT 'sign') RETURNS bytea
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE COST 10000;
COMMENT ON FUNCTION tp_import_key(text, text, text, text) IS 'Puts an RSA or EC private key from PEM (PKCS#1, SEC 1, PKCS#8, encrypted PKCS#8) into the token, from which it cannot leave. The PEM may end up in statement logs: prefer tp_import_key_file, or bound parameters. Returns its CKA_ID. A NULL pem is an error.';

CREATE FUNCTION tp_import_key_file(label text, path text, passphrase_file text DEFAULT NULL, usage text DEFAULT 'sign') RETURNS bytea
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE COST 10000;
COMMENT ON FUNCTION tp_import_key_file(text, text, text, text) IS 'As tp_import_key, from files on the server by absolute path, so that neither key nor passphrase is in any statement. The files follow the rules of PIN files: regular, of the server''s user or root, not open to others. For the owner, superusers and members of pg_read_server_files.';

-- ---------------------------------------------------------------- objects

CREATE FUNCTION tp_hsm_keys(OUT label text, OUT id bytea, OUT type text, OUT bits int, OUT curve text, OUT usage text, OUT mode text,
        OUT attributes text[], OUT known boolean)
    RETURNS SETOF record
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 10000;
COMMENT ON FUNCTION tp_hsm_keys() IS 'The private and secret keys in the token, whoever made them; keys of the keyring have usage "kek". "known": this database has a row of it in tp_token_key. Keys that are destroyed, or whose transaction is not committed, are left out.';

CREATE FUNCTION tp_key_attributes(label text, OUT object text, OUT attribute text, OUT value text)
    RETURNS SETOF record
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 10000;
COMMENT ON FUNCTION tp_key_attributes(text) IS 'The attributes of a key as the token shows them, a row for each: object "private", "public" or "secret"; byte strings in hex. For whoever has any grant on the key.';

CREATE FUNCTION tp_rename_key(label text, new_label text) RETURNS void
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE COST 10000;
COMMENT ON FUNCTION tp_rename_key(text, text) IS 'Gives a key another label; its grants stay. Others know it by the new one from the commit on. Needs "manage". SQLSTATE 42710: the new label is taken.';

CREATE FUNCTION tp_set_key_attributes(label text, start_date date DEFAULT NULL, end_date date DEFAULT NULL) RETURNS void
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE COST 10000;
COMMENT ON FUNCTION tp_set_key_attributes(text, date, date) IS 'Sets CKA_START_DATE and CKA_END_DATE of a key; NULL leaves one as it is. They inform and limit nothing. Its label is changed by tp_rename_key; what it may be used for, and its CKA_ID, by nothing. Needs "manage".';

CREATE FUNCTION tp_destroy_key(label text) RETURNS void
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE COST 10000;
COMMENT ON FUNCTION tp_destroy_key(text) IS 'Destroys a key in the token when the transaction commits; from now on this transaction has it no more, and others have it until then. Takes its grants along. Needs "manage".';

CREATE FUNCTION tp_public_key(label text) RETURNS text
    AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL RESTRICTED COST 10000;
COMMENT ON FUNCTION tp_public_key(text) IS 'The public key of a key pair as PEM (SubjectPublicKeyInfo). For whoever has any grant on the key.';

CREATE FUNCTION tp_public_key_der(label text) RETURNS bytea
    AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL RESTRICTED COST 10000;
COMMENT ON FUNCTION tp_public_key_der(text) IS 'The public key of a key pair as DER (SubjectPublicKeyInfo). For whoever has any grant on the key.';

-- ---------------------------------------------------------------- signatures

CREATE FUNCTION tp_sign(label text, data bytea, algorithm text DEFAULT NULL) RETURNS bytea
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 10000;
COMMENT ON FUNCTION tp_sign(text, bytea, text) IS 'Signs data with a key of the token: rsa-pss-sha224|256|384|512 (MGF1 and salt of the same hash), rsa-pkcs1-sha224|256|384|512, ecdsa-sha256|384|512 (ASN.1 DER). Without an algorithm rsa-pss-sha256, or ecdsa with the hash of the curve''s size. NULL data gives NULL. Needs "sign".';

CREATE FUNCTION tp_sign_digest(label text, digest bytea, algorithm text) RETURNS bytea
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 10000;
COMMENT ON FUNCTION tp_sign_digest(text, bytea, text) IS 'Signs a digest that was made elsewhere, which must have the length of the algorithm''s hash. What is signed cannot be seen, so it needs "sign-digest", not "sign".';

CREATE FUNCTION tp_verify(label text, data bytea, signature bytea, algorithm text DEFAULT NULL) RETURNS boolean
    AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL RESTRICTED COST 10000;
COMMENT ON FUNCTION tp_verify(text, bytea, bytea, text) IS 'Whether the signature of the data is one of the key''s. Whatever does not verify is false; an error only for a bad key or algorithm. Needs "verify".';

CREATE FUNCTION tp_verify_with_public_key(pem text, data bytea, signature bytea, algorithm text) RETURNS boolean
    AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE COST 1000;
COMMENT ON FUNCTION tp_verify_with_public_key(text, bytea, bytea, text) IS 'As tp_verify, with an RSA or EC public key in PEM (SubjectPublicKeyInfo). Needs no token. NULL where any value is NULL.';

-- ---------------------------------------------------------------- encryption in the token

CREATE FUNCTION tp_rsa_encrypt(label text, data bytea, padding text DEFAULT 'oaep-sha256') RETURNS bytea
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 10000;
COMMENT ON FUNCTION tp_rsa_encrypt(text, bytea, text) IS 'Encrypts for an RSA key of usage "decrypt": oaep-sha1, oaep-sha224, oaep-sha256, oaep-sha384, oaep-sha512 (MGF1 of the same hash, no label) or pkcs1. At most the modulus less padding: 318 bytes with 3072 bits and oaep-sha256. Needs "encrypt".';

CREATE FUNCTION tp_rsa_decrypt(label text, data bytea, padding text DEFAULT 'oaep-sha256') RETURNS bytea
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 10000;
COMMENT ON FUNCTION tp_rsa_decrypt(text, bytea, text) IS 'Decrypts in the token. One error (22000) for whatever does not decrypt. Needs "decrypt"; for padding pkcs1 "decrypt-pkcs1", as whoever may ask about many ciphertexts can learn a plaintext (Bleichenbacher).';

CREATE FUNCTION tp_aes_encrypt(label text, data bytea) RETURNS bytea
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 10000;
COMMENT ON FUNCTION tp_aes_encrypt(text, bytea) IS 'Encrypts with an AES key of the token in the key''s mode: gcm gives iv (12 bytes), ciphertext, tag (16); cbc-pad gives iv (16), ciphertext, and no integrity; ecb takes whole blocks and hides no pattern. The iv is random. Needs "encrypt".';

CREATE FUNCTION tp_aes_decrypt(label text, data bytea) RETURNS bytea
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 10000;
COMMENT ON FUNCTION tp_aes_decrypt(text, bytea) IS 'Decrypts what tp_aes_encrypt gave. One error (22000) for whatever does not decrypt. Needs "decrypt".';

-- ---------------------------------------------------------------- digest, random, PIN

CREATE FUNCTION tp_digest(data bytea, algorithm text DEFAULT 'sha256') RETURNS bytea
    AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL RESTRICTED COST 10000;
COMMENT ON FUNCTION tp_digest(bytea, text) IS 'A digest made in the token: sha224, sha256, sha384 or sha512. Large data goes there in pieces and can be cancelled between them.';

CREATE FUNCTION tp_random(n int) RETURNS bytea
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 10000;
COMMENT ON FUNCTION tp_random(int) IS 'n random bytes from the token, 1 to 1048576.';

CREATE FUNCTION tp_hsm_change_pin(new_pin_file text) RETURNS void
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE COST 10000;
COMMENT ON FUNCTION tp_hsm_change_pin(text) IS 'Changes the PIN of the token to the one in a new file, whose absolute path is given and for which the rules of PIN files hold. Cannot be rolled back: afterwards put the file in place of trustpoint.pin_file, or set that to it. For the owner and superusers alone.';

-- ---------------------------------------------------------------- certificates

CREATE FUNCTION tp_csr(label text, subject text, subject_alternative_names text[] DEFAULT '{}', algorithm text DEFAULT NULL) RETURNS text
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 10000;
COMMENT ON FUNCTION tp_csr(text, text, text[], text) IS 'A certificate request (PKCS#10, PEM) signed in the token. subject as "CN=example.org,O=Example"; alternative names as "DNS:example.org", "IP:192.0.2.1", "email:a@example.org", "URI:https://example.org/". Needs "sign".';

CREATE FUNCTION tp_self_signed_certificate(label text, subject text, days int,
        subject_alternative_names text[] DEFAULT '{}', ca boolean DEFAULT false, algorithm text DEFAULT NULL) RETURNS text
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 10000;
COMMENT ON FUNCTION tp_self_signed_certificate(text, text, int, text[], boolean, text) IS 'A self-signed certificate (X.509 v3, PEM), valid from now for some days, signed in the token; for a certificate authority with ca. As tp_csr. Needs "sign".';

-- ---------------------------------------------------------------- privileges

-- The functions that serve an operation of tp_grant_key, exactly.
CREATE FUNCTION tp_key_operation_functions(operation text) RETURNS regprocedure[]
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
COMMENT ON FUNCTION tp_key_operation_functions(text) IS 'The functions that an operation of tp_grant_key opens; NULL for an unknown operation.';

CREATE OR REPLACE FUNCTION tp_capability_functions(capability text) RETURNS regprocedure[]
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    RETURN CASE capability
        WHEN 'encrypt' THEN ARRAY['@extschema@.tp_encrypt(text,text,text)', '@extschema@.tp_encrypt(bytea,text,text)']
        WHEN 'decrypt' THEN ARRAY['@extschema@.tp_decrypt(bytea,text)', '@extschema@.tp_decrypt_bytea(bytea,text)']
        WHEN 'rewrap' THEN ARRAY['@extschema@.tp_rewrap(bytea,text)']
        WHEN 'search' THEN ARRAY[]::text[]
        WHEN 'hsm' THEN ARRAY['@extschema@.tp_hsm_info()', '@extschema@.tp_hsm_slots()', '@extschema@.tp_hsm_mechanisms()',
            '@extschema@.tp_hsm_session()', '@extschema@.tp_hsm_login()', '@extschema@.tp_hsm_logout()',
            '@extschema@.tp_hsm_keys()', '@extschema@.tp_digest(bytea,text)', '@extschema@.tp_random(int)']
        WHEN 'keys' THEN ARRAY['@extschema@.tp_setup()', '@extschema@.tp_create_dek(text,text)',
            '@extschema@.tp_rotate_dek(text,text)', '@extschema@.tp_verify_keys()', '@extschema@.tp_load_dek(text)',
            '@extschema@.tp_forget_keys()']
        WHEN 'status' THEN ARRAY['@extschema@.tp_status()']
    END::regprocedure[];

CREATE FUNCTION tp_token_key_id(label text) RETURNS bytea
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE COST 10000;
COMMENT ON FUNCTION tp_token_key_id(text) IS 'The CKA_ID of a key. Makes its row in tp_token_key where other tools made the key. For the owner and superusers alone; used by tp_grant_key.';

-- What tp_grant_key and tp_revoke_key check before they change anything.
CREATE FUNCTION tp_check_key_grant(label text, role regrole, operations text[]) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    operation text;
BEGIN
    IF label IS NULL OR role IS NULL OR operations IS NULL THEN
        RAISE EXCEPTION 'label, role and operations must not be NULL' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF cardinality(operations) = 0 THEN
        RAISE EXCEPTION 'no operation is named' USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Use sign, sign-digest, verify, encrypt, decrypt, decrypt-pkcs1, manage.';
    END IF;
    FOREACH operation IN ARRAY operations LOOP
        IF @extschema@.tp_key_operation_functions(operation) IS NULL THEN
            RAISE EXCEPTION 'unknown operation' USING ERRCODE = 'invalid_parameter_value',
                HINT = 'Use sign, sign-digest, verify, encrypt, decrypt, decrypt-pkcs1, manage.';
        END IF;
    END LOOP;
    IF NOT pg_has_role(current_user, (SELECT relowner FROM pg_class WHERE oid = '@extschema@.tp_token_key'::regclass), 'USAGE') THEN
        RAISE EXCEPTION 'only the owner of the extension and superusers may grant' USING ERRCODE = 'insufficient_privilege';
    END IF;
END
$$;
COMMENT ON FUNCTION tp_check_key_grant(text, regrole, text[]) IS 'Checks the arguments of tp_grant_key and tp_revoke_key, and the right to call them.';

CREATE FUNCTION tp_grant_key(label text, role regrole, operations text[]) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    operation text;
    function regprocedure;
    key_id bytea;
BEGIN
    PERFORM @extschema@.tp_check_key_grant(label, role, operations);
    key_id := @extschema@.tp_token_key_id(label);
    IF NOT has_schema_privilege(role, '@extschema@'::regnamespace, 'USAGE') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA @extschema@ TO %s', role);
    END IF;
    FOREACH operation IN ARRAY operations LOOP
        FOREACH function IN ARRAY @extschema@.tp_key_operation_functions(operation) LOOP
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', function, role);
        END LOOP;
        INSERT INTO @extschema@.tp_key_grant VALUES (key_id, role, operation) ON CONFLICT DO NOTHING;
    END LOOP;
END
$$;
COMMENT ON FUNCTION tp_grant_key(text, regrole, text[]) IS 'Lets a role use one key of the token: any of sign, sign-digest, verify, encrypt, decrypt, decrypt-pkcs1, manage.';

CREATE FUNCTION tp_revoke_key(label text, role regrole,
        operations text[] DEFAULT '{sign,sign-digest,verify,encrypt,decrypt,decrypt-pkcs1,manage}') RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    function regprocedure;
    key_id bytea;
BEGIN
    PERFORM @extschema@.tp_check_key_grant(label, role, operations);
    key_id := @extschema@.tp_token_key_id(label);
    DELETE FROM @extschema@.tp_key_grant g WHERE g.id = key_id AND g.grantee = role AND g.operation = ANY (operations);
    -- What no grant on any key needs any more.
    FOR function IN
        SELECT DISTINCT unnest(@extschema@.tp_key_operation_functions(o)) FROM unnest(operations) o
        EXCEPT
        SELECT unnest(@extschema@.tp_key_operation_functions(g.operation)) FROM @extschema@.tp_key_grant g WHERE g.grantee = role
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM %s', function, role);
    END LOOP;
END
$$;
COMMENT ON FUNCTION tp_revoke_key(text, regrole, text[]) IS 'Takes back what tp_grant_key gave; without operations all of it.';

-- Nothing to PUBLIC but tp_verify_with_public_key, which needs no key.
REVOKE ALL ON FUNCTION
    tp_skip_known_token_row(),
    tp_generate_rsa_key(text, int, text), tp_generate_ec_key(text, text), tp_generate_aes_key(text, int, text),
    tp_import_key(text, text, text, text), tp_import_key_file(text, text, text, text),
    tp_hsm_keys(), tp_key_attributes(text), tp_rename_key(text, text), tp_set_key_attributes(text, date, date),
    tp_destroy_key(text), tp_public_key(text), tp_public_key_der(text),
    tp_sign(text, bytea, text), tp_sign_digest(text, bytea, text), tp_verify(text, bytea, bytea, text),
    tp_rsa_encrypt(text, bytea, text), tp_rsa_decrypt(text, bytea, text),
    tp_aes_encrypt(text, bytea), tp_aes_decrypt(text, bytea),
    tp_digest(bytea, text), tp_random(int), tp_hsm_change_pin(text),
    tp_csr(text, text, text[], text), tp_self_signed_certificate(text, text, int, text[], boolean, text),
    tp_key_operation_functions(text), tp_token_key_id(text), tp_check_key_grant(text, regrole, text[]),
    tp_grant_key(text, regrole, text[]), tp_revoke_key(text, regrole, text[])
FROM PUBLIC;
