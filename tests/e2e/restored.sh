# Ledger and journal restored from a backup of the same instant: each bears the other out, and only
# what the node itself signed, which the aggregator hands back, tells that both are old.
. "$(dirname "$0")/lib.sh"
setup --rounds 150
start_all
node=$RUN/northgate
halt() { kill_party northgate && kill_party aggregator; } # nobody goes on meanwhile
entries() {
    "$BIN/fedmoe-node" ledger verify --config "$node/node.yaml" --json |
        sed -n 's/.*"entries": \([0-9]*\).*/\1/p'
}
# ahead_of_backup SECONDS: the ledger has two entries more, so that one between can be left out. The
# round's number does not tell: the others' rounds count while northgate is still coming back.
ahead_of_backup() {
    local i
    for ((i = 0; i < $1 * 5; i++)); do
        [ "$(entries)" -ge $((old + 2)) ] && return 0
        nap 0.2
    done
    return 1
}
check "some rounds are released" wait_round northgate 3 60
halt
mkdir "$WORK/backup" && cp -a "$node"/ledger.db* "$node"/state.db* "$WORK/backup/"
old=$(entries)
start_aggregator
start_node northgate
check "and more after the backup" ahead_of_backup 60
halt
"$BIN/fedmoe-node" ledger export --config "$node/node.yaml" --format csv --output "$WORK/newest.csv"
"$BIN/fedmoe-node" ledger export --config "$node/node.yaml" --output "$WORK/newest.json"
newest=$(($(wc -l <"$WORK/newest.csv") - 1))

rm -f "$node"/ledger.db* "$node"/state.db* && cp -a "$WORK/backup"/* "$node/"
old=$(entries) # as the copy says
check "the backup is older ($old of $newest entries)" [ "$old" -lt "$newest" ]
start_aggregator
check "the node refuses, names the file, says what to do" refused "$WORK/out" \
    "ledger.db lacks the entry that this node signed.*ledger import" \
    "$BIN/fedmoe-node" start --config "$node/node.yaml" --retry-s 5
now=$(entries)
kill_party aggregator
check "nothing was charged meanwhile" [ "$now" = "$old" ]
sed "$((old + 2))d" "$WORK/newest.csv" >"$WORK/gap.csv"
check "an export with a gap is refused" refused "$WORK/out" "entry" \
    "$BIN/fedmoe-node" ledger import --config "$node/node.yaml" "$WORK/gap.csv"
check "the missing entries are added" \
    "$BIN/fedmoe-node" ledger import --config "$node/node.yaml" "$WORK/newest.json"
"$BIN/fedmoe-node" ledger export --config "$node/node.yaml" --format csv --output "$WORK/again.csv"
check "and the ledger is what it was" cmp "$WORK/newest.csv" "$WORK/again.csv"
start_aggregator
start_node northgate
for name in $HOSPITALS; do check "$name ends well" wait_end "$name" 90; done
finish
