# A full budget: the node refuses before anything is computed, says the figures, and loses nothing.
. "$(dirname "$0")/lib.sh"
setup --rounds 10 --epsilon 1
for name in $HOSPITALS; do sed -i 's/epsilon: 1$/epsilon: 1.2/' "$RUN/$name/node.yaml"; done
start_all
for name in $HOSPITALS aggregator; do check "$name ends well" wait_end "$name" 90; done
"$BIN/fedmoe-node" ledger --config "$RUN/northgate/node.yaml" --json >"$WORK/first.json"

# A second federation over the same records, each with a ledger that holds the first one's spend.
mv "$RUN" "$WORK/first"
setup --rounds 10 --epsilon 1 --seed 1
for name in $HOSPITALS; do
    sed -i 's/epsilon: 1$/epsilon: 1.2/' "$RUN/$name/node.yaml"
    cp -p "$WORK/first/$name"/ledger.db* "$RUN/$name/"
done
start_all
sleep 3
check "the node says spent, price and budget" \
    says "$RUN/northgate/log" "budget|spent"
for name in $HOSPITALS; do
    "$BIN/fedmoe-node" ledger --config "$RUN/$name/node.yaml" --json >"$WORK/second.json"
    check "$name: nothing more was spent" [ "$(grep -c '"round"' "$WORK/second.json")" = 10 ]
done
check "no round began" [ "$(number "$RUN/aggregator/status.json" round)" = 0 ]
finish
