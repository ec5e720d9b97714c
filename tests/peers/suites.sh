# The variables that hand the inputs to the tests, the suites themselves, and the summary.

variables=(
    K8ORC_TEST_DIR K8ORC_TEST_SKIPS K8ORC_TEST_BIN K8ORC_TEST_BASES K8ORC_TEST_PYTHON K8ORC_TEST_CONTAINERS_CONF
    K8ORC_TEST_BOOKWORM K8ORC_TEST_TRIXIE K8ORC_TEST_RPM K8ORC_TEST_RPM_ROOT K8ORC_TEST_SERVERS K8ORC_TEST_ARM64
    K8ORC_TEST_IMAGES K8ORC_TEST_USER_FILE
    K8ORC_TEST_REGISTRY K8ORC_TEST_REGISTRY_AUTH K8ORC_TEST_REGISTRY_USER K8ORC_TEST_REGISTRY_PASSWORD
    K8ORC_TEST_DOCKER_CONFIG
)

export_variables() {
    K8ORC_TEST_BOOKWORM=$K8ORC_TEST_DIR/bookworm-nginx.tar
    K8ORC_TEST_TRIXIE=$K8ORC_TEST_DIR/trixie-nginx.tar
    K8ORC_TEST_RPM=$K8ORC_TEST_DIR/bookworm-rpm.tar
    K8ORC_TEST_RPM_ROOT=$K8ORC_TEST_DIR/rpm-ndb
    K8ORC_TEST_SERVERS=$K8ORC_TEST_DIR/bookworm-servers.tar
    K8ORC_TEST_ARM64=$K8ORC_TEST_DIR/bookworm-arm64.tar
    K8ORC_TEST_IMAGES=$K8ORC_TEST_DIR/images
    K8ORC_TEST_DOCKER_CONFIG=$K8ORC_TEST_DIR/docker-config
    K8ORC_TEST_CONTAINERS_CONF=$CONTAINERS_CONF
    K8ORC_TEST_BIN=${CARGO_TARGET_DIR:-$root/target}/debug/k8orc
    if [[ -n ${K8ORC_TEST_BASES-} ]]; then
        K8ORC_TEST_BASES=$(cd "$K8ORC_TEST_BASES" 2>/dev/null && pwd) || die "K8ORC_TEST_BASES is not a directory"
    fi
    export K8ORC_REQUIRE=${K8ORC_REQUIRE-}
    local name
    for name in "${variables[@]}"; do
        if [[ -n ${!name-} ]]; then export "${name?}"; fi
    done
    # What needs root is in the test programs; they are built by the user and run by sudo.
    if [[ ${#sudo[@]} -gt 0 ]]; then
        local host
        host=$(rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')
        export "CARGO_TARGET_${host}_RUNNER=sudo --preserve-env env PATH=$peers/bin:$PATH"
    fi
    # Credential helpers for the tests, found by name as Docker finds them.
    export PATH=$peers/bin:$PATH
}

print_variables() {
    local name
    for name in "${variables[@]}"; do
        if [[ -n ${!name-} ]]; then printf 'export %s=%q\n' "$name" "${!name}"; fi
    done
}

results=()      # "ok|FAILED<TAB>seconds<TAB>suite and what it counted"

# suite NAME COMMAND…: runs it to its end; a failure is remembered, and the next suite still runs.
# What libtest says is added up; a test that is #[ignore]d is one that was skipped.
suite() {
    local name=$1 began=$SECONDS verdict=ok log counted
    shift
    log=$K8ORC_TEST_DIR/suite-${name// /-}.log
    note "$name"
    "$@" 9>&- 2>&1 | tee "$log" || verdict=FAILED
    counted=$(awk '/^test result: /{n++; p += $4; f += $6; i += $8}
        END {if (n) print ": " p " passed, " f " failed, " i " ignored"}' "$log")
    if [[ -n $counted && $counted != *" 0 ignored" ]]; then verdict=FAILED; fi
    results+=("$verdict"$'\t'"$((SECONDS - began))"$'\t'"$name$counted")
}

run_suites() {
    # The integration tests run the binary, which `cargo test` alone need not build.
    suite "cargo build" cargo build --quiet --workspace
    suite "cargo test" cargo test --workspace --no-fail-fast
    suite "grammar" node editors/vscode/test/run.mjs
    suite "peer helpers" "$K8ORC_TEST_PYTHON" -m unittest discover --start-directory "$peers" --pattern 'test_*.py'
}

# One list of what ran, what was skipped and why; ends the script with 1 if anything failed, or was
# skipped for another reason than K8ORC_TEST_BASES.
summary() {
    local line status=0 need reason test
    say
    say "tests/run: summary"
    for line in "${steps[@]}"; do say "  prepared $(printf '%5s' "${line%%$'\t'*}") s  ${line#*$'\t'}"; done
    for line in "${results[@]}"; do
        IFS=$'\t' read -r verdict seconds test <<<"$line"
        say "  $(printf '%-8s %5s' "$verdict" "$seconds") s  $test"
        if [[ $verdict != ok ]]; then status=1; fi
    done
    if [[ -s $K8ORC_TEST_SKIPS ]]; then
        while IFS=$'\t' read -r need reason test; do
            say "  skipped           $test: $reason"
            if [[ $need != K8ORC_TEST_BASES ]]; then
                say "                    (only cases that need K8ORC_TEST_BASES may be skipped here)"
                status=1
            elif [[ $K8ORC_REQUIRE == all ]]; then
                say "                    (K8ORC_REQUIRE=all allows no skip)"
                status=1
            fi
        done < <(sort -u "$K8ORC_TEST_SKIPS")
    else
        say "  nothing was skipped"
    fi
    if [[ $status -eq 0 ]]; then say "tests/run: passed"; else say "tests/run: FAILED"; fi
    exit "$status"
}
