-- What tp_encrypt and tp_decrypt cost for each value, beside what must be paid in any case. Variables: library, rounds.
SET client_min_messages = warning;
SET jit = off;
SET max_parallel_workers_per_gather = 0;
CREATE SCHEMA tp_bench;
SET search_path = tp_bench, public;
CREATE FUNCTION tp_bench_cpu() RETURNS double precision AS :'library' LANGUAGE C;
CREATE FUNCTION tp_bench_copy(value bytea, change int) RETURNS bytea AS :'library' LANGUAGE C STRICT;
CREATE FUNCTION tp_bench_evp(decrypt bool, count int, size int, aad_size int) RETURNS double precision
    AS :'library' LANGUAGE C STRICT;

-- One table for each size and suite: plaintexts p, and the same encrypted, v. The AAD of a value is 8 bytes and the context.
CREATE UNLOGGED TABLE sample AS
    SELECT size, suite, overhead, size || '_' || suite AS name, CASE size WHEN 64 THEN 1000000 ELSE 100000 END AS rows
    FROM unnest(ARRAY[16, 64, 1024]) AS size, (VALUES ('xaes-256-gcm', 45), ('aes-256-gcm', 33)) AS suite (suite, overhead);
CREATE UNLOGGED TABLE measured (name text, direction text, what text, round int, ns double precision);

CREATE PROCEDURE prepare() LANGUAGE plpgsql AS $$
DECLARE
    s sample;
BEGIN
    FOR s IN TABLE sample LOOP
        PERFORM set_config('trustpoint.cipher', s.suite, false);
        EXECUTE format('CREATE UNLOGGED TABLE %1$I AS SELECT p, tp_encrypt(p, ''credential:17'') AS v FROM (SELECT
            convert_to(left(repeat(md5(n::text), %2$s / 32 + 1), %2$s), ''UTF8'') AS p FROM generate_series(1, %3$s) AS n) AS plain',
            s.name, s.size, s.rows);
    END LOOP;
END
$$;

-- CPU time, as other processes may be at work. All kinds of query follow one another in each round.
CREATE PROCEDURE measure(rounds int) LANGUAGE plpgsql AS $$
DECLARE
    s sample;
    kind record;
    start double precision;
    result numeric;
BEGIN
    FOR round IN 0..rounds LOOP
        FOR s IN TABLE sample LOOP
            PERFORM set_config('trustpoint.cipher', s.suite, false);
            FOR kind IN SELECT * FROM (VALUES
                    ('tp_decrypt', 'query', 'v'),
                    ('tp_decrypt', 'copy', 'tp_bench_copy(v, -%2$s)'),
                    ('tp_decrypt', 'tp', 'tp_decrypt(v, ''credential:17'')'),
                    ('tp_encrypt', 'query', 'p'),
                    ('tp_encrypt', 'copy', 'tp_bench_copy(p, %2$s)'),
                    ('tp_encrypt', 'tp', 'tp_encrypt(p, ''credential:17'')')) AS kind (direction, what, expression) LOOP
                start := tp_bench_cpu();
                EXECUTE format('SELECT sum(octet_length(' || kind.expression || ')) FROM %1$I', s.name, s.overhead) INTO result;
                INSERT INTO measured
                    VALUES (s.name, kind.direction, kind.what, round, (tp_bench_cpu() - start) / s.rows);
                CONTINUE WHEN kind.what <> 'tp';
                INSERT INTO measured VALUES (s.name, kind.direction, 'evp', round,
                    tp_bench_evp(kind.direction = 'tp_decrypt', s.rows, s.size, 8 + length('credential:17')));
            END LOOP;
        END LOOP;
    END LOOP;
END
$$;

CALL prepare();
CALL measure(:rounds);

\echo 'CPU nanoseconds for each value, medians of' :rounds 'rounds.'
\echo 'copy: a query with a function that only copies, less the same query without it. EVP: one bare call with a kept context'
\echo 'in the same process. function: the query with it, less the query that copies; for tp_decrypt of 64 bytes at most 1.5'
\echo 'times EVP. whole: the query with it, less the same query without it, by EVP + copy. Ratios are medians of the rounds'' own.'
WITH side_by_side AS (
    SELECT name, direction, round, min(ns) FILTER (WHERE what = 'query') AS query, min(ns) FILTER (WHERE what = 'copy') AS copy,
           min(ns) FILTER (WHERE what = 'tp') AS tp, min(ns) FILTER (WHERE what = 'evp') AS evp
    FROM measured WHERE round > 0  -- the first warms up
    GROUP BY name, direction, round),
by_round AS (
    SELECT *, (tp - copy) / evp AS function_ratio, (tp - query) / (evp + copy - query) AS whole_ratio FROM side_by_side),
median AS (
    SELECT name, direction, percentile_cont(0.5) WITHIN GROUP (ORDER BY copy - query) AS copy,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY evp) AS evp,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY tp - copy) AS function,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY function_ratio) AS function_ratio,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY whole_ratio) AS whole_ratio
    FROM by_round GROUP BY name, direction)
SELECT direction AS function, suite, size AS bytes, rows AS values, round(copy) AS copy, round(evp) AS "EVP",
       round(function) AS "function ns", round(function_ratio::numeric, 2) AS "function / EVP",
       round(whole_ratio::numeric, 2) AS "whole / (EVP + copy)"
    FROM median JOIN sample USING (name) ORDER BY direction, suite DESC, size;
DROP SCHEMA tp_bench CASCADE;
