-- What tp_sign costs beside a bare C_SignInit and C_Sign of the same module, in one session that is logged in; and what it costs
-- when the token holds a thousand objects. Variables: library, rounds.
SET client_min_messages = warning;
SET jit = off;
SET max_parallel_workers_per_gather = 0;
CREATE SCHEMA tp_bench;
SET search_path = tp_bench, public;
CREATE FUNCTION tp_bench_cpu() RETURNS double precision AS :'library' LANGUAGE C;
CREATE FUNCTION tp_bench_sign(module text, label text, rsa bool, count int) RETURNS double precision AS :'library' LANGUAGE C STRICT;
CREATE FUNCTION tp_bench_fill(module text, count int) RETURNS int AS :'library' LANGUAGE C STRICT;
CREATE UNLOGGED TABLE measured (objects int, label text, audit text, what text, round int, ns double precision);
SELECT tp_generate_rsa_key('bench rsa', 2048), tp_generate_ec_key('bench ec') \g /dev/null

-- CPU time of this process; the bare loop and ours follow one another in each round.
CREATE PROCEDURE measure(objects int, rounds int) LANGUAGE plpgsql AS $$
DECLARE
    k record;
    level text;
    start double precision;
    result numeric;
    module text := (SELECT module FROM tp_hsm_info());
BEGIN
    FOR round IN 0..rounds LOOP
        FOR k IN SELECT * FROM (VALUES ('bench rsa', true, 400), ('bench ec', false, 4000)) AS v (label, rsa, count) LOOP
            INSERT INTO measured VALUES (objects, k.label, '', 'bare', round, tp_bench_sign(module, k.label, k.rsa, k.count));
            FOREACH level IN ARRAY ARRAY['none', 'keys'] LOOP
                PERFORM set_config('trustpoint.audit', level, false);
                start := tp_bench_cpu();
                SELECT sum(octet_length(tp_sign(k.label, d))) INTO result
                    FROM (SELECT int4send(n) AS d FROM generate_series(1, k.count) AS n OFFSET 0) AS data;
                INSERT INTO measured VALUES (objects, k.label, level, 'tp', round, (tp_bench_cpu() - start) / k.count);
            END LOOP;
        END LOOP;
    END LOOP;
END
$$;

SELECT tp_hsm_login() \g /dev/null
CALL measure(10, :rounds);
SELECT tp_bench_fill(module, 990) FROM tp_hsm_info() \g /dev/null
SELECT tp_hsm_logout() \g /dev/null
SELECT tp_hsm_login() \g /dev/null
CALL measure(1000, :rounds);

\echo 'CPU microseconds for each signature, medians of' :rounds 'rounds; ratios are medians of the rounds'' own, at most 1.15 without the audit'
\echo 'line, which is one line of the server log for each use. The bare loop signs over a hash; tp_sign hashes 4 bytes first.'
WITH side_by_side AS (
    SELECT t.objects, t.label, t.audit, t.round, b.ns AS bare, t.ns AS tp
    FROM measured t JOIN measured b USING (objects, label, round) WHERE t.what = 'tp' AND b.what = 'bare' AND t.round > 0)
SELECT label AS key, objects AS "objects in the token", audit AS "trustpoint.audit",
       round((percentile_cont(0.5) WITHIN GROUP (ORDER BY bare) / 1000)::numeric, 1) AS "C_Sign",
       round((percentile_cont(0.5) WITHIN GROUP (ORDER BY tp) / 1000)::numeric, 1) AS tp_sign,
       round((percentile_cont(0.5) WITHIN GROUP (ORDER BY tp / bare))::numeric, 3) AS ratio
    FROM side_by_side GROUP BY 1, 2, 3 ORDER BY 1 DESC, 2, 3 DESC;
DO $$
BEGIN
    PERFORM tp_destroy_key('bench rsa'), tp_destroy_key('bench ec');
END
$$;
DROP SCHEMA tp_bench CASCADE;
