# Sourced by what prints TAP from the shell: test/container/run, test/package/run.
tests=${tests:-0}
failures=0
ok() {  # ok NAME COMMAND ...: passed when the command succeeds
    local name=$1
    tests=$((tests + 1))
    if "${@:2}" >/dev/null; then
        echo "ok $tests - $name"
    else
        failures=$((failures + 1))
        echo "not ok $tests - $name"
        echo "#   ${*:2}"
        [[ ! -s ${log:-} ]] || tail -qn 40 "$log.buildah" "$log" 2>/dev/null | sed 's/^/#   /'
    fi
}
is() {  # is NAME GOT WANTED
    ok "$1" test "$2" = "$3"
}
contains() { [[ $1 == *"$2"* ]]; }
not() { ! "$@"; }
