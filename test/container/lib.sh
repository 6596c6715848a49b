# Sourced by test/container/run: containers by buildah, each on volumes that are folders of $work, and TAP on stdout.
set -uo pipefail

work=$(mktemp -d /tmp/tpc-XXXXXX)
chmod 0755 "$work"  # the volumes belong to the users of the containers
export STORE="--root $work/store --runroot $work/run"  # options of buildah
export BUILDAH_ISOLATION=chroot TMPDIR=$work/tmp
mkdir "$TMPDIR"
# Buildah sets limits, Debian 13's higher ones than every machine allows, and Debian 12's none above what it had set before.
export CONTAINERS_CONF=$work/containers.conf
at_most() { [[ $1 == unlimited ]] || (($1 > $2)) && echo "$2" || echo "$1"; }
max_processes=$(at_most "$(ulimit -Hu)" 32768) max_files=$(at_most "$(ulimit -Hn)" 32768)
echo "[containers]
default_ulimits = [\"nofile=$max_files:$max_files\", \"nproc=$max_processes:$max_processes\"]" >"$CONTAINERS_CONF"
jobs_started=()
port=$((20000 + RANDOM % 20000))  # the containers share the network of the host

b() { buildah $STORE "$@"; }

# Processes of containers, known by their root folder.
processes() {
    local process
    for process in /proc/[0-9]*; do
        [[ $(readlink "$process/root") != "$work"/* ]] || echo "${process#/proc/}"
    done
}

clean_up() {
    local status=$? file job
    trap '' INT TERM HUP
    processes | xargs -r kill -QUIT 2>/dev/null
    for job in "${jobs_started[@]}"; do kill -- "-$job" 2>/dev/null; done
    wait
    b rm --all >/dev/null 2>&1
    b rmi --all --force >/dev/null 2>&1
    grep -oE " $work/[^ ]*" /proc/mounts | sort -r | while read -r file; do umount -l "$file"; done
    if [[ ${KEEP:-} ]]; then echo "# kept: $work"; else rm -rf "$work"; fi
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

. test/tap.sh
logged() { grep -qF -- "$1" "$log"; }

# ---------------------------------------------------------------- volumes and secrets

# A system: folders for the two volumes and the secrets. use_system makes it the one that containers get.
use_system() {
    system=$work/system.$1
    [[ -d $system ]] || {
        mkdir -p "$system/secrets" "$system/data" "$system/tokens"
        chown 999:999 "$system/data" "$system/tokens"
        chmod 1777 "$system/data" "$system/tokens"
        # Mode 0444 of root, as Docker's secrets.
        secret hsm_pin "$(openssl rand -hex 12)"
        secret hsm_so_pin "$(openssl rand -hex 12)"
        secret db_password "$(openssl rand -hex 12)"
    }
}
secret() {  # secret NAME VALUE
    rm -f "$system/secrets/$1"
    (umask 222 && printf '%s\n' "$2" >"$system/secrets/$1")
}
pin() { cat "$system/secrets/$1"; }

# ---------------------------------------------------------------- containers

image=localhost/trustpoint
container=
log=
options=()
memory=(--mount type=tmpfs,destination=/run/trustpoint)

# start [BUILDAH OPTION ...] [-- ARGUMENT OF THE IMAGE ...]: a new container of the image, in the background.
start() {
    local secret
    options=(-v "$system/data:/var/lib/postgresql/data" -v "$system/tokens:/var/lib/trustpoint"
        "${memory[@]}" -e POSTGRES_DB=app -e POSTGRES_PASSWORD_FILE=/run/secrets/db_password -e "PGPORT=$port")
    for secret in "$system"/secrets/*; do options+=(-v "$secret:/run/secrets/${secret##*/}:ro"); done
    while (($# > 0)) && [[ $1 != -- ]]; do
        options+=("$1")
        shift
    done
    shift
    launch "$@"
}

# launch [ARGUMENT OF THE IMAGE ...]: the same with $options as they are.
launch() {
    local command=("$@")
    (($# > 0)) || command=("${default_command[@]}" -c listen_addresses=127.0.0.1 -c fsync=off)
    [[ -z $container ]] || b rm "$container" >/dev/null
    container=$(b from --pull-never "$image")
    # Buildah would put empty folders of its own over ours.
    b config --volume /var/lib/postgresql/data- --volume /var/lib/trustpoint- "$container"
    log=$work/log.$((++starts))
    in_background "${entrypoint[@]}" "${command[@]}"
}

# in_background COMMAND ...: in $container with $options, as $job; its output goes into $log, and not through buildah, which
# may lose the last lines of a command that ends.
in_background() {
    install -m 666 /dev/null "$log"
    set -m
    b run "${options[@]}" -v "$log:/output" "$container" -- sh -c 'exec "$@" >>/output 2>&1' sh "$@" </dev/null \
        >"$log.buildah" 2>&1 &
    set +m
    job=$!
    jobs_started+=("$job")
}
starts=0

running() { kill -0 "$job" 2>/dev/null; }
# inside COMMAND ...: runs it in $container with $options, as docker exec does.
inside() {
    install -m 666 /dev/null "$work/answer"
    b run "${options[@]}" -v "$work/answer:/answer" "$container" -- sh -c 'exec "$@" >/answer' sh "$@" \
        2>>"$work/inside.log" </dev/null
    local status=$?
    cat "$work/answer"
    return "$status"
}
healthy() { inside trustpoint-healthcheck >/dev/null; }
unhealthy() { running && ! healthy; }
sql() { inside gosu postgres psql -XAtq -d app -v ON_ERROR_STOP=1 -c "$1"; }

# Until the server that stays answers; false when the container ended instead.
wait_ready() {
    local tries
    for ((tries = 0; tries < 900; tries++)); do
        running || return 1
        # The temporary server of the first start listens on no port.
        { exec 3<>"/dev/tcp/127.0.0.1/$port"; } 2>/dev/null && { exec 3>&-; return 0; }
        sleep 0.2
    done
    return 1
}
# Waits for the end of the container, which is killed after a minute; sets $status.
wait_ended() {
    local tries
    for ((tries = 0; tries < 900; tries++)); do
        running || break
        sleep 0.2
    done
    ! running || processes | xargs -r kill -QUIT
    wait "$job"
    status=$?
}
server_pid() { find "$system/data" -name postmaster.pid -exec head -n 1 {} \;; }
stop() {
    local server
    server=$(server_pid)
    [[ ! $server ]] || kill -INT "$server"
    wait_ended
}
# The container ends by itself, with an error of the entrypoint, and no server was started.
refused() {
    wait_ended
    ((status != 0)) && logged 'trustpoint: error: ' && ! logged 'ready to accept connections'
}
