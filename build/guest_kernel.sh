# Sourced by setup.sh: a kernel for the demo's guest, unpacked from the distribution's package into .cache/guest and
# not installed: the machine's own boot loader never hears of it.
#   .cache/guest/vmlinuz
#   .cache/guest/modules/*.ko and modules.order, their names in the order in which they must be loaded
#   .cache/guest/version

GUEST_MODULES="virtio_pci virtio_blk virtio_net ext4"

# The real kernel package behind the distribution's newest: "linux-image-6.1.0-56-cloud-amd64".
kernel_package() {
    for meta in linux-image-cloud-amd64 linux-image-virtual linux-image-amd64 linux-image-generic; do
        found=$(apt-cache depends --no-recommends --no-suggests "$meta" 2>/dev/null |
            sed -n 's/^ *|*Depends: \(linux-image-[0-9][^ ]*\)$/\1/p' | grep -v unsigned | head -n 1)
        if [ -n "$found" ]; then
            printf '%s\n' "$found"
            return 0
        fi
    done
    return 1
}

# module_file TREE NAME: its file, empty when it is built into the kernel; fails when the kernel does not have it.
module_file() {
    pattern=$(printf '%s' "$2" | sed 's/[-_]/[-_]/g')
    file=$(find "$1" -regex ".*/$pattern\.ko\(\.[a-z]*\)?" | head -n 1)
    [ -n "$file" ] || grep -q "/$pattern\.ko" "$1/modules.builtin" || return 1
    printf '%s\n' "$file"
}

# add_module TREE NAME: what it depends on first, then itself.
add_module() (
    file=$(module_file "$1" "$2") || fail "this kernel has no module $2, which the demo's guest needs"
    [ -n "$file" ] || exit 0
    name=$(basename "$file" | sed 's/\.ko.*/.ko/')
    ! grep -qx "$name" "$guest_new/modules/modules.order" || exit 0
    for dependency in $(modinfo -F depends "$file" | tr ',' ' '); do
        add_module "$1" "$dependency"
    done
    case $file in
    *.xz) xz -dc "$file" ;;
    *.zst) zstd -qdc "$file" ;;
    *.gz) gzip -dc "$file" ;;
    *) cat "$file" ;;
    esac >"$guest_new/modules/$name"
    printf '%s\n' "$name" >>"$guest_new/modules/modules.order"
)

set_up_guest_kernel() {
    [ ! -f "$CACHE/guest/version" ] || return 0
    kernel=$(kernel_package) || { refresh_lists && kernel=$(kernel_package); } ||
        fail "no kernel package found for the demo's guest: apt knows neither linux-image-cloud-amd64 nor linux-image-virtual"
    say "setup: unpacking $kernel for the demo's guest"
    download=$CACHE/guest-kernel
    guest_new=$CACHE/guest.new
    rm -rf "$download" "$guest_new"
    mkdir -p "$download/tree" "$guest_new/modules"
    wanted=$kernel
    # Ubuntu keeps the modules in a package of their own.
    modules=$(printf '%s' "$kernel" | sed 's/^linux-image-/linux-modules-/')
    [ -z "$(apt-cache madison "$modules" 2>/dev/null)" ] || wanted="$kernel $modules"
    # shellcheck disable=SC2086 # a list on purpose
    (cd "$download" && quietly apt-get -o APT::Sandbox::User=root -q download $wanted) || {
        refresh_lists
        (cd "$download" && quietly apt-get -o APT::Sandbox::User=root -q download $wanted)
    } || fail "apt-get could not download $wanted"
    for package in "$download"/*.deb; do
        dpkg -x "$package" "$download/tree"
    done
    tree=$(dirname "$(find "$download/tree" -name modules.builtin | head -n 1)")
    : >"$guest_new/modules/modules.order"
    for module in $GUEST_MODULES; do
        add_module "$tree" "$module" || exit 1
    done
    cp "$(find "$download/tree/boot" -name 'vmlinuz-*' | head -n 1)" "$guest_new/vmlinuz"
    printf '%s\n' "${kernel#linux-image-}" >"$guest_new/version"
    rm -rf "$CACHE/guest/modules" "$download"
    mkdir -p "$CACHE/guest"
    # The guest's init lives in the same directory, so what is there is kept; the version comes last, as the mark of completion.
    mv -f "$guest_new/modules" "$guest_new/vmlinuz" "$CACHE/guest/"
    mv -f "$guest_new/version" "$CACHE/guest/version"
    rm -rf "$guest_new"
}
