-- The extension, its KEK and its first DEK. Every other topic builds on this one.

-- A schema whose name needs quotes, and a second installation after it.
CREATE SCHEMA "Trust Point";
CREATE EXTENSION trustpoint SCHEMA "Trust Point";
SELECT "Trust Point".tp_setup() > 0 AS set_up;
SELECT "Trust Point".tp_decrypt("Trust Point".tp_encrypt('secret'));
CREATE ROLE regress_tp_quoted;
SELECT "Trust Point".tp_grant('regress_tp_quoted', 'encrypt');
SELECT "Trust Point".tp_grant('regress_tp_quoted', 'keys');
SELECT has_schema_privilege('regress_tp_quoted', 'Trust Point', 'USAGE') AS sees_the_schema;
SET ROLE regress_tp_quoted;
SELECT "Trust Point".tp_is_encrypted("Trust Point".tp_encrypt('secret'));
RESET ROLE;
SELECT "Trust Point".tp_revoke('regress_tp_quoted', 'encrypt');
ALTER EXTENSION trustpoint SET SCHEMA public;
DROP EXTENSION trustpoint;
SELECT "Trust Point".tp_setup();
DROP SCHEMA "Trust Point" CASCADE;
DROP ROLE regress_tp_quoted;

CREATE EXTENSION trustpoint;

-- How a statement is refused: SQLSTATE, message, detail, hint, without what is random: ids and serial numbers.
CREATE FUNCTION refusal(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    state text; message text; detail text; hint text;
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
        hint = PG_EXCEPTION_HINT;
    RETURN state || ': ' || regexp_replace(concat_ws(E'\n', message, 'DETAIL: ' || nullif(detail, ''),
        'HINT: ' || nullif(hint, '')), '\m([0-9a-f]{16}|\d{3,})\M', 'N', 'g');
END
$$;
\pset format unaligned
\pset tuples_only on

-- Nothing works before tp_setup, and each refusal says so.
SELECT refusal($$SELECT tp_encrypt('secret')$$);
SELECT refusal($$SELECT tp_create_dek('tenant')$$);
SELECT refusal($$SELECT tp_rotate_dek()$$);
SELECT refusal($$SELECT tp_load_dek()$$);
SELECT count(*) FROM tp_verify_keys();

-- A KEK is never undone by a rollback: another database may have used it. The next tp_setup finds it.
BEGIN;
SELECT tp_setup() > 0;
SELECT id AS kek_id FROM tp_kek \gset
ROLLBACK;
SELECT count(*) FROM tp_kek;
SELECT count(*) FROM tp_dek;

SELECT tp_setup() AS dek_id \gset
SELECT id = :'kek_id' FROM tp_kek;
-- Again: the same DEK, nothing new.
SELECT tp_setup() = :dek_id;
SELECT count(*) FROM tp_kek;
SELECT id = :dek_id, name, purpose, state, kek_label, token_serial ~ '^[0-9a-f]{16}$', kek_id = :'kek_id'
    FROM tp_keyring;
SELECT encode(substr(id, 1, 6), 'escape'), octet_length(id), use, octet_length(probe) FROM tp_kek;
SELECT octet_length(wrapped), octet_length(check_value) FROM tp_dek;
SELECT name, purpose, state, ok, problem FROM tp_verify_keys();

-- tp_setup checks what it finds: a row that was tampered with is no set-up.
BEGIN;
UPDATE tp_dek SET check_value = sha256(check_value);
SELECT refusal('SELECT tp_setup()');
ROLLBACK;
SELECT tp_setup() = :dek_id;

-- Not in a read-only transaction.
BEGIN READ ONLY;
SELECT refusal('SELECT tp_setup()');
ROLLBACK;
