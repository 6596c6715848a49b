-- Blind indexes: equality and uniqueness over encrypted values.
\pset format unaligned
\pset tuples_only on
SELECT refusal($$SELECT tp_blind_index('alice@example.org', 'person.email')$$);
SELECT refusal($$SELECT tp_blind_index_candidates('alice@example.org', 'person.email')$$);
SELECT tp_create_dek('default', 'index') AS first_id \gset

-- A table whose email is encrypted, unique and found by an index.
CREATE TABLE person (id int PRIMARY KEY, email tp_encrypted NOT NULL, email_index bytea NOT NULL UNIQUE);
CREATE FUNCTION add_person(id int, email text) RETURNS int LANGUAGE sql AS $$
    INSERT INTO person VALUES (id, tp_encrypt(email, tp_context('person', 'email', id::text)),
        tp_blind_index(lower(email), 'person.email')) RETURNING id
$$;
SELECT count(add_person(n, 'user' || n || '@example.org')) FROM generate_series(1, 2000) AS n;
SELECT add_person(2001, 'Alice@example.org');
SELECT refusal($$SELECT add_person(2002, 'alice@EXAMPLE.org')$$) ~ '^23505: .*person_email_index_key';
ANALYZE person;
EXPLAIN (COSTS OFF) SELECT id FROM person WHERE email_index = tp_blind_index('alice@example.org', 'person.email');
EXPLAIN (COSTS OFF) SELECT id FROM person WHERE email_index = ANY (tp_blind_index_candidates('alice@example.org', 'person.email'));
PREPARE by_email(text) AS
    SELECT id, tp_decrypt(email, tp_context('person', 'email', id::text)) FROM person
    WHERE email_index = ANY (tp_blind_index_candidates(lower($1), 'person.email'));
EXECUTE by_email('ALICE@example.org');
EXECUTE by_email('user1999@example.org');
EXECUTE by_email('nobody@example.org');
SET plan_cache_mode = force_generic_plan;
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) EXECUTE by_email('alice@example.org');
EXECUTE by_email('user7@example.org');
RESET plan_cache_mode;
RESET enable_bitmapscan;

-- 32 bytes; the same for the same value, context and key, and for nothing else.
SELECT DISTINCT octet_length(email_index) FROM person;
SELECT tp_blind_index('a', 'c') = tp_blind_index('a', 'c'), tp_blind_index('', '') = tp_blind_index('', '');
SELECT count(DISTINCT i) FROM unnest(ARRAY[tp_blind_index('a', 'c'), tp_blind_index('a'::bytea, 'c'), tp_blind_index('A', 'c'),
    tp_blind_index('a', 'C'), tp_blind_index('ac', ''), tp_blind_index('', 'ac'), tp_blind_index('a ', 'c'), tp_blind_index('', 'c'),
    tp_blind_index(''::bytea, 'c'), tp_blind_index('c', 'a'), tp_blind_index('ü', 'c'), tp_blind_index('u', 'c')]) AS i;
SELECT tp_blind_index('\xc3bc'::bytea, 'c') = tp_blind_index(convert_to('ü', 'UTF8'), 'c');
SELECT tp_create_dek('tenant', 'index') > 0;
SELECT tp_blind_index('a', 'c', 'tenant') <> tp_blind_index('a', 'c');
SELECT tp_blind_index(value => 'a', context => 'c', key => 'tenant') = tp_blind_index('a', 'c', 'tenant');
-- Candidates of one version: that one.
SELECT tp_blind_index_candidates('a', 'c') = ARRAY[tp_blind_index('a', 'c')],
       tp_blind_index_candidates('a'::bytea, 'c') = ARRAY[tp_blind_index('a'::bytea, 'c')];
-- A value of 10 MB.
SELECT octet_length(tp_blind_index(repeat('large', 2000000), 'c')), tp_blind_index(repeat('large', 2000000), 'c') = tp_blind_index(repeat('large', 2000000), 'c');

-- NULL, and what is refused.
SELECT tp_blind_index(NULL::text, 'c') IS NULL, tp_blind_index(NULL::bytea, 'c') IS NULL,
       tp_blind_index_candidates(NULL::text, 'c') IS NULL, tp_blind_index_candidates(NULL::bytea, 'c') IS NULL;
SELECT refusal($$SELECT tp_blind_index('a', NULL)$$);
SELECT refusal($$SELECT tp_blind_index('a'::bytea, 'c', NULL)$$);
SELECT refusal($$SELECT tp_blind_index(NULL::text, NULL)$$);
SELECT refusal($$SELECT tp_blind_index_candidates('a', NULL)$$);
SELECT refusal($$SELECT tp_blind_index_candidates('a'::bytea, 'c', NULL)$$);
SELECT refusal($$SELECT tp_blind_index('a')$$) ~ '^42725:|^42883:';
SELECT refusal($$SELECT tp_blind_index('a', 'c', 'no such key')$$);
SELECT refusal($$SELECT tp_blind_index('a', 'c', '')$$);
SELECT refusal($$SELECT tp_blind_index_candidates('a', 'c', 'no such key')$$);
SELECT refusal($$SELECT tp_blind_index_candidates('a', 'c', '')$$);
-- Not IMMUTABLE: no expression index, which a rotation would make wrong.
SELECT refusal($$CREATE INDEX ON person (tp_blind_index(id::text, 'c'))$$) ~ '^42P17:';

-- The DEKs of one purpose do nothing for another.
SELECT refusal($$SELECT tp_encrypt('a', '', 'tenant')$$);
SELECT tp_create_dek('only data') > 0;
SELECT refusal($$SELECT tp_blind_index('a', 'c', 'only data')$$);

-- Rotation: new values under the new version, old rows found by the candidates until they are rewritten.
SELECT tp_blind_index('alice@example.org', 'person.email') AS old_index \gset
SELECT tp_rotate_dek('default', 'index') AS second_id \gset
SELECT tp_blind_index('alice@example.org', 'person.email') = :'old_index';
SELECT tp_blind_index_candidates('alice@example.org', 'person.email')
     = ARRAY[tp_blind_index('alice@example.org', 'person.email'), :'old_index'];
SELECT count(*) FROM person WHERE email_index = tp_blind_index('alice@example.org', 'person.email');
EXECUTE by_email('alice@example.org');
UPDATE person SET email_index = tp_blind_index(lower(tp_decrypt(email, tp_context('person', 'email', id::text))), 'person.email')
    WHERE email_index <> tp_blind_index(lower(tp_decrypt(email, tp_context('person', 'email', id::text))), 'person.email');
SELECT count(*) FROM person WHERE email_index = tp_blind_index('alice@example.org', 'person.email');
EXECUTE by_email('alice@example.org');
SELECT refusal($$SELECT add_person(2002, 'alice@EXAMPLE.org')$$) ~ '^23505: .*person_email_index_key';
-- A rotation that is rolled back.
BEGIN;
SELECT tp_rotate_dek('default', 'index') > 0;
SELECT cardinality(tp_blind_index_candidates('a', 'c'));
ROLLBACK;
SELECT cardinality(tp_blind_index_candidates('a', 'c'));
-- Eight versions at most, the newest; a disabled one is none.
SELECT count(tp_rotate_dek('tenant', 'index')) FROM generate_series(1, 10);
SELECT cardinality(tp_blind_index_candidates('a', 'c', 'tenant')),
       (tp_blind_index_candidates('a', 'c', 'tenant'))[1] = tp_blind_index('a', 'c', 'tenant');
BEGIN;
UPDATE tp_dek SET state = 'disabled' WHERE id = :first_id;
SELECT cardinality(tp_blind_index_candidates('a', 'c'));
UPDATE tp_dek SET state = 'disabled' WHERE id = :second_id;
SELECT refusal($$SELECT tp_blind_index('a', 'c')$$);
SELECT refusal($$SELECT tp_blind_index_candidates('a', 'c')$$);
ROLLBACK;
SELECT cardinality(tp_blind_index_candidates('a', 'c'));

-- The plan may be parallel.
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
EXPLAIN (COSTS OFF) SELECT count(*) FROM person WHERE tp_blind_index(id::text, 'person.id') > '\x80';
SELECT count(*) = (SELECT count(*) FROM generate_series(1, 2001) AS n WHERE tp_blind_index(n::text, 'person.id') > '\x80')
    FROM person WHERE tp_blind_index(id::text, 'person.id') > '\x80';
RESET ALL;

-- Who may search.
CREATE ROLE regress_tp_search;
SET ROLE regress_tp_search;
SELECT refusal($$SELECT tp_blind_index('a', 'c')$$);
SELECT refusal($$SELECT tp_blind_index('a'::bytea, 'c')$$);
SELECT refusal($$SELECT tp_blind_index_candidates('a', 'c')$$);
SELECT refusal($$SELECT tp_blind_index_candidates('a'::bytea, 'c')$$);
RESET ROLE;
SELECT tp_grant('regress_tp_search', 'search', 'tenant');
SET ROLE regress_tp_search;
SELECT octet_length(tp_blind_index('a', 'c', 'tenant')), octet_length(tp_blind_index('a'::bytea, 'c', 'tenant')),
       cardinality(tp_blind_index_candidates('a', 'c', 'tenant'));
SELECT refusal($$SELECT tp_blind_index('a', 'c')$$);
SELECT refusal($$SELECT tp_blind_index_candidates('a', 'c')$$);
SELECT refusal($$SELECT tp_blind_index_candidates('a', 'c', '')$$);
SELECT refusal($$SELECT tp_encrypt('a')$$);
RESET ROLE;
SELECT tp_revoke('regress_tp_search', 'search');
DROP ROLE regress_tp_search;
DROP FUNCTION add_person;
DROP TABLE person;
