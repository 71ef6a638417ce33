# A ledger or journal that was lost, emptied, doctored or exchanged: the node refuses to start.
. "$(dirname "$0")/lib.sh"
setup --rounds 6
start_all
for name in $HOSPITALS; do check "$name ends well" wait_end "$name" 90; done
[ -z "${PID[aggregator]:-}" ] || kill_party aggregator
check "status says since when it counts what was abandoned" \
    says <("$BIN/fedmoe-aggregator" status --directory "$RUN/aggregator") \
    "6 of 6 rounds finished, [0-9]+ abandoned since its last start"
node=$RUN/northgate
cp -a "$node" "$WORK/keep"
restore() { rm -rf "$node" && cp -a "$WORK/keep" "$node"; }
cat >"$WORK/start" <<EOT
#!/bin/sh
exec "$BIN/fedmoe-node" start --config "$node/node.yaml" --retry-s 5
EOT
chmod +x "$WORK/start"
restart_aggregator() {
    [ -z "${PID[aggregator]:-}" ] || kill_party aggregator
    start_aggregator
}

checked() { "$BIN/fedmoe-node" check --config "$node/node.yaml"; }
check "the books as they are pass the check" checked
for emptied in ledger.db state.db; do
    rm -f "$node/$emptied"*
    (umask 077 && head -c 3000 "$WORK/keep/$emptied" >"$node/$emptied")
    check "a $emptied that is cut short: what to do" refused "$WORK/out" \
        "$emptied: cannot .*restore it and .* together, from the same backup" "$WORK/start"
    check "the check says so, too" refused "$WORK/out" "PROBLEM .*$emptied: .*from the same backup" \
        "$BIN/fedmoe-node" check --config "$node/node.yaml"
    rm -f "$node/$emptied"*
    (umask 077 && : >"$node/$emptied")
    check "the check names an emptied $emptied" refused "$WORK/out" \
        "PROBLEM  ledger.*(ledger.db: not a fedmoe ledger.*from the same backup|the journal is not the newest one)" \
        "$BIN/fedmoe-node" check --config "$node/node.yaml"
    restore
done
rm -f "$node/state.db"*
check "or a journal that is gone" refused "$WORK/out" "PROBLEM  ledger.*the journal is not the newest one" \
    "$BIN/fedmoe-node" check --config "$node/node.yaml"
restore

# ---- files cut short: what they are, and what to do
for name in plan.json status.json; do
    truncate -s 20 "$node/$name"
    check "a node's $name that is cut short may go" refused "$WORK/out" \
        "$name:.*cut short or damaged; .*delete it, it comes again" \
        "$BIN/fedmoe-node" "${name%.json}" --config "$node/node.yaml"
done
restore
agg=$RUN/aggregator
cp -a "$agg" "$WORK/keep.agg"
cut_short() { # FILE SENTENCE COMMAND...
    local file=$1 sentence=$2
    shift 2
    truncate -s "$(($(stat -c %s "$agg/$file") / 2))" "$agg/$file"
    check "the aggregator's $file, cut short" refused "$WORK/out" "$file: .*$sentence" "$@"
    cp -p "$WORK/keep.agg/$file" "$agg/$file"
}
started=("$BIN/fedmoe-aggregator" start --directory "$agg" --linger 1)
cut_short checkpoint.safetensors "restore it and state.db together, from the same backup" "${started[@]}"
cut_short plan.bin "restore it from your backup: .*a new init is a new run" "${started[@]}"
cut_short door.key "not a door key; restore it from your backup \(a new init is a new run" "${started[@]}"
truncate -s 20 "$agg/status.json"
check "its status.json may go" refused "$WORK/out" \
    "status.json:.*cut short or damaged; .*delete it, it comes again at the next start" \
    "$BIN/fedmoe-aggregator" status --directory "$agg"
cp -p "$WORK/keep.agg/status.json" "$agg/status.json"

sqlite3 "$node/ledger.db" "DROP TRIGGER entry_no_update; UPDATE entry SET noise_multiplier = 1e6 WHERE sequence = 3"
check "a doctored entry: which" refused "$WORK/out" "entry 3" "$WORK/start"
restore
sqlite3 "$node/ledger.db" "DROP TRIGGER entry_no_delete; DELETE FROM entry WHERE sequence > 2; UPDATE sqlite_sequence SET seq = 2"
restart_aggregator
check "entries taken off the end" refused "$WORK/out" "(ledger|entry|released)" "$WORK/start"
restore
rm -f "$node"/ledger.db*
restart_aggregator
check "a ledger that is gone: what the node itself signed" \
    refused "$WORK/out" "lacks the entry that this node signed" "$WORK/start"
# An aggregator that keeps the mark to itself: the journal still knows.
kill_party aggregator
sqlite3 "$RUN/aggregator/state.db" "DELETE FROM mark"
start_aggregator
check "a ledger that is gone: both figures, and what to do" \
    refused "$WORK/out" "0 entries.*6 released rounds.*put the newest ledger back" "$WORK/start"
restore
sed -i 's/^  name: .*/  name: "other"/' "$node/node.yaml"
restart_aggregator
check "the same records under another name" refused "$WORK/out" "data set was renamed" "$WORK/start"
restore
rm -f "$node"/state.db*
restart_aggregator
check "a journal that is gone" refused "$WORK/out" "journal is not the newest" "$WORK/start"
restore
head -c 5000 /dev/urandom >"$node/ledger.db"
rm -f "$node"/ledger.db-*
check "a ledger that is none" refused "$WORK/out" "ledger.db: .*from the same backup" "$WORK/start"
restore
restart_aggregator
check "the books as they were: it fetches the result again" timeout 60 \
    "$BIN/fedmoe-node" start --config "$node/node.yaml" --retry-s 5 2>"$WORK/out"
check "and says where it is" says "$WORK/out" "finished: the model is .*model.safetensors"
finish
