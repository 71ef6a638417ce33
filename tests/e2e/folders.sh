# Language models as folders: made, looked into, computed; and what is refused, or ended in the middle.
. "$(dirname "$0")/lib.sh"
model="$BIN/fedmoe-model"

# usage_error FILE TEXT COMMAND...: exit 2, and why.
usage_error() {
    local file=$1 text=$2 rc
    shift 2
    "$@" >"$file" 2>&1
    rc=$?
    [ $rc = 2 ] || { echo "  exit $rc, not 2: $*" >&2; return 1; }
    says "$file" "$text"
}

cat >"$WORK/tokenizer.json" <<'EOF'
{"version": "1.0", "added_tokens": [{"id": 299, "content": "<|end|>"}],
 "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}}
EOF
check "a model with a tokenizer's vocabulary" "$model" new --preset lite-tiny --seed 7 \
    --tokenizer "$WORK/tokenizer.json" --output "$WORK/base"
check "its tokenizer as it was" cmp "$WORK/tokenizer.json" "$WORK/base/tokenizer.json"
check "the same seed gives the same model" "$model" new --preset lite-tiny --seed 7 \
    --tokenizer "$WORK/tokenizer.json" --output "$WORK/again/"
check "byte for byte" diff -r "$WORK/base" "$WORK/again"
check "a folder that is there is not overwritten" refused "$WORK/out" "is there already" \
    "$model" new --preset lite-tiny --output "$WORK/base"

"$model" inspect --json "$WORK/base" >"$WORK/inspect.json"
check "at most 15 % of it active, as inspect says" python3 - "$WORK/inspect.json" <<'EOF'
import json, sys
m = json.load(open(sys.argv[1]))
assert m["class"] == "DeepseekV3ForCausalLM" and m["vocabulary"] == 300 and m["tokenizer"]
assert m["active_parameters"] <= 0.15 * m["parameters"], m
assert m["bytes_in_memory"] == 4 * m["parameters"] < m["bytes_on_disk"], m
assert m["routing"]["router"] == "sigmoid" and m["routing"]["correction_bias"], m
assert m["attention"]["kind"] == "latent" and m["context"] == 512 and m["dtype"] == "F32", m
EOF
"$model" inspect "$WORK/base" >"$WORK/out"
check "and in words" says "$WORK/out" "sigmoid with a correction bias"

check "logits of three tokens" "$model" logits --model "$WORK/base" --tokens 1,2,299 --output "$WORK/logits"
check "float32 of tokens times vocabulary, the first alike without what comes after" \
    bash -c '"$1" logits --model "$2" --tokens 1 --output "$3/one" && python3 - "$3" <<EOF
import json, struct, sys
def read(name):
    b = open(sys.argv[1] + "/" + name, "rb").read()
    n = struct.unpack("<Q", b[:8])[0]
    return json.loads(b[8:8 + n])["logits"], b[8 + n:]
head, data = read("logits")
assert head["dtype"] == "F32" and head["shape"] == [3, 300], head
assert len(data) == 3 * 300 * 4 and any(data)
assert read("one")[1] == data[:1200]
EOF' _ "$model" "$WORK/base" "$WORK"
check "the output is not replaced unasked" refused "$WORK/out" "is there already" \
    "$model" logits --model "$WORK/base" --tokens 1,2 --output "$WORK/logits"
check "a token that is none" refused "$WORK/out" "item [0-9]+ is not a token; numbers from 0 to 299 are" \
    "$model" logits --model "$WORK/base" --tokens 1,300 --output "$WORK/x"
check "no tokens" refused "$WORK/out" "item 2 is not a token" \
    "$model" logits --model "$WORK/base" --tokens 1,,2 --output "$WORK/x"

sed 's/"silu"/"gelu"/' "$WORK/base/config.json" >"$WORK/again/config.json"
check "a key with a value that is not supported, by name" \
    refused "$WORK/out" 'again/config.json: hidden_act is "gelu"' "$model" inspect "$WORK/again"
sed 's/"use_cache"/"use_magic"/' "$WORK/base/config.json" >"$WORK/again/config.json"
check "a key that is not known, by name" \
    refused "$WORK/out" 'use_magic is true: this key is not known' "$model" inspect "$WORK/again"
cp "$WORK/base/config.json" "$WORK/again/config.json"
truncate -s -1 "$WORK/again/model.safetensors"
check "weights that are cut" refused "$WORK/out" "model.safetensors: " "$model" inspect "$WORK/again"

check "a preset that is none" refused "$WORK/out" "no preset 'heavy'" \
    "$model" new --preset heavy --output "$WORK/x"
check "a preset and a schema" usage_error "$WORK/out" "makes a language model" \
    "$model" new --preset lite-tiny --schema a.yaml --output "$WORK/x"
check "neither" usage_error "$WORK/out" "--schema or --preset is needed" "$model" new --output "$WORK/x"
check "a vocabulary without a preset" usage_error "$WORK/out" "belong to --preset" \
    "$model" new --schema a.yaml --vocabulary 9 --output "$WORK/x"

"$model" new --preset lite-small --output "$WORK/killed" >/dev/null 2>&1 &
nap 0.3
kill -9 $! 2>/dev/null
wait $! 2>/dev/null
check "what was killed on the way is not there" [ ! -e "$WORK/killed" ]
check "nor does its rest look like a model" bash -c '! ls "$1"/.killed.tmp-*/config.json 2>/dev/null' _ "$WORK"
check "nothing else was written" [ ! -e "$WORK/x" ]
finish
