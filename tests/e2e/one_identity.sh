# One identity, two processes: they never take turns.
. "$(dirname "$0")/lib.sh"
setup --rounds 400
start_all
check "round 5 is reached" wait_round aggregator 5 60
check "a second process in the same folder is refused" \
    refused "$WORK/out" "northgate.*in use by another process" \
    "$BIN/fedmoe-node" start --config "$RUN/northgate/node.yaml" --retry-s 3
cp -a "$RUN/northgate" "$RUN/copy"
"$BIN/fedmoe-node" start --config "$RUN/copy/node.yaml" --retry-s 5 >"$RUN/copy/log" 2>&1 &
PID[copy]=$!
ended() { wait "${PID[northgate]}"; local rc=$?; unset "PID[northgate]"; [ $rc = 1 ]; }
check "the one that was there ends, with exit 1" ended
check "and says why" says "$RUN/northgate/log" "another process has joined with this node's identity"
at=$(number "$RUN/aggregator/status.json" round)
check "the federation goes on" wait_round aggregator $((at + 20)) 90
kill_party copy
for name in lakeside hillcrest riverside aggregator; do check "$name ends well" wait_end "$name" 150; done
finish
