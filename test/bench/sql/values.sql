-- What tp_encrypt and tp_decrypt cost for each value, beside a function that only copies and the bare EVP loop. In nanoseconds of
-- CPU time of the backend, the query less the same query without the function; EVP in a loop in the same process. The AAD of
-- a value is 8 bytes and the context. A few rows many times, as in the loop: what it takes to fetch a table from memory is seen in
-- bulk.sql. Variable: rounds.
SET client_min_messages = warning;
SET jit = off;
SET max_parallel_workers_per_gather = 0;
SET search_path = tp_bench, public;

-- Many short rounds, as a machine's speed changes within seconds. The suites are compared with each other too: they take turns to be
-- first, query by query. Values of 64 bytes have the limits: twice as many rounds.
CREATE PROCEDURE measure_values(rounds int) LANGUAGE plpgsql AS $$
DECLARE
    kind record;
    s sample;
    name text;
    start double precision;
    evp double precision;
    query double precision[];  -- of each suite, by its overhead
    copy double precision[];
    few int;
    times int;
    result numeric;
BEGIN
    FOR round IN 0..8 * rounds LOOP
        FOR kind IN SELECT * FROM unnest(ARRAY[16, 64, 1024, 1048576]) AS size, (VALUES
                    (1, 'tp_decrypt', 'query', 'v'),
                    (2, 'tp_decrypt', 'copy', 'tp_bench_copy(v, -%2$s)'),
                    (3, 'tp_decrypt', 'tp', 'tp_decrypt(v, ''credential:17'')'),
                    (4, 'tp_encrypt', 'query', 'p'),
                    (5, 'tp_encrypt', 'copy', 'tp_bench_copy(p, %2$s)'),
                    (6, 'tp_encrypt', 'tp', 'tp_encrypt(p, ''credential:17'')')) AS kind (number, function, what, expression)
                WHERE size = 64 OR round <= 4 * rounds ORDER BY size, number LOOP
            FOR s IN SELECT * FROM sample WHERE size = kind.size ORDER BY (suite = 'aes-256-gcm') = (round % 2 = 0) LOOP
                name := kind.function || ' ' || s.name || ' ';
                PERFORM set_config('trustpoint.cipher', s.suite, false);
                few := CASE s.size WHEN 1048576 THEN 24 WHEN 1024 THEN 100 ELSE 1000 END;
                times := greatest(s.rows / few / 4, 1);
                start := tp_bench_cpu();
                EXECUTE format('SELECT sum(octet_length(' || kind.expression || ')) FROM generate_series(1, %3$s) AS n,
                    LATERAL (SELECT p, v FROM %1$I LIMIT %4$s OFFSET 0 * n) AS few', s.name, s.overhead, times, few) INTO result;
                start := (tp_bench_cpu() - start) / (few * times);
                CASE kind.what
                WHEN 'query' THEN
                    query[s.overhead] := start;
                WHEN 'copy' THEN
                    copy[s.overhead] := start - query[s.overhead];
                    INSERT INTO measured VALUES (name || 'copy', round, copy[s.overhead]);
                ELSE
                    INSERT INTO measured VALUES (name || 'tp', round, start - query[s.overhead]);
                    evp := tp_bench_evp(kind.function = 'tp_decrypt', few * times, s.size, 8 + length('credential:17'));
                    INSERT INTO measured VALUES (name || 'evp', round, evp), (name || 'evp+copy', round, evp + copy[s.overhead]);
                END CASE;
            END LOOP;
        END LOOP;
    END LOOP;
END
$$;
CALL measure_values(:rounds);
SELECT what, round, value FROM measured WHERE round > 0;  -- the first warms up
TRUNCATE measured;
