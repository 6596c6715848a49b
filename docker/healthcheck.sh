#!/bin/bash
# Healthy: the server answers in POSTGRES_DB, and decrypts a value under a key that its token unwrapped. Why it is not
# healthy is printed here (docker inspect) and stands in the server's log.
set -euo pipefail

# setting NAME DEFAULT: $NAME, or what the file $NAME_FILE holds, as the postgres image has it.
setting() {
    local file=${1}_FILE
    if [[ ${!1:-} ]]; then echo "${!1}"; elif [[ ${!file:-} ]]; then cat "${!file}"; else echo "$2"; fi
}

user=$(setting POSTGRES_USER postgres)
database=$(setting POSTGRES_DB "$user")
PGPASSWORD=$(setting POSTGRES_PASSWORD '')
export PGPASSWORD PGCONNECT_TIMEOUT=5 PGOPTIONS='-c statement_timeout=20s -c trustpoint.audit=none'
# Port and socket folder, which flags of the command may change, as the server notes them in lines 4 and 5.
{ mapfile -t -s 3 -n 2 at <"${PGDATA:-}/postmaster.pid"; } 2>/dev/null || true
# A standby encrypts nothing, but opens the key.
psql -XAtq -v ON_ERROR_STOP=1 --no-password -h "${at[1]:-/var/run/postgresql}" -p "${at[0]:-${PGPORT:-5432}}" -U "$user" \
    -d "$database" >/dev/null <<'SQL'
SELECT pg_is_in_recovery() AS standby \gset
\if :standby
SELECT tp_load_dek('default');
\else
SELECT 1 / (tp_decrypt(tp_encrypt('healthy', 'healthcheck'), 'healthcheck') = 'healthy')::int;
\endif
SQL
