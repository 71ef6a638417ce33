# The page for the data-protection officer after a real run: its figures are the ledger's, its commands
# come to the same, a purpose that is markup stays text, and a ledger that was tampered with gives no page.
. "$(dirname "$0")/lib.sh"
rounds=5
purpose="risk <script>alert('x')</script> \\\\ & co"
shown="risk &lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; \\ &amp; co"
setup --rounds $rounds
# Single quotes in YAML: doubled.
yaml="'$(echo "$purpose" | sed "s/'/''/g; s/\\\\\\\\/\\\\/g")'"
set_purpose() { # FILE PATTERN PREFIX
    NEW="$3$yaml" awk -v p="$2" '$0 ~ p { print ENVIRON["NEW"]; next } { print }' "$1" >"$WORK/new" && cat "$WORK/new" >"$1"
}
set_purpose "$RUN/federation.yaml" '^purpose:' 'purpose: '
for name in $HOSPITALS; do set_purpose "$RUN/$name/node.yaml" '^ *- "?heart disease risk' '    - '; done
replan
start_all
for name in $HOSPITALS; do check "$name ends well" wait_end "$name" 90; done
config=$RUN/northgate/node.yaml
page=$WORK/report.html
check "the report is written" "$BIN/fedmoe-node" report --config "$config" --output "$page" >"$WORK/out"
check "it says that the ledger is whole" says "$WORK/out" "$rounds entries are whole"
check "only its owner can read it" [ "$(stat -c %a "$page")" = 600 ]
if command -v xmllint >/dev/null; then
    check "the page is well-formed" xmllint --nonet --noout "$page"
fi

# ---- the figures ----
"$BIN/fedmoe-node" ledger --config "$config" --json >"$WORK/ledger.json"
spent=$(number "$WORK/ledger.json" epsilon_spent)
left=$(number "$WORK/ledger.json" epsilon_left)
check "spent and left are those of fedmoe-node ledger" says "$page" \
    "has spent $(shown_up "$spent"); $(shown_down "$left") is left\."
check "one dot a round" [ "$(grep -c '<circle' "$page")" = $rounds ]
check "the head of the ledger" grep -q "$(grep '"hash"' "$WORK/ledger.json" | tail -1 | grep -oE '[0-9a-f]{64}' || echo none)" "$page"
check "the plan's checksum" grep -q "$(sha256sum "$RUN/northgate/plan.json" | grep -oE '^[0-9a-f]{64}' || echo none)" "$page"
check "who: the certificate" says "$page" "node &#39;northgate&#39; of federation &#39;heart-demo&#39;, ed25519, valid from"
check "the journal bears it out" says "$page" "knows of $rounds released rounds"
check "how units are added" says "$page" "encoding: fast"
check "with whom masks are shared" says "$page" "one with every other node of the round"
check "no record leaves" says "$page" "No record, no value of a record"

# ---- what a reviewer does: run the commands of the page ----
plain() { sed 's/<[^>]*>//g; s/&#39;/'"'"'/g; s/&quot;/"/g; s/&lt;/</g; s/&gt;/>/g; s/&amp;/\&/g'; }
grep 'id="recompute"' "$page" | plain >"$WORK/recompute"
(PATH=$BIN:$PATH sh -c "$(cat "$WORK/recompute") --json") >"$WORK/again.json"
check "the page's command comes to the same epsilon" awk -v a="$spent" \
    -v b="$(number "$WORK/again.json" epsilon)" 'BEGIN { exit !(a > 0 && b > 0 && (a - b) / a < 2e-4 && (b - a) / a < 2e-4) }'
sed -n '/^<pre>fedmoe-node/,/<\/pre>/p' "$page" | plain >"$WORK/verify"
(PATH=$BIN:$PATH sh -e "$WORK/verify") >"$WORK/verified" 2>&1
check "and so do the commands that read the ledger" says "$WORK/verified" "epsilon $(shown_up "$spent") of"

# ---- the purpose came from the aggregator's side ----
check "the purpose is shown as text" grep -qF "$shown" "$page"
check "and never as markup" bash -c '! grep -qi "<script\|onerror=\|javascript:" "$1"' _ "$page"
check "nothing is loaded from anywhere" bash -c '! grep -qE "(src|href|url)[=(]" "$1"' _ "$page"

# ---- attacks on the books ----
cp "$page" "$WORK/before.html"
cp -a "$RUN/northgate" "$WORK/keep"
restore() { rm -rf "$RUN/northgate" && cp -a "$WORK/keep" "$RUN/northgate"; }
report=("$BIN/fedmoe-node" report --config "$config" --output "$page")
sqlite3 "$RUN/northgate/ledger.db" \
    "DROP TRIGGER entry_no_update; UPDATE entry SET noise_multiplier = 1e6 WHERE sequence = 3"
check "a doctored entry: no report, but which" refused "$WORK/out" "entry 3" "${report[@]}"
restore
trigger=$(sqlite3 "$RUN/northgate/ledger.db" "SELECT sql FROM sqlite_master WHERE name = 'entry_no_delete'")
sqlite3 "$RUN/northgate/ledger.db" "DROP TRIGGER entry_no_delete; DELETE FROM entry WHERE sequence > 2;
    UPDATE sqlite_sequence SET seq = 2; $trigger"
check "entries taken off the end, with care: no report" \
    refused "$WORK/out" "(2 releases.*$rounds released rounds|entry|entries)" "${report[@]}"
restore
rm -f "$RUN/northgate"/ledger.db*
check "no ledger: no report" refused "$WORK/out" "knows of [0-9]+ released rounds" "${report[@]}"
check "the page of before is as it was" cmp -s "$page" "$WORK/before.html"
restore
check "the books as they were: a report again" "${report[@]}" >/dev/null
check "the same but for its date" [ "$(diff "$page" "$WORK/before.html" | grep -c '^<')" -le 1 ]
finish
