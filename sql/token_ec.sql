-- EC keys of the token: curves, signatures over data and digests, import; against what openssl made, and back.
\pset format unaligned
\pset tuples_only on

CREATE VIEW curve AS SELECT unnest('{P-256,P-384,P-521,secp256k1}'::text[]) AS curve;
CREATE VIEW hash AS SELECT unnest('{sha256,sha384,sha512}'::text[]) AS hash;
SELECT curve, octet_length(tp_generate_ec_key('ec ' || curve, curve)) FROM curve;
SELECT octet_length(tp_generate_ec_key('ec default'));
SELECT label, type, bits, curve, usage FROM tp_hsm_keys() WHERE label ~ '^ec' ORDER BY label COLLATE "C";
SELECT label, object, value FROM tp_token_key, tp_key_attributes(label) WHERE attribute = 'CKA_EC_PARAMS' ORDER BY label COLLATE "C", 2;
-- The point, as SubjectPublicKeyInfo.
SELECT curve, octet_length(tp_public_key_der('ec ' || curve)), substr(tp_public_key_der('ec ' || curve), 1, 2) FROM curve;
SELECT curve, decode(regexp_replace(tp_public_key('ec ' || curve), '-----[A-Z ]+-----|\n', '', 'g'), 'base64') = tp_public_key_der('ec ' || curve) FROM curve;

-- Signatures: each verifies by the key and by its public key, and nothing else does.
SELECT curve, hash, tp_verify(label, 'data', s, algorithm) AS verifies,
       tp_verify_with_public_key(tp_public_key(label), 'data', s, algorithm) AS by_pem,
       substr(s, 1, 1) = '\x30' AS der,
       tp_verify(label, 'other', s, algorithm) AS other_data,
       tp_verify('ec default', 'data', s, algorithm) AS other_key,
       tp_verify(label, 'data', set_byte(s, 20, 255 - get_byte(s, 20)), algorithm) AS changed,
       tp_verify(label, 'data', s || '\x00', algorithm) AS longer
    FROM curve, hash, LATERAL (SELECT 'ec ' || curve, 'ecdsa-' || hash) AS n (label, algorithm),
         LATERAL (SELECT tp_sign(label, 'data', algorithm)) AS t (s);
-- The default follows the curve.
SELECT curve, hash FROM curve, hash WHERE tp_verify('ec ' || curve, 'data', tp_sign('ec ' || curve, 'data'), 'ecdsa-' || hash);
-- Over a digest made elsewhere.
SELECT curve, hash, tp_verify('ec ' || curve, 'data', tp_sign_digest('ec ' || curve,
        CASE hash WHEN 'sha256' THEN sha256('data') WHEN 'sha384' THEN sha384('data') ELSE sha512('data') END, 'ecdsa-' || hash), 'ecdsa-' || hash)
    FROM curve, hash;
-- A hundred of each: no length or leading zero of r and s goes wrong.
SELECT curve, count(*) FROM curve, generate_series(1, 100) AS n
    WHERE tp_verify('ec ' || curve, n::text::bytea, tp_sign('ec ' || curve, n::text::bytea)) GROUP BY 1 ORDER BY 1;

-- Import, and what openssl signed.
SELECT name, octet_length(tp_import_key('imported ' || split_part(name, ' ', 1), pem, CASE WHEN name ~ 'encrypted' THEN 'correct horse' END))
    FROM pem WHERE name IN ('P-256 sec1', 'P-384 pkcs8 encrypted', 'P-521 sec1', 'secp256k1 sec1') ORDER BY name;
SELECT curve, tp_public_key('imported ' || curve) = (SELECT pem FROM pem WHERE name = curve || ' public') FROM curve;
SELECT name, tp_verify('imported ' || curve, 'trustpoint', bytes, algorithm), tp_verify_with_public_key(pem, 'trustpoint', bytes, algorithm)
    FROM made_by_openssl JOIN LATERAL (SELECT split_part(name, ' ', 1), split_part(name, ' ', 2)) AS n (curve, algorithm) ON algorithm <> ''
    JOIN (SELECT name AS pem_name, pem FROM pem) AS p ON pem_name = curve || ' public' ORDER BY 1;
SELECT curve, tp_verify_with_public_key(pem, 'data', tp_sign('imported ' || curve, 'data', 'ecdsa-sha256'), 'ecdsa-sha256')
    FROM curve JOIN pem ON name = curve || ' public';
SELECT octet_length(tp_import_key('imported pkcs8', pem)) FROM pem WHERE name = 'P-256 pkcs8';
SELECT tp_public_key('imported pkcs8') = tp_public_key('imported P-256');
SELECT attribute, value FROM tp_key_attributes('imported pkcs8')
    WHERE object = 'private key' AND attribute IN ('CKA_SENSITIVE', 'CKA_EXTRACTABLE', 'CKA_SIGN', 'CKA_DECRYPT', 'CKA_DERIVE') ORDER BY 1;

-- What EC keys do not do.
SELECT refusal($$SELECT tp_rsa_encrypt('ec P-256', 'secret')$$);
SELECT refusal($$SELECT tp_rsa_decrypt('ec P-256', 'secret')$$);
SELECT refusal($$SELECT tp_aes_encrypt('ec P-256', 'secret')$$);
SELECT refusal($$SELECT tp_sign('ec P-256', 'data', 'rsa-pss-sha256')$$);
SELECT refusal($$SELECT tp_import_key('x', pem, usage => 'decrypt') FROM pem WHERE name = 'P-256 sec1'$$);

DROP VIEW curve, hash;
SELECT tp_destroy_key(label) FROM tp_token_key ORDER BY label;
