-- What the scripts beside this one measure on, in a schema that the driver drops at the end. Variables: library, rows (how many
-- values of 16 and 64 bytes; fewer of longer ones).
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pgcrypto;
CREATE SCHEMA tp_bench;
SET search_path = tp_bench, public;
CREATE FUNCTION tp_bench_cpu() RETURNS double precision AS :'library' LANGUAGE C;
CREATE FUNCTION tp_bench_copy(value bytea, change int) RETURNS bytea AS :'library' LANGUAGE C STRICT;
CREATE FUNCTION tp_bench_copy(value text, change int) RETURNS bytea AS :'library' LANGUAGE C STRICT;
CREATE FUNCTION tp_bench_copy_back(value bytea, change int) RETURNS text AS :'library', 'tp_bench_copy' LANGUAGE C STRICT;
CREATE FUNCTION tp_bench_evp(decrypt bool, count int, size int, aad_size int) RETURNS double precision
    AS :'library' LANGUAGE C STRICT;
CREATE FUNCTION tp_bench_sign(module text, label text, rsa bool, count int) RETURNS double precision AS :'library' LANGUAGE C STRICT;
CREATE FUNCTION tp_bench_fill(module text, count int) RETURNS int AS :'library' LANGUAGE C STRICT;

-- Each script puts its samples here and prints them at its end: what, the round, a time or a size.
CREATE UNLOGGED TABLE measured (what text, round int, value double precision);

-- One table for each size and suite: plaintexts p, and the same encrypted, v, both in the row unless they have 1 MB.
CREATE UNLOGGED TABLE sample AS
    SELECT size, suite, overhead, size || ' ' || suite AS name,
           CASE size WHEN 1048576 THEN 24 WHEN 1024 THEN :rows / 10 ELSE :rows END AS rows
    FROM unnest(ARRAY[16, 64, 1024, 1048576]) AS size, (VALUES ('xaes-256-gcm', 45), ('aes-256-gcm', 33)) AS suite (suite, overhead);

-- Text that does not repeat itself.
CREATE FUNCTION plaintext(n int, size int) RETURNS bytea LANGUAGE sql AS $$
    SELECT convert_to(left(string_agg(md5(n || '/' || part), ''), size), 'UTF8') FROM generate_series(0, (size - 1) / 32) AS part
$$;

DO $$
DECLARE
    s sample;
BEGIN
    FOR s IN TABLE sample LOOP
        PERFORM set_config('trustpoint.cipher', s.suite, false);
        EXECUTE format('CREATE UNLOGGED TABLE %1$I (p bytea, v bytea) WITH (toast_tuple_target = 8160)', s.name);
        EXECUTE format('ALTER TABLE %1$I ALTER p SET STORAGE EXTERNAL, ALTER v SET STORAGE EXTERNAL', s.name);
        EXECUTE format('INSERT INTO %1$I SELECT p, tp_encrypt(p, ''credential:17'') FROM
            (SELECT CASE WHEN %2$s <= 64 THEN convert_to(left(md5(n::text) || md5((-n)::text), %2$s), ''UTF8'')
                ELSE plaintext(n, %2$s) END AS p FROM generate_series(1, %3$s) AS n) AS plain', s.name, s.size, s.rows);
    END LOOP;
END
$$;
VACUUM ANALYZE;
