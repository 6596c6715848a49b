-- Bytes that a value takes in the heap, its row with an integer beside it: a table of 10 000 rows, all its pages.
SET client_min_messages = warning;
SET search_path = tp_bench, public;
DO $$
DECLARE
    kind record;
BEGIN
    FOR kind IN SELECT * FROM (VALUES (16), (64), (256)) AS s (size), (VALUES
            ('plain', 'p', ''), ('xaes-256-gcm', 'tp_encrypt(p)', 'xaes-256-gcm'), ('aes-256-gcm', 'tp_encrypt(p)', 'aes-256-gcm'),
            ('cbc', 'iv || encrypt_iv(p, sha256(''key''), iv, ''aes-cbc'') || hmac(p, ''key'', ''sha256'')', ''),
            ('s2k0', 'pgp_sym_encrypt_bytea(p, ''passphrase'', ''s2k-mode=0, cipher-algo=aes256'')', ''))
            AS k (what, expression, suite) LOOP
        PERFORM set_config('trustpoint.cipher', kind.suite, false) WHERE kind.suite <> '';
        EXECUTE format('CREATE UNLOGGED TABLE heap AS SELECT n, ' || kind.expression || ' AS v FROM
            (SELECT n, plaintext(n, %s) AS p, gen_random_bytes(16) AS iv FROM generate_series(1, 10000) AS n OFFSET 0) AS s',
            kind.size);
        INSERT INTO measured VALUES ('heap ' || kind.size || ' ' || kind.what, 1, pg_relation_size('heap') / 10000.0);
        DROP TABLE heap;
    END LOOP;
END
$$;
SELECT what, round, value FROM measured;
TRUNCATE measured;
