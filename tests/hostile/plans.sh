# A hostile aggregator offers plans that cost more than they say, or two of them at once.
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
dismiss split-plans
check "the lie is told" serve_hostile 60
check_records
finish
