# The demonstration ends with the figures it promises, and they hold together.
. "$(dirname "$0")/lib.sh"
rounds=12

"$BIN/fedmoe-demo" --keep "$RUN" --rounds $rounds --json "$WORK/out.json" \
    >"$WORK/out.txt" 2>"$WORK/err.txt"
check "it ends well" [ $? = 0 ] || cat "$WORK/err.txt" >&2
for key in auc accuracy seconds hospitals; do
    check "the JSON has $key" grep -q "\"$key\"" "$WORK/out.json"
done
for key in name train_records test_records auc_alone auc_federated epsilon_spent bytes_sent; do
    check "each hospital has $key" [ "$(grep -c "\"$key\"" "$WORK/out.json")" = 4 ]
done
check "the model has learnt" awk "BEGIN { exit !($(number "$WORK/out.json" auc) > 0.65) }"
for name in $HOSPITALS; do
    "$BIN/fedmoe-node" ledger --config "$RUN/$name/node.yaml" --json >"$WORK/ledger.json"
    check "$name: one ledger entry a round" \
        [ "$(grep -c '"round"' "$WORK/ledger.json")" = $rounds ]
    check "$name: the epsilon printed is the ledger's, within the budget" awk \
        -v a="$(number "$WORK/ledger.json" epsilon_spent)" \
        -v b="$(number "$RUN/$name/status.json" epsilon_spent)" \
        'BEGIN { exit !(a > 0 && a <= 1.0 && a - b < 1e-4 * a && b - a < 1e-4 * a) }'
    check "$name has the finished model" \
        "$BIN/fedmoe-model" inspect "$RUN/$name/model.safetensors" >/dev/null
    check "$name has the same model as the others" \
        cmp -s "$RUN/$name/model.safetensors" "$RUN/northgate/model.safetensors"
    check "$name: private files are private" \
        [ "$(stat -c %a "$RUN/$name/ledger.db" "$RUN/$name/identity/identity.key" | tr '\n' ' ')" = "600 600 " ]
done
check "the table is there" says "$WORK/out.txt" "^riverside +[0-9]+ +[0-9]+ .*[0-9]\.[0-9]+ +[0-9]+"
check "a directory of somebody else is not touched" refused "$WORK/x" "not made by fedmoe-demo" \
    "$BIN/fedmoe-demo" --keep "$SOURCE/docs" --rounds 1

# ---- what the aggregator says of itself ----
status() { "$BIN/fedmoe-aggregator" status --directory "$1"; }
status "$RUN/aggregator" >"$WORK/x" 2>&1
check "status: finished, and nobody runs it" says "$WORK/x" "finished, $rounds of .*; not running"
check "status of no directory" refused "$WORK/x" "is not there: fedmoe-aggregator init" \
    "$BIN/fedmoe-aggregator" status --directory "$WORK/none"
mv "$RUN/aggregator/plan.bin" "$WORK/"
check "start without a plan fails" refused "$WORK/x" "plan.bin" \
    "$BIN/fedmoe-aggregator" start --directory "$RUN/aggregator"
status "$RUN/aggregator" >"$WORK/x" 2>&1
check "status: failed, of the rounds that there are" \
    says "$WORK/x" "failed, $rounds of $rounds rounds .*; not running"
check "status: and why" says "$WORK/x" "^  .*plan.bin"

# ---- what is asked before an older run is removed ----
check "--json in no folder" refused "$WORK/x" "no file can be made there.*nothing was trained" \
    "$BIN/fedmoe-demo" --keep "$RUN" --json "$WORK/none/out.json"
check "--json on a device" refused "$WORK/x" "not a regular file" \
    "$BIN/fedmoe-demo" --keep "$RUN" --json /dev/null
check "--json on a folder" refused "$WORK/x" "not a regular file" \
    "$BIN/fedmoe-demo" --keep "$RUN" --json "$WORK"
check "the older run is still there" [ -e "$RUN/northgate/model.safetensors" ]

# ---- hung up: its parties end with it ----
RUN=$WORK/hup
"$BIN/fedmoe-demo" --keep "$RUN" --rounds 10000 >"$WORK/hup.txt" 2>&1 &
PID[demo]=$!
check "it trains" wait_round aggregator 3 60
check "a second one in the same directory is refused" refused "$WORK/x" \
    "in use by another process" "$BIN/fedmoe-demo" --keep "$RUN" --rounds 1
check "and has removed nothing" [ -e "$RUN/northgate/node.yaml" ]
children=$(pgrep -P "${PID[demo]}")
check "five parties run" [ "$(echo "$children" | wc -l)" = 5 ]
kill -HUP "${PID[demo]}"
check "hung up, it ends" eval '! wait_end demo 20 2>/dev/null'
check "it says so" says "$WORK/hup.txt" "interrupted"
left=0
for pid in $children; do kill -0 "$pid" 2>/dev/null && left=$((left + 1)); done
check "its parties have ended" [ "$left" = 0 ]
"$BIN/fedmoe-demo" --keep "$RUN" --rounds 1 >"$WORK/one.txt" 2>&1
check "one round is no plural" says "$WORK/one.txt" " s for 1 round\.$"

# ---- on a terminal of 80 columns no line wraps ----
if command -v script >/dev/null; then
    script -qec "stty cols 80; '$BIN/fedmoe-demo' --keep '$RUN' --rounds 120" "$WORK/tty" \
        >/dev/null 2>&1 </dev/null
    sed 's/\r//g; s/\x1b\[[0-9]*[A-Z]//g' "$WORK/tty" | grep -E '^  [a-z]+ +\[' >"$WORK/lines"
    check "lines were drawn" [ -s "$WORK/lines" ]
    check "each within 80 columns" awk 'length > 80 { exit 1 }' "$WORK/lines"
    check "none cut" says "$WORK/lines" "^  northgate .* finished .* KB sent$"
fi

uci=${FEDMOE_SHARED:-$SOURCE/../shared}/data/heart_disease
if [ -d "$uci" ]; then
    "$BIN/fedmoe-demo" --data "$uci" --rounds 40 --keep "$WORK/uci" --json "$WORK/uci.json" \
        >"$WORK/uci.txt" 2>"$WORK/uci.err"
    check "real data: it ends well" [ $? = 0 ] || cat "$WORK/uci.err" >&2
    check "real data: AUC over all tests" awk "BEGIN { exit !($(number "$WORK/uci.json" auc) > 0.82) }"
else
    echo "skipped: the UCI files are not there"
fi
finish
