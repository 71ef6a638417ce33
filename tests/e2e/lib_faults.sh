# Shared by the tests of networks and crashes; after lib.sh.
FAULT=$BIN/e2e-fault.so
RELAY=$BIN/e2e-relay
# The sanitizers' libraries would rather be first; they need not be.
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0"

# exact ROUNDS [timeouts]: four hospitals without noise, all of whom every round needs, all of whose
# records are in every round: the same bits every time, whatever happens in between.
exact() {
    local name
    setup --rounds "$1" --quorum 4
    sed -i -e 's/^  epsilon: .*/  epsilon: 1000/' -e 's/^  join_s: .*/  join_s: 1/' \
        -e '/^  delta:/a\  sampling_rate: 1\n  insecure_noise_multiplier: 0' "$RUN/federation.yaml"
    replan
    for name in $HOSPITALS; do
        sed -i 's/^  epsilon: .*/  epsilon: 1000/' "$RUN/$name/node.yaml"
    done
}

# with NAME=VALUE... COMMAND...: the program that COMMAND starts has the faults.
with() {
    local vars=()
    while [[ $1 == *=* ]]; do
        vars+=("$1")
        shift
    done
    local -x LD_PRELOAD=$FAULT "${vars[@]}"
    "$@"
}

# count FILE: of FAULT_COUNT.
count() { od -An -tu8 "$1" | tr -d ' '; }

stop_all() {
    local name
    for name in "${!PID[@]}"; do kill_party "$name"; done 2>/dev/null
}

# all_rounds N: what the aggregator's status says.
all_rounds() {
    local n
    n=$(number "$RUN/aggregator/status.json" round)
    [ "$n" = "$1" ] || { echo "$n rounds, not $1" >&2; return 1; }
}
