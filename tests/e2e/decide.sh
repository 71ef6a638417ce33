# People decide: nothing leaves before an approval, a changed plan is asked about again, a refusal and
# its reason arrive, conditions end this node's part and nobody else's, and a decision that was altered,
# cut off or signed by somebody else counts for nothing.
. "$(dirname "$0")/lib.sh"
setup --rounds 6 --epsilon 3
NODE=$RUN/northgate
config=$NODE/node.yaml
plan() { "$BIN/fedmoe-node" plan "$1" --config "$config" "${@:2}"; }
ask() { # of this node's people, from now on
    sed -i '/^  approval:/d; s/^policy:.*/&\n  approval: asked/' "$config"
}
text() { sed -n "s/^ *\"$2\": \"\(.*\)\",\{0,1\}\$/\1/p" "$1" 2>/dev/null | head -1; }
member() { # what the aggregator's status says of northgate: KEY
    awk -v key="\"$1\":" '/"name": / { ours = $2 ~ /"northgate"/ }
        ours && $1 == key { sub(/^[^:]*: "?/, ""); sub(/"?,?$/, ""); print; exit }' \
        "$RUN/aggregator/status.json" 2>/dev/null
}
wait_for() { # SECONDS COMMAND...
    local i n=$1
    shift
    for ((i = 0; i < n * 20; i++)); do "$@" >/dev/null 2>&1 && return 0; nap 0.05; done
    echo "  not within $n s: $*" >&2
    return 1
}
node_state() { [ "$(text "$NODE/status.json" state)" = "$1" ]; }
seen_as() { [ "$(member state)" = "$1" ]; }
entries() { "$BIN/fedmoe-node" ledger --config "$config" --json 2>/dev/null | grep -c '"round"'; }
ends() { # with code NAME CODE
    local rc
    wait "${PID[$1]}"
    rc=$?
    unset "PID[$1]"
    [ $rc = "$2" ] || { echo "  $1 ended with $rc" >&2; return 1; }
}
stop_all() { for name in "${!PID[@]}"; do kill_party "$name" 2>/dev/null; done; }

# ---- nothing leaves before somebody has decided ----
ask
sed -i 's/join_s:.*/join_s: 300/' "$RUN/federation.yaml" # no start without it until it has decided
replan
start_all
check "the node waits for a decision" wait_for 20 node_state deciding
check "the aggregator sees that it decides" wait_for 5 seen_as deciding
sleep 1
check "it goes on waiting" node_state deciding
sent=$(number "$NODE/status.json" bytes_sent)
received=$(member bytes_received)
check "what has left is a Hello and Pings ($received bytes)" [ "${received:-99999}" -lt 3000 ]
check "and no answer to the plan" bash -c '! grep -q "northgate approved" "$1"' _ "$RUN/aggregator/log"
check "no round was begun" [ "$(number "$RUN/aggregator/status.json" round)" = 0 ]
check "nothing is in the ledger" [ "$(entries)" = 0 ]
plan show >"$WORK/plan.txt"
tr -s ' \n' '  ' <"$WORK/plan.txt" >"$WORK/words"
check "plan: says that it waits, and how to decide" says "$WORK/words" \
    "WAITS FOR A DECISION; nothing has left: reason nobody has decided yet fedmoe-node plan approve --config"
check "plan: who" says "$WORK/words" "The aggregator is 'aggregator', certificate [0-9a-f]{16}.*by the CA [0-9a-f]{16}"
check "plan: a step was measured here" says "$WORK/words" "one was computed here, and thrown away"
check "plan: what an attacker gains at few false alarms" says "$WORK/words" "1 in 100 .* 1 in 1000"
check "plan: and what is not protected" says "$WORK/words" "What it does not protect"
hash=$(sed -n 's/.*plan approve .*--plan \([0-9a-f]*\).*/\1/p' "$WORK/plan.txt")
check "no approval of another plan than was looked at" refused "$WORK/out" "has changed since it was looked at" \
    "$BIN/fedmoe-node" plan approve --config "$config" --plan 0123456789ab

# ---- approved: it goes on without a restart ----
before=${PID[northgate]}
plan approve --plan "$hash" --by "Anna Muster" --role dpo --rounds 4 >"$WORK/out" || finish
check "approve says what it kept" says "$WORK/out" "decision 1: approved, for 4 rounds"
check "only its owner can read it" [ "$(stat -c %a "$NODE/decisions")" = 600 ]
check "the node joins" wait_for 15 seen_as in
check "without a restart" kill -0 "$before"
for name in $HOSPITALS; do check "$name ends well" wait_end "$name" 90; done
check "of 6 rounds this node did the 4 that were approved" [ "$(entries)" = 4 ]
check "and said so politely" says "$RUN/aggregator/log" \
    "northgate takes part in no further round: those who decide for this node allow no further round"
"$BIN/fedmoe-node" status --config "$config" >"$WORK/out"
check "its status says why, too" says "$WORK/out" \
    "last said +this node did 4 rounds of the plan and then took part in no further one \(decision 1 approved 4 rounds"
"$BIN/fedmoe-aggregator" status --directory "$RUN/aggregator" >"$WORK/out"
check "the aggregator's says as much as it may know" says "$WORK/out" \
    "northgate .*those who decide for it allow no further round; has the result"
check "its own log says which condition" says "$NODE/log" "decision 1 approved 4 rounds of the plan, and they are done"
check "the others went on to the end" [ "$(number "$RUN/aggregator/status.json" round)" = 6 ]
check "and no harm is counted" [ "$(member harm)" = 0 ]
check "it has the result" [ -s "$NODE/model.safetensors" ]
plan decisions >"$WORK/out"
check "decisions: listed and checked" says "$WORK/out" "1 decision in .*: the chain is whole, and every signature holds"
check "decisions: who" says "$WORK/out" "by Anna Muster \(dpo\)"
"$BIN/fedmoe-node" report --config "$config" --output "$WORK/report.html" >/dev/null
check "the report lists it" says "$WORK/report.html" "Anna Muster"
stop_all

# ---- the plan changes: asked again, by default too ----
sed -i 's/^  rounds:.*/  rounds: 5/' "$RUN/federation.yaml"
for name in $HOSPITALS; do
    rm -f "$RUN/$name/model.safetensors"
    sed -i 's/^  epsilon: .*/  epsilon: 20/' "$RUN/$name/node.yaml"
done
replan
sed -i 's/^  approval: asked/  approval: changes/' "$config" # as init writes it
start_all
check "a changed plan is asked about, in spite of the old approval" wait_for 20 node_state deciding
plan show >"$WORK/plan.txt"
check "plan: it is another" [ "$(sed -n 's/.*plan approve .*--plan \([0-9a-f]*\).*/\1/p' "$WORK/plan.txt")" != "$hash" ]
check "nothing more is in the ledger" [ "$(entries)" = 4 ]
# The old approval under the new plan's hash: one byte is enough to give it away.
new=$(text "$NODE/plan.json" hash)
old=$(sed -n 's/^plan \([0-9a-f]*\)$/\1/p' "$NODE/decisions" | head -1)
cp "$NODE/decisions" "$WORK/decisions"
# In place: the node, which reads the file again and again, sees the one or the other, and never half of it.
sed -i "s/$old/$new/" "$NODE/decisions"
check "an altered decision: the node refuses, and ends" ends northgate 1
check "its log says which decision" says "$NODE/log" "decision 1 was altered or is damaged"
check "the aggregator is not told why" says "$RUN/aggregator/log" "refuses the plan: this node cannot take part in the plan; its own log says why"
check "nor does it start again with it" refused "$WORK/out" "decision 1 was altered" "$BIN/fedmoe-node" start --config "$config"
cp "$WORK/decisions" "$NODE/decisions"

# ---- refused, with a reason ----
start_node northgate
check "it waits again" wait_for 20 node_state deciding
plan refuse --by "Anna Muster" --role dpo --reason "too much in one year" >/dev/null
check "refused: the node ends" ends northgate 1
check "the reason is in the aggregator's status" wait_for 5 seen_as \
    "it refuses the plan: those who decide for this node refuse the plan: too much in one year"
# The refusal cut off again: the journal has seen it.
cp "$NODE/decisions" "$WORK/two"
cp "$WORK/decisions" "$NODE/decisions"
check "decisions cut off at the end are missed" refused "$WORK/out" "has seen 2, and not these" \
    "$BIN/fedmoe-node" plan decisions --config "$config"
start_node northgate
check "by the node, too" ends northgate 1
check "which says so" says "$NODE/log" "holds 1 decision, but this node has seen 2"
cp "$WORK/two" "$NODE/decisions"

# ---- lost, and begun anew: on record, and everybody is asked again ----
check "what is in order is not begun anew" refused "$WORK/out" "is in order .2 decisions" \
    "$BIN/fedmoe-node" plan reset --config "$config" --by Anna --reason lost --yes
mv "$NODE/decisions" "$WORK/mine"
"$BIN/fedmoe-node" plan approve --config "$RUN/hillcrest/node.yaml" --by Else >/dev/null
cp "$RUN/hillcrest/decisions" "$NODE/decisions"
check "a stranger's file is no one's here" refused "$WORK/out" "has seen 2, and not these.*plan reset" \
    "$BIN/fedmoe-node" plan decisions --config "$config"
check "it says what it would do" refused "$WORK/out" "has seen 2, and not these.*first look for a backup.*give --yes" \
    "$BIN/fedmoe-node" plan reset --config "$config" --by Anna --reason lost
check "and does nothing" cmp -s "$RUN/hillcrest/decisions" "$NODE/decisions"
plan reset --by "Anna Muster" --reason "the disk failed" --yes >"$WORK/out" || finish
check "begun anew" says "$WORK/out" "All decisions that were made before are void; the journal says so"
check "the stranger's is kept aside" cmp -s "$RUN/hillcrest/decisions" "$(ls "$NODE"/decisions.void-*)"
plan decisions >"$WORK/out"
check "listed with who and why" says "$WORK/out" "^2 decisions of before 20.* are void, as Anna Muster said: 'the disk failed'"
"$BIN/fedmoe-node" report --config "$config" --output "$WORK/report.html" >/dev/null
check "and in the report" says "$WORK/report.html" "Anna Muster declared the decisions lost"
cp "$WORK/mine" "$NODE/decisions"
check "the old ones count no more, put back" refused "$WORK/out" "when all that there were were declared void" \
    "$BIN/fedmoe-node" plan decisions --config "$config"
rm "$NODE/decisions"
start_node northgate
check "asked again: no first plan is approved by itself any more" wait_for 20 node_state deciding
check "and why" says "$NODE/status.json" "the decisions that there were are void"
kill_party northgate
# A refusal was among what is void: where the policy alone decides, it does not for want of it.
sed -i 's/^  approval: .*/  approval: policy/' "$config"
start_node northgate
check "nor by the policy" wait_for 20 node_state deciding
check "for the same reason" says "$NODE/status.json" "the decisions that there were are void"
kill_party northgate

# ---- approvers of their own ----
openssl genpkey -algorithm ed25519 -out "$WORK/dpo.key" 2>/dev/null
openssl pkey -in "$WORK/dpo.key" -pubout -out "$NODE/dpo.pub"
chmod 600 "$WORK/dpo.key"
sed -i 's/^  approval:.*/  approval: asked\n  approvers: [dpo.pub]/' "$config"
start_node northgate
check "an approver's key: it waits, whatever the node's own key has signed" wait_for 20 node_state deciding
check "the node's own key does not count" refused "$WORK/out" "whose decisions alone count; give --key" \
    "$BIN/fedmoe-node" plan approve --config "$config"
check "nor does an end that has passed" refused "$WORK/out" "--until 2020-01-01 has passed" \
    "$BIN/fedmoe-node" plan approve --config "$config" --key "$WORK/dpo.key" --until 2020-01-01
plan approve --key "$WORK/dpo.key" --by "Anna Muster" --role dpo --members northgate,lakeside,hillcrest >"$WORK/out"
check "an approver's decision: with nobody but three" says "$WORK/out" "with nobody but hillcrest,lakeside,northgate"
for name in $HOSPITALS; do check "$name ends well" wait_end "$name" 90; done
check "riverside was there: this node took part in nothing" [ "$(entries)" = 4 ]
check "the others did" [ "$(number "$RUN/aggregator/status.json" round)" = 5 ]
check "its log says who" says "$NODE/log" "'riverside' is not of them"
stop_all

# ---- too few are left: concluded for all, and everybody says why ----
sed -i '/^  approv/d' "$config"
sed -i 's/^  rounds:.*/  rounds: 7/' "$RUN/federation.yaml"
replan
for name in lakeside hillcrest; do
    rm -f "$RUN/$name/status.json"
    sed -i 's/^  approval: .*/  approval: asked/' "$RUN/$name/node.yaml"
done
start_all
check "northgate, whose decisions were void, is asked about this one, too" wait_for 20 node_state deciding
plan approve --by "Anna Muster" >"$WORK/out"
for name in lakeside hillcrest; do
    NODE=$RUN/$name config=$RUN/$name/node.yaml
    check "$name waits" wait_for 20 node_state deciding
    plan approve --by "Anna Muster" --role dpo --rounds 2 >"$WORK/out"
done
for name in $HOSPITALS; do check "$name ends well" wait_end "$name" 90; done
"$BIN/fedmoe-aggregator" status --directory "$RUN/aggregator" >"$WORK/out"
check "the aggregator concludes and says why: no budget is used up" says "$WORK/out" \
    "those who decide for 2 of 4 nodes allow no further round: concluded after 2 of 7 rounds"
"$BIN/fedmoe-node" status --config "$RUN/northgate/node.yaml" >"$WORK/out"
check "a node that would have gone on is told that it is over" says "$WORK/out" \
    "last said +the aggregator concluded after 2 of 7 rounds"
finish
