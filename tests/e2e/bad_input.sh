# Wrong files: a sentence that says what and where, exit 1, nothing lost.
. "$(dirname "$0")/lib.sh"
setup --rounds 4
node=$RUN/northgate
cp -r "$node" "$WORK/keep"
restore() { cp -a "$WORK/keep/." "$node/"; }
start() { "$BIN/fedmoe-node" start --config "$node/node.yaml" --retry-s 2; }
export -f start 2>/dev/null || true

sed -i '17s/^[0-9]*,/abc,/' "$node/records.csv"
check "a cell that is no number: file, line, column, value" \
    refused "$WORK/out" 'records.csv:17.*age.*"abc"' \
    "$BIN/fedmoe-model" check --schema "$RUN/schema.yaml" "$node/records.csv"
check "the node's check reads every cell, before any plan, by the pinned schema" \
    refused "$WORK/out" 'records.csv:17.*age.*"abc"' \
    "$BIN/fedmoe-node" check --config "$node/node.yaml"
start_aggregator
check "the node says where, and ends" \
    refused "$WORK/out" "records.csv:17, column age" \
    "$BIN/fedmoe-node" start --config "$node/node.yaml" --retry-s 5
check "and by which schema" says "$WORK/out" "do not fit the pinned schema \(data.schema\)"
check "and keeps what stands in the record out of its log" \
    bash -c '! grep -q abc "$1"' _ "$WORK/out"
check "nothing was spent" [ ! -e "$node/ledger.db" -o \
    "$("$BIN/fedmoe-node" ledger --config "$node/node.yaml" --json 2>/dev/null | grep -c '"round"')" = 0 ]
restore

sed -i '5s/$/,9/' "$node/records.csv"
check "a record with a field too many: file and line" \
    refused "$WORK/out" "records.csv:5.*1[45]" \
    "$BIN/fedmoe-node" start --config "$node/node.yaml" --retry-s 5
restore

cp "$RUN/schema.yaml" "$WORK/schema.keep"
sed -i 's/kind: label/kind: lable/' "$RUN/schema.yaml"
check "a schema with a wrong kind: file and line" \
    refused "$WORK/out" "schema.yaml:[0-9]+:[0-9]+: .*lable" \
    "$BIN/fedmoe-model" check --schema "$RUN/schema.yaml" "$node/records.csv"

cp "$WORK/schema.keep" "$RUN/schema.yaml"

sed -i 's/center: 55/center: 54/' "$RUN/schema.yaml"
check "a plan whose schema is not the pinned one is refused, without a look at the records" \
    refused "$WORK/out" "schema is not the one that this node has pinned" \
    "$BIN/fedmoe-node" start --config "$node/node.yaml" --retry-s 5
cp "$WORK/schema.keep" "$RUN/schema.yaml"

echo "colour: blue" >>"$node/node.yaml"
check "an unknown key: file and line" \
    refused "$WORK/out" "node.yaml:$(wc -l <"$node/node.yaml"):[0-9]+: .*colour" \
    "$BIN/fedmoe-node" start --config "$node/node.yaml" --retry-s 2
restore

sed 's/^purpose:/purpos:/' "$RUN/federation.yaml" >"$WORK/federation.yaml"
cp "$RUN/model.safetensors" "$WORK/"
check "an unknown key of the coordinator's file: file, line and the key that was meant" \
    refused "$WORK/out" "federation.yaml:[0-9]+:[0-9]+: .*purpos.*purpose" \
    "$BIN/fedmoe-aggregator" init --directory "$WORK/agg" --config "$WORK/federation.yaml" \
    --identity "$RUN/aggregator-identity"

chmod 644 "$node/identity/identity.key"
check "a private key that others may read: file and remedy" \
    refused "$WORK/out" "identity.key.*(0600|600)" \
    "$BIN/fedmoe-node" start --config "$node/node.yaml" --retry-s 2
restore
chmod 600 "$node/identity/identity.key"

rm -rf "$node/identity"
"$BIN/fedmoe-certs" issue --ca "$RUN/ca" --role node --name northgate-old --output "$node/identity" \
    --not-before 2020-01-01T00:00:00Z --not-after 2020-02-01T00:00:00Z >"$WORK/out" 2>&1 ||
    cat "$WORK/out" >&2
sed -i 's/^name: "*northgate"*$/name: northgate-old/' "$node/node.yaml"
check "an expired certificate: what and since when" \
    refused "$WORK/out" "(expired|2020-02-01)" \
    "$BIN/fedmoe-node" start --config "$node/node.yaml" --retry-s 3
rm -rf "$node/identity"
restore

rm -rf "$node/identity"
"$BIN/fedmoe-certs" issue --ca "$RUN/ca" --role aggregator --name northgate-two \
    --output "$node/identity" >/dev/null 2>&1
check "a certificate of the wrong role" \
    refused "$WORK/out" "role|aggregator" \
    "$BIN/fedmoe-node" start --config "$node/node.yaml" --retry-s 3
rm -rf "$node/identity"
restore

sed -i 's/door_key: .*/door_key: "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL\/@{H8]yf7"/' "$node/node.yaml"
check "a wrong door key: what to look at" \
    refused "$WORK/out" "door" \
    "$BIN/fedmoe-node" start --config "$node/node.yaml" --retry-s 2
restore

printf 'garbage' >"$WORK/model.safetensors"
check "a model file that is none" \
    refused "$WORK/out" "model.safetensors.*" "$BIN/fedmoe-model" inspect "$WORK/model.safetensors"
finish
