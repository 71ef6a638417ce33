# kill -9 of a node: the other three go on; started again it takes part again.
. "$(dirname "$0")/lib.sh"
rounds=600
setup --rounds $rounds --quorum 3
start_all
check "round 10 is reached" wait_round aggregator 10 60
check "no core dump of the aggregator, and as many files as it may have" awk \
    '/core file/ { c = $5 } /open files/ { s = $4; h = $5 } END { exit !(c == 0 && s == h) }' \
    "/proc/${PID[aggregator]}/limits"
"$BIN/fedmoe-aggregator" status --directory "$RUN/aggregator" --json >"$WORK/status.json"
check "status: the aggregator runs" says "$WORK/status.json" '"running": true'
check "its directory is in use" refused "$WORK/x" "in use by another process" \
    "$BIN/fedmoe-aggregator" start --directory "$RUN/aggregator"
check "so a demonstration does not replace the run" refused "$WORK/x" "in use by another process" \
    "$BIN/fedmoe-demo" --keep "$RUN" --rounds 1
node() { "$BIN/fedmoe-node" "$1" --config "$RUN/lakeside/node.yaml" "${@:2}"; }
check "status: the node runs" exits 0 "$WORK/x" '"running": true' node status --json
kill_party lakeside
check "killed, its status says so" exits 0 "$WORK/x" "^node lakeside: NOT RUNNING: it was last heard of at 20.* \(training" \
    node status
check "to scripts too" exits 0 "$WORK/x" '"running": false' node status --json
at=$(number "$RUN/aggregator/status.json" round)
check "the others go on" wait_round aggregator $((at + 10)) 60
spent=$("$BIN/fedmoe-node" ledger --config "$RUN/lakeside/node.yaml" --json | grep -c '"round"')
start_node lakeside
check "it takes part again" wait_round lakeside $((at + 20)) 60
for name in $HOSPITALS aggregator; do check "$name ends well" wait_end "$name" 120; done
check "ended by itself, it has said how" exits 0 "$WORK/x" "^node lakeside: finished.*; not running$" node status
now=$("$BIN/fedmoe-node" ledger --config "$RUN/lakeside/node.yaml" --json | grep -c '"round"')
check "it was charged only for rounds it took part in ($spent, then $now)" \
    [ "$now" -gt "$spent" -a "$now" -lt $rounds ]
# A round that was released and then lost is paid for: the kill may cost the last one.
done=$(number "$RUN/aggregator/status.json" round)
check "all rounds that the budgets allow are finished ($done of $rounds)" \
    [ "$done" -ge $((rounds - 1)) -a "$done" -le $rounds ]
check "it ends with the others' model" \
    cmp -s "$RUN/lakeside/model.safetensors" "$RUN/northgate/model.safetensors"
finish
