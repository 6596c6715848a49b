# The Django example of compose.yml, on the database that runs.

database_job=$job
database_log=$log
b tag "docker.io/library/postgres:$major-$suite" "docker.io/library/debian:$suite-slim"
b bud --format docker --pull-never --build-arg "DEBIAN=$suite" -f "$work/context/docker/web.Dockerfile" \
    -t localhost/trustpoint-example "$work/context" >"$work/build_web.log" 2>&1 </dev/null
built=$?
log=$work/build_web.log
ok 'the Dockerfile of the example builds' test "$built" = 0
web=$(b from --pull-never localhost/trustpoint-example)

# use_web SERVICE: $container, $options and $command are its.
use_web() {
    as_composed "$1"
    options+=(-e PGHOST=127.0.0.1 -e "PGPORT=$port" -v "$PWD/test/container/visit.py:/visit.py:ro")
    container=$web
}
database=("$container" "${options[@]}")
use_web prepare
log=$work/prepare.log
inside "${command[@]}" >"$log"
ok 'prepare: the tables and the key of the CA are made' logged 'is in the token'
ok 'prepare: it may run again' inside "${command[@]}"

use_web web
log=$work/web.log
address=127.0.0.1:$((port + 1))
in_background python3 manage.py runserver --noreload "$address"
ok 'web: a device with a secret is made, found by it, and its request signed with the CA key in the token' \
    inside python3 /visit.py "http://$address/"
is 'web: no process of it is root' "$(ps -o uid= -p "$(pgrep -f "runserver --noreload $address" -u 10001 | head -n 1)" | tr -d ' ')" 10001
kill -- "-$job"

container=${database[0]} options=("${database[@]:1}") job=$database_job log=$database_log
is 'web: the secret is stored encrypted' "$(sql 'SELECT bool_and(tp_is_encrypted(secret)) FROM registry_device')" t
