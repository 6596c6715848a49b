-- Every malformed argument: the right SQLSTATE, a hint, no data in the words, and a session that lives on.
\pset format unaligned
\pset tuples_only on
\set plaintext 'correct horse battery staple'
SELECT tp_encrypt(:'plaintext', 'c') AS v \gset

-- 22P03: no value at all.
SELECT refusal($$SELECT tp_decrypt('')$$);
SELECT refusal($$SELECT tp_decrypt('\xe1')$$);
SELECT refusal($$SELECT tp_decrypt_bytea('correct horse battery staple, in clear and long enough')$$);
SELECT refusal($$SELECT tp_inspect('correct horse battery staple, in clear and long enough')$$);
SELECT refusal($$SELECT tp_rewrap('correct horse battery staple, in clear and long enough')$$);
SELECT refusal(format('SELECT tp_decrypt(%L)', set_byte(:'v'::bytea, 0, 0)));
SELECT refusal(format('SELECT tp_decrypt(%L)', substr(:'v'::bytea, 1, 44)));
-- 22000: one message for all that is not authentic.
SELECT DISTINCT refusal(format('SELECT %s(%L, %L)', function, v, context))
    FROM unnest(ARRAY['tp_decrypt', 'tp_decrypt_bytea', 'tp_rewrap']) AS function,
         (SELECT :'v'::bytea) AS good (good),
         LATERAL (VALUES (good, 'd'), (good, ''), (set_byte(good, 5, 255 - get_byte(good, 5)), 'c'),
                         (set_byte(good, 40, 255 - get_byte(good, 40)), 'c'), (good || '\x00', 'c'),
                         (substr(good, 1, 60), 'c')) AS bad (v, context);
-- 42704: no such DEK. The id of a value is no secret.
SELECT refusal(format('SELECT tp_decrypt(%L, ''c'')', '\xe100000001'::bytea || substr(:'v'::bytea, 6)));
SELECT refusal(format('SELECT tp_rewrap(%L, ''c'')', '\xe100000001'::bytea || substr(:'v'::bytea, 6)));
SELECT refusal($$SELECT tp_encrypt('correct horse battery staple', 'c', 'no such key')$$);
SELECT refusal($$SELECT tp_load_dek('no such key')$$);
SELECT refusal($$SELECT tp_rotate_dek('no such key')$$);
-- 42710: it is there.
SELECT refusal($$SELECT tp_create_dek('default')$$);
-- 22021: bytes that are no text, as text.
SELECT refusal($$SELECT tp_decrypt(tp_encrypt('\xfffe'::bytea))$$);
-- 22004: NULL where it would lose something.
SELECT refusal($$SELECT tp_encrypt('correct horse battery staple', NULL)$$);
SELECT refusal($$SELECT tp_encrypt('correct horse battery staple', 'c', NULL)$$);
SELECT refusal($$SELECT tp_decrypt('\x00', NULL)$$);
SELECT refusal($$SELECT tp_decrypt_bytea('\x00', NULL)$$);
SELECT refusal($$SELECT tp_rewrap('\x00', NULL)$$);
SELECT refusal($$SELECT tp_context(VARIADIC ARRAY['a', NULL])$$);
SELECT refusal($$SELECT tp_create_dek(NULL)$$);
SELECT refusal($$SELECT tp_rotate_dek('default', NULL)$$);
SELECT refusal($$SELECT tp_load_dek(NULL)$$);
SELECT refusal($$SELECT tp_hsm_init_token(NULL)$$);
-- 22023: what is no name, purpose, label, setting.
SELECT refusal($$SELECT tp_create_dek('')$$);
SELECT refusal($$SELECT tp_create_dek(repeat('x', 64))$$);
SELECT refusal($$SELECT tp_create_dek(E'\t')$$);
SELECT refusal($$SELECT tp_create_dek('x', 'DATA')$$);
SELECT refusal($$SELECT tp_hsm_init_token('')$$);
SELECT refusal($$SET trustpoint.cipher = 'rot13'$$);
SELECT refusal($$SET trustpoint.audit = 'some'$$);
SELECT replace(refusal($$SET trustpoint.dek_cache_ttl = -1$$), ' s', '');  -- from 17 on the range has units
-- A label of a KEK that cannot be: refused before anything is made.
BEGIN;
DELETE FROM tp_dek;
DELETE FROM tp_kek;
SET LOCAL trustpoint.kek_label = '';
SELECT refusal('SELECT tp_setup()');
SET LOCAL trustpoint.kek_label = 'a label that is longer than thirty-two bytes';
SELECT refusal('SELECT tp_setup()');
ROLLBACK;
-- Nothing is called with arguments of another number or type.
SELECT refusal($$SELECT tp_decrypt('\x00', 'c', 'default')$$) ~ '^42883:';
SELECT refusal($$SELECT tp_encrypt(17)$$) ~ '^42883:';
SELECT refusal($$SELECT tp_keys_changed()$$);

-- No refusal quotes what it was given to keep.
SELECT count(*) FROM unnest(ARRAY[
    refusal($$SELECT tp_encrypt('correct horse battery staple', 'c', 'no such key')$$),
    refusal($$SELECT tp_decrypt('correct horse battery staple, in clear and long enough')$$),
    refusal($$SELECT tp_decrypt(tp_encrypt(convert_to('correct horse battery staple', 'UTF8') || '\xff'))$$),
    refusal(format('SELECT tp_decrypt(%L, ''correct horse battery staple'')', :'v'))]) AS words
    WHERE words ~* 'correct|horse' OR words ~ substr(:'v', 20, 8);

-- Outside of any handler: the session lives, the transaction is aborted as after any error, a savepoint mends it.
\pset tuples_only off
SELECT tp_decrypt(:'v', 'wrong');
SELECT tp_decrypt(:'v', 'c');
BEGIN;
SELECT tp_encrypt('in the transaction', 'c') AS w \gset
SAVEPOINT s;
SELECT tp_decrypt(:'v', 'wrong');
SELECT tp_decrypt(:'v', 'c');
ROLLBACK TO s;
SELECT tp_decrypt(:'v', 'c'), tp_decrypt(:'w', 'c'), tp_decrypt(tp_encrypt('and on', 'c'), 'c');
COMMIT;
BEGIN;
SELECT tp_decrypt(:'v', NULL);
SELECT 1;
COMMIT;
SELECT tp_decrypt(:'v', 'c');
-- An error in the middle of many rows.
SELECT count(tp_decrypt(CASE n WHEN 500 THEN '\x00' ELSE :'v'::bytea END, 'c')) FROM generate_series(1, 1000) AS n;
SELECT count(tp_decrypt(:'v', 'c')) FROM generate_series(1, 1000) AS n;
-- A thousand refusals leave no locked memory behind.
SELECT secret_memory_used AS used FROM tp_status() \gset
SELECT count(*) FROM generate_series(1, 1000) AS n WHERE refusal(format('SELECT tp_decrypt(%L)', :'v')) ~ '^22000:';
SELECT secret_memory_used = :used AS unchanged FROM tp_status();
