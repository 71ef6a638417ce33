# What four hospitals gain together under differential privacy, beside bench-finetune --private: the
# same base, texts and settings, in a whole federation.
#
#   bench-finetune --write texts
#   BIN=build/release/bin SOURCE=. bash tests/bench/finetune_federation.sh texts [EPSILON [MODULES [RANK]]]
TEXTS=$(realpath "${1:?the folder that bench-finetune --write made}")
EPSILON=${2:-8} MODULES=${3:-attention,shared} RANK=${4:-8}
. "$(dirname "$0")/../e2e/lib.sh"
model="$BIN/fedmoe-model"
setup --rounds 4
cd "$WORK" || exit 1

python3 - "$TEXTS/train.csv" "$RUN" $HOSPITALS <<'PY'
import csv, sys
rows = list(csv.reader(open(sys.argv[1], newline="")))
for i, name in enumerate(sys.argv[3:]):
    csv.writer(open(f"{sys.argv[2]}/{name}/records.csv", "w", newline="")).writerows(
        rows[:1] + rows[1 + i::len(sys.argv) - 3])
PY
cp "$TEXTS/schema.yaml" "$RUN/schema.yaml"
rm "$RUN/model.safetensors"
check "first adapters" "$model" new --adapter-for "$TEXTS/base" --schema "$RUN/schema.yaml" \
    --modules "$MODULES" --rank "$RANK" --seed 1 --output "$RUN/model.safetensors"
for name in $HOSPITALS; do
    sed -i -e "s/^  epsilon: .*/  epsilon: $EPSILON/" -e 's/^  delta: .*/  delta: 0.00001/' "$RUN/$name/node.yaml"
    echo "model: $TEXTS/base" >>"$RUN/$name/node.yaml"
done
# Rounds, sampling rate, learning rate and clip norm are the defaults.
sed -i -e "s/^  epsilon: .*/  epsilon: $EPSILON/" -e 's/^  delta: .*/  delta: 0.00001/' \
    -e 's/expected_units: .*/expected_units: 1000/' -e 's/max_units: .*/max_units: 1000/' \
    -e '/^training:/d' -e '/^  rounds: /d' -e 's/round_s: .*/round_s: 300/' "$RUN/federation.yaml"
replan
start_all
for name in $HOSPITALS; do check "$name ends well" wait_end "$name" 3000; done
"$BIN/fedmoe-node" plan --config "$RUN/northgate/node.yaml"
check "an adapter" "$model" adapter --model "$TEXTS/base" --output adapter "$RUN/northgate/model.safetensors"
evaluate() { "$model" evaluate --model "$TEXTS/base" --schema "$RUN/schema.yaml" "$@" "$TEXTS/test.csv"; }
echo "the base:" && evaluate
echo "with the adapter:" && evaluate --adapter adapter
finish
