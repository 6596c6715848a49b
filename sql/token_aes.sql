-- AES keys of the token: sizes and modes, one for life.
\pset format unaligned
\pset tuples_only on

CREATE VIEW key AS
    SELECT bits, mode, 'aes ' || bits || ' ' || mode AS label FROM unnest('{128,192,256}'::int[]) bits, unnest('{gcm,cbc-pad,ecb}'::text[]) mode;
SELECT label, octet_length(tp_generate_aes_key(label, bits, mode)) FROM key;
SELECT octet_length(tp_generate_aes_key('aes default'));
SELECT label, type, bits, usage, mode, attributes FROM tp_hsm_keys() WHERE label ~ '^aes' ORDER BY label COLLATE "C";

-- There and back: whole blocks for ecb, any length for the others; how long the result is.
SELECT label, n, octet_length(c), tp_aes_decrypt(label, c) = d
    FROM key, unnest('{0,1,15,16,17,1000}'::int[]) n, LATERAL (SELECT decode(repeat('5a', n), 'hex')) AS t (d),
         LATERAL (SELECT tp_aes_encrypt(label, d)) AS u (c)
    WHERE bits = 256 AND mode <> 'ecb' ORDER BY label, n;
SELECT label, octet_length(c), convert_from(tp_aes_decrypt(label, c), 'UTF8')
    FROM key, LATERAL (SELECT tp_aes_encrypt(label, 'two whole blocks, no byte more!!')) AS t (c);
SELECT tp_aes_decrypt('aes default', c) = d FROM decode(repeat('5a', 1000000), 'hex') AS d, LATERAL (SELECT tp_aes_encrypt('aes default', d)) AS t (c);
SELECT octet_length(tp_aes_encrypt('aes 256 ecb', ''));
-- The iv is new each time; ecb shows equal blocks.
SELECT mode, tp_aes_encrypt(label, d) = tp_aes_encrypt(label, d) FROM key, decode(repeat('00', 32), 'hex') AS d WHERE bits = 256;
SELECT substr(c, 1, 16) = substr(c, 17, 16) FROM tp_aes_encrypt('aes 256 ecb', decode(repeat('00', 32), 'hex')) AS c;
SELECT refusal($$SELECT tp_aes_encrypt('aes 256 ecb', 'no whole block')$$);

-- Whatever does not decrypt: one message.
SELECT DISTINCT refusal(format('SELECT tp_aes_decrypt(''aes 256 gcm'', %L)', c))
    FROM tp_aes_encrypt('aes 256 gcm', 'secret') AS good, tp_aes_encrypt('aes 128 gcm', 'secret') AS other,
         LATERAL (VALUES (other), (set_byte(good, 0, 255 - get_byte(good, 0))), (set_byte(good, 13, 255 - get_byte(good, 13))),
                         (set_byte(good, 30, 255 - get_byte(good, 30))), (substr(good, 1, 27)), (good || '\x00'), (''), ('\x00')) AS bad (c);
SELECT DISTINCT refusal(format('SELECT tp_aes_decrypt(''aes 256 cbc-pad'', %L)', c))
    FROM tp_aes_encrypt('aes 256 cbc-pad', 'secret') AS good, LATERAL (VALUES (substr(good, 1, 31)), (substr(good, 1, 16)), (''), ('\x00')) AS bad (c);
SELECT DISTINCT refusal(format('SELECT tp_aes_decrypt(''aes 256 ecb'', %L)', c)) FROM (VALUES ('\x00'::bytea), ('0123456789abcde')) AS bad (c);

-- The label is authenticated by gcm; a rename does not lose what was encrypted before.
SELECT tp_aes_encrypt('aes default', 'before') AS c \gset
SELECT tp_rename_key('aes default', 'aes renamed');
SELECT convert_from(tp_aes_decrypt('aes renamed', :'c'), 'UTF8'), convert_from(tp_aes_decrypt('aes renamed', tp_aes_encrypt('aes renamed', 'after')), 'UTF8');

-- What AES keys do not do.
SELECT refusal($$SELECT tp_sign('aes renamed', 'data')$$);
SELECT refusal($$SELECT tp_sign_digest('aes renamed', sha256('data'), 'ecdsa-sha256')$$);
SELECT refusal($$SELECT tp_verify('aes renamed', 'data', '\x00')$$);
SELECT refusal($$SELECT tp_public_key('aes renamed')$$);
SELECT refusal($$SELECT tp_public_key_der('aes renamed')$$);
SELECT refusal($$SELECT tp_rsa_encrypt('aes renamed', 'secret')$$);
SELECT refusal($$SELECT tp_csr('aes renamed', 'CN=x')$$);
SELECT refusal($$SELECT tp_self_signed_certificate('aes renamed', 'CN=x', 1)$$);

DROP VIEW key;
SELECT tp_destroy_key(label) FROM tp_token_key ORDER BY label;

-- The DEK is wrapped by CKM_AES_KEY_WRAP where the token has it: RFC 3394, so that single blocks give the same bytes
-- (test/unit/pkcs11_key_wrap_test.cpp compares them).
SELECT DISTINCT use FROM tp_kek;
