-- tp_reencrypt_column and tp_key_usage: a column under the active DEK, in batches that commit.
\pset format unaligned
\pset tuples_only on
\set SHOW_CONTEXT never
SELECT tp_create_dek('reencrypt') AS one \gset
CREATE TABLE note (id int PRIMARY KEY, v bytea, other int DEFAULT 0, CHECK (tp_is_encrypted(v)));
INSERT INTO note SELECT id, tp_encrypt('note ' || id, tp_context('note', id::text), 'reencrypt') FROM generate_series(1, 1000) AS id;
INSERT INTO note VALUES (0, NULL);
CREATE VIEW usage_of_note AS
    SELECT CASE key_id WHEN :one THEN 'one' ELSE 'another' END AS key, name, state, suite, "values"
    FROM tp_key_usage('note', 'v');
CREATE VIEW readable AS
    SELECT count(*) FROM note WHERE tp_decrypt(v, tp_context('note', id::text)) = 'note ' || id;
SELECT * FROM usage_of_note;

-- There already: no row is written.
SELECT sum(xmin::text::bigint) AS xmins FROM note \gset
CALL tp_reencrypt_column('note', 'v', $$tp_context('note', id::text)$$);
SELECT sum(xmin::text::bigint) = :xmins FROM note;

-- To a new DEK, in batches; once only.
SELECT tp_rotate_dek('reencrypt') AS two \gset
SELECT count(*) FROM note WHERE tp_needs_rewrap(v);
CALL tp_reencrypt_column('note', 'v', $$tp_context('note', id::text)$$, batch_size => 300);
SELECT * FROM usage_of_note;
SELECT * FROM readable;
SELECT count(*) > 1 AS batches FROM (SELECT DISTINCT xmin::text FROM note WHERE v IS NOT NULL) AS transactions;
SELECT sum(xmin::text::bigint) AS xmins FROM note \gset
CALL tp_reencrypt_column('note', 'v', $$tp_context('note', id::text)$$);
SELECT sum(xmin::text::bigint) = :xmins FROM note;
SELECT relation, attribute, role = current_user::regrole, pid = pg_backend_pid(), phase, rows_done, rows_left, rows_refused,
       started_at <= updated_at
    FROM tp_reencrypt_progress WHERE relation = 'note'::regclass;

-- To another suite, both ways. A batch of one row.
SET trustpoint.cipher = 'aes-256-gcm';
CALL tp_reencrypt_column('note', 'v', $$tp_context('note', note.id::text)  -- a comment$$, 1);
SELECT * FROM usage_of_note;
SELECT * FROM readable;
RESET trustpoint.cipher;
CALL tp_reencrypt_column(relation => 'note', attribute => 'v', context_expression => $$tp_context('note', id::text)$$);
SELECT * FROM usage_of_note;
SELECT * FROM readable;

-- What cannot be rewrapped stays, is named, and stops nothing.
ALTER TABLE note DROP CONSTRAINT note_v_check;
SELECT tp_create_dek('reencrypt lost') AS lost \gset
INSERT INTO note VALUES
    (2001, tp_encrypt('x', 'another context', 'reencrypt')),
    (2002, 'not a value'),
    (2003, '\xe100000001' || decode(repeat('00', 40), 'hex')),
    (2004, tp_encrypt('x', tp_context('note', '2004'), 'reencrypt lost')),
    (2005, tp_encrypt('x', tp_context('note', '2005'), 'reencrypt'));
SELECT tp_rotate_dek('reencrypt lost') > 0, tp_rotate_dek('reencrypt') > 0;
SELECT tp_disable_dek(:lost);
SELECT id, regexp_replace(tp_rewrap_problem(v, tp_context('note', id::text)), '\d+', 'N') FROM note WHERE id > 2000 ORDER BY id;
SELECT tp_rewrap_problem(v, NULL) FROM note WHERE id = 2005;
SELECT md5(string_agg(v::text, ',' ORDER BY id)) AS bad FROM note WHERE id BETWEEN 2001 AND 2004 \gset
-- The ids of DEKs in the notices are random.
SET client_min_messages = warning;
CALL tp_reencrypt_column('note', 'v', $$CASE WHEN id <> 2005 THEN tp_context('note', id::text) END$$);
CALL tp_reencrypt_column('note', 'v', $$tp_context('note', id::text)$$);
RESET client_min_messages;
SELECT md5(string_agg(v::text, ',' ORDER BY id)) = :'bad' FROM note WHERE id BETWEEN 2001 AND 2004;
SELECT id FROM note WHERE tp_needs_rewrap(v) ORDER BY id;
SELECT rows_done, rows_refused, phase FROM tp_reencrypt_progress WHERE relation = 'note'::regclass;
SELECT name, state, suite, "values" FROM tp_key_usage('note', 'v') ORDER BY name, state, suite;
DELETE FROM note WHERE id > 2000;
SELECT * FROM readable;

-- The warning of a DEK that has served too many values of the short suite.
SELECT tp_warn_of_usage(7, 'busy', 'aes-256-gcm', 2147483647), tp_warn_of_usage(7, 'busy', 'xaes-256-gcm', 1::bigint << 40);
SELECT tp_warn_of_usage(7, 'busy', 'aes-256-gcm', 2147483648);

-- Partitions, each with a shape of its own; children by inheritance; a schema, columns and a table that need quotes.
CREATE SCHEMA "Reencrypt it";
SET search_path = "Reencrypt it", public;
CREATE TABLE "Parted t" ("the id" int, kind text, "the value" tp_encrypted) PARTITION BY LIST (kind);
CREATE TABLE part_a PARTITION OF "Parted t" FOR VALUES IN ('a');
CREATE TABLE part_b ("the value" tp_encrypted, gone int, kind text, "the id" int);
ALTER TABLE part_b DROP gone;
ALTER TABLE "Parted t" ATTACH PARTITION part_b FOR VALUES IN ('b');
CREATE TABLE part_c PARTITION OF "Parted t" FOR VALUES IN ('c', 'd') PARTITION BY LIST (kind);
CREATE TABLE part_cd PARTITION OF part_c DEFAULT;
INSERT INTO "Parted t" SELECT i, chr(97 + i % 4), tp_encrypt('value ' || i, 'c' || i, 'reencrypt') FROM generate_series(1, 40) AS i;
CREATE TABLE parent (id int, v bytea);
CREATE TABLE child (more text) INHERITS (parent);
INSERT INTO parent SELECT i, tp_encrypt('value ' || i, 'c' || i, 'reencrypt') FROM generate_series(1, 5) AS i;
INSERT INTO child SELECT i, tp_encrypt('value ' || i, 'c' || i, 'reencrypt') FROM generate_series(6, 9) AS i;
SELECT tp_rotate_dek('reencrypt') AS four \gset
CALL tp_reencrypt_column('"Parted t"', 'the value', $$'c' || "the id"$$, 3);
CALL tp_reencrypt_column('parent', 'v', $$'c' || parent.id$$, 2147483647);
SELECT key_id = :four, state, "values" FROM tp_key_usage('"Parted t"', 'the value');
SELECT key_id = :four, state, "values" FROM tp_key_usage('parent', 'v');
SELECT count(*) FROM "Parted t" WHERE tp_decrypt("the value", 'c' || "the id") = 'value ' || "the id";
SELECT count(*) FROM parent WHERE tp_decrypt(v, 'c' || id) = 'value ' || id;
RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA "Reencrypt it" CASCADE;
RESET client_min_messages;

-- Large values, in and out of line.
CREATE TABLE large (id int, v bytea);
INSERT INTO large SELECT i, tp_encrypt(repeat('x', (10 ^ i)::int), '', 'reencrypt') FROM generate_series(0, 6) AS i;
INSERT INTO large VALUES (7, tp_encrypt('', '', 'reencrypt'));
SELECT tp_rotate_dek('reencrypt') AS five \gset
CALL tp_reencrypt_column('large', 'v', $$''$$);
SELECT bool_and((tp_inspect(v)).key_id = :five), sum(length(tp_decrypt(v))) FROM large;
DROP TABLE large;

-- A trigger that undoes the change: it ends, and says so.
CREATE FUNCTION undo() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END';
CREATE TRIGGER undo BEFORE UPDATE ON note FOR EACH ROW WHEN (OLD.id = 1) EXECUTE FUNCTION undo();
SET client_min_messages = warning;
CALL tp_reencrypt_column('note', 'v', $$tp_context('note', id::text)$$);
RESET client_min_messages;
SELECT id FROM note WHERE tp_needs_rewrap(v);
DROP TRIGGER undo ON note;
DROP FUNCTION undo();

-- A role that may rewrap and not decrypt. Another one sees how far it is when it may read the table.
CREATE ROLE regress_tp_rewrapper;
CREATE ROLE regress_tp_reader;
SELECT tp_grant('regress_tp_rewrapper', 'rewrap');
GRANT SELECT, UPDATE ON note TO regress_tp_rewrapper;
SET ROLE regress_tp_rewrapper;
SELECT refusal($$SELECT tp_decrypt(v) FROM note WHERE id = 2$$) ~ '^42501';
CALL tp_reencrypt_column('note', 'v', $$tp_context('note', id::text)$$);
SELECT role, rows_done FROM tp_reencrypt_progress;
SELECT refusal('SELECT * FROM tp_reencrypt_job') ~ '^42501';
SET ROLE regress_tp_reader;
SELECT count(*) FROM tp_reencrypt_progress;
CALL tp_reencrypt_column('note', 'v', $$tp_context('note', id::text)$$);
SELECT refusal($$SELECT tp_key_usage('note', 'v')$$) ~ '^42501';
RESET ROLE;
GRANT SELECT (id) ON note TO regress_tp_reader;
SET ROLE regress_tp_reader;
SELECT relation, attribute, phase FROM tp_reencrypt_progress;
RESET ROLE;
SELECT * FROM readable;
-- Not one that does not see all rows.
ALTER TABLE note ENABLE ROW LEVEL SECURITY;
CREATE POLICY some_rows ON note USING (id < 10);
SET ROLE regress_tp_rewrapper;
CALL tp_reencrypt_column('note', 'v', $$tp_context('note', id::text)$$);
RESET ROLE;
CALL tp_reencrypt_column('note', 'v', $$tp_context('note', id::text)$$);
ALTER TABLE note DISABLE ROW LEVEL SECURITY;
DROP POLICY some_rows ON note;
-- Only a DEK name that it was granted.
SELECT tp_revoke('regress_tp_rewrapper', 'rewrap');
SELECT tp_grant('regress_tp_rewrapper', 'rewrap', 'another');
SELECT tp_rotate_dek('reencrypt') > 0;
SET ROLE regress_tp_rewrapper;
CALL tp_reencrypt_column('note', 'v', $$tp_context('note', id::text)$$);
RESET ROLE;
SELECT count(*) FROM note WHERE tp_needs_rewrap(v);
SELECT tp_revoke('regress_tp_rewrapper', 'rewrap');
SELECT count(*) FROM pg_proc p, aclexplode(p.proacl) AS a WHERE a.grantee = 'regress_tp_rewrapper'::regrole;
DROP OWNED BY regress_tp_rewrapper, regress_tp_reader;
DROP ROLE regress_tp_rewrapper, regress_tp_reader;

-- What is no such column, and no such call.
CREATE VIEW note_view AS TABLE note;
SELECT refusal($$SELECT tp_key_usage('note', 'other')$$);
SELECT refusal($$SELECT tp_key_usage('note', 'nothing')$$);
SELECT refusal($$SELECT tp_key_usage('note', 'ctid')$$);
SELECT refusal($$SELECT tp_key_usage('note_view', 'v')$$);
SELECT refusal($$SELECT tp_key_usage('note', NULL)$$);
SELECT refusal($$SELECT tp_key_usage(NULL, 'v')$$);
CALL tp_reencrypt_column('note_view', 'v', $$''$$);
CALL tp_reencrypt_column('note', 'other', $$''$$);
CALL tp_reencrypt_column('note', 'v', NULL);
CALL tp_reencrypt_column('note', 'v', $$''$$, 0);
CALL tp_reencrypt_column('note', 'v', $$''$$, NULL);
BEGIN;
CALL tp_reencrypt_column('note', 'v', $$tp_context('note', id::text)$$);
ROLLBACK;
SELECT refusal($$SELECT tp_take_rewrapped(v) FROM note WHERE id = 1$$);
DROP VIEW note_view;
-- Under another default isolation.
SET default_transaction_isolation = 'serializable';
CALL tp_reencrypt_column('note', 'v', $$tp_context('note', id::text)$$);
RESET default_transaction_isolation;
SELECT * FROM readable;
DROP VIEW readable, usage_of_note;
DROP TABLE note;
