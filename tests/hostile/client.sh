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
        --door "$door" --door-key "$key" --min-cohort 3 >>"$RUN/riverside/log" 2>&1 &
    PID[riverside]=$!
}
eval "$(declare -f charged | sed '1s/charged/charged_ours/')"
charged() {
    [ "$1" = riverside ] || { charged_ours "$1"; return; }
    grep -c . "$RUN/riverside/identity/ledger.jsonl"
}
door=$(sed -n 's/^  door: "\(.*\)"$/\1/p' "$RUN/northgate/node.yaml")
key=$(sed -n 's/^  door_key: "\(.*\)"$/\1/p' "$RUN/northgate/node.yaml")

# What came of it, and what was paid; not the sentences, which are its own.
check_outcome() {
    local name want
    grep '^step ' "$WORK/record"
    check "every step came to what it must" says "$WORK/record" '^failures 0$'
    for name in $HOSPITALS; do
        want=$(sed -n "s/^released $name //p" "$WORK/record")
        check "$name paid for what it released and nothing else ($want)" [ "$(charged "$name")" = "$want" ]
    done
}

issue() {
    "$BIN/fedmoe-certs" issue --ca "$1" --role node --name "$2" --output "$WORK/$2" >/dev/null
}
issue "$RUN/ca" mallory
case $1 in
views)
    start_hostile --finish --colluder "$WORK/mallory" \
        honest honest swapped-key split-rosters split-participants honest split-survivors \
        alive-and-lost itself-lost swapped-update honest other-weights other-model other-plan \
        member-as-aggregator honest
    ;;
replays)
    start_hostile --finish honest honest old-start old-session old-model forged-history \
        old-updates old-head old-commits asked-again honest killed-after-update killed-after-commit \
        killed-after-release old-roster honest
    ;;
cohort)
    issue "$RUN/ca" mallet
    issue "$RUN/ca" malone
    "$BIN/fedmoe-certs" revoke --ca "$RUN/ca" --name malone >/dev/null
    for name in $HOSPITALS; do cp "$RUN/ca/crl.pem" "$RUN/$name/identity/crl.pem"; done
    "$BIN/fedmoe-certs" ca new --directory "$WORK/other-ca" --federation heart-demo >/dev/null
    issue "$WORK/other-ca" stranger
    start_hostile --finish --colluder "$WORK/mallory" --colluder "$WORK/mallory" \
        --colluder "$WORK/mallet" --colluder "$WORK/malone" --colluder "$WORK/stranger" \
        honest two-members two-participants two-survivors five-members colluder-twice \
        colluders-with-one-key revoked-colluder strange-colluder aggregator-as-member colluder \
        commits-to-three-sets commits-to-two-sets honest
    ;;
esac
check "the lies are told" serve_hostile 200
for name in $HOSPITALS; do check "$name ends well" wait_end "$name" 30; done
check_outcome
finish
