# Models in 8 bits: a quarter of the size, read like any other, and by anybody who reads safetensors.
. "$(dirname "$0")/lib.sh"
model="$BIN/fedmoe-model"

python3 - "$WORK/tokenizer.json" <<'EOF'
import json, sys
token = {"id": 3, "content": "<|end|>", "special": True}
token.update({k: False for k in ("single_word", "lstrip", "rstrip", "normalized")})
level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
json.dump({"version": "1.0", "added_tokens": [token], "normalizer": None, "pre_tokenizer": level,
           "post_processor": None, "decoder": level,
           "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}},
          open(sys.argv[1], "w"))
EOF
"$model" new --preset lite-tiny --seed 7 --tokenizer "$WORK/tokenizer.json" --output "$WORK/base" >/dev/null
check "a language model in 8 bits" \
    bash -c '"$1" quantize --model "$2/base" --output "$2/small" >"$2/out"' _ "$model" "$WORK"
check "how much smaller, in words" says "$WORK/out" "% smaller"
check "an output that is there is not overwritten" refused "$WORK/out" "is there already" \
    "$model" quantize --model "$WORK/base" --output "$WORK/small"
check "unless asked" "$model" quantize --model "$WORK/base" --output "$WORK/small" --force
check "nor is the model itself" refused "$WORK/out" "" \
    "$model" quantize --model "$WORK/base/model.safetensors" --output "$WORK/base/model.safetensors" --force

# Another reader: json and struct alone.
check "the file as docs/edge.md says, within half a scale of the folder's weights" python3 - "$WORK" <<'EOF'
import json, struct, sys

def read(path):
    b = open(path, "rb").read()
    n = struct.unpack("<Q", b[:8])[0]
    return json.loads(b[8:8 + n]), b[8 + n:]

work = sys.argv[1]
head, data = read(work + "/small")
plain, floats = read(work + "/base/model.safetensors")
meta = head.pop("__metadata__")
plain.pop("__metadata__", None)
assert meta["fedmoe.kind"] == "decoder-int8", meta
def bytes_of(name):
    a, z = head[name]["data_offsets"]
    return data[a:z]
assert bytes_of("config.json") == open(work + "/base/config.json", "rb").read()
assert bytes_of("tokenizer.json") == open(work + "/tokenizer.json", "rb").read()
maps = [n for n in head if head[n]["dtype"] == "I8"]
assert set(head) == set(plain) | {n + "_scale" for n in maps} | {"config.json", "tokenizer.json"}
assert "model.embed_tokens.weight" in maps and not any("norm" in n or n.endswith("mlp.gate.weight") for n in maps)
for name in plain:
    a, z = plain[name]["data_offsets"]
    if name not in maps:
        assert bytes_of(name) == floats[a:z], name
        continue
    rows, columns = head[name]["shape"]
    w = struct.unpack("<%df" % (rows * columns), floats[a:z])
    q = struct.unpack("%db" % (rows * columns), bytes_of(name))
    s = struct.unpack("<%df" % rows, bytes_of(name + "_scale"))
    for i, v in enumerate(w):
        assert abs(v - s[i // columns] * q[i]) <= 0.50002 * s[i // columns], (name, i)
    assert min(q) >= -127
EOF
"$model" inspect --json "$WORK/small" >"$WORK/small.json"
"$model" inspect --json "$WORK/base" >"$WORK/base.json"
check "inspect says the same of both, but sizes" python3 - "$WORK" <<'EOF'
import json, sys
a, b = (json.load(open("%s/%s.json" % (sys.argv[1], n))) for n in ("small", "base"))
for k in "class context vocabulary layers width attention routing parameters active_parameters tokenizer".split():
    assert a[k] == b[k], k
assert a["dtype"] == "I8 and F32" and a["bytes_on_disk"] < b["bytes_on_disk"] / 2, a
EOF
sed 's/ByteLevel/Whitespace/g' "$WORK/tokenizer.json" >"$WORK/base/tokenizer.json"
check "a tokenizer that generate could not read is refused at once" refused "$WORK/out" "pre_tokenizer" \
    "$model" quantize --model "$WORK/base" --output "$WORK/x"
printf 'name: notes\nsource: csv\ntext: note\nunit: record\n' >"$WORK/notes.yaml"
for command in "finetune --no-privacy --schema $WORK/notes.yaml" "distill --student lite-nano --schema $WORK/notes.yaml"; do
    check "${command%% *} says that such a file is none for it" refused "$WORK/out" "is a file; .*for generate and inspect" \
        "$model" $command "--$([ "${command%% *}" = distill ] && echo teacher || echo model)" "$WORK/small" --output "$WORK/x" "$WORK/out"
done
check "nor for logits" refused "$WORK/out" "is a file; .*for generate and inspect" \
    "$model" logits --model "$WORK/small" --tokens 1,2 --output "$WORK/x"
check "a language model is not rounded twice" refused "$WORK/out" "but a 'decoder-int8'" \
    "$model" quantize --model "$WORK/small" --output "$WORK/x"
head -c 5000 "$WORK/small" >"$WORK/cut"
check "a file that is cut short is refused" refused "$WORK/out" "" "$model" inspect "$WORK/cut"

# A model of records.
data="${FEDMOE_SHARED:-$SOURCE/../shared}/data/heart_disease"
[ -d "$data" ] || { finish; }
schema="$SOURCE/examples/schemas/heart_disease.yaml"
"$model" train --schema "$schema" --data "$data/processed.cleveland.data" --no-privacy --seed 1 --rounds 40 \
    --output "$WORK/heart" >/dev/null 2>&1
check "a model of records in 8 bits" "$model" quantize --model "$WORK/heart" --output "$WORK/heart8"
check "not once more" refused "$WORK/out" "8 bits already" \
    "$model" quantize --model "$WORK/heart8" --output "$WORK/x"
check "no adapters for it" refused "$WORK/out" "is for a language model" \
    "$model" quantize --model "$WORK/heart" --adapter "$WORK/base" --output "$WORK/x"
for m in heart heart8; do
    "$model" evaluate --json --model "$WORK/$m" "$data/processed.hungarian.data" >"$WORK/$m.json"
done
check "its accuracy within 1.2 points, its AUC within 0.01" python3 - "$WORK" <<'EOF'
import json, sys
a, b = (json.load(open("%s/%s.json" % (sys.argv[1], n)))["files"][0] for n in ("heart", "heart8"))
print("  accuracy %.4f and %.4f, AUC %.4f and %.4f" % (a["accuracy"], b["accuracy"], a["auc"], b["auc"]))
assert abs(a["accuracy"] - b["accuracy"]) <= 0.012 and abs(a["auc"] - b["auc"]) <= 0.01
EOF
check "inspect" bash -c '"$1" inspect "$2" >"$3"' _ "$model" "$WORK/heart8" "$WORK/out"
check "predict" "$model" predict --model "$WORK/heart8" --input "$data/processed.hungarian.data" \
    --output "$WORK/risk.csv"

# What only its owner may read stays so.
chmod 600 "$WORK/heart"
"$model" quantize --model "$WORK/heart" --output "$WORK/private" >/dev/null
check "the mode of a private model" [ "$(stat -c %a "$WORK/private")" = 600 ]
finish
