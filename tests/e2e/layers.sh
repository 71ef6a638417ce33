# The house: arrows point only downwards. Read from the libraries' undefined symbols.
. "$(dirname "$0")/lib.sh"
BUILD=$(dirname "$BIN")
lib() { find "$BUILD" -name "libfedmoe_$1.a" | head -1; }
wants() { nm -u "$(lib "$1")" 2>/dev/null | awk '$1 == "U" { print $2 }' | sort -u; }
has() { nm "$(lib "$1")" 2>/dev/null | awk '$2 ~ /[TDRB]/ { print $3 }' | sort -u; }

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
for l in base certs provenance proto link dp model optim replay train node aggregator; do
    check "the library of $l is there" [ -n "$(lib $l)" ]
done
for upper in certs provenance proto link dp model optim replay train node aggregator; do check "base knows nothing of $upper" apart base $upper; done
for upper in provenance proto link dp model optim replay train node aggregator; do check "certs knows nothing of $upper" apart certs $upper; done
for other in proto link dp model optim replay train node aggregator; do check "provenance knows nothing of $other" apart provenance $other; done
for other in provenance link dp model optim replay train node aggregator; do check "proto knows nothing of $other" apart proto $other; done
for other in provenance dp model optim replay train node aggregator; do check "link knows nothing of $other" apart link $other; done
for other in certs provenance proto link model optim replay train node aggregator; do check "dp knows nothing of $other" apart dp $other; done
for other in certs provenance proto link dp optim replay train node aggregator; do check "model knows nothing of $other" apart model $other; done
for other in certs provenance proto link dp model replay train node aggregator; do check "optim knows nothing of $other" apart optim $other; done
for other in link model train node aggregator; do check "replay knows nothing of $other" apart replay $other; done
for other in certs provenance proto link replay node aggregator; do check "train knows nothing of $other" apart train $other; done
check "node knows nothing of the aggregator" apart node aggregator
check "the aggregator knows nothing of node" apart aggregator node
check "the aggregator knows nothing of models" apart aggregator model
check "the aggregator knows nothing of training on records" apart aggregator train
for l in model provenance replay train node aggregator; do check "no BLAS in $l" foreign $l '^(cblas|openblas)_'; done
for l in base certs provenance proto link dp optim replay train node aggregator; do
    check "expressions and normal forms only in model ($l)" foreign $l '^(pcre2|utf8proc)_'
done
for l in base certs proto dp model optim replay train node aggregator; do check "only link uses ZeroMQ ($l)" foreign $l '^zmq_'; done
for l in base provenance proto link model optim replay train node aggregator; do
    check "OpenSSL only in certs and dp ($l)" foreign $l '^(EVP_|X509_|SSL_|OSSL_|RAND_|BIO_|PEM_)'
done
check "nothing draws from a C library generator" \
    bash -c '! nm -u "$@" 2>/dev/null | grep -qE " U (rand|random|drand48|srand)$"' _ \
    $(for l in base certs provenance proto link dp model optim replay train node aggregator; do lib $l; done)
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
