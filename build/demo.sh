#!/bin/sh
# Set-up, the one binary, and its demo. Arguments go to `iservft-edge demo`.
set -eu
ROOT=$(cd "$(dirname "$0")/.." && pwd)
. "$ROOT/build/env.sh"
sh "$ROOT/build/build.sh"
exec "$ROOT/dist/iservft-edge" demo "$@"
