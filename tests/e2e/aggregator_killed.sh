# kill -9 of the aggregator, three times: started again it goes on from the last finished round.
. "$(dirname "$0")/lib.sh"
rounds=500
setup --rounds $rounds
start_all
for at in 40 150 300; do
    check "round $at is reached" wait_round aggregator $at 60
    kill_party aggregator
    # The log says a round's end only after it is durable; one more may be.
    before=$(grep -oE '[0-9]+ of [0-9]+ rounds$' "$RUN/aggregator/log" | tail -1 | cut -d' ' -f1)
    start_aggregator
    check "it goes on, past round $((before + 3))" wait_round aggregator $((before + 3)) 60
    check "from the last finished round ($before), which is not done again" \
        says "$RUN/aggregator/log" "; ($before|$((before + 1))) of $rounds rounds finished before"
done
for name in $HOSPITALS aggregator; do check "$name ends well" wait_end "$name" 120; done
# A round that was released and then lost is paid for: each kill may cost one of the last rounds.
done=$(number "$RUN/aggregator/status.json" round)
check "all rounds that the budget allows are finished ($done of $rounds)" \
    [ "$done" -ge $((rounds - 3)) -a "$done" -le $rounds ]
for name in $HOSPITALS; do
    "$BIN/fedmoe-node" ledger --config "$RUN/$name/node.yaml" --json >"$WORK/ledger.json"
    spent=$(grep -c '"round"' "$WORK/ledger.json")
    check "$name: an entry for each finished round, never more than the budget ($spent)" \
        [ "$spent" -ge "$done" -a "$spent" -le $rounds ]
    check "$name has the same model" \
        cmp -s "$RUN/$name/model.safetensors" "$RUN/northgate/model.safetensors"
done
finish
