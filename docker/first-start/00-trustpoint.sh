#!/bin/bash
# First start: trustpoint in POSTGRES_DB. A token that does not answer does not stop the database from being made, as it
# would be half made then; the health check goes on to say that it is not set up.
set -euo pipefail

sql() { PGHOST='' PGHOSTADDR='' psql -XAtq -v ON_ERROR_STOP=1 --no-password -U "$POSTGRES_USER" -d "$POSTGRES_DB" "$@"; }

sql -c 'CREATE EXTENSION IF NOT EXISTS trustpoint'
if sql -c 'SELECT tp_setup()' >/dev/null; then
    # The next starts compare the token volume with this.
    sql -F ' ' -c 'SELECT serial, label FROM tp_hsm_info()' >"$PGDATA/trustpoint.token"
    echo "trustpoint: the database $POSTGRES_DB is set up with the token $(<"$PGDATA/trustpoint.token")." >&2
else
    echo "trustpoint: error: the database $POSTGRES_DB has the extension, but no keys, for the reason above. When it is" \
        'mended, run in it: SELECT tp_setup();' >&2
fi
