# compose.yml as Docker Compose reads it: all that it defines is used, and its containers run as it describes them.

if [[ $suite == bookworm ]]; then
    echo '# compose.yml: bookworm has no Docker Compose 2'
    return
fi
parser=$(b from --pull-never "docker.io/library/postgres:$major-$suite")
b run "$parser" -- sh -c 'apt-get update && apt-get install -y --no-install-recommends docker-compose' >"$work/parser.log" 2>&1 </dev/null
composed() {  # composed [BUILDAH OPTION ...] -- [OPTION ...]
    local options=(-v "$PWD:$PWD:ro") container=$parser
    while [[ $1 != -- ]]; do options+=("$1") && shift; done
    inside docker-compose -f "$PWD/docker/compose.yml" "${@:2}" config --format json
}
log=$work/inside.log
composed -- >"$work/compose"
ok 'compose.yml: the parser takes it' test -s "$work/compose"
ok 'compose.hsm.yml: the parser takes it' \
    test -n "$(composed -e HSM_TOKEN=t -e HSM_LIBRARY=/l.so -- -f "$PWD/docker/compose.hsm.yml")"
ok 'compose.hsm.yml: without its two settings the parser refuses it' test -z "$(composed -- -f "$PWD/docker/compose.hsm.yml")"
log=
while IFS= read -r line; do
    ok "compose.yml: ${line#*ok }" test "${line%% *}" = ok
done < <(python3 test/container/compose.py check <"$work/compose")

# ---- the secrets

mkdir "$work/made"
cp docker/secrets/make docker/secrets/*.example "$work/made/"
sh "$work/made/make" >/dev/null
made=$(sha256sum "$work/made/"*_*)
sh "$work/made/make" >/dev/null
is 'secrets/make: a second call changes none' "$(sha256sum "$work/made/"*_*)" "$made"
is 'secrets/make: the PINs differ' "$(sort -u "$work/made/hsm_pin" "$work/made/hsm_so_pin" | wc -l)" 2

use_system example
cp "$work/made/hsm_pin.example" "$system/secrets/hsm_pin"
start
ok 'an example of a secret is refused as it is' refused

# ---- the containers

# as_composed SERVICE: its options and command.
as_composed() {
    mapfile -t options < <(python3 test/container/compose.py "$1" "$system" <"$work/compose")
    command=()
    while [[ ${options[-1]} != -- ]]; do
        command=("${options[-1]}" "${command[@]}")
        unset 'options[-1]'
    done
    unset 'options[-1]'
}

use_system composed
cp "$work/made/"*_* "$system/secrets/"
as_composed db
options+=(-e "PGPORT=$port")
launch "${command[@]}" -c fsync=off
ok 'compose.yml: the database comes up' wait_ready
ok 'compose.yml: its health check decrypts a value' healthy
is 'compose.yml: the data is in its volume' "$(cd "$system/data" && echo */docker/PG_VERSION)" "$major/docker/PG_VERSION"
ok 'compose.yml: the token is in its volume' compgen -G "$system/tokens/tokens/*/token.object"
sql() { inside gosu postgres psql -XAtq -d registry -v ON_ERROR_STOP=1 -c "$1"; }
is 'compose.yml: trustpoint is preloaded' "$(sql 'SHOW shared_preload_libraries')" trustpoint
is 'compose.yml: the role of the application has no privilege' \
    "$(sql "SELECT rolsuper, rolcreatedb, rolcreaterole, has_function_privilege('registry', 'tp_decrypt(bytea, text)', 'EXECUTE')
        FROM pg_roles WHERE rolname = 'registry'")" 'f|f|f|f'
if [[ -d test/django/example ]]; then . test/container/web.sh; fi
stop
