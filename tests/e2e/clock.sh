# The clock is set back, a little and a lot, and found to be wrong at the start: deadlines do not
# mind, certificates are judged by it, the log says so, and once it is right all goes on.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_faults.sh"
rounds=3000
LINGER=3
setup --rounds $rounds --quorum 3
sed -i 's/^  round_s: .*/  round_s: 2/' "$RUN/federation.yaml"
replan
set_clock() {
    echo "$2" >"$WORK/clock.new"
    mv "$WORK/clock.new" "$WORK/clock.$1"
}
party() {
    local -a how=(start_node "$1" --retry-s 120)
    [ "$1" = aggregator ] && how=(start_aggregator)
    with FAULT_CLOCK="$WORK/clock.$1" "${how[@]}"
}
round_now() { number "$RUN/aggregator/status.json" round; }
for name in aggregator $HOSPITALS; do
    set_clock "$name" 0
    party "$name"
done
check "rounds finish" wait_round aggregator 10 60

# ---- by 200 s, everywhere: what was made now is valid 300 s earlier ----
for name in aggregator $HOSPITALS; do set_clock "$name" -200; done
for name in aggregator $HOSPITALS; do
    check "$name says so" until_true 10 says "$RUN/$name/log" "this machine's clock was set back by (199|200|201) s"
done
at=$(round_now)
check "rounds go on" wait_round aggregator $((at + 10)) 30

# ---- by a day, at one node: before its certificates began ----
set_clock lakeside -86600
check "it refuses to go on, and says what to look at" until_true 10 \
    says "$RUN/lakeside/log" "refused .*is not valid yet: this machine's clock was set back"
at=$(round_now)
check "the others go on" wait_round aggregator $((at + 5)) 40
check "and it runs still" kill -0 "${PID[lakeside]}"
set_clock lakeside -200
at=$(number "$RUN/lakeside/status.json" round)
check "with the right time it takes part again" wait_round lakeside $((at + 5)) 60

# ---- by a day, at the aggregator, while it runs ----
set_clock aggregator -86600
check "it says so" until_true 10 says "$RUN/aggregator/log" "set back by 86(399|400|401) s"
at=$(round_now)
check "its deadlines are none of the clock's: rounds go on" wait_round aggregator $((at + 10)) 40

# ---- a day ahead when it was started, and then set right ----
for name in aggregator $HOSPITALS; do kill_party "$name"; done
for name in aggregator $HOSPITALS; do set_clock "$name" 0; done
doors=$(grep -c "door tcp://" "$RUN/aggregator/log")
set_clock aggregator 86400
party aggregator
check "it starts" until_true 10 more_than "$doors" "door tcp://"
check "a node does not take its statement, and names the clocks" refused "$WORK/x" \
    "would be valid for more than .*check the clocks of both machines" \
    "$BIN/fedmoe-node" start --config "$RUN/northgate/node.yaml"
set_clock aggregator 0
check "set right, it says so" until_true 10 says "$RUN/aggregator/log" "set back by 86(399|400|401) s"
for name in $HOSPITALS; do party "$name"; done
at=$(round_now)
check "and all go on, without its being started again" wait_round aggregator $((at + 10)) 60

# ---- and afterwards: every round, also those of the wrong clock, can be checked ----
for name in aggregator $HOSPITALS; do kill_party "$name"; done
check "the bundle of all rounds is made" "$BIN/fedmoe-aggregator" export --directory "$RUN/aggregator" \
    --audit "$WORK/run.audit"
check "and holds" "$BIN/fedmoe-node" verify --trust "$RUN/ca" "$WORK/run.audit"
# All were killed at once above: a round that some had released by then is in no bundle.
member() {
    local -a named=()
    local i
    for i in 1 2; do
        "$BIN/fedmoe-node" verify --config "$RUN/northgate/node.yaml" "${named[@]}" "$WORK/run.audit" \
            >"$WORK/out" 2>&1 && return 0
        read -ra named < <(sed -n 's/.*; give \(--abandoned .*\) then).*/\1/p' "$WORK/out")
        [ "${#named[@]}" -gt 0 ] || break
    done
    cat "$WORK/out" >&2
    return 1
}
check "for a member, too" member
finish
