# Where output goes: a full disk is a failure, an input is never the output, and a signal leaves nothing half.
. "$(dirname "$0")/lib.sh"
setup --rounds 4
node=$RUN/northgate
records=$node/records.csv
model=$RUN/model.safetensors

# full FILE COMMAND...: standard output is a full disk: exit 1, and why.
full() {
    local file=$1 rc
    shift
    "$@" >/dev/full 2>"$file"
    rc=$?
    [ $rc = 1 ] || { echo "  exit $rc, not 1: $*" >&2; return 1; }
    says "$file" "(cannot write to standard output|standard output cannot be written)"
}
check "fedmoe-model evaluate" full "$WORK/out" "$BIN/fedmoe-model" evaluate --model "$model" "$records"
check "fedmoe-model inspect" full "$WORK/out" "$BIN/fedmoe-model" inspect "$model"
check "fedmoe-model predict" full "$WORK/out" "$BIN/fedmoe-model" predict --model "$model" --input "$records"
check "fedmoe-model train" full "$WORK/out" "$BIN/fedmoe-model" train --schema "$RUN/schema.yaml" \
    --data "$records" --epsilon 1 --rounds 2 --output "$WORK/trained.safetensors"
check "and its model is there" [ -s "$WORK/trained.safetensors" ]
check "fedmoe-dp sigma" full "$WORK/out" "$BIN/fedmoe-dp" sigma --epsilon 2 --delta 1e-5 --steps 10
check "fedmoe-node check" full "$WORK/out" "$BIN/fedmoe-node" check --config "$node/node.yaml"
check "fedmoe-aggregator init" full "$WORK/out" "$BIN/fedmoe-aggregator" init --directory "$WORK/agg" \
    --config "$RUN/federation.yaml" --identity "$RUN/aggregator-identity"
check "fedmoe-certs show" full "$WORK/out" "$BIN/fedmoe-certs" show "$node/identity/identity.crt"
for p in model dp node aggregator certs demo; do
    check "fedmoe-$p --help" full "$WORK/out" "$BIN/fedmoe-$p" --help
done

cp "$records" "$WORK/keep.csv"
ln -s "$records" "$WORK/link.csv"
for output in "$records" "$WORK/link.csv" "$model"; do
    check "no prediction over $(basename "$output")" refused "$WORK/out" "same file as the input" \
        "$BIN/fedmoe-model" predict --model "$model" --input "$records" --output "$output" --force
done
check "no training over its records" refused "$WORK/out" "same file as the input" \
    "$BIN/fedmoe-model" train --schema "$RUN/schema.yaml" --data "$records" --epsilon 1 --force --output "$WORK/link.csv"
check "the records are as they were" cmp "$records" "$WORK/keep.csv"
check "the schema in place of the model" refused "$WORK/out" "schema.yaml: not a safetensors file" \
    "$BIN/fedmoe-model" evaluate --model "$RUN/schema.yaml" "$records"

# A predict that waits for the rest of its input, which never comes, until the signal does.
mkfifo "$WORK/slow.csv"
for signal in TERM HUP; do
    "$BIN/fedmoe-model" predict --model "$model" --input "$WORK/slow.csv" --output "$WORK/risk.csv" \
        >"$WORK/out" 2>&1 &
    PID[predict]=$!
    exec 7>"$WORK/slow.csv"
    cat "$records" >&7
    for ((i = 0; i < 200; i++)); do
        ls -A "$WORK" | grep -q '^\.risk\.csv\..*\.tmp$' && break
        nap 0.05
    done
    check "predictions are under way" [ "$(ls -A "$WORK" | grep -c '^\.risk\.csv')" = 1 ]
    kill -$signal "${PID[predict]}"
    wait "${PID[predict]}" 2>/dev/null
    rc=$?
    exec 7>&-
    unset "PID[predict]"
    check "SIG$signal ends them" [ $rc -gt 128 ]
    check "and leaves nothing" [ "$(ls -A "$WORK" | grep -c 'risk\.csv')" = 0 ]
done

sed 's/^  delta:.*/  delta: 0.02/' "$RUN/federation.yaml" >"$WORK/federation.yaml"
cp "$model" "$WORK/"
"$BIN/fedmoe-aggregator" init --directory "$WORK/agg2" --config "$WORK/federation.yaml" \
    --identity "$RUN/aggregator-identity" >"$WORK/out" 2>"$WORK/warned"
check "init warns of a large delta" says "$WORK/warned" "delta 0.02 is large"
sed 's/^  delta:.*/  delta: 0.002/' "$RUN/federation.yaml" >"$WORK/federation.yaml"
"$BIN/fedmoe-aggregator" init --directory "$WORK/agg3" --config "$WORK/federation.yaml" \
    --identity "$RUN/aggregator-identity" >"$WORK/out" 2>"$WORK/warned"
check "and of one above 1 / expected_units" says "$WORK/warned" "above 1 / expected_units"
"$BIN/fedmoe-aggregator" init --directory "$WORK/agg4" --config "$RUN/federation.yaml" \
    --identity "$RUN/aggregator-identity" >"$WORK/out" 2>"$WORK/warned"
check "and not of the usual one" [ ! -s "$WORK/warned" ]
finish
