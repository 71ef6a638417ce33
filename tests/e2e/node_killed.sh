# kill -9 of a node: the other three go on; started again it takes part again.
. "$(dirname "$0")/lib.sh"
rounds=600
setup --rounds $rounds --quorum 3
start_all
check "round 10 is reached" wait_round aggregator 10 60
kill_party lakeside
at=$(number "$RUN/aggregator/status.json" round)
check "the others go on" wait_round aggregator $((at + 10)) 60
spent=$("$BIN/fedmoe-node" ledger --config "$RUN/lakeside/node.yaml" --json | grep -c '"round"')
start_node lakeside
check "it takes part again" wait_round lakeside $((at + 20)) 60
for name in $HOSPITALS aggregator; do check "$name ends well" wait_end "$name" 120; done
now=$("$BIN/fedmoe-node" ledger --config "$RUN/lakeside/node.yaml" --json | grep -c '"round"')
check "it was charged only for rounds it took part in ($spent, then $now)" \
    [ "$now" -gt "$spent" -a "$now" -lt $rounds ]
check "all rounds are finished" [ "$(number "$RUN/aggregator/status.json" round)" = $rounds ]
check "it ends with the others' model" \
    cmp -s "$RUN/lakeside/model.safetensors" "$RUN/northgate/model.safetensors"
finish
