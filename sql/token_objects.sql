-- Keys of the token as objects: made, listed, looked at, renamed, destroyed; and what a transaction makes of it.
\pset format unaligned
\pset tuples_only on

SELECT octet_length(tp_generate_rsa_key('obj rsa', 2048));
SELECT octet_length(tp_generate_rsa_key('obj rsa decrypt', 2048, 'decrypt'));
SELECT octet_length(tp_generate_ec_key('obj ec'));
SELECT octet_length(tp_generate_aes_key('obj aes'));
-- Named arguments, as the manual names them.
SELECT octet_length(tp_generate_aes_key(label => 'obj ecb', bits => 128, mode => 'ecb'));
SELECT label, octet_length(id), type, bits, curve, usage, mode, attributes, known FROM tp_hsm_keys()
    WHERE label !~ '^regress kek' ORDER BY label COLLATE "C";  -- KEKs of an earlier run stay
-- The row says the same, and who made it.
SELECT label, type, bits, curve, usage, mode, bound_label, owner = current_user, token_serial = (SELECT serial FROM tp_hsm_info())
    FROM tp_token_key ORDER BY label;
SELECT count(*) FROM tp_hsm_keys() JOIN tp_token_key USING (id, label, type);

-- Attributes: what each half says. Never a secret value.
CREATE VIEW telling AS SELECT unnest('{CKA_CLASS,CKA_KEY_TYPE,CKA_LABEL,CKA_TOKEN,CKA_PRIVATE,CKA_SENSITIVE,CKA_EXTRACTABLE,CKA_SIGN,
    CKA_VERIFY,CKA_ENCRYPT,CKA_DECRYPT,CKA_WRAP,CKA_UNWRAP,CKA_DERIVE,CKA_EC_PARAMS,CKA_VALUE_LEN,CKA_ALLOWED_MECHANISMS}'::text[]) AS attribute;
SELECT object, attribute, value FROM tp_key_attributes('obj ec') JOIN telling USING (attribute) ORDER BY 1, 2;
SELECT object, attribute, value FROM tp_key_attributes('obj aes') JOIN telling USING (attribute) ORDER BY 1, 2;
DROP VIEW telling;
SELECT object, attribute, value FROM tp_key_attributes('obj rsa decrypt')
    WHERE attribute IN ('CKA_SIGN', 'CKA_DECRYPT', 'CKA_ENCRYPT', 'CKA_VERIFY', 'CKA_MODULUS_BITS', 'CKA_UNWRAP', 'CKA_WRAP') ORDER BY 1, 2;
SELECT count(*) FROM unnest(ARRAY['obj rsa', 'obj ec', 'obj aes']) label, tp_key_attributes(label)
    WHERE attribute ~ 'CKA_(VALUE|PRIVATE_EXPONENT|PRIME_|EXPONENT_|COEFFICIENT)$';
SELECT DISTINCT value = encode(k.id, 'hex') FROM tp_token_key k, tp_key_attributes(k.label) WHERE attribute = 'CKA_ID';

-- A label is one key's.
SELECT refusal($$SELECT tp_generate_ec_key('obj rsa')$$);
SELECT refusal($$SELECT tp_generate_aes_key('obj ec')$$);
SELECT count(*) FROM tp_hsm_keys() WHERE known;

-- Renamed: the same key under another label, grants and all.
SELECT id AS ec_id FROM tp_token_key WHERE label = 'obj ec' \gset
SELECT tp_sign('obj ec', 'x') AS signature \gset
SELECT tp_rename_key('obj ec', 'obj ec 2');
SELECT refusal($$SELECT tp_sign('obj ec', 'x')$$);
SELECT tp_verify('obj ec 2', 'x', :'signature');
SELECT id = :'ec_id' FROM tp_hsm_keys() WHERE label = 'obj ec 2';
SELECT DISTINCT object, value FROM tp_key_attributes('obj ec 2') WHERE attribute = 'CKA_LABEL' ORDER BY 1;
SELECT refusal($$SELECT tp_rename_key('obj ec 2', 'obj rsa')$$);
SELECT refusal($$SELECT tp_rename_key('obj ec 2', 'obj ec 2')$$);
SELECT tp_rename_key('obj ec 2', 'obj ec');
-- A label that UTF-8 needs.
SELECT tp_rename_key('obj ec', 'Schlüssel');
SELECT tp_verify('Schlüssel', 'x', :'signature');
SELECT label FROM tp_hsm_keys() WHERE id = :'ec_id';
SELECT tp_rename_key('Schlüssel', 'obj ec');

-- By its id: a URI in place of the label.
SELECT 'pkcs11:id=' || regexp_replace(encode(id, 'hex'), '(..)', '%\1', 'g') AS uri FROM tp_token_key WHERE label = 'obj ec' \gset
SELECT tp_verify(:'uri', 'x', :'signature'), tp_verify('obj ec', 'x', tp_sign(:'uri', 'x')), tp_public_key(:'uri') = tp_public_key('obj ec');
SELECT tp_verify('pkcs11:object=obj%20ec', 'x', :'signature'), tp_verify(:'uri' || ';object=obj%20ec', 'x', :'signature');
SELECT tp_rename_key(:'uri', 'obj by id');
SELECT label FROM tp_hsm_keys() WHERE id = :'ec_id';
SELECT tp_verify(:'uri', 'x', :'signature');
SELECT tp_rename_key(:'uri', 'obj ec');
SELECT uri, refusal(format('SELECT tp_sign(%L, ''x'')', uri)) FROM unnest('{pkcs11:,pkcs11:id=,pkcs11:id=%0,pkcs11:id=%zz,pkcs11:token=x,pkcs11:object=obj%20ec?pin-value=1234,pkcs11:object=a;object=b,
    pkcs11:id=%00%01,pkcs11:object=obj%20ec%00x,pkcs11:object=no%20such%20key,pkcs11:object=trustpoint-pg-kek}'::text[]) AS uri;
SELECT refusal(format('SELECT tp_sign(%L, ''x'')', :'uri' || ';object=obj%20rsa')) ~ '^42704:';
SELECT DISTINCT refusal(format('SELECT tp_destroy_key(%L)', 'pkcs11:id=' || regexp_replace(encode(id, 'hex'), '(..)', '%\1', 'g'))) ~ '^42501:' FROM tp_kek;
SELECT refusal($$SELECT tp_generate_ec_key('pkcs11:object=x')$$);
SELECT refusal($$SELECT tp_rename_key('obj ec', 'pkcs11:object=x')$$) ~ '^22023:';

-- Rolled back: as if nothing had been.
BEGIN;
SELECT octet_length(tp_generate_ec_key('obj new'));
SELECT tp_verify('obj new', 'x', tp_sign('obj new', 'x'));
SELECT label FROM tp_hsm_keys() WHERE label = 'obj new';
ROLLBACK;
SELECT refusal($$SELECT tp_sign('obj new', 'x')$$);
SELECT count(*) FROM tp_hsm_keys() WHERE label = 'obj new';
BEGIN;
SELECT tp_rename_key('obj ec', 'obj other');
SELECT tp_verify('obj other', 'x', :'signature');
ROLLBACK;
SELECT tp_verify('obj ec', 'x', :'signature');
BEGIN;
SELECT tp_destroy_key('obj ec');
SELECT refusal($$SELECT tp_sign('obj ec', 'x')$$);
SELECT count(*) FROM tp_hsm_keys() WHERE id = :'ec_id';
ROLLBACK;
SELECT tp_verify('obj ec', 'x', :'signature');
-- A savepoint.
BEGIN;
SELECT octet_length(tp_generate_ec_key('obj kept'));
SAVEPOINT s;
SELECT octet_length(tp_generate_ec_key('obj undone'));
SELECT tp_rename_key('obj kept', 'obj renamed');
SELECT tp_destroy_key('obj ec');
ROLLBACK TO s;
SELECT label FROM tp_hsm_keys() WHERE label ~ 'obj (kept|undone|renamed|ec$)' ORDER BY 1;
SAVEPOINT t;
SELECT octet_length(tp_generate_ec_key('obj too'));
RELEASE t;
COMMIT;
SELECT label FROM tp_hsm_keys() WHERE label ~ 'obj (kept|undone|renamed|too|ec$)' ORDER BY 1;
-- An exception in PL/pgSQL is one.
DO $$
BEGIN
    PERFORM tp_generate_ec_key('obj undone');
    PERFORM 1 / 0;
EXCEPTION WHEN division_by_zero THEN
    NULL;
END
$$;
SELECT count(*) FROM tp_hsm_keys() WHERE label = 'obj undone';
-- A statement that fails after the key was made.
SELECT refusal($$SELECT tp_generate_ec_key('obj undone'), 1 / (SELECT 0 FROM tp_status())$$);
SELECT count(*) FROM tp_hsm_keys() WHERE label = 'obj undone';
-- Replaced in one transaction, forth and back.
BEGIN;
SELECT tp_destroy_key('obj kept');
SELECT octet_length(tp_generate_ec_key('obj kept', 'P-384'));
SELECT curve FROM tp_hsm_keys() WHERE label = 'obj kept';
ROLLBACK;
SELECT curve FROM tp_hsm_keys() WHERE label = 'obj kept';
BEGIN;
SELECT tp_rename_key('obj kept', 'obj old');
SELECT octet_length(tp_generate_ec_key('obj kept', 'P-384'));
SELECT tp_destroy_key('obj old');
COMMIT;
SELECT curve FROM tp_hsm_keys() WHERE label = 'obj kept';
SELECT count(*) FROM tp_hsm_keys() WHERE label IN ('obj old') OR label ~ '^destroyed';
-- Not in a prepared or a read-only transaction.
BEGIN;
SELECT octet_length(tp_generate_ec_key('obj prepared'));
PREPARE TRANSACTION 'regress_tp';
ROLLBACK;
SELECT count(*) FROM tp_hsm_keys() WHERE label = 'obj prepared';
BEGIN READ ONLY;
SELECT refusal($$SELECT tp_generate_ec_key('obj x')$$);
SELECT refusal($$SELECT tp_import_key('obj x', pem) FROM pem WHERE name = 'P-256 sec1'$$);
SELECT refusal($$SELECT tp_rename_key('obj ec', 'obj x')$$);
SELECT refusal($$SELECT tp_destroy_key('obj ec')$$);
SELECT tp_verify('obj ec', 'x', tp_sign('obj ec', 'x'));
ROLLBACK;

-- Destroyed: gone from the token, with its grants.
CREATE ROLE regress_tp_user;
SELECT tp_grant_key('obj too', 'regress_tp_user', '{sign}');
SELECT tp_destroy_key('obj too');
SELECT refusal($$SELECT tp_destroy_key('obj too')$$);
SELECT count(*) FROM tp_hsm_keys() WHERE label = 'obj too';
SELECT count(*) FROM tp_key_grant;
-- What is left to do is done by the next that changes keys.
SELECT label FROM tp_token_trash;
SELECT tp_rename_key('obj kept', 'obj kept 2');
SELECT count(*) FROM tp_token_trash;
DROP OWNED BY regress_tp_user;
DROP ROLE regress_tp_user;

-- Dates inform; they are the only attributes that change.
SELECT tp_set_key_attributes('obj ec', start_date => '2026-01-31', end_date => '2027-01-31');
SELECT DISTINCT attribute, value FROM tp_key_attributes('obj ec') WHERE attribute ~ 'DATE' AND value <> '' ORDER BY 1;
SELECT tp_set_key_attributes('obj ec', end_date => '2028-02-29');
SELECT DISTINCT attribute, value FROM tp_key_attributes('obj ec') WHERE attribute ~ 'DATE' AND value <> '' ORDER BY 1;
BEGIN;
SELECT tp_set_key_attributes('obj ec', start_date => '2020-01-01');
ROLLBACK;
SELECT DISTINCT attribute, value FROM tp_key_attributes('obj ec') WHERE attribute ~ 'DATE' AND value <> '' ORDER BY 1;
SELECT refusal($$SELECT tp_set_key_attributes('obj ec', start_date => '2028-01-01', end_date => '2027-01-01')$$);
SELECT refusal($$SELECT tp_set_key_attributes('obj ec', end_date => 'infinity')$$);
SELECT refusal($$SELECT tp_set_key_attributes('obj ec', end_date => '0001-01-01 BC')$$);
SELECT refusal($$SELECT tp_set_key_attributes('obj no', end_date => '2027-01-01')$$);
SELECT refusal($$SELECT tp_set_key_attributes(NULL, end_date => '2027-01-01')$$);
SELECT tp_set_key_attributes('obj ec');
-- SoftHSM keeps no date of a secret key.
SELECT refusal($$SELECT tp_set_key_attributes('obj aes', end_date => '2027-01-01')$$);
SELECT tp_verify('obj ec', 'x', tp_sign('obj ec', 'x'));

SELECT tp_destroy_key(label) FROM tp_token_key WHERE label ~ '^obj' ORDER BY label;
SELECT count(*) FROM tp_hsm_keys() WHERE label ~ '^obj|^destroyed';
SELECT count(*) FROM tp_token_key;
