#!/bin/sh
# Set-up, then the one binary: dist/iservft-edge.
set -eu
ROOT=$(cd "$(dirname "$0")/.." && pwd)
. "$ROOT/build/env.sh"
sh "$ROOT/build/setup.sh"
cd "$ROOT"
exec deno task --quiet build
