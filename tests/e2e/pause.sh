# The owner pauses one node of four: the others go on, its ledger stands still, nothing is held against
# it; after a kill and a restart it is still paused; resumed, it takes part again.
. "$(dirname "$0")/lib.sh"
setup --rounds 10000 --quorum 3 --epsilon 50
paused=lakeside
config=$RUN/$paused/node.yaml
agg() { number "$RUN/aggregator/status.json" round; }
entries() { "$BIN/fedmoe-node" ledger --config "$config" --json | grep -c '"round"'; }
# member KEY: of the paused node, as the aggregator's status has it.
member() { "$BIN/fedmoe-aggregator" status --directory "$RUN/aggregator" --json | awk -v k="\"$1\":" \
    -v n="\"name\": \"$paused\"" 'BEGIN { RS = "}" } index($0, n) { sub(".*" k " *", ""); sub(",?\n.*", ""); print }'; }
until_says() { # SECONDS FILE PATTERN
    local i
    for ((i = 0; i < $1 * 20; i++)); do has "$2" "$3" && return 0; nap 0.05; done
    says "$2" "$3"
}

check "pause names a folder that is none" refused "$WORK/x" "is not there; name the node's with --config" \
    "$BIN/fedmoe-node" pause --config "$WORK/node.yaml"
start_all
check "rounds are done" wait_round aggregator 5 60
"$BIN/fedmoe-node" pause --config "$config" >"$WORK/pause.txt"
check "pause says what it does" says "$WORK/pause.txt" "^paused since 20.*no update leaves from now on"
check "the file is private" [ "$(stat -c %a "$RUN/$paused/paused")" = 600 ]
check "the aggregator shows it" until_says 20 "$RUN/aggregator/status.json" '"state": "paused by its owner"'
check "the node says so" until_says 10 "$RUN/$paused/status.json" '"state": "paused"'
spent=$(entries)
at=$(agg)
check "the others go on" wait_round aggregator $((at + 15)) 60
check "its ledger does not grow" [ "$(entries)" = "$spent" ]
check "no harm is counted against it" [ "$(member harm)" = 0 ]
check "and the aggregator says no more than that it is paused" [ "$(member state)" = '"paused by its owner"' ]
check "so does its status for people" exits 0 "$WORK/x" "$paused +away .*paused by its owner" \
    "$BIN/fedmoe-aggregator" status --directory "$RUN/aggregator"
check "status says it" exits 0 "$WORK/status.txt" "PAUSED by the owner since 20" "$BIN/fedmoe-node" status --config "$config"

kill_party $paused
at=$(agg)
start_node $paused
check "killed and started again, it is still paused" until_says 10 "$RUN/$paused/status.json" '"state": "paused"'
check "and others' rounds pass" wait_round aggregator $((at + 15)) 60
check "without it" [ "$(entries)" = "$spent" ]
check "it has called nobody" [ "$(tail -n +2 "$RUN/$paused/log" | grep -c 'connected to')" = 1 ]

"$BIN/fedmoe-node" resume --config "$config" >"$WORK/resume.txt"
check "resume says what it does" says "$WORK/resume.txt" "^resumed: a running node takes part again"
check "it takes part again" wait_round $paused $((at + 16)) 60
grows() { local i; for ((i = 0; i < 200; i++)); do [ "$(entries)" -gt "$spent" ] && return 0; nap 0.05; done; return 1; }
check "and pays for it" grows
check "nothing was held against it" [ "$(member harm)" = 0 ]
check "resumed twice: no pause" exits 0 "$WORK/x" "was not paused" "$BIN/fedmoe-node" resume --config "$config"

# Two of four paused: no round is possible; one back: they go on.
"$BIN/fedmoe-node" pause --config "$config" >/dev/null
"$BIN/fedmoe-node" pause --config "$RUN/northgate/node.yaml" >/dev/null
check "two paused: the aggregator waits" until_says 20 "$RUN/aggregator/status.json" '"state": "waiting"'
at=$(agg)
"$BIN/fedmoe-node" resume --config "$RUN/northgate/node.yaml" >/dev/null
check "one resumed: rounds go on" wait_round aggregator $((at + 5)) 60
kill -TERM "${PID[$paused]}"
ends_by_signal() { wait "${PID[$paused]}"; local rc=$?; unset "PID[$paused]"; [ $rc = 1 ]; }
check "a paused node stops when it is told to" ends_by_signal
finish
