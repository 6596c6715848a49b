-- tp_rewrap: to the active DEK of the same name and the suite now set.
\pset format unaligned
\pset tuples_only on
SELECT tp_create_dek('rewrap') AS first_id \gset
CREATE TABLE note (id int PRIMARY KEY, v bytea);
INSERT INTO note SELECT id, tp_encrypt('note ' || id, tp_context('note', id::text), 'rewrap') FROM generate_series(1, 4) AS id;
INSERT INTO note VALUES (5, tp_encrypt('', tp_context('note', '5'), 'rewrap')), (6, NULL);

-- There already: the very same bytes, so that no new row version is worth anything.
SELECT bool_and(tp_rewrap(v, tp_context('note', id::text)) = v) FROM note;

SELECT tp_rotate_dek('rewrap') AS second_id \gset
-- Old values are still read, new ones come under the new DEK.
SELECT id, tp_decrypt(v, tp_context('note', id::text)), (tp_inspect(v)).key_id = :first_id FROM note ORDER BY id;
SELECT (tp_inspect(tp_encrypt('new', key => 'rewrap'))).key_id = :second_id;

-- Rewrapped values: the new DEK, never that of another name; other bytes; the same plaintext.
UPDATE note SET v = tp_rewrap(v, tp_context('note', id::text)) WHERE id <= 3;
SELECT id, (tp_inspect(v)).key_id = :second_id AS moved, tp_decrypt(v, tp_context('note', id::text)) FROM note ORDER BY id;
UPDATE note SET v = tp_rewrap(v, tp_context('note', id::text)) WHERE (tp_inspect(v)).key_id <> :second_id;
SELECT count(*), count(DISTINCT substr(v, 6, 24)) FROM note WHERE (tp_inspect(v)).key_id = :second_id;
SELECT tp_rewrap(NULL) IS NULL, tp_rewrap(NULL, 'c') IS NULL;

-- The suite now set, in both directions.
SET trustpoint.cipher = 'aes-256-gcm';
UPDATE note SET v = tp_rewrap(v, tp_context('note', id::text)) WHERE id <= 2;
SELECT id, (tp_inspect(v)).suite, octet_length(v), tp_decrypt(v, tp_context('note', id::text)) FROM note ORDER BY id;
SELECT bool_and(tp_rewrap(v, tp_context('note', id::text)) = v) FROM note WHERE id <= 2;
RESET trustpoint.cipher;
UPDATE note SET v = tp_rewrap(v, tp_context('note', id::text));
SELECT count(*) FROM note WHERE (tp_inspect(v)).suite = 'xaes-256-gcm';

-- It authenticates, also what is there already: no value passes through unseen.
SELECT refusal($$SELECT tp_rewrap(v, 'another context') FROM note WHERE id = 1$$);
SELECT refusal($$SELECT tp_rewrap(set_byte(v, 33, 255 - get_byte(v, 33)), tp_context('note', '1')) FROM note WHERE id = 1$$);
SELECT refusal($$SELECT tp_rewrap(v, NULL) FROM note WHERE id = 1$$);
SELECT refusal($$SELECT tp_rewrap('not a value')$$);
SELECT refusal($$SELECT tp_rewrap('\xe100000001'::bytea || substr(v, 6), tp_context('note', '1')) FROM note WHERE id = 1$$);

-- A rotation that is rolled back is no rotation.
BEGIN;
SELECT tp_rotate_dek('rewrap') AS third_id \gset
SELECT (tp_inspect(tp_rewrap(v, tp_context('note', '1')))).key_id = :third_id FROM note WHERE id = 1;
ROLLBACK;
SELECT (tp_inspect(tp_rewrap(v, tp_context('note', '1')))).key_id = :second_id FROM note WHERE id = 1;

-- A large value, in place.
SELECT md5(tp_decrypt(tp_rewrap(tp_encrypt(repeat('large', 1000000), 'c', 'rewrap'), 'c'), 'c')) = md5(repeat('large', 1000000));

DROP TABLE note;
