# kill -9 of the aggregator, three times: started again it goes on from the last finished round.
. "$(dirname "$0")/lib.sh"
rounds=60
setup --rounds $rounds
start_all
for at in 8 20 35; do
    check "round $at is reached" wait_round aggregator $at 60
    kill_party aggregator
    before=$(number "$RUN/aggregator/status.json" round)
    start_aggregator
    check "it goes on from round $before or later" wait_round aggregator "$before" 60
    check "none finished before is done again" \
        says "$RUN/aggregator/log" "plan $rounds rounds, ($before|$((before + 1))) finished before"
done
for name in $HOSPITALS aggregator; do check "$name ends well" wait_end "$name" 120; done
check "all rounds are finished" [ "$(number "$RUN/aggregator/status.json" round)" = $rounds ]
for name in $HOSPITALS; do
    "$BIN/fedmoe-node" ledger --config "$RUN/$name/node.yaml" --json >"$WORK/ledger.json"
    spent=$(grep -c '"round"' "$WORK/ledger.json")
    check "$name: at least one entry a round, at most one more for each crash ($spent)" \
        [ "$spent" -ge $rounds -a "$spent" -le $((rounds + 3)) ]
    check "$name has the same model" \
        cmp -s "$RUN/$name/model.safetensors" "$RUN/northgate/model.safetensors"
done
finish
