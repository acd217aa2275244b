# Sourced by setup.sh: an etcd for the tests of the etcd arbiter, unpacked from the distribution's package to .cache/bin/etcd and not
# installed: installed it would be started, and at each boot. Nothing but these tests needs it.

unpack_etcd() (
    download=$CACHE/etcd
    rm -rf "$download"
    mkdir -p "$download"
    trap 'rm -rf "$download"' EXIT
    cd "$download" || exit 1
    quietly apt-get -o APT::Sandbox::User=root -q download etcd-server || exit 1
    dpkg -x etcd-server_*.deb tree || exit 1
    tree/usr/bin/etcd --version >/dev/null || exit 1
    mkdir -p "$CACHE/bin"
    mv -f tree/usr/bin/etcd "$CACHE/bin/etcd"
)

set_up_etcd() {
    ! command -v etcd >/dev/null 2>&1 || return 0
    say "setup: unpacking etcd for the tests"
    unpack_etcd || { refresh_lists && unpack_etcd; } ||
        say "setup: there is no package etcd-server here: the tests of the etcd arbiter will fail; install etcd 3.4 or newer for them"
}
