# A hospital's own head on the federation's model: made and used here, and taken by no federation.
. "$(dirname "$0")/lib.sh"
setup --rounds 30 # a model that knows something: else every head is better
start_all
for name in aggregator $HOSPITALS; do check "$name is through" wait_end "$name" 60; done
node=$RUN/northgate
cd "$node" || exit 1
sum=$(sha256sum <model.safetensors)
# Records that differ from the others': labels turned round where one feature is large.
awk -F, -v OFS=, '$1 > 50 { $14 = $14 > 0 ? 0 : 1 } { print }' records.csv >other.csv && chmod 600 other.csv
sed -i 's/^  records: .*/  records: other.csv/' node.yaml
"$BIN/fedmoe-node" personalize --output personal.safetensors >out 2>err || cat err
check "a head is chosen where records differ" says out "<- chosen"
check "and it is said that it must not leave" says out "must not leave the house"
check "only its owner may read it" [ "$(stat -c %a personal.safetensors)" = 600 ]
check "the federation's model is as it was" [ "$(sha256sum <model.safetensors)" = "$sum" ]
check "it is not overwritten" refused "$WORK/out" "personal.safetensors is there.*--force" \
    "$BIN/fedmoe-node" personalize --output personal.safetensors
check "nor is the federation's" refused "$WORK/out" "model.safetensors" \
    "$BIN/fedmoe-node" personalize --output model.safetensors --force
"$BIN/fedmoe-node" personalize --output personal.safetensors --force --json >json
check "the same again, as JSON" python3 - <<'END'
import json
r = json.load(open("json"))
assert r["chosen"] == "personal" and r["best"]["gain"] > 2 * r["best"]["gain_standard_error"]
assert r["best"]["loss"] < r["federation"]["loss"] and len(r["tried"]) == 8
END
check "inspect says what it is" bash -c "'$BIN/fedmoe-model' inspect personal.safetensors | grep -q 'must not leave the institution'"
auc() { "$BIN/fedmoe-node" evaluate --data other.csv --model "$1" --json | sed -n 's/.*"auc": *\([0-9.]*\).*/\1/p'; }
check "it predicts, and better here" awk -v a="$(auc personal.safetensors)" -v b="$(auc model.safetensors)" \
    'BEGIN { exit !(a > b + 0.05) }'
check "no head upon a head" refused "$WORK/out" "has a head of an institution's own already" \
    "$BIN/fedmoe-node" personalize --model personal.safetensors --output twice.safetensors

# No federation takes it.
cp personal.safetensors "$RUN/personal.safetensors"
sed 's/^model: .*/model: personal.safetensors/' "$RUN/federation.yaml" >"$RUN/personal.yaml"
check "init refuses it" refused "$WORK/out" "personal.yaml:.*personal.safetensors has a head that one institution" \
    "$BIN/fedmoe-aggregator" init --directory "$RUN/agg2" --config "$RUN/personal.yaml" --identity "$RUN/aggregator-identity"
check "new refuses it" refused "$WORK/out" "has a head that one institution" \
    "$BIN/fedmoe-aggregator" new --directory "$RUN/new" --name n --purpose p --address tcp://127.0.0.1:7300 \
    --model "$RUN/personal.safetensors" --units 100
"$BIN/fedmoe-model" quantize --model personal.safetensors --output small.safetensors >"$WORK/out" 2>&1
check "in 8 bits it keeps its mark" grep -q fedmoe.personal small.safetensors
"$BIN/fedmoe-model" fingerprint key --output fingerprint.key >"$WORK/out"
check "no copies are marked for others" refused "$WORK/out" "no copies of it may leave" \
    "$BIN/fedmoe-model" fingerprint mark --key fingerprint.key --recipient lakeside --model personal.safetensors \
    --output copy.safetensors
check "(and none is there)" [ ! -e copy.safetensors ]
check "predict takes it" "$BIN/fedmoe-node" predict --model personal.safetensors --input other.csv --output risk.csv
check "(a line for each record)" [ "$(wc -l <risk.csv)" = $(($(wc -l <other.csv) + 1)) ]

# Who gains nothing keeps what there is.
cd "$RUN/lakeside" || exit 1
head -80 records.csv >few.csv && chmod 600 few.csv
sed -i 's/^  records: .*/  records: few.csv/' node.yaml
"$BIN/fedmoe-node" personalize --output personal.safetensors >out 2>err || cat err
check "few records choose nothing" says out "nothing was written"
check "and nothing is" [ ! -e personal.safetensors ]
head -15 records.csv >few.csv
check "too few are told so" refused "$WORK/out" "15 records .* cannot say what is better" \
    "$BIN/fedmoe-node" personalize --output personal.safetensors
finish
