# Four hospitals adapt a language model to their notes: only B travels, all end with the same, and a
# hospital with another base refuses.
. "$(dirname "$0")/lib.sh"
model="$BIN/fedmoe-model"
into() { local file=$1; shift; "$@" >"$file" 2>&1; }
setup --rounds 4
cd "$WORK" || exit 1

# A token for each byte; texts of ten people at each hospital.
python3 "$SOURCE/tests/e2e/byte_tokenizer.py" tokenizer.json
python3 - "$RUN" $HOSPITALS <<'PY'
import csv, sys
pooled = csv.writer(open("pooled.csv", "w"))
pooled.writerow(["who", "note"])
for h, name in enumerate(sys.argv[2:]):
    w = csv.writer(open(f"{sys.argv[1]}/{name}/records.csv", "w"))
    w.writerow(["who", "note"])
    for p in range(10):
        row = [f"{name}{p}", f"Pain is {'better' if (p + h) % 2 else 'worse'} since {p % 9} days."]
        w.writerow(row)
        pooled.writerow(row)
PY
printf 'name: notes\nsource: csv\ntext: note\nunit: who\n' >"$RUN/schema.yaml"
check "a base model" into out "$model" new --preset lite-tiny --seed 3 --tokenizer tokenizer.json --output "$RUN/base"
first() {
    rm -f "$RUN/model.safetensors"
    "$model" new --adapter-for "$RUN/base" --schema "$RUN/schema.yaml" --rank 2 --modules attention \
        --seed 5 "$@" --output "$RUN/model.safetensors"
}
check "first adapters, for it" into out first
check "say what travels" says out "rank 2, alpha 4, .* KB a round"
check "and are small" [ "$(stat -c %s "$RUN/model.safetensors")" -lt $(($(stat -c %s "$RUN/base/model.safetensors") / 20)) ]

check "a node.yaml for texts" into out "$BIN/fedmoe-node" init --directory made --name northgate \
    --door tcp://127.0.0.1:7300 --door-key "$(sed -n 's/^  door_key: "\(.*\)"/\1/p' "$RUN/northgate/node.yaml")" \
    --identity "$RUN/northgate/identity" --records "$RUN/northgate/records.csv" --schema "$RUN/schema.yaml" \
    --model "$RUN/base" --unit who --purpose care
check "is in order as it is" into out "$BIN/fedmoe-node" check --config made/node.yaml
check "and names the base" says out "ok *base model .*run/base is there"

for name in $HOSPITALS; do
    sed -i 's/^  unit: "record"$/  unit: "who"/' "$RUN/$name/node.yaml"
    echo "model: $RUN/base" >>"$RUN/$name/node.yaml"
done
sed -i -e 's/^  unit: record$/  unit: who\n  max_unit_rows: 2\n  sampling_rate: 0.5/' \
    -e 's/expected_units: .*/expected_units: 40/' -e 's/max_units: .*/max_units: 80/' "$RUN/federation.yaml"
echo "keep_updates: true" >>"$RUN/federation.yaml"
replan

looks=("$BIN/fedmoe-node" check --config "$RUN/northgate/node.yaml")
check "before any plan check reads the texts by the schema that is pinned" into out "${looks[@]}"
check "counts them" says out "ok *records .*10 documents .*10 units by who, at most 1 sequences each"
check "and knows no plan" says out "ok *base model .*no plan was offered"
sed -i 's/^  unit: "who"$/  unit: "record"/' "$RUN/northgate/node.yaml"
check "a policy with another unit is a problem" refused out "schema 'notes' groups texts by who, policy.unit is record" "${looks[@]}"
sed -i 's/^  unit: "record"$/  unit: "who"/' "$RUN/northgate/node.yaml"
cp "$RUN/northgate/records.csv" records.csv
for i in $(seq 30); do echo ',Pain is worse.'; done >>"$RUN/northgate/records.csv"
check "check lists the problems of the texts" refused out "PROBLEM *records .*records.csv:12" "${looks[@]}"
check "twenty of them" says out "and 10 more; --all lists all"
check "or every one" refused out "PROBLEM *records .*records.csv:12" "${looks[@]}" --all
check "the last, too" says out "^ *.*records.csv:41"
check "and nothing of a text" bash -c '! grep -q Pain "$1"' _ out
cp records.csv "$RUN/northgate/records.csv"

# One hospital has its texts in two files.
python3 - "$RUN/lakeside" <<'PY'
import sys
rows = open(sys.argv[1] + "/records.csv").readlines()
open(sys.argv[1] + "/old.csv", "w").writelines(rows[:6])
open(sys.argv[1] + "/new.csv", "w").writelines(rows[:1] + rows[6:])
PY
rm "$RUN/lakeside/records.csv"
sed -i 's/^  records: .*/  records: [old.csv, new.csv]/' "$RUN/lakeside/node.yaml"
check "texts in two files" into out "$BIN/fedmoe-node" check --config "$RUN/lakeside/node.yaml"
check "are read together" says out "ok *records .*10 documents .*10 units by who"

# One weight of the base is another.
cp -r "$RUN/base" other
python3 - <<'PY'
b = bytearray(open("other/model.safetensors", "rb").read())
b[-2] ^= 1
open("other/model.safetensors", "wb").write(b)
PY
cp "$RUN/northgate/node.yaml" right.yaml
sed -i "s|^model: .*|model: $WORK/other|" "$RUN/northgate/node.yaml"
start_aggregator
check "a node with another base refuses, and says so" refused out "is not the base model that the plan is for" \
    "$BIN/fedmoe-node" start --config "$RUN/northgate/node.yaml" --retry-s 5
check "to the aggregator it tells no file and no hash" \
    bash -c 'grep -q "northgate .*its own log says why" "$1" && ! grep -qE "$2|hash is" "$1"' _ "$RUN/aggregator/log" "$WORK/other"
check "so does check, by the plan that was offered" refused out "PROBLEM *base model .*is not the base model that the plan is for" "${looks[@]}"
sed 's/^name: notes/name: others/' "$RUN/schema.yaml" >other.yaml
sed "s|^  schema: .*|  schema: $WORK/other.yaml|" "$RUN/northgate/node.yaml" >"$RUN/northgate/pinned.yaml"
check "a plan with another schema is refused before the base is read" \
    refused out "schema is not the one that this node has pinned" \
    "$BIN/fedmoe-node" start --config "$RUN/northgate/pinned.yaml" --retry-s 5
sed -i '/^model: /d' "$RUN/northgate/node.yaml"
check "check says what lacks" refused out "PROBLEM *base model .*node.yaml names none" "${looks[@]}"
check "a node without a base likewise" refused out "node.yaml names no language model" \
    "$BIN/fedmoe-node" start --config "$RUN/northgate/node.yaml" --retry-s 5
sed -i '/^  schema: /d' "$RUN/northgate/node.yaml"
check "and one that pins no schema" refused out "the plan adapts a language model, and node.yaml names none" \
    "$BIN/fedmoe-node" start --config "$RUN/northgate/node.yaml" --retry-s 5
cp right.yaml "$RUN/northgate/node.yaml"
for name in $HOSPITALS; do start_node "$name"; done
for name in $HOSPITALS; do check "$name ends well" wait_end "$name" 120; done
wait_end aggregator 30
values() { tail -c +$((9 + $(od -An -tu8 -N8 "$1"))) "$1"; }
for name in lakeside hillcrest riverside; do
    check "$name has the same adapter as northgate" \
        cmp -s "$RUN/$name/model.safetensors" "$RUN/northgate/model.safetensors"
done
check "check knows the base by the plan" into out "${looks[@]}"
check "and the bound on a unit" says out "ok *records .*0 units have more than 2"
check "check by a schema that is given" into out "${looks[@]}" --schema "$RUN/schema.yaml"
line() { "$BIN/fedmoe-node" "$@" --config "$RUN/northgate/node.yaml" | tr -s ' \n' ' '; }
trained="adapters of rank 2 on its modules attention: 2160 numbers, in each round 4.3 kB out and 8.6 kB in. The privacy unit is who; in a round at most 2 sequences of at most 512 tokens"
check "plan says in words what is trained" into out line plan
check "rank, modules, numbers, bytes, unit" says out "$trained"
check "a report" into out "$BIN/fedmoe-node" report --config "$RUN/northgate/node.yaml" --output report.html
check "says so, too" says report.html "$trained"
check "inspect" into out "$model" inspect "$RUN/northgate/model.safetensors"
check "says rank and modules" says out "adapters +rank 2, alpha 4, of a language model; modules attention"
check "numbers and bytes" says out "values +2160, 8.6 KB a round"
check "and what the node wrote of the run" says out "fedmoe.rounds: 4"
check "inspect as JSON" into out "$model" inspect --json "$RUN/northgate/model.safetensors"
check "with the unit" says out '"unit": "who"'
check "audit says that it is of tables" refused out "audited without records by fedmoe-dp audit" \
    "$BIN/fedmoe-node" audit --config "$RUN/northgate/node.yaml"
check "which was trained" [ "$(values "$RUN/northgate/model.safetensors" | tr -d '\0' | wc -c)" -gt 100 ]
check "no text in any log" bash -c '! grep -rqE "Pain|better|worse" "$1"/*/log "$1"/*/*.json' _ "$RUN"
check "the coordinator's copy" "$BIN/fedmoe-aggregator" export --directory "$RUN/aggregator" --output export.safetensors
check "holds the same" cmp <(values export.safetensors) <(values "$RUN/northgate/model.safetensors")
check "a bundle of the run" into out "$BIN/fedmoe-aggregator" export --directory "$RUN/aggregator" --audit run.audit
check "holds" into out "$BIN/fedmoe-node" verify --config "$RUN/northgate/node.yaml" run.audit
check "a folder for PEFT" into out "$model" adapter --model "$RUN/base" --output adapter export.safetensors
check "of PEFT's files" [ "$(ls adapter | tr '\n' ' ')" = "adapter_config.json adapter_model.safetensors " ]
check "not for another base" refused out "is not the base model" \
    "$model" adapter --model other --output x "$RUN/northgate/model.safetensors"
check "the base with it" into out "$model" adapter --model "$RUN/base" --merge --output merged export.safetensors
check "what the federation promises stands in both" python3 - <<'PY'
import json, struct
def meta(path):
    b = open(path, "rb").read()
    return json.loads(b[8:8 + struct.unpack("<Q", b[:8])[0]])["__metadata__"]
want = meta("export.safetensors")
for path in "adapter/adapter_model.safetensors", "merged/model.safetensors":
    for key in "fedmoe.federation", "fedmoe.epsilon", "fedmoe.delta", "fedmoe.privacy_unit":
        assert meta(path)[key] == want[key], (path, key)
PY
check "is a model" into out "$model" inspect merged

# The federation's card goes along, and asks whoever runs the model to have read its use policy.
export XDG_CONFIG_HOME=$WORK/config
verify=("$model" inspect --verify --ca "$RUN/aggregator/ca.crt")
check "the card is good" into out "${verify[@]}" export.safetensors
check "and names the base" says out "^base +[0-9a-f]{64}"
POLICY=$(sed -n 's/^policy  *//p' out)
PURPOSE=$(sed -n 's/^allowed  *//p' out)
check "what was made of it is derived: a model" refused out "the derivation itself is not signed" "${verify[@]}" merged
check "and an adapter" refused out "the derivation itself is not signed" "${verify[@]}" adapter
say=("$model" generate --model merged --tokens 1,2 --max-tokens 4 --seed 1)
check "no token before the policy was acknowledged" refused out "--acknowledge-policy $POLICY once" "${say[@]}" --purpose "$PURPOSE"
check "nor another one" refused out "another policy" "${say[@]}" --purpose "$PURPOSE" --acknowledge-policy "$(printf '%064d' 0)"
check "nor for a purpose that is not allowed" refused out "allows '$PURPOSE'" "${say[@]}" --purpose pricing --acknowledge-policy "$POLICY"
check "nothing was written so far" [ ! -s "$XDG_CONFIG_HOME/fedmoe/requests.log" ]
check "then it answers" into out "${say[@]}" --purpose "$PURPOSE" --acknowledge-policy "$POLICY"
check "and from then on without" into out "${say[@]}" --purpose "$PURPOSE"
check "two lines of audit, for their owner alone" \
    [ "$(wc -l <"$XDG_CONFIG_HOME/fedmoe/requests.log") $(stat -c %a "$XDG_CONFIG_HOME/fedmoe/requests.log")" = "2 600" ]
check "with what each was" says "$XDG_CONFIG_HOME/fedmoe/requests.log" \
    "\"policy\": \"$POLICY\".*\"purpose\": \"$PURPOSE\", \"tokens_in\": 2, \"tokens_out\": 4, \"prompt\": \"[0-9a-f]{64}\""
check "a log that others can read is refused" bash -c 'install -m 644 /dev/null open.log; ! "$@" --log open.log >out 2>&1 && grep -q "chmod 600" out' _ "${say[@]}" --purpose "$PURPOSE"
check "adapters are no model" refused out "holds adapters, no model of its own" \
    "$model" logits --model adapter --tokens 1,2 --output x
# A text that was cut short was answered, too: SIGINT while its reader waits, then a reader who has gone.
check "a line for a text that was cut short" python3 - "$XDG_CONFIG_HOME/fedmoe/requests.log" "${say[@]/#4/400}" --purpose "$PURPOSE" <<'PY'
import fcntl, json, os, signal, subprocess, sys, time
log, command = sys.argv[1], sys.argv[2:]
def last(n):
    lines = open(log).read().splitlines()
    assert len(lines) == n, lines
    return json.loads(lines[-1])["tokens_out"]
r, w = os.pipe()
fcntl.fcntl(w, fcntl.F_SETPIPE_SZ, 4096)
os.write(w, b" " * 4096)
p = subprocess.Popen(command, stdout=w, stderr=subprocess.PIPE)
os.close(w)
ignores = lambda: [int(l.split()[1], 16) for l in open(f"/proc/{p.pid}/status") if l.startswith("SigIgn")][0]
until = time.monotonic() + 30
while p.poll() is None and not ignores() >> (signal.SIGPIPE - 1) & 1 and time.monotonic() < until:
    time.sleep(0.01)
p.send_signal(signal.SIGINT)
while os.read(r, 4096):
    pass
error = p.communicate()[1]
assert p.returncode == 1 and b"stopped by a signal after" in error, (p.returncode, error)
assert 1 <= last(3) < 10
r, w = os.pipe()
os.close(r)
p = subprocess.run(command, stdout=w, stderr=subprocess.PIPE)
assert p.returncode == 1 and b"Broken pipe" in p.stderr, p
last(4)
PY
# So is what other commands make of it.
carries() { # STEP OUTPUT COMMAND...
    local step=$1 output=$2
    check "$step" into out "${@:3}" --output "$output"
    check "carries the card on as derived" refused out "the derivation itself is not signed" "${verify[@]}" "$output"
    check "and lets pass who trusts it" into out "${verify[@]}" --derived "$output"
}
sed 's/^unit: .*/unit: record\npublic: true/' "$RUN/schema.yaml" >public.yaml
head -4 pooled.csv >few.csv
carries quantize merged8 "$model" quantize --model merged
carries "quantize with the adapter" adapted8 "$model" quantize --model "$RUN/base" --adapter adapter
carries finetune tuned "$model" finetune --model merged --schema "$RUN/schema.yaml" --rounds 1 --full --no-privacy few.csv
carries "finetune of the adapter" readapted "$model" finetune --model "$RUN/base" --adapter adapter \
    --schema "$RUN/schema.yaml" --rounds 1 --no-privacy few.csv
carries distill student "$model" distill --teacher merged --student lite-nano --schema public.yaml --rounds 1 few.csv
cp -r merged damaged
printf 'x' | dd of=damaged/fedmoe.card bs=1 seek=3 conv=notrunc status=none
check "a card that cannot be read" refused out "so nothing is written: .*fedmoe.card" "$model" quantize --model damaged --output cardless
check "leaves no file without one" [ ! -e cardless ]
check "within PEFT's files" [ "$(ls readapted | tr '\n' ' ')" = "adapter_config.json adapter_model.safetensors " ]
for made in merged8 student; do
    check "$made asks for the policy" refused out "--acknowledge-policy $POLICY once" env XDG_CONFIG_HOME="$WORK/nobody" \
        "$model" generate --model "$made" --tokens 1,2 --max-tokens 4 --purpose "$PURPOSE"
done
unset XDG_CONFIG_HOME

# Without noise and with every unit in every round: what finetune does with all the notes at once.
sed -i -e 's/sampling_rate: .*/sampling_rate: 1/' -e 's/^  epsilon: .*/  epsilon: 1000\n  insecure_noise_multiplier: 0/' "$RUN/federation.yaml"
sed -i 's/rounds: 4/rounds: 4\n  learning_rate: 0.02/' "$RUN/federation.yaml"
replan
for name in $HOSPITALS; do
    rm -f "$RUN/$name/"{ledger.db*,state.db*,model.safetensors}
    sed -i 's/^  epsilon: .*/  epsilon: 1000/' "$RUN/$name/node.yaml"
done
start_all
for name in $HOSPITALS; do check "$name ends well without noise" wait_end "$name" 120; done
wait_end aggregator 30
check "its folder" into out "$model" adapter --model "$RUN/base" --output federated "$RUN/northgate/model.safetensors"
check "the pooled training" into out "$model" finetune --model "$RUN/base" --schema "$RUN/schema.yaml" --rounds 4 \
    --sampling-rate 1 --learning-rate 0.02 --rank 2 --modules attention --seed 5 --no-privacy \
    --max-unit-sequences 2 --output alone pooled.csv
# same_adapter FEDERATED ALONE: A to the bit, B but for the rounding.
same_adapter() {
    python3 - "$1" "$2" <<'PY'
import json, struct, sys
def read(path):
    b = open(path + "/adapter_model.safetensors", "rb").read()
    n = struct.unpack("<Q", b[:8])[0]
    h = json.loads(b[8:8 + n]); h.pop("__metadata__")
    return {k: struct.unpack(f"<{(v['data_offsets'][1] - v['data_offsets'][0]) // 4}f",
            b[8 + n:][v["data_offsets"][0]:v["data_offsets"][1]]) for k, v in h.items()}
a, b = read(sys.argv[1]), read(sys.argv[2])
assert a.keys() == b.keys()
assert all(a[k] == b[k] for k in a if "lora_A" in k)
size = sum(x * x for k in b if "lora_B" in k for x in b[k]) ** .5
off = sum((x - y) ** 2 for k in b if "lora_B" in k for x, y in zip(a[k], b[k])) ** .5
print(f"  B off by {off / size:.2e} of its norm {size:.3f}")
assert size > 0.01 and off < 1e-5 * size, (off, size)
PY
}
check "gives the same adapter, but for the rounding" same_adapter federated alone

# The same with square adapters, whose A and B each hospital computes from its own base.
cp "$RUN/model.safetensors" "$RUN/federation.yaml" .
first --square >out 2>&1
check "a first square adapter says what travels" says out "rank 2, .* KB a round"
sed -i 's/rounds: 4/rounds: 2/' "$RUN/federation.yaml"
replan
for name in $HOSPITALS; do rm -f "$RUN/$name/"{ledger.db*,state.db*,model.safetensors}; done
start_all
for name in $HOSPITALS; do check "$name ends well with square adapters" wait_end "$name" 120; done
wait_end aggregator 30
check "its folder, of square ones" into out "$model" adapter --model "$RUN/base" --output square "$RUN/northgate/model.safetensors"
check "the pooled training of square ones" into out "$model" finetune --model "$RUN/base" --schema "$RUN/schema.yaml" --rounds 2 \
    --sampling-rate 1 --learning-rate 0.02 --rank 2 --modules attention --seed 5 --square --no-privacy \
    --max-unit-sequences 2 --output pooled pooled.csv
check "gives the same, too" same_adapter square pooled
cp model.safetensors federation.yaml "$RUN"

# Plans that do not fit: the node says why, the aggregator hears one sentence.
one="this node cannot take part in the plan; its own log says why"
mkdir kept
cp "$RUN/model.safetensors" "$RUN/schema.yaml" "$RUN/federation.yaml" kept
# does_not_fit WHAT PATTERN: the plan of $RUN/federation.yaml, which is then as before.
does_not_fit() {
    replan
    start_aggregator
    check "$1: refused" refused out "$2" "$BIN/fedmoe-node" start --config "$RUN/northgate/node.yaml" --retry-s 5
    check "$1: one sentence to the aggregator" says "$RUN/aggregator/log" "northgate .*$one"
    kill_party aggregator
    cp kept/* "$RUN"
}
# terms OLD NEW: in the adapter's metadata.
terms() {
    python3 - "$RUN/model.safetensors" "$1" "$2" <<'PY'
import json, struct, sys
b = open(sys.argv[1], "rb").read()
n = struct.unpack("<Q", b[:8])[0]
h = json.loads(b[8:8 + n])
m = h["__metadata__"]
assert sys.argv[2] in m["fedmoe.model"]
m["fedmoe.model"] = m["fedmoe.model"].replace(sys.argv[2], sys.argv[3])
t = json.dumps(h).encode()
t += b" " * (-len(t) % 8)
open(sys.argv[1], "wb").write(struct.pack("<Q", len(t)) + t + b[8 + n:])
PY
}
terms "rank: 2" "rank: 3"
does_not_fit "another rank" "adapters of rank 3 have 3240 values to train here, not 216[0-9]"
terms "attention" "attention,shared"
does_not_fit "other modules" "adapters of rank 2 have [0-9]+ values to train here, not 216[0-9]"
terms "attention" "router"
does_not_fit "no module" "'router' is none"
terms "context: 512" "context: 4096"
does_not_fit "a context beyond the base's" "the plan's context is 4096 tokens, the base model's"
terms "rank: 2" "rank: 1025"
does_not_fit "a rank without bounds" "rank"
echo " " >>"$RUN/base/tokenizer.json"
does_not_fit "another tokenizer" "tokenizer.json is not the one that the plan is for"
truncate -s -2 "$RUN/base/tokenizer.json"
cp "$RUN/northgate/node.yaml" right.yaml
sed -i '/^model: /d; /^  schema: /d' "$RUN/northgate/node.yaml"
does_not_fit "no base model" "the plan adapts a language model, and node.yaml names none"
cp right.yaml "$RUN/northgate/node.yaml"

# What is no training: of a policy that allows it.
sed -i '/^  tasks: /d; s/^policy:$/policy:\n  tasks: [training, statistics, evaluation]/' \
    "$RUN/northgate/node.yaml"
# asks TASK LINE: federation.yaml of a query.
asks() {
    {
        sed -n '/^name:/,/door:/p' kept/federation.yaml
        printf '%s\ntask: %s\nquery: query.yaml\n' "$2" "$1"
        echo "privacy: {unit: who, max_unit_rows: 2, epsilon: 1000, delta: 1.0e-4, max_units: 80, insecure_noise_multiplier: 0}"
        echo "cohort: {nodes: 4, min: 3, quorum: 3, colluders: 1}"
        echo "timeouts: {join_s: 30, round_s: 10}"
    } >"$RUN/federation.yaml"
}
echo 'columns: [{column: note, ask: count}]' >"$RUN/query.yaml"
asks statistics "schema: schema.yaml"
does_not_fit "statistics of texts" "neither evaluates a language model nor counts in texts"
cp "$RUN/northgate/node.yaml" right.yaml
sed -i '/^  schema: /d' "$RUN/northgate/node.yaml"
check "check goes by the schema of that plan, too" into out "${looks[@]}"
check "as one of texts" says out "ok *records .*fit the schema of texts 'notes'"
cat >"$RUN/northgate/table.yaml" <<'END'
name: table
columns:
  - {name: who, kind: categorical, values: [northgate0, northgate1], unknown: missing}
  - {name: note, kind: label, positive: ["Pain is worse since 0 days."], negative: [none]}
END
sed -i '/^model: /d; s/^  records: .*/&\n  schema: table.yaml/' "$RUN/northgate/node.yaml"
check "a pinned schema of a table" refused out "records.csv:[0-9]+, column note: .* is neither" "${looks[@]}"
check "goes before a plan for texts" bash -c '! grep -q "base model" out'
cp right.yaml "$RUN/northgate/node.yaml"
echo 'scores: {thresholds: [0.5]}' >"$RUN/query.yaml"
asks evaluation "model: model.safetensors"
does_not_fit "an evaluation on texts" "neither evaluates a language model nor counts in texts"
finish
