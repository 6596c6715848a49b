-- Digests and random bytes from the token.
\pset format unaligned
\pset tuples_only on

SELECT tp_digest('') = sha256(''), tp_digest('abc') = sha256('abc'), tp_digest('abc', 'sha224') = sha224('abc'),
       tp_digest('abc', 'sha256') = sha256('abc'), tp_digest('abc', 'sha384') = sha384('abc'), tp_digest('abc', 'sha512') = sha512('abc');
-- In pieces.
SELECT bool_and(tp_digest(d, 'sha512') = sha512(d)) FROM unnest('{4095,65535,65536,65537,1048577,20000000}'::int[]) AS n,
    LATERAL (SELECT convert_to(repeat('x', n), 'UTF8')) AS t (d);
SELECT tp_digest(NULL) IS NULL;
SELECT refusal($$SELECT tp_digest('abc', 'sha1')$$);
SELECT refusal($$SELECT tp_digest('abc', 'md5')$$);
SELECT refusal($$SELECT tp_digest('abc', '')$$);
SELECT refusal($$SELECT tp_digest('abc', 'SHA256')$$);
SELECT refusal($$SELECT tp_digest('abc', NULL)$$);

SELECT octet_length(tp_random(1)), octet_length(tp_random(32)), octet_length(tp_random(1048576));
SELECT tp_random(32) = tp_random(32);
SELECT count(DISTINCT tp_random(16)) FROM generate_series(1, 100);
-- No byte is left as it was: all values come up, about as often as each other.
SELECT count(*), min(n) > 3500, max(n) < 4700 FROM (
    SELECT get_byte(d, i) AS byte, count(*) AS n FROM (SELECT tp_random(1048576) AS d OFFSET 0) AS r, generate_series(0, 1048575) AS i GROUP BY 1) AS b;
SELECT tp_random(NULL) IS NULL;
SELECT refusal($$SELECT tp_random(0)$$);
SELECT refusal($$SELECT tp_random(-1)$$);
SELECT refusal($$SELECT tp_random(1048577)$$);
SELECT refusal($$SELECT tp_random(2147483647)$$);
