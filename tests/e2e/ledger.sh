# The ledger in an auditor's hands: exports that other software adds up to the same, and every way
# in which one can be wrong.
. "$(dirname "$0")/lib.sh"
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
chmod 644 "$node/ledger.db"
check "a ledger that others may read is refused" refused "$WORK/out" "lets others read it; run: chmod 600" book verify
chmod 600 "$node/ledger.db"
book export --format xml >"$WORK/out" 2>&1
check "an unknown format is a wrong use" [ $? = 2 ]
finish
