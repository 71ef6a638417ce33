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
        'BEGIN { exit !(a > 0 && a <= 1.0 && a - b < 1e-9 && b - a < 1e-9) }'
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

uci=${FEDMOE_SHARED:-$SOURCE/../shared}/data/heart_disease
if [ -d "$uci" ]; then
    "$BIN/fedmoe-demo" --data "$uci" --keep "$WORK/uci" --json "$WORK/uci.json" \
        >"$WORK/uci.txt" 2>"$WORK/uci.err"
    check "real data: it ends well" [ $? = 0 ] || cat "$WORK/uci.err" >&2
    check "real data: AUC over all tests" awk "BEGIN { exit !($(number "$WORK/uci.json" auc) > 0.82) }"
else
    echo "skipped: the UCI files are not there"
fi
finish
