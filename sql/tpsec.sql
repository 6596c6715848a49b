-- Trustpoint's own fields, as far as no KEK of Trustpoint's is needed: test/t/080_tpsec.pl has the rest.
\pset format unaligned
\pset tuples_only on

-- The empty field and NULL need no DEK, and stay what they are.
SELECT tpsec_encrypt('') = '', tpsec_decrypt('') = '', tpsec_encrypt(NULL) IS NULL, tpsec_decrypt(NULL) IS NULL;

-- No DEK yet.
SELECT refusal($$SELECT tpsec_encrypt('secret')$$);
SELECT refusal($$SELECT tpsec_decrypt('tpsec:v1:' || encode(sha256('x') , 'base64'))$$);

-- In no form: told apart before any key is looked for, and never passed through.
SELECT field, refusal(format('SELECT tpsec_decrypt(%L)', field))
    FROM unnest(ARRAY['in clear', 'tpsec:v1:', 'tpsec:v1:AAAA', 'tpsec:v1:' || repeat('A', 36), 'tpsec:v1:' || repeat('=', 40),
        'tpsec:v1:' || repeat('A', 39) || '-', 'tpsec:v1:' || repeat('A', 20) || E'\n' || repeat('A', 20), 'tpsec:v2:' || repeat('A', 40),
        'tpsec:v1:' || repeat('A', 39) || 'B=', 'tpsec:v1:' || repeat('A', 37) || 'B==', repeat('A', 37) || '=B=',
        repeat('ä', 20), 'tpsec:v1:tpsec:v1:' || repeat('A', 40)]) WITH ORDINALITY AS f (field, n) ORDER BY n;

-- An import: what is wrong with its arguments is said before the token is asked.
SELECT refusal($$SELECT tp_import_dek(NULL, 'trustpoint-app-secret-kek', NULL)$$);
SELECT refusal($$SELECT tp_import_dek('\x0102', 'trustpoint-app-secret-kek', NULL)$$);
SELECT refusal($$SELECT tp_import_dek(decode(repeat('00', 40), 'hex'), NULL, NULL)$$);
SELECT refusal($$SELECT tp_import_dek('tpsec:pkcs11:cwrap:v1:' || decode(repeat('00', 39), 'hex'), 'trustpoint-app-secret-kek', NULL)$$);
SELECT refusal($$SELECT tp_import_dek('tpsec:pkcs11:cwrap:v2:' || decode(repeat('00', 40), 'hex'), 'trustpoint-app-secret-kek', NULL)$$);
SELECT refusal($$SELECT tp_import_dek('tpsec:pkcs11:rsa-oaep-sha256:v1:' || decode(repeat('00', 256), 'hex'), 'trustpoint-app-secret-kek', NULL)$$);
SELECT refusal($$SELECT tp_import_dek('tpsec:pkcs11:cwrap:v1:' || decode(repeat('00', 40), 'hex'), 'trustpoint-app-secret-kek', NULL, NULL)$$);
SELECT refusal($$SELECT tp_import_dek('tpsec:pkcs11:cwrap:v1:' || decode(repeat('00', 40), 'hex'), 'trustpoint-app-secret-kek', NULL, '')$$);
SELECT refusal($$SELECT tp_import_dek('tpsec:pkcs11:cwrap:v1:' || decode(repeat('00', 40), 'hex'), 'trustpoint-app-secret-kek', '')$$);
SELECT refusal($$SELECT tp_import_dek('tpsec:pkcs11:cwrap:v1:' || decode(repeat('00', 40), 'hex'), 'trustpoint-app-secret-kek', 'in clear')$$);
SELECT refusal($$SELECT tp_import_dek('tpsec:pkcs11:cwrap:v1:' || decode(repeat('00', 40), 'hex'), '', NULL)$$);
-- Our own KEK is not Trustpoint's.
SELECT refusal(format($$SELECT tp_import_dek('tpsec:pkcs11:cwrap:v1:' || decode(repeat('00', 40), 'hex'), %L, NULL)$$, label)) FROM tp_kek WHERE label = 'trustpoint-pg-kek';
-- Trustpoint's is not in this token.
SELECT refusal($$SELECT tp_import_dek('tpsec:pkcs11:cwrap:v1:' || decode(repeat('00', 40), 'hex'), 'trustpoint-app-secret-kek', NULL)$$);
SELECT refusal($$SELECT tp_import_dek(kek_label => 'trustpoint-kek', sample => 'tpsec:v1:' || repeat('A', 40), wrapped => decode(repeat('00', 40), 'hex'))$$);
BEGIN READ ONLY;
SELECT refusal($$SELECT tp_import_dek(decode(repeat('00', 40), 'hex'), 'trustpoint-kek', NULL)$$);
ROLLBACK;

-- Made nowhere but there.
SELECT refusal($$SELECT tp_create_dek('default', 'tpsec')$$);
SELECT refusal($$SELECT tp_rotate_dek('default', 'tpsec')$$);

-- Who may what.
CREATE ROLE regress_tp_field;
SET ROLE regress_tp_field;
SELECT refusal($$SELECT tpsec_encrypt('')$$);
SELECT refusal($$SELECT tpsec_decrypt('')$$);
SELECT refusal($$SELECT tp_import_dek('\x00', 'x', NULL)$$);
RESET ROLE;
SELECT tp_grant('regress_tp_field', 'encrypt'), tp_grant('regress_tp_field', 'decrypt');
GRANT EXECUTE ON FUNCTION tp_import_dek TO regress_tp_field;
SET ROLE regress_tp_field;
SELECT tpsec_encrypt('') = '', tpsec_decrypt('') = '';
SELECT refusal($$SELECT tp_import_dek('\x00', 'x', NULL)$$);
RESET ROLE;
REVOKE EXECUTE ON FUNCTION tp_import_dek FROM regress_tp_field;
SELECT tp_revoke('regress_tp_field', 'encrypt'), tp_revoke('regress_tp_field', 'decrypt');
DROP ROLE regress_tp_field;
