# What tests/run prints, how long each step took, and what must be stopped at the end.
# All of it goes to stderr; stdout belongs to the tests and to --prepare.

steps=()        # "seconds<TAB>step"
stoppers=()     # commands run at the end, last first

say() { printf '%s\n' "$*" >&2; }
note() { say "tests/run: $*"; }
die() { say "tests/run: error: $*"; exit 1; }

# Runs a function as a named step. It runs in this shell, so that `set -e` and its variables hold.
step() {
    local name=$1 began=$SECONDS
    shift
    note "$name"
    "$@"
    steps+=("$((SECONDS - began))"$'\t'"$name")
}

# Registers a command for the end, whatever ends the script.
at_end() { stoppers+=("$*"); }

stop_everything() {
    local status=$? i
    trap - EXIT INT TERM HUP
    for ((i = ${#stoppers[@]} - 1; i >= 0; i--)); do
        eval "${stoppers[i]}" || true
    done
    exit "$status"
}

# Root for the few things that need it; an empty prefix when we are root already.
sudo=()
need_root() {
    if [[ $EUID -eq 0 ]]; then return; fi
    command -v sudo >/dev/null || die "$1 needs root: run tests/run as root, or install sudo"
    sudo=(sudo --preserve-env=DEBIAN_FRONTEND,K8ORC_TEST_DIR,CONTAINERS_CONF)
}

# The scratch directory, with a lock: two runs at once would stop each other's registries.
open_test_dir() {
    export K8ORC_TEST_DIR=${K8ORC_TEST_DIR:-${TMPDIR:-/tmp}/k8orc-tests-$UID}
    mkdir -p "$K8ORC_TEST_DIR"
    K8ORC_TEST_DIR=$(cd "$K8ORC_TEST_DIR" && pwd)
    [[ -O $K8ORC_TEST_DIR ]] || die "$K8ORC_TEST_DIR belongs to somebody else; set K8ORC_TEST_DIR"
    exec 9>"$K8ORC_TEST_DIR/lock"
    if ! flock --nonblock 9; then
        note "another run uses $K8ORC_TEST_DIR; waiting for it (K8ORC_TEST_DIR names another directory)"
        flock 9
    fi
    # A skipped test appends "need<TAB>reason<TAB>test" here: tests/src/peers/need.rs.
    export K8ORC_TEST_SKIPS=$K8ORC_TEST_DIR/skips.txt
    : >"$K8ORC_TEST_SKIPS"
}

# `made NAME RECIPE…`: is the stamp of NAME the hash of the files and words of its recipe?
# An input is thus made again when, and only when, what makes it has changed.
made() { [[ -e $K8ORC_TEST_DIR/$1 && $(cat "$K8ORC_TEST_DIR/$1.stamp" 2>/dev/null) == "$(recipe "${@:2}")" ]]; }
stamp() { recipe "${@:2}" >"$K8ORC_TEST_DIR/$1.stamp"; }
recipe() {
    local part
    for part in "$@"; do
        if [[ -f $part ]]; then cat "$part"; else printf '%s\n' "$part"; fi
    done | sha256sum | cut -d' ' -f1
}
