# A hostile node among three honest ones does what the argument says (node.c): they finish; it is
# named with the reason, dropped, and barred for longer and longer.
. "$(dirname "$0")/lib.sh"
AGGREGATOR_LOG=$RUN/aggregator/log
HONEST="northgate lakeside hillcrest"

# federation ROUNDS: phases of a second, so that what is withheld costs no more.
federation() {
    setup --rounds "$1"
    sed -i 's/round_s: 10/round_s: 1/; s/join_s: 30/join_s: 5/' "$RUN/federation.yaml"
    replan
    start_aggregator
    for name in $HONEST; do start_node "$name"; done
}

hostile_node() {
    HOSTILE_DEED=$1 HOSTILE_MS=1500 "$BIN/hostile-node" start --config "$RUN/riverside/node.yaml" --retry-s 30 \
        >>"$RUN/riverside/log" 2>&1 &
    PID[riverside]=$!
}

# Until the aggregator has said it so often.
wait_said() {
    local i
    for ((i = 0; i < $3 * 20; i++)); do
        [ "$(grep -cE -- "$2" "$AGGREGATOR_LOG")" -ge "$1" ] && return 0
        nap 0.05
    done
    echo "  said $(grep -cE -- "$2" "$AGGREGATOR_LOG") times, not $1: $2" >&2
    tail -5 "$AGGREGATOR_LOG" >&2
    return 1
}

# Rounds that were lost after some had released can cost the last ones of a plan.
others_finish() {
    local name
    for name in $HONEST aggregator; do check "$name ends well" wait_end "$name" 60; done
    check "the run is finished" says "$AGGREGATOR_LOG" "(finished|concluded), [0-9]+ of $1 rounds"
    check "with nearly all rounds" [ "$(number "$RUN/aggregator/status.json" round)" -ge $(($1 - 5)) ]
    kill -9 "${PID[riverside]}" 2>/dev/null
    wait "${PID[riverside]}" 2>/dev/null
    unset "PID[riverside]"
}

is_shown() {
    local i
    for ((i = 0; i < 100; i++)); do
        "$BIN/fedmoe-aggregator" status --directory "$RUN/aggregator" >"$WORK/status.txt"
        grep -qE "riverside .*; barred until 2[0-9:TZ-]+ for harm done [0-9]+ times" \
            "$WORK/status.txt" && return 0
        nap 0.1
    done
    cat "$WORK/status.txt" >&2
    return 1
}

barred="riverside has cost the others a round or a roster"
rounds=60
times=2
first="2 times: barred for 1 s"
case $1 in
withhold)
    rounds=400
    said="dropped: no commit for round [0-9]+ in time"
    ;;
late)
    times=1
    said="dropped: no update for round [0-9]+ in time, again"
    ;;
wrong-size) said="dropped: its update has [0-9]+ bytes, not [0-9]+" ;;
twice) said="dropped: a second update for round" ;;
wrong-release)
    # The others have released, and paid for the round: as bad as three others, but for the first time.
    first="6 times: barred for 16 s"
    said="dropped: the mark of its ledger does not bear its signature"
    ;;
flood-answers) said="dropped: it answered the roster twice" ;;
garbage) said="(is gone|dropped): " ;;
*) exit 2 ;;
esac
federation $rounds
hostile_node "$1"
check "it is named, with the reason" wait_said $times "riverside $said" 60
check "it is barred" wait_said 1 "$barred $first" 20
if [ "$1" = withhold ]; then
    check "and again, for longer" wait_said 1 "$barred 3 times: barred for 2 s" 20
    check "status says so" is_shown
fi
others_finish $rounds
finish
