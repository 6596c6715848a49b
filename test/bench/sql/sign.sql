-- What tp_sign costs beside a bare C_SignInit and C_Sign of the same module, in one session that is logged in; and what it costs
-- when the token holds a thousand objects. In nanoseconds of CPU time of this process; the bare loop and ours follow one another in
-- each round. The bare loop signs over a hash; tp_sign hashes 4 bytes first. Variable: rounds.
SET client_min_messages = warning;
SET jit = off;
SET max_parallel_workers_per_gather = 0;
SET search_path = tp_bench, public;
SELECT tp_generate_rsa_key('bench rsa', 2048), tp_generate_ec_key('bench ec') \g /dev/null

CREATE PROCEDURE measure_sign(objects int, rounds int) LANGUAGE plpgsql AS $$
DECLARE
    k record;
    name text;
    level text;
    start double precision;
    result numeric;
    module text := (SELECT module FROM tp_hsm_info());
BEGIN
    FOR round IN 0..rounds LOOP
        FOR k IN SELECT * FROM (VALUES ('bench rsa', true, 400), ('bench ec', false, 4000)) AS v (label, rsa, count) LOOP
            name := k.label || ' ' || objects || ' ';
            INSERT INTO measured VALUES (name || 'bare', round, tp_bench_sign(module, k.label, k.rsa, k.count));
            FOREACH level IN ARRAY ARRAY['none', 'keys'] LOOP
                PERFORM set_config('trustpoint.audit', level, false);
                start := tp_bench_cpu();
                SELECT sum(octet_length(tp_sign(k.label, d))) INTO result
                    FROM (SELECT int4send(n) AS d FROM generate_series(1, k.count) AS n OFFSET 0) AS data;
                INSERT INTO measured VALUES (name || level, round, (tp_bench_cpu() - start) / k.count);
            END LOOP;
        END LOOP;
    END LOOP;
END
$$;

SELECT tp_hsm_login() \g /dev/null
CALL measure_sign(10, :rounds);
SELECT tp_bench_fill(module, 990) FROM tp_hsm_info() \g /dev/null
SELECT tp_hsm_logout() \g /dev/null
SELECT tp_hsm_login() \g /dev/null
CALL measure_sign(1000, :rounds);

SELECT what, round, value FROM measured WHERE round > 0;
TRUNCATE measured;
DO $$
BEGIN
    PERFORM tp_destroy_key('bench rsa'), tp_destroy_key('bench ec');
END
$$;
