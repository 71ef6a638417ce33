# A language model adapted to texts: with privacy, without, merged, whole; and what is refused.
. "$(dirname "$0")/lib.sh"
model="$BIN/fedmoe-model"
cd "$WORK" || exit 1

# A token for each byte, and texts of forty people who say much the same.
python3 "$SOURCE/tests/e2e/byte_tokenizer.py" tokenizer.json
python3 - <<'EOF'
import csv
for name, first, last in ("notes.csv", 0, 40), ("held.csv", 40, 50):
    w = csv.writer(open(name, "w"))
    w.writerow(["who", "note"])
    for p in range(first, last):
        for k in range(1 + p % 3):
            w.writerow([f"p{p}", f"Pain is {'better' if (p + k) % 2 else 'worse'} since {p % 9} days."])
EOF
cat >notes.yaml <<'EOF'
name: notes
source: csv
text: note
unit: who
EOF
check "a model to begin with" "$model" new --preset lite-tiny --seed 3 --tokenizer tokenizer.json --output base

tune() {
    "$model" finetune --model base --schema notes.yaml --rounds 4 --sampling-rate 0.5 "$@" notes.csv
}
openly() {
    tune --no-privacy --seed 5 --learning-rate 0.02 --rank 4 --modules attention,shared "$@"
}
tune --rank 4 --epsilon 8 --delta 1e-3 --seed 5 --test held.csv --output private >private.txt 2>private.err
check "it says what was promised" says private.txt "at delta 0.001, for each who"
check "and that the number of people is public" says private.err "privacy units, 40, is treated as public"
check "no more than asked for" grep -q "^epsilon           7.9" private.txt
check "PEFT's files, nothing else" [ "$(ls private | tr '\n' ' ')" = "adapter_config.json adapter_model.safetensors " ]

"$model" inspect private >out 2>&1
check "inspect shows its rank" says out "rank 4, alpha 8; with PEFT's names"
check "and what it cost" says out "fedmoe.epsilon: 7.9"

openly --threads 1 --test held.csv --json --output open >open.json 2>open.err
check "without privacy it is said loudly" says open.err "NOTHING IS PRIVATE"
check "and nobody else can look into it" [ "$(stat -c %a open)" = 700 ]
openly --threads 2 --output again >out 2>&1
check "the same again, to the byte, by two threads" diff -r open again
check "A is of the seed alone, B was trained, the promise stands in the file" python3 - <<'EOF'
import json, struct
def read(path):
    b = open(path, "rb").read()
    n = struct.unpack("<Q", b[:8])[0]
    h = json.loads(b[8:8 + n])
    meta = h.pop("__metadata__")
    return meta, {k: (v["shape"], b[8 + n:][v["data_offsets"][0]:v["data_offsets"][1]]) for k, v in h.items()}
meta, mine = read("private/adapter_model.safetensors")
open_meta, other = read("open/adapter_model.safetensors")
assert mine.keys() == other.keys() and len(mine) > 20
for name in mine:
    assert (mine[name] == other[name]) == ("lora_A" in name), name
    assert mine[name][0]["lora_B" in name] == 4, name
    assert ".experts." not in name and "mlp.gate." not in name, name
    assert any(mine[name][1]), name
assert any("shared_experts" in n for n in mine) and any("kv_b_proj" in n for n in mine)
assert 7.9 < float(meta["fedmoe.epsilon"]) <= 8 and meta["fedmoe.privacy_unit"] == "who", meta
assert open_meta["fedmoe.epsilon"] == "none", open_meta
config = json.load(open("private/adapter_config.json"))
assert config["r"] == 4 and config["lora_alpha"] == 8 and config["peft_type"] == "LORA", config
assert config["base_model_name_or_path"] == "base", config
EOF

tune --no-privacy --rank 1 --output wide >out 2>&1
check "without privacy all maps are adapted unless said otherwise" \
    grep -q 'mlp\.experts\..*lora_B' wide/adapter_model.safetensors

"$model" evaluate --model base --schema notes.yaml --json held.csv >before.json
"$model" evaluate --model base --adapter open --schema notes.yaml --json held.csv >after.json
check "evaluate finds the losses that finetune did, and the second is less" python3 - <<'EOF'
import json, math
t = json.load(open("open.json"))["test"]
before, after = json.load(open("before.json")), json.load(open("after.json"))
assert t["before"] == before, (t, before)
assert {k: t[k] for k in after} == after, (t, after)
assert after["loss"] < before["loss"] - 0.01 and after["predictions"] > 300, (before, after)
assert abs(math.exp(after["loss"]) / after["perplexity"] - 1) < 1e-9
EOF

openly --merge --output merged >out 2>&1
"$model" logits --model base --adapter open --tokens 80,97,105,110 --output one.safetensors
"$model" logits --model merged --tokens 80,97,105,110 --output two.safetensors
"$model" logits --model base --tokens 80,97,105,110 --output none.safetensors
check "a model with the adapters in it computes what the base does with them" python3 - <<'EOF'
import json, struct
def read(path):
    b = open(path, "rb").read()
    n = struct.unpack("<Q", b[:8])[0]
    return struct.unpack(f"<{(len(b) - 8 - n) // 4}f", b[8 + n:])
one, two, none = map(read, ("one.safetensors", "two.safetensors", "none.safetensors"))
assert max(abs(a - b) for a, b in zip(one, two)) < 1e-5
assert max(abs(a - b) for a, b in zip(one, none)) > 1e-3
EOF

openly --square --test held.csv --json --output square >square.json 2>out
"$model" evaluate --model base --adapter square --schema notes.yaml --json held.csv >after.json
check "a small matrix between two constants is an ordinary adapter outside" python3 - <<'EOF'
import json
t, after = json.load(open("square.json")), json.load(open("after.json"))
config = json.load(open("square/adapter_config.json"))
assert config["r"] == 4 and config["peft_type"] == "LORA", config
maps = open("square/adapter_model.safetensors", "rb").read().count(b"lora_B")
assert t["trained"] == 16 * maps and maps > 10, (t, maps)
t = t["test"]
assert abs(t["loss"] - after["loss"]) < 1e-5 and after["loss"] < t["before"]["loss"] - 1e-3, (t, after)
EOF
check "with privacy, too" exits 0 out "R trained" \
    tune --square --rank 2 --epsilon 8 --delta 1e-3 --output squared
check "not with A" exits 2 out "no --train-a" tune --square --train-a --epsilon 1 --output x
check "of a rank that the maps have" exits 1 out "at most the smaller" \
    tune --square --rank 100 --epsilon 1 --output x

check "an adapter is trained further, with its rank" exits 0 out "rank 4, alpha 8, B trained" \
    tune --adapter open --epsilon 8 --delta 1e-3 --clip-norm 0.1 --exact --output further
check "all weights, with privacy" exits 0 out "all weights trained" \
    tune --full --epsilon 8 --delta 1e-3 --output full
check "are a model" exits 0 out "DeepseekV3ForCausalLM" "$model" inspect full
check "whose correction biases are as they were" python3 - <<'EOF'
import json, struct
def read(path):
    b = open(path, "rb").read()
    n = struct.unpack("<Q", b[:8])[0]
    h = json.loads(b[8:8 + n])
    h.pop("__metadata__", None)
    return {k: b[8 + n:][v["data_offsets"][0]:v["data_offsets"][1]] for k, v in h.items()}
base, full = read("base/model.safetensors"), read("full/model.safetensors")
for name in base:
    assert (base[name] == full[name]) == name.endswith("e_score_correction_bias"), name
EOF

check "a promise or none, not neither" exits 2 out "give --epsilon, or --no-privacy" tune --output x
check "nor both" exits 2 out "not both" tune --epsilon 1 --no-privacy --output x
check "no rank of all weights" exits 2 out "full trains all weights" tune --full --rank 2 --epsilon 1 --output x
check "an adapter's own rank" exits 2 out "are those of --adapter" \
    tune --adapter open --rank 3 --epsilon 1 --output x
check "modules by their names" exits 2 out "'router' is none" \
    tune --modules attention,router --epsilon 1 --output x
check "an output that is there is kept" exits 1 out "is there already" tune --epsilon 1 --output base
check "no more context than the model has" exits 1 out "context is 512" \
    tune --epsilon 1 --context 513 --output x
check "a schema for evaluate" refused out "schema is needed" "$model" evaluate --model base held.csv
check "a schema of texts is none for a table" refused out "notes.yaml:2:9: this is a schema of texts" \
    "$model" check --schema notes.yaml notes.csv
cp -r open huge
python3 - <<'EOF'
import struct
b = open("huge/adapter_model.safetensors", "rb").read()
n = 8 + struct.unpack("<Q", b[:8])[0]
open("huge/adapter_model.safetensors", "wb").write(b[:n] + struct.pack("<f", 3e38) * ((len(b) - n) // 4))
EOF
"$model" evaluate --model base --adapter open --schema notes.yaml held.csv >out
check "evaluate says of what the loss is" says out "^base with open: loss"
check "a loss that is no number is no result" refused out "a loss that is not a finite number" \
    "$model" evaluate --model base --adapter huge --schema notes.yaml --json held.csv
check "no diagram of texts" exits 2 out "is a language model" \
    "$model" evaluate --model base --schema notes.yaml --reliability x.svg held.csv
check "nothing else was written" [ ! -e x ]
finish
