# The status page in a headless browser on loopback, after 200 rounds: milliseconds from the request to
# the first paint (median of 15), bytes in all. BIN=build/release/bin SOURCE=. bash tests/bench/status_page.sh
. "$(dirname "$0")/../e2e/lib.sh"
export PYTHONDONTWRITEBYTECODE=1
setup --rounds 4000
echo 'status: {listen: "https://127.0.0.1:0"}' >>"$RUN/aggregator/federation.yaml"
start_all
wait_round aggregator 200 120 || exit 1
for name in $HOSPITALS; do kill_party "$name"; done # the page alone is measured
sleep 2
"$BIN/fedmoe-aggregator" status --directory "$RUN/aggregator" --link >"$WORK/link" 2>/dev/null
PYTHONPATH=$SOURCE/tests/e2e python3 "$SOURCE/tests/bench/status_page.py" "$WORK/link"
