-- Turns a text column of Trustpoint's encrypted fields into an encrypted bytea column, while the application runs.
--
-- Load it into the database with psql, as a superuser or as the owner of the table who may decrypt and encrypt:
--
--     \i tpsec_migration.sql
--     CALL tpsec_migration.prepare('device', 'secret', 'secret_encrypted', $$tp_context('device', 'secret', id::text)$$);
--     CALL tpsec_migration.copy('device', 'secret');               -- in batches; may be cancelled, and called again
--     SELECT * FROM tpsec_migration.pending('device', 'secret');   -- what could not be copied, by primary key
--     CALL tpsec_migration.validate('device', 'secret');           -- compares every row, then validates the CHECK
--     -- now the release of the application that reads and writes secret_encrypted; then
--     CALL tpsec_migration.release('device', 'secret');
--     ALTER TABLE device DROP COLUMN secret;
--     DROP SCHEMA tpsec_migration CASCADE;
--
-- From prepare to release a trigger keeps both columns the same, whichever of them is written, so the old and the new
-- release of the application may run side by side. It works with the rights of whoever called prepare, so that the old
-- release needs no grant. No function here ever shows a value.
\set ON_ERROR_STOP on
BEGIN;

CREATE SCHEMA tpsec_migration;
COMMENT ON SCHEMA tpsec_migration IS 'From text columns of Trustpoint''s fields to encrypted bytea columns. Can be dropped when that is done.';
REVOKE ALL ON SCHEMA tpsec_migration FROM PUBLIC;

CREATE TABLE tpsec_migration.job (
    relation   regclass  NOT NULL,
    attribute  name      NOT NULL,
    target     name      NOT NULL,
    PRIMARY KEY (relation, attribute)
);
COMMENT ON TABLE tpsec_migration.job IS 'One row for each column between prepare and release.';

-- The functions of trustpoint, wherever it was installed.
SELECT quote_ident(nspname) AS trustpoint FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace
    WHERE extname = 'trustpoint' \gset

-- NULL: the field opens. Nothing of the field is in the answer. UNSAFE, as an exception block needs a subtransaction. Written with the schema's name in it, so that nobody's search_path matters.
SELECT format($format$
CREATE FUNCTION tpsec_migration.problem(field text) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM %1$s.tpsec_decrypt(field);
    RETURN NULL;
EXCEPTION
    WHEN invalid_binary_representation THEN RETURN 'in clear';
    WHEN data_exception THEN RETURN 'does not open';
    WHEN character_not_in_repertoire OR untranslatable_character THEN RETURN 'no text of this database';
END
$$
$format$, :'trustpoint') \gexec
COMMENT ON FUNCTION tpsec_migration.problem(text) IS 'What keeps a field from being copied; NULL when nothing does.';

CREATE FUNCTION tpsec_migration.job_of(relation regclass, attribute name) RETURNS tpsec_migration.job
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found_job tpsec_migration.job;
BEGIN
    SELECT * INTO found_job FROM tpsec_migration.job j WHERE j.relation = job_of.relation AND j.attribute = job_of.attribute;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'column "%" of % is not being migrated', attribute, relation USING ERRCODE = 'undefined_object',
            HINT = 'Call tpsec_migration.prepare first.';
    END IF;
    RETURN found_job;
END
$$;
COMMENT ON FUNCTION tpsec_migration.job_of(regclass, name) IS 'The job of a column; an error when there is none.';

-- SQL: the primary key of a row x as text.
CREATE FUNCTION tpsec_migration.key_expression(relation regclass) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce((
        SELECT 'concat_ws('', '', ' || string_agg(format('''%s = '' || x.%I::text', replace(attname, '''', ''''''), attname), ', '
                                                   ORDER BY array_position(indkey::int2[], attnum)) || ')'
        FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey)
        WHERE indrelid = relation AND indisprimary), 'x.ctid::text')
$$;
COMMENT ON FUNCTION tpsec_migration.key_expression(regclass) IS 'How a row is named: by its primary key, or by its place where it has none.';

CREATE FUNCTION tpsec_migration.name_of(relation regclass, attribute name) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT format('tpsec_migration_%s_%s', relation::oid, attnum) FROM pg_attribute
    WHERE attrelid = relation AND attname = attribute AND attnum > 0 AND NOT attisdropped
$$;
COMMENT ON FUNCTION tpsec_migration.name_of(regclass, name) IS 'The name of the trigger of a column, and of its function.';

CREATE PROCEDURE tpsec_migration.prepare(relation regclass, attribute name, target name, context_expression text)
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    helper text := tpsec_migration.name_of(relation, attribute);
    trustpoint text := (SELECT quote_ident(nspname) FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace
        WHERE extname = 'trustpoint');
BEGIN
    IF helper IS NULL THEN
        RAISE EXCEPTION '% has no column "%"', relation, attribute USING ERRCODE = 'undefined_column';
    END IF;
    IF (SELECT relkind FROM pg_class WHERE oid = relation) <> 'r' THEN
        RAISE EXCEPTION '% is no plain table', relation USING ERRCODE = 'wrong_object_type';
    END IF;
    INSERT INTO tpsec_migration.job VALUES (relation, attribute, target);
    -- The table is locked for moments; whoever waits for it for long would make everybody else wait behind.
    PERFORM set_config('lock_timeout', '5s', true);
    EXECUTE format('ALTER TABLE %s ADD COLUMN %I bytea', relation, target);
    EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET STORAGE EXTERNAL', relation, target);
    EXECUTE format('ALTER TABLE %s ADD CONSTRAINT %I CHECK (%s.tp_is_encrypted(%I)) NOT VALID',
        relation, target || '_encrypted', trustpoint, target);
    EXECUTE format($function$
        CREATE FUNCTION tpsec_migration.%1$I(%2$s) RETURNS text
            LANGUAGE sql STABLE SET search_path = pg_catalog, %3$s, pg_temp AS $body$
            SELECT (%4$s) FROM (SELECT ($1).*) AS "row"
        $body$
    $function$, helper || '_context', relation, trustpoint, context_expression);
    EXECUTE format($function$
        CREATE FUNCTION tpsec_migration.%1$I() RETURNS trigger
            LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
        DECLARE
            context text;
            context_before text;
            text_written boolean := NEW.%4$I IS NOT NULL;
            bytea_written boolean := NEW.%5$I IS NOT NULL;
        BEGIN
            IF current_setting('tpsec_migration.copying', true) = 'on' THEN
                RETURN NEW;
            END IF;
            context := tpsec_migration.%2$I(NEW);
            IF TG_OP = 'UPDATE' THEN
                context_before := tpsec_migration.%2$I(OLD);
                text_written := NEW.%4$I IS DISTINCT FROM OLD.%4$I;
                bytea_written := NEW.%5$I IS DISTINCT FROM OLD.%5$I;
                IF context IS DISTINCT FROM context_before AND NOT bytea_written AND NOT text_written THEN
                    NEW.%5$I := %3$s.tp_encrypt(%3$s.tp_decrypt(NEW.%5$I, context_before), context);
                END IF;
            END IF;
            IF bytea_written AND NOT text_written THEN
                NEW.%4$I := %3$s.tpsec_encrypt(%3$s.tp_decrypt(NEW.%5$I, context));
            ELSIF text_written AND NOT bytea_written THEN
                -- What cannot be copied is left for tpsec_migration.pending: the application must not fail by it.
                NEW.%5$I := CASE WHEN tpsec_migration.problem(NEW.%4$I) IS NULL
                    THEN %3$s.tp_encrypt(%3$s.tpsec_decrypt(NEW.%4$I), context) END;
            END IF;
            RETURN NEW;
        END
        $body$
    $function$, helper, helper || '_context', trustpoint, attribute, target);
    EXECUTE format('REVOKE ALL ON FUNCTION tpsec_migration.%I(), tpsec_migration.%I(%s) FROM PUBLIC', helper, helper || '_context', relation);
    EXECUTE format('CREATE TRIGGER %I BEFORE INSERT OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION tpsec_migration.%1$I()',
        helper, relation);
END
$$;
COMMENT ON PROCEDURE tpsec_migration.prepare(regclass, name, name, text) IS 'Adds the bytea column, its CHECK (not validated yet), and the trigger that keeps both columns the same.';

-- No SET here: a procedure with one may not commit. Everything is named in full instead.
CREATE PROCEDURE tpsec_migration.copy(relation regclass, attribute name, batch_size int DEFAULT 1000)
    LANGUAGE plpgsql AS $$
DECLARE
    job tpsec_migration.job := tpsec_migration.job_of(relation, attribute);
    statement text;
    pages bigint;
    step bigint;
    page bigint;
    copied bigint;
    refused bigint;
    copied_in_pass bigint;
    refused_in_pass bigint;
    remaining bigint;
BEGIN
    statement := pg_catalog.format($batch$
        WITH pending AS MATERIALIZED (
            SELECT x.ctid AS place, tpsec_migration.problem(x.%2$I) AS problem FROM %1$s x
            WHERE x.ctid OPERATOR(pg_catalog.>=) $1 AND x.ctid OPERATOR(pg_catalog.<) $2 AND x.%3$I IS NULL AND x.%2$I IS NOT NULL
            FOR UPDATE OF x SKIP LOCKED),
        copied AS (
            UPDATE %1$s x SET %3$I = %5$s.tp_encrypt(%5$s.tpsec_decrypt(x.%2$I), tpsec_migration.%4$I(x)) FROM pending p
            WHERE x.ctid OPERATOR(pg_catalog.=) p.place AND p.problem IS NULL RETURNING 1)
        SELECT (SELECT pg_catalog.count(*) FROM copied), (SELECT pg_catalog.count(problem) FROM pending)
        $batch$, relation, attribute, job.target, tpsec_migration.name_of(relation, attribute) || '_context',
        (SELECT pg_catalog.quote_ident(n.nspname) FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n
            ON n.oid OPERATOR(pg_catalog.=) e.extnamespace WHERE e.extname OPERATOR(pg_catalog.=) 'trustpoint'));
    LOOP
        -- As many pages as hold about batch_size rows.
        SELECT pg_catalog.pg_relation_size(c.oid) OPERATOR(pg_catalog./) pg_catalog.current_setting('block_size')::bigint,
               GREATEST(1, batch_size / CASE WHEN c.relpages > 0 AND c.reltuples > 0
                                        THEN GREATEST(1, c.reltuples / c.relpages) ELSE 50 END)::bigint
            INTO pages, step FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) relation::oid;
        copied_in_pass := 0;
        refused_in_pass := 0;
        page := 0;
        WHILE page <= pages LOOP
            PERFORM pg_catalog.set_config('tpsec_migration.copying', 'on', true),
                -- Rows are found by their places; a plan that reads the whole table for each batch must not be chosen.
                pg_catalog.set_config('enable_hashjoin', 'off', true), pg_catalog.set_config('enable_mergejoin', 'off', true),
                pg_catalog.set_config('enable_seqscan', 'off', true);
            EXECUTE statement INTO copied, refused USING pg_catalog.format('(%s,0)', page)::tid, pg_catalog.format('(%s,0)', page + step)::tid;
            copied_in_pass := copied_in_pass + copied;
            refused_in_pass := refused_in_pass + refused;
            COMMIT;
            page := page + step;
        END LOOP;
        EXECUTE pg_catalog.format('SELECT pg_catalog.count(*) FROM %s x WHERE x.%I IS NULL AND x.%I IS NOT NULL', relation, job.target, attribute)
            INTO remaining;
        RAISE NOTICE '% rows copied, % refused, % left', copied_in_pass, refused_in_pass, remaining;
        EXIT WHEN remaining <= refused_in_pass;
        -- The rest was locked by others, or changed while it was read.
        COMMIT;
        PERFORM pg_catalog.pg_sleep(0.2);
    END LOOP;
END
$$;
COMMENT ON PROCEDURE tpsec_migration.copy(regclass, name, int) IS 'Fills the bytea column in batches that commit. Rows locked by others are waited for without a lock. May be cancelled and called again.';

CREATE FUNCTION tpsec_migration.pending(relation regclass, attribute name, OUT "row" text, OUT problem text) RETURNS SETOF record
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    job tpsec_migration.job := tpsec_migration.job_of(relation, attribute);
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT %s, coalesce(tpsec_migration.problem(x.%I), ''not copied yet'') FROM %s x WHERE x.%I IS NULL AND x.%2$I IS NOT NULL',
        tpsec_migration.key_expression(relation), attribute, relation, job.target);
END
$$;
COMMENT ON FUNCTION tpsec_migration.pending(regclass, name) IS 'The rows that have no encrypted value yet, by primary key, and why: in clear, does not open, no text of this database, not copied yet.';

CREATE FUNCTION tpsec_migration.different(relation regclass, attribute name, OUT "row" text) RETURNS SETOF text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    job tpsec_migration.job := tpsec_migration.job_of(relation, attribute);
    trustpoint text := (SELECT quote_ident(nspname) FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace
        WHERE extname = 'trustpoint');
BEGIN
    -- What stood in clear, and was encrypted by hand, is compared as it stands.
    RETURN QUERY EXECUTE format(
        'SELECT %1$s FROM %2$s x WHERE %3$s.tp_decrypt(x.%4$I, tpsec_migration.%5$I(x)) IS DISTINCT FROM
            CASE WHEN tpsec_migration.problem(x.%6$I) IS NULL THEN %3$s.tpsec_decrypt(x.%6$I) ELSE x.%6$I END',
        tpsec_migration.key_expression(relation), relation, trustpoint, job.target,
        tpsec_migration.name_of(relation, attribute) || '_context', attribute);
END
$$;
COMMENT ON FUNCTION tpsec_migration.different(regclass, name) IS 'The rows whose two columns do not hold the same, by primary key. None, when all is well.';

CREATE PROCEDURE tpsec_migration.validate(relation regclass, attribute name)
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    job tpsec_migration.job := tpsec_migration.job_of(relation, attribute);
    rows bigint;
BEGIN
    SELECT count(*) INTO rows FROM tpsec_migration.pending(relation, attribute);
    IF rows > 0 THEN
        RAISE EXCEPTION '% rows of % have no encrypted value', rows, relation USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = format('SELECT * FROM tpsec_migration.pending(%L, %L) names them.', relation, attribute);
    END IF;
    SELECT count(*) INTO rows FROM tpsec_migration.different(relation, attribute);
    IF rows > 0 THEN
        RAISE EXCEPTION '% rows of % differ between the two columns', rows, relation USING ERRCODE = 'data_corrupted',
            HINT = format('SELECT * FROM tpsec_migration.different(%L, %L) names them.', relation, attribute);
    END IF;
    EXECUTE format('ALTER TABLE %s VALIDATE CONSTRAINT %I', relation, job.target || '_encrypted');
END
$$;
COMMENT ON PROCEDURE tpsec_migration.validate(regclass, name) IS 'Refuses while a row is pending or differs; then validates the CHECK. The trigger stays.';

-- Without SET, as copy.
CREATE PROCEDURE tpsec_migration.release(relation regclass, attribute name)
    LANGUAGE plpgsql AS $$
DECLARE
    job tpsec_migration.job := tpsec_migration.job_of(relation, attribute);
    helper text := tpsec_migration.name_of(relation, attribute);
    present name := job.target OPERATOR(pg_catalog.||) '_present';
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_constraint c WHERE c.conrelid OPERATOR(pg_catalog.=) relation::oid
            AND c.conname OPERATOR(pg_catalog.=) (job.target OPERATOR(pg_catalog.||) '_encrypted')::name AND NOT c.convalidated) THEN
        RAISE EXCEPTION 'column "%" of % is not validated', job.target, relation USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = pg_catalog.format('CALL tpsec_migration.validate(%L, %L) first.', relation, attribute);
    END IF;
    IF (SELECT a.attnotnull FROM pg_catalog.pg_attribute a
            WHERE a.attrelid OPERATOR(pg_catalog.=) relation::oid AND a.attname OPERATOR(pg_catalog.=) attribute) THEN
        -- NOT NULL is taken over. A validated CHECK spares it the reading of the table under its lock.
        PERFORM pg_catalog.set_config('lock_timeout', '5s', true);
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_constraint c WHERE c.conrelid OPERATOR(pg_catalog.=) relation::oid
                AND c.conname OPERATOR(pg_catalog.=) present) THEN
            EXECUTE pg_catalog.format('ALTER TABLE %s ADD CONSTRAINT %I CHECK (%I IS NOT NULL) NOT VALID', relation, present, job.target);
            COMMIT;
        END IF;
        EXECUTE pg_catalog.format('ALTER TABLE %s VALIDATE CONSTRAINT %I', relation, present);
        COMMIT;
        PERFORM pg_catalog.set_config('lock_timeout', '5s', true);
        EXECUTE pg_catalog.format('ALTER TABLE %s ALTER COLUMN %I SET NOT NULL, DROP CONSTRAINT %I', relation, job.target, present);
    END IF;
    PERFORM pg_catalog.set_config('lock_timeout', '5s', true);
    -- The new release does not know the text column and must not be stopped by it.
    EXECUTE pg_catalog.format('ALTER TABLE %s ALTER COLUMN %I DROP NOT NULL', relation, attribute);
    EXECUTE pg_catalog.format('DROP TRIGGER %I ON %s', helper, relation);
    EXECUTE pg_catalog.format('DROP FUNCTION tpsec_migration.%I(), tpsec_migration.%I(%s)', helper,
        helper OPERATOR(pg_catalog.||) '_context', relation);
    DELETE FROM tpsec_migration.job j WHERE j.relation OPERATOR(pg_catalog.=) release.relation
        AND j.attribute OPERATOR(pg_catalog.=) release.attribute;
END
$$;
COMMENT ON PROCEDURE tpsec_migration.release(regclass, name) IS 'Takes the trigger away, once no application uses the text column any more. Drop that column afterwards.';

REVOKE ALL ON ALL ROUTINES IN SCHEMA tpsec_migration FROM PUBLIC;
COMMIT;
