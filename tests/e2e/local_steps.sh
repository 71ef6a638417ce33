# Local steps between real processes: FedAvg, FedProx with FedYogi, SCAFFOLD; what is charged, what is
# said, a node that is killed within a round, and the bundle recomputed.
. "$(dirname "$0")/lib.sh"
setup --rounds 6 --epsilon 8
plain=$RUN/federation.yaml.plain
cp "$RUN/federation.yaml" "$plain"

# plan PRIVACY TRAINING: lines for each, on top of the demonstration's figures.
plan() {
    sed -e '/^  optimizer:/d' -e '/^  learning_rate:/d' -e '/^  rounds:/d' -e '/^  noise:/d' \
        -e "s/^privacy:/privacy:\n$1/" -e "s/^training:/training:\n  rounds: 6\n$2/" "$plain" >"$RUN/federation.yaml"
    replan
    for name in $HOSPITALS; do rm -f "$RUN/$name/model.safetensors" "$RUN/$name/correction.bin"; done
}
run_all() {
    start_all
    for name in $HOSPITALS; do check "$1: $name ends well" wait_end "$name" 60; done
    wait_end aggregator 60
}
plan "" "  local_steps: 4\n  optimizer: sgd"
cat $WORK/init.txt; cat $RUN/federation.yaml; cat $RUN/northgate/node.yaml
sed -i 's/^  epsilon: .*/  epsilon: 1000/' "$RUN"/*/node.yaml
run_all avg
$BIN/fedmoe-node plan --config $RUN/northgate/node.yaml
$BIN/fedmoe-node ledger show --config $RUN/northgate/node.yaml | tail -4
finish
