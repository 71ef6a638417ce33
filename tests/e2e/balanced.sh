# Load counts, an adaptive clip norm and a schedule, end to end; then the same in the exact encoding.
. "$(dirname "$0")/lib.sh"
rounds=12
setup --rounds $rounds --epsilon 100
plain=$RUN/federation.yaml.plain
cp "$RUN/federation.yaml" "$plain"
for name in $HOSPITALS; do sed -i 's/^  epsilon: .*/  epsilon: 1000/' "$RUN/$name/node.yaml"; done

# plan ENCODING: with everything that can be counted beside the gradient.
plan() {
    sed -e "s/^training:/training:\n  schedule: cosine\n  warmup: 0.2\n  final_rate: 0.1\n  balance: {share: 0.1, rate: 0.05}/" \
        -e "s/^privacy:/privacy:\n  encoding: $1\n  adaptive_clip: {quantile: 0.5, rate: 0.2}/" \
        "$plain" >"$RUN/federation.yaml"
    replan
    for name in $HOSPITALS; do rm -f "$RUN/$name/model.safetensors"; done
}

tensors() { "$BIN/fedmoe-model" inspect "$1" 2>&1; }
header() { head -c 20000 "$1" | tr -c '[:print:]' ' '; }

for encoding in fast exact; do
    plan $encoding
    check "$encoding: the plan is made" says "$WORK/init.txt" "plan hash"
    start_all
    for name in $HOSPITALS; do check "$encoding: $name ends well" wait_end "$name" 60; done
    wait_end aggregator 60
    result=$RUN/aggregator/result.safetensors
    model=$RUN/northgate/model.safetensors
    check "$encoding: the result has load biases" says <(header "$result") "blocks.0.router.load_bias"
    check "$encoding: so has a node's model" says <(header "$model") "blocks.0.router.load_bias"
    check "$encoding: and no clip norm" eval '! says <(header "$result") "log_ratio" 2>/dev/null'
    check "$encoding: it can be looked into" says <(tensors "$result") "parameters"
    cat "$RUN"/*/records.csv >"$WORK/all.csv"
    for m in "$result" "$model"; do
        "$BIN/fedmoe-model" evaluate --model "$m" --json "$WORK/all.csv" >"$WORK/$(basename "$m").json"
    done
    check "$encoding: both are measured" says "$WORK/result.safetensors.json" '"log_loss": 0\.[0-9]+'
    check "$encoding: alike" cmp -s "$WORK/result.safetensors.json" "$WORK/model.safetensors.json"
    check "$encoding: a node knows how units become integers" \
        says <("$BIN/fedmoe-node" plan --config "$RUN/northgate/node.yaml") "encoding +$encoding"
    check "$encoding: and of the counts" \
        says <("$BIN/fedmoe-node" plan --config "$RUN/northgate/node.yaml" | tr '\n' ' ' | tr -s ' ') \
        "to counts: which of the 4 experts .* goes to one vote"
done
check "threads and kernels are said once a plan" \
    [ "$(grep -c "training on .* kernels" "$RUN/northgate/log")" = 2 ]

# ---- a result with load biases is measured by a query, and trained further ----
cp "$RUN/aggregator/result.safetensors" "$RUN/model.safetensors"
plan fast
start_all
for name in $HOSPITALS; do check "trained further: $name ends well" wait_end "$name" 60; done
wait_end aggregator 60
cp "$RUN/aggregator/result.safetensors" "$RUN/model.safetensors"
cp "$plain" "$RUN/federation.yaml"
check "not without saying what becomes of the biases" refused "$WORK/x" "say in training.balance" \
    "$BIN/fedmoe-aggregator" init --directory "$RUN/other" --config "$RUN/federation.yaml" \
    --identity "$RUN/aggregator-identity"
sed -i 's/^  #\{0,1\} *tasks: .*/  tasks: [training, evaluation]/' "$RUN"/*/node.yaml
echo 'scores: {thresholds: [0.5]}' >"$RUN/evaluation.yaml"
sed -i -e '/^training:/,/^  [a-z]*: 0.05/d' -e 's/^model:/task: evaluation\nquery: evaluation.yaml\nmodel:/' \
    "$RUN/federation.yaml"
replan
start_all
for name in $HOSPITALS; do check "evaluation: $name ends well" wait_end "$name" 60; done
check "there is an answer" [ -s "$RUN/northgate/result.json" ]
finish
