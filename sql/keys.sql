-- DEKs: made, rotated, verified, loaded, forgotten; and what a table of keys that was tampered with does.
\pset format unaligned
\pset tuples_only on
CREATE VIEW own AS SELECT * FROM tp_keyring WHERE name LIKE 'keys%';

-- Made once, found by name.
SELECT tp_create_dek('keys a') AS a1 \gset
SELECT tp_create_dek('keys b', 'data') AS b1 \gset
SELECT tp_create_dek(purpose => 'index', name => 'keys a') AS i1 \gset
SELECT count(DISTINCT id), bool_and(id > 0) FROM own;
SELECT refusal($$SELECT tp_create_dek('keys a')$$);
SELECT refusal($$SELECT tp_create_dek('keys a', 'index')$$);
-- Names are compared by their bytes; 63 of them are the limit.
SELECT tp_create_dek('keys A') > 0, tp_create_dek('keys Zürich') > 0, tp_create_dek('keys ' || repeat('ü', 29)) > 0;
SELECT refusal($$SELECT tp_create_dek('')$$);
SELECT refusal($$SELECT tp_create_dek('keys ' || repeat('ü', 29) || 'x')$$);
SELECT refusal($$SELECT tp_create_dek(E'keys\nforged log line')$$);
SELECT refusal($$SELECT tp_create_dek(NULL)$$);
SELECT refusal($$SELECT tp_create_dek('keys c', NULL)$$);
SELECT refusal($$SELECT tp_create_dek('keys c', 'signing')$$);
SELECT refusal($$SELECT tp_create_dek('keys c', 'tpsec')$$);

-- Rotation: the new one serves, the old one still decrypts.
SELECT tp_encrypt('old', 'c', 'keys a') AS old \gset
SELECT tp_rotate_dek('keys a') AS a2 \gset
SELECT name, purpose, state, CASE id WHEN :a1 THEN 'first' WHEN :a2 THEN 'second' WHEN :i1 THEN 'index' END
    FROM own WHERE name = 'keys a' ORDER BY purpose, created_at;
SELECT tp_decrypt(:'old', 'c'), (tp_inspect(:'old')).key_id = :a1,
       (tp_inspect(tp_encrypt('new', 'c', 'keys a'))).key_id = :a2;
SELECT tp_rotate_dek(name => 'keys a', purpose => 'index') > 0;
SELECT purpose, state, count(*) FROM own WHERE name = 'keys a' GROUP BY 1, 2 ORDER BY 1, 2;
SELECT refusal($$SELECT tp_rotate_dek('keys of nobody')$$);
SELECT refusal($$SELECT tp_rotate_dek('keys b', 'index')$$);
SELECT refusal($$SELECT tp_rotate_dek(NULL)$$);
SELECT refusal($$SELECT tp_rotate_dek('keys a', NULL)$$);
SELECT refusal($$SELECT tp_rotate_dek('keys a', 'tpsec')$$);
-- Twice in one transaction: the later one is the newer one.
BEGIN;
SELECT tp_rotate_dek('keys b') AS b2 \gset
SELECT tp_rotate_dek('keys b') AS b3 \gset
SELECT (tp_inspect(tp_encrypt('x', 'c', 'keys b'))).key_id = :b3;
COMMIT;
SELECT state, count(*) FROM own WHERE name = 'keys b' GROUP BY 1 ORDER BY 1;

-- What is rolled back leaves no trace, not in a subtransaction either.
BEGIN;
SELECT tp_rotate_dek('keys a') AS a3 \gset
SELECT (tp_inspect(tp_encrypt('x', 'c', 'keys a'))).key_id = :a3;
ROLLBACK;
SELECT (tp_inspect(tp_encrypt('x', 'c', 'keys a'))).key_id = :a2;
BEGIN;
SAVEPOINT s;
SELECT tp_rotate_dek('keys a') AS a3 \gset
SELECT tp_encrypt('x', 'c', 'keys a') AS lost \gset
SELECT tp_create_dek('keys d') > 0;
ROLLBACK TO s;
SELECT (tp_inspect(tp_encrypt('x', 'c', 'keys a'))).key_id = :a2;
SELECT refusal(format('SELECT tp_decrypt(%L, ''c'')', :'lost'));
SELECT refusal($$SELECT tp_encrypt('x', 'c', 'keys d')$$);
COMMIT;

-- What the keyring shows, and that all of it opens.
SELECT name, purpose, state, kek_label, token_serial <> '', octet_length(kek_id), octet_length(check_value),
       created_at <= state_changed_at
    FROM own ORDER BY name COLLATE "C", purpose, created_at;
SELECT count(*) = (SELECT count(*) FROM tp_dek), bool_and(ok), count(problem) FROM tp_verify_keys();

-- The cache of this session.
SELECT tp_forget_keys() >= 0, tp_forget_keys();
SELECT tp_load_dek('keys a') = :a2, tp_load_dek() > 0;
SELECT deks_cached, session FROM tp_status();
SELECT tp_load_dek('keys a') = :a2;
SELECT tp_forget_keys(), tp_forget_keys();
SELECT tp_decrypt(:'old', 'c'), deks_cached FROM tp_status();
SELECT deks_cached FROM tp_status();
SELECT refusal($$SELECT tp_load_dek('keys of nobody')$$);
SELECT refusal($$SELECT tp_load_dek(NULL)$$);
-- Forgotten in the middle of a transaction that encrypts.
BEGIN;
SELECT tp_encrypt('before', 'c', 'keys a') AS before \gset
SELECT tp_forget_keys();
SELECT tp_encrypt('after', 'c', 'keys a') AS after \gset
SELECT tp_decrypt(:'before', 'c'), tp_decrypt(:'after', 'c'),
       substr(:'before'::bytea, 6, 12) = substr(:'after'::bytea, 6, 12) AS same_prefix;
COMMIT;

-- A DEK that is disabled refuses and can come back; one that is destroyed does not.
UPDATE tp_dek SET state = 'disabled' WHERE id = :a1;
SELECT refusal(format('SELECT tp_decrypt(%L, ''c'')', :'old'));
UPDATE tp_dek SET state = 'retired' WHERE id = :a1;
SELECT tp_decrypt(:'old', 'c');
BEGIN;
UPDATE tp_dek SET state = 'destroyed', wrapped = NULL WHERE id = :a1;
SELECT refusal(format('SELECT tp_decrypt(%L, ''c'')', :'old'));
SELECT state, ok, problem FROM tp_verify_keys() WHERE id = :a1;
ROLLBACK;
SELECT tp_decrypt(:'old', 'c');
BEGIN;
UPDATE tp_dek SET state = 'disabled' WHERE name = 'keys a';
SELECT refusal($$SELECT tp_encrypt('x', 'c', 'keys a')$$);
SELECT tp_rotate_dek('keys a') > 0;
SELECT tp_decrypt(tp_encrypt('under the new one', 'c', 'keys a'), 'c');
ROLLBACK;
BEGIN;
DELETE FROM tp_dek WHERE id = :a1;
SELECT refusal(format('SELECT tp_decrypt(%L, ''c'')', :'old'));
ROLLBACK;
BEGIN;
TRUNCATE tp_dek;
SELECT refusal(format('SELECT tp_decrypt(%L, ''c'')', :'old'));
SELECT count(*) FROM tp_verify_keys();
ROLLBACK;
SELECT tp_decrypt(:'old', 'c');
-- A DEK of another purpose serves no column.
SELECT refusal(format('SELECT tp_decrypt(%L, ''c'')', substr(:'old'::bytea, 1, 1) || int4send(:i1) || substr(:'old'::bytea, 6)));

-- Whoever may write the table: each attack has its own refusal, also where the DEK is in the cache.
BEGIN;  -- two rows swapped
UPDATE tp_dek d SET wrapped = o.wrapped, check_value = o.check_value
    FROM tp_dek o WHERE (d.id, o.id) IN ((:a1, :b1), (:b1, :a1));
SELECT refusal(format('SELECT tp_decrypt(%L, ''c'')', :'old'));
SELECT name, ok, regexp_replace(problem, '\d+', 'N') FROM tp_verify_keys() WHERE NOT ok;
ROLLBACK;
BEGIN;  -- under another name
UPDATE tp_dek SET name = 'keys stolen' WHERE id = :a2;
SELECT refusal($$SELECT tp_encrypt('x', 'c', 'keys stolen')$$);
ROLLBACK;
BEGIN;  -- under another id
UPDATE tp_dek SET id = 1 WHERE id = :a1;
SELECT refusal(format('SELECT tp_decrypt(%L, ''c'')', '\xe100000001'::bytea || substr(:'old'::bytea, 6)));
ROLLBACK;
BEGIN;  -- under another purpose
UPDATE tp_dek SET purpose = 'data', name = 'keys i' WHERE id = :i1;
SELECT refusal(format('SELECT tp_decrypt(%L, ''c'')', substr(:'old'::bytea, 1, 1) || int4send(:i1) || substr(:'old'::bytea, 6)));
ROLLBACK;
BEGIN;  -- damaged
UPDATE tp_dek SET wrapped = set_byte(wrapped, 40, 255 - get_byte(wrapped, 40)) WHERE id = :a1;
SELECT refusal(format('SELECT tp_decrypt(%L, ''c'')', :'old'));
ROLLBACK;
BEGIN;  -- another check value
UPDATE tp_dek SET check_value = sha256('x') WHERE id = :a1;
SELECT refusal(format('SELECT tp_decrypt(%L, ''c'')', :'old'));
ROLLBACK;
BEGIN;  -- a KEK that tp_kek does not know, and one that the token does not know
UPDATE tp_kek SET id = set_byte(id, 15, 255 - get_byte(id, 15));
SELECT refusal(format('SELECT tp_decrypt(%L, ''c'')', :'old'));
SELECT tp_forget_keys() >= 0;
UPDATE tp_dek SET kek_id = (SELECT id FROM tp_kek);
SELECT refusal(format('SELECT tp_decrypt(%L, ''c'')', :'old'));
ROLLBACK;
BEGIN;  -- a KEK that does not open its probe
SELECT tp_forget_keys() >= 0;
UPDATE tp_kek SET probe = set_byte(probe, 3, 255 - get_byte(probe, 3));
SELECT refusal(format('SELECT tp_decrypt(%L, ''c'')', :'old'));
SELECT DISTINCT ok, problem FROM tp_verify_keys();
ROLLBACK;
BEGIN;  -- no KEK
SELECT tp_forget_keys() >= 0;
DELETE FROM tp_kek;
SELECT refusal(format('SELECT tp_decrypt(%L, ''c'')', :'old'));
SELECT DISTINCT ok, regexp_replace(problem, '\d+', 'N') FROM tp_verify_keys();
ROLLBACK;
-- The tables refuse what could not be a key.
SELECT refusal(format('UPDATE tp_dek SET wrapped = NULL WHERE id = %s', :a1)) ~ '^23514:';
SELECT refusal(format('UPDATE tp_dek SET wrapped = wrapped || wrapped WHERE id = %s', :a1)) ~ '^23514:';
SELECT refusal(format('UPDATE tp_dek SET state = ''open'' WHERE id = %s', :a1)) ~ '^23514:';
SELECT refusal($$UPDATE tp_dek SET id = -id$$) ~ '^23514:';
-- All of it was rolled back, and everything still opens.
SELECT tp_decrypt(:'old', 'c'), (SELECT bool_and(ok) FROM tp_verify_keys());

-- A limit of the cache's age.
SET trustpoint.dek_cache_ttl = '1h';
SELECT tp_decrypt(:'old', 'c');
RESET trustpoint.dek_cache_ttl;
-- Changes of keys are refused in a read-only transaction.
BEGIN READ ONLY;
SELECT refusal($$SELECT tp_create_dek('keys c')$$);
SELECT refusal($$SELECT tp_rotate_dek('keys a')$$);
ROLLBACK;
DROP VIEW own;
