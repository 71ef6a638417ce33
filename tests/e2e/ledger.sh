# The ledger in an auditor's hands: exports that other software adds up to the same, and every way
# in which one can be wrong.
. "$(dirname "$0")/lib.sh"
command -v sqlite3 >/dev/null || skip "sqlite3 is not installed"
command -v python3 >/dev/null || skip "python3 is not installed"
setup --rounds 12
start_all
for name in $HOSPITALS aggregator; do check "$name ends well" wait_end "$name" 90; done
node=$RUN/northgate
export CONFIG=$node/node.yaml READD=$SOURCE/tests/e2e/ledger_readd.py
printf '#!/bin/sh\nexec "$BIN/fedmoe-node" ledger "$@" --config "$CONFIG"\n' >"$WORK/book"
printf '#!/bin/sh\nexec python3 "$READD" "$@"\n' >"$WORK/readd"
chmod +x "$WORK/book" "$WORK/readd"
export BIN PATH=$WORK:$PATH

book verify --json >"$WORK/verify.json"
check "verified: 12 entries" grep -q '"entries": 12' "$WORK/verify.json"
check "exported as CSV" book export --format csv --output "$WORK/a.csv"
check "exported as JSON" book export --format json --output "$WORK/a.json"
read -r head epsilon <<<"$(readd "$WORK/a.csv" "$WORK/a.json" northgate 1e-4)"
check "other software finds the same head" grep -q "\"$head\"" "$WORK/verify.json"
book show --json >"$WORK/show.json"
check "and the same epsilon ($epsilon), to a ten-thousandth from below" awk \
    -v a="$epsilon" -v b="$(number "$WORK/show.json" epsilon_spent)" \
    'BEGIN { exit !(a > 0 && b >= a * (1 - 1e-9) && b <= a * (1 + 1e-4)) }'

sed 's/^\(7,[^,]*,[^,]*,\)/\1x/' "$WORK/a.csv" >"$WORK/altered.csv"
check "other software sees an altered entry" refused "$WORK/out" "entry 7 does not fit" \
    readd "$WORK/altered.csv" "$WORK/a.json" northgate 1e-4
check "so does import" refused "$WORK/out" "entry 7" book import "$WORK/altered.csv"
sed '6d' "$WORK/a.csv" >"$WORK/gap.csv"
check "a missing entry is refused" refused "$WORK/out" "entry" book import "$WORK/gap.csv"
check "a file that is none is refused" refused "$WORK/out" "ledger" book import "$node/records.csv"
check "a file that is not there is named" refused "$WORK/out" "nowhere" book import "$WORK/nowhere"
: >"$WORK/empty"
check "an empty file is refused" refused "$WORK/out" "empty" book import "$WORK/empty"
check "what is there already adds nothing" book import "$WORK/a.json"
book export --format csv --output "$WORK/b.csv"
check "and the ledger is as it was" cmp -s "$WORK/a.csv" "$WORK/b.csv"
python3 - "$WORK/a.json" "$WORK/cut.json" <<'PY'
import json, sys
book = json.load(open(sys.argv[1]))
del book["entries"][7:]
json.dump(book, open(sys.argv[2], "w"))
PY
check "an export that was cut at its end is refused" refused "$WORK/out" "head is not the hash" \
    book import "$WORK/cut.json"
cp "$node/ledger.db" "$WORK/cut.db" && cp "$node/ledger.db-wal" "$WORK/cut.db-wal" 2>/dev/null
sqlite3 "$WORK/cut.db" "DROP TRIGGER entry_no_delete; DELETE FROM entry WHERE sequence > 4"
check "no sum is made of a ledger that was cut" refused "$WORK/out" "entry 5 is missing|triggers" \
    "$BIN/fedmoe-dp" compose "$WORK/cut.db"
mkdir "$WORK/away" && mv "$node"/ledger.db* "$WORK/away/"
check "a ledger that is gone is not one of which nothing was spent" refused "$WORK/out" \
    "knows of 12 released rounds" book verify
"$BIN/fedmoe-node" check --config "$node/node.yaml" >"$WORK/out" 2>&1
check "check says so too" grep -q "knows of 12 released rounds" "$WORK/out"
"$BIN/fedmoe-node" plan --config "$node/node.yaml" >"$WORK/out" 2>&1
check "and the plan does not say that nothing is spent" bash -c \
    'tr "\n" " " <"$1" | tr -s " " | grep -q "is not known: .*knows of 12 released rounds"' _ "$WORK/out"
mv "$WORK/away"/* "$node/"
chmod 644 "$node/ledger.db"
check "a ledger that others may read is refused" refused "$WORK/out" "lets others read it; run: chmod 600" book verify
chmod 600 "$node/ledger.db"
book export --format xml >"$WORK/out" 2>&1
check "an unknown format is a wrong use" [ $? = 2 ]
finish
