-- Who may use which key of the token for what: nobody without a grant, and a grant is for one key and one operation.
\pset format unaligned
\pset tuples_only on
CREATE ROLE regress_tp_nobody;
CREATE ROLE regress_tp_signer;
CREATE ROLE regress_tp_member IN ROLE regress_tp_signer;
CREATE ROLE regress_tp_maker;
SELECT octet_length(tp_generate_ec_key('priv ec')), octet_length(tp_generate_ec_key('priv other')),
       octet_length(tp_generate_rsa_key('priv rsa', 2048, 'decrypt')), octet_length(tp_generate_aes_key('priv aes'));

-- Nobody: no function but the one that needs no key.
CREATE VIEW call AS SELECT unnest(ARRAY[
    'tp_generate_rsa_key(''x'')', 'tp_generate_ec_key(''x'')', 'tp_generate_aes_key(''x'')', 'tp_import_key(''x'', ''x'')',
    'tp_import_key_file(''x'', ''/x'')', 'tp_hsm_keys()', 'tp_key_attributes(''priv ec'')', 'tp_rename_key(''priv ec'', ''x'')',
    'tp_set_key_attributes(''priv ec'')', 'tp_destroy_key(''priv ec'')', 'tp_public_key(''priv ec'')', 'tp_public_key_der(''priv ec'')',
    'tp_sign(''priv ec'', ''x'')', 'tp_sign_digest(''priv ec'', sha256(''x''), ''ecdsa-sha256'')', 'tp_verify(''priv ec'', ''x'', ''x'')',
    'tp_rsa_encrypt(''priv rsa'', ''x'')', 'tp_rsa_decrypt(''priv rsa'', ''x'')', 'tp_rsa_decrypt(''priv rsa'', ''x'', ''pkcs1'')',
    'tp_aes_encrypt(''priv aes'', ''x'')', 'tp_aes_decrypt(''priv aes'', ''x'')', 'tp_digest(''x'')', 'tp_random(1)',
    'tp_hsm_change_pin(''/x'')', 'tp_csr(''priv ec'', ''CN=x'')', 'tp_self_signed_certificate(''priv ec'', ''CN=x'', 1)',
    'tp_key_operation_functions(''sign'')', 'tp_token_key_id(''priv ec'')', 'tp_check_key_grant(''priv ec'', ''regress_tp_nobody'', ''{sign}'')',
    'tp_grant_key(''priv ec'', ''regress_tp_nobody'', ''{sign}'')', 'tp_revoke_key(''priv ec'', ''regress_tp_nobody'')', 'tp_skip_known_token_row()']) AS call;
GRANT SELECT ON call TO PUBLIC;
SET ROLE regress_tp_nobody;
SELECT call, refusal('SELECT ' || call) FROM call;
SELECT refusal($$SELECT tp_verify_with_public_key('x', 'x', 'x', 'ecdsa-sha256')$$) ~ '^22023:';
SELECT * FROM tp_token_key;
SELECT * FROM tp_token_trash;
SELECT * FROM tp_key_grant;
INSERT INTO tp_key_grant SELECT id, 'regress_tp_nobody', 'sign' FROM tp_token_key;
RESET ROLE;

-- EXECUTE alone opens nothing of a key.
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tp_nobody;
SET ROLE regress_tp_nobody;
SELECT call, refusal('SELECT ' || call) FROM call WHERE call ~ 'priv|change_pin|file|regress';
RESET ROLE;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public FROM regress_tp_nobody;

-- Each operation opens what it names, on its key.
CREATE FUNCTION works(role regrole, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    EXECUTE format('SET LOCAL ROLE %s', role);
    answer := CASE WHEN refusal(statement) ~ '^42501' THEN 'no' ELSE 'yes' END;
    RESET ROLE;
    RETURN answer;
END
$$;
CREATE TABLE use (n int, name text, statement text);
INSERT INTO use VALUES (1, 'sign', $$SELECT tp_sign('priv ec', 'x')$$), (2, 'digest', $$SELECT tp_sign_digest('priv ec', sha256('x'), 'ecdsa-sha256')$$),
    (3, 'verify', $$SELECT tp_verify('priv ec', 'x', 'x')$$), (4, 'csr', $$SELECT tp_csr('priv ec', 'CN=x')$$),
    (5, 'certificate', $$SELECT tp_self_signed_certificate('priv ec', 'CN=x', 1)$$), (6, 'public', $$SELECT tp_public_key('priv ec')$$),
    (7, 'attributes', $$SELECT tp_key_attributes('priv ec')$$), (8, 'rename', $$SELECT tp_rename_key('priv ec', 'priv other')$$),
    (9, 'dates', $$SELECT tp_set_key_attributes('priv ec')$$),
    (11, 'rsa encrypt', $$SELECT tp_rsa_encrypt('priv rsa', 'x')$$), (12, 'rsa decrypt', $$SELECT tp_rsa_decrypt('priv rsa', 'x')$$),
    (13, 'rsa pkcs1', $$SELECT tp_rsa_decrypt('priv rsa', 'x', 'pkcs1')$$), (14, 'aes encrypt', $$SELECT tp_aes_encrypt('priv aes', 'x')$$),
    (15, 'aes decrypt', $$SELECT tp_aes_decrypt('priv aes', 'x')$$), (16, 'sign, other key', $$SELECT tp_sign('priv other', 'x')$$);
CREATE FUNCTION opens(operation text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM tp_grant_key(k, 'regress_tp_signer', ARRAY[operation]) FROM unnest('{priv ec,priv rsa,priv aes}'::text[]) AS k;
    RETURN (SELECT string_agg(name, ', ' ORDER BY n) FROM use WHERE works('regress_tp_signer', statement) = 'yes');
END
$$;
CREATE FUNCTION closes(operation text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM tp_revoke_key(k, 'regress_tp_signer', ARRAY[operation]) FROM unnest('{priv ec,priv rsa,priv aes}'::text[]) AS k;
    RETURN (SELECT count(*) FROM use WHERE works('regress_tp_signer', statement) = 'yes') || ' uses, ' ||
        (SELECT count(*) FROM pg_proc, aclexplode(proacl) WHERE grantee = 'regress_tp_signer'::regrole) || ' functions';
END
$$;
SELECT operation, opens(operation), closes(operation) FROM unnest('{sign,sign-digest,verify,encrypt,decrypt,decrypt-pkcs1,manage}'::text[]) AS operation;

-- Members of a role, and a role that is taken back, in one session.
SELECT tp_grant_key('priv ec', 'regress_tp_signer', '{sign,verify}');
SET ROLE regress_tp_member;
SELECT tp_verify('priv ec', 'x', tp_sign('priv ec', 'x'));
SELECT tp_sign('priv other', 'x');
SELECT tp_sign_digest('priv ec', sha256('x'), 'ecdsa-sha256');
SELECT tp_destroy_key('priv ec');
-- What other tools made is the owner's alone, and nobody else learns of it.
SELECT refusal($$SELECT tp_sign('no such key', 'x')$$);
RESET ROLE;
REVOKE regress_tp_signer FROM regress_tp_member;
SET ROLE regress_tp_member;
SELECT tp_sign('priv ec', 'x');
RESET ROLE;
-- A rename keeps the grants; a new key of the old label has none.
SELECT tp_rename_key('priv ec', 'priv renamed');
SELECT octet_length(tp_generate_ec_key('priv ec'));
SET ROLE regress_tp_signer;
SELECT tp_verify('priv renamed', 'x', tp_sign('priv renamed', 'x'));
SELECT tp_sign('priv ec', 'x');
RESET ROLE;
-- A grant that rolls back, and one that commits, inside a session that has used the key.
SELECT tp_destroy_key('priv ec');
SELECT tp_rename_key('priv renamed', 'priv ec');
BEGIN;
SELECT tp_grant_key('priv other', 'regress_tp_signer', '{sign}');
SET ROLE regress_tp_signer;
SELECT octet_length(tp_sign('priv other', 'x')) > 0;
RESET ROLE;
ROLLBACK;
SET ROLE regress_tp_signer;
SELECT tp_sign('priv other', 'x');
RESET ROLE;
-- SECURITY DEFINER: the rights of its owner.
CREATE FUNCTION sign_it(data bytea) RETURNS boolean LANGUAGE sql SECURITY DEFINER AS $$SELECT tp_verify('priv ec', data, tp_sign('priv ec', data))$$;
ALTER FUNCTION sign_it OWNER TO regress_tp_signer;
SET ROLE regress_tp_nobody;
SELECT sign_it('x');
RESET ROLE;
DROP FUNCTION sign_it;

-- Who makes a key may use it; to make one takes EXECUTE, which the owner gives.
GRANT EXECUTE ON FUNCTION tp_generate_ec_key TO regress_tp_maker;
SET ROLE regress_tp_maker;
SELECT octet_length(tp_generate_ec_key('priv made'));
SELECT tp_generate_rsa_key('priv made 2');
RESET ROLE;
SELECT owner, string_agg(operation, ' ' ORDER BY operation) FROM tp_token_key JOIN tp_key_grant USING (id)
    WHERE label = 'priv made' AND grantee = 'regress_tp_maker'::regrole GROUP BY 1;
SELECT tp_grant_key('priv other', 'regress_tp_maker', '{verify}');
SELECT tp_grant_key('priv made', 'regress_tp_maker', '{sign,verify,manage}');
SET ROLE regress_tp_maker;
SELECT tp_verify('priv made', 'x', tp_sign('priv made', 'x'));
SELECT tp_rename_key('priv made', 'priv mine');
SELECT tp_destroy_key('priv mine');
SELECT refusal($$SELECT tp_grant_key('priv other', 'regress_tp_maker', '{sign}')$$);
RESET ROLE;
-- Files: the owner's, and members' of pg_read_server_files.
GRANT EXECUTE ON FUNCTION tp_import_key_file TO regress_tp_maker;
SET ROLE regress_tp_maker;
SELECT refusal($$SELECT tp_import_key_file('x', '/no/such/file')$$);
RESET ROLE;
GRANT pg_read_server_files TO regress_tp_maker;
SET ROLE regress_tp_maker;
SELECT refusal($$SELECT tp_import_key_file('x', '/no/such/file')$$);
RESET ROLE;

-- What tp_grant_key and tp_revoke_key refuse.
SELECT refusal($$SELECT tp_grant_key('priv ec', 'regress_tp_signer', '{everything}')$$);
SELECT refusal($$SELECT tp_grant_key('priv ec', 'regress_tp_signer', '{sign,everything}')$$);
SELECT refusal($$SELECT tp_grant_key('priv ec', 'regress_tp_signer', ARRAY['sign', NULL])$$);
SELECT refusal($$SELECT tp_grant_key('priv ec', 'regress_tp_signer', '{}')$$);
SELECT refusal($$SELECT tp_grant_key('priv ec', 'regress_tp_signer', NULL)$$);
SELECT refusal($$SELECT tp_grant_key('priv ec', NULL, '{sign}')$$);
SELECT refusal($$SELECT tp_grant_key('priv ec', 'regress_tp_unknown', '{sign}')$$);
SELECT refusal($$SELECT tp_revoke_key('priv ec', 'regress_tp_signer', '{everything}')$$);
SELECT refusal($$SELECT tp_revoke_key('no such key', 'regress_tp_signer')$$);
-- Twice is once.
SELECT tp_grant_key('priv ec', 'regress_tp_signer', '{sign}'), tp_grant_key('priv ec', 'regress_tp_signer', '{sign,sign}');
SELECT tp_revoke_key('priv ec', 'regress_tp_signer'), tp_revoke_key('priv ec', 'regress_tp_signer');
SELECT count(*) FROM tp_key_grant WHERE grantee = 'regress_tp_signer'::regrole;
-- The capability that opens what needs no key of its own.
SELECT tp_grant('regress_tp_signer', 'hsm');
SET ROLE regress_tp_signer;
SELECT octet_length(tp_random(8)), tp_digest('x') = sha256('x'), (SELECT count(*) FROM tp_hsm_keys()) > 0;
SELECT refusal($$SELECT tp_sign('priv ec', 'x')$$);
RESET ROLE;
SELECT tp_revoke('regress_tp_signer', 'hsm');
SELECT tp_revoke_key('priv other', 'regress_tp_maker');

-- What a hint says to ask for works as it is, whatever the names.
CREATE ROLE "regress_tp_O'Hara ""x""";
SELECT octet_length(tp_generate_ec_key($$priv O'Hara \ "x"$$));
GRANT EXECUTE ON FUNCTION tp_sign TO "regress_tp_O'Hara ""x""";
SET ROLE "regress_tp_O'Hara ""x""";
SELECT refusal($$SELECT tp_sign('priv O''Hara \ "x"', 'x')$$) AS refused \gset
\echo :refused
SELECT substring(:'refused', 'Ask for: (.*)') AS ask_for \gset
RESET ROLE;
:ask_for
SET ROLE "regress_tp_O'Hara ""x""";
SELECT tp_sign($$priv O'Hara \ "x"$$, 'x') IS NOT NULL;
RESET ROLE;
DROP OWNED BY "regress_tp_O'Hara ""x""";
DROP ROLE "regress_tp_O'Hara ""x""";

DROP FUNCTION works, opens, closes;
DROP TABLE use;
DROP VIEW call;
SELECT tp_destroy_key(label) FROM tp_token_key ORDER BY label;
DROP OWNED BY regress_tp_maker;
DROP ROLE regress_tp_nobody, regress_tp_signer, regress_tp_member, regress_tp_maker;
