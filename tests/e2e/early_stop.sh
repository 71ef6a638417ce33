# Training ends when records that it never saw say that it gains nothing more; the rest is not spent.
. "$(dirname "$0")/lib.sh"
rounds=40
setup --rounds $rounds --epsilon 100
for name in $HOSPITALS; do sed -i 's/^  epsilon: .*/  epsilon: 1000/' "$RUN/$name/node.yaml"; done
cp "$RUN/federation.yaml" "$RUN/plain.yaml"

# plan PATIENCE RATE [MORE]: so many rounds to a window, and how far a round moves the model.
plan() {
    sed -e "s/^training:/training:\n  learning_rate: $2\n  early_stop: {held_out: 0.3, patience: $1${3:-}}/" "$RUN/plain.yaml" >"$RUN/federation.yaml"
    echo "keep_updates: true" >>"$RUN/federation.yaml"
    replan
    for name in $HOSPITALS; do rm -f "$RUN/$name/model.safetensors"; done
}
finished() { "$BIN/fedmoe-aggregator" status --directory "$RUN/aggregator" --json | sed -n 's/.*"round": *\([0-9]*\).*/\1/p' | head -1; }

check "patience beyond half of the rounds" refused "$WORK/x" "early_stop compares two windows" \
    bash -c 'sed "s/^training:/training:\n  early_stop: {patience: 20}/" "$1/plain.yaml" >"$1/federation.yaml" &&
        "$2" init --directory "$1/other" --config "$1/federation.yaml" --identity "$1/aggregator-identity"' \
    _ "$RUN" "$BIN/fedmoe-aggregator"

# A model that cannot move learns nothing: noise decides after each window, by a coin.
plan 2 1.0e-9
check "the plan says when it ends" says "$WORK/init.txt" "held out, has not fallen for 2 rounds"
z=$(sed -n 's/^noise multiplier *//p' "$WORK/init.txt")
units=$(sed -n 's/^  expected_units: *//p' "$RUN/federation.yaml")
noise=$(awk -v z="$z" -v n="$units" 'BEGIN { printf "%.3g", z / (2 * 0.3 * n) / sqrt(2) }')
check "and how much noise decides it ($noise)" says "$WORK/init.txt" "noise on the mean of so many: $noise of the largest loss"
start_all
for name in $HOSPITALS; do check "$name ends well" wait_end "$name" 60; done
wait_end aggregator 60
seen=$(finished)
check "before all rounds are run ($seen)" [ "$seen" -ge 4 -a "$seen" -lt $rounds ]
# A statistics round is none of the windows'.
check "at the end of a window" [ $(((seen - 1) % 2)) = 0 ]
check "which the aggregator says" says "$RUN/aggregator/log" "finished early, $seen of $rounds rounds"
check "there is a result" [ -s "$RUN/aggregator/result.safetensors" ]
header() { head -c 20000 "$1" | tr -c '[:print:]' ' '; }
check "without the loss in it" eval '! says <(header "$RUN/aggregator/result.safetensors") "held_out" 2>/dev/null'
check "that opens" "$BIN/fedmoe-model" inspect "$RUN/aggregator/result.safetensors"
check "a node knows of it" says <("$BIN/fedmoe-node" plan --config "$RUN/northgate/node.yaml" | tr '\n' ' ' | tr -s ' ') \
    "never trained on: each of them adds only how far the model is wrong"
check "and of the largest loss that counts" says <("$BIN/fedmoe-node" plan --config "$RUN/northgate/node.yaml") \
    "held_bound +1\.38629"
check "only finished rounds are charged" [ "$("$BIN/fedmoe-node" ledger --config "$RUN/northgate/node.yaml" --json |
    grep -c '"round"')" = "$seen" ]
check "the journal has the key of the coins" [ "$(sqlite3 "$RUN/northgate/state.db" \
    'SELECT length(secret) FROM secrets')" = 16 ]
check "the bundle is written" "$BIN/fedmoe-aggregator" export --directory "$RUN/aggregator" --audit "$WORK/bundle"
check "a member recomputes every sum and model" \
    "$BIN/fedmoe-node" verify --config "$RUN/northgate/node.yaml" --recompute "$WORK/bundle"

check "MLflow gets it as a run that is over" bash -c '"$1" export --directory "$2" --mlflow "$3" >"$3.txt" &&
    grep -qx "status: 3" "$3"/*/*/meta.yaml && grep -qx 2 "$3"/*/*/params/patience' _ \
    "$BIN/fedmoe-aggregator" "$RUN/aggregator" "$WORK/mlruns"

# Stopped stays stopped.
start_aggregator
rm -f "$RUN/hillcrest/model.safetensors"
start_node hillcrest
check "started again, a node gets the result" wait_end hillcrest 60
wait_end aggregator 60
check "and nothing was added" [ "$(finished)" = "$seen" ]

# With the AUC of what is held out.
# with_auc SED: init with an AUC, federation.yaml so altered.
with_auc() {
    sed -e "s/^training:/training:\n  early_stop: {patience: 2, auc: true}/" -e "$1" "$RUN/plain.yaml" >"$RUN/federation.yaml" &&
        "$BIN/fedmoe-aggregator" init --directory "$RUN/other" --config "$RUN/federation.yaml" --identity "$RUN/aggregator-identity"
}
export -f with_auc
export RUN BIN
check "an AUC of what is neither yes nor no" refused "$WORK/x" "federation.yaml:[0-9]+:[0-9]+: 'auc' must be true or false" \
    bash -c 'with_auc "$1"' _ "s/auc: true/auc: maybe/"
sed 's/^\( *\)negative: .*/\1values: ["0", "1", "2", "3", "4"]/; /^ *positive:/d' "$RUN/schema.yaml" >"$WORK/classes.yaml"
sed 's/^\( *\)negative: .*/\1range: [0, 4]/; /^ *positive:/d' "$RUN/schema.yaml" >"$WORK/number.yaml"
for kind in classes number; do
    check "a model of another label ($kind)" "$BIN/fedmoe-model" new --schema "$WORK/$kind.yaml" --output "$RUN/$kind.safetensors"
done
check "an AUC of classes is refused" refused "$WORK/x" "federation.yaml:[0-9]+:[0-9]+: .*has one of 5 classes; leave auc out" \
    bash -c 'with_auc "$1"' _ "s/^model: .*/model: classes.safetensors/"
check "an AUC of a number is refused" refused "$WORK/x" "federation.yaml:[0-9]+:[0-9]+: .*has a number; leave auc out" \
    bash -c 'with_auc "$1"' _ "s/^model: .*/model: number.safetensors/"
echo 'status: {listen: "http://127.0.0.1:0"}' >>"$RUN/plain.yaml"
sed -i 's/rounds: 40/rounds: 16/' "$RUN/plain.yaml"
plan 5 0.1 ", auc: true"
check "the plan says how much noise is on the AUC" says "$WORK/init.txt" "on their AUC: about 0\.00[0-9]+ with classes of one size"
# Who was lost on the way is waited for: so long the page stays.
start_all
wait_round aggregator 2 30
kill_party riverside
for name in northgate lakeside hillcrest; do check "$name ends well" wait_end "$name" 60; done
python3 -B "$SOURCE/tests/e2e/page_read.py" "$("$BIN/fedmoe-aggregator" status --link --directory "$RUN/aggregator")" >"$WORK/page.html"
start_node riverside
check "who was lost gets the result" wait_end riverside 60
wait_end aggregator 60
auc=$(sed -n 's/^ *"auc": \([0-9.]*\),*$/\1/p' "$RUN/aggregator/status.json")
noise=$(sed -n 's/^ *"auc_deviation": \([0-9.]*\),*$/\1/p' "$RUN/aggregator/status.json")
grep -hv '^#' "$RUN"/*/records.csv >"$WORK/all.csv"
"$BIN/fedmoe-model" evaluate --model "$RUN/aggregator/result.safetensors" --json "$WORK/all.csv" >"$WORK/auc.json"
true=$(sed -n 's/.*"auc": \([0-9.]*\).*/\1/p' "$WORK/auc.json" | tail -1)
echo "AUC: $auc +- $noise of those held out, $true of all records"
# Some 180 units: their own deviation is 0.03.
near() { awk -v a="$1" -v b="$2" -v off="$3" 'BEGIN { d = a - b; exit !(a > 0.5 && d < off && d > -off) }'; }
check "status.json has the AUC" near "$auc" "$true" 0.12
check "and a noise as small as was said" awk -v n="$noise" 'BEGIN { exit !(n > 0.002 && n < 0.02) }'
short=$(awk -v a="$auc" -v n="$noise" 'BEGIN { printf "%.3f . %.2g", a, n }')
check "status says it" says <("$BIN/fedmoe-aggregator" status --directory "$RUN/aggregator") "held out: loss 0\.[0-9]+, AUC $short"
check "the page says it" says "$WORK/page.html" "Their AUC.*<b>0\.[0-9]{3} .+ 0\.0[0-9]+</b>"
check "and draws it, with a name" says "$WORK/page.html" "role=img aria-labelledby=t-aucs.*AUC on records held out.*class=band.*class=line"
check "and has it in the table" says "$WORK/page.html" "<th scope=col>Loss<th scope=col>AUC"
python3 -B "$SOURCE/tests/e2e/browser.py" --check >"$WORK/browser.txt" 2>&1
case $? in
0) check "everybody can read it" python3 -B "$SOURCE/tests/e2e/page_sound.py" "$WORK/page.html" "#fig-aucs svg" "AUC on records held out" ;;
77) echo "skipped: $(tail -1 "$WORK/browser.txt")" ;;
*) check "the browser starts" false ;;
esac
check "it is no part of the result" eval '! says <(header "$RUN/aggregator/result.safetensors") "held_out" 2>/dev/null'
check "a node is told of it" says <("$BIN/fedmoe-node" plan --config "$RUN/northgate/node.yaml" | tr '\n' ' ' | tr -s ' ') \
    "in which of a few ranges its score lies"
check "the bundle is written" "$BIN/fedmoe-aggregator" export --directory "$RUN/aggregator" --audit "$WORK/bundle2"
check "a member recomputes every sum, and every score's bin" \
    "$BIN/fedmoe-node" verify --config "$RUN/northgate/node.yaml" --recompute "$WORK/bundle2"
check "MLflow gets loss and AUC" bash -c '"$1" export --directory "$2" --mlflow "$3" >"$3.txt" && cd "$3"/*/*/metrics &&
    [ "$(wc -l <held_loss)" -ge 10 ] && [ "$(wc -l <held_auc)" -ge 10 ] && [ "$(tail -1 held_auc | cut -d" " -f2 | cut -c1-8)" = "$4" ]' \
    _ "$BIN/fedmoe-aggregator" "$RUN/aggregator" "$WORK/mlruns2" "$(echo "$auc" | cut -c1-8)"
finish
