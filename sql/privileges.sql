-- Who may call what: each function has a line that proves who may not.
\pset format unaligned
\pset tuples_only on
CREATE ROLE regress_tp_nobody;
CREATE ROLE regress_tp_reader;
CREATE ROLE regress_tp_writer;
CREATE ROLE regress_tp_mover;
CREATE ROLE regress_tp_admin;
CREATE ROLE regress_tp_member IN ROLE regress_tp_reader;
CREATE TABLE secret (id int PRIMARY KEY, v bytea);
GRANT SELECT, INSERT, UPDATE ON secret TO PUBLIC;
SELECT tp_create_dek('tenant a') > 0, tp_create_dek('tenant b') > 0;
INSERT INTO secret VALUES (1, tp_encrypt('a', 'c', 'tenant a')), (2, tp_encrypt('b', 'c', 'tenant b'));

-- Nobody: only what needs no key.
SET ROLE regress_tp_nobody;
SELECT tp_context('a'), tp_is_encrypted('\x00'), (tp_inspect(v)).suite FROM secret WHERE id = 1;
SELECT NULL::tp_encrypted;
SELECT tp_encrypt('x');
SELECT tp_encrypt('x'::bytea);
SELECT tp_decrypt(v, 'c') FROM secret;
SELECT tp_decrypt_bytea(v, 'c') FROM secret;
SELECT tp_rewrap(v, 'c') FROM secret;
SELECT tp_setup();
SELECT tp_create_dek('mine');
SELECT tp_rotate_dek();
SELECT tp_verify_keys();
SELECT tp_load_dek();
SELECT tp_forget_keys();
SELECT tp_hsm_info();
SELECT tp_hsm_slots();
SELECT tp_hsm_mechanisms();
SELECT tp_hsm_session();
SELECT tp_hsm_login();
SELECT tp_hsm_logout();
SELECT tp_hsm_init_token('mine', NULL, true);
SELECT tp_status();
SELECT tp_keys_changed();
SELECT tp_capability_functions('decrypt');
SELECT tp_check_grant('regress_tp_nobody', 'decrypt', NULL);
SELECT tp_grant('regress_tp_nobody', 'decrypt');
SELECT tp_revoke('regress_tp_reader', 'decrypt');
-- The tables and the view.
SELECT * FROM tp_dek;
SELECT * FROM tp_kek;
SELECT * FROM tp_dek_grant;
SELECT * FROM tp_keyring;
UPDATE tp_dek SET state = 'destroyed', wrapped = NULL;
INSERT INTO tp_dek_grant VALUES ('regress_tp_nobody', 'decrypt', '');
-- The settings: SQLSTATEs alone, as the words differ between versions.
\set VERBOSITY sqlstate
SET trustpoint.cipher = 'aes-256-gcm';
SET trustpoint.pkcs11_module = '/tmp/mine.so';
SET trustpoint.module_environment = 'LD_PRELOAD=/tmp/mine.so';
SET trustpoint.module_init_args = 'mine';
SET trustpoint.token = 'mine';
SET trustpoint.pin_file = '/etc/passwd';
SET trustpoint.so_pin_file = '/etc/passwd';
SET trustpoint.kek_label = 'mine';
SET trustpoint.recovery_key_sha256 = 'mine';
SET trustpoint.dek_cache_ttl = 1;
SET trustpoint.audit = 'none';
SHOW trustpoint.pin_file;
SHOW trustpoint.so_pin_file;
SHOW trustpoint.pkcs11_module;
SHOW trustpoint.module_environment;
\set VERBOSITY default
SHOW trustpoint.cipher;
RESET ROLE;

-- Each capability opens its functions and no other.
SELECT tp_grant('regress_tp_reader', 'decrypt', 'tenant a');
SELECT tp_grant('regress_tp_writer', 'encrypt');
SELECT tp_grant('regress_tp_mover', 'rewrap', 'tenant a');
SELECT tp_grant('regress_tp_admin', 'keys'), tp_grant('regress_tp_admin', 'hsm'), tp_grant('regress_tp_admin', 'status');
SELECT tp_grant('regress_tp_nobody', 'search');
SELECT role, (SELECT string_agg(proname || '(' || oidvectortypes(proargtypes) || ')', ' ' ORDER BY proname, oidvectortypes(proargtypes))
              FROM pg_proc JOIN pg_depend ON objid = pg_proc.oid AND deptype = 'e' AND classid = 'pg_proc'::regclass
              WHERE refobjid = (SELECT oid FROM pg_extension WHERE extname = 'trustpoint')
                AND proname NOT IN ('tp_context', 'tp_inspect', 'tp_is_encrypted')
                AND has_function_privilege('regress_tp_' || role, pg_proc.oid, 'EXECUTE'))
    FROM unnest(ARRAY['nobody', 'reader', 'member', 'writer', 'mover', 'admin']) AS role;
SELECT grantee, capability, name FROM tp_dek_grant ORDER BY grantee::text COLLATE "C";

-- A reader of one tenant reads that one, also as a member, and nothing else.
SET ROLE regress_tp_reader;
SELECT tp_decrypt(v, 'c') FROM secret WHERE id = 1;
SELECT tp_decrypt(v, 'c') FROM secret WHERE id = 2;
SELECT tp_decrypt_bytea(v, 'c') FROM secret WHERE id = 2;
SELECT tp_encrypt('x');
SELECT tp_rewrap(v, 'c') FROM secret WHERE id = 1;
SELECT * FROM tp_dek;
SET ROLE regress_tp_member;
SELECT tp_decrypt(v, 'c') FROM secret WHERE id = 1;
SELECT tp_decrypt(v, 'c') FROM secret WHERE id = 2;
-- A writer encrypts for every tenant and reads nothing back.
SET ROLE regress_tp_writer;
UPDATE secret SET v = tp_encrypt('new', 'c', 'tenant b') WHERE id = 2;
SELECT tp_decrypt(v, 'c') FROM secret WHERE id = 2;
SELECT tp_decrypt_bytea(v, 'c') FROM secret WHERE id = 2;
SELECT tp_rewrap(v, 'c') FROM secret WHERE id = 2;
-- A mover moves values of its tenant and sees no plaintext.
SET ROLE regress_tp_mover;
SELECT tp_rewrap(v, 'c') = v FROM secret WHERE id = 1;
SELECT tp_rewrap(v, 'c') = v FROM secret WHERE id = 2;
SELECT tp_decrypt(v, 'c') FROM secret WHERE id = 1;
SELECT tp_encrypt('x', 'c', 'tenant a');
-- Who manages keys sees the keyring, and neither the tables nor a value.
SET ROLE regress_tp_admin;
SELECT tp_rotate_dek('tenant a') > 0, tp_load_dek('tenant a') > 0;
SELECT count(*) > 0 FROM tp_keyring;
SELECT bool_and(ok) FROM tp_verify_keys();
SELECT label FROM tp_hsm_info();
SELECT session FROM tp_status();
SELECT wrapped FROM tp_dek;
SELECT tp_decrypt(v, 'c') FROM secret WHERE id = 1;
SELECT tp_hsm_init_token('mine');
SELECT tp_grant('regress_tp_admin', 'decrypt');
RESET ROLE;
-- After the rotation the mover and the reader go on with the new version of their tenant.
SET ROLE regress_tp_mover;
UPDATE secret SET v = tp_rewrap(v, 'c') WHERE id = 1;
SET ROLE regress_tp_reader;
SELECT tp_decrypt(v, 'c') FROM secret WHERE id = 1;
RESET ROLE;

-- The same session under another role asks again: no decision outlives a change of role, grant or membership.
CREATE FUNCTION read_as_owner(id int) RETURNS text LANGUAGE sql SECURITY DEFINER
    AS 'SELECT tp_decrypt(v, ''c'') FROM secret WHERE id = $1';
SET ROLE regress_tp_reader;
SELECT read_as_owner(2);
SELECT tp_decrypt(v, 'c') FROM secret WHERE id = 2;
RESET ROLE;
SELECT tp_grant('regress_tp_reader', 'decrypt', 'tenant b');
SET ROLE regress_tp_member;
SELECT tp_decrypt(v, 'c') FROM secret ORDER BY id;
RESET ROLE;
SELECT tp_revoke('regress_tp_reader', 'decrypt', 'tenant b');
SET ROLE regress_tp_member;
SELECT tp_decrypt(v, 'c') FROM secret ORDER BY id;
RESET ROLE;
REVOKE regress_tp_reader FROM regress_tp_member;
SET ROLE regress_tp_member;
SELECT tp_decrypt(v, 'c') FROM secret WHERE id = 1;
RESET ROLE;
-- Without a name all are granted, and with the last name everything is taken back.
SELECT tp_grant('regress_tp_reader', 'decrypt');
SET ROLE regress_tp_reader;
SELECT tp_decrypt(v, 'c') FROM secret ORDER BY id;
RESET ROLE;
SELECT tp_revoke('regress_tp_reader', 'decrypt');
SELECT tp_revoke('regress_tp_mover', 'rewrap', 'tenant a');
SELECT tp_revoke('regress_tp_writer', 'encrypt');
SELECT tp_revoke('regress_tp_admin', 'keys'), tp_revoke('regress_tp_admin', 'hsm'), tp_revoke('regress_tp_admin', 'status');
SELECT tp_revoke('regress_tp_nobody', 'search');
SELECT count(*) FROM tp_dek_grant;
SELECT role, count(*)
    FROM unnest(ARRAY['nobody', 'reader', 'writer', 'mover', 'admin']) AS role, pg_proc
    WHERE proname ~ '^tp_' AND has_function_privilege('regress_tp_' || role, pg_proc.oid, 'EXECUTE')
    GROUP BY 1 ORDER BY 1;
SET ROLE regress_tp_admin;
SELECT * FROM tp_keyring;
RESET ROLE;

-- Only the owner grants and initialises tokens, also when somebody is let near the functions.
GRANT EXECUTE ON FUNCTION tp_grant, tp_revoke, tp_check_grant, tp_capability_functions, tp_hsm_init_token TO regress_tp_nobody;
SET ROLE regress_tp_nobody;
SELECT refusal($$SELECT tp_grant('regress_tp_nobody', 'decrypt')$$);
SELECT refusal($$SELECT tp_revoke('regress_tp_reader', 'decrypt')$$);
SELECT refusal($$SELECT tp_hsm_init_token('mine', 0, true)$$);
RESET ROLE;
REVOKE EXECUTE ON FUNCTION tp_grant, tp_revoke, tp_check_grant, tp_capability_functions, tp_hsm_init_token FROM regress_tp_nobody;
-- What tp_grant refuses.
SELECT refusal($$SELECT tp_grant('regress_tp_reader', 'everything')$$);
SELECT refusal($$SELECT tp_grant('regress_tp_reader', NULL)$$);
SELECT refusal($$SELECT tp_grant(NULL, 'decrypt')$$);
SELECT refusal($$SELECT tp_grant('regress_tp_reader', 'decrypt', '')$$);
SELECT refusal($$SELECT tp_grant('regress_tp_reader', 'hsm', 'tenant a')$$);
SELECT refusal($$SELECT tp_grant('regress_tp_unknown', 'decrypt')$$);
SELECT refusal($$SELECT tp_revoke('regress_tp_reader', 'everything')$$);
SELECT refusal($$SELECT tp_revoke('regress_tp_reader', 'hsm', 'tenant a')$$);

-- A schema and functions of somebody else's do not get in between.
GRANT CREATE ON DATABASE :"DBNAME" TO regress_tp_nobody;
SELECT tp_grant('regress_tp_nobody', 'encrypt');
SET ROLE regress_tp_nobody;
CREATE SCHEMA regress_tp_shadow;
CREATE TABLE regress_tp_shadow.tp_dek (LIKE secret);
CREATE TABLE regress_tp_shadow.tp_kek (LIKE secret);
SET search_path = regress_tp_shadow, public, pg_catalog;
SELECT tp_is_encrypted(tp_encrypt('x'));
RESET ROLE;
SELECT tp_rotate_dek('tenant b') > 0;
SELECT count(*) FROM tp_dek;
RESET search_path;
DROP SCHEMA regress_tp_shadow CASCADE;
REVOKE CREATE ON DATABASE :"DBNAME" FROM regress_tp_nobody;
SELECT tp_revoke('regress_tp_nobody', 'encrypt');

-- What a hint says to ask for works as it is, whatever the names.
CREATE ROLE "regress_tp_O'Hara ""x""";
SELECT tp_create_dek($$O'Hara \ "x"$$) > 0;
SELECT tp_grant($$"regress_tp_O'Hara ""x"""$$, 'encrypt', 'tenant a');
GRANT EXECUTE ON FUNCTION tp_rotate_dek TO "regress_tp_O'Hara ""x""";
SET ROLE "regress_tp_O'Hara ""x""";
SELECT refusal($$SELECT tp_encrypt('x', '', 'O''Hara \ "x"')$$) AS refused_dek, refusal($$SELECT tp_rotate_dek()$$) AS refused_keys \gset
\echo :refused_dek
\echo :refused_keys
SELECT substring(:'refused_dek', 'Ask for: (.*)') AS ask_for_dek, substring(:'refused_keys', 'Ask for: (.*)') AS ask_for_keys \gset
RESET ROLE;
:ask_for_dek
:ask_for_keys
SET ROLE "regress_tp_O'Hara ""x""";
SELECT tp_encrypt('x', '', $$O'Hara \ "x"$$) IS NOT NULL, tp_rotate_dek() > 0;
RESET ROLE;
DELETE FROM tp_dek_grant;
DROP OWNED BY "regress_tp_O'Hara ""x""";
DROP ROLE "regress_tp_O'Hara ""x""";

DROP FUNCTION read_as_owner;
DROP TABLE secret;
DROP ROLE regress_tp_nobody, regress_tp_reader, regress_tp_writer, regress_tp_mover, regress_tp_admin, regress_tp_member;
