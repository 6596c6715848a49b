# Volumes kept, lost and exchanged: what the log says, and what can still be decrypted.

create="CREATE TABLE credential (id int PRIMARY KEY, secret bytea);
    INSERT INTO credential VALUES (1, tp_encrypt('kept over restarts', 'credential'))"
decrypted() { sql "SELECT string_agg(tp_decrypt(secret, 'credential'), ' ' ORDER BY id) FROM credential"; }

# ---- first start

# Every command that a script of the container runs, with its arguments, goes into $trace/log.
trace=$work/trace
mkdir -m 1777 "$trace"
install -m 666 /dev/null "$trace/log"
echo 'exec 7>>/trace/log; BASH_XTRACEFD=7; set -x' >"$trace/on.sh"

use_system first
cat "$system/secrets/hsm_pin" "$system/secrets/hsm_so_pin" >"$work/all_pins"
mkdir "$work/initdb.d"
echo "$create" >"$work/initdb.d/50-app.sql"
start -v "$work/initdb.d/50-app.sql:/docker-entrypoint-initdb.d/50-app.sql:ro" -e POSTGRES_USER=owner \
    -e POSTGRES_INITDB_ARGS=--auth-host=scram-sha-256 -v "$trace:/trace" -e BASH_ENV=/trace/on.sh
ok 'first start: the server comes up' wait_ready
ok 'first start: the health check decrypts a value' healthy
ok 'first start: the log says that a token was made, and to back it up' logged 'made the token '
ok 'first start: the database of POSTGRES_DB is set up with that token' logged 'the database app is set up with the token '
sql() { inside gosu postgres psql -XAtq -U owner -d app -v ON_ERROR_STOP=1 -c "$1"; }
is 'first start: a script of the user in /docker-entrypoint-initdb.d may encrypt' "$(decrypted)" 'kept over restarts'
is 'first start: flags of the command reach the server' "$(sql 'SHOW fsync')" off
is 'first start: no process of the server is root' \
    "$(ps -o uid= -p "$(server_pid)" --ppid "$(server_pid)" | sort -u | tr -d ' ')" 999
ok 'first start: the password of POSTGRES_PASSWORD_FILE is asked for, and opens' \
    test "$(inside env PGPASSWORD="$(pin db_password)" psql -XAtq -h 127.0.0.1 -U owner -d app -c 'SELECT 1')" = 1
ok 'first start: a wrong password does not open' \
    not inside env PGPASSWORD=wrong psql -XAtq -h 127.0.0.1 -U owner -d app -c 'SELECT 1'
ok 'first start: the commands of its scripts were seen' grep -q 'trustpoint-token .* init trustpoint' "$trace/log"
ok 'first start: no PIN is in the arguments of a command' not grep -qFf "$work/all_pins" "$trace/log"
ok 'first start: no PIN is in the environment of the server' \
    not grep -qaFf "$work/all_pins" "/proc/$(server_pid)/environ"
mine=$(tr '\0' '\n' <"/proc/$(server_pid)/environ" | sed -n 's/^HSM_[A-Z_]*_FILE=//p')
is 'the server has one PIN, a copy in memory that postgres may read and not change' \
    "$(stat -c '%a %u %g' "/proc/$(server_pid)/root$mine") $(stat -f -c %T "/proc/$(server_pid)/root$mine")" '440 0 999 tmpfs'
root=$(b mount "$container")
ok 'no PIN is in the log, the container or a volume' \
    not grep -rqFf "$work/all_pins" "$log" "$root" "$system/data" "$system/tokens"
ok 'the search finds what is there' grep -rqF "$(cut -d ' ' -f 1 "$system/data/trustpoint.token")" "$system/data"
stop
is 'SIGINT stops it in good order' "$status" 0

# ---- second start

start
ok 'volumes kept: the server comes up' wait_ready
is 'volumes kept: the old value is decrypted' "$(decrypted)" 'kept over restarts'
ok 'volumes kept: no second token is made' not logged 'made the token'
dump=$work/dump.sql
inside gosu postgres pg_dump -U owner app >"$dump"
stop
start -e PGPORT=1 -e POSTGRES_USER=owner -- "${default_command[@]}" -c listen_addresses=127.0.0.1 -c fsync=off \
    -c "port=$port" -c unix_socket_directories=/tmp
ok 'flags for port and socket folder: the server comes up' wait_ready
ok 'flags for port and socket folder: the health check finds it' healthy
stop

# ---- one of them lost

token=$(cat "$system/data/trustpoint.token")
mv "$system/tokens/tokens" "$work/backup_of_tokens"
start
ok 'token lost: the container ends' refused
ok 'token lost: the log names the token that is missing' logged "has its keys in the token $token."
ok 'token lost: the log says what to do' logged 'Restore the token volume'
ok 'token lost: no new token is made over it' not compgen -G "$system/tokens/tokens/*"
rm -rf "$system/tokens/tokens"
cp -a "$work/backup_of_tokens" "$system/tokens/tokens"
chown -R root: "$system/tokens/tokens"  # as a restore by root leaves it
start
ok 'token restored: the server comes up' wait_ready
is 'token restored: the old value is decrypted' "$(decrypted)" 'kept over restarts'
stop

mv "$system/data" "$work/data_of_first"
install -d -o 999 -g 999 "$system/data"
start
ok 'data lost: the server comes up with the kept token' wait_ready
ok 'data lost: the log says which token was kept, and what to do' logged "kept the token ${token% *} trustpoint; the data volume is empty"
ok 'data lost: the new database is healthy' healthy
options+=(-v "$dump:/dump.sql:ro")
inside gosu postgres psql -Xq -d app -f /dump.sql >"$work/restore.log"
sql() { inside gosu postgres psql -XAtq -d app -v ON_ERROR_STOP=1 -c "$1"; }
is 'data lost: a dump of the old database is restored beside the new keys, and decrypted' "$(decrypted)" 'kept over restarts'
stop

# ---- given up: the procedure of docker/README.md

use_system given_up
cp -a "$work/data_of_first" "$system/data.new" && rm -rf "$system/data" && mv "$system/data.new" "$system/data"
rm "$system/data/trustpoint.token"
start -e POSTGRES_USER=owner
ok 'given up: without its note the server comes up with a new token' wait_ready
ok 'given up: the log says how to go on, and that the keys may be in another token' logged 'If it has, they are in another token'
ok 'given up: the health check fails' unhealthy
ok 'given up: the log says why' logged 'is not in the token'
sql() { inside gosu postgres psql -XAtq -U owner -d app -v ON_ERROR_STOP=1 -c "$1"; }
sql 'DELETE FROM tp_dek; DELETE FROM tp_kek; SELECT tp_setup()' >"$work/given_up.log"
is 'given up: a new set-up encrypts again' "$(sql "SELECT tp_decrypt(tp_encrypt('new', ''), '')")" new
stop

# ---- the wrong ones together

use_system second
start
ok 'a second system: the server comes up' wait_ready
stop
mv "$system/data" "$work/data_of_second"
cp -a "$work/data_of_first" "$system/data"
start
ok 'foreign token: the container ends' refused
ok 'foreign token: the log names both tokens' logged "has its keys in the token $token,"
ok 'foreign token: the log says what to do' logged 'Restore the ones that belong together.'

# ---- a process was killed while it logged in

use_system first
: >"$(echo "$system"/tokens/tokens/*/token.object)"
start
ok 'killed in a login: the server comes up' wait_ready
ok 'killed in a login: the log says what was put back' logged 'SoftHSM had left 1 token file(s) empty'
sql() { inside gosu postgres psql -XAtq -d app -v ON_ERROR_STOP=1 -c "$1"; }
is 'killed in a login: the old value is decrypted' "$(decrypted)" 'kept over restarts'
stop

# ---- two tokens in the volume

use_system first
cp -a "$work/system.second/tokens/tokens/." "$system/tokens/tokens/"
second="pkcs11:serial=$(cut -d ' ' -f 1 "$work/data_of_second/trustpoint.token")"
start
ok 'two tokens: the server comes up' wait_ready
ok 'two tokens: it is healthy with the one that its database has its keys in' healthy
is 'two tokens: the old value is decrypted' "$(decrypted)" 'kept over restarts'
stop
start -- "${default_command[@]}" -c listen_addresses=127.0.0.1 -c fsync=off -c "trustpoint.token=$second"
ok 'two tokens, a flag that names one: the server comes up' wait_ready
is 'two tokens, a flag that names one: the flag holds' "$(sql 'SHOW trustpoint.token')" "$second"
stop

# ---- a process was killed while it made the token

# The folders of two: one in C_InitToken, one after it.
half_made() {
    local conf=$work/half_made.conf
    install -d "$system/tokens/tokens/7e6c2f2e-5c1b-4e0e-9c1c-000000000000"
    : >"$system/tokens/tokens/7e6c2f2e-5c1b-4e0e-9c1c-000000000000/token.object"
    echo "directories.tokendir = $system/tokens/tokens" >"$conf"
    SOFTHSM2_CONF=$conf pkcs11-tool --module /usr/lib/softhsm/libsofthsm2.so --init-token --slot-index 0 \
        --label trustpoint --so-pin 12345678 >"$work/half_made.log" 2>&1
}
use_system half_made
half_made
start
ok 'half-made token: the server comes up with a new one' wait_ready
ok 'half-made token: the log says so' logged 'of a token that was not made to its end'
ok 'half-made token: it is healthy' healthy
is 'half-made token: nothing is left of it' "$(ls "$system/tokens/tokens" | wc -l)" 1
stop
rm -rf "$system/tokens/tokens"
half_made
start
ok 'half-made token, and a database with keys: the container ends' refused
ok 'half-made token, and a database with keys: the log says what is missing' logged 'the token volume holds no key, but the database'
is 'half-made token, and a database with keys: it is left as it is' "$(ls "$system/tokens/tokens" | wc -l)" 2

use_system third
cp -a "$work/backup_of_tokens" "$system/tokens/tokens"
token_file=$(echo "$system"/tokens/tokens/*/token.object)
: >"$token_file"
rm "$token_file.trustpoint"
start
ok 'damaged token: the container ends' refused
ok 'damaged token: the log says so' logged 'the token volume holds files, but no token that SoftHSM can read'
ok 'damaged token: it is left as it is' test -e "$token_file"
