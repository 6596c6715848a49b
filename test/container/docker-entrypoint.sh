#!/bin/bash
# Stands in for the entrypoint of the official postgres image, by that image's documented contract: POSTGRES_PASSWORD,
# _USER, _DB, _INITDB_ARGS (each also as a file, _FILE), POSTGRES_HOST_AUTH_METHOD and PGDATA; flags or `postgres` as the
# command; root gives PGDATA to postgres and steps down with gosu, any other user stays; an empty PGDATA gets initdb, a
# temporary server without TCP, the database, and the scripts of /docker-entrypoint-initdb.d in the order of their names.
set -Eeo pipefail

from_file() {
    local name=$1 file=$1_FILE default=${2:-}
    if [[ ${!name:-} && ${!file:-} ]]; then
        echo "error: both $name and $file are set (but are exclusive)" >&2
        exit 1
    fi
    if [[ ! ${!name:-} ]]; then
        if [[ ${!file:-} ]]; then default=$(<"${!file}"); fi
        export "$name=$default"
    fi
    unset "$file"
}

sql() { PGHOST= PGHOSTADDR= psql -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" --no-password --no-psqlrc "$@"; }

run_script() {
    case $1 in
        *.sh) if [[ -x $1 ]]; then echo "$0: running $1"; "$1"; else echo "$0: sourcing $1"; . "$1"; fi ;;
        *.sql) echo "$0: running $1"; sql -d "$POSTGRES_DB" -f "$1" ;;
        *.sql.gz) echo "$0: running $1"; gunzip -c "$1" | sql -d "$POSTGRES_DB" ;;
        *) echo "$0: ignoring $1" ;;
    esac
}

make_database() {
    local script
    if [[ ! $POSTGRES_PASSWORD && ${POSTGRES_HOST_AUTH_METHOD:-} != trust ]]; then
        echo 'Error: Database is uninitialized and superuser password is not specified.' >&2
        exit 1
    fi
    if ! getent passwd "$(id -u)" >/dev/null; then  # initdb wants a name
        NSS_WRAPPER_PASSWD=$(mktemp) NSS_WRAPPER_GROUP=$(mktemp)
        export LD_PRELOAD=libnss_wrapper.so NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP
        echo "postgres:x:$(id -u):$(id -g):PostgreSQL:$PGDATA:/bin/false" >"$NSS_WRAPPER_PASSWD"
        echo "postgres:x:$(id -g):" >"$NSS_WRAPPER_GROUP"
    fi
    eval 'initdb --username="$POSTGRES_USER" --pwfile=<(printf "%s\n" "$POSTGRES_PASSWORD") '"$POSTGRES_INITDB_ARGS"
    unset LD_PRELOAD
    echo "host all all all ${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >>"$PGDATA/pg_hba.conf"

    export PGPASSWORD=${PGPASSWORD:-$POSTGRES_PASSWORD}
    pg_ctl -D "$PGDATA" -o "$(printf '%q ' "${@:2}" -c listen_addresses= -p "${PGPORT:-5432}")" -w start
    [[ $(sql -d postgres -At -v db="$POSTGRES_DB" <<<"SELECT 1 FROM pg_database WHERE datname = :'db'") ]] ||
        sql -d postgres -v db="$POSTGRES_DB" <<<'CREATE DATABASE :"db"'
    for script in /docker-entrypoint-initdb.d/*; do run_script "$script"; done
    pg_ctl -D "$PGDATA" -m fast -w stop
    unset PGPASSWORD
    printf '\nPostgreSQL init process complete; ready for start up.\n\n'
}

wants_help() {
    local argument
    for argument; do
        case $argument in -'?' | --help | --describe-config | -V | --version) return 0 ;; esac
    done
    return 1
}

if [[ ${1:0:1} == - ]]; then set -- postgres "$@"; fi
if [[ $1 == postgres ]] && ! wants_help "$@"; then
    from_file POSTGRES_PASSWORD
    from_file POSTGRES_USER postgres
    from_file POSTGRES_DB "$POSTGRES_USER"
    from_file POSTGRES_INITDB_ARGS
    mkdir -p "$PGDATA"
    chmod 0700 "$PGDATA" || true
    if ((EUID == 0)); then
        find "$PGDATA" /var/run/postgresql ! -user postgres -exec chown postgres '{}' +
        exec gosu postgres "$0" "$@"
    fi
    if [[ -s $PGDATA/PG_VERSION ]]; then
        printf '\nPostgreSQL Database directory appears to contain a database; Skipping initialization\n\n'
    else
        make_database "$@"
    fi
fi
exec "$@"
