# A client that others wrote: tests/client, from docs/protocol.md alone, takes part as our nodes do.
. "$(dirname "$0")/lib.sh"
PYTHON=
for p in /usr/bin/python3 python3; do
    "$p" -c 'import zmq, cryptography' 2>/dev/null && PYTHON=$p && break
done
[ -n "$PYTHON" ] || skip "python3-zmq or python3-cryptography is not installed"
export PYTHONDONTWRITEBYTECODE=1
LINGER=3
setup --rounds 4

# client NAME IDENTITY [options]: in the background, as the party NAME.
client() {
    local name=$1 identity=$2
    shift 2
    mkdir -p "$RUN/$name"
    "$PYTHON" "$SOURCE/tests/client/node.py" --identity "$identity" --purpose "heart disease risk" "$@" \
        >>"$RUN/$name/log" 2>&1 &
    PID[$name]=$!
}
door=$(sed -n 's/^  door: "\(.*\)"$/\1/p' "$RUN/northgate/node.yaml")
key=$(sed -n 's/^  door_key: "\(.*\)"$/\1/p' "$RUN/northgate/node.yaml")
cp -a "$RUN" "$WORK/base"

# With privacy: it enrols with a join code; another client is lost after the start of its second round.
# The CA has just named its successor, which those who pinned the old one learn in their session.
aggregator() { "$BIN/fedmoe-aggregator" "$1" --directory "$RUN/aggregator" "${@:2}" >"$WORK/out" 2>&1; }
check "a successor of the CA" aggregator rotate --ca "$RUN/ca" --days 9000
echo "keep_updates: true" >>"$RUN/aggregator/federation.yaml"
start_aggregator --ca "$RUN/ca"
code=$("$BIN/fedmoe-aggregator" invite visitor --directory "$RUN/aggregator" | grep '^fedmoe1')
for name in northgate lakeside; do start_node "$name"; done
client visitor "$WORK/visitor" --code "$code" --min-cohort 3 --output "$WORK/visitor.model"
client hillcrest "$RUN/hillcrest/identity" --door "$door" "--door-key=$key" --vanish 2
for name in northgate lakeside visitor hillcrest aggregator; do check "$name ends well" wait_end "$name" 90; done
check "the visitor was enrolled" says "$RUN/visitor/log" "enrolled as visitor"
pinned() { [ "$(grep -c 'BEGIN CERTIFICATE' "$1/ca.crt")" = 2 ]; }
check "below the new CA, beside the old one" pinned "$WORK/visitor"
check "hillcrest pinned the new one when it came" pinned "$RUN/hillcrest/identity"
check "it released a round with four" says "$RUN/visitor/log" "released: 4 survivors, lost \[\]"
check "and one whose neighbour was lost" says "$RUN/visitor/log" "released: 3 survivors, lost \[[0-9]\]"
check "hillcrest was that neighbour" says "$RUN/hillcrest/log" "gone, as asked"
check "it has the result of all rounds" says "$RUN/visitor/log" "finished: 4 rounds"
check "the aggregator dropped nobody for what it said" \
    bash -c '! grep -E "visitor dropped|barred" "$1"' _ "$RUN/aggregator/log"
check "the bundle" aggregator export --audit "$WORK/bundle"
mkdir "$WORK/outsider"
cp "$RUN/northgate/identity/ca.crt" "$WORK/outsider/"
verified() { "$BIN/fedmoe-node" verify --trust "$WORK/outsider" --recompute "$WORK/bundle" >"$WORK/out" 2>&1; }
check "holds, every sum recomputed" verified
check "with the visitor's rounds" says "$WORK/out" "visitor +4 +4"
again() { "$PYTHON" "$SOURCE/tests/client/audit.py" "$WORK/bundle" "$WORK/outsider/ca.crt" >"$WORK/out" 2>&1; }
check "the client's own verifier finds the same" again
check "in all rounds" says "$WORK/out" "4 rounds, 4 recomputed"
check "a member leaves" "$BIN/fedmoe-certs" revoke --ca "$RUN/ca" --name visitor
cp "$RUN/ca/crl.pem" "$WORK/outsider/"
with_lists() { "$PYTHON" "$SOURCE/tests/client/audit.py" "$WORK/bundle" "$WORK/outsider/"{ca.crt,crl.pem} >"$WORK/out" 2>&1; }
check "which ends what it did before for neither: ours" verified
check "which says so" says "$WORK/out" "visitor.*revoked"
check "nor theirs" with_lists

# Without noise, and with every record in every round, a node that adds zeros changes no bit of the
# model: with it and without it the same one comes out.
exactly() { # DIRECTORY: from the same first plan
    rm -rf "$RUN"
    cp -a "$WORK/base" "$RUN"
    sed -i -e 's/^  epsilon: .*/  epsilon: 1000/' -e 's/^  join_s: .*/  join_s: 2/' \
        -e '/^  delta:/a\  sampling_rate: 1\n  insecure_noise_multiplier: 0' "$RUN/federation.yaml"
    sed -i 's/^  epsilon: .*/  epsilon: 1000/' "$RUN"/*/node.yaml
    replan
}
ended() {
    local name
    for name in "$@"; do check "$name ends well" wait_end "$name" 90; done
}
exactly
start_aggregator
for name in northgate lakeside hillcrest; do start_node "$name"; done
ended northgate lakeside hillcrest aggregator
cp "$RUN/northgate/model.safetensors" "$WORK/three"
exactly
start_aggregator
for name in northgate lakeside hillcrest; do start_node "$name"; done
client riverside "$RUN/riverside/identity" --door "$door" "--door-key=$key" --output "$WORK/riverside.model"
ended northgate lakeside hillcrest riverside aggregator
check "the client was in every round" [ "$(grep -c "released: 4 survivors" "$RUN/riverside/log")" = 4 ]
weights() { # FILE: the floats of a safetensors file
    local head
    head=$(od -An -tu8 -N8 "$1" | tr -d ' ')
    tail -c +$((9 + head)) "$1"
}
check "three nodes, and three and the client: the same model" \
    cmp <(weights "$WORK/three") <(weights "$RUN/northgate/model.safetensors")
holds() { # the node's weights are the client's, whose state may have a tail
    weights "$RUN/northgate/model.safetensors" >"$WORK/weights"
    cmp -n "$(stat -c %s "$WORK/weights")" "$WORK/weights" "$WORK/riverside.model"
}
check "and the client has it" holds
finish
