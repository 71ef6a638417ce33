# The disk is full from a write, sync or new file on, each in turn: what was about to be written
# is named with what to do; once there is space again the run goes on to the same end.
# STRIDE=1 bash full_disk.sh goes through all places; without it a sample that fits into CI.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_faults.sh"
LINGER=3
rounds=2
exact $rounds
cp -a "$RUN" "$WORK/base"
again() {
    rm -rf "$RUN" "$WORK/space" "$WORK"/count.*
    cp -a "$WORK/base" "$RUN"
}

# party NAME [FAULT_FULL=K]
party() {
    local name=$1
    local -a how=(start_node "$name")
    shift
    [ "$name" = aggregator ] && how=(start_aggregator)
    [ -e "$WORK/count.$name" ] || set -- FAULT_COUNT="$WORK/count.$name" "$@"
    with FAULT_SPACE="$WORK/space" "$@" "${how[@]}"
}

# Only the status is allowed to be behind: it is written again with the next change.
names_file_and_remedy() {
    grep -E 'No space left|disk is full|disk I/O' "$1" >"$WORK/said" || { echo "nothing said" >&2; return 1; }
    ! grep -vE '(\.db|\.safetensors|\.json|\.bin|\.held|trace|/(aggregator|lakeside)): .*; free space on that disk' "$WORK/said" >&2
}

# recovers WHO K: with no space from its K-th call on.
recovers() {
    local who=$1 k=$2 name rc end=$((SECONDS + 60))
    again
    for name in aggregator $HOSPITALS; do
        if [ "$name" = "$who" ]; then party "$name" FAULT_FULL="$k"; else party "$name"; fi
    done
    # It ends by itself, or goes on with no more than its status missing.
    while kill -0 "${PID[$who]}" 2>/dev/null && [ $SECONDS -lt $end ]; do nap 0.02; done
    wait "${PID[$who]}" 2>/dev/null
    rc=$?
    unset "PID[$who]"
    cp "$RUN/$who/log" "$WORK/said.log"
    touch "$WORK/space"
    if [ $rc = 0 ]; then
        ! grep 'No space left' "$WORK/said.log" | grep -v 'status.json' >&2 || return 1
    else
        [ $rc = 1 ] || { echo "$who ended with $rc" >&2; tail -3 "$WORK/said.log" >&2; return 1; }
        stopped=$((stopped + 1))
        says "$WORK/said.log" "start: .*; free space on that disk, then start again$" || return 1
        party "$who"
    fi
    # SQLite tidies up when all is done, and may leave it: that need not be said.
    [ $rc = 0 ] || names_file_and_remedy "$WORK/said.log" || return 1
    # Whoever was given the result may have left, and the aggregator after them.
    while [ $SECONDS -lt $end ] && [ ${#PID[@]} -gt 0 ]; do
        for name in "${!PID[@]}"; do
            kill -0 "${PID[$name]}" 2>/dev/null || wait_end "$name" 1 || return 1
        done
        [ ${#PID[@]} -eq 0 ] || [ -n "${PID[aggregator]:-}" ] || party aggregator
        nap 0.02
    done
    # Not by the status, which may be the one thing that could not be written any more.
    says "$RUN/aggregator/log" "finished, $rounds of $rounds rounds" || return 1
    for name in $HOSPITALS; do cmp "$RUN/$name/model.safetensors" "$WORK/model" || return 1; done
}

for name in aggregator $HOSPITALS; do party "$name" FAULT_FULL=1000000; done
for name in $HOSPITALS aggregator; do check "$name ends well, with space" wait_end "$name" 60; done
cp "$RUN/northgate/model.safetensors" "$WORK/model"
declare -A calls=([aggregator]=$(count "$WORK/count.aggregator") [lakeside]=$(count "$WORK/count.lakeside"))
sample=${SAMPLE:-8}
for who in aggregator lakeside; do
    n=${calls[$who]}
    stride=${STRIDE:-$((n / sample + 1))}
    first=${FIRST:-$((1 + RANDOM % stride))}
    check "$who writes, syncs and makes files ($n times)" [ "$n" -gt 40 ]
    stopped=0
    for ((k = first; k <= ${LAST:-$n}; k += stride)); do
        check "$who without space from call $k of $n on: says so, and goes on later" recovers "$who" "$k"
        stop_all
        [ -z "${TIMES:-}" ] || echo "  $SECONDS s"
    done
    check "$who has stopped for want of space ($stopped times)" [ $stopped -gt 2 ]
done
finish
