# The client that others wrote from docs/protocol.md (tests/client) among the nodes that a hostile
# aggregator lies to: it refuses what they refuse. usage: client.sh views|replays|cohort
. "$(dirname "$0")/lib.sh"
PYTHON=
for p in /usr/bin/python3 python3; do
    "$p" -c 'import zmq, cryptography' 2>/dev/null && PYTHON=$p && break
done
[ -n "$PYTHON" ] || skip "python3-zmq or python3-cryptography is not installed"
export PYTHONDONTWRITEBYTECODE=1
setup --rounds 100
eval "$(declare -f start_party | sed '1s/start_party/start_ours/')"
start_party() { # riverside is the other client
    [ "$1" = riverside ] || { start_ours "$1"; return; }
    "$PYTHON" "$SOURCE/tests/client/node.py" --identity "$RUN/riverside/identity" \
        --door "$door" "--door-key=$key" --min-cohort 3 >>"$RUN/riverside/log" 2>&1 &
    PID[riverside]=$!
}
eval "$(declare -f charged | sed '1s/charged/charged_ours/')"
charged() {
    [ "$1" = riverside ] || { charged_ours "$1"; return; }
    grep -c . "$RUN/riverside/identity/ledger.jsonl"
}
door=$(sed -n 's/^  door: "\(.*\)"$/\1/p' "$RUN/northgate/node.yaml")
key=$(sed -n 's/^  door_key: "\(.*\)"$/\1/p' "$RUN/northgate/node.yaml")

"start_$1"
check "the lies are told" serve_hostile 200
for name in $HOSPITALS; do check "$name ends well" wait_end "$name" 30; done
check_outcome # not the sentences, which are its own
finish
