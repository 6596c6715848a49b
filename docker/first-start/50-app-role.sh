#!/bin/bash
# First start: the role "registry" of the application, which owns nothing. web/grants.sql says what it may.
set -euo pipefail

export APP_PASSWORD_FILE
PGHOST='' PGHOSTADDR='' psql -Xq -v ON_ERROR_STOP=1 --no-password -U "$POSTGRES_USER" -d "$POSTGRES_DB" <<'SQL'
\set password `cat "$APP_PASSWORD_FILE"`
CREATE ROLE registry LOGIN PASSWORD :'password';
SQL
