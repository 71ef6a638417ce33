# A data-protection officer's day: a plan that the policy refuses is read before anyone computes, then
# allowed; the run is watched, the books are read, the page is written; the next run finds no budget left.
. "$(dirname "$0")/lib.sh"
rounds=6
setup --rounds $rounds --epsilon 1
config=$RUN/northgate/node.yaml
node() { "$BIN/fedmoe-node" "$1" --config "$config" "${@:2}"; }
# words FILE: as one line, wherever it was broken.
words() { tr -s ' \n' '  ' <"$1" >"$WORK/words"; }
means() { words "$1" && says "$WORK/words" "$2"; }

# ---- morning: the plan, under a policy that does not know its purpose ----
check "no plan yet: says so" refused "$WORK/out" "no plan was offered yet" "$BIN/fedmoe-node" plan --config "$config"
sed -i 's/- "heart disease risk"/- "something else"/' "$config"
start_all
refuses() { wait "${PID[northgate]}"; local rc=$?; unset "PID[northgate]"; [ $rc = 1 ]; }
check "the node refuses and ends" refuses
check "it says which purpose" says "$RUN/northgate/log" "the purpose 'heart disease risk' is not one that the policy"
check "nothing was released" [ "$(node ledger --json 2>/dev/null | grep -c '"round"')" = 0 ]
node plan >"$WORK/plan.txt"
check "plan: the purpose" says "$WORK/plan.txt" "^  heart disease risk$"
check "plan: the task" means "$WORK/plan.txt" "All institutions train one model of [0-9]+ parameters, in $rounds finished rounds"
check "plan: the unit" means "$WORK/plan.txt" "unit is one record, that is one line of the file"
check "plan: whose noise" means "$WORK/plan.txt" "the guarantee holds if at most 1 of the other nodes collude"
check "plan: what it costs and leaves" means "$WORK/plan.txt" \
    "costs epsilon 1 at delta 0.0001.*has spent 0\.0000 so far; when the plan has run to its end it will be (1\.0000|0\.9999)"
check "plan: what an attacker could gain" means "$WORK/plan.txt" "nobody in more than 73.2%"
check "plan: what goes over the line" means "$WORK/plan.txt" "one masked update of [0-9]+ numbers of 16 bits"
check "plan: the answer" means "$WORK/plan.txt" "This node REFUSED it: reason the purpose 'heart disease risk'"

# ---- noon: allowed ----
sed -i 's/- "something else"/- "heart disease risk"/' "$config"
start_node northgate
for name in $HOSPITALS; do check "$name ends well" wait_end "$name" 90; done
[ -z "${PID[aggregator]:-}" ] || kill_party aggregator 2>/dev/null
node status >"$WORK/status.txt"
check "status: finished, with what is spent" says "$WORK/status.txt" "epsilon (1\.0000|0\.9[0-9]+) of 1\.0000 is spent"
node plan >"$WORK/plan.txt"
check "plan: approved, and paid" means "$WORK/plan.txt" "$rounds of the plan's $rounds rounds are in the ledger already.*This node approved it"
node ledger --json >"$WORK/ledger.json"
node report --output "$WORK/report.html" >/dev/null
node report --json >"$WORK/report.json"
spent=$(number "$WORK/ledger.json" epsilon_spent)
# Each reckons for itself: the accountant is exact to a ten-thousandth, from above.
check "status, ledger and report agree" awk -v a="$spent" \
    -v b="$(number "$RUN/northgate/status.json" epsilon_spent)" \
    -v c="$(number "$WORK/report.json" epsilon_spent)" \
    'function near(x, y) { return x - y < 1e-4 * x && y - x < 1e-4 * x }
     BEGIN { exit !(a > 0 && near(a, b) && near(a, c)) }'
check "the page: what is spent, and what for" says "$WORK/report.html" "has spent $(shown_up "$spent"); "
check "the page: the plan, as the plan's file has it" grep -q \
    "$(sed -n 's/^ *"hash": "\([0-9a-f]*\)".*/\1/p' "$RUN/northgate/plan.json")" "$WORK/report.html"

# ---- afternoon: another plan on the same records ----
sed -i 's/"heart disease risk"/"heart disease risk"\n    - "next study"/' "$config"
sed -i 's/^purpose:.*/purpose: next study/' "$RUN/federation.yaml"
for name in $HOSPITALS; do
    rm -f "$RUN/$name/model.safetensors"
    [ $name = northgate ] || sed -i 's/"heart disease risk"/"next study"/' "$RUN/$name/node.yaml"
done
replan
start_all
check "the node refuses: no budget" refuses
check "with the figures" says "$RUN/northgate/log" "would bring the data set to epsilon .*spent: .*budget is 1\.0"
node plan >"$WORK/plan.txt"
check "plan: more than the budget" means "$WORK/plan.txt" "which is MORE THAN THE BUDGET.*This node REFUSED it"
node report --output "$WORK/second.html" >/dev/null
check "the page says that it was refused, and why" says "$WORK/second.html" "refused by this node \(the run would bring the data set to"
check "nothing more was spent" [ "$(node report --json | sed -n 's/^ *"epsilon_spent": \(.*\),$/\1/p')" = "$spent" ]
finish
