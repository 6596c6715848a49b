-- tp_inspect, tp_is_encrypted, tp_context: what needs no key, no token and no privilege.
\pset format unaligned
CREATE ROLE regress_tp_value;
SET ROLE regress_tp_value;

-- The shortest values of each suite, one byte less, and one byte more.
CREATE TEMPORARY TABLE form (what text, v bytea);
INSERT INTO form VALUES
    ('xaes, empty plaintext', decode('e100000001' || repeat('00', 40), 'hex')),
    ('xaes, a byte short', decode('e100000001' || repeat('00', 39), 'hex')),
    ('xaes, one byte', decode('e100000001' || repeat('00', 41), 'hex')),
    ('aes, empty plaintext', decode('e200000001' || repeat('00', 28), 'hex')),
    ('aes, a byte short', decode('e200000001' || repeat('00', 27), 'hex')),
    ('aes, 12 bytes', decode('e200000001' || repeat('00', 40), 'hex')),
    ('largest key id', decode('e17fffffff' || repeat('00', 40), 'hex')),
    ('key id beyond int', decode('e180000000' || repeat('00', 40), 'hex')),
    ('key id 2^32 - 1', decode('e1ffffffff' || repeat('00', 40), 'hex')),
    ('key id 0', decode('e100000000' || repeat('00', 40), 'hex')),
    ('unknown suite', decode('e300000001' || repeat('00', 40), 'hex')),
    ('text', 'a long text that was never encrypted but has more than 45 bytes'),
    ('suite alone', '\xe1'),
    ('head alone', '\xe100000001'),
    ('no bytes', ''),
    ('NULL', NULL);
SELECT what, tp_is_encrypted(v), CASE WHEN tp_is_encrypted(v) THEN tp_inspect(v) END AS inspected FROM form;
-- Of all first bytes two are a suite.
SELECT string_agg(to_hex(byte), ' ' ORDER BY byte)
    FROM generate_series(0, 255) AS byte
    WHERE tp_is_encrypted(set_byte(decode('0000000001' || repeat('00', 40), 'hex'), 0, byte));

SELECT * FROM tp_inspect(decode('e1075bcd15' || repeat('ab', 140), 'hex'));
SELECT * FROM tp_inspect(NULL);
SELECT tp_inspect('\xe100000001');
\echo :SQLSTATE
SELECT tp_inspect('no value');
\echo :SQLSTATE

-- tp_is_encrypted reads the head of a large value, compressed or not.
CREATE TEMPORARY TABLE large (v bytea);
INSERT INTO large SELECT decode('e100000001' || repeat('00', 100000), 'hex');
ALTER TABLE large ALTER v SET STORAGE EXTERNAL;
INSERT INTO large SELECT decode('e100000001' || repeat('00', 100000), 'hex');
INSERT INTO large SELECT decode('e000000001' || repeat('00', 100000), 'hex');
SELECT octet_length(v), pg_column_size(v) < octet_length(v) AS compressed, tp_is_encrypted(v),
       CASE WHEN tp_is_encrypted(v) THEN (tp_inspect(v)).plaintext_length END
    FROM large;

-- tp_context: each part behind its length in bytes of UTF-8.
SELECT tp_context('users', 'email', '17');
SELECT tp_context('Zürich', '€', '𝄞'), tp_context('Zu', 'rich');
SELECT tp_context(''), tp_context('', ''), tp_context(VARIADIC '{}') = '' AS no_parts;
SELECT tp_context(VARIADIC ARRAY['users', 'email', '17']) = tp_context('users', 'email', '17') AS same;
SELECT tp_context('a', 'bc') = tp_context('ab', 'c') AS shifted, tp_context('1:a') = tp_context('a') AS forged,
       tp_context('a', '') = tp_context('a') AS shortened;
-- No two lists of up to three parts give the same context, though the parts are made to confuse it.
WITH part(p) AS (VALUES (''), ('1'), (':'), ('1:'), ('11'), ('0:'), ('ü'), ('2:ü')),
     list AS (SELECT ARRAY[]::text[] AS l
              UNION ALL SELECT ARRAY[a.p] FROM part a
              UNION ALL SELECT ARRAY[a.p, b.p] FROM part a, part b
              UNION ALL SELECT ARRAY[a.p, b.p, c.p] FROM part a, part b, part c)
SELECT count(*) AS lists, count(DISTINCT tp_context(VARIADIC l)) AS contexts FROM list;
SELECT octet_length(tp_context(repeat('x', 100000), 'y'));
-- A NULL part would bind nothing.
SELECT tp_context('users', NULL, '17');
\echo :SQLSTATE
SELECT tp_context(NULL);
\echo :SQLSTATE
SELECT tp_context(VARIADIC NULL::text[]);
\echo :SQLSTATE
SELECT tp_context();
\echo :SQLSTATE

-- IMMUTABLE: they serve in an index.
CREATE TEMPORARY TABLE indexed (v bytea);
CREATE INDEX ON indexed (((tp_inspect(v)).key_id)) WHERE tp_is_encrypted(v);
INSERT INTO indexed SELECT v FROM form;
SELECT count(*) FROM indexed WHERE tp_is_encrypted(v) AND (tp_inspect(v)).key_id = 1;

RESET ROLE;
DROP TABLE form, large, indexed;
DROP ROLE regress_tp_value;
