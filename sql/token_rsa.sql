-- RSA keys of the token: sizes, usages, every signature and padding, import; against what openssl made, and back.
\pset format unaligned
\pset tuples_only on

SELECT octet_length(tp_generate_rsa_key('rsa 2048', 2048)), octet_length(tp_generate_rsa_key('rsa 3072')),
       octet_length(tp_generate_rsa_key('rsa 4096', 4096));
SELECT label, bits, usage, octet_length(tp_sign(label, 'data')), octet_length(tp_public_key_der(label)) FROM tp_hsm_keys() WHERE type = 'RSA' ORDER BY 1;
SELECT octet_length(tp_generate_rsa_key('rsa decrypt', 2048, 'decrypt'));

-- Signatures: each verifies by the key and by its public key, and nothing else does.
CREATE VIEW signature AS
    SELECT algorithm FROM unnest('{rsa-pss,rsa-pkcs1}'::text[]) scheme, unnest('{224,256,384,512}'::text[]) size,
           LATERAL (SELECT scheme || '-sha' || size) AS a (algorithm);
SELECT algorithm, octet_length(s), tp_verify('rsa 2048', 'data', s, algorithm) AS verifies,
       tp_verify_with_public_key(tp_public_key('rsa 2048'), 'data', s, algorithm) AS by_pem,
       tp_verify('rsa 2048', 'other', s, algorithm) AS other_data,
       tp_verify('rsa 3072', 'data', s, algorithm) AS other_key,
       tp_verify('rsa 2048', 'data', set_byte(s, 9, 255 - get_byte(s, 9)), algorithm) AS changed,
       tp_verify('rsa 2048', 'data', substr(s, 2), algorithm) AS shorter,
       tp_verify('rsa 2048', 'data', s || '\x00', algorithm) AS longer
    FROM signature, LATERAL (SELECT tp_sign('rsa 2048', 'data', algorithm)) AS t (s) ORDER BY 1;
SELECT count(*) FROM signature a, signature b, LATERAL (SELECT tp_sign('rsa 2048', 'data', a.algorithm)) AS t (s)
    WHERE tp_verify('rsa 2048', 'data', s, b.algorithm);
SELECT tp_verify('rsa 2048', 'data', tp_sign('rsa 2048', 'data'), 'rsa-pss-sha256'),
       tp_verify('rsa 2048', 'data', tp_sign('rsa 2048', 'data', 'rsa-pss-sha256'));
-- Over a digest made elsewhere.
SELECT size, tp_verify('rsa 2048', 'data', tp_sign_digest('rsa 2048', digest, 'rsa-pss-sha' || size), 'rsa-pss-sha' || size),
       tp_sign_digest('rsa 2048', digest, 'rsa-pkcs1-sha' || size) = tp_sign('rsa 2048', 'data', 'rsa-pkcs1-sha' || size)
    FROM (VALUES ('224', sha224('data')), ('256', sha256('data')), ('384', sha384('data')), ('512', sha512('data'))) AS d (size, digest);
-- PSS is random, PKCS#1 is not.
SELECT tp_sign('rsa 2048', 'data') = tp_sign('rsa 2048', 'data'),
       tp_sign('rsa 2048', 'data', 'rsa-pkcs1-sha256') = tp_sign('rsa 2048', 'data', 'rsa-pkcs1-sha256');
-- Empty and larger data.
SELECT tp_verify('rsa 2048', '', tp_sign('rsa 2048', '')),
       tp_verify('rsa 2048', d, tp_sign('rsa 2048', d)) FROM convert_to(repeat('x', 9000000), 'UTF8') AS d;

-- The public key, in both forms.
SELECT tp_public_key('rsa 2048') ~ '^-----BEGIN PUBLIC KEY-----\n([A-Za-z0-9+/=]+\n)+-----END PUBLIC KEY-----\n$';
SELECT decode(regexp_replace(tp_public_key('rsa 2048'), '-----[A-Z ]+-----|\n', '', 'g'), 'base64') = tp_public_key_der('rsa 2048');

-- Import: every form of the same key gives the same public key and signs as openssl did.
SELECT octet_length(tp_import_key('imported ' || name, pem, CASE WHEN name ~ 'encrypted' THEN 'correct horse' END))
    FROM pem WHERE name ~ '^rsa pkcs[18]' ORDER BY name;
SELECT label, tp_public_key(label) = (SELECT pem FROM pem WHERE name = 'rsa public'), bits, usage, attributes
    FROM tp_hsm_keys() WHERE label ~ '^imported' ORDER BY 1;
SELECT name, tp_sign('imported rsa pkcs8', 'trustpoint', name) = bytes FROM made_by_openssl WHERE name ~ '^rsa-pkcs1' ORDER BY 1;
SELECT name, tp_verify('imported rsa pkcs8', 'trustpoint', bytes, name), tp_verify_with_public_key(pem, 'trustpoint', bytes, name)
    FROM made_by_openssl, (SELECT pem FROM pem WHERE pem.name = 'rsa public') AS p WHERE name ~ '^rsa' ORDER BY 1;
SELECT object, attribute, value FROM tp_key_attributes('imported rsa pkcs1')
    WHERE attribute IN ('CKA_SENSITIVE', 'CKA_EXTRACTABLE', 'CKA_SIGN', 'CKA_DECRYPT') ORDER BY 1, 2;

-- Encryption: there and back, and what openssl encrypted.
CREATE VIEW padding AS SELECT unnest('{oaep-sha1,oaep-sha224,oaep-sha256,oaep-sha384,oaep-sha512,pkcs1}'::text[]) AS padding;
SELECT padding, octet_length(c), convert_from(tp_rsa_decrypt('rsa decrypt', c, padding), 'UTF8'),
       c = tp_rsa_encrypt('rsa decrypt', 'secret', padding) AS repeats
    FROM padding, LATERAL (SELECT tp_rsa_encrypt('rsa decrypt', 'secret', padding)) AS t (c) ORDER BY 1;
SELECT octet_length(tp_import_key('imported for decryption', pem, usage => 'decrypt')) FROM pem WHERE name = 'rsa for decryption';
SELECT name, convert_from(tp_rsa_decrypt('imported for decryption', bytes, name), 'UTF8')
    FROM made_by_openssl WHERE name ~ '^oaep|^pkcs1' ORDER BY 1;
SELECT convert_from(tp_rsa_decrypt('rsa decrypt', tp_rsa_encrypt('rsa decrypt', 'by default')), 'UTF8');
SELECT padding, octet_length(tp_rsa_decrypt('rsa decrypt', tp_rsa_encrypt('rsa decrypt', '', padding), padding)) FROM padding ORDER BY 1;
-- The largest that fits, and one more.
SELECT padding, octet_length(tp_rsa_decrypt('rsa decrypt', tp_rsa_encrypt('rsa decrypt', d, padding), padding)),
       refusal(format('SELECT tp_rsa_encrypt(''rsa decrypt'', %L, %L)', d || '\x00', padding)) ~ '^(54000|22023):'
    FROM padding, LATERAL (SELECT decode(repeat('ab', CASE padding WHEN 'oaep-sha1' THEN 214 WHEN 'oaep-sha224' THEN 198
        WHEN 'oaep-sha256' THEN 190 WHEN 'oaep-sha384' THEN 158 WHEN 'oaep-sha512' THEN 126 ELSE 245 END), 'hex')) AS t (d) ORDER BY 1;
-- Whatever is wrong with a ciphertext: one message.
SELECT DISTINCT refusal(format('SELECT tp_rsa_decrypt(''rsa decrypt'', %L, %L)', c, padding))
    FROM padding, LATERAL (SELECT tp_rsa_encrypt('rsa decrypt', 'secret', padding)) AS t (good),
         LATERAL (VALUES (set_byte(good, 99, 255 - get_byte(good, 99))), (substr(good, 2)), (good || '\x00'), (''), ('\x00'),
                         (decode(repeat('ff', 256), 'hex')), (decode(repeat('00', 256), 'hex'))) AS bad (c)
    WHERE padding <> 'pkcs1';
SELECT DISTINCT refusal(format('SELECT tp_rsa_decrypt(''rsa decrypt'', %L, ''oaep-sha384'')', tp_rsa_encrypt('rsa decrypt', 'secret', padding)))
    FROM padding WHERE padding <> 'oaep-sha384';

-- A key signs or decrypts, never both.
SELECT refusal($$SELECT tp_sign('rsa decrypt', 'data')$$);
SELECT refusal($$SELECT tp_sign_digest('rsa decrypt', sha256('data'), 'rsa-pkcs1-sha256')$$);
SELECT refusal($$SELECT tp_rsa_decrypt('rsa 2048', decode(repeat('01', 256), 'hex'))$$);
SELECT refusal($$SELECT tp_rsa_decrypt('rsa 2048', decode(repeat('01', 256), 'hex'), 'pkcs1')$$);

DROP VIEW signature, padding;
SELECT tp_destroy_key(label) FROM tp_token_key ORDER BY label;
