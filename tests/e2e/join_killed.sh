# kill -9 at every write, sync, send, rename and removal of join, invite, revoke, and of a CA's
# rotation: the same command again does the rest. A sample of the places; all: STRIDE=1.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_faults.sh"
STRIDE=${STRIDE:-4}
setup --rounds 5
aggregator() { "$BIN/fedmoe-aggregator" "$1" --directory "$RUN/aggregator" "${@:2}"; }
invite() { aggregator invite "$@" | grep '^fedmoe1'; }
join() { timeout 60 "$BIN/fedmoe-node" join "$1" --output "$RUN/$2" --wait-s 20; }
killed_at() { # K COMMAND...: whether it was killed; it has ended well if not
    local k=$1 rc
    shift
    ( with FAULT_KILL="$k" "$@" ) >"$WORK/out" 2>&1
    rc=$?
    [ $rc = 137 ] && return 0
    [ $rc = 0 ] || { echo "exit $rc at $k: $(tail -3 "$WORK/out")" >&2; FAILED=$((FAILED + 1)); }
    return 1
}
records() { find "$RUN/ca/issued" -name "$1-*.crt" | wc -l; }
# sweep COMMAND...: `COMMAND K` until it was not killed any more; how often it was, in KILLS.
sweep() {
    local k=1
    KILLS=0
    while "$@" "$k"; do
        KILLS=$((KILLS + 1))
        k=$((k + STRIDE))
        [ $k -lt 400 ] || return 1
    done
}

# ---- invite: a code that nobody has seen can be withdrawn, and another one made
one_invite() {
    local name=i$1
    killed_at "$1" aggregator invite "$name" || return 1
    aggregator invite --withdraw "$name" >"$WORK/out" 2>&1
    [ -n "$(invite "$name")" ] || { echo "no code for $name after a kill at $1" >&2; FAILED=$((FAILED + 1)); }
}
check "invite, killed anywhere" sweep one_invite
check "at several places ($KILLS)" [ "$KILLS" -ge 2 ]

# ---- join: one key, one certificate, and nothing left of a key that was not used
"$BIN/fedmoe-aggregator" start --directory "$RUN/aggregator" --ca "$RUN/ca" --linger 3 >>"$RUN/aggregator/log" 2>&1 &
PID[aggregator]=$!
until_true 10 says "$RUN/aggregator/log" "door tcp://"
one_join() {
    local name=j$1 code
    code=$(invite "$name")
    killed_at "$1" join "$code" "$name" || return 1
    join "$code" "$name" >"$WORK/out" 2>&1 && [ "$(records "$name")" = 1 ] &&
        "$BIN/fedmoe-certs" show "$RUN/$name/identity.crt" >"$WORK/out" 2>&1 &&
        [ -z "$(find "$RUN/$name" -name '.*.tmp' ! -name '.node.yaml.*')" ] && return 0
    echo "after a kill at $1: $(tail -3 "$WORK/out") $(records "$name") $(ls -A "$RUN/$name")" >&2
    FAILED=$((FAILED + 1))
}
check "join, killed anywhere" sweep one_join
check "at several places ($KILLS)" [ "$KILLS" -ge 5 ]

# ---- revoke: again, and the list is where it must be
one_revoke() {
    killed_at "$1" aggregator revoke j1 --ca "$RUN/ca" || return 1
    aggregator revoke j1 --ca "$RUN/ca" >"$WORK/out" 2>&1 && cmp "$RUN/ca/crl.pem" "$RUN/aggregator/crl.pem" &&
        [ -z "$(find "$RUN/ca" -name '.*.tmp')" ] && return 0
    echo "after a kill at $1: $(tail -3 "$WORK/out")" >&2
    FAILED=$((FAILED + 1))
}
check "revoke, killed anywhere" sweep one_revoke
check "at several places ($KILLS)" [ "$KILLS" -ge 2 ]
# ---- a CA gets a successor, and drops the older one: the folder can be read, and issues
certs() { "$BIN/fedmoe-certs" "$@"; }
again() { # COMMAND...: it does the rest, or says that nothing is left to do
    certs "$@" >"$WORK/out" 2>&1 || says "$WORK/out" "has a successor already|only one CA is pinned"
}
has_cas() { [ "$(grep -c 'BEGIN CERTIFICATE' "$1/ca.crt")" = "$2" ] && [ "$(grep -c 'BEGIN X509' "$1/crl.pem")" = "$2" ]; }
step() { # K FROM CAS COMMAND OPTION: in a fresh copy of the folder FROM, which has CAS in the end
    local dir=$RUN/$4-$1
    cp -a "$2" "$dir"
    killed_at "$1" certs ca "$4" "$5" "$dir" || return 1
    again ca "$4" "$5" "$dir" && has_cas "$dir" "$3" && certs refresh --ca "$dir" >"$WORK/out" 2>&1 &&
        [ -z "$(find "$dir" -name '.*.tmp')" ] && return 0
    echo "after a kill at $1: $(tail -3 "$WORK/out") $(ls -A "$dir")" >&2
    FAILED=$((FAILED + 1))
}
one_rotate() { step "$1" "$RUN/ca" 2 rotate --ca; }
one_drop() { step "$1" "$WORK/two" 1 drop --directory; }
STRIDE=1
check "rotate, killed anywhere" sweep one_rotate
check "at several places ($KILLS)" [ "$KILLS" -ge 10 ]
cp -a "$RUN/ca" "$WORK/two"
certs ca rotate --ca "$WORK/two" >"$WORK/out"
cp "$WORK/two/crl.pem" "$WORK/two/crl.held" # both lists have been in force
check "drop, killed anywhere" sweep one_drop
check "at several places ($KILLS)" [ "$KILLS" -ge 10 ]
check "the aggregator goes on" kill -0 "${PID[aggregator]}"
finish
