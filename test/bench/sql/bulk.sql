-- Whole tables of 64-byte values: INSERT ... SELECT into a logged table, COPY in and out, in nanoseconds of CPU time of the
-- backend for each row, and of the clock; and one parallel query, by the clock. Variables: rounds, file (a path that the server may write to).
SET client_min_messages = warning;
SET jit = off;
SET max_parallel_workers_per_gather = 0;
SET search_path = tp_bench, public;
SET min_parallel_table_scan_size = 0;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET trustpoint.cipher = 'xaes-256-gcm';

-- COPY does not call functions on its way in: rows to be encrypted go by way of a table of the session.
CREATE TABLE target (v bytea);
CREATE TABLE target_text (p text);
CREATE TEMPORARY TABLE arrived (p text);
CREATE UNLOGGED TABLE source_text AS SELECT convert_from(p, 'UTF8') AS p FROM "64 xaes-256-gcm";
SELECT format('COPY source_text TO %L', :'file') \gexec

CREATE UNLOGGED TABLE bulk (number int GENERATED ALWAYS AS IDENTITY, what text, statement text);
INSERT INTO bulk (what, statement) VALUES
    ('insert plain', 'INSERT INTO target SELECT p FROM "64 xaes-256-gcm"'),
    ('insert copy', 'INSERT INTO target SELECT tp_bench_copy(p, 45) FROM "64 xaes-256-gcm"'),
    ('insert tp', 'INSERT INTO target SELECT tp_encrypt(p, ''credential:17'') FROM "64 xaes-256-gcm"'),
    ('copy in plain', format('COPY target_text FROM %L', :'file')),
    ('copy in arrived', format('COPY arrived FROM %L', :'file')),
    ('copy in insert copy', 'INSERT INTO target SELECT tp_bench_copy(p, 45) FROM arrived'),
    ('copy in insert tp', 'INSERT INTO target SELECT tp_encrypt(p, ''credential:17'') FROM arrived'),
    ('copy out plain', 'COPY (SELECT p FROM source_text) TO ''/dev/null'''),
    ('copy out tp', 'COPY (SELECT tp_decrypt(v, ''credential:17'') FROM "64 xaes-256-gcm") TO ''/dev/null''');

-- Three may take turns to be first: what one statement leaves behind could slow the next.
CREATE PROCEDURE measure_bulk(rounds int, kinds text, turns bool) LANGUAGE plpgsql AS $$
DECLARE
    kind bulk;
    start double precision;
    start_clock timestamptz;
    arrived_in double precision;
    many double precision := (SELECT rows FROM sample WHERE name = '64 xaes-256-gcm');
BEGIN
    FOR round IN 0..rounds LOOP
        FOR kind IN SELECT * FROM bulk WHERE what LIKE kinds ORDER BY CASE WHEN turns THEN (number + round) % 3 END, number LOOP
            TRUNCATE target, target_text;
            IF kind.what = 'copy in arrived' THEN TRUNCATE arrived; END IF;
            COMMIT;
            CHECKPOINT;
            start_clock := clock_timestamp();
            start := tp_bench_cpu();
            EXECUTE kind.statement;
            COMMIT;
            start := (tp_bench_cpu() - start) / many;
            INSERT INTO measured
                VALUES (kind.what || ' clock', round, extract(epoch FROM clock_timestamp() - start_clock) * 1e9 / many);
            IF kind.what = 'copy in arrived' THEN arrived_in := start; END IF;
            INSERT INTO measured
                VALUES (kind.what, round, start + CASE WHEN kind.what LIKE 'copy in insert%' THEN arrived_in ELSE 0 END);
        END LOOP;
    END LOOP;
END
$$;

-- Long enough for the start of a worker not to count.
CREATE UNLOGGED TABLE long AS SELECT v FROM "64 xaes-256-gcm", generate_series(1, 4);
VACUUM ANALYZE long;

CREATE PROCEDURE measure_parallel(rounds int) LANGUAGE plpgsql AS $$
DECLARE
    start timestamptz;
    result numeric;
BEGIN
    FOR round IN 0..rounds LOOP
        FOR workers IN 0..1 LOOP
            PERFORM set_config('max_parallel_workers_per_gather', workers::text, false);
            start := clock_timestamp();
            -- A plain SELECT INTO of plpgsql is never parallel.
            EXECUTE 'SELECT sum(octet_length(tp_decrypt(v, ''credential:17''))) FROM long' INTO result;
            INSERT INTO measured VALUES (CASE workers WHEN 0 THEN 'serial' ELSE 'parallel' END, round,
                extract(epoch FROM clock_timestamp() - start) * 1000);
        END LOOP;
    END LOOP;
END
$$;
CALL measure_bulk(2 * :rounds, 'insert%', turns => true);
CALL measure_bulk(:rounds, 'copy%', turns => false);
CALL measure_parallel(:rounds);
DROP TABLE long;
SELECT what, round, value FROM measured WHERE round > 0;
TRUNCATE measured;
