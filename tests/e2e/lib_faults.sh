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

# until_true SECONDS COMMAND...
until_true() {
    local end=$((SECONDS + $1))
    shift
    while ! "$@" 2>/dev/null; do
        [ $SECONDS -lt $end ] || { "$@"; return 1; }
        nap 0.05
    done
}

# ends_with NAME EXIT SECONDS
ends_with() {
    local end=$((SECONDS + $3)) rc
    while kill -0 "${PID[$1]}" 2>/dev/null; do
        [ $SECONDS -lt $end ] || { echo "$1 still runs" >&2; return 1; }
        nap 0.05
    done
    wait "${PID[$1]}"
    rc=$?
    unset "PID[$1]"
    [ $rc = "$2" ] || { echo "$1 ended with $rc" >&2; tail -3 "$RUN/$1/log" >&2; return 1; }
}

# HOST:PORT of the aggregator.
endpoint() { sed -n 's|^ *door: "tcp://\(.*\)"|\1|p' "$RUN/aggregator/federation.yaml"; }

# relay_start NODE ADDRESS [CONDUCT [RECORD]]: the node reaches the aggregator by way of ADDRESS.
relay_start() {
    local door
    door=$(endpoint)
    [ -z "${4:-}" ] || mkdir -p "$4"
    relay_conduct_of "$1" "${3:-}"
    "$RELAY" "$WORK/conduct.$1" "${4:--}" "$2:${door##*:}=$door" >"$WORK/relay.$1" 2>&1 &
    PID[relay-$1]=$!
    until_true 10 grep -q ready "$WORK/relay.$1"
    sed -i "s|^  door: .*|  door: \"tcp://$2:${door##*:}\"|" "$RUN/$1/node.yaml"
}

# relay_conduct_of NODE LINE...: from now on.
relay_conduct_of() {
    local name=$1 seen
    shift
    seen=$(grep -c ^conduct "$WORK/relay.$name" 2>/dev/null)
    printf '%s\n' "$@" >"$WORK/conduct.new"
    mv "$WORK/conduct.new" "$WORK/conduct.$name"
    [ -z "${PID[relay-$name]:-}" ] || until_true 10 more_conducts "$name" "${seen:-0}"
}
more_conducts() { [ "$(grep -c ^conduct "$WORK/relay.$1")" -gt "$2" ]; }
relay_conduct() { relay_conduct_of lakeside "$@"; }

# more_than BEFORE PATTERN [BY]: so many more lines of the aggregator's log.
more_than() { [ "$(grep -cE -- "$2" "$RUN/aggregator/log")" -ge $(($1 + ${3:-1})) ]; }
