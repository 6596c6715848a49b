-- tp_disable_dek, tp_enable_dek, tp_destroy_dek: a DEK out of service, back, and away for good.
\pset format unaligned
\pset tuples_only on
SELECT tp_create_dek('states') AS one \gset
SELECT tp_encrypt('under one', 'c', 'states') AS v1 \gset
CREATE VIEW own AS SELECT CASE id WHEN :one THEN 'one' ELSE 'two' END AS id, state FROM tp_keyring WHERE name = 'states';

-- The active one serves: it goes nowhere.
SELECT refusal(format('SELECT tp_disable_dek(%s)', :one));
SELECT refusal(format('SELECT tp_enable_dek(%s)', :one));
SELECT refusal(format('SELECT tp_destroy_dek(%s, ''states'')', :one));
SELECT tp_rotate_dek('states') AS two \gset
SELECT tp_encrypt('under two', 'c', 'states') AS v2 \gset
SELECT * FROM own ORDER BY id;

-- Disabled and back.
SELECT tp_decrypt(:'v1', 'c'), state_changed_at AS changed FROM tp_keyring WHERE id = :one \gset
SELECT tp_disable_dek(:one);
SELECT * FROM own ORDER BY id;
SELECT state_changed_at > :'changed' FROM tp_keyring WHERE id = :one;
SELECT refusal(format('SELECT tp_decrypt(%L, ''c'')', :'v1'));
SELECT refusal(format('SELECT tp_rewrap(%L, ''c'')', :'v1'));
SELECT tp_decrypt(:'v2', 'c');
SELECT refusal(format('SELECT tp_disable_dek(%s)', :one));
SELECT tp_enable_dek(:one);
SELECT tp_decrypt(:'v1', 'c');
SELECT refusal(format('SELECT tp_enable_dek(%s)', :one));
-- A rollback leaves it as it was.
BEGIN;
SELECT tp_disable_dek(:one);
SELECT refusal(format('SELECT tp_decrypt(%L, ''c'')', :'v1'));
ROLLBACK;
SELECT tp_decrypt(:'v1', 'c');
BEGIN;
SAVEPOINT s;
SELECT tp_destroy_dek(:one, 'states');
SELECT refusal(format('SELECT tp_decrypt(%L, ''c'')', :'v1'));
ROLLBACK TO s;
SELECT tp_decrypt(:'v1', 'c');
COMMIT;

-- Destruction asks for id and name, and takes retired and disabled ones only.
SELECT refusal(format('SELECT tp_destroy_dek(%s, ''default'')', :one));
SELECT refusal(format('SELECT tp_destroy_dek(%s, '''')', :one));
SELECT refusal(format('SELECT tp_destroy_dek(%s, NULL)', :one));
SELECT refusal(format('SELECT tp_destroy_dek(%s, ''states'')', :two));
SELECT refusal($$SELECT tp_destroy_dek(NULL, 'states')$$);
SELECT refusal($$SELECT tp_destroy_dek(1, 'states')$$);
SELECT refusal($$SELECT tp_destroy_dek(-1, 'states')$$);
SELECT refusal($$SELECT tp_disable_dek(0)$$);
SELECT refusal($$SELECT tp_disable_dek(NULL)$$);
SELECT refusal($$SELECT tp_enable_dek(NULL)$$);
-- Not by whoever may still write values under it in the same transaction.
BEGIN;
SELECT length(tp_encrypt('x', 'c', 'states'));
SELECT refusal(format('SELECT tp_destroy_dek(%s, ''states'')', :one));
SELECT refusal(format('SELECT tp_disable_dek(%s)', :one));
ROLLBACK;
BEGIN READ ONLY;
SELECT refusal(format('SELECT tp_destroy_dek(%s, ''states'')', :one));
SELECT refusal(format('SELECT tp_disable_dek(%s)', :one));
SELECT refusal(format('SELECT tp_enable_dek(%s)', :one));
ROLLBACK;
SELECT * FROM own ORDER BY id;

-- What is destroyed stays as a tombstone: its values are refused with its id and name, those of others are read.
SELECT tp_destroy_dek(:one, 'states');
SELECT * FROM own ORDER BY id;
SELECT wrapped IS NULL, octet_length(check_value) FROM tp_dek WHERE id = :one;
SELECT refusal(format('SELECT tp_decrypt(%L, ''c'')', :'v1'));
SELECT refusal(format('SELECT tp_decrypt_bytea(%L, ''c'')', :'v1'));
SELECT refusal(format('SELECT tp_rewrap(%L, ''c'')', :'v1'));
SELECT tp_decrypt(:'v2', 'c');
SELECT ok, problem FROM tp_verify_keys() WHERE id = :one;
SELECT refusal(format('SELECT tp_enable_dek(%s)', :one));
SELECT refusal(format('SELECT tp_disable_dek(%s)', :one));
SELECT refusal(format('SELECT tp_destroy_dek(%s, ''states'')', :one));
-- From disabled, too.
SELECT tp_rotate_dek('states') AS three \gset
SELECT tp_disable_dek(:two);
SELECT tp_destroy_dek(:two, 'states');
SELECT state, count(*) FROM tp_keyring WHERE name = 'states' GROUP BY 1 ORDER BY 1;
SELECT tp_decrypt(tp_encrypt('under three', 'c', 'states'), 'c');

-- Who may.
CREATE ROLE regress_tp_states;
SET ROLE regress_tp_states;
SELECT refusal('SELECT tp_disable_dek(1)') ~ '^42501', refusal('SELECT tp_enable_dek(1)') ~ '^42501',
       refusal('SELECT tp_destroy_dek(1, ''x'')') ~ '^42501';
RESET ROLE;
SELECT tp_grant('regress_tp_states', 'keys');
SELECT tp_create_dek('states granted') AS four \gset
SET ROLE regress_tp_states;
SELECT tp_rotate_dek('states granted') > 0;
SELECT tp_disable_dek(:four), tp_enable_dek(:four);
SELECT tp_destroy_dek(:four, 'states granted');
SELECT state FROM tp_keyring WHERE id = :four;
RESET ROLE;
SELECT tp_revoke('regress_tp_states', 'keys');
DROP OWNED BY regress_tp_states;
DROP ROLE regress_tp_states;
DROP VIEW own;
