# Builds the image, as docker/README.md says, and looks at it.

if ! bash test/container/base_image "$suite" "$major" >"$work/base.log" 2>&1; then
    tail -n 40 "$work/base.log" | sed 's/^/# /'
    echo 'Bail out! no base image'
    exit 1
fi
echo "# base image: $((SECONDS - started)) s"

mkdir -p "$work/context"
# A context with secrets in it, as a user's has.
tar -cf - --exclude-vcs --exclude=./build --exclude=./tmp_check . | tar -xf - -C "$work/context"
canary=$(openssl rand -hex 12)
printf '%s\n' "$canary" | tee "$work/context/docker/secrets/hsm_pin" >"$work/context/docker/secrets/hsm_so_pin"
b bud --format docker --pull-never --build-arg "PG_MAJOR=$major" --build-arg "DEBIAN=$suite" \
    -f "$work/context/docker/Dockerfile" -t "$image" "$work/context" >"$work/build.log" 2>&1 </dev/null
built=$?
log=$work/build.log
ok 'the Dockerfile builds' test "$built" = 0
log=
((built == 0)) || { echo 'Bail out! no image'; exit 1; }

config() { b inspect --type image --format "$1" "$image"; }
size() { b images --format '{{.Size}}' "$1"; }
echo "# size: $(size "$image"), of it the base $(size "docker.io/library/postgres:$major-$suite")"

words() { tr -d '[]' <<<"$1"; }
read -ra entrypoint <<<"$(words "$(config '{{.Docker.Config.Entrypoint}}')")"
read -ra default_command <<<"$(words "$(config '{{.Docker.Config.Cmd}}')")"
is 'its command is the base image'"'"'s' "${default_command[*]}" postgres
is 'it is stopped as the base image is' "$(config '{{.Docker.Config.StopSignal}}')" SIGINT
ok 'it has a health check' test "$(config '{{.Docker.Config.Healthcheck.Test}}')" = '[CMD trustpoint-healthcheck]'
ok 'tokens have a volume of their own' grep -q /var/lib/trustpoint <<<"$(config '{{.Docker.Config.Volumes}}')"

container=$(b from --pull-never "$image")
root=$(b mount "$container")
ok 'a secret that lies in the build context is in no layer' not grep -rqF "$canary" "$root" "$work/store/overlay-images"
ok 'no compiler and no package lists are left in it' not compgen -G "$root/usr/bin/g++*"
b umount "$container" >/dev/null
