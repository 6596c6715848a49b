-- What tp_encrypt and tp_decrypt cost for each value, beside a function that only copies and the bare EVP loop. In nanoseconds of
-- CPU time of the backend, the query less the same query without the function; EVP in a loop in the same process. The AAD of
-- a value is 8 bytes and the context. Variable: rounds.
SET client_min_messages = warning;
SET jit = off;
SET max_parallel_workers_per_gather = 0;
SET search_path = tp_bench, public;

CREATE PROCEDURE measure_values(rounds int) LANGUAGE plpgsql AS $$
DECLARE
    s sample;
    kind record;
    start double precision;
    query double precision;
    copy double precision;
    evp double precision;
    result numeric;
BEGIN
    FOR round IN 0..rounds LOOP
        FOR s IN TABLE sample LOOP
            PERFORM set_config('trustpoint.cipher', s.suite, false);
            FOR kind IN SELECT function || ' ' || s.name || ' ' AS name, * FROM (VALUES
                    ('tp_decrypt', 'query', 'v'),
                    ('tp_decrypt', 'copy', 'tp_bench_copy(v, -%2$s)'),
                    ('tp_decrypt', 'tp', 'tp_decrypt(v, ''credential:17'')'),
                    ('tp_encrypt', 'query', 'p'),
                    ('tp_encrypt', 'copy', 'tp_bench_copy(p, %2$s)'),
                    ('tp_encrypt', 'tp', 'tp_encrypt(p, ''credential:17'')')) AS kind (function, what, expression) LOOP
                start := tp_bench_cpu();
                EXECUTE format('SELECT sum(octet_length(' || kind.expression || ')) FROM %1$I', s.name, s.overhead) INTO result;
                start := (tp_bench_cpu() - start) / s.rows;
                CASE kind.what
                WHEN 'query' THEN
                    query := start;
                WHEN 'copy' THEN
                    copy := start - query;
                    INSERT INTO measured VALUES (kind.name || 'copy', round, copy);
                ELSE
                    evp := tp_bench_evp(kind.function = 'tp_decrypt', s.rows, s.size, 8 + length('credential:17'));
                    INSERT INTO measured VALUES (kind.name || 'tp', round, start - query), (kind.name || 'evp', round, evp),
                        (kind.name || 'evp+copy', round, evp + copy);
                END CASE;
            END LOOP;
        END LOOP;
    END LOOP;
END
$$;
CALL measure_values(:rounds);
SELECT what, round, value FROM measured WHERE round > 0;  -- the first warms up
TRUNCATE measured;
