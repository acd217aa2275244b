# Sourced by the scripts beside it: where the tree is, what is pinned, and the tools that set-up made.
# The caller has set ROOT to the top of the tree.

DENO_VERSION=2.9.6
# What the registry's own record of that version must say (sha512, base64).
DENO_INTEGRITY=sha512-3md4TKLCuzsLDmfOoC5KN7NAZaxSVkMgm64vg6foD00JBADCpYS2/5QqXfzgnP5ZQz3iLP9vBQJtEgc116OAoQ==

CACHE=$ROOT/.cache
PATH=$CACHE/bin:$PATH
# Colours would end up in logs, and Deno has no business asking for updates during a build.
NO_COLOR=1
DENO_NO_UPDATE_CHECK=1
export PATH NO_COLOR DENO_NO_UPDATE_CHECK

say() { printf '%s\n' "$*" >&2; }

# fail MESSAGE: one sentence that says what was wrong and what to do.
fail() {
    say "error: $*"
    exit 1
}

# quietly COMMAND...: shows the output only if the command fails.
quietly() {
    quiet_log=$(mktemp)
    if "$@" >"$quiet_log" 2>&1; then
        rm -f "$quiet_log"
        return 0
    fi
    tail -n 40 "$quiet_log" >&2
    rm -f "$quiet_log"
    return 1
}
