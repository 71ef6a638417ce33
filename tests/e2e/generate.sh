# Text from a language model, as a user asks for it.
. "$(dirname "$0")/lib.sh"
model=$BIN/fedmoe-model
tokenizer=$SOURCE/tests/fuzz/corpus/tokenizer/plain.json
base=$WORK/base

"$model" new --preset lite-tiny --tokenizer "$tokenizer" --output "$base" >/dev/null || exit 1
generate() { "$model" generate --model "$base" "$@" 2>"$WORK/err"; }
# fails CODE WORDS ARGUMENTS...: that exit code, and the reason has the words.
fails() {
    local code=$1 words=$2 rc
    shift 2
    generate "$@" >"$WORK/out"
    rc=$?
    [ $rc = "$code" ] && grep -q -e "$words" "$WORK/err" && [ ! -s "$WORK/out" ] ||
        { echo "  exit $rc:" >&2; cat "$WORK/out" "$WORK/err" >&2; return 1; }
}
key() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$@"; }
# json KEY ARGUMENTS...: that value of what is printed with --json.
json() {
    local wanted=$1
    shift
    generate --json "$@" >"$WORK/json" && key "$WORK/json" "$wanted"
}
is() { [ "$1" = "$2" ] || { echo "  not '$1': '$2'" >&2; return 1; }; }
isnt() { [ "$1" != "$2" ] || { echo "  '$1' twice" >&2; return 1; }; }
cat >"$WORK/figures.py" <<'PY'
import json, sys
j = json.load(open(sys.argv[1], encoding="utf-8"))
assert len(j["tokens"]) == 20 and j["prompt_tokens"] == 2, j
assert j["tokens_per_second"] > 0 and j["memory"]["peak"] > j["memory"]["cache"] > 0, j
PY

greedy=$(generate --prompt 'ab ab' --temperature 0 --max-tokens 20)
check "a text is written" [ -n "$greedy" ]
check "and the figures are beside it" \
    grep -qE '^2 tokens read at .*/s, 20 written at .*/s \(stopped: length\); [0-9]+ MB' "$WORK/err"
check "the same again" is "$greedy" "$(generate --prompt 'ab ab' --temperature 0 --max-tokens 20)"
printf 'ab ab' >"$WORK/prompt"
check "a prompt in a file" is "$greedy" \
    "$(generate --prompt-file "$WORK/prompt" --temperature 0 --max-tokens 20)"
check "or from standard input" is "$greedy" \
    "$(generate --prompt-file /dev/stdin --temperature 0 --max-tokens 20 <"$WORK/prompt")"
ids=$("$model" tokenize --tokenizer "$tokenizer" <"$WORK/prompt" | tr ' ' ,)
check "JSON has the same text" is "$greedy" "$(json text --tokens "$ids" --temperature 0 --max-tokens 20)"
check "and says why it stopped" is length "$(key "$WORK/json" stopped)"
check "and what it took" python3 "$WORK/figures.py" "$WORK/json"

draw() { json tokens --prompt ab --max-tokens 30 "$@"; }
check "a seed repeats its draws" is "$(draw --seed 7)" "$(draw --seed 7)"
check "another seed has others" isnt "$(draw --seed 7)" "$(draw --seed 8)"
check "without a seed no two are the same" isnt "$(draw)" "$(draw)"
check "top-k 1 is the most likely" is "$(draw --top-k 1)" "$(draw --temperature 0)"
check "any bytes become UTF-8" python3 -c 'import sys; sys.stdin.buffer.read().decode("utf-8")' \
    < <(generate --prompt ab --max-tokens 500 --seed 3)

for option in "--log $WORK/log" "--purpose care" "--acknowledge-policy 00"; do
    check "without a policy no ${option%% *}" fails 1 "nothing is recorded" --prompt ab $option
done
check "a text where token ids belong" fails 1 "item 2 is not a token" --tokens '1,Mrs Smith,2'
check "is not repeated" bash -c '! grep -q Smith "$1"' _ "$WORK/err"
check "the text ends at the model's context" is context \
    "$(json stopped --prompt ab --temperature 0 --max-tokens 600)"
check "or at the one that is asked for" is context "$(json stopped --tokens 3 --seed 1 --context 8)"
check "which has room for one token more" is 8 "$(key "$WORK/json" tokens | tr , '\n' | wc -l)"

check "no prompt is a mistake" fails 1 'one of --prompt, --prompt-file, --tokens'
check "so are two" fails 1 'one of --prompt' --prompt a --tokens 1
check "no model" bash -c '! "$1" generate --model "$2" --prompt a 2>"$3" && grep -q nothing "$3"' _ \
    "$model" "$WORK/nothing" "$WORK/err"
check "a token that is none" fails 1 "item 2 is not a token" --tokens 1,99999
check "a prompt beyond the context" \
    fails 1 'the prompt has 2 tokens; there is room for 1 (--context)' --prompt 'ab ab' --context 1
check "a context beyond the model's" fails 1 'the model was made for 512' --prompt ab --context 513
check "an empty prompt" fails 1 'nothing to go on from' --prompt ''
check "greedy and top-p" \
    fails 1 '--temperature 0 takes the most likely' --prompt a --temperature 0 --top-p 0.5
check "a negative temperature" fails 2 temperature --prompt a --temperature -1
check "a temperature next to 0" fails 1 'a temperature of 1e-09' --prompt a --temperature 1e-9
check "a cache of another kind" fails 1 "'int4'; int8 and float" --prompt a --cache int4
check "a size that is none" fails 1 "'5 apples' is no size" --prompt a --memory '5 apples'
check "a limit of a model in float32" fails 1 'float32' --prompt a --memory 500M
check "an end token that is not there" fails 1 'no token' --prompt a --end-token '<|nothing|>'
check "float inputs of floats" fails 1 'in float32 already' --prompt a --float-inputs
rm "$base/tokenizer.json"
check "text without a tokenizer" fails 1 'begin with --tokens' --prompt a
check "tokens without a tokenizer" is 4 \
    "$(generate --tokens 3 --max-tokens 4 | tr , '\n' | wc -l)"
finish
