# A full budget: the node refuses before anything is computed, says the figures, and loses nothing.
. "$(dirname "$0")/lib.sh"
setup --rounds 10 --epsilon 1
start_all
for name in $HOSPITALS aggregator; do check "$name ends well" wait_end "$name" 90; done
"$BIN/fedmoe-node" ledger --config "$RUN/northgate/node.yaml" --json >"$WORK/first.json"
sed -i 's/^  epsilon: .*/  epsilon: 0.5/' "$RUN/northgate/node.yaml"
check "check sees a budget below what is spent" refused "$WORK/out" \
    "PROBLEM +ledger .*is spent at delta .*policy.epsilon is 0.5000" \
    "$BIN/fedmoe-node" check --config "$RUN/northgate/node.yaml" --schema "$RUN/schema.yaml"

# A second federation over the same records, each with a ledger that holds the first one's spend.
mv "$RUN" "$WORK/first"
setup --rounds 10 --epsilon 1 --seed 1
for name in $HOSPITALS; do
    cp -p "$WORK/first/$name"/ledger.db* "$RUN/$name/"
done
start_all
for name in $HOSPITALS; do
    ended() { wait "${PID[$name]}"; local rc=$?; unset "PID[$name]"; [ $rc = 1 ]; }
    check "$name refuses and ends, with exit 1" ended
    check "$name says spent, price and budget" \
        says "$RUN/$name/log" "would bring the data set to epsilon .*spent: .*budget is 1\.0"
    "$BIN/fedmoe-node" ledger --config "$RUN/$name/node.yaml" --json >"$WORK/second.json"
    check "$name: nothing more was spent" [ "$(grep -c '"round"' "$WORK/second.json")" = 10 ]
done
check "the others hear no figure of it" \
    bash -c 'grep -q "cannot take part" "$1" && ! grep -qE "epsilon|budget" "$1"' _ "$RUN/aggregator/log"
check "no round began" grep -q '"round": 0,' "$RUN/aggregator/status.json"
finish
