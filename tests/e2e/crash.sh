# kill -9 at every write, send and sync: of the aggregator, of a node. What is killed twice at the
# same place and started again ends, with all others, in the bit-identical model; and no round
# number has two updates, commits or releases of one node.
# STRIDE=1 bash crash.sh goes through all places; without it a sample that fits into CI.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_faults.sh"
rounds=2
LINGER=3
at=0 kills=0 badly=0
exact $rounds
cp -a "$RUN" "$WORK/base"
again() {
    rm -rf "$RUN" "$WORK"/wire.* "$WORK"/count.*
    cp -a "$WORK/base" "$RUN"
}

# Parties with a record of what they send, and a count of the calls of their first life.
party() {
    local name=$1
    shift
    [ -e "$WORK/count.$name" ] || set -- FAULT_COUNT="$WORK/count.$name" "$@"
    if [ "$name" = aggregator ]; then
        with FAULT_WIRE=/dev/null "$@" start_aggregator
    else
        with FAULT_WIRE="$WORK/wire.$name" "$@" start_node "$name"
    fi
}

# ended NAME: 0 when it is over. Killed, it is started again: to be killed at the same place the first time.
ended() {
    local name=$1 rc
    kill -0 "${PID[$name]}" 2>/dev/null && return 1
    wait "${PID[$name]}" 2>/dev/null
    rc=$?
    unset "PID[$name]"
    if [ $rc = 137 ]; then
        kills=$((kills + 1))
        if [ $kills = 1 ]; then party "$name" FAULT_KILL="$at"; else party "$name"; fi
    elif [ $rc != 0 ]; then
        echo "$name ended with $rc" >&2
        tail -3 "$RUN/$name/log" >&2
        badly=1
    fi
}

# The aggregator leaves when everyone was sent the result; a node that was killed on receiving it
# asks again, and its coordinator has to start the aggregator again.
everyone_ends() {
    local name end=$((SECONDS + 60))
    while [ $SECONDS -lt $end ] && [ ${#PID[@]} -gt 0 ] && [ $badly = 0 ]; do
        for name in "${!PID[@]}"; do ended "$name"; done
        [ ${#PID[@]} -eq 0 ] || [ -n "${PID[aggregator]:-}" ] || party aggregator
        nap 0.02
    done
    [ ${#PID[@]} -eq 0 ] || { echo "still there: ${!PID[*]}" >&2; return 1; }
    [ $badly = 0 ]
}

once_each() { ! cut -d' ' -f1,2 "$1" | sort | uniq -d | grep .; }
no_update_twice() { ! grep ^update "$1" | cut -d' ' -f3 | sort | uniq -d | grep .; }
entry_for_each() {
    local released
    released=$(grep -c ^release "$WORK/wire.$1")
    # What is said to be released was charged before; the charge of a last one may have come alone.
    spent=$("$BIN/fedmoe-node" ledger --config "$RUN/$1/node.yaml" --json | grep -c '"round"')
    [ "$spent" -ge "$released" ]
}

# survives WHO K: killed at its K-th call, and once more.
survives() {
    local who=$1 name
    at=$2 kills=0 badly=0
    again
    for name in aggregator $HOSPITALS; do
        if [ "$name" = "$who" ]; then party "$name" FAULT_KILL="$at"; else party "$name"; fi
    done
    everyone_ends || return 1
    # Lives differ a little: one of the last places may not have come.
    [ $kills -gt 0 ] || [ "$(count "$WORK/count.$who")" -lt "$at" ] || return 1
    all_rounds $rounds || return 1
    for name in $HOSPITALS; do
        cmp "$RUN/$name/model.safetensors" "$WORK/model" || return 1
        once_each "$WORK/wire.$name" && no_update_twice "$WORK/wire.$name" || return 1
        entry_for_each "$name" || return 1
    done
}

for name in aggregator $HOSPITALS; do party "$name"; done
check "an undisturbed run ends" everyone_ends
cp "$RUN/northgate/model.safetensors" "$WORK/model"
check "its wire was recorded" [ "$(wc -l <"$WORK/wire.northgate")" = $((3 * rounds)) ]
declare -A calls=([aggregator]=$(count "$WORK/count.aggregator") [lakeside]=$(count "$WORK/count.lakeside"))
again
for name in aggregator $HOSPITALS; do party "$name"; done
check "a second one, too" everyone_ends
check "with the bit-identical model" cmp "$RUN/northgate/model.safetensors" "$WORK/model"

sample=${SAMPLE:-7}
for who in aggregator lakeside; do
    all_kills=0 places=0
    n=${calls[$who]}
    stride=${STRIDE:-$((n / sample + 1))}
    first=${FIRST:-$((1 + RANDOM % stride))}
    check "$who makes calls to be killed at ($n)" [ "$n" -gt 50 ]
    for ((k = first; k <= ${LAST:-$n}; k += stride)); do
        check "$who killed at call $k of $n, twice: all rounds, the same model, nothing twice" \
            survives "$who" "$k"
        all_kills=$((all_kills + kills)) places=$((places + 1))
        stop_all
        [ -z "${TIMES:-}" ] || echo "  $SECONDS s"
    done
    # A second life may be too short to come to the same place again, the last ones above all.
    check "$who was killed ($all_kills times at $places places)" [ $all_kills -gt $((places + places / 3)) ]
done
finish
