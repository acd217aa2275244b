#!/bin/sh
# Brings a fresh Debian or Ubuntu machine to where `deno task build` and the tests run: packages, Deno, a kernel for
# the demo's guest, static compression libraries. Idempotent; says what it does; leaves the machine's own boot alone.
set -eu
ROOT=$(cd "$(dirname "$0")/.." && pwd)
. "$ROOT/build/env.sh"

# What each package is for: QEMU and its tools; stock NBD clients that the tests use; networks; the C toolchain with
# sanitizers; libraries for the engine and its tests; the guest's disk and initrd; unpacking; a browser that reads Chinese, a receiver
# of SNMP traps, and the shells that are not there already (8 MB), for the tests of the page, of alerts and of completions.
PACKAGES="qemu-system-x86 qemu-utils ovmf libnbd-bin tcpdump
iproute2 nftables iputils-ping procps util-linux mount systemd
gcc libc6-dev binutils make
libssl-dev libxxhash-dev liblz4-dev libzstd-dev
e2fsprogs cpio busybox-static kmod
dpkg-dev xz-utils zstd ca-certificates
chromium fonts-noto-cjk snmptrapd zsh fish"

package_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null | cut -c1-2)" = ii ]
}

missing_packages() {
    for package in $PACKAGES; do
        package_installed "$package" || printf '%s ' "$package"
    done
    command -v npm >/dev/null 2>&1 || deno_is_right deno || printf 'npm '
}

deno_is_right() {
    case "$("$1" --version 2>/dev/null | head -n 1)" in
    "deno $DENO_VERSION "*) return 0 ;;
    *) return 1 ;;
    esac
}

refresh_lists() {
    [ -z "${lists_are_fresh:-}" ] || return 0
    say "setup: reading the package lists"
    quietly apt-get -o DPkg::Lock::Timeout=300 -q update ||
        fail "apt-get could not read the package lists; check /etc/apt and the network, then run this again"
    lists_are_fresh=1
}

set_up_packages() {
    if ! command -v dpkg-query >/dev/null 2>&1 || ! command -v apt-get >/dev/null 2>&1; then
        say "This is neither Debian nor Ubuntu, so install these yourself (Debian's names), with npm or Deno $DENO_VERSION:"
        say "$PACKAGES"
        fail "the machine is not known; nothing was changed"
    fi
    missing=$(missing_packages)
    [ -n "$missing" ] || return 0
    [ "$(id -u)" = 0 ] || fail "these packages are missing, and only root can install them: $missing"
    refresh_lists
    say "setup: installing $missing"
    # shellcheck disable=SC2086 # a list on purpose
    quietly env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -q -y \
        install --no-install-recommends $missing ||
        fail "apt-get could not install: $missing"
}

set_up_deno() {
    deno_is_right deno && return 0
    say "setup: fetching Deno $DENO_VERSION from npm"
    work=$CACHE/deno-download
    rm -rf "$work"
    mkdir -p "$work" "$CACHE/bin"
    package="@deno/linux-x64-glibc@$DENO_VERSION"
    (cd "$work" && quietly npm pack --silent --json "$package") ||
        fail "npm could not fetch $package; check npm's configuration and the network"
    archive=$(find "$work" -name '*.tgz' | head -n 1)
    seen=sha512-$(openssl dgst -sha512 -binary "$archive" | openssl base64 -A)
    [ "$seen" = "$DENO_INTEGRITY" ] || fail "$package is not the pinned one: expected $DENO_INTEGRITY, got $seen"
    tar -xzf "$archive" -C "$work"
    chmod 755 "$work/package/deno"
    mv -f "$work/package/deno" "$CACHE/bin/deno"
    rm -rf "$work"
    deno_is_right "$CACHE/bin/deno" || fail "$CACHE/bin/deno does not run here, or is not version $DENO_VERSION"
}

[ "$(uname -m)" = x86_64 ] || fail "iservft-edge protects x86-64 machines on x86-64 hosts; this is $(uname -m)"
mkdir -p "$CACHE"
# One set-up at a time in a tree: the second waits, then finds everything there.
if [ -z "${ISERVFT_SETUP_LOCKED:-}" ] && command -v flock >/dev/null 2>&1; then
    ISERVFT_SETUP_LOCKED=1 exec flock "$CACHE/setup.lock" sh "$ROOT/build/setup.sh" "$@"
fi
set_up_packages
set_up_deno
. "$ROOT/build/static_libraries.sh"
. "$ROOT/build/guest_kernel.sh"
. "$ROOT/build/etcd.sh"
set_up_static_libraries
set_up_guest_kernel
set_up_etcd
