-- The token: what the module says of it, and the session that a backend keeps. Only what does not change from one
-- machine to another.
\pset format unaligned

SELECT label, manufacturer, model, serial ~ '^[0-9a-f]{16}$' AS serial, slot >= 0 AS slot, min_pin_length, max_pin_length,
       flags @> '{rng,login_required,user_pin_initialized,token_initialized}' AS flags
    FROM tp_hsm_info();
SELECT module ~ '^/.*\.so' AS module, module_manufacturer, module_version ~ '^\d+\.\d+$' AS module_version,
       cryptoki_version, firmware_version ~ '^\d+\.\d+$' AS firmware_version
    FROM tp_hsm_info();

-- SoftHSM always has a free slot beside those of its tokens.
SELECT label, model, token_present, initialized, description <> '' AS described,
       serial = (SELECT serial FROM tp_hsm_info()) AS chosen
    FROM tp_hsm_slots() WHERE initialized;
SELECT count(*) > 0 AS free_slot FROM tp_hsm_slots() WHERE token_present AND NOT initialized;

SELECT mechanism, to_hex(code) AS code, flags @> '{wrap,unwrap}' AS wraps, flags @> '{encrypt,decrypt}' AS encrypts,
       flags @> '{generate}' AS generates
    FROM tp_hsm_mechanisms()
    WHERE mechanism IN ('CKM_AES_KEY_GEN', 'CKM_AES_KEY_WRAP', 'CKM_AES_ECB', 'CKM_AES_GCM')
    ORDER BY mechanism COLLATE "C";
SELECT count(*) = count(DISTINCT code) AS distinct_codes, bool_and(min_key_size <= max_key_size) AS ranges,
       bool_and(mechanism ~ '^(CKM_[A-Z0-9_]+|0x[0-9a-f]+)$') AS names
    FROM tp_hsm_mechanisms();

-- No session is kept but by tp_hsm_login.
SELECT state, user_type, slot IS NULL AS no_slot, flags FROM tp_hsm_session();
SELECT tp_hsm_login();
SELECT state, user_type, slot = (SELECT slot FROM tp_hsm_info()) AS chosen, flags FROM tp_hsm_session();
SELECT token_label, session FROM tp_status();
-- Other uses of the token leave it open.
SELECT tp_forget_keys() >= 0 AS forgotten, tp_load_dek() > 0 AS loaded;
SELECT state, user_type FROM tp_hsm_session();
SELECT tp_hsm_login();
SELECT tp_hsm_logout();
SELECT state, user_type FROM tp_hsm_session();
SELECT tp_hsm_logout();
SELECT session FROM tp_status();

-- A token that holds keys is not initialised again by mistake.
SELECT tp_hsm_init_token('another', (SELECT slot FROM tp_hsm_info()));
\echo :SQLSTATE
SELECT tp_hsm_init_token('tp');
\echo :SQLSTATE
SELECT tp_hsm_init_token('');
\echo :SQLSTATE
SELECT tp_hsm_init_token(repeat('x', 33));
\echo :SQLSTATE
SELECT tp_hsm_init_token(NULL);
\echo :SQLSTATE
SELECT tp_hsm_init_token('another', NULL, NULL);
\echo :SQLSTATE
SELECT tp_hsm_init_token('another', -1);
\echo :SQLSTATE
\set VERBOSITY terse
SELECT tp_hsm_init_token('another', 4294967295);
\echo :SQLSTATE
\set VERBOSITY default
BEGIN READ ONLY;
SELECT tp_hsm_init_token('another');
\echo :SQLSTATE
ROLLBACK;
SELECT count(*) AS tokens FROM tp_hsm_slots() WHERE initialized;

-- The token that the settings choose.
SET trustpoint.token = 'tp';
SELECT label FROM tp_hsm_info();
SET trustpoint.token = 'pkcs11:token=tp;model=SoftHSM%20v2';
SELECT label FROM tp_hsm_info();
SET trustpoint.token = 'no such token';
SELECT label FROM tp_hsm_info();
\echo :SQLSTATE
SET trustpoint.token = 'pkcs11:token=tp?pin-value=1234';
SELECT label FROM tp_hsm_info();
\echo :SQLSTATE
RESET trustpoint.token;
SET trustpoint.pkcs11_module = '/no/such/module.so';
\set VERBOSITY terse
SELECT label FROM tp_hsm_info();
\echo :SQLSTATE
\set VERBOSITY default
-- A DEK that is cached needs no token.
SELECT tp_decrypt(tp_encrypt('without the token'));
RESET trustpoint.pkcs11_module;
SELECT label FROM tp_hsm_info();

SELECT module ~ '\.so' AS module, token_label, deks_cached > 0 AS deks_cached, module_epoch > 0 AS module_epoch,
       secret_memory_reserved >= secret_memory_used AS reserved, secret_memory_used > 0 AS used, cipher
    FROM tp_status();
