-- tp_check_config: what in the database keeps plaintext. Settings and files are in test/t/097_check_config.pl.
\pset format unaligned
SELECT * FROM tp_check_objects();

-- Nothing is wrong with a table of values, a view over them, or an index on the ciphertext.
CREATE SCHEMA regress_check;
SET search_path = regress_check, public;
CREATE TABLE credential (id int PRIMARY KEY, secret tp_encrypted UNIQUE, CHECK (tp_decrypt(secret) <> ''));
CREATE TABLE plain (id int, secret text);
CREATE VIEW opened AS SELECT id, tp_decrypt(secret) AS secret FROM credential;
CREATE STATISTICS harmless ON id, secret FROM credential;
SELECT * FROM tp_check_objects();

-- Each of these keeps it, over the functions, or over views and functions over them, however those are written.
-- (From 17 on an index is made under a search_path of its own.)
CREATE FUNCTION opens(value bytea) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT public.tp_decrypt(value) $$;
CREATE FUNCTION "opens, too"(value bytea) RETURNS text LANGUAGE sql IMMUTABLE RETURN opens(value);
CREATE FUNCTION opens_last(value bytea) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN "opens, too"(value); END $$;
CREATE VIEW opened_again AS SELECT * FROM opened;
CREATE STATISTICS direct ON (tp_decrypt(secret)) FROM credential;
CREATE STATISTICS by_function ON (opens_last(secret)), id FROM credential;
CREATE INDEX by_secret ON credential ("opens, too"(secret));
CREATE INDEX for_secret ON credential (id) WHERE opens(secret) = 'a';
CREATE TABLE excluding (secret tp_encrypted, EXCLUDE ((opens(secret)) WITH =));
CREATE TABLE parts (id int, secret tp_encrypted) PARTITION BY LIST (id);
CREATE TABLE part PARTITION OF parts FOR VALUES IN (1);
CREATE INDEX by_parts ON parts ("opens, too"(secret));
CREATE MATERIALIZED VIEW kept AS SELECT tp_decrypt_bytea(secret) FROM credential;
CREATE MATERIALIZED VIEW kept_again AS SELECT * FROM opened_again;
CREATE TABLE generated (secret tp_encrypted, shown text GENERATED ALWAYS AS (opens(secret)) STORED);
CREATE FUNCTION reads_a_view() RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (SELECT min(secret) FROM regress_check.opened); END $$;
CREATE MATERIALIZED VIEW kept_by_body AS SELECT reads_a_view() AS secret;
CREATE OPERATOR ## (rightarg = bytea, function = opens);
CREATE MATERIALIZED VIEW kept_by_operator AS SELECT ## secret AS secret FROM credential;
CREATE RULE copies AS ON INSERT TO credential DO ALSO INSERT INTO plain VALUES (new.id, tp_decrypt(new.secret));
SELECT severity, finding, detail, remedy FROM tp_check_objects() ORDER BY finding, detail COLLATE "C";
SET standard_conforming_strings = off;
SELECT count(*) AS as_many FROM tp_check_objects();
RESET standard_conforming_strings;
-- Some of them write the remedy out.
DO $$
DECLARE remedy text;
BEGIN
    FOR remedy IN SELECT c.remedy FROM tp_check_objects() c WHERE c.remedy ~ '^(DROP|ALTER TABLE) ' ORDER BY 1 LOOP
        EXECUTE split_part(remedy, ';', 1);
    END LOOP;
END
$$;
DROP RULE copies ON credential;
ALTER TABLE generated DROP COLUMN shown;
SELECT * FROM tp_check_objects();

-- What a subscriber or a dump would miss.
SET client_min_messages = error;
CREATE PUBLICATION regress_check_some FOR TABLE credential, generated;
RESET client_min_messages;
SELECT * FROM tp_check_objects();
ALTER PUBLICATION regress_check_some ADD TABLE tp_dek, tp_kek;
SELECT * FROM tp_check_objects();
DROP PUBLICATION regress_check_some;
BEGIN;
UPDATE pg_extension SET extconfig = array_remove(extconfig, 'tp_dek'::regclass::oid) WHERE extname = 'trustpoint';
SELECT * FROM tp_check_objects();
ROLLBACK;

-- For who holds the capability, and whole: it is the sum of its parts.
SELECT count(*) = (SELECT count(*) FROM tp_check_host()) + (SELECT count(*) FROM tp_check_settings()) AS whole,
       bool_and(severity IN ('critical', 'warning', 'notice')) AS severities,
       bool_and(detail <> '' AND remedy <> '') AS texts
    FROM tp_check_config();
CREATE ROLE regress_check_nobody;
GRANT USAGE ON SCHEMA regress_check TO regress_check_nobody;
SET ROLE regress_check_nobody;
SELECT * FROM tp_check_config();
SELECT * FROM tp_check_host();
SELECT * FROM tp_check_settings();
SELECT * FROM tp_check_objects();
RESET ROLE;
SELECT tp_grant('regress_check_nobody', 'status');
SET ROLE regress_check_nobody;
SELECT count(*) > 0 AS found FROM tp_check_config() WHERE finding = 'log_min_error_statement';
RESET ROLE;
SELECT tp_revoke('regress_check_nobody', 'status');
DROP SCHEMA regress_check CASCADE;
DROP ROLE regress_check_nobody;
