-- tp_rotate_kek, tp_destroy_kek, tp_move_to_token, tp_export_dek, tp_recover_dek: what wraps the DEKs.
\pset format unaligned
\pset tuples_only on
\set SHOW_CONTEXT never
-- The KEKs of this database, oldest first.
CREATE VIEW keks AS
    SELECT k.label, count(d.id) AS deks FROM tp_kek k LEFT JOIN tp_dek d ON d.kek_id = k.id AND d.wrapped IS NOT NULL
    GROUP BY k.id ORDER BY k.created_at;
CREATE TABLE note (id int, v bytea);
SELECT tp_create_dek('kek') AS one \gset
INSERT INTO note VALUES (1, tp_encrypt('one', 'c', 'kek'));
SELECT tp_rotate_dek('kek') AS two \gset
INSERT INTO note VALUES (2, tp_encrypt('two', 'c', 'kek'));
SELECT tp_rotate_dek('kek') AS three \gset
INSERT INTO note VALUES (3, tp_encrypt('three', 'c', 'kek'));
SELECT tp_disable_dek(:two);
SELECT tp_create_dek('kek', 'index') AS four \gset
SELECT tp_create_dek('kek gone') AS gone \gset
SELECT tp_rotate_dek('kek gone') > 0;
SELECT tp_destroy_dek(:gone, 'kek gone');
SELECT label FROM keks;

-- A new KEK over all DEKs: ids, states and data stay, what is destroyed stays as it is.
SELECT md5(d::text) AS tombstone FROM tp_dek d WHERE id = :gone \gset
CREATE TABLE before AS TABLE tp_dek;
SELECT (SELECT count(*) FROM tp_dek WHERE wrapped IS NOT NULL) = tp_rotate_kek('regress kek 2') AS all;
SELECT label, deks > 0 FROM keks;
SELECT bool_and((b.id, b.name, b.purpose, b.state, b.created_at, b.state_changed_at)
        = (d.id, d.name, d.purpose, d.state, d.created_at, d.state_changed_at)),
       bool_or(b.wrapped = d.wrapped), bool_or(b.check_value = d.check_value AND d.wrapped IS NOT NULL)
    FROM before b FULL JOIN tp_dek d ON d.id = b.id;
SELECT md5(d::text) = :'tombstone' FROM tp_dek d WHERE id = :gone;
SELECT id, tp_decrypt(v, 'c') FROM note WHERE id <> 2;
SELECT refusal('SELECT tp_decrypt(v, ''c'') FROM note WHERE id = 2');
SELECT tp_enable_dek(:two);
SELECT tp_forget_keys() >= 0;
SELECT id, tp_decrypt(v, 'c') FROM note;
SELECT count(*) FROM tp_verify_keys() WHERE NOT ok;
-- The old wraps are worth nothing under the new KEK.
BEGIN;
UPDATE tp_dek d SET wrapped = b.wrapped FROM before b WHERE b.id = d.id AND d.id = :one;
SELECT refusal('SELECT tp_decrypt(v, ''c'') FROM note WHERE id = 1');
ROLLBACK;
-- New DEKs come under it.
SELECT tp_rotate_dek('kek') AS five \gset
SELECT kek_label FROM tp_keyring WHERE id = :five;
SELECT kek_label FROM tp_keyring WHERE id = :gone;

-- A rollback takes the rows back and not the KEK, which the next call finds.
BEGIN;
SELECT tp_rotate_kek('regress kek 3') > 0;
SELECT id AS third FROM tp_kek WHERE label = 'regress kek 3' \gset
SELECT id, tp_decrypt(v, 'c') FROM note;
ROLLBACK;
SELECT label FROM keks;
SELECT id, tp_decrypt(v, 'c') FROM note;
SELECT tp_rotate_kek('regress kek 3') > 0;
SELECT id = :'third' FROM tp_kek WHERE label = 'regress kek 3';
-- A DEK that does not open stops it before anything is written.
BEGIN;
UPDATE tp_dek SET wrapped = set_byte(wrapped, 9, 255 - get_byte(wrapped, 9)) WHERE id = :one;
SELECT refusal($$SELECT tp_rotate_kek('regress kek 4')$$);
SELECT label FROM keks;
ROLLBACK;
BEGIN;
UPDATE tp_dek SET kek_id = 'tpkek\000nowhere...' WHERE id = :one;
SELECT refusal($$SELECT tp_rotate_kek('regress kek 4')$$);
ROLLBACK;
SELECT refusal($$SELECT tp_rotate_kek('regress kek 3')$$);
SELECT refusal($$SELECT tp_rotate_kek('')$$);
SELECT refusal($$SELECT tp_rotate_kek(repeat('x', 33))$$);
SELECT refusal($$SELECT tp_rotate_kek(NULL)$$);
BEGIN READ ONLY;
SELECT refusal($$SELECT tp_rotate_kek('regress kek 4')$$);
ROLLBACK;

-- The end of an old one: by id and label, and only when nothing needs it.
SELECT id AS first FROM tp_kek ORDER BY created_at LIMIT 1 \gset
SELECT id AS second FROM tp_kek WHERE label = 'regress kek 2' \gset
SELECT refusal(format('SELECT tp_destroy_kek(%L, ''regress kek 3'')', :'third'));
SELECT refusal(format('SELECT tp_destroy_kek(%L, ''regress kek 3'')', :'second'));
SELECT refusal(format('SELECT tp_destroy_kek(%L, NULL)', :'second'));
SELECT refusal($$SELECT tp_destroy_kek('\x00', 'regress kek 2')$$);
SELECT refusal($$SELECT tp_destroy_kek(NULL, 'regress kek 2')$$);
UPDATE tp_dek SET kek_id = :'second' WHERE id = :one;
SELECT refusal(format('SELECT tp_destroy_kek(%L, ''regress kek 2'')', :'second'));
UPDATE tp_dek SET kek_id = :'third' WHERE id = :one;
-- Never in a transaction whose rollback would bring a DEK back under it.
BEGIN;
SELECT tp_rotate_kek('regress kek 3b') > 0;
SELECT refusal(format('SELECT tp_destroy_kek(%L, ''regress kek 3'')', :'third'));
ROLLBACK;
DO $$ BEGIN PERFORM tp_rotate_kek('regress kek 3b'), tp_destroy_kek(id, label) FROM tp_kek WHERE label = 'regress kek 3'; END $$;
SELECT id, tp_decrypt(v, 'c') FROM note;
BEGIN READ ONLY;
SELECT refusal(format('SELECT tp_destroy_kek(%L, ''regress kek 2'')', :'second'));
ROLLBACK;
SELECT tp_destroy_kek(:'second', 'regress kek 2');
SELECT label FROM keks;
SELECT id, tp_decrypt(v, 'c') FROM note;
-- Once more, as after a rollback: the token has none any more.
INSERT INTO tp_kek SELECT :'second', 'regress kek 2', token_serial, use, probe, '2000-01-01' FROM tp_kek LIMIT 1;
SELECT tp_destroy_kek(:'second', 'regress kek 2');
INSERT INTO tp_kek SELECT :'second', 'regress kek 2', 'elsewhere', use, probe, '2000-01-01' FROM tp_kek LIMIT 1;
SELECT refusal(format('SELECT tp_destroy_kek(%L, ''regress kek 2'')', :'second'));
DELETE FROM tp_kek WHERE id = :'second';
SELECT count(*) FROM tp_verify_keys() WHERE NOT ok;

-- To the recovery key, and back.
SELECT octet_length(tp_generate_rsa_key('regress recovery', 3072, 'decrypt')) > 0,
       octet_length(tp_generate_rsa_key('regress short', 2048, 'decrypt')) > 0;
SELECT refusal(format('SELECT tp_export_dek(%s, tp_public_key(''regress recovery''))', :one));
SELECT set_config('trustpoint.recovery_key_sha256', upper(encode(sha256(tp_public_key_der('regress short')), 'hex')), false) <> '';
SELECT refusal(format('SELECT tp_export_dek(%s, tp_public_key(''regress short''))', :one));
SELECT regexp_replace(refusal(format('SELECT tp_export_dek(%s, tp_public_key(''regress recovery''))', :one)), '[0-9a-f]{64}', 'HASH');
SELECT refusal(format('SELECT tp_export_dek(%s, %L)', :one, '-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEdqkJBt0mGFDDis6+9wuCPdSGmW5X
jmS8/9EEKVoOq5ryJ4Ya6/okvggTv2tV46a2PDxGhtHQodZKGVF2u0X2bg==
-----END PUBLIC KEY-----'));
SELECT refusal(format('SELECT tp_export_dek(%s, ''no key'')', :one));
SELECT set_config('trustpoint.recovery_key_sha256', upper(encode(sha256(tp_public_key_der('regress recovery')), 'hex')), false) <> '';
SELECT tp_export_dek(:one, tp_public_key('regress recovery')) AS blob \gset
SELECT octet_length(:'blob'), substr(:'blob'::bytea, 1, 6), substr(:'blob'::bytea, 7, 4) = int4send(:one);
SELECT tp_export_dek(:one, tp_public_key('regress recovery')) <> :'blob';
SELECT tp_export_dek(:four, tp_public_key('regress recovery')) AS blob4 \gset
SELECT refusal(format('SELECT tp_export_dek(%s, tp_public_key(''regress recovery''))', :gone));
SELECT refusal(format('SELECT tp_export_dek(%s, NULL)', :one));
SELECT refusal($$SELECT tp_export_dek(NULL, '')$$);
SELECT refusal($$SELECT tp_export_dek(1, tp_public_key('regress recovery'))$$);
-- Under another KEK by now: the export is still good.
SELECT tp_rotate_kek('regress kek 4') > 0;
-- As if the token that wrapped it were gone.
UPDATE tp_dek SET wrapped = sha512('lost') || '12345678' WHERE id = :one;
SELECT refusal('SELECT tp_decrypt(v, ''c'') FROM note WHERE id = 1');
SELECT refusal(format('SELECT tp_recover_dek(%s, %L, ''regress recovery'')', :one, :'blob4'));
SELECT refusal(format('SELECT tp_recover_dek(%s, %L, ''regress short'')', :one, :'blob'));
SELECT refusal(format('SELECT tp_recover_dek(%s, %L, ''nobody'')', :one, :'blob'));
SELECT refusal(format('SELECT tp_recover_dek(%s, %L, ''regress kek 4'')', :one, :'blob'));
SELECT refusal(format('SELECT tp_recover_dek(%s, set_byte(%L, 100, 255 - get_byte(%2$L, 100)), ''regress recovery'')', :one, :'blob'));
SELECT refusal(format('SELECT tp_recover_dek(%s, set_byte(%L, 20, 255 - get_byte(%2$L, 20)), ''regress recovery'')', :one, :'blob'));
SELECT refusal(format('SELECT tp_recover_dek(%s, substr(%L::bytea, 1, 200), ''regress recovery'')', :one, :'blob'));
SELECT refusal(format('SELECT tp_recover_dek(%s, ''short'', ''regress recovery'')', :one));
SELECT refusal(format('SELECT tp_recover_dek(%s, set_byte(%L, 9, get_byte(%2$L, 9) # 1), ''regress recovery'')', :one, :'blob')) ~ '^22023';
SELECT refusal(format('SELECT tp_recover_dek(%s, %L)', :one, :'blob'));
SELECT refusal(format('SELECT tp_recover_dek(%s, %L, ''regress recovery'', ''/file'')', :one, :'blob'));
SELECT refusal(format('SELECT tp_recover_dek(%s, %L, key_file => ''relative.pem'')', :one, :'blob'));
SELECT refusal(format('SELECT tp_recover_dek(%s, %L, key_file => ''/nowhere.pem'')', :one, :'blob'));
SELECT refusal(format('SELECT tp_recover_dek(%s, NULL, ''regress recovery'')', :one));
SELECT refusal('SELECT tp_decrypt(v, ''c'') FROM note WHERE id = 1') ~ '^XX001';
BEGIN;  -- not into a row of another name
UPDATE tp_dek SET name = 'kek other' WHERE id = :one;
SELECT refusal(format('SELECT tp_recover_dek(%s, %L, ''regress recovery'')', :one, :'blob'));
ROLLBACK;
BEGIN;  -- nor against another check value
UPDATE tp_dek SET check_value = sha256('x') WHERE id = :one;
SELECT refusal(format('SELECT tp_recover_dek(%s, %L, ''regress recovery'')', :one, :'blob'));
ROLLBACK;
SELECT tp_recover_dek(:one, :'blob', 'regress recovery');
SELECT id, tp_decrypt(v, 'c') FROM note;
SELECT count(*) FROM tp_verify_keys() WHERE NOT ok;
SELECT tp_recover_dek(:four, :'blob4', key_label => 'regress recovery');
SELECT refusal(format('SELECT tp_recover_dek(%s, %L, ''regress recovery'')', :gone, :'blob'));

-- Who may: keys for a new KEK, the owner for the rest.
CREATE ROLE regress_tp_kek;
SELECT tp_grant('regress_tp_kek', 'keys');
GRANT EXECUTE ON FUNCTION tp_destroy_kek(bytea, text), tp_export_dek(int, text), tp_recover_dek(int, bytea, text, text, text),
    tp_move_to_token(text, text, text, text, text, text) TO regress_tp_kek;
SET ROLE regress_tp_kek;
SELECT tp_rotate_kek('regress kek 5') > 0;
SELECT refusal(format('SELECT tp_destroy_kek(%L, ''x'')', :'first'));
SELECT refusal(format('SELECT tp_export_dek(%s, '''')', :one));
SELECT refusal(format('SELECT tp_recover_dek(%s, %L, ''regress recovery'')', :one, :'blob'));
SELECT refusal($$SELECT tp_move_to_token('/x.so', 'x', '/x')$$);
RESET ROLE;
SELECT refusal($$SELECT tp_move_to_token('/x.so', NULL, '/x')$$);
SELECT refusal($$SELECT tp_move_to_token('/nowhere.so', 'x', '/x')$$);
SELECT count(*) FROM tp_verify_keys() WHERE NOT ok;
DROP OWNED BY regress_tp_kek;
DROP ROLE regress_tp_kek;

-- Back to the label that the other topics know.
SELECT tp_destroy_key('regress recovery'), tp_destroy_key('regress short');
RESET trustpoint.recovery_key_sha256;
SELECT id, tp_decrypt(v, 'c') FROM note;
DROP TABLE note, before;
DROP VIEW keks;
