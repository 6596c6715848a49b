# Another HSM: p11-kit's server in a process of its own, and in the container its client as the module. Two settings,
# HSM_MODULE and HSM_TOKEN, and no SO PIN.

client=$(compgen -G '/usr/lib/*/pkcs11/p11-kit-client.so' | head -n 1)
hsm=$work/hsm
install -d -o 999 -g 999 "$hsm" "$hsm/tokens"
printf '%s\n' "directories.tokendir = $hsm/tokens" 'objectstore.backend = file' 'log.level = ERROR' >"$hsm/softhsm2.conf"
# Its own tools initialise it. The server lets in the user that it runs as.
as_hsm() { env SOFTHSM2_CONF="$hsm/softhsm2.conf" HOME="$hsm" XDG_RUNTIME_DIR="$hsm" setpriv --reuid=999 --regid=999 --clear-groups "$@"; }
hsm_pin=$(openssl rand -hex 12)
as_hsm softhsm2-util --init-token --free --label production --pin "$hsm_pin" --so-pin "$(openssl rand -hex 12)" >/dev/null
start_hsm() {
    set -m
    as_hsm p11-kit server -f -n "$hsm/socket" -p /usr/lib/softhsm/libsofthsm2.so 'pkcs11:token=production' >"$work/hsm.log" 2>&1 &
    set +m
    hsm_job=$!
    jobs_started+=("$hsm_job")
    until [[ -S $hsm/socket ]] || ! kill -0 "$hsm_job" 2>/dev/null; do sleep 0.1; done
}
stop_hsm() {
    kill -- "-$hsm_job"
    wait "$hsm_job"
    rm -f "$hsm/socket"
}
hsm_options=(-v "$client:/opt/hsm/module.so:ro" -v "$hsm:/run/hsm" -e P11_KIT_SERVER_ADDRESS=unix:path=/run/hsm/socket
    -e HSM_MODULE=/opt/hsm/module.so -e HSM_TOKEN=production)

use_system hsm
rm "$system/secrets/hsm_so_pin"
start_hsm
start "${hsm_options[@]}" -e HSM_MODULE=/opt/hsm/other.so
ok 'another HSM, its module not mounted: the container ends' refused
ok 'another HSM, its module not mounted: the log says so' logged 'HSM_MODULE names /opt/hsm/other.so, which is not a file'

sql_fails() { running && ! sql "$1"; }

# ---- a wrong PIN locks many an HSM, so it must be sent once only

secret hsm_pin wrong-pin
start "${hsm_options[@]}"
ok 'another HSM, wrong PIN: the server comes up, with its databases whole' wait_ready
ok 'another HSM, wrong PIN: the log says that it is not set up, and why' logged 'CKR_PIN_INCORRECT'
ok 'another HSM, wrong PIN: the log says what to do' logged 'run in it: SELECT tp_setup();'
ok 'another HSM, wrong PIN: it is not healthy' unhealthy
ok 'another HSM, wrong PIN: it was not sent again' sql_fails 'SELECT tp_setup()'
ok 'another HSM, wrong PIN: the log says so' logged 'it was not sent again'
stop
secret hsm_pin "$hsm_pin"
start "${hsm_options[@]}"
ok 'another HSM, the PIN mended: the server comes up' wait_ready
ok 'another HSM, the PIN mended: tp_setup() is repeated by hand' test "$(sql 'SELECT tp_setup() > 0')" = t
ok 'another HSM, the PIN mended: it is healthy' healthy
stop

# ---- as it should be

rm -rf "$system/data"
install -d -o 999 -g 999 "$system/data"
start "${hsm_options[@]}"
ok 'another HSM: the server comes up' wait_ready
ok 'another HSM: the health check decrypts a value' healthy
is 'another HSM: the key is in its token' "$(sql 'SELECT label FROM tp_hsm_info()')" production
is 'another HSM: the module is the mounted one' "$(sql 'SHOW trustpoint.pkcs11_module')" /opt/hsm/module.so
ok 'another HSM: no SoftHSM token is made' not test -e "$system/tokens/tokens"
sql "$create"
stop

stop_hsm
start "${hsm_options[@]}"
ok 'another HSM, away: the server comes up' wait_ready
ok 'another HSM, away: it is not healthy' unhealthy
ok 'another HSM, away: the log says what to look at' logged 'HINT:  Check trustpoint.token, that the token is connected'
start_hsm
ok 'another HSM, back: it is healthy, without a new start' healthy
is 'another HSM, back: the old value is decrypted' "$(decrypted)" 'kept over restarts'
stop
stop_hsm
