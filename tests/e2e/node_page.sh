# The node's own page in a real browser: a link opens it once, the button pauses and resumes, rounds pass
# meanwhile without this node; who has no session gets nothing; metrics and the dashboard's names.
. "$(dirname "$0")/lib.sh"
command -v chromedriver >/dev/null || skip "chromium-driver is not installed"
coproc BROWSER { exec python3 -B "$(dirname "$0")/node_browser.py"; }
BROWSER_PID_=$BROWSER_PID
# browser COMMAND WORD...: what it answers, on standard output; fails as it does.
browser() {
    local IFS=$'\x1f' answer
    printf '%s\n' "$*" >&"${BROWSER[1]}"
    IFS= read -r answer <&"${BROWSER[0]}" || return 1
    [ "${answer:0:1}" = + ] || { echo "  ${answer:1}" >&2; return 1; }
    [ -z "${answer:1}" ] || tr '\037' '\n' <<<"${answer:1}"
}
trap '[ -z "${BROWSER[1]:-}" ] || eval "exec ${BROWSER[1]}>&-"; wait "$BROWSER_PID_" 2>/dev/null; cleanup' EXIT
shot() { [ -z "${SHOTS:-}" ] || browser picture "$SHOTS/$1.png"; }
PAUSER=lakeside
config=$RUN/$PAUSER/node.yaml
node() { "$BIN/fedmoe-node" "$1" --config "$config" "${@:2}"; }
entries() { node ledger --json | grep -c '"round"'; }
# code EXPECTED PATH [HEADER: VALUE]...: the status of a request without a session.
code() { [ "$(browser code "$base$2" "${@:3}")" = "$1" ]; }

setup --rounds 10000 --quorum 3 --epsilon 50
check "without a page there is no link" refused "$WORK/x" "has no page; add the line" \
    "$BIN/fedmoe-node" status --config "$config" --link
sed -i 's/^policy:/page: {listen: "0.0.0.0:7391"}\npolicy:/' "$config"
check "a page is never for other machines" refused "$WORK/x" "address of this machine alone" \
    "$BIN/fedmoe-node" status --config "$config" --link
sed -i 's/0\.0\.0\.0:7391/127.0.0.1:0/' "$config"
check "a token is never written over the node's own files" refused "$WORK/x" "node.yaml" \
    "$BIN/fedmoe-node" status --config "$config" --scraper "$config"
check "before the node runs there is none" refused "$WORK/x" "the node is not running, and so its page is not there" \
    "$BIN/fedmoe-node" status --config "$config" --link
start_all
renice -n 5 "${PID[@]}" >/dev/null # the browser is to have its turn
check "rounds are done" wait_round aggregator 4 60

# ---- the link ----
link=$(node status --link 2>"$WORK/link.txt")
base=${link%/link/*}
check "the link is for once, and says so" says "$WORK/link.txt" "once, within 10 minutes"
check "without a session there is no page" code 404 /
check "nor a status" code 404 /status.json
check "nor metrics" code 404 /metrics
check "nor a pause" code 404 /pause "Method: POST" "Origin: $base"
check "asked for by another name: refused" code 421 / "Host: evil.example:${base##*:}"
browser begin 1000 1500
browser go "$link"
browser click button
check "the link opens the page" browser says h1 $PAUSER 10
check "the title says whose page it is" [ "$(browser title)" = "$PAUSER: node of federation heart-demo" ]
check "it takes part" browser says "#now" "The node takes part." 10
check "it says what left" browser says "#left" "released: counts in the sum" 10
check "and the plan" browser says "#plan" "heart disease risk" 10
check "a plot with words for who cannot see it" [ "$(browser js \
    'var s=document.querySelector("svg[role=img]");return s&&document.getElementById(s.getAttribute("aria-labelledby").split(" ")[1]).textContent.length>50')" = True ]
check "it follows without reloading" browser moves "#tiles" 10
check "the link opens nothing a second time" code 404 "/link/${link##*/}"
shot running

reads=$(browser reads)
check "it reads well on a phone, in the dark, on paper, aloud${reads:+: $reads}" [ -z "$reads" ]
check "the gauge has a name" [ -z "$(browser unnamed meter)" ]
check "the plot has a name" [ -z "$(browser unnamed "svg[role=img]")" ]

# ---- pause ----
browser click "#button summary"
check "the button says what it means" browser says "#button" "Nothing is held against this node" 5
browser click "#pause"
check "without the confirmation the browser sends nothing" [ "$(browser js 'return document.querySelector("#button details").open')" = True ]
browser js 'document.querySelector("#button input").required = false; return ""'
browser click "#pause"
asked() { local i; for ((i = 0; i < 100; i++)); do grep -q "pause was asked for on the page without the confirmation" "$RUN/$PAUSER/log" && return 0; nap 0.1; done; return 1; }
check "sent by hand without it, nothing is done" asked
check "and the node goes on" bash -c '[ ! -e "$1" ]' _ "$RUN/$PAUSER/paused"
browser says "#now" "The node takes part." 10
browser click "#button summary"
browser click "#button input[type=checkbox]"
shot confirm
browser click "#pause"
check "the page says paused" browser says "#now" "Paused by its owner" 10
check "and that nothing leaves" browser says "#now" "no update leaves, and no round is paid for" 10
spent=$(entries)
at=$(number "$RUN/aggregator/status.json" round)
check "rounds pass without this node" wait_round aggregator $((at + 5)) 60
check "and cost it nothing" [ "$(entries)" = "$spent" ]
shot paused
node status --scraper "$WORK/token" >"$WORK/x"
check "the token for programs is private" [ "$(stat -c %a "$WORK/token")" = 600 ]
token=$(cat "$WORK/token")
browser body "$base/metrics" "Authorization: Bearer $token" >"$WORK/metrics.txt"
check "metrics: paused" says "$WORK/metrics.txt" '^fedmoe_node_paused 1$'
check "metrics: what was spent" says "$WORK/metrics.txt" "^fedmoe_node_releases_total $spent\$"
check "the metrics' token opens nothing else" code 404 / "Authorization: Bearer $token"

# ---- resume, without scripts ----
browser end
browser begin 420 900 noscript
browser go "$(node status --link 2>/dev/null)"
browser click button
check "without scripts: the page" browser says "#now" "Paused by its owner" 10
check "without scripts: how to read it again" browser says "noscript" "read it again" 5
shot phone
browser click "#button input[type=checkbox]"
browser click "#resume"
check "resumed" bash -c 'for i in $(seq 100); do [ ! -e "$1" ] && exit 0; sleep 0.05; done; exit 1' _ "$RUN/$PAUSER/paused"
grows() { local i; for ((i = 0; i < 200; i++)); do [ "$(entries)" -gt "$spent" ] && return 0; nap 0.05; done; return 1; }
check "it takes part again" grows
again() { local i; for ((i = 0; i < 20; i++)); do browser go "$base/"; [ "$(browser text "#now")" = "The node takes part." ] && return 0; nap 0.2; done; return 1; }
check "and its page says so" again
browser click "footer button"
check "the page can be left" code 404 /
browser go "$base/"
check "and is gone then" [ "$(browser js 'return document.getElementById("now")===null')" = True ]
browser end

# ---- names ----
check "metrics, dashboard and document have the same names" python3 - "$WORK/metrics.txt" \
    "$SOURCE/packaging/grafana/node.json" "$SOURCE/docs/metrics.md" <<'PY'
import json, re, sys
served = set(re.findall(r"^# TYPE (\S+)", open(sys.argv[1]).read(), re.M))
board = json.load(open(sys.argv[2]))
text = open(sys.argv[3]).read()
kinds = dict(re.findall(r"^\| `(fedmoe_node_\w+)` \| (\w+) \|", text, re.M))
kinds_served = dict(re.findall(r"^# TYPE (\S+) (\w+)", open(sys.argv[1]).read(), re.M))
used = set()
for p in board["panels"]:
    for t in p["targets"]:
        used |= set(re.findall(r"fedmoe_\w+", t["expr"]))
        assert t["expr"].count("{") == t["expr"].count("}"), t["expr"]
assert len({p["id"] for p in board["panels"]}) == len(board["panels"])
assert served, "nothing is served"
assert kinds == kinds_served, set(kinds.items()) ^ set(kinds_served.items())
assert used <= served, used - served
assert len(used) >= 12, used
PY
finish
