# 36 real nodes that share masks with some of the others only, drawn anew in each round: rounds with a
# node that is lost, the bundle of them, and a hospital that wants a mask with everybody.
. "$(dirname "$0")/lib.sh"
setup --rounds 2
EXTRA=$(seq -f "clinic-%02g" 1 32)
YAML=$RUN/federation.yaml
sed -i -e 's/^  nodes: 4/  nodes: 36/' -e 's/^  min: 3/  min: 30/' -e 's/^  quorum: 3/  quorum: 30/' \
    -e 's/^  colluders: 1/  colluders: 4/' -e 's/expected_units: 610/expected_units: 6000/' \
    -e 's/max_units: 1220/max_units: 12000/' -e 's/^  round_s: .*/  round_s: 6/' "$YAML"
echo "keep_updates: true" >>"$YAML"
replan
check "init says with how many a node shares masks" \
    says "$WORK/init.txt" "masks +with about 3[0-4] of 35 other nodes, drawn anew and in secret"
check "and how likely that is not enough" says "$WORK/init.txt" "with probability below 2\^-6[1-9]"
DOOR_KEY=$(sed -n 's/^ *door_key: "\(.*\)"$/\1/p' "$RUN/northgate/node.yaml")
for name in $EXTRA; do
    "$BIN/fedmoe-certs" issue --ca "$RUN/ca" --role node --name "$name" \
        --output "$RUN/$name/identity" >/dev/null || exit 1
    cp -p "$RUN/northgate/records.csv" "$RUN/$name/"
    sed "s/\"northgate\"/\"$name\"/; s/^name: northgate/name: $name/" "$RUN/northgate/node.yaml" \
        >"$RUN/$name/node.yaml"
    chmod 600 "$RUN/$name/node.yaml"
done
[ -n "$DOOR_KEY" ] || exit 1

# One hospital's policy wants all masks: it refuses, and the sentence says so.
sed -i 's/^  masks: sparse .*/  masks: all/' "$RUN/clinic-32/node.yaml"
LINGER=60 start_aggregator
start_node clinic-32
for ((i = 0; i < 200; i++)); do kill -0 "${PID[clinic-32]}" 2>/dev/null || break; sleep 0.05; done
check "a policy of masks: all refuses a sparse plan" says "$RUN/clinic-32/log" \
    "shares a mask with 2[0-9]+ of 256 others.*policy.masks: all"
unset "PID[clinic-32]"
sed -i 's/^  masks: all/  masks: sparse/' "$RUN/clinic-32/node.yaml"

# One has a line so slow, once it has approved the plan, that its updates come too late.
DOOR=$(sed -n 's|^ *door: "tcp://\(.*\)"$|\1|p' "$RUN/northgate/node.yaml")
SLOW=${DOOR%:*}:$((${DOOR##*:} % 20000 + 40001))
echo "" >"$WORK/control"
"$BIN/e2e-relay" "$WORK/control" - "$SLOW=$DOOR" >"$WORK/relay" 2>&1 &
PID[relay]=$!
sed -i "s|tcp://$DOOR|tcp://$SLOW|" "$RUN/clinic-07/node.yaml"
start_node clinic-07
for ((i = 0; i < 400; i++)); do
    grep -q "clinic-07 approved the plan" "$RUN/aggregator/log" && break
    sleep 0.05
done
echo "delay_ms 2500" >"$WORK/control"
for name in $HOSPITALS $EXTRA; do [ "$name" = clinic-07 ] || start_node "$name"; done
check "the run ends" wait_end northgate 120
kill_party clinic-07
kill_party relay
check "a hospital reads of it" bash -c '"$1" plan --config "$2" >"$3"' _ "$BIN/fedmoe-node" \
    "$RUN/northgate/node.yaml" "$WORK/plan.txt"
tr '\n' ' ' <"$WORK/plan.txt" | tr -s ' ' >"$WORK/plan.line"
check "with how many it shares masks" says "$WORK/plan.line" \
    "hidden by masks with about 3[0-4] of 35 others, drawn anew and in secret"
for name in $HOSPITALS $EXTRA; do
    [ -z "${PID[$name]:-}" ] || check "$name ends well" wait_end "$name" 60
done
kill -TERM "${PID[aggregator]}" 2>/dev/null
wait "${PID[aggregator]}" 2>/dev/null
unset "PID[aggregator]"
check "a round was finished without one that had begun it" says "$RUN/aggregator/log" \
    "finished: 35 of 36 nodes"
check "the bundle" bash -c '"$1" export --directory "$2" --audit "$3" >"$4" 2>&1' _ \
    "$BIN/fedmoe-aggregator" "$RUN/aggregator" "$WORK/heart.audit" "$WORK/out"
mkdir "$WORK/outsider"
cp "$RUN/northgate/identity/ca.crt" "$WORK/outsider/"
check "an outsider recomputes every sum" bash -c '"$1" verify --trust "$2" --recompute "$3" >"$4" 2>&1' \
    _ "$BIN/fedmoe-node" "$WORK/outsider" "$WORK/heart.audit" "$WORK/out"
check "of all rounds" says "$WORK/out" "recomputed in all 2 rounds"
finish
