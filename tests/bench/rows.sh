#!/usr/bin/env bash
# Many records in bounded memory: ./dev bench rows [N]. Prints seconds and the highest resident memory of
# the check and of a training of three rounds, with and without a limit on memory.
set -euo pipefail
: "${BIN:?where the programs are}"
rows=${1:-10000000}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d "${TMPDIR:-/var/tmp}/fedmoe-rows-XXXXXX")
trap 'rm -rf "$work"' EXIT
export TMPDIR=$work
"$BIN/bench-rows" measure "$rows records written" "$BIN/bench-rows" generate "$rows" >"$work/records.csv"
du -m "$work/records.csv" | awk '{ print $1 " MiB of CSV" }' >&2

"$BIN/fedmoe-demo" --setup-only --keep "$work/run" >"$work/log" 2>&1
node=$work/run/northgate/node.yaml
sed -i "s|^  records:.*|  records: $work/records.csv|; s|^  max_rows:.*|  max_rows: 16000000|; s|^  schema:.*||" "$node"
"$BIN/bench-rows" measure "fedmoe-node check" "$BIN/fedmoe-node" check --config "$node" --schema "$here/rows.yaml" |
    grep -E 'records' >&2

train() { # WHAT OPTIONS...
    local what=$1
    shift
    "$BIN/bench-rows" measure "$what" "$BIN/fedmoe-model" train --schema "$here/rows.yaml" --data "$work/records.csv" \
        --no-privacy --rounds 3 --sampling-rate 0.01 --force "$@" >"$work/log" || { cat "$work/log" >&2; exit 1; }
}
train "3 rounds, --memory 256" --output "$work/m256"
train "3 rounds, --memory 64" --output "$work/m64" --memory 64
cmp "$work/m256" "$work/m64" && echo "the same model, bit by bit" >&2
if [ "$rows" -le 1000000 ]; then
    train "3 rounds, all in memory" --output "$work/all" --memory 16384
    cmp "$work/m64" "$work/all" && echo "the same model as from memory, bit by bit" >&2
fi
