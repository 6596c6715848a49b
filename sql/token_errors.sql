-- Every malformed argument of the functions for keys of the token: the right SQLSTATE, a hint, and a session that lives on.
\pset format unaligned
\pset tuples_only on
SELECT octet_length(tp_generate_ec_key('err ec')), octet_length(tp_generate_rsa_key('err rsa', 2048)), octet_length(tp_generate_aes_key('err aes'));

-- 22004: NULL where it would lose something; NULL data gives NULL.
SELECT call, refusal('SELECT ' || call) FROM unnest(ARRAY[
    'tp_generate_rsa_key(NULL)', 'tp_generate_rsa_key(''x'', NULL)', 'tp_generate_rsa_key(''x'', 2048, NULL)',
    'tp_generate_ec_key(NULL)', 'tp_generate_ec_key(''x'', NULL)',
    'tp_generate_aes_key(NULL)', 'tp_generate_aes_key(''x'', NULL)', 'tp_generate_aes_key(''x'', 256, NULL)',
    'tp_import_key(NULL, ''x'')', 'tp_import_key(''x'', NULL)', 'tp_import_key(''x'', ''x'', NULL, NULL)',
    'tp_import_key_file(NULL, ''/x'')', 'tp_import_key_file(''x'', NULL)', 'tp_import_key_file(''x'', ''/x'', NULL, NULL)',
    'tp_key_attributes(NULL)', 'tp_rename_key(NULL, ''x'')', 'tp_rename_key(''err ec'', NULL)', 'tp_destroy_key(NULL)',
    'tp_public_key(NULL)', 'tp_public_key_der(NULL)', 'tp_sign(NULL, ''x'')', 'tp_sign_digest(NULL, ''x'', ''ecdsa-sha256'')',
    'tp_sign_digest(''err ec'', sha256(''x''), NULL)', 'tp_verify(NULL, ''x'', ''x'')',
    'tp_verify_with_public_key(NULL, ''x'', ''x'', ''ecdsa-sha256'')', 'tp_verify_with_public_key(''x'', ''x'', ''x'', NULL)',
    'tp_rsa_encrypt(NULL, ''x'')', 'tp_rsa_encrypt(''err rsa'', ''x'', NULL)', 'tp_rsa_decrypt(NULL, ''x'')',
    'tp_rsa_decrypt(''err rsa'', ''x'', NULL)', 'tp_aes_encrypt(NULL, ''x'')', 'tp_aes_decrypt(NULL, ''x'')',
    'tp_hsm_change_pin(NULL)', 'tp_token_key_id(NULL)', 'tp_grant_key(NULL, ''postgres'', ''{sign}'')']) AS call;
SELECT tp_sign('err ec', NULL) IS NULL, tp_sign_digest('err ec', NULL, 'ecdsa-sha256') IS NULL, tp_verify('err ec', NULL, 'x') IS NULL,
       tp_verify('err ec', 'x', NULL) IS NULL, tp_verify_with_public_key('x', NULL, 'x', 'ecdsa-sha256') IS NULL,
       tp_rsa_encrypt('err rsa', NULL) IS NULL, tp_rsa_decrypt('err rsa', NULL) IS NULL, tp_aes_encrypt('err aes', NULL) IS NULL,
       tp_aes_decrypt('err aes', NULL) IS NULL;

-- 22023: what is no label, size, usage, curve, mode, algorithm, padding.
SELECT what, refusal(format('SELECT tp_generate_ec_key(%L)', label)) FROM (VALUES ('empty', ''), ('too long', repeat('x', 65)), ('control', E'a\tb'),
    ('newline', E'a\nb')) AS l (what, label);
SELECT octet_length(tp_generate_ec_key(repeat('x', 64)));
SELECT tp_destroy_key(repeat('x', 64));
SELECT what, refusal(format('SELECT tp_rename_key(''err ec'', %L)', label)) FROM (VALUES ('empty', ''), ('too long', repeat('x', 65)), ('control', E'a\tb')) AS l (what, label);
SELECT bits, refusal(format('SELECT tp_generate_rsa_key(''x'', %s)', bits)) FROM unnest('{0,-1,1024,2047,2049,8192,2147483647}'::int[]) AS bits;
SELECT bits, refusal(format('SELECT tp_generate_aes_key(''x'', %s)', bits)) FROM unnest('{0,-1,64,255,512,2147483647}'::int[]) AS bits;
SELECT usage, refusal(format('SELECT tp_generate_rsa_key(''x'', 2048, %L)', usage)) FROM unnest('{"",both,Sign,"sign,decrypt"}'::text[]) AS usage;
SELECT curve, refusal(format('SELECT tp_generate_ec_key(''x'', %L)', curve)) FROM unnest('{"",P-224,p-256,Ed25519,brainpoolP256r1}'::text[]) AS curve;
SELECT mode, refusal(format('SELECT tp_generate_aes_key(''x'', 256, %L)', mode)) FROM unnest('{"",ctr,GCM,cbc}'::text[]) AS mode;
SELECT algorithm, refusal(format('SELECT tp_sign(''err ec'', ''x'', %L)', algorithm))
    FROM unnest('{"",rot13,ecdsa-sha1,ecdsa-sha224,ECDSA-SHA256,rsa-pss-sha256,rsa-pkcs1-sha1}'::text[]) AS algorithm;
SELECT refusal($$SELECT tp_sign('err rsa', 'x', 'ecdsa-sha256')$$);
SELECT refusal($$SELECT tp_verify('err ec', 'x', 'x', 'rot13')$$);
SELECT refusal($$SELECT tp_verify('err ec', 'x', 'x', 'rsa-pss-sha256')$$);
SELECT refusal($$SELECT tp_rsa_encrypt('err rsa', 'x', 'none')$$);
SELECT refusal($$SELECT tp_rsa_decrypt('err rsa', 'x', 'oaep')$$);
SELECT refusal($$SELECT tp_rsa_encrypt('err aes', 'x')$$);
SELECT refusal($$SELECT tp_aes_encrypt('err rsa', 'x')$$);
SELECT refusal($$SELECT tp_aes_decrypt('err ec', 'x')$$);
-- A digest of the wrong length.
SELECT n, refusal(format('SELECT tp_sign_digest(''err ec'', %L, ''ecdsa-sha256'')', decode(repeat('00', n), 'hex'))) FROM unnest('{0,1,31,33,64}'::int[]) AS n;
SELECT refusal($$SELECT tp_sign_digest('err rsa', sha256('x'), 'rsa-pss-sha512')$$);
SELECT refusal($$SELECT tp_sign_digest('err rsa', sha256('x'), 'rsa-pkcs1-sha384')$$);
-- A signature that is none is false, not an error.
SELECT bool_or(tp_verify('err ec', 'x', s) OR tp_verify('err rsa', 'x', s))
    FROM (VALUES (''::bytea), ('\x00'), ('\x30'), ('\x3000'), ('\x30060201000201'), (decode(repeat('ff', 256), 'hex')), (decode(repeat('00', 4096), 'hex'))) AS t (s);
-- A public key that is none.
SELECT n, refusal(format('SELECT tp_verify_with_public_key(%L, ''x'', ''x'', ''ecdsa-sha256'')', pem))
    FROM (VALUES (1, ''), (2, 'x'), (3, E'-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n'),
        (4, (SELECT pem FROM pem WHERE name = 'rsa public')), (5, (SELECT pem FROM pem WHERE name = 'P-256 sec1')),
        (6, (SELECT pem FROM pem WHERE name = 'brainpool public')), (7, (SELECT replace(pem, 'A', 'B') FROM pem WHERE name = 'P-256 public')),
        (8, (SELECT substr(pem, 1, 100) FROM pem WHERE name = 'P-256 public'))) AS p (n, pem);
SELECT refusal($$SELECT tp_verify_with_public_key(pem, 'x', 'x', 'rot13') FROM pem WHERE name = 'rsa public'$$);

-- Import: no key, a key of a kind or size that is not served, a passphrase that is missing, wrong or too much.
SELECT n, refusal(format('SELECT tp_import_key(''x'', %L)', pem))
    FROM (VALUES (1, ''), (2, 'x'), (3, E'-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n'),
        (4, (SELECT pem FROM pem WHERE name = 'rsa public')), (5, (SELECT pem FROM pem WHERE name = 'rsa 1024')),
        (6, (SELECT pem FROM pem WHERE name = 'brainpool sec1')), (7, (SELECT pem FROM pem WHERE name = 'ed25519')),
        (8, (SELECT pem FROM pem WHERE name = 'dsa')), (9, (SELECT substr(pem, 1, 200) FROM pem WHERE name = 'rsa pkcs8')),
        (10, (SELECT pem FROM pem WHERE name = 'rsa pkcs8 encrypted')), (11, repeat('x', 2000000))) AS p (n, pem);
SELECT n, refusal(format('SELECT tp_import_key(''x'', pem, %L) FROM pem WHERE name = %L', passphrase, name))
    FROM (VALUES (1, 'rsa pkcs8 encrypted', 'wrong'), (2, 'rsa pkcs8 encrypted', ''), (3, 'rsa pkcs1 encrypted', 'wrong'),
        (4, 'P-384 pkcs8 encrypted', repeat('x', 100000))) AS p (n, name, passphrase);
SELECT refusal($$SELECT tp_import_key('x', pem, usage => 'both') FROM pem WHERE name = 'rsa pkcs8'$$);
SELECT refusal($$SELECT tp_import_key('', pem) FROM pem WHERE name = 'rsa pkcs8'$$);
SELECT refusal($$SELECT tp_import_key('err ec', pem) FROM pem WHERE name = 'rsa pkcs8'$$);
SELECT refusal(format('SELECT tp_import_key_file(''x'', %L)', path)) FROM unnest('{"",relative,/,/dev/null,/etc/passwd,/no/such/file}'::text[]) AS path;
-- No word of a key or a passphrase in a refusal.
SELECT count(*) FROM unnest(ARRAY[refusal($$SELECT tp_import_key('x', 'secret ' || pem, 'secret') FROM pem WHERE name = 'rsa pkcs8 encrypted'$$),
    refusal($$SELECT tp_import_key('x', replace(pem, 'A', 'secret'), 'secret') FROM pem WHERE name = 'rsa pkcs8'$$)]) AS words WHERE words ~ 'secret';

-- 42704: no such key.
SELECT call, refusal('SELECT ' || call) FROM unnest(ARRAY['tp_sign(''no such key'', ''x'')', 'tp_sign('''', ''x'')',
    'tp_verify(''no such key'', ''x'', ''x'')', 'tp_public_key(''no such key'')', 'tp_key_attributes(''no such key'')', 'tp_rename_key(''no such key'', ''x'')',
    'tp_destroy_key(''no such key'')', 'tp_rsa_decrypt(''no such key'', ''x'')', 'tp_aes_encrypt(''no such key'', ''x'')',
    'tp_grant_key(''no such key'', ''postgres'', ''{sign}'')', 'tp_sign(repeat(''x'', 1000), ''x'')']) AS call;

-- Keys of the keyring: neither used nor touched, by any function.
SELECT call, refusal('SELECT ' || replace(call, 'KEK', '''trustpoint-pg-kek''')) ~ '^42501:' FROM unnest(ARRAY['tp_sign(KEK, ''x'')', 'tp_sign_digest(KEK, sha256(''x''), ''ecdsa-sha256'')',
    'tp_verify(KEK, ''x'', ''x'')', 'tp_rsa_encrypt(KEK, ''x'')', 'tp_rsa_decrypt(KEK, ''x'')', 'tp_aes_encrypt(KEK, ''x'')', 'tp_aes_decrypt(KEK, ''x'')',
    'tp_public_key(KEK)', 'tp_public_key_der(KEK)', 'tp_key_attributes(KEK)', 'tp_rename_key(KEK, ''x'')', 'tp_rename_key(''err ec'', KEK)', 'tp_destroy_key(KEK)',
    'tp_set_key_attributes(KEK, ''2026-01-01'')', 'tp_csr(KEK, ''CN=x'')', 'tp_self_signed_certificate(KEK, ''CN=x'', 1)',
    'tp_generate_rsa_key(KEK)', 'tp_generate_ec_key(KEK)', 'tp_generate_aes_key(KEK)', 'tp_import_key(KEK, ''x'')', 'tp_import_key_file(KEK, ''/x'')',
    'tp_grant_key(KEK, ''postgres'', ''{sign}'')', 'tp_token_key_id(KEK)']) AS call;
SELECT refusal($$SELECT tp_aes_decrypt('trustpoint-pg-kek', 'x')$$);
SELECT refusal($$SELECT tp_generate_ec_key('trustpoint-app-secret-kek')$$);
-- Also when tp_kek gives it another label, or a row calls it a key.
BEGIN;
UPDATE tp_kek SET label = 'err kek';
SELECT refusal($$SELECT tp_generate_ec_key('err kek')$$);
ROLLBACK;
SELECT refusal($$INSERT INTO tp_token_key SELECT id, 'err kek', 'AES', 256, NULL, 'encrypt, decrypt', 'ecb', 'x', 'x', 'x' FROM tp_kek$$) ~ '^23514:';
SELECT bool_and(ok) FROM tp_verify_keys();

-- Outside of any handler: the session lives.
\pset tuples_only off
SELECT tp_sign('err ec', 'x', 'rot13');
SELECT tp_verify('err ec', 'x', tp_sign('err ec', 'x'));
SELECT tp_sign('no such key', 'x');
SELECT tp_verify('err ec', 'x', tp_sign('err ec', 'x'));
-- Hundreds of refusals leave no locked memory behind.
\pset tuples_only on
SELECT secret_memory_used AS used FROM tp_status() \gset
SELECT count(*) FROM generate_series(1, 200) AS n
    WHERE refusal($$SELECT tp_import_key('x', pem, 'wrong') FROM pem WHERE name = 'rsa pkcs1 encrypted'$$) ~ '^22023:';
SELECT secret_memory_used = :used FROM tp_status();
SELECT tp_destroy_key(label) FROM tp_token_key ORDER BY label;
