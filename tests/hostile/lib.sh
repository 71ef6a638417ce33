# Shared by the tests of a hostile aggregator: real nodes, and the program that lies to them.
. "$(dirname "$0")/../e2e/lib.sh"

declare -A PROGRAM=() # what a node takes part with, where that is not fedmoe-node

start_party() {
    "$BIN/${PROGRAM[$1]:-fedmoe-node}" start --config "$RUN/$1/node.yaml" >>"$RUN/$1/log" 2>&1 &
    PID[$1]=$!
}

# start_hostile [options of hostile-aggregator] STEP...
start_hostile() {
    local name list=()
    for name in $HOSPITALS; do list+=(--node "$name"); done
    rm -rf "$WORK/record" "$WORK/updates"
    mkdir "$WORK/updates"
    "$BIN/hostile-aggregator" --directory "$RUN/aggregator" --record "$WORK/record" \
        --updates "$WORK/updates" "${list[@]}" "$@" >"$WORK/hostile.log" 2>&1 &
    PID[hostile]=$!
    for name in $HOSPITALS; do start_party "$name"; done
}

# issue CA NAME: a member's identity in the hands of the aggregator.
issue() {
    "$BIN/fedmoe-certs" issue --ca "$1" --role node --name "$2" --output "$WORK/$2" >/dev/null
}

# The lies that our nodes and the other client are told, by what they are about.
start_views() {
    issue "$RUN/ca" mallory
    start_hostile --finish --colluder "$WORK/mallory" \
        honest honest swapped-key split-rosters split-participants honest split-survivors \
        alive-and-lost itself-lost swapped-update honest other-weights other-model other-plan \
        member-as-aggregator honest
}

start_replays() {
    start_hostile --finish honest honest old-start old-session old-model forged-history \
        old-updates old-head old-commits asked-again honest killed-after-update killed-after-commit \
        killed-after-release old-roster honest
}

start_cohort() {
    local name
    for name in mallory mallet malone; do issue "$RUN/ca" $name; done
    "$BIN/fedmoe-certs" revoke --ca "$RUN/ca" --name malone >/dev/null
    for name in $HOSPITALS; do cp "$RUN/ca/crl.pem" "$RUN/$name/identity/crl.pem"; done
    "$BIN/fedmoe-certs" ca new --directory "$WORK/other-ca" --federation heart-demo >/dev/null
    issue "$WORK/other-ca" stranger
    start_hostile --finish --colluder "$WORK/mallory" --colluder "$WORK/mallory" \
        --colluder "$WORK/mallet" --colluder "$WORK/malone" --colluder "$WORK/stranger" \
        honest two-members two-participants two-survivors five-members colluder-twice \
        colluders-with-one-key revoked-colluder strange-colluder aggregator-as-member colluder \
        commits-to-three-sets commits-to-two-sets honest
}

# Until it ends: the nodes that it has killed are killed here, and started again.
serve_hostile() {
    local end=$((SECONDS + $1)) done=0 name
    while kill -0 "${PID[hostile]}" 2>/dev/null; do
        [ $SECONDS -lt $end ] || { echo "the hostile aggregator still runs" >&2; return 1; }
        while read -r name; do
            kill_party "$name"
            start_party "$name"
            done=$((done + 1))
        done < <(sed -n 's/^kill //p' "$WORK/record" 2>/dev/null | tail -n +$((done + 1)))
        nap 0.05
    done
    wait "${PID[hostile]}"
    local rc=$?
    unset "PID[hostile]"
    [ $rc = 0 ] || cat "$WORK/hostile.log" >&2
    return $rc
}

# After a step from which there is no way back to an honest end: the nodes are told to stop.
dismiss() {
    local name
    check "$1 is told" is_told "$1"
    for name in $HOSPITALS; do check "$name stops when it is told to" stops "$name"; done
}

is_told() {
    local i
    for ((i = 0; i < 600; i++)); do
        has "$WORK/record" $'(^|\n)'"step $1 " && return 0
        nap 0.05
    done
    return 1
}

stops() {
    kill -TERM "${PID[$1]}"
    wait "${PID[$1]}"
    local rc=$?
    unset "PID[$1]"
    [ $rc = 1 ]
}

# What each step had to come to was compared by the program; here: what the nodes wrote, and say.
check_outcome() {
    local name want
    grep '^step ' "$WORK/record"
    check "every step came to what it must" says "$WORK/record" '^failures 0$'
    for name in $HOSPITALS; do
        want=$(sed -n "s/^released $name //p" "$WORK/record")
        check "$name paid for what it released and nothing else ($want)" \
            [ "$(charged "$name")" = "$want" ]
    done
}

check_records() {
    local name why
    check_outcome
    while read -r name why; do
        check "$name says why: $why" says "$RUN/${name%:}/log" "$why"
    done < <(sed -n 's/^expect //p' "$WORK/record" | sort -u)
}

charged() {
    "$BIN/fedmoe-node" ledger --config "$RUN/$1/node.yaml" --json | grep -c '"round"'
}
