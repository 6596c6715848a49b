# Secrets that are wrong, missing or unreadable, and users other than root.

sql() { inside gosu postgres psql -XAtq -d app -v ON_ERROR_STOP=1 -c "$1"; }

# ---- the PIN

# In memory that outlives the container, and serves others.
mkdir "$work/memory"
mount -t tmpfs -o mode=1777 tmpfs "$work/memory"
with_memory=("${memory[@]}")
memory=(-v "$work/memory:/run/trustpoint")

use_system pins
right=$(pin hsm_pin)
rm "$system/secrets/hsm_so_pin"
start
ok 'no SO PIN, empty volume: the container ends' refused
ok 'no SO PIN, empty volume: the log names the secret' logged 'there is no PIN: /run/secrets/hsm_so_pin does not exist.'
secret hsm_so_pin 123
start
ok 'SO PIN too short: the container ends' refused
ok 'SO PIN too short: the log says what is wrong' logged 'The token takes PINs of 4 to 255 bytes'
ok 'SO PIN too short: there is no half-made token' not compgen -G "$system/tokens/tokens/*"
is 'SO PIN too short: no copy of a PIN stays in memory' "$(ls "$work/memory")" ''
secret hsm_so_pin "$(openssl rand -hex 12)"
mkdir "$work/memory/pins-left" "$work/memory/pins-held"
exec {held}<"$work/memory/pins-held"
flock "$held"
start
ok 'mended: the server comes up' wait_ready
ok 'mended: the copies that a server left are removed' not test -e "$work/memory/pins-left"
ok 'mended: those that a server uses stay' test -e "$work/memory/pins-held"
exec {held}<&-
rmdir "$work/memory/pins-held"
ok 'mended: this server keeps its own from others' not flock -n "$(echo "$work"/memory/pins-*)" true
stop
memory=("${with_memory[@]}")

rm "$system/secrets/hsm_so_pin"
start
ok 'no SO PIN, token there: the server comes up, as it needs none' wait_ready
stop

secret hsm_pin wrong-pin
start
ok 'wrong PIN: the container ends' refused
ok 'wrong PIN: the log says whose PIN the token refused' logged "refused the PIN of the secret hsm_pin."
ok 'wrong PIN: the log does not show it' not logged wrong-pin
secret hsm_pin ''
start
ok 'empty PIN: the container ends' refused
ok 'empty PIN: the log says so' logged 'Its first line is empty.'
rm "$system/secrets/hsm_pin"
start
ok 'no PIN: the container ends' refused
ok 'no PIN: the log names the secret, and the variable' logged 'Give the container the secret hsm_pin, or name the file with the PIN in HSM_PIN_FILE'
start -v "$system/secrets:/run/secrets/hsm_pin:ro"
ok 'a folder for a PIN: the container ends' refused
ok 'a folder for a PIN: the log says so' logged 'the PIN in /run/secrets/hsm_pin cannot be read'
(umask 077 && printf '%s\r\nsecond line\n' "$right" >"$system/secrets/elsewhere")
start -e HSM_PIN_FILE=/run/secrets/elsewhere
ok 'the PIN in another file, of mode 0600 and with a Windows line end: the server comes up' wait_ready
ok 'the PIN in another file: the health check decrypts a value' healthy
stop

# ---- what is no server, and no tmpfs

start -- "${default_command[@]}" --version
wait_ended
ok 'postgres --version needs no PIN' logged 'postgres (PostgreSQL)'
start -- bash -c 'echo "user $(id -u)"'
wait_ended
ok 'another command runs as it does in the base image' logged 'user 0'
mkdir -m 1777 "$work/disk"
without_disk=("${entrypoint[@]}")
memory=()
entrypoint=(unshare --mount sh -c 'mount --bind /disk /dev/shm && exec "$@"' sh "${entrypoint[@]}")
start --cap-add CAP_SYS_ADMIN -v "$work/disk:/disk" -e HSM_PIN_FILE=/run/secrets/elsewhere
ok 'no memory file system: the container ends and puts no PIN on a disk' refused
ok 'no memory file system: the log says what to do' logged '--tmpfs /run/trustpoint'
is 'no memory file system: nothing is on the disk' "$(ls -A "$work/disk")" ''
memory=("${with_memory[@]}") entrypoint=("${without_disk[@]}")

# ---- scripts of the user that hide the image's own

use_system hidden
mkdir "$work/scripts"
start -v "$work/scripts:/docker-entrypoint-initdb.d:ro"
ok 'a folder over /docker-entrypoint-initdb.d: the server comes up' wait_ready
ok 'a folder over /docker-entrypoint-initdb.d: the log says what is missing' logged 'is hidden, so the extension is not created'
ok 'a folder over /docker-entrypoint-initdb.d: it is not healthy' unhealthy
stop

# ---- --user

use_system user
chown 4711:4711 "$system/data"
start --user 4711:4711
ok 'an arbitrary user: the server comes up' wait_ready
ok 'an arbitrary user: the health check decrypts a value' healthy
is 'an arbitrary user: the server runs as that user' "$(stat -c %u "/proc/$(server_pid)")" 4711
is 'an arbitrary user: the token is closed to others' "$(stat -c %a "$system/tokens/tokens")" 700
stop
start --user 4712:4712
ok 'another user: the container ends' refused
ok 'another user: the log says whose token it is' logged 'the token folder /var/lib/trustpoint/tokens cannot be used by user 4712: mode 700, owner 4711.'
