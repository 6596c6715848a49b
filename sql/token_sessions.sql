-- The session on the token that keys are used in: until the transaction ends, or as long as tp_hsm_login() keeps it.
\pset format unaligned
\pset tuples_only on
SELECT tp_hsm_logout();
SELECT octet_length(tp_generate_ec_key('session'));
SELECT state, user_type, slot IS NULL, flags FROM tp_hsm_session();
BEGIN;
SELECT octet_length(tp_sign('session', 'x')) > 0;
SELECT state, user_type, slot = (SELECT slot FROM tp_hsm_info()), flags FROM tp_hsm_session();
SAVEPOINT s;
SELECT tp_sign('no such key', 'x');
ROLLBACK TO s;
SELECT state FROM tp_hsm_session();
COMMIT;
SELECT state FROM tp_hsm_session();
SELECT tp_hsm_login();
SELECT octet_length(tp_sign('session', 'x')) > 0;
SELECT state, user_type FROM tp_hsm_session();
SELECT refusal($$SELECT tp_sign('no such key', 'x')$$);
SELECT tp_sign('no such key', 'x');
SELECT state FROM tp_hsm_session();
SELECT refusal($$SELECT tp_hsm_init_token('x', 999999)$$);
SELECT state FROM tp_hsm_session();
SELECT tp_hsm_logout();
SELECT state, user_type FROM tp_hsm_session();
-- Logged out inside a transaction: what it made is undone all the same, by the next that changes keys.
BEGIN;
SELECT octet_length(tp_generate_ec_key('session 2'));
SELECT tp_hsm_logout();
ROLLBACK;
SELECT count(*) FROM tp_hsm_keys() WHERE label = 'session 2';
SELECT octet_length(tp_generate_ec_key('session 2'));
SELECT tp_destroy_key(label) FROM tp_token_key ORDER BY label;
