-- Requests and certificates. What other programs say of them is in test/t/061_interoperability.pl.
\pset format unaligned
\pset tuples_only on
SELECT octet_length(tp_generate_ec_key('cert ec')), octet_length(tp_generate_rsa_key('cert rsa', 2048)),
       octet_length(tp_generate_rsa_key('cert decrypt', 2048, 'decrypt'));
CREATE VIEW made AS
    SELECT key, algorithm, tp_csr('cert ' || key, 'CN=example.org,O=Example', '{DNS:example.org}', algorithm) AS request,
           tp_self_signed_certificate('cert ' || key, 'CN=example.org', 30, algorithm => algorithm) AS certificate
    FROM (VALUES ('ec', NULL), ('ec', 'ecdsa-sha256'), ('ec', 'ecdsa-sha512'), ('rsa', NULL), ('rsa', 'rsa-pss-sha512'),
                 ('rsa', 'rsa-pkcs1-sha256'), ('rsa', 'rsa-pkcs1-sha384')) AS k (key, algorithm);
SELECT key, algorithm, request ~ '^-----BEGIN CERTIFICATE REQUEST-----\n([A-Za-z0-9+/=]+\n)+-----END CERTIFICATE REQUEST-----\n$',
       certificate ~ '^-----BEGIN CERTIFICATE-----\n([A-Za-z0-9+/=]+\n)+-----END CERTIFICATE-----\n$' FROM made;
-- Subject and names are in it; the serial number is new each time.
CREATE FUNCTION der(pem text) RETURNS bytea LANGUAGE sql
    AS $$SELECT decode(regexp_replace(pem, '-----[A-Z ]+-----|\n', '', 'g'), 'base64')$$;
SELECT position('example.org' IN der(request)) > 0, position('Example' IN der(request)) > 0 FROM made WHERE key = 'ec' AND algorithm IS NULL;
SELECT tp_self_signed_certificate('cert ec', 'CN=x', 1) = tp_self_signed_certificate('cert ec', 'CN=x', 1);
SELECT position(substr(tp_public_key_der('cert ec'), 27) IN der(tp_csr('cert ec', 'CN=x'))) > 0;
SELECT tp_csr('cert ec', 'CN=Zoë,OU=a\, b', '{DNS:a.example,DNS:*.b.example,IP:192.0.2.1,IP:2001:db8::1,email:a@example.org,URI:https://example.org/}') <> '';
SELECT tp_self_signed_certificate('cert ec', 'CN=ca', 3650, ca => true) <> '', tp_csr('cert ec', 'CN=x', '{}') <> '';

-- What is refused.
SELECT refusal($$SELECT tp_csr('cert ec', '')$$);
SELECT refusal($$SELECT tp_csr('cert ec', 'no subject')$$);
SELECT refusal($$SELECT tp_csr('cert ec', 'CN=')$$);
SELECT refusal($$SELECT tp_csr('cert ec', 'NOSUCH=x')$$);
SELECT refusal($$SELECT tp_csr('cert ec', 'CN=a;O=b')$$);
SELECT refusal($$SELECT tp_csr('cert ec', 'CN=#0401')$$);
SELECT refusal($$SELECT tp_csr('cert ec', 'CN=' || repeat('x', 100000))$$) ~ '^22023:';
SELECT refusal($$SELECT tp_csr('cert ec', 'CN=x', '{example.org}')$$);
SELECT refusal($$SELECT tp_csr('cert ec', 'CN=x', '{DNS:}')$$);
SELECT refusal($$SELECT tp_csr('cert ec', 'CN=x', '{IP:1.2.3}')$$);
SELECT refusal($$SELECT tp_csr('cert ec', 'CN=x', ARRAY['DNS:a', NULL])$$);
SELECT refusal($$SELECT tp_csr('cert ec', 'CN=x', NULL)$$);
SELECT refusal($$SELECT tp_csr('cert ec', NULL)$$);
SELECT refusal($$SELECT tp_csr(NULL, 'CN=x')$$);
SELECT refusal($$SELECT tp_csr('cert ec', 'CN=x', '{}', 'rsa-pss-sha256')$$);
SELECT refusal($$SELECT tp_csr('cert ec', 'CN=x', '{}', 'rot13')$$);
SELECT refusal($$SELECT tp_csr('cert decrypt', 'CN=x')$$);
SELECT refusal($$SELECT tp_csr('no such key', 'CN=x')$$);
SELECT refusal(format('SELECT tp_self_signed_certificate(''cert ec'', ''CN=x'', %s)', days)) FROM unnest('{0,-1,36501,2147483647}'::int[]) AS days;
SELECT refusal($$SELECT tp_self_signed_certificate('cert ec', 'CN=x', NULL)$$);
SELECT refusal($$SELECT tp_self_signed_certificate('cert ec', 'CN=x', 1, ca => NULL)$$);
SELECT refusal($$SELECT tp_self_signed_certificate('cert ec', '', 1)$$);
SELECT refusal($$SELECT tp_self_signed_certificate('cert ec', 'CN=x', 1, '{IP:x}')$$);
SELECT refusal($$SELECT tp_self_signed_certificate('cert rsa', 'CN=x', 1, algorithm => 'ecdsa-sha256')$$);

DROP VIEW made;
DROP FUNCTION der;
SELECT tp_destroy_key(label) FROM tp_token_key ORDER BY label;
