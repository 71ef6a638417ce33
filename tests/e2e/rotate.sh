# The CA gets a successor while the federation runs: nodes pin it because the old CA signed it, renew one
# after the other, and the old CA is dropped. A CA that somebody else signed is refused.
. "$(dirname "$0")/lib.sh"
setup --rounds 4000
certs() { "$BIN/fedmoe-certs" "$@" >"$WORK/said"; }
aggregator() { "$BIN/fedmoe-aggregator" "$1" --directory "$RUN/aggregator" "${@:2}" >"$WORK/said"; }
start_with_ca() {
    "$BIN/fedmoe-aggregator" start --directory "$RUN/aggregator" --ca "$RUN/ca" --linger 20 \
        >>"$RUN/aggregator/log" 2>&1 &
    PID[aggregator]=$!
}
cas() { grep -c 'BEGIN CERTIFICATE' "$1/ca.crt"; }
has_cas() { [ "$(cas "$1")" = "$2" ]; }
# soon COMMAND...: within 30 s.
soon() {
    local i
    for ((i = 0; i < 300; i++)); do
        "$@" >/dev/null 2>&1 && return 0
        nap 0.1
    done
    echo "  not within 30 s: $*" >&2
    return 1
}
goes_on() { wait_round aggregator $(($(number "$RUN/aggregator/status.json" round) + 5)) 60; }

# ---- a CA of a stranger's making, brought by the aggregator
certs ca new --directory "$RUN/evil" --federation heart-demo --days 5000
cp "$RUN/aggregator/ca.crt" "$WORK/ca.crt"
cp "$RUN/aggregator/crl.pem" "$WORK/crl.pem"
certs ca rotate --ca "$RUN/evil" --days 9000
# The evil pair's succession under the right CA, then the evil successor and its list.
forge() {
    cat "$WORK/ca.crt"
    awk '/BEGIN CERTIFICATE/ { n++ } n == 2' "$RUN/evil/ca.crt"
}
forge >"$RUN/aggregator/ca.crt"
awk '/BEGIN X509 CRL/ { n++ } n == 2' "$RUN/evil/crl.pem" | cat "$WORK/crl.pem" - >"$RUN/aggregator/crl.pem"
has_succession() { grep -q 'FEDMOE SUCCESSION' "$RUN/aggregator/ca.crt"; }
check "the forged successor is in the aggregator's folder" has_succession
start_with_ca
for name in $HOSPITALS; do start_node "$name"; done
check "rounds finish without it" wait_round aggregator 3 60
for name in $HOSPITALS; do
    check "$name refuses it" says "$RUN/$name/log" "no pinned CA has named its successor"
    check "$name has pinned one CA" has_cas "$RUN/$name/identity" 1
done
# In this order: the list of a CA that is still pinned may not go.
cp "$WORK/ca.crt" "$RUN/aggregator/ca.crt"
cp "$WORK/crl.pem" "$RUN/aggregator/crl.pem"

# ---- the real one, with all nodes there
check "the CA is rotated" aggregator rotate --ca "$RUN/ca"
check "twice is once" aggregator rotate --ca "$RUN/ca"
hex=$(sed -n 's/^fingerprint //p' "$WORK/said")
for name in $HOSPITALS; do
    check "$name pins both" soon has_cas "$RUN/$name/identity" 2
    check "$name says the fingerprint" soon grep -q "$hex" "$RUN/$name/log"
done
shows_both() { [ "$("$BIN/fedmoe-certs" show "$1" | grep -c '^  fingerprint')" = 2 ]; }
check "show shows both" shows_both "$RUN/northgate/identity/ca.crt"
check "rounds go on" goes_on
for name in $HOSPITALS; do check "$name renews by itself" soon grep -q "was renewed" "$RUN/$name/log"; done
check "rounds go on with certificates of both" goes_on

# ---- one who joins in the overlap
aggregator invite newcomer
join() { "$BIN/fedmoe-node" join "$(grep '^fedmoe1' "$WORK/said")" --output "$RUN/newcomer" >"$WORK/out"; }
check "a newcomer joins" join
check "and has both CAs" has_cas "$RUN/newcomer" 2
check "with a list of each" [ "$(grep -c 'BEGIN X509 CRL' "$RUN/newcomer/crl.pem")" = 2 ]

# ---- the aggregator's own certificate, then the old CA is dropped, one after the other
check "nobody drops what it still needs" refused "$WORK/out" "must be renewed first" \
    "$BIN/fedmoe-certs" ca drop --directory "$RUN/aggregator"
check "the aggregator's certificate is renewed" certs renew --ca "$RUN/ca" --directory "$RUN/aggregator"
kill_party aggregator
start_with_ca
check "it shows it after a start, and rounds go on" goes_on
check "the CA's folder forgets the old CA" certs ca drop --directory "$RUN/ca"
for name in $HOSPITALS; do
    check "$name drops it" soon certs ca drop --directory "$RUN/$name/identity"
    check "and rounds go on" goes_on
done
check "the aggregator drops it" certs ca drop --directory "$RUN/aggregator"
for name in $HOSPITALS; do check "$name has one CA again" has_cas "$RUN/$name/identity" 1; done
check "rounds go on without the old CA" goes_on
check "a revocation by the new CA counts" aggregator revoke riverside --ca "$RUN/ca"
ended() { wait "${PID[riverside]}"; local rc=$?; unset "PID[riverside]"; [ $rc = 1 ]; }
check "riverside ends" ended
check "the others go on" goes_on
for name in northgate lakeside hillcrest; do check "$name takes part" kill -0 "${PID[$name]}"; done
finish
