# The watermark of text, as its users ask for it: a key, marked texts, and finding them.
. "$(dirname "$0")/lib.sh"
model=$BIN/fedmoe-model
tokenizer=$SOURCE/tests/fuzz/corpus/tokenizer/plain.json
base=$WORK/base

"$model" new --preset lite-tiny --tokenizer "$tokenizer" --output "$base" >/dev/null || exit 1
cd "$WORK" || exit 1
keygen() { "$model" watermark keygen "$@" 2>"$WORK/err"; }
detect() { "$model" watermark detect --tokenizer "$tokenizer" "$@" >"$WORK/out" 2>"$WORK/err"; }
generate() { "$model" generate --model "$base" --prompt 'ab ab' --max-tokens 500 "$@" 2>"$WORK/err"; }
# fails CODE WORDS COMMAND...: that exit code, and the reason has the words.
fails() {
    local code=$1 words=$2 rc
    shift 2
    "$@" >"$WORK/printed"
    rc=$?
    [ $rc = "$code" ] && grep -q -e "$words" "$WORK/err" ||
        { echo "  exit $rc:" >&2; cat "$WORK/printed" "$WORK/err" >&2; return 1; }
}
says() { grep -q -e "$1" "$WORK/out" || { echo "  without '$1':" >&2; cat "$WORK/out" "$WORK/err" >&2; return 1; }; }

check "a key is made" keygen --output made
check "for its owner alone" [ "$(stat -c %a made)" = 600 ]
check "never over another" fails 1 'made' keygen --output made
check "one of the other kind" keygen --output other --kind red-green --delta 3
generate --watermark-key made --seed 5 >first
check "which is of use" detect --key made first
check "and another one each time" bash -c '! grep -qxF "$(tail -1 made)" other'
check "options of the other kind" fails 1 'red-green' keygen --output no --gamma 0.5
check "a kind that is none" fails 1 "'loud'; tournament and red-green" keygen --output no --kind loud
check "a window too wide" fails 2 window keygen --output no --window 17
check "nothing was made" [ ! -e no ]

# Keys that are fixed: chance has no part in what follows.
hex=$(printf '0123456789abcdef%.0s' 1 2 3 4)
printf 'fedmoe-watermark 1\nkind tournament\nwindow 4\nlayers 30\nkey %s\n' "$hex" >key
printf 'fedmoe-watermark 1\nkind red-green\nwindow 4\ngamma 0.5\ndelta 6\nkey %s\n' "$hex" >green
chmod 600 key green
generate --watermark-key key --seed 5 >marked
generate --watermark-key green --seed 5 >greened
generate --seed 5 >plain
check "a marked text is found" detect --key key marked
check "and called so" says '^marked: marked: score '
check "one without a mark is not" detect --key key plain
check "and not called so" says '^plain: no mark found'
check "nor under another key" detect --key green marked
check "which finds nothing" says '^marked: no mark found'
check "the other kind is found" detect --key green greened
check "and called so too" says '^greened: marked: '
check "several at once, as JSON" detect --key key --json marked plain
cat >"$WORK/look.py" <<'PY'
import json, sys
marked, plain = json.load(open(sys.argv[1]))
assert marked["verdict"] == "marked" and plain["verdict"] == "no mark found"
assert marked["p_value"] < 1e-4 < plain["p_value"] and marked["tokens_scored"] > 100
PY
check "which has the figures" python3 "$WORK/look.py" "$WORK/out"
check "a level of one's own" detect --key key --level 0.000000000000000001 plain
printf 'ab' >short
: >empty
check "a short text says nothing" fails 1 'too short' detect --key key short
check "which is said" says '^short: too short'
check "so does an empty one" fails 1 'too short' detect --key key empty
python3 -c 'import random, sys
r = random.Random(1)
sys.stdout.buffer.write(bytes(r.choice((97, 98, 32, r.randrange(256))) for i in range(3000)))' >bytes
check "any bytes are a text" detect --key key bytes
check "a file that is not there" fails 1 'nothing' detect --key key nothing
chmod 640 key
check "a key that others may read is refused" fails 1 'chmod' detect --key key marked
check "by generate, too" fails 1 'chmod' generate --watermark-key key
chmod 600 key
check "greedy text has no place for a mark" \
    fails 1 'temperature' generate --watermark-key key --temperature 0
cp plain nokey && chmod 600 nokey
check "a file that is no key" fails 1 "nokey:1: not a watermark's key" detect --key nokey marked
finish
