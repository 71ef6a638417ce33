# Local steps between real processes: what is charged and said, FedYogi with FedProx recomputed from the
# bundle, SCAFFOLD with a node that is killed in the middle, adapters of a language model.
. "$(dirname "$0")/lib.sh"
setup --rounds 4 --epsilon 8 --quorum 4
plain=$RUN/federation.yaml.plain
cp "$RUN/federation.yaml" "$plain"
sed -i 's/^  epsilon: .*/  epsilon: 1000/' "$RUN"/*/node.yaml

# plan PRIVACY TRAINING: lines for each, on top of the demonstration's figures.
plan() {
    sed -e '/^  rounds:/d' -e "s/^privacy:/privacy:\n$1/" -e "s/^training:/training:\n$2/" "$plain" \
        >"$RUN/federation.yaml"
    echo "keep_updates: true" >>"$RUN/federation.yaml"
    replan
    for name in $HOSPITALS; do rm -f "$RUN/$name/model.safetensors" "$RUN/$name/status.json"; done
}
run_all() {
    start_all
    for name in $HOSPITALS; do check "$1: $name ends well" wait_end "$name" 60; done
    wait_end aggregator 60
}
into() { local file=$1; shift; "$@" >"$file" 2>&1; }
ledger() { "$BIN/fedmoe-node" ledger --config "$RUN/northgate/node.yaml" "$@"; }
words() { "$BIN/fedmoe-node" plan --config "$RUN/northgate/node.yaml" | tr '\n' ' ' | tr -s ' '; }

# ---- FedYogi with FedProx: its price, and the aggregator's steps recomputed ----
plan "" "  rounds: 4\n  local_steps: 5\n  optimizer: sgd\n  local_rate: 2"
check "with sgd the server's rate is that of FedAvg" says "$WORK/init.txt" "sgd, learning rate 10,"
plan "" "  rounds: 4\n  local_steps: 5\n  optimizer: yogi\n  proximal: 0.1"
check "init says what local steps cost" says "$WORK/init.txt" "20 steps in"
run_all FedYogi
check "the bundle" into "$WORK/x" "$BIN/fedmoe-aggregator" export --directory "$RUN/aggregator" --audit "$WORK/yogi.audit"
check "MLflow's parameters name what was chosen" bash -c '"$1" export --directory "$2" --mlflow "$3" >"$3.txt" && cd "$3"/*/*/params &&
    [ "$(cat optimizer local_steps proximal)" = yogi50.1 ]' _ "$BIN/fedmoe-aggregator" "$RUN/aggregator" "$WORK/mlruns"
"$BIN/fedmoe-node" verify --config "$RUN/northgate/node.yaml" "$WORK/yogi.audit" >"$WORK/verify.txt" 2>&1
check "Yogi's steps are recomputed from it" says "$WORK/verify.txt" "recomputed in all 4 rounds"
check "a node reads it in words" says <(words) "makes 5 steps, each on a noised sum .* 20 in all"
check "and that its noise is its own" says <(words) "This node alone adds all the noise"
check "each round is charged as 5 releases" \
    [ "$(ledger --json | grep -c '"count": 5')" = 4 ]
spent=$(ledger | sed -n 's/.*: epsilon \([0-9.]*\) of .*/\1/p')
check "which come to the plan's epsilon ($spent)" awk -v s="$spent" 'BEGIN { exit !(s > 7.9 && s <= 8.0) }'
z=$(sed -n 's/^noise multiplier *//p' "$WORK/init.txt")
check "as fedmoe-dp has it" says <("$BIN/fedmoe-dp" epsilon --noise-multiplier "$z" --steps 20 --delta 1e-4) "7\.99|8\.00"
if command -v python3 >/dev/null; then
    for to in mlflow tensorboard; do
        check "figures for $to" into "$WORK/x" "$BIN/fedmoe-aggregator" export --directory "$RUN/aggregator" --$to "$WORK/$to"
    done
    check "end at the plan's epsilon, too" python3 -B "$SOURCE/tests/e2e/figures_read.py" "$WORK/mlflow" "$WORK/tensorboard" 4 4 8
fi
check "the result says so, too" says <(head -c 20000 "$RUN/aggregator/result.safetensors" | tr -c '[:print:]' ' ') \
    "4 rounds of 5 local steps planned"
check "without SCAFFOLD nothing is kept" [ ! -e "$RUN/northgate/correction.bin" ]

# ---- a plan for shares of noise has none ----
sed -e 's/^privacy:/privacy:\n  noise: distributed/' -e 's/^training:/training:\n  local_steps: 4/' "$plain" \
    >"$RUN/federation.yaml"
check "shares of noise are refused" refused "$WORK/x" "local_steps need privacy: noise: local" \
    "$BIN/fedmoe-aggregator" init --directory "$RUN/other" --config "$RUN/federation.yaml" \
    --identity "$RUN/aggregator-identity"

# ---- SCAFFOLD: without noise and sampling a run is the same to the bit, killed nodes or not ----
sed -i 's/^  epsilon: .*/  epsilon: 1000/' "$plain"
weights() { # of a safetensors file: what is behind its header
    tail -c +$((9 + $(od -An -tu8 -N8 "$1"))) "$1"
}
scaffold() {
    plan "  insecure_noise_multiplier: 0\n  encoding: exact" \
        "  rounds: 6\n  local_steps: 4\n  optimizer: sgd\n  local_rate: 2\n  correction: scaffold"
    for name in $HOSPITALS; do rm -f "$RUN/$name/correction.bin"; done
    start_all
}
finish_run() {
    for name in $HOSPITALS; do check "$1: $name ends well" wait_end "$name" 60; done
    wait_end aggregator 60
    weights "$RUN/lakeside/model.safetensors" >"$WORK/$1.bin"
}
scaffold
finish_run undisturbed
check "its noised means are kept, for nobody else" [ "$(stat -c %a "$RUN/lakeside/correction.bin")" = 600 ]
scaffold
wait_round lakeside 3 60
kill_party lakeside
start_node lakeside
finish_run killed
check "killed in round 3 or 4: the same model to the bit" cmp "$WORK/undisturbed.bin" "$WORK/killed.bin"
scaffold
wait_round lakeside 3 60
kill_party lakeside
rm "$RUN/lakeside/correction.bin"
start_node lakeside
finish_run forgot
check "without its file it is another one: the corrections are used" \
    eval '! cmp -s "$WORK/undisturbed.bin" "$WORK/forgot.bin"'

# ---- adapters of a language model: the same steps, on texts ----
cd "$WORK" || exit 1
command -v python3 >/dev/null || { echo "texts: no python3"; finish; }
python3 "$SOURCE/tests/e2e/byte_tokenizer.py" tokenizer.json
for name in $HOSPITALS; do
    { echo who,note; for p in 1 2 3 4 5 6 7 8; do echo "$name$p,Pain is better since $p days."; done; } >"$RUN/$name/records.csv"
    rm -f "$RUN/$name"/state.db* "$RUN/$name"/ledger.db* # other records, other books
    sed -i -e 's/^  unit: "record"/  unit: "who"/' -e "s|^# model: .*|model: $RUN/base|" \
        -e "s|schema: .*|schema: \"$RUN/schema.yaml\"|" "$RUN/$name/node.yaml"
done
printf 'name: notes\nsource: csv\ntext: note\nunit: who\n' >"$RUN/schema.yaml"
check "a base model" into out "$BIN/fedmoe-model" new --preset lite-tiny --seed 3 --tokenizer tokenizer.json --output "$RUN/base"
rm "$RUN/model.safetensors"
check "first adapters" into out "$BIN/fedmoe-model" new --adapter-for "$RUN/base" --schema "$RUN/schema.yaml" --rank 2 \
    --modules attention --seed 5 --output "$RUN/model.safetensors"
sed -i -e 's/^  unit: record/  unit: who\n  max_unit_rows: 2/' -e 's/expected_units: .*/expected_units: 32/' -e 's/max_units: .*/max_units: 64/' "$plain"
plan "  insecure_noise_multiplier: 0" "  rounds: 2\n  local_steps: 2\n  local_rate: 0.5"
run_all texts
check "adapters are trained by local steps" [ -s "$RUN/northgate/model.safetensors" ]
check "which a node reads" says <(words) "makes 2 steps"
sed -i '/local_rate/d' "$RUN/federation.yaml"
check "at a rate that has to be given" refused "$WORK/x" "need a local_rate" "$BIN/fedmoe-aggregator" init \
    --directory "$RUN/other" --config "$RUN/federation.yaml" --identity "$RUN/aggregator-identity"
finish
