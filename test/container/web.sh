# The Django example of compose.yml, on the database that runs.

database=$container
database_options=("${options[@]}")
database_log=$log
b tag "docker.io/library/postgres:$major-$suite" "docker.io/library/debian:$suite-slim"
b bud --format docker --pull-never --build-arg "DEBIAN=$suite" -f "$work/context/docker/web.Dockerfile" \
    -t localhost/trustpoint-example "$work/context" >"$work/build_web.log" 2>&1 </dev/null
built=$?
log=$work/build_web.log
ok 'the Dockerfile of the example builds' test "$built" = 0
web=$(b from --pull-never localhost/trustpoint-example)

# in_web SERVICE COMMAND ...
in_web() {
    local options command
    as_composed "$1"
    b run "${options[@]}" -e PGHOST=127.0.0.1 -e "PGPORT=$port" -v "$PWD/test/container/visit.py:/visit.py:ro" "$web" -- "${@:2}"
}
log=$work/prepare.log
as_composed prepare
in_web prepare "${command[@]}" >"$log" 2>&1
ok 'prepare: the tables and the key of the CA are made' logged 'is in the token'
in_web prepare sh /app/prepare >"$log" 2>&1
ok 'prepare: it may run again' test $? = 0

log=$work/web.log
set -m
in_web web python3 manage.py runserver --noreload "127.0.0.1:$((port + 1))" >>"$log" 2>&1 </dev/null &
set +m
web_job=$!
jobs_started+=("$web_job")
in_web web python3 /visit.py "http://127.0.0.1:$((port + 1))/" >"$work/visit.log" 2>&1
visited=$?
{ grep -A 3 'ERROR' "$database_log"; cat "$work/visit.log"; } >>"$log"
ok 'web: a device with a secret is made, found by it, and its request signed with the CA key in the token' test "$visited" = 0
is 'web: no process of it is root' "$(ps -o uid= -p "$(pgrep -f "runserver --noreload 127.0.0.1:$((port + 1))" -u 10001 | head -n 1)" | tr -d ' ')" 10001
options=("${database_options[@]}")
is 'web: the secret is stored encrypted' "$(sql 'SELECT bool_and(tp_is_encrypted(secret)) FROM registry_device')" t
kill -- "-$web_job"
container=$database
log=$database_log
