-- tp_encrypt, tp_decrypt, tp_decrypt_bytea: what goes in comes back, and nothing else does.
\pset format unaligned
\pset tuples_only on
LOAD 'trustpoint';  -- for SHOW; any function of it loads it too

-- Sizes around the cipher's block and beyond the page, both suites, text and bytea.
CREATE TABLE sample (suite text, size int, words text, bytes bytea, from_words bytea, from_bytes bytea);
CREATE TABLE plain AS
    SELECT size, left(repeat('0123456789abcdef', 700), size) AS words,
           substr(decode(repeat('00ff7f80c3a9', 2000), 'hex'), 1, size) AS bytes
    FROM unnest(ARRAY[0, 1, 15, 16, 17, 1000, 10000]) AS size;
SHOW trustpoint.cipher;
INSERT INTO sample
    SELECT 'xaes-256-gcm', size, words, bytes, tp_encrypt(words, 'c'), tp_encrypt(bytes, 'c') FROM plain;
SET trustpoint.cipher = 'aes-256-gcm';
INSERT INTO sample
    SELECT 'aes-256-gcm', size, words, bytes, tp_encrypt(words, 'c'), tp_encrypt(bytes, 'c') FROM plain;
RESET trustpoint.cipher;
\pset tuples_only off
SELECT suite, size,
       octet_length(from_words) - size AS overhead,
       tp_decrypt(from_words, 'c') = words AS words,
       tp_decrypt_bytea(from_bytes, 'c') = bytes AS bytes,
       tp_decrypt_bytea(from_words, 'c') = convert_to(words, 'UTF8') AS words_as_bytes,
       (tp_inspect(from_bytes)).suite = suite AND (tp_inspect(from_bytes)).plaintext_length = size AS inspected
    FROM sample ORDER BY overhead DESC, size;
-- Nothing of the plaintext is in the value.
SELECT count(*) FILTER (WHERE position(convert_to(words, 'UTF8') IN from_words) > 0
                           OR position(bytes IN from_bytes) > 0) AS show_plaintext
    FROM sample WHERE size >= 15;
\pset tuples_only on

-- Characters of one to four bytes, and of one look in two forms.
SELECT tp_decrypt(tp_encrypt('Zürich €5 日本語 𝄞'));
SELECT octet_length(tp_encrypt('€')) - 45;
SELECT tp_decrypt(tp_encrypt(E'line\nend\ttab\\ ''quote'''));

-- Nothing is encrypted to the same bytes twice, and no nonce serves twice, whatever happens in between.
BEGIN;
CREATE TEMPORARY TABLE written (v bytea);
INSERT INTO written SELECT tp_encrypt('same') FROM generate_series(1, 1000);
SAVEPOINT s;
SELECT count(DISTINCT tp_encrypt('same')) FROM generate_series(1, 10);
SELECT tp_encrypt('same') AS lost \gset
ROLLBACK TO s;
INSERT INTO written SELECT tp_encrypt('same') FROM generate_series(1, 1000);
SELECT refusal($$SELECT tp_encrypt('same', NULL)$$);
INSERT INTO written VALUES (tp_encrypt('same')), (:'lost');
COMMIT;
INSERT INTO written SELECT tp_encrypt('same') FROM generate_series(1, 10);
SELECT count(*), count(DISTINCT substr(v, 6, 24)) AS nonces, count(DISTINCT substr(v, 6, 12)) AS prefixes,
       count(DISTINCT tp_decrypt(v)) AS plaintexts
    FROM written;

-- NULL stays NULL. A NULL context or key is an error even then: it would be forgotten on the way back.
SELECT tp_encrypt(NULL::text) IS NULL, tp_encrypt(NULL::bytea) IS NULL, tp_encrypt(NULL) IS NULL,
       tp_decrypt(NULL) IS NULL, tp_decrypt_bytea(NULL) IS NULL;
SELECT refusal($$SELECT tp_encrypt('secret', NULL)$$);
SELECT refusal($$SELECT tp_encrypt('\x00'::bytea, NULL)$$);
SELECT refusal($$SELECT tp_encrypt('secret', '', NULL)$$);
SELECT refusal($$SELECT tp_encrypt('\x00'::bytea, '', NULL)$$);
SELECT refusal($$SELECT tp_encrypt(NULL::text, NULL)$$);
SELECT refusal($$SELECT tp_decrypt(tp_encrypt('secret'), NULL)$$);
SELECT refusal($$SELECT tp_decrypt_bytea(tp_encrypt('secret'), NULL)$$);
SELECT refusal($$SELECT tp_decrypt(NULL, NULL)$$);

-- The empty string is a value like any other.
SELECT tp_decrypt(tp_encrypt('')) = '', octet_length(tp_encrypt('')), tp_decrypt_bytea(tp_encrypt(''::bytea));

-- Named notation, defaults, prepared statements, PL/pgSQL.
SELECT tp_decrypt(context => 'c', value => tp_encrypt(key => 'default', context => 'c', value => 'named'));
PREPARE save (text, text) AS SELECT tp_encrypt($1, $2) AS v;
EXECUTE save('prepared', 'c') \gset
SELECT tp_decrypt(:'v', 'c');
DEALLOCATE save;
DO $$ BEGIN RAISE NOTICE '%', tp_decrypt(tp_encrypt('from PL/pgSQL', 'c'), 'c'); END $$;

-- The context binds: none, another, a longer one, the same look in another form.
SELECT tp_encrypt('secret', 'users:17') AS v \gset
SELECT tp_decrypt(:'v', 'users:17');
SELECT refusal(format('SELECT tp_decrypt(%L)', :'v'));
SELECT count(*), array_agg(DISTINCT left(refusal(format('SELECT tp_decrypt(%L, %L)', :'v', context)), 5))
    FROM unnest(ARRAY['', 'users:1', 'users:18', 'users:170', 'Users:17', ' users:17']) AS context;
SELECT refusal(format('SELECT tp_decrypt(%L, %L)', tp_encrypt('secret', U&'\00FC'), U&'u\0308')) ~ '^22000:';
SELECT length(tp_decrypt(tp_encrypt('secret', repeat('long', 100000)), repeat('long', 100000)));

-- A key by its name; the value carries the number.
SELECT tp_create_dek('tenant one') AS tenant_id \gset
SELECT tp_encrypt('secret', 'c', 'tenant one') AS v \gset
SELECT tp_decrypt(:'v', 'c'), (tp_inspect(:'v')).key_id = :tenant_id,
       (tp_inspect(tp_encrypt('secret', 'c'))).key_id = (SELECT id FROM tp_keyring WHERE name = 'default');
SELECT refusal($$SELECT tp_encrypt('secret', 'c', 'Tenant One')$$);
SELECT refusal($$SELECT tp_encrypt('secret', 'c', '')$$);

-- Bytes that are no text, a zero byte among them, come back as bytes and are not quoted in the refusal.
SELECT tp_decrypt_bytea(tp_encrypt('\xfffe00'::bytea));
SELECT refusal($$SELECT tp_decrypt(tp_encrypt('\xfffe'::bytea))$$);
SELECT count(*), array_agg(DISTINCT left(refusal(format('SELECT tp_decrypt(tp_encrypt(%L::bytea))', bytes)), 6))
    FROM unnest(ARRAY['\x00', '\x6100', '\xc3', '\xc3c3', '\xc0af', '\xeda080', '\xf4908080', '\xf8888080']) AS bytes;
SELECT tp_decrypt(tp_encrypt('\x7ac3bc72696368'::bytea));

-- Every bit of a value counts (50 bytes: suite, key id, nonce, five of ciphertext, tag), and every length.
SELECT tp_encrypt('12345', 'c') AS v \gset
\pset tuples_only off
SELECT left(refusal(format('SELECT tp_decrypt(%L, ''c'')', set_bit(:'v'::bytea, bit, 1 - get_bit(:'v'::bytea, bit)))), 5) AS state,
       count(*)
    FROM generate_series(0, 8 * 50 - 1) AS bit GROUP BY 1 ORDER BY 1;
SELECT left(refusal(format('SELECT tp_decrypt(%L, ''c'')', substr(:'v'::bytea || '\x00', 1, size))), 5) AS state,
       count(*), min(size), max(size)
    FROM generate_series(0, 51) AS size WHERE size <> 50 GROUP BY 1 ORDER BY 1;
\pset tuples_only on
-- Two values of one context do not mix.
SELECT refusal(format('SELECT tp_decrypt(%L, ''c'')', substr(:'v'::bytea, 1, 34) || substr(tp_encrypt('12345', 'c'), 35))) ~ '^22000:';

-- In a table: the domain, the CHECK for tables that exist already, and what PostgreSQL does to large values.
CREATE TABLE device (id int PRIMARY KEY, password tp_encrypted, old bytea);
INSERT INTO device VALUES (1, tp_encrypt('hunter2', tp_context('device', '1')), 'clear text'), (2, NULL, NULL);
SELECT refusal($$INSERT INTO device VALUES (3, 'hunter2')$$);
SELECT refusal($$UPDATE device SET password = convert_to('hunter2', 'UTF8') WHERE id = 1$$);
SELECT id, tp_decrypt(password, tp_context('device', id::text)) FROM device ORDER BY id;
ALTER TABLE device ADD CONSTRAINT encrypted CHECK (tp_is_encrypted(old)) NOT VALID;
SELECT refusal($$INSERT INTO device VALUES (3, NULL, 'clear text')$$) ~ '^23514:';
SELECT refusal($$ALTER TABLE device VALIDATE CONSTRAINT encrypted$$);
UPDATE device SET old = tp_encrypt(old, tp_context('device', id::text));
ALTER TABLE device VALIDATE CONSTRAINT encrypted;
SELECT convert_from(tp_decrypt_bytea(old, tp_context('device', id::text)), 'UTF8') FROM device WHERE id = 1;
INSERT INTO device SELECT 4, tp_encrypt(repeat('large', 100000), tp_context('device', '4'));
SELECT md5(tp_decrypt(password, tp_context('device', '4'))) = md5(repeat('large', 100000)) FROM device WHERE id = 4;
-- A value put into another row is refused there.
UPDATE device SET password = (SELECT password FROM device WHERE id = 1) WHERE id = 2;
SELECT refusal($$SELECT tp_decrypt(password, tp_context('device', id::text)) FROM device WHERE id = 2$$) ~ '^22000:';

-- One query over rows of all kinds: two suites, two keys, many transactions.
SELECT count(*), count(DISTINCT (tp_inspect(v)).key_id), bool_and(tp_decrypt(v, 'c') IS NOT NULL)
    FROM (SELECT from_words AS v FROM sample
          UNION ALL SELECT tp_encrypt('x', 'c', name) FROM unnest(ARRAY['default', 'tenant one']) AS name, generate_series(1, 3)) AS all_kinds;

-- Encryption writes nothing: a read-only transaction may do it.
BEGIN READ ONLY;
SELECT tp_decrypt(tp_encrypt('secret'));
COMMIT;

DROP TABLE sample, plain, device;
