# A run's figures for MLflow and TensorBoard, read back by a parser that knows the formats alone.
. "$(dirname "$0")/lib.sh"
export_to() { "$BIN/fedmoe-aggregator" export --directory "$RUN/aggregator" "$@" >"$WORK/out" 2>&1 || { tail -3 "$WORK/out" >&2; return 1; }; }
read_back() { python3 -B "$SOURCE/tests/e2e/figures_read.py" "$WORK/mlruns" "$WORK/events" "$@"; }

setup --rounds 7
check "no round is finished: nothing to export" refused "$WORK/out" "no round with a record is finished yet" \
    "$BIN/fedmoe-aggregator" export --directory "$RUN/aggregator" --mlflow "$WORK/mlruns"
check "one of four is to be given" exits 2 "$WORK/out" "give one of --output" \
    "$BIN/fedmoe-aggregator" export --directory "$RUN/aggregator" --mlflow a --tensorboard b
start_aggregator
for ((i = 0; i < 200; i++)); do has "$RUN/aggregator/log" " door " && break; nap 0.05; done
check "not while it runs" refused "$WORK/out" "an aggregator is at work there" \
    "$BIN/fedmoe-aggregator" export --directory "$RUN/aggregator" --tensorboard "$WORK/events"
for name in $HOSPITALS; do start_node "$name"; done
for name in $HOSPITALS; do check "$name ends well" wait_end "$name" 90; done
wait_end aggregator 40
check "for MLflow" export_to --mlflow "$WORK/mlruns"
check "for TensorBoard" export_to --tensorboard "$WORK/events"
check "says how many rounds" says "$WORK/out" "figures of 7 rounds"
epsilon=$(sed -n 's/^ *epsilon: *//p' "$RUN/aggregator/federation.yaml")
check "both hold what was" read_back 7 4 "$epsilon"
check "again: the same files" export_to --tensorboard "$WORK/events"
check "one of them" [ "$(ls "$WORK/events" | wc -l)" = 1 ]
check "likewise of MLflow" export_to --mlflow "$WORK/mlruns"
check "(still what was)" read_back 7 4 "$epsilon"
event=$(ls "$WORK"/events/*)
printf '\001' | dd of="$event" bs=1 seek=40 conv=notrunc 2>/dev/null
check "the parser sees one byte that was altered" bash -c '! "$@" 2>/dev/null' _ \
    python3 -B "$SOURCE/tests/e2e/figures_read.py" "$WORK/mlruns" "$WORK/events" 7 4 "$epsilon"
finish
