# 46 real nodes that share masks with some of the others only, drawn anew in each round: rounds with a
# node that is lost, the bundle of them, and a hospital that wants a mask with everybody.
. "$(dirname "$0")/lib.sh"
setup --rounds 3
EXTRA=$(seq -f "clinic-%02g" 1 42)
YAML=$RUN/federation.yaml
sed -i -e 's/^  nodes: 4/  nodes: 46/' -e 's/^  min: 3/  min: 44/' -e 's/^  quorum: 3/  quorum: 44/' \
    -e 's/^  colluders: 1/  colluders: 4/' -e 's/expected_units: 610/expected_units: 8000/' \
    -e 's/max_units: 1220/max_units: 16000/' -e 's/^  round_s: .*/  round_s: 20/' "$YAML"
echo "keep_updates: true" >>"$YAML"
replan
check "init says with how many a node shares masks" \
    says "$WORK/init.txt" "masks +with about 3[4-9] of 45 other nodes, drawn anew and in secret"
check "and how likely that is not enough" says "$WORK/init.txt" "with probability below 2\^-5[5-9]"
DOOR=$(sed -n 's/^ *door: "\(.*\)"$/\1/p' "$RUN/northgate/node.yaml")
DOOR_KEY=$(sed -n 's/^ *door_key: "\(.*\)"$/\1/p' "$RUN/northgate/node.yaml")
for name in $EXTRA; do
    "$BIN/fedmoe-certs" issue --ca "$RUN/ca" --role node --name "$name" \
        --output "$RUN/$name/identity" >/dev/null || exit 1
    cp -p "$RUN/northgate/records.csv" "$RUN/$name/"
    sed "s/\"northgate\"/\"$name\"/; s/^name: northgate/name: $name/" "$RUN/northgate/node.yaml" \
        >"$RUN/$name/node.yaml"
    chmod 600 "$RUN/$name/node.yaml"
done

# One hospital's policy wants all masks: it refuses, and the sentence says so.
sed -i 's/^  masks: sparse .*/  masks: all/' "$RUN/clinic-32/node.yaml"
LINGER=60 start_aggregator
start_node clinic-32
for ((i = 0; i < 200; i++)); do kill -0 "${PID[clinic-32]}" 2>/dev/null || break; sleep 0.05; done
check "a policy of masks: all refuses a sparse plan" says "$RUN/clinic-32/log" \
    "shares a mask with about [0-9]+ of [0-9]+ others.*policy.masks: all"
unset "PID[clinic-32]"
sed -i 's/^  masks: all/  masks: sparse/' "$RUN/clinic-32/node.yaml"

# Two are clients that others wrote; one of these is lost after the start of its second round.
PYTHON=
for p in /usr/bin/python3 python3; do
    "$p" -c 'import zmq, cryptography' 2>/dev/null && PYTHON=$p && break
done
export PYTHONDONTWRITEBYTECODE=1
client() { # NAME [options]
    local name=$1
    shift
    "$PYTHON" "$SOURCE/tests/client/node.py" --identity "$RUN/$name/identity" \
        --purpose "heart disease risk" --door "$DOOR" --door-key "$DOOR_KEY" "$@" \
        >>"$RUN/$name/log" 2>&1 &
    PID[$name]=$!
}
THEIRS=
if [ -n "$PYTHON" ]; then
    THEIRS="clinic-07 clinic-08"
    client clinic-07
    client clinic-08 --vanish 2
fi
for name in $HOSPITALS $EXTRA; do [[ " $THEIRS " == *" $name "* ]] || start_node "$name"; done
for name in $HOSPITALS $EXTRA; do check "$name ends well" wait_end "$name" 120; done
check "a hospital reads of it" bash -c '"$1" plan --config "$2" >"$3"' _ "$BIN/fedmoe-node" \
    "$RUN/northgate/node.yaml" "$WORK/plan.txt"
tr '\n' ' ' <"$WORK/plan.txt" | tr -s ' ' >"$WORK/plan.line"
check "with how many it shares masks" says "$WORK/plan.line" \
    "hidden by masks with about 3[4-9] of 45 others, drawn anew and in secret"
kill -TERM "${PID[aggregator]}" 2>/dev/null
wait "${PID[aggregator]}" 2>/dev/null
unset "PID[aggregator]"
if [ -n "$PYTHON" ]; then
    check "a round was finished without one that had begun it" says "$RUN/aggregator/log" \
        "round 2 finished: 45 of 46 nodes"
    check "for which the other client released" says "$RUN/clinic-07/log" \
        "released: 45 survivors, lost \[[0-9]+\]"
fi
check "the bundle" bash -c '"$1" export --directory "$2" --audit "$3" >"$4" 2>&1' _ \
    "$BIN/fedmoe-aggregator" "$RUN/aggregator" "$WORK/heart.audit" "$WORK/out"
mkdir "$WORK/outsider"
cp "$RUN/northgate/identity/ca.crt" "$WORK/outsider/"
check "an outsider recomputes every sum" bash -c '"$1" verify --trust "$2" --recompute "$3" >"$4" 2>&1' \
    _ "$BIN/fedmoe-node" "$WORK/outsider" "$WORK/heart.audit" "$WORK/out"
check "of all rounds" says "$WORK/out" "recomputed in all 3 rounds"
finish
