-- trustpoint 1.4: the shared cache
\echo Use "ALTER EXTENSION trustpoint UPDATE TO '1.4'" to load this file. \quit

-- More columns are another function: whoever was granted the old one is granted this one by tp_grant(role, 'status').
DROP FUNCTION tp_status();
CREATE FUNCTION tp_status(OUT module text, OUT token_label text, OUT token_serial text, OUT session text,
        OUT module_epoch bigint, OUT deks_cached int, OUT secret_memory_reserved bigint, OUT secret_memory_used bigint,
        OUT secret_memory_locked boolean, OUT cipher text, OUT kek_attributes_unknown text,
        OUT shared_cache boolean, OUT shared_deks int, OUT shared_hits bigint, OUT shared_misses bigint,
        OUT shared_memory_locked boolean)
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION tp_status() IS 'What this session holds: module and token, whether a token session is open, DEKs cached, locked memory in bytes; and the shared cache of the server: whether it serves, DEKs in it, how often one was found and not found since the start. Never touches the token.';
REVOKE ALL ON FUNCTION tp_status() FROM PUBLIC;
