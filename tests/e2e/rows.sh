# Many records in bounded memory: what a limit on memory changes is memory, and nothing else.
. "$(dirname "$0")/lib.sh"
export TMPDIR=$WORK
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}quarantine_size_mb=1"
schema=$SOURCE/tests/bench/rows.yaml
small=40000
large=240000
"$BIN/bench-rows" generate $small >"$WORK/small.csv"
"$BIN/bench-rows" generate $large >"$WORK/large.csv"
{ head -1 "$WORK/small.csv"; tail -n +2 "$WORK/small.csv" | awk -F, -v OFS=, '{ $1 = $1 % 9000 "p"; print }'; } >"$WORK/visits.csv"

train() { # OUTPUT FILE OPTIONS...
    local out=$1 file=$2
    shift 2
    "$BIN/bench-rows" measure "$out" "$BIN/fedmoe-model" train --schema "$schema" --data "$WORK/$file" --no-privacy --threads 1 \
        --rounds 3 --sampling-rate 0.002 --output "$WORK/$out" "$@" >"$WORK/$out.log" 2>"$WORK/$out.err" || { cat "$WORK/$out.err" >&2; return 1; }
}
mib() { awk -v w="$1" '$1 == w { print int($(NF - 1)) }' "$WORK/$1.err"; }
same() { cmp "$WORK/$1" "$WORK/$2"; }
check "40000 records in memory" train memory small.csv --memory 4096
check "and in a scratch file" train file small.csv --memory 1
check "the same model, bit by bit" same memory file
check "patients with several rows in memory" train unit_memory visits.csv --memory 4096 --unit id
check "and in a scratch file" train unit_file visits.csv --memory 1 --unit id
check "the same model, bit by bit" same unit_memory unit_file
check "nothing is left in the folder" [ -z "$(find "$WORK" -name '.fedmoe-*')" ]

# Six times as many records, 213 features each: 33 and 195 MiB of them. 4 MiB are for who is drawn.
check "240000 records in memory" train whole large.csv --memory 4096
check "and in a scratch file" train large large.csv --memory 1
echo "memory: $(mib memory) and $(mib whole) MiB; scratch file: $(mib file) and $(mib large) MiB"
check "in memory they take it (or this test shows nothing)" [ $(($(mib whole) - $(mib memory))) -gt 120 ]
check "in a scratch file they do not" [ $(($(mib large) - $(mib file))) -lt 8 ]

setup --rounds 2
node=$RUN/northgate/node.yaml
cp "$node" "$WORK/plain.yaml"
node_check() { # WHAT FILE
    sed "s|^  records:.*|  records: $WORK/$2|; s|^  max_rows:.*|  max_rows: 1000000|; s|^  schema:.*||" "$WORK/plain.yaml" >"$node"
    "$BIN/bench-rows" measure "$1" "$BIN/fedmoe-node" check --config "$node" --schema "$schema" >"$WORK/$1.out" 2>"$WORK/$1.err" &&
        says "$WORK/$1.out" "$(($(wc -l <"$WORK/$2") - 1)) records fit"
}
check "fedmoe-node check" node_check check_small small.csv
check "of six times as many" node_check check_large large.csv
check "takes no more memory ($(mib check_small) and $(mib check_large) MiB)" [ $(($(mib check_large) - $(mib check_small))) -lt 8 ]

# A federation in which one hospital's records are in a scratch file ends with the model that it had without.
cp "$WORK/plain.yaml" "$node"
limit() { sed -i 's|^  records:.*|&\n  memory_mib: 1|' "$node"; grep -q memory_mib "$node"; }
check "node.yaml says so" limit
LINGER=5
start_all
finished() { local name; for name in $HOSPITALS aggregator; do wait "${PID[$name]}" || return 1; unset "PID[$name]"; done; }
check "a federation with it finishes" finished
check "northgate has the model" [ -s "$RUN/northgate/model.safetensors" ]
finish
