# A hostile aggregator shrinks the cohort, or pads it with members of its own.
. "$(dirname "$0")/lib.sh"
setup --rounds 100
issue() {
    "$BIN/fedmoe-certs" issue --ca "$1" --role node --name "$2" --output "$WORK/$2" >/dev/null
}
issue "$RUN/ca" mallory
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
check "the lies are told" serve_hostile 120
for name in $HOSPITALS; do check "$name ends well" wait_end "$name" 30; done
check_records
finish
