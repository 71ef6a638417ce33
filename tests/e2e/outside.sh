# A PKI that is there already certifies everybody: a root that knows nothing of the federation, issuing
# CAs below it, and one hospital's key in a token. Then one of the CAs is revoked.
. "$(dirname "$0")/lib.sh"
export PATH="$PATH:/usr/sbin:/sbin"
command -v openssl >/dev/null || skip "the openssl command line is not here"
setup --rounds 4000
P=$WORK/pki
mkdir -p "$P"
pki() { (cd "$P" && bash "$SOURCE/tests/certs/pki.sh" "$@") || exit 1; }
certs() { "$BIN/fedmoe-certs" "$@"; }

# ---- a token, where there is SoftHSM
KEY=()
module=$(ls /usr/lib/softhsm/libsofthsm2.so /usr/lib/*/softhsm/libsofthsm2.so 2>/dev/null | head -1)
if [ -n "$module" ] && command -v softhsm2-util >/dev/null; then
    mkdir -p "$WORK/tokens"
    echo "directories.tokendir = $WORK/tokens" >"$WORK/softhsm2.conf"
    export SOFTHSM2_CONF=$WORK/softhsm2.conf
    softhsm2-util --init-token --free --label fedmoe --pin 4711 --so-pin 123456 >"$WORK/out" 2>&1
    KEY=(--key "pkcs11:token=fedmoe;object=northgate?module-path=$module&pin-source=file:pin")
else
    echo "skipped: no SoftHSM here, northgate's key is a file"
fi

# ---- the PKI: top over up over low, and top over mid
USAGE=critical,keyCertSign,cRLSign
pki root top P-384
pki sub mid top P-256 critical,CA:TRUE,pathlen:0 $USAGE
pki sub up top rsa3072 critical,CA:TRUE,pathlen:1 $USAGE
pki sub low up P-256 critical,CA:TRUE,pathlen:0 $USAGE

# certify FOLDER ROLE NAME ISSUER CHAIN-FILES...: request, signature, installation.
certify() {
    local folder=$1 role=$2 name=$3 issuer=$4 lists=() ca
    shift 4
    # northgate's PIN is in its folder before the key is.
    find "$folder" -mindepth 1 ! -name pin -delete 2>/dev/null
    certs request --directory "$folder" --federation heart-demo --role "$role" --name "$name" \
        "${REQUEST[@]}" >"$WORK/out" || return 1
    pki sign "$issuer" "$folder/identity.csr" "$P/$name.pem"
    : >"$P/$name-chain.pem"
    for ca in "$@"; do
        cat "$P/$ca/ca.pem" >>"$P/$name-chain.pem"
        lists+=(--crl "$P/$ca/crl.pem")
    done
    # Of the aggregator's issuing CA as well: its certificate is the first that a node checks.
    cat "$P/mid/ca.pem" "$P/mid/crl.pem" >"$P/mid.pem"
    [ $# -gt 0 ] || echo | cat "$P/top/ca.pem" >"$P/$name-chain.pem"
    certs install --directory "$folder" --certificate "$P/$name.pem" --chain "$P/$name-chain.pem" \
        --ca "$P/top/ca.pem" --crl "$P/top/crl.pem" --crl "$P/mid.pem" "${lists[@]}" >"$WORK/out"
}
REQUEST=()
check "the aggregator is certified by mid" certify "$RUN/aggregator-identity" aggregator hub mid mid
check "lakeside by mid" certify "$RUN/lakeside/identity" node lakeside mid mid
check "hillcrest by the root itself" certify "$RUN/hillcrest/identity" node hillcrest top
REQUEST=(--key-type ed25519)
check "riverside by the root itself, with an Ed25519 key" certify "$RUN/riverside/identity" node riverside top
REQUEST=("${KEY[@]}")
(umask 077 && echo 4711 >"$RUN/northgate/identity/pin")
check "northgate by low, two below the root" certify "$RUN/northgate/identity" node northgate low low up
if [ ${#KEY[@]} -gt 0 ]; then
    no_key() { [ ! -e "$RUN/northgate/identity/identity.key" ]; }
    check "its key is in the token, and nowhere else" no_key
fi
check "check is content with it" says <("$BIN/fedmoe-node" check --config "$RUN/northgate/node.yaml" 2>&1) "^ok +identity +node .northgate."
replan
check "no join code is made that nobody could sign" refused "$WORK/out" \
    "ca.crt is a CA of your own PKI, .*pki.md" \
    "$BIN/fedmoe-aggregator" invite newcomer --address tcp://127.0.0.1:7300 --directory "$RUN/aggregator"
check "nor is anything kept of it" [ ! -e "$RUN/aggregator/invitations.db" ]
# All lists, and the CAs that signed them: the aggregator brings them to everybody.
lists() {
    cat "$P"/{top,mid,up,low}/crl.pem "$P"/{mid,up,low}/ca.pem >"$RUN/crl.new"
    mv "$RUN/crl.new" "$RUN/aggregator/crl.pem"
}
lists
start_all
check "round 5 is reached, with all" wait_round aggregator 5 60
[ "$FAILED" = 0 ] || finish
for name in $HOSPITALS; do check "$name takes part" wait_round "$name" 3 60; done
held() { [ "$(grep -c 'BEGIN X509 CRL' "$RUN/riverside/identity/crl.pem")" = 4 ]; }
check "riverside holds the lists of all four CAs" held

# ---- a wrong PIN, no token
if [ ${#KEY[@]} -gt 0 ]; then
    kill_party northgate
    echo 0815 >"$RUN/northgate/identity/pin"
    check "a wrong PIN is said" refused "$WORK/out" "cannot log in: the PIN is wrong" \
        "$BIN/fedmoe-node" start --config "$RUN/northgate/node.yaml" --retry-s 3
    echo 4711 >"$RUN/northgate/identity/pin"
    check "a missing token is said" refused "$WORK/out" "0 tokens are named 'fedmoe'" \
        env SOFTHSM2_CONF=/dev/null "$BIN/fedmoe-node" start --config "$RUN/northgate/node.yaml" --retry-s 3
    start_node northgate
    at=$(number "$RUN/aggregator/status.json" round)
    check "with the right PIN it is in again" wait_round northgate $((at + 2)) 60
fi

# ---- the intermediate CA is revoked, and so all below it
pki revoke top up/ca.pem
lists
ended() { wait "${PID[northgate]}"; local rc=$?; unset "PID[northgate]"; [ $rc = 1 ]; }
check "northgate ends, with exit 1" ended
check "and says why" says "$RUN/northgate/log" "'up' is revoked, and all that it issued"
at=$(number "$RUN/aggregator/status.json" round)
check "the others go on" wait_round aggregator $((at + 5)) 60
for name in lakeside hillcrest riverside; do check "$name takes part" wait_round "$name" $((at + 3)) 60; done
check "lakeside holds the root's new list" says <(grep -h "revocation list" "$RUN/lakeside/log") "in force here"
finish
