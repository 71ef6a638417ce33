# The house: arrows point only downwards. Read from the libraries' undefined symbols.
. "$(dirname "$0")/lib.sh"
BUILD=$(dirname "$BIN")
lib() { find "$BUILD" -name "libfedmoe_$1.a" | head -1; }
# Read once: there are as many questions as pairs.
wants() { cat "$WORK/$1.wants"; }
has() { cat "$WORK/$1.has"; }

# apart UPPER LOWER: the first uses nothing that the second defines.
apart() {
    local common
    common=$(comm -12 <(wants "$1") <(has "$2"))
    [ -z "$common" ] || { echo "  $1 uses of $2: $(echo $common | head -c 200)" >&2; return 1; }
}
foreign() {
    local found
    found=$(wants "$1" | grep -E "$2" | head -3)
    [ -z "$found" ] || { echo "  $1 uses: $found" >&2; return 1; }
}
# What each library may use, besides itself; the lowest first.
declare -A MAY=(
    [base]="" [certs]="base" [proto]="certs base" [link]="proto certs base" [dp]="base" [model]="base" [optim]="base"
    [edge]="model base" [provenance]="certs base" [replay]="optim dp proto certs base" [source]="base"
    [train]="model dp optim base" [web]="base"
    [node]="web source train replay model optim dp link proto certs base"
    [aggregator]="web provenance replay optim dp link proto certs base"
)
ALL="base certs proto link dp model optim edge provenance replay source train web node aggregator"
for l in $ALL; do
    check "the library of $l is there" [ -n "$(lib $l)" ]
    nm "$(lib $l)" >"$WORK/$l.nm" 2>/dev/null
    awk '$1 == "U" { print $2 }' "$WORK/$l.nm" | sort -u >"$WORK/$l.wants"
    awk '$2 ~ /[TDRB]/ { print $3 }' "$WORK/$l.nm" | sort -u >"$WORK/$l.has"
    check "and defines something" [ -s "$WORK/$l.has" ]
done
for l in $ALL; do
    for other in $ALL; do
        [[ " $l ${MAY[$l]} " == *" $other "* ]] || check "$l knows nothing of $other" apart $l $other
    done
done
# only WHAT SYMBOLS LIBRARY...: nobody else uses them.
only() {
    local what=$1 symbols=$2 l
    shift 2
    for l in $ALL; do
        [[ " $* " == *" $l "* ]] || check "$what ($l)" foreign $l "$symbols"
    done
}
only "no BLAS" '^(cblas|openblas)_'
only "expressions and normal forms only in model" '^(pcre2|utf8proc)_' model
only "databases of records only in source" '^SQL[A-Z]' source
only "only web speaks HTTP and TLS" '^(MHD_|gnutls_)' web
only "only link uses ZeroMQ" '^zmq_' link
only "OpenSSL only in certs and dp" '^(EVP_|X509_|SSL_|OSSL_|RAND_|BIO_|PEM_)' certs dp
check "nothing draws from a C library generator" \
    bash -c '! nm -u "$@" 2>/dev/null | grep -qE " U (rand|random|drand48|srand)$"' _ \
    $(for l in $ALL; do lib $l; done)
# One path out: only one object of node makes an update message.
objects=$(nm -A "$(lib node)" 2>/dev/null | grep -c " U fm_dp_release_bytes$")
check "one object of node hands an update to the wire ($objects)" [ "$objects" = 1 ]
check "and none makes an update from anything else" \
    bash -c '[ "$(grep -lE "FM_MSG_MASKED_UPDATE" "$1"/node/src/*.c | grep -vc round.c)" -le 1 ]' _ "$SOURCE"
# The other door of dp is for training alone: neither program of a federation has a key to it.
for l in node aggregator; do
    check "no sum is opened without masks ($l)" foreign $l '^(fm_dp_sum_open_alone|fm_train_run)$'
done
finish
