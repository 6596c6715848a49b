# Sourced by the scripts that test/setup starts, in the copied tree, as an unprivileged user. Everything is in $WORK:
# a PostgreSQL of our own with the extension in it, a server, a token. It all goes when the script ends, however it ends.
set -euo pipefail

jobs=$(nproc)
groups=()

clean_up() {
    local status=$? file group
    trap '' INT TERM HUP
    cd /
    for group in "${groups[@]}"; do kill -- "-$group" 2>/dev/null || true; done
    # Also the servers of tests that were interrupted.
    find "$WORK" -name postmaster.pid 2>/dev/null | while read -r file; do
        pg_ctl -s -D "${file%/*}" -m immediate stop >/dev/null 2>&1 || true
    done
    if [[ ${KEEP:-} ]]; then echo "Kept: $WORK"; else rm -rf "$WORK"; fi
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# aside COMMAND ...: starts it in a process group of its own, $aside, which does not outlive us.
aside() {
    set -m
    "$@" </dev/null &
    set +m
    aside=$!
    groups+=("$aside")
}

# run COMMAND ...: the same and waits for it: unlike a plain command it lets a signal end us at once.
run() {
    aside "$@"
    wait "$aside"
}

# A copy of the installed PostgreSQL that `make install` may write to; its programs come first in PATH.
private_postgresql() {
    local original=${PG_CONFIG:-pg_config} root=$WORK/root what folder bin
    bin=$root$("$original" --bindir)
    for what in bindir pkglibdir sharedir; do
        folder=$("$original" --$what)
        mkdir -p "$root$folder"
        cp -RL "$folder/." "$root$folder/"
    done
    for what in libdir includedir pkgincludedir includedir-server; do
        folder=$("$original" --$what)
        [[ -e $root$folder ]] || { mkdir -p "$root${folder%/*}" && ln -s "$folder" "$root$folder"; }
    done
    PATH=$bin:$PATH
    export PG_CONFIG=$bin/pg_config
}

# build_extension [TARGET ...]: builds the extension, and those too, and installs it there.
build_extension() {
    run make -s -j "$jobs" all install "$@" PG_CONFIG="$PG_CONFIG" WERROR=1 ${SANITIZE:+SANITIZE=1} >"$WORK/build.log" 2>&1 ||
        { cat "$WORK/build.log" >&2; return 1; }
}

# An empty token folder $WORK/token and the two PIN files.
make_token_folder() {
    (umask 077 && mkdir -p "$WORK/token/tokens" && printf '%s\n' "$1" >"$WORK/token/pin" &&
        printf '%s\n' "$2" >"$WORK/token/so_pin")
    cat >"$WORK/token/softhsm2.conf" <<EOF
directories.tokendir = $WORK/token/tokens
objectstore.backend = file
log.level = ERROR
slots.removable = false
EOF
}

# start_server [SETTING ...]: a server in $WORK/cluster that uses the token folder; psql finds it by itself.
start_server() {
    export PGHOST=$WORK/socket PGPORT=5432 PGUSER=postgres PGDATABASE=postgres
    mkdir -m 700 "$PGHOST"
    run initdb -D "$WORK/cluster" -U postgres -A trust --encoding=UTF8 --locale=C.UTF-8 >"$WORK/initdb.log" 2>&1 ||
        { cat "$WORK/initdb.log" >&2; return 1; }
    cat >>"$WORK/cluster/postgresql.conf" <<EOF
listen_addresses = ''
unix_socket_directories = '$PGHOST'
trustpoint.pin_file = '$WORK/token/pin'
trustpoint.so_pin_file = '$WORK/token/so_pin'
trustpoint.module_environment = 'SOFTHSM2_CONF=$WORK/token/softhsm2.conf'
EOF
    (($# == 0)) || printf '%s\n' "$@" >>"$WORK/cluster/postgresql.conf"
    mkdir "$WORK/cluster/log"
    pg_ctl -s -D "$WORK/cluster" -l "$WORK/cluster/log/server.log" -w start ||
        { cat "$WORK/cluster/log/server.log" >&2; return 1; }
}
