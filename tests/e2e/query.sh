# Queries: what the nodes are asked about their records is what the answer says, exactly without
# noise and within the interval with it; each is charged, and refused when it is not allowed or the
# budget is full.
. "$(dirname "$0")/lib.sh"

# federation TASK EPSILON EXTRA: federation.yaml of a query in $RUN, beside model, schema and query.
federation() {
    sed -n '/^name:/,/door:/p' "$RUN/federation.yaml"
    case $1 in
    statistics) echo "schema: schema.yaml" ;;
    evaluation) echo "model: trained.safetensors" ;;
    esac
    printf 'task: %s\nquery: %s.yaml\n' "$1" "$1"
    printf 'privacy: {unit: record, epsilon: %s, delta: 1.0e-4, max_units: 2000%s}\n' "$2" "$3"
    echo "cohort: {nodes: 4, min: 3, quorum: 3, colluders: 1}"
    echo "timeouts: {join_s: 30, round_s: 10}"
}

# prepare TASK EPSILON [EXTRA]: a new aggregator directory, and the nodes told of its door key.
prepare() {
    local key name
    federation "$1" "$2" "${3:-}" >"$RUN/query-federation.yaml"
    rm -rf "$RUN/aggregator"
    "$BIN/fedmoe-aggregator" init --directory "$RUN/aggregator" --config "$RUN/query-federation.yaml" \
        --identity "$RUN/aggregator-identity" --json >"$WORK/init.json" || exit 1
    key=$(sed -n 's/^ *"door_key": "\(.*\)",$/\1/p' "$WORK/init.json")
    ask_nobody
    for name in $HOSPITALS; do
        awk -v key="$key" '/^  door_key:/ { print "  door_key: \"" key "\""; next } { print }' \
            "$RUN/$name/node.yaml" >"$WORK/node.yaml" && cat "$WORK/node.yaml" >"$RUN/$name/node.yaml"
        rm -f "$RUN/$name/result.json"
    done
}

# allow TASKS: in every node's policy.
allow() {
    local name
    for name in $HOSPITALS; do sed -i "s/^  tasks: .*/  tasks: $1/" "$RUN/$name/node.yaml"; done
}

# ask TASK EPSILON [EXTRA]: the whole query; the table is in $WORK/answer.
ask() {
    local name
    prepare "$@"
    "$BIN/fedmoe-aggregator" start --directory "$RUN/aggregator" --linger 20 \
        >"$WORK/answer" 2>"$RUN/aggregator/log" &
    PID[aggregator]=$!
    for name in $HOSPITALS; do start_node "$name"; done
    for name in $HOSPITALS aggregator; do check "$1 at $2: $name ends well" wait_end "$name" 60; done
}

# figure SECTION NAME COLUMN: of the table; column 1 the estimate, 2 and 3 the interval.
figure() {
    awk -v section="$1" -v name="$2" -v column="$3" '
        /^[^ ]/ { here = $0 == section }
        here && index($0, "  " name " ") == 1 {
            rest = substr($0, length(name) + 3); n = split(rest, part, " ")
            print column == 1 ? part[1] : column == 2 ? part[2] : part[4]; exit }' "$WORK/answer"
}

# near VALUE WANT TOLERANCE
near() { awk -v v="$1" -v w="$2" -v t="$3" 'BEGIN { exit !(v != "" && v - w <= t && w - v <= t) }' || {
    echo "  $1 is not $2" >&2
    return 1
}; }

# within SECTION NAME TRUTH [STRETCH]: in the figure's interval, made wider by a factor.
within() { awk -v l="$(figure "$1" "$2" 2)" -v h="$(figure "$1" "$2" 3)" -v w="$3" -v s="${4:-1}" \
    'BEGIN { m = (l + h) / 2; r = s * (h - l) / 2; exit !(l != "" && m - r <= w && w <= m + r) }' || {
    echo "  $3 is not within $(figure "$1" "$2" 2) to $(figure "$1" "$2" 3), times ${4:-1}" >&2
    return 1
}; }

# pooled EXPRESSION: awk over all the nodes' records, as nobody in the federation could.
pooled() {
    local name
    for name in $HOSPITALS; do cat "$RUN/$name/records.csv"; done | awk -F, "$1"
}

write_queries() {
    cat >"$RUN/statistics.yaml" <<'END'
# Age, cholesterol, chest pain: the columns of docs/queries.md.
columns:
  - {column: age, ask: count}
  - {column: age, ask: mean, range: [0, 120]}
  - {column: chol, ask: histogram, range: [100, 400], bins: 3}
  - {column: age, ask: quantiles, range: [0, 128], at: [0.1, 0.5, 0.9], bins: 128}
  - {column: cp, ask: values, values: ["1", "2", "3", "4"]}
END
    echo 'scores: {thresholds: [0.5]}' >"$RUN/evaluation.yaml"
}

truths() {
    RECORDS=$(pooled '$1 != "" && $1 != "?" { n++ } END { print n + 0 }')
    MEAN=$(pooled '$1 != "" && $1 != "?" { n++; s += $1 } END { print s / n }')
    LOW_CHOL=$(pooled '$5 != "" && $5 != "?" && $5 != 0 && $5 >= 100 && $5 < 200 { n++ } END { print n + 0 }')
    NO_CHOL=$(pooled '$5 == "" || $5 == "?" || $5 + 0 == 0 { n++ } END { print n + 0 }')
    PAIN=$(pooled '$3 == 4 { n++ } END { print n + 0 }')
    MEDIAN=$(pooled '$1 != "" && $1 != "?" { print $1 }' | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }')
}

# ---- without noise: the same figures as from the pooled file ----
setup --rounds 40 --epsilon 100 # scores that are spread over the bins
write_queries
truths
start_all
for name in $HOSPITALS aggregator; do check "training: $name ends well" wait_end "$name" 60; done
cp "$RUN/aggregator/result.safetensors" "$RUN/trained.safetensors"

for name in $HOSPITALS; do sed -i 's/^  epsilon: .*/  epsilon: 1000/' "$RUN/$name/node.yaml"; done
prepare statistics 1000 ", insecure_noise_multiplier: 0"
start_aggregator
check "a node that allows training alone refuses" refused "$WORK/refusal" \
    "the plan is for statistics, which the policy of this node does not allow" \
    "$BIN/fedmoe-node" start --config "$RUN/northgate/node.yaml"
kill_party aggregator

allow "[statistics, evaluation]"
ask statistics 1000 ", insecure_noise_multiplier: 0"
check "count" near "$(figure "age: count" present 1)" "$RECORDS" 0
check "mean" near "$(figure "age: mean" mean 1)" "$MEAN" 0.002
check "histogram" near "$(figure "chol: histogram" "100 to 200" 1)" "$LOW_CHOL" 0
check "missing" near "$(figure "chol: histogram" missing 1)" "$NO_CHOL" 0
check "values" near "$(figure "cp: values" 4 1)" "$PAIN" 0
check "median" within "age: quantiles" "quantile 0.5" "$MEDIAN"
check "a node has the same answer" cmp "$RUN/northgate/result.json" "$RUN/aggregator/result.json"
check "export gives it" "$BIN/fedmoe-aggregator" export --directory "$RUN/aggregator" --output "$WORK/again.json"
check "the same again" cmp "$WORK/again.json" "$RUN/aggregator/result.json"

ask evaluation 1000 ", insecure_noise_multiplier: 0"
"$BIN/fedmoe-model" evaluate --model "$RUN/trained.safetensors" \
    $(for name in $HOSPITALS; do echo "$RUN/$name/records.csv"; done) >"$WORK/pooled"
AUC=$(awk '/^all together/ { print $5 }' "$WORK/pooled")
ACCURACY=$(awk '/^all together/ { print $6 }' "$WORK/pooled")
check "AUC of the pooled records" near "$(figure scores auc 1)" "$AUC" 0.003
check "accuracy of the pooled records" near "$(figure scores "accuracy at 0.5" 1)" "$ACCURACY" 0.002

# ---- with noise: charged, within the interval, and refused when the budget is full ----
rm -rf "$RUN"
setup --rounds 4 --epsilon 1.2
write_queries
allow "[statistics]"
ask statistics 1
# 2.7 times 1.96 standard errors: missed once in ten million runs.
check "count near the truth" within "age: count" present "$RECORDS" 2.7
check "values near the truth" within "cp: values" 4 "$PAIN" 2.7
check "the answer has noise" bash -c '! [ "$1" = "$2" ]' _ "$(figure "age: count" present 1)" "$RECORDS"
for name in $HOSPITALS; do
    "$BIN/fedmoe-node" ledger --config "$RUN/$name/node.yaml" --json >"$WORK/ledger.json"
    check "$name charged one round of it" [ "$(grep -c '"round"' "$WORK/ledger.json")" = 1 ]
    check "$name knows the purpose" grep -q '"purpose": "heart disease risk"' "$WORK/ledger.json"
done

prepare statistics 1
start_aggregator
for name in $HOSPITALS; do
    check "$name refuses what passes its budget" refused "$WORK/refusal" \
        "would bring the data set to epsilon .*its budget is 1\.2" \
        "$BIN/fedmoe-node" start --config "$RUN/$name/node.yaml"
    "$BIN/fedmoe-node" ledger --config "$RUN/$name/node.yaml" --json >"$WORK/ledger.json"
    check "$name: nothing more was spent" [ "$(grep -c '"round"' "$WORK/ledger.json")" = 1 ]
done
check "no node wrote an answer" bash -c '! ls "$1"/*/result.json 2>/dev/null' _ "$RUN"
finish
