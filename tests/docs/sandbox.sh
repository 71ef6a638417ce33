# What the commands of a page run in: a folder, the programs on PATH, and helpers for the hidden
# parts of its source. The page's script follows (tests/docs/extract.py).
set -euo pipefail
: "${BIN:?where the programs are}" "${SOURCE:?the source tree}" "${SANDBOX:?its folder}"
export PATH=$BIN:$PATH NO_COLOR=1 LINE_FILE=$SANDBOX.line
umask 077
mkdir -p "$SANDBOX"
cd "$SANDBOX"
declare -A RUNNING=()

at() { echo "$1" >"$LINE_FILE"; }
end() {
    local name
    for name in "${!RUNNING[@]}"; do kill -9 "${RUNNING[$name]}" 2>/dev/null || true; done
}
trap end EXIT

# in_background NAME <script: as its own shell, ended with `stop NAME` or by itself.
in_background() {
    local text
    text=$(cat)
    bash -euc "exec 2>&1; $(if [[ $text != *$'\n'* ]]; then echo exec; fi) $text" >"$SANDBOX/$1.log" &
    RUNNING[$1]=$!
}
stop() {
    kill -TERM "${RUNNING[$1]}" 2>/dev/null || true # it may be through with its rounds
    wait "${RUNNING[$1]}" || true
    unset "RUNNING[$1]"
}
# ends NAME: by itself, and well.
ends() {
    wait "${RUNNING[$1]}" || { tail -3 "$SANDBOX/$1.log" >&2; return 1; }
    unset "RUNNING[$1]"
}
soon() {
    local i
    for ((i = 0; i < 600; i++)); do
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.05
    done
    echo "not within 30 s: $*" >&2
    tail -n 3 "$SANDBOX"/*.log >&2
    return 1
}
round() { sed -n 's/^ *"round": \([0-9]*\),$/\1/p' "$1/status.json" | head -1; }
past() { [ "$(round "$1")" -ge "$2" ]; }
# go_on FOLDER: some rounds more.
go_on() { soon past "$1" $(($(round "$1") + 3)); }
# fails TEXT COMMAND...: with that text.
fails() {
    local text=$1 out
    shift
    if out=$("$@" 2>&1); then echo "did not fail: $*" >&2; return 1; fi
    [[ $out == *$text* ]] || { echo "said: $out" >&2; return 1; }
}

# a_federation ROUNDS: agg, ca, federation.yaml, and the folders of four hospitals, nobody started.
a_federation() {
    fedmoe-demo --setup-only --keep . --rounds "$1" >"$SANDBOX.log" 2>&1 || { tail -3 "$SANDBOX.log" >&2; return 1; }
    mv aggregator agg
    mv aggregator-identity hub
}
start_hub() {
    fedmoe-aggregator start --directory agg --linger 60 "$@" >"$SANDBOX/hub.log" 2>&1 &
    RUNNING[hub]=$!
    soon grep -q 'aggregator: door ' "$SANDBOX/hub.log"
}
start_nodes() {
    local name
    for name in "$@"; do
        fedmoe-node start --config "$name/node.yaml" >"$SANDBOX/$name.log" 2>&1 &
        RUNNING[$name]=$!
    done
}
