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
--
-- Others may be allowed to create objects in a schema of the caller's search_path, or in that of trustpoint. So nothing
-- here is looked up there: what has no search_path of its own names everything in full, operators too. A context expression
-- finds its columns, tp_context and what is in pg_catalog; it names anything else in full.
\set ON_ERROR_STOP on
BEGIN;
SET LOCAL search_path = pg_catalog, pg_temp;

CREATE SCHEMA tpsec_migration;
COMMENT ON SCHEMA tpsec_migration IS 'From text columns of Trustpoint''s fields to encrypted bytea columns. Can be dropped when that is done.';
REVOKE ALL ON SCHEMA tpsec_migration FROM PUBLIC;

-- A helper's name has a number of its own: the table's OID would be another one after dump and restore.
CREATE SEQUENCE tpsec_migration.job_number;
CREATE TABLE tpsec_migration.job (
    relation   regclass  NOT NULL,
    attribute  name      NOT NULL,
    target     name      NOT NULL,
    helper     name      NOT NULL UNIQUE DEFAULT 'tpsec_migration_' || nextval('tpsec_migration.job_number'),
    PRIMARY KEY (relation, attribute)
);
COMMENT ON TABLE tpsec_migration.job IS 'One row for each column between prepare and release.';
COMMENT ON COLUMN tpsec_migration.job.helper IS 'The name of the trigger and of its function, and what other names of the job begin with.';

-- The functions of trustpoint, wherever it was installed. They are looked up here and never again, each by the very types
-- that it is declared with: a better match, such as tp_context(text, text), cannot be put before them.
SELECT nspname AS trustpoint FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'trustpoint' \gset

CREATE FUNCTION tpsec_migration.tp_context(VARIADIC parts text[]) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN :"trustpoint".tp_context(VARIADIC parts);
CREATE FUNCTION tpsec_migration.tp_encrypt(value text, context text) RETURNS bytea
    LANGUAGE sql VOLATILE PARALLEL RESTRICTED RETURN :"trustpoint".tp_encrypt(value, context, 'default'::text);
CREATE FUNCTION tpsec_migration.tp_decrypt(value bytea, context text) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE RETURN :"trustpoint".tp_decrypt(value, context);
CREATE FUNCTION tpsec_migration.tpsec_encrypt(value text) RETURNS text
    LANGUAGE sql VOLATILE PARALLEL RESTRICTED RETURN :"trustpoint".tpsec_encrypt(value);
CREATE FUNCTION tpsec_migration.tpsec_decrypt(value text) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE RETURN :"trustpoint".tpsec_decrypt(value);
COMMENT ON FUNCTION tpsec_migration.tp_context(text[]) IS 'The tp_context that a context expression calls.';

-- NULL: the field opens. Nothing of the field is in the answer. UNSAFE, as an exception block needs a subtransaction.
CREATE FUNCTION tpsec_migration.problem(field text) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM tpsec_migration.tpsec_decrypt(field);
    RETURN NULL;
EXCEPTION
    WHEN invalid_binary_representation THEN RETURN 'in clear';
    WHEN character_not_in_repertoire OR untranslatable_character THEN RETURN 'no text of this database';
    -- Last, as it stands for every SQLSTATE that begins with 22.
    WHEN data_exception THEN RETURN 'does not open';
END
$$;
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
        SELECT 'concat_ws('', '', ' || string_agg(format('%L || x.%I::text', attname || ' = ', attname), ', '
                                                   ORDER BY array_position(indkey::int2[], attnum)) || ')'
        FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey)
        WHERE indrelid = relation AND indisprimary), 'x.ctid::text')
$$;
COMMENT ON FUNCTION tpsec_migration.key_expression(regclass) IS 'How a row is named: by its primary key, or by its place where it has none.';

CREATE FUNCTION tpsec_migration.check_of(target name) RETURNS name
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$ SELECT (target || '_encrypted')::name $$;
COMMENT ON FUNCTION tpsec_migration.check_of(name) IS 'The name of the CHECK that a column keeps, cut to the length of a name.';

CREATE FUNCTION tpsec_migration.objects_of_others(expression_function regproc, relation regclass) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT string_agg(DISTINCT pg_describe_object(classid, objid, 0), ', ') FROM (
        SELECT refclassid AS classid, refobjid AS objid, CASE refclassid
            WHEN 'pg_proc'::regclass THEN (SELECT proowner FROM pg_proc WHERE oid = refobjid)
            WHEN 'pg_operator'::regclass THEN (SELECT oprowner FROM pg_operator WHERE oid = refobjid)
            WHEN 'pg_type'::regclass THEN (SELECT typowner FROM pg_type WHERE oid = refobjid)
            WHEN 'pg_class'::regclass THEN (SELECT relowner FROM pg_class WHERE oid = refobjid)
            WHEN 'pg_collation'::regclass THEN (SELECT collowner FROM pg_collation WHERE oid = refobjid)
            WHEN 'pg_namespace'::regclass THEN (SELECT nspowner FROM pg_namespace WHERE oid = refobjid) END AS owner
        FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = expression_function) used
    -- The rest, of a kind that has no business there, has no owner here and is refused.
    WHERE NOT EXISTS (SELECT FROM pg_roles WHERE oid = owner AND (rolsuper OR rolname = current_user))
        AND NOT (classid = 'pg_class'::regclass AND objid = relation)
        AND NOT (classid = 'pg_type'::regclass AND objid IN (SELECT atttypid FROM pg_attribute WHERE attrelid = relation))
        AND NOT EXISTS (SELECT FROM pg_depend e JOIN pg_extension ON pg_extension.oid = e.refobjid
            WHERE e.classid = used.classid AND e.objid = used.objid AND e.refclassid = 'pg_extension'::regclass
                AND e.deptype = 'e' AND extname = 'trustpoint')
$$;
COMMENT ON FUNCTION tpsec_migration.objects_of_others(regproc, regclass) IS 'What the function of a context expression uses that belongs neither to the caller nor to a superuser, nor to trustpoint or the table. What is in pg_catalog from the beginning is not in pg_depend.';

-- tpsec_migration is in the path for the tp_context of a context expression.
CREATE PROCEDURE tpsec_migration.prepare(relation regclass, attribute name, target name, context_expression text)
    LANGUAGE plpgsql SET search_path = pg_catalog, tpsec_migration, pg_temp AS $$
DECLARE
    job tpsec_migration.job;
    context_function name;
    expression_function name;
    parameters text;
    arguments text;
    others text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = relation AND attname = attribute AND attnum > 0 AND NOT attisdropped) THEN
        RAISE EXCEPTION '% has no column "%"', relation, attribute USING ERRCODE = 'undefined_column';
    END IF;
    IF (SELECT relkind FROM pg_class WHERE oid = relation) <> 'r' THEN
        RAISE EXCEPTION '% is no plain table', relation USING ERRCODE = 'wrong_object_type';
    END IF;
    INSERT INTO tpsec_migration.job VALUES (relation, attribute, target) RETURNING * INTO job;
    context_function := job.helper || '_context';
    expression_function := job.helper || '_expression';
    -- The table is locked for moments; whoever waits for it for long would make everybody else wait behind.
    PERFORM set_config('lock_timeout', '5s', true);
    EXECUTE format('ALTER TABLE %s ADD COLUMN %I bytea', relation, target);
    EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET STORAGE EXTERNAL', relation, target);
    EXECUTE format('ALTER TABLE %s ADD CONSTRAINT %I CHECK (%I.tp_is_encrypted(%I)) NOT VALID',
        relation, tpsec_migration.check_of(target),
        (SELECT nspname FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'trustpoint'), target);
    -- The expression becomes a function whose body is parsed here and now: nothing in it is looked up again when the trigger runs
    -- with the caller's rights. It takes the columns that it uses, which a view tells, and not the row: with the type of the row
    -- in a parsed body, PostgreSQL refuses to give the table a column with a default, or another type to any of its columns.
    EXECUTE format('CREATE VIEW tpsec_migration.%I AS SELECT CAST((%s) AS text) AS context FROM %s', job.helper, context_expression, relation);
    SELECT string_agg(format('%I %s', attname, format_type(atttypid, NULL)), ', ' ORDER BY attnum),
           string_agg(format('CAST(($1).%I AS %s)', attname, format_type(atttypid, NULL)), ', ' ORDER BY attnum)
        INTO parameters, arguments FROM pg_attribute WHERE attrelid = relation AND attnum > 0 AND attnum IN (
            SELECT d.refobjsubid FROM pg_depend d JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
            WHERE r.ev_class = format('tpsec_migration.%I', job.helper)::regclass
                AND d.refclassid = 'pg_class'::regclass AND d.refobjid = relation);
    EXECUTE format('DROP VIEW tpsec_migration.%I', job.helper);
    EXECUTE format('CREATE FUNCTION tpsec_migration.%I(%s) RETURNS text LANGUAGE sql STABLE RETURN CAST((%s) AS text)',
        expression_function, parameters, context_expression);
    EXECUTE format('CREATE FUNCTION tpsec_migration.%I(%s) RETURNS text LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS %L',
        context_function, relation, format('SELECT tpsec_migration.%I(%s)', expression_function, arguments));
    others := tpsec_migration.objects_of_others(format('tpsec_migration.%I', expression_function)::regproc, relation);
    IF others IS NOT NULL THEN
        RAISE EXCEPTION 'the context expression uses what others own: %', others USING ERRCODE = 'insufficient_privilege',
            HINT = 'It would run with your rights. Use tp_context, what is built in, and what you or a superuser own.';
    END IF;
    EXECUTE format('CREATE FUNCTION tpsec_migration.%I() RETURNS trigger
            LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS %L', job.helper, format($body$
        DECLARE
            context text;
            context_before text;
            text_written boolean := NEW.%2$I IS NOT NULL;
            bytea_written boolean := NEW.%3$I IS NOT NULL;
        BEGIN
            IF current_setting('tpsec_migration.copying', true) = 'on' THEN
                RETURN NEW;
            END IF;
            context := tpsec_migration.%1$I(NEW);
            IF TG_OP = 'UPDATE' THEN
                context_before := tpsec_migration.%1$I(OLD);
                text_written := NEW.%2$I IS DISTINCT FROM OLD.%2$I;
                bytea_written := NEW.%3$I IS DISTINCT FROM OLD.%3$I;
                IF context IS DISTINCT FROM context_before AND NOT bytea_written AND NOT text_written THEN
                    NEW.%3$I := tpsec_migration.tp_encrypt(tpsec_migration.tp_decrypt(NEW.%3$I, context_before), context);
                END IF;
            END IF;
            IF bytea_written AND NOT text_written THEN
                NEW.%2$I := tpsec_migration.tpsec_encrypt(tpsec_migration.tp_decrypt(NEW.%3$I, context));
            ELSIF text_written AND NOT bytea_written THEN
                -- What cannot be copied is left for tpsec_migration.pending: the application must not fail by it.
                NEW.%3$I := CASE WHEN tpsec_migration.problem(NEW.%2$I) IS NULL
                    THEN tpsec_migration.tp_encrypt(tpsec_migration.tpsec_decrypt(NEW.%2$I), context) END;
            END IF;
            RETURN NEW;
        END
        $body$, context_function, attribute, target));
    EXECUTE format('REVOKE ALL ON FUNCTION tpsec_migration.%I, tpsec_migration.%I, tpsec_migration.%I FROM PUBLIC',
        job.helper, context_function, expression_function);
    EXECUTE format('CREATE TRIGGER %I BEFORE INSERT OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION tpsec_migration.%1$I()',
        job.helper, relation);
END
$$;
COMMENT ON PROCEDURE tpsec_migration.prepare(regclass, name, name, text) IS 'Adds the bytea column, its CHECK (not validated yet), and the trigger that keeps both columns the same.';

-- SQL: copies the rows between two places, $1 and $2; answers how many were copied and how many refused. The triggers of the
-- table see the caller's search_path when it runs, as with any UPDATE, and so it is run, and written, without one of its own.
CREATE FUNCTION tpsec_migration.batch_statement(relation regclass, attribute name) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    job tpsec_migration.job := tpsec_migration.job_of(relation, attribute);
BEGIN
    RETURN format($batch$
        WITH pending AS MATERIALIZED (
            SELECT x.ctid AS place, tpsec_migration.problem(x.%2$I) AS problem FROM %1$s x
            WHERE x.ctid OPERATOR(pg_catalog.>=) $1 AND x.ctid OPERATOR(pg_catalog.<) $2 AND x.%3$I IS NULL AND x.%2$I IS NOT NULL
            FOR UPDATE OF x SKIP LOCKED),
        copied AS (
            UPDATE %1$s x SET %3$I = tpsec_migration.tp_encrypt(tpsec_migration.tpsec_decrypt(x.%2$I), tpsec_migration.%4$I(x))
            FROM pending p WHERE x.ctid OPERATOR(pg_catalog.=) p.place AND p.problem IS NULL RETURNING 1)
        SELECT (SELECT pg_catalog.count(*) FROM copied), (SELECT pg_catalog.count(problem) FROM pending)
        $batch$, relation, attribute, job.target, job.helper || '_context');
END
$$;
COMMENT ON FUNCTION tpsec_migration.batch_statement(regclass, name) IS 'What copy executes for each batch.';

CREATE FUNCTION tpsec_migration.batches(relation regclass, batch_size int, OUT pages bigint, OUT step bigint)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT pg_relation_size(oid) / current_setting('block_size')::bigint,
           greatest(1, batch_size / CASE WHEN relpages > 0 AND reltuples > 0 THEN greatest(1, reltuples / relpages) ELSE 50 END)::bigint
    FROM pg_class WHERE oid = relation
$$;
COMMENT ON FUNCTION tpsec_migration.batches(regclass, int) IS 'The pages of a table, and how many of them hold about batch_size rows.';

CREATE FUNCTION tpsec_migration.not_copied(relation regclass, attribute name) RETURNS bigint
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    job tpsec_migration.job := tpsec_migration.job_of(relation, attribute);
    rows bigint;
BEGIN
    EXECUTE format('SELECT count(*) FROM %s x WHERE x.%I IS NULL AND x.%I IS NOT NULL', relation, job.target, attribute) INTO rows;
    RETURN rows;
END
$$;
COMMENT ON FUNCTION tpsec_migration.not_copied(regclass, name) IS 'How many rows have no encrypted value yet.';

-- No SET here: a procedure with one may not commit.
CREATE PROCEDURE tpsec_migration.copy(relation regclass, attribute name, batch_size int DEFAULT 1000)
    LANGUAGE plpgsql AS $$
DECLARE
    statement pg_catalog.text := tpsec_migration.batch_statement(relation, attribute);
    pages bigint;
    step bigint;
    page bigint;
    copied bigint;
    refused bigint;
    copied_in_pass bigint;
    refused_in_pass bigint;
    remaining bigint;
BEGIN
    LOOP
        SELECT b.pages, b.step INTO pages, step FROM tpsec_migration.batches(relation, batch_size) b;
        copied_in_pass := 0;
        refused_in_pass := 0;
        page := 0;
        WHILE page OPERATOR(pg_catalog.<=) pages LOOP
            PERFORM pg_catalog.set_config('tpsec_migration.copying', 'on', true),
                -- Rows are found by their places; a plan that reads the whole table for each batch must not be chosen.
                pg_catalog.set_config('enable_hashjoin', 'off', true), pg_catalog.set_config('enable_mergejoin', 'off', true),
                pg_catalog.set_config('enable_seqscan', 'off', true);
            EXECUTE statement INTO copied, refused USING pg_catalog.format('(%s,0)', page)::pg_catalog.tid,
                pg_catalog.format('(%s,0)', page OPERATOR(pg_catalog.+) step)::pg_catalog.tid;
            copied_in_pass := copied_in_pass OPERATOR(pg_catalog.+) copied;
            refused_in_pass := refused_in_pass OPERATOR(pg_catalog.+) refused;
            COMMIT;
            page := page OPERATOR(pg_catalog.+) step;
        END LOOP;
        remaining := tpsec_migration.not_copied(relation, attribute);
        RAISE NOTICE '% rows copied, % refused, % left', copied_in_pass, refused_in_pass, remaining;
        EXIT WHEN remaining OPERATOR(pg_catalog.<=) refused_in_pass;
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
BEGIN
    -- What stood in clear, and was encrypted by hand, is compared as it stands.
    RETURN QUERY EXECUTE format(
        'SELECT %1$s FROM %2$s x WHERE tpsec_migration.tp_decrypt(x.%3$I, tpsec_migration.%4$I(x)) IS DISTINCT FROM
            CASE WHEN tpsec_migration.problem(x.%5$I) IS NULL THEN tpsec_migration.tpsec_decrypt(x.%5$I) ELSE x.%5$I END',
        tpsec_migration.key_expression(relation), relation, job.target, job.helper || '_context', attribute);
END
$$;
COMMENT ON FUNCTION tpsec_migration.different(regclass, name) IS 'The rows whose two columns do not hold the same, by primary key. None, when all is well.';

CREATE PROCEDURE tpsec_migration.validate(relation regclass, attribute name)
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    job tpsec_migration.job := tpsec_migration.job_of(relation, attribute);
    rows bigint := tpsec_migration.not_copied(relation, attribute);
BEGIN
    IF rows > 0 THEN
        RAISE EXCEPTION '% rows of % have no encrypted value', rows, relation USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = format('SELECT * FROM tpsec_migration.pending(%L, %L) names them.', relation, attribute);
    END IF;
    SELECT count(*) INTO rows FROM tpsec_migration.different(relation, attribute);
    IF rows > 0 THEN
        RAISE EXCEPTION '% rows of % differ between the two columns', rows, relation USING ERRCODE = 'data_corrupted',
            HINT = format('SELECT * FROM tpsec_migration.different(%L, %L) names them.', relation, attribute);
    END IF;
    EXECUTE format('ALTER TABLE %s VALIDATE CONSTRAINT %I', relation, tpsec_migration.check_of(job.target));
END
$$;
COMMENT ON PROCEDURE tpsec_migration.validate(regclass, name) IS 'Refuses while a row is pending or differs; then validates the CHECK. The trigger stays.';

-- The three steps of release. The old release may have written since validate what could not be copied: it must not be dropped
-- with its column. A CHECK finds that out, once it is validated, without keeping the table locked while it is read.
CREATE PROCEDURE tpsec_migration.require_values(relation regclass, attribute name)
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    job tpsec_migration.job := tpsec_migration.job_of(relation, attribute);
    present name := job.helper || '_present';
    nullable boolean := (SELECT NOT attnotnull FROM pg_attribute WHERE attrelid = relation AND attname = attribute);
BEGIN
    IF EXISTS (SELECT FROM pg_constraint WHERE conrelid = relation AND conname = tpsec_migration.check_of(job.target) AND NOT convalidated) THEN
        RAISE EXCEPTION 'column "%" of % is not validated', job.target, relation USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = format('CALL tpsec_migration.validate(%L, %L) first.', relation, attribute);
    END IF;
    IF NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = relation AND conname = present) THEN
        PERFORM set_config('lock_timeout', '5s', true);
        EXECUTE format('ALTER TABLE %s ADD CONSTRAINT %I CHECK (%I IS NOT NULL%s) NOT VALID', relation, present, job.target,
            CASE WHEN nullable THEN format(' OR %I IS NULL', attribute) ELSE '' END);
    END IF;
END
$$;
COMMENT ON PROCEDURE tpsec_migration.require_values(regclass, name) IS 'Adds a CHECK, not validated yet, that no value of the text column is without its encrypted one.';

CREATE FUNCTION tpsec_migration.has_values(relation regclass, attribute name) RETURNS boolean
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    job tpsec_migration.job := tpsec_migration.job_of(relation, attribute);
    present name := job.helper || '_present';
BEGIN
    EXECUTE format('ALTER TABLE %s VALIDATE CONSTRAINT %I', relation, present);
    RETURN true;
EXCEPTION
    WHEN check_violation THEN
        PERFORM set_config('lock_timeout', '5s', true);
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', relation, present);
        RETURN false;
END
$$;
COMMENT ON FUNCTION tpsec_migration.has_values(regclass, name) IS 'Validates that CHECK, or drops it where a row violates it.';

CREATE PROCEDURE tpsec_migration.take_trigger_away(relation regclass, attribute name)
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    job tpsec_migration.job := tpsec_migration.job_of(relation, attribute);
BEGIN
    PERFORM set_config('lock_timeout', '5s', true);
    IF (SELECT attnotnull FROM pg_attribute WHERE attrelid = relation AND attname = attribute) THEN
        -- The CHECK spares it the reading of the table, as long as it is not dropped in the same command.
        EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET NOT NULL', relation, job.target);
    END IF;
    -- The new release does not know the text column and must not be stopped by it.
    EXECUTE format('ALTER TABLE %s ALTER COLUMN %I DROP NOT NULL, DROP CONSTRAINT %I', relation, attribute, job.helper || '_present');
    EXECUTE format('DROP TRIGGER %I ON %s', job.helper, relation);
    EXECUTE format('DROP FUNCTION tpsec_migration.%I, tpsec_migration.%I, tpsec_migration.%I',
        job.helper, job.helper || '_context', job.helper || '_expression');
    DELETE FROM tpsec_migration.job j WHERE j.helper = job.helper;
END
$$;
COMMENT ON PROCEDURE tpsec_migration.take_trigger_away(regclass, name) IS 'Takes NOT NULL over, and the helpers away.';

-- Without SET, as copy.
CREATE PROCEDURE tpsec_migration.release(relation regclass, attribute name)
    LANGUAGE plpgsql AS $$
BEGIN
    CALL tpsec_migration.require_values(relation, attribute);
    COMMIT;
    IF NOT tpsec_migration.has_values(relation, attribute) THEN
        COMMIT;
        RAISE EXCEPTION '% rows of % have no encrypted value', tpsec_migration.not_copied(relation, attribute), relation
            USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = pg_catalog.format('They were written after validate. Call tpsec_migration.copy again; '
                'SELECT * FROM tpsec_migration.pending(%L, %L) names what it leaves.', relation, attribute);
    END IF;
    COMMIT;
    CALL tpsec_migration.take_trigger_away(relation, attribute);
END
$$;
COMMENT ON PROCEDURE tpsec_migration.release(regclass, name) IS 'Takes the trigger away, once no application uses the text column any more. Refuses while a row is pending. Drop that column afterwards.';

REVOKE ALL ON ALL ROUTINES IN SCHEMA tpsec_migration FROM PUBLIC;
COMMIT;
