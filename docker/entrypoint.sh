#!/bin/bash
# Runs before the postgres image's own entrypoint, and hands over to it: makes the PINs readable for the server alone,
# and sees to it that the token is the one that the database needs. A PIN is never in an argument, in the environment or
# in the log. Names, volumes and what each message asks for: docker/README.md.
set -euo pipefail

softhsm=/usr/lib/softhsm/libsofthsm2.so
module=${HSM_MODULE:-$softhsm}
label=${HSM_TOKEN:-trustpoint}
tokens=/var/lib/trustpoint/tokens
# $PGDATA/trustpoint.token, written at the first start: serial and label of the token that holds the KEK.
note=${PGDATA:-}/trustpoint.token
noted=  # that token, where the volume holds more than one

say() { printf 'trustpoint: %s\n' "$@" >&2; }
# refuse WHAT_IS_WRONG WHAT_TO_DO ...
refuse() {
    say "error: $1" "${@:2}"
    exit 1
}

as_root() { ((EUID == 0)); }
# What touches the token runs as the server's user, as its files belong to whoever made them.
as_server() { if as_root; then gosu postgres "$@"; else "$@"; fi; }
token() { HSM_PIN_FILE=$private/hsm_pin HSM_SO_PIN_FILE=$private/hsm_so_pin as_server trustpoint-token "$module" "$@"; }

# The same question that the image's entrypoint asks.
starts_server() {
    local argument
    [[ ${1:-} == postgres ]] || return 1
    for argument; do
        case $argument in -'?' | --help | --describe-config | -V | --version) return 1 ;; esac
    done
}

# ---------------------------------------------------------------- PINs

# Docker's secrets are open to everyone in the container, or to root alone; trustpoint refuses the first and cannot read
# the second. So the server gets copies of its own, in memory: nothing of them stays in a layer of the container.
private=
find_private_folder() {
    local folder left
    for folder in /run/trustpoint /dev/shm; do
        [[ -w $folder && $(stat -f -c %T "$folder") == tmpfs ]] || continue
        # The memory may outlive the container, and serve others: a server holds its folder, what nobody holds was left.
        for left in "$folder"/pins-*; do
            [[ ! -d $left ]] || flock -n "$left" rm -rf "$left" 2>/dev/null || true
        done
        private=$(mktemp -d "$folder/pins-XXXXXX")
        trap 'rm -rf "$private"' EXIT  # unless the server takes over
        exec {held}<"$private"
        flock -n "$held"
        chmod 0711 "$private"
        return
    done
    refuse 'there is no memory file system for the PINs: neither /run/trustpoint nor /dev/shm is a tmpfs.' \
        'Add one: tmpfs: /run/trustpoint (compose), --tmpfs /run/trustpoint (docker run).'
}

# copy_pin VARIABLE NAME: from $VARIABLE, or the secret NAME, to $private/NAME.
copy_pin() {
    local from=${!1:-/run/secrets/$2} to=$private/$2
    [[ -e $from ]] || refuse "there is no PIN: $from does not exist." \
        "Give the container the secret $2, or name the file with the PIN in $1 (docker/README.md)."
    [[ -f $from && -r $from ]] || refuse "the PIN in $from cannot be read by user $(id -u): $(stat -Lc 'mode %a, owner %u, %F' "$from")." \
        'It must be a file that the user of the container may read.'
    (umask 077 && cat "$from" >"$to")
    if as_root; then
        chown root:postgres "$to" && chmod 0440 "$to"  # postgres may read it, and not change it
    else
        chmod 0400 "$to"
    fi
}

# ---------------------------------------------------------------- the SoftHSM token

prepare_token_folder() {
    mkdir -p "$tokens" 2>/dev/null ||
        refuse "user $(id -u) cannot write to the token volume ${tokens%/*}: $(stat -c 'mode %a, owner %u' "${tokens%/*}")." \
            'Make the volume writable for that user, or start the container without --user.'
    if as_root; then find "$tokens" ! -user postgres -exec chown -h postgres: '{}' +; fi
    chmod 0700 "$tokens" 2>/dev/null || true
    as_server test -r "$tokens" -a -w "$tokens" ||
        refuse "the token folder $tokens cannot be used by user $(id -u): $(stat -c 'mode %a, owner %u' "$tokens")." \
            'A token belongs to the user who made it: start the container as that user.'
}

has_database() { [[ -s ${PGDATA:-}/PG_VERSION ]]; }

# The token volume is empty, or holds the files of tokens alone: SoftHSM keeps each key in a file of its own.
holds_no_key() {
    local others
    others=$(as_server find "$tokens" ! -type d \
        ! -regex '.*/\(generation\|token\.\(lock\|object\|object\.trustpoint\|object\.trustpoint\.new\)\)') && [[ ! $others ]]
}

make_token() {
    if [[ -s $note ]]; then
        refuse "the token volume holds no key, but the database in $PGDATA has its keys in the token $(<"$note")." \
            'Without that token its encrypted values cannot be decrypted.' \
            "Restore the token volume (${tokens%/*}) from its backup and start again." \
            "To give all encrypted values up for good instead, delete $note."
    fi
    copy_pin HSM_SO_PIN_FILE hsm_so_pin
    if compgen -G "$tokens/*" >/dev/null; then
        say "removing what is left in $tokens of a token that was not made to its end, and holds no key."
        as_server find "$tokens" -mindepth 1 -delete
    fi
    local made
    made=$(token init "$label" 2>&1) ||
        refuse "the token was not initialised: $made" 'Both PINs are 4 to 255 bytes, the first line of their files.'
    rm -f "$private/hsm_so_pin"
    say "made the token $made in ${tokens%/*}: back this volume up now, and the PIN with it."
    if has_database; then
        say 'the database was there before and has no trustpoint.token note. If it has no keys yet, run in it:' \
            '    CREATE EXTENSION IF NOT EXISTS trustpoint; SELECT tp_setup();' \
            'If it has, they are in another token: restore that one.'
    fi
}

# check_token FOUND: the tokens in the volume, one a line.
check_token() {
    local found=$1 serial status=0 answer folders=("$tokens"/*/)
    if [[ -s $note ]]; then
        serial=$(<"$note")
        serial=${serial%% *}
        grep -q "^$serial " <<<"$found" ||
            refuse "this is another token: the database in $PGDATA has its keys in the token $(<"$note")," \
                "but the token volume holds ${found//$'\n'/ and }." \
                'Token and data are from different systems or backups. Restore the ones that belong together.' \
                "To give all encrypted values up for good instead, delete $note."
        ((${#folders[@]} == 1)) || noted=pkcs11:serial=$serial
    elif has_database; then
        say "using the token ${found//$'\n'/ and }; the database has no trustpoint.token note to compare it with."
    else
        say "kept the token ${found//$'\n'/ and }; the data volume is empty, so a new database is made." \
            'If there was a database before, restore it: what it encrypted under this token can be decrypted again.'
    fi
    # Of several without a note, which one the server uses is not known here, nor whose PIN it is.
    [[ ${serial:-} || $found != *$'\n'* ]] || return 0
    serial=${serial:-${found%% *}}
    answer=$(token login "$serial" 2>&1) || status=$?
    ((status != 3)) ||
        refuse "the token $serial refused the PIN of the secret hsm_pin." \
            'Put back the PIN that it was initialised with. If the PIN is right, the token volume is from elsewhere.'
    ((status == 0)) || refuse "the token $serial cannot be used: $answer"
}

prepare_softhsm() {
    local found
    prepare_token_folder
    found=$(token list) || refuse 'SoftHSM does not start, for the reason above.'
    if [[ $found ]]; then
        check_token "$found"
    elif holds_no_key; then
        make_token
    else
        refuse "the token volume holds files, but no token that SoftHSM can read: $(cd "$tokens" && echo *)." \
            'A token is damaged when its token.object is empty, and the copy of it, token.object.trustpoint, is gone.' \
            "Restore the token volume (${tokens%/*}) from its backup. It was left as it is."
    fi
}

# ---------------------------------------------------------------- another HSM

# Its own tools initialise it, and the database server meets it first: a PIN is never tried here, as a container that is
# started again and again with a wrong one would lock the token.
prepare_hsm() {
    [[ $module == /* && -f $module ]] && as_server test -r "$module" ||
        refuse "HSM_MODULE names $module, which is not a file that the server can read." \
            'Mount the PKCS#11 library into the container and give its absolute path in it.'
    say "using the PKCS#11 module $module${HSM_TOKEN:+ and its token $HSM_TOKEN}."
}

# ---------------------------------------------------------------- main

[[ ${1:-} != -* ]] || set -- postgres "$@"
if starts_server "$@"; then
    [[ -e /docker-entrypoint-initdb.d/00-trustpoint.sh ]] || has_database ||
        say 'warning: /docker-entrypoint-initdb.d/00-trustpoint.sh is hidden, so the extension is not created.' \
            'Mount your own scripts into that folder one by one.'
    find_private_folder
    copy_pin HSM_PIN_FILE hsm_pin
    if [[ $module == "$softhsm" ]]; then
        prepare_softhsm
    else
        prepare_hsm
        set -- "$@" -c "trustpoint.pkcs11_module=$module"
    fi
    if [[ ${HSM_TOKEN:-} ]]; then
        set -- "$@" -c "trustpoint.token=$HSM_TOKEN"
    elif [[ $noted && ! $(as_server "$@" -C trustpoint.token 2>/dev/null) ]]; then
        # Unless a flag or a file of the server names one.
        set -- "$@" -c "trustpoint.token=$noted"
    fi
    # From the server's environment trustpoint takes its default. The SO PIN is of no use to a server.
    export HSM_PIN_FILE=$private/hsm_pin
    unset HSM_SO_PIN_FILE
fi
exec docker-entrypoint.sh "$@"
