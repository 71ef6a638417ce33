# Shared by the end-to-end tests: a run directory, parties in the background, and checks.
set -uo pipefail
: "${BIN:?where the programs are}" "${SOURCE:?the source tree}"
export NO_COLOR=1
WORK=$(mktemp -d "${TMPDIR:-/tmp}/fedmoe-e2e-XXXXXX")
RUN=$WORK/run
HOSPITALS="northgate lakeside hillcrest riverside"
FAILED=0
CHECKS=0
declare -A PID=()

cleanup() {
    local name
    for name in "${!PID[@]}"; do kill -9 "${PID[$name]}" 2>/dev/null; done
    wait 2>/dev/null
    if [ "$FAILED" = 0 ]; then rm -rf "$WORK"; else echo "kept: $WORK" >&2; fi
}
trap cleanup EXIT

skip() {
    echo "skipped: $*"
    exit 77
}

# check DESCRIPTION COMMAND...: the command must succeed.
check() {
    local what=$1
    shift
    CHECKS=$((CHECKS + 1))
    if "$@"; then
        echo "ok: $what"
    else
        echo "FAILED: $what" >&2
        FAILED=$((FAILED + 1))
    fi
}

finish() {
    echo "$((CHECKS - FAILED)) passed, $FAILED failed"
    [ "$FAILED" = 0 ]
    exit
}

# setup [options of fedmoe-demo]: directories of all parties, nobody started.
setup() {
    "$BIN/fedmoe-demo" --setup-only --keep "$RUN" "$@" >"$WORK/start.txt" 2>"$WORK/setup.err" || {
        cat "$WORK/setup.err" >&2
        exit 1
    }
}

# ask_nobody: nodes follow their policy in every plan, not in the first alone (but see decide.sh).
ask_nobody() {
    local yaml
    for yaml in "$RUN"/*/node.yaml; do
        sed -i '/^  approval: \(changes\|policy\)/d' "$yaml"
        grep -q '^  approval:' "$yaml" || sed -i 's/^policy:.*/&\n  approval: policy/' "$yaml"
    done
}

# replan: the aggregator's directory anew, after $RUN/federation.yaml was edited; its door stays. Nobody is
# asked about the new plan, unless node.yaml has "approval: asked" or ASK is set.
replan() {
    [ -n "${ASK:-}" ] || ask_nobody
    mv "$RUN/aggregator" "$WORK/aggregator-before"
    "$BIN/fedmoe-aggregator" init --directory "$RUN/aggregator" --config "$RUN/federation.yaml" \
        --identity "$RUN/aggregator-identity" >"$WORK/init.txt" 2>&1 || {
        cat "$WORK/init.txt" >&2
        exit 1
    }
    cp -p "$WORK/aggregator-before/door.key" "$RUN/aggregator/door.key"
    rm -rf "$WORK/aggregator-before"
}

start_aggregator() {
    "$BIN/fedmoe-aggregator" start --directory "$RUN/aggregator" --linger "${LINGER:-20}" "$@" \
        >>"$RUN/aggregator/log" 2>&1 &
    PID[aggregator]=$!
}

start_node() {
    local name=$1
    shift
    "$BIN/fedmoe-node" start --config "$RUN/$name/node.yaml" "$@" >>"$RUN/$name/log" 2>&1 &
    PID[$name]=$!
}

start_all() {
    local name
    start_aggregator
    for name in $HOSPITALS; do start_node "$name"; done
}

# nap SECONDS: a sleep that starts no process; what waits here looks twenty times a second, and a
# process each time takes more than what is waited for.
exec {NAP}<> <(:)
nap() { read -rt "$1" -u "$NAP"; true; }

# look FILE KEY: sets SEEN to a number that has a line of its own in a JSON file, 0 when it is not there.
look() {
    local text=
    SEEN=0
    { read -rd '' text <"$1"; } 2>/dev/null
    [[ $text =~ $'\n'\ *\"$2\":\ ([0-9.e+-]+),?$'\n' ]] && SEEN=${BASH_REMATCH[1]}
    true
}

# number FILE KEY: the same, printed.
number() { look "$1" "$2" && echo "$SEEN"; }

# has FILE PATTERN: an extended regular expression, somewhere in a small file; starts no process.
has() {
    local text=
    { read -rd '' text <"$1"; } 2>/dev/null
    [[ $text =~ $2 ]]
}

# wait_round PARTY N SECONDS: until its status says so many rounds.
wait_round() {
    local i
    for ((i = 0; i < $3 * 20; i++)); do
        look "$RUN/$1/status.json" round
        [ "$SEEN" -ge "$2" ] && return 0
        nap 0.05
    done
    echo "$1 is at round $(number "$RUN/$1/status.json" round), not $2, after $3 s" >&2
    tail -3 "$RUN/$1/log" >&2
    return 1
}

# wait_end NAME SECONDS: the party ends by itself, with success.
wait_end() {
    local i
    for ((i = 0; i < $2 * 20; i++)); do
        if ! kill -0 "${PID[$1]}" 2>/dev/null; then
            wait "${PID[$1]}"
            local rc=$?
            unset "PID[$1]"
            [ $rc = 0 ] || { echo "$1 ended with $rc" >&2; tail -3 "$RUN/$1/log" >&2; }
            return $rc
        fi
        nap 0.05
    done
    echo "$1 still runs after $2 s" >&2
    tail -3 "$RUN/$1/log" >&2
    return 1
}

kill_party() {
    kill -9 "${PID[$1]}"
    wait "${PID[$1]}" 2>/dev/null
    unset "PID[$1]"
}

# says FILE PATTERN: an extended regular expression on one line.
says() {
    grep -qE -- "$2" "$1" || {
        echo "  expected: $2" >&2
        echo "  in: $(tail -3 "$1")" >&2
        return 1
    }
}

# exits CODE FILE TEXT COMMAND...: with that code, and why.
exits() {
    local code=$1 file=$2 text=$3 rc
    shift 3
    "$@" >"$file" 2>&1
    rc=$?
    [ $rc = "$code" ] || { echo "  exit $rc, not $code: $*" >&2; return 1; }
    says "$file" "$text"
}

# refused FILE PATTERN COMMAND...: exit 1, and the sentence on standard error.
refused() {
    local file=$1 pattern=$2 rc
    shift 2
    timeout 60 "$@" >"$file" 2>&1
    rc=$?
    [ $rc = 1 ] || { echo "  exit $rc, not 1: $*" >&2; tail -3 "$file" >&2; return 1; }
    says "$file" "$pattern"
}

# What people are shown of an epsilon: spent rounded up, left rounded down, four decimals.
shown_up() { awk -v x="$1" 'BEGIN { y = x * 1e4; n = int(y); printf "%.4f", (y - n > 1e-7 ? n + 1 : n) / 1e4 }'; }
shown_down() { awk -v x="$1" 'BEGIN { printf "%.4f", int(x * 1e4 + 1e-7) / 1e4 }'; }
