# Text to ids and back, as a user does it: with a tokenizer made here, and GPT-2's where it is.
. "$(dirname "$0")/lib.sh"
model=$BIN/fedmoe-model
tok=$WORK/tokenizer.json
plain=$SOURCE/tests/fuzz/corpus/tokenizer/plain.json

# is WANTED COMMAND...: standard output is that, whole.
is() {
    local wanted=$1 got
    shift
    got=$("$@" 2>"$WORK/err") || { cat "$WORK/err" >&2; return 1; }
    [ "$got" = "$wanted" ] || { echo "  not '$wanted': '$got'" >&2; return 1; }
}
ids() { printf '%b' "$1" | "$model" tokenize --tokenizer "$tok" "${@:2}"; }
text() { printf '%b' "$1" | "$model" detokenize --tokenizer "$tok" "${@:2}"; }
# fails WORDS COMMAND...: exit 1, and the reason has the words.
fails() {
    local words=$1 rc
    shift
    "$@" >"$WORK/out" 2>"$WORK/err"
    rc=$?
    [ $rc = 1 ] && grep -q -- "$words" "$WORK/err" || { echo "  exit $rc:" >&2; cat "$WORK/err" >&2; return 1; }
}

cp "$plain" "$tok"
check "ids as JSON" is '{"ids": [3, 4, 5]}' ids 'ab ab!' --json
check "ids as numbers" is '3 4 5' ids 'ab ab!'
check "no text, no ids" is '{"ids": []}' ids '' --json
check "special tokens in the text" is '3 6 1' ids 'ab <a>b'
check "unless it is only text" is '3 2 5 0 5 1' ids 'ab <a>b' --plain
check "text of JSON" is 'ab ab' text '{"ids": [3, 4]}'
check "text of a list" is 'ab ab' text ' [3, 4]'
check "text of numbers" is 'ab ab<a>' text '3\n4  6'
check "without special tokens" is 'ab ab' text '3 4 6' --skip-special
check "a text in a file" is '3' "$model" tokenize --tokenizer "$tok" --input <(printf ab)

check "an id that no token has" fails 'id 2 of the list is 99' text '3 99'
check "a number that is none" fails 'number 2 of the input is no token id' text '3 x'
check "JSON of something else" fails 'the input must be' text '{"tokens": [3]}'
check "JSON that is cut" fails 'the input, line 1' text '{"ids": [3'
check "no tokenizer" fails 'nothing.json' "$model" tokenize --tokenizer "$WORK/nothing.json" --input "$tok"
sed 's/"type": "BPE"/"type": "Unigram"/' "$plain" >"$tok"
check "another kind of model is refused by name" fails "model.type: 'Unigram' is not supported" ids 'a'
sed 's/"normalizer": null/"normalizer": {"type": "Lowercase"}/' "$plain" >"$tok"
check "so is a normaliser" fails "normalizer: the normalizer 'Lowercase'" ids 'a'
head -c 300 "$plain" >"$tok"
check "and half a file" fails 'tokenizer.json:1:' ids 'a'
sed 's/"unk_token": "?"/"unk_token": null/' "$plain" >"$tok"
check "bytes without a token are left out" is '3' ids 'xaxbx'
check "and that is said" grep -q '3 bytes of the text have no token' "$WORK/err"

tok=${FEDMOE_SHARED:-$SOURCE/../shared}/data/tokenizers/gpt2.tokenizer.json
if [ -f "$tok" ]; then
    head -c 300000 /dev/urandom >"$WORK/bytes"
    cat "$SOURCE"/docs/*.md >>"$WORK/bytes"
    "$model" tokenize --tokenizer "$tok" --json --input "$WORK/bytes" >"$WORK/ids.json"
    check "any bytes come back" cmp "$WORK/bytes" <("$model" detokenize --tokenizer "$tok" --input "$WORK/ids.json")
    check "GPT-2's ids" is '{"ids": [15496, 995]}' ids 'Hello world' --json
else
    echo "skipped: no ../shared/data/tokenizers"
fi
finish
