# A hostile aggregator offers plans that cost more than they say, and tells two histories.
. "$(dirname "$0")/lib.sh"
setup --rounds 100
sed -i 's/^  unit: record$/&\n  sampling_rate: 0.5/' "$RUN/federation.yaml"
replan

declines() { wait "${PID[$1]}"; local rc=$?; unset "PID[$1]"; [ $rc = 1 ]; }
start_hostile --offer noise --offer rate --offer rounds --offer epsilon
check "worse plans are offered" serve_hostile 60
for name in $HOSPITALS; do
    check "$name ends, with exit 1" declines "$name"
    check "$name refuses the plan" says "$WORK/record" "^$name refuses the plan"
    check "$name paid nothing" [ "$(charged "$name")" = 0 ]
done
for name in northgate lakeside hillcrest; do
    check "$name says why" says "$RUN/$name/log" \
        "refused PlanOffer: the plan states epsilon [0-9.]+, but its noise costs"
done
check "riverside says why" says "$RUN/riverside/log" "refused PlanOffer: the run would bring"

# Each of these plans would do; that there are two is what nobody may release under.
start_hostile --offer clip --offer clip --offer same --offer same split-plans
end() { kill -TERM "${PID[$1]}"; wait "${PID[$1]}"; local rc=$?; unset "PID[$1]"; [ $rc = 1 ]; }
sleep_until() {
    local i
    for ((i = 0; i < 600; i++)); do grep -q "$1" "$WORK/record" 2>/dev/null && return 0; sleep 0.05; done
    return 1
}
check "two plans are told" sleep_until '^step split-plans'
for name in $HOSPITALS; do check "$name ends when it is told to" end "$name"; done
check "the lie is told" serve_hostile 60
check_records

# Two histories: half of the nodes never believe this aggregator again.
start_hostile honest honest split-models
check "two models are told" sleep_until '^step split-models'
for name in $HOSPITALS; do check "$name ends when it is told to" end "$name"; done
check "the lie is told" serve_hostile 60
check_records
finish
