# A federation whose unit is a patient: refused by a node whose budget is per record, and the other
# way; the rows of a patient are grouped; no key is written anywhere.
. "$(dirname "$0")/lib.sh"
setup --rounds 4

# The same hospitals, up to three records of each patient, who stand in a first column.
sed -i 's/^columns:$/columns:\n  - {name: patient_nbr, kind: ignore}/' "$RUN/schema.yaml"
for name in $HOSPITALS; do
    awk '{ print "mrn-" int(NR / 3) "," $0 }' "$RUN/$name/records.csv" >"$WORK/new"
    mv "$WORK/new" "$RUN/$name/records.csv"
done
mv "$RUN/aggregator" "$RUN/by-record"
cp "$RUN/northgate/node.yaml" "$WORK/by-record.yaml"
sed -i 's/^  unit: record$/  unit: patient_nbr\n  max_unit_rows: 2/' "$RUN/federation.yaml"
rm "$RUN/model.safetensors"
"$BIN/fedmoe-model" new --schema "$RUN/schema.yaml" --seed 7 --output "$RUN/model.safetensors" >/dev/null
"$BIN/fedmoe-aggregator" init --directory "$RUN/aggregator" --config "$RUN/federation.yaml" \
    --identity "$RUN/aggregator-identity" >"$WORK/init.txt"
door=$(sed -n 's/^door address *//p' "$WORK/init.txt")
key=$(sed -n 's/^door public key *//p' "$WORK/init.txt")
join() { # NAME UNIT
    rm -f "$RUN/$1/node.yaml"
    "$BIN/fedmoe-node" init --directory "$RUN/$1" --name "$1" --door "$door" --door-key "$key" \
        --identity "$RUN/$1/identity" --records "$RUN/$1/records.csv" --schema "$RUN/schema.yaml" \
        --epsilon 1 --delta 1e-4 --purpose 'heart disease risk' --unit "$2" >/dev/null
    ask_nobody
}
node=$RUN/northgate

join northgate record
start_aggregator
check "a plan per patient is refused by a node whose budget is per record" \
    refused "$WORK/out" "privacy unit is 'patient_nbr'; that of this node is 'record'" \
    "$BIN/fedmoe-node" start --config "$node/node.yaml" --retry-s 3
check "before anything was spent" [ "$("$BIN/fedmoe-node" ledger --config "$node/node.yaml" \
    --json 2>/dev/null | grep -c '"round"')" = 0 ]

kill_party aggregator
join northgate patient_nbr
keep=$(grep door_key "$node/node.yaml")
sed -i "s|^  door_key: .*|$(grep door_key "$WORK/by-record.yaml" | sed 's/[&|\\]/\\&/g')|" "$node/node.yaml"
"$BIN/fedmoe-aggregator" start --directory "$RUN/by-record" >>"$RUN/by-record/log" 2>&1 &
PID[aggregator]=$!
check "a plan per record is refused by a node whose budget is per patient" \
    refused "$WORK/out" "privacy unit is a record; that of this node is 'patient_nbr'" \
    "$BIN/fedmoe-node" start --config "$node/node.yaml" --retry-s 3
kill_party aggregator
sed -i "s|^  door_key: .*|$(echo "$keep" | sed 's/[&|\\]/\\&/g')|" "$node/node.yaml"

cp "$node/records.csv" "$WORK/records.keep"
sed -i '5s/^mrn-[0-9]*//' "$node/records.csv"
check "a row that does not say whose it is: file, line, column" \
    refused "$WORK/out" "records.csv:5, column patient_nbr: .*every row needs its patient_nbr" \
    "$BIN/fedmoe-node" start --config "$node/node.yaml" --retry-s 3
cp "$WORK/records.keep" "$node/records.csv"

"$BIN/fedmoe-node" check --config "$node/node.yaml" --schema "$RUN/schema.yaml" \
    --max-unit-rows 2 >"$WORK/out" 2>&1
rows=$(wc -l <"$node/records.csv")
check "check counts the patients" \
    says "$WORK/out" "$((rows / 3 + 1)) units by column patient_nbr, at most 3 records each"
check "and those with too many records" \
    says "$WORK/out" "$(((rows + 1) / 3 - 1)) of $((rows / 3 + 1)) units have more than 2 records"

for name in $HOSPITALS; do [ "$name" = northgate ] || join "$name" patient_nbr; done
start_all
for name in $HOSPITALS; do check "$name ends well" wait_end "$name" 90; done
[ -z "${PID[aggregator]:-}" ] || wait_end aggregator 30
"$BIN/fedmoe-model" inspect "$RUN/northgate/model.safetensors" >"$WORK/inspect" 2>&1
check "the model comes out" says "$WORK/inspect" "^schema +heart-disease"
check "every node has the same" cmp -s "$RUN/northgate/model.safetensors" \
    "$RUN/hillcrest/model.safetensors"
check "the plan that was approved says who is protected" \
    says "$RUN/northgate/plan.json" '"privacy_unit": "patient_nbr"'
"$BIN/fedmoe-node" check --config "$node/node.yaml" >"$WORK/out" 2>&1
check "check takes the plan's bound" says "$WORK/out" "units have more than 2 records"
check "four rounds are in the ledger" [ "$("$BIN/fedmoe-node" ledger --config "$node/node.yaml" \
    --json | grep -c '"round"')" = 4 ]
check "no patient's number is in any other file" \
    bash -c '! grep -rlq --exclude=records.csv "mrn-" "$1"' _ "$RUN"
finish
