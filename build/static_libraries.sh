# Sourced by setup.sh: lz4 and zstd as static, position-independent libraries in .cache/lib, built from the
# distribution's own source packages (its static libraries are not made for use in a shared object).

# The machine's own package sources, but for source packages: nothing of the machine's configuration is changed.
source_lists() {
    mkdir -p "$1/parts" "$1/lists/partial"
    for list in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ ! -f "$list" ] || sed -n 's/^deb[[:space:]]/deb-src /p' "$list"
    done >"$1/parts/machine.list"
    for list in /etc/apt/sources.list.d/*.sources; do
        [ -f "$list" ] || continue
        sed 's/^Types:.*/Types: deb-src/' "$list"
        echo
    done >"$1/parts/machine.sources"
}

fetch_sources() {
    apt=$CACHE/apt
    rm -rf "$apt" "$CACHE/src"
    mkdir -p "$CACHE/src"
    source_lists "$apt"
    options="-o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts=$apt/parts"
    options="$options -o Dir::State::Lists=$apt/lists -o APT::Sandbox::User=root"
    # shellcheck disable=SC2086 # options on purpose
    (cd "$CACHE/src" && quietly apt-get $options -q update && quietly apt-get $options -q source lz4 libzstd) ||
        fail "apt-get could not fetch the sources of lz4 and libzstd; the machine's package sources must offer them"
    rm -rf "$apt"
}

# compile_static NAME SOURCES...: all sources to .cache/lib/libNAME.a. Sources have different base names.
compile_static() {
    name=$1
    shift
    objects=$(mktemp -d)
    printf '%s\n' "$@" | xargs -P "$(nproc)" -I SOURCE sh -c \
        'gcc -O3 -fPIC -fvisibility=hidden -ffunction-sections -fdata-sections -DXXH_NAMESPACE=ISF_ZSTD_ \
            -c "$1" -o "$2/$(basename "$1").o"' compile SOURCE "$objects" || fail "$name does not compile"
    rm -f "$CACHE/lib/lib$name.a"
    ar rcs "$CACHE/lib/lib$name.a" "$objects"/*.o
    rm -rf "$objects"
}

set_up_static_libraries() {
    [ ! -f "$CACHE/lib/complete" ] || return 0
    say "setup: building lz4 and zstd from their Debian sources"
    fetch_sources
    rm -rf "$CACHE/lib" "$CACHE/include"
    mkdir -p "$CACHE/lib" "$CACHE/include"
    lz4=$(find "$CACHE/src" -path '*/lib/lz4.h' | head -n 1)
    zstd=$(find "$CACHE/src" -path '*/lib/zstd.h' | head -n 1)
    [ -n "$lz4" ] && [ -n "$zstd" ] || fail "the sources of lz4 and zstd are not laid out as expected in $CACHE/src"
    lz4=$(dirname "$lz4")
    zstd=$(dirname "$zstd")
    compile_static lz4 "$lz4/lz4.c" "$lz4/lz4hc.c"
    compile_static zstd "$zstd"/common/*.c "$zstd"/compress/*.c "$zstd"/decompress/*.c \
        $(find "$zstd/decompress" -name '*.S')
    cp "$lz4/lz4.h" "$lz4/lz4hc.h" "$zstd/zstd.h" "$zstd/zstd_errors.h" "$CACHE/include/"
    touch "$CACHE/lib/complete"
}
