#!/bin/sh
# Sets up and passes every test: the engine's parts in C under sanitizers, style and types, the build, and the tests in
# TypeScript with the engine, the network and QEMU. The last line is "N passed, N failed".
set -u
ROOT=$(cd "$(dirname "$0")/.." && pwd)
. "$ROOT/build/env.sh"
sh "$ROOT/build/setup.sh" || exit 1
cd "$ROOT" || exit 1

log=$(mktemp)
trap 'rm -f "$log" "$log".*' EXIT
passed=0
failed=0

# count EXPRESSION: the sum of the numbers that the sed expression finds in the log.
count() {
    sed -n "$1" "$log" | awk '{ sum += $1 } END { print sum + 0 }'
}

# step NAME COMMAND...: shows what the command says and keeps it in the log; a step that fails without counting counts as one failure.
step() {
    name=$1
    shift
    say "test: $name"
    status=$log.status
    { "$@" 2>&1; echo $? >"$status"; } | tee "$log"
    code=$(cat "$status")
    rm -f "$status"
    # A C test program says "12 passed, 0 failed"; Deno says "ok | 12 passed (3 steps) | 0 failed (2s)".
    step_passed=$(count 's/^\(ok | \|FAILED | \)\{0,1\}\([0-9][0-9]*\) passed.*/\2/p')
    step_failed=$(count 's/^.*[0-9] passed\( ([0-9]* steps\{0,1\})\)\{0,1\}\(,\| |\) \([0-9][0-9]*\) failed.*/\3/p')
    if [ "$code" = 0 ] && [ "$step_passed" = 0 ]; then
        step_passed=1
    fi
    if [ "$code" != 0 ] && [ "$step_failed" = 0 ]; then
        step_failed=1
    fi
    [ "$code" = 0 ] || say "test: $name failed with code $code"
    passed=$((passed + step_passed))
    failed=$((failed + step_failed))
}

# aside KEY NICENESS COMMAND...: begins it beside the steps; `gathered KEY NAME` counts it when it has ended.
aside() {
    key=$1
    niceness=$2
    shift 2
    { nice -n "$niceness" "$@" >"$log.$key" 2>&1; echo $? >"$log.$key-code"; } &
    echo $! >"$log.$key-pid"
}

gathered() {
    wait "$(cat "$log.$1-pid")"
    step "$2" sh -c 'cat "$0"; exit "$(cat "$0-code")"' "$log.$1"
}

step "formatting, lint, types, tidiness" deno task --quiet check
# Compiled side by side, run one after the other; one part's failure hides no other's.
step "the engine in C, compiled" make -s -k -j "$(nproc)" -C ffi programs
step "the one binary" deno task --quiet build
# Those have no clock that others could upset: they run beside the engine's, which are one process after the other.
aside simulator 19 deno test -A test/sim
aside parts 4 deno test -A --ignore=test/sim,test/e2e test/
step "the engine in C, under sanitizers" make -s -k -C ffi test
gathered parts "the parts in TypeScript"
step "the product, with real QEMU and real faults" deno test -A test/e2e
gathered simulator "the decision, simulated"

printf '%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" = 0 ]
