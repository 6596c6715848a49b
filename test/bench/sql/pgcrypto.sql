-- What pgcrypto costs for each value, as values.sql measures ours: pgp_sym with its default and with s2k-mode=0 (no work for a
-- weak passphrase, which a random key does not need), and AES-CBC with a random iv and HMAC-SHA-256 over both, which is checked
-- before anything is decrypted. Variables: rounds, rows.
SET client_min_messages = warning;
SET jit = off;
SET max_parallel_workers_per_gather = 0;
SET search_path = tp_bench, public;

CREATE UNLOGGED TABLE peer AS
    SELECT size, size || ' pgcrypto' AS name, CASE size WHEN 1048576 THEN 8 WHEN 1024 THEN :rows / 2 ELSE :rows END AS rows
    FROM unnest(ARRAY[16, 64, 1024, 1048576]) AS size;
CREATE UNLOGGED TABLE peer_kind (function text, what text, expression text, source text);
INSERT INTO peer_kind VALUES
    ('tp_encrypt', 'query', 'p', '%1$I'),
    ('tp_encrypt', 'pgp', 'pgp_sym_encrypt_bytea(p, ''passphrase'')', '%1$I'),
    ('tp_encrypt', 's2k0', 'pgp_sym_encrypt_bytea(p, ''passphrase'', ''s2k-mode=0, cipher-algo=aes256'')', '%1$I'),
    ('tp_encrypt', 'cbc', 'iv || c || hmac(iv || c, sha256(''mac''), ''sha256'')',
        '(SELECT iv, encrypt_iv(p, sha256(''key''), iv, ''aes-cbc'') AS c
            FROM (SELECT p, gen_random_bytes(16) AS iv FROM %1$I OFFSET 0) AS a OFFSET 0) AS b'),
    ('tp_decrypt', 'query', 'pgp', '%1$I'),
    ('tp_decrypt', 'pgp', 'pgp_sym_decrypt_bytea(pgp, ''passphrase'')', '%1$I'),
    ('tp_decrypt', 's2k0', 'pgp_sym_decrypt_bytea(s2k0, ''passphrase'')', '%1$I'),
    ('tp_decrypt', 'cbc', 'CASE WHEN hmac(substr(cbc, 1, octet_length(cbc) - 32), sha256(''mac''), ''sha256'')
            = substr(cbc, octet_length(cbc) - 31)
        THEN decrypt_iv(substr(cbc, 17, octet_length(cbc) - 48), sha256(''key''), substr(cbc, 1, 16), ''aes-cbc'') END', '%1$I');

-- Each row's ciphertexts are made by the same expressions.
DO $$
DECLARE
    s peer;
BEGIN
    FOR s IN TABLE peer LOOP
        EXECUTE format('CREATE UNLOGGED TABLE %1$I (p bytea, pgp bytea, s2k0 bytea, cbc bytea)
            WITH (toast_tuple_target = 8160)', s.name);
        EXECUTE format('ALTER TABLE %1$I ALTER p SET STORAGE EXTERNAL, ALTER pgp SET STORAGE EXTERNAL,
            ALTER s2k0 SET STORAGE EXTERNAL, ALTER cbc SET STORAGE EXTERNAL', s.name);
        EXECUTE format('INSERT INTO %1$I SELECT p, pgp_sym_encrypt_bytea(p, ''passphrase''),
                pgp_sym_encrypt_bytea(p, ''passphrase'', ''s2k-mode=0, cipher-algo=aes256''),
                iv || c || hmac(iv || c, sha256(''mac''), ''sha256'')
            FROM (SELECT p, iv, encrypt_iv(p, sha256(''key''), iv, ''aes-cbc'') AS c
                FROM (SELECT plaintext(n, %2$s) AS p, gen_random_bytes(16) AS iv FROM generate_series(1, %3$s) AS n OFFSET 0) AS a
                OFFSET 0) AS b',
            s.name, s.size, s.rows);
    END LOOP;
END
$$;

CREATE PROCEDURE measure_pgcrypto(rounds int) LANGUAGE plpgsql AS $$
DECLARE
    s peer;
    kind peer_kind;
    start double precision;
    query double precision;
    result numeric;
BEGIN
    FOR round IN 0..rounds LOOP
        FOR s IN TABLE peer LOOP
            FOR kind IN TABLE peer_kind LOOP
                start := tp_bench_cpu();
                EXECUTE format('SELECT sum(octet_length(' || kind.expression || ')) FROM ' || kind.source, s.name) INTO result;
                start := (tp_bench_cpu() - start) / s.rows;
                -- What decrypts must have found all of it.
                IF kind.function = 'tp_decrypt' AND kind.what <> 'query' AND result <> s.rows::numeric * s.size THEN
                    RAISE EXCEPTION '% of % decrypted % bytes', kind.what, s.name, result;
                END IF;
                IF kind.what = 'query' THEN
                    query := start;
                ELSE
                    INSERT INTO measured VALUES (kind.function || ' ' || s.name || ' ' || kind.what, round, start - query);
                END IF;
            END LOOP;
        END LOOP;
    END LOOP;
END
$$;
CALL measure_pgcrypto(:rounds);
SELECT what, round, value FROM measured WHERE round > 0;
TRUNCATE measured;
