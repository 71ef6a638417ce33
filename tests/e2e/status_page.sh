# The aggregator's status page in a real browser: a one-time link, live without reloading, roles,
# certificates, metrics, and whether everybody can read it.
. "$(dirname "$0")/lib.sh"
export PYTHONDONTWRITEBYTECODE=1
python3 "$SOURCE/tests/e2e/browser.py" --check >"$WORK/browser.txt" 2>&1
case $? in
0) ;;
77) skip "$(cat "$WORK/browser.txt")" ;;
*) cat "$WORK/browser.txt" >&2 && exit 1 ;;
esac
setup --rounds 4000
agg=$WORK/agg
printf '#!/bin/sh\ncommand=$1; shift\nexec "%s/fedmoe-aggregator" $command --directory "%s" "$@"\n' "$BIN" "$RUN/aggregator" >"$agg"
chmod +x "$agg"

check "without a page there is no link" refused "$WORK/x" "there is no status page|not running" "$agg" status --link
plain=$RUN/aggregator/federation.yaml
cp "$plain" "$WORK/plain.yaml"
# told STATUS PATTERN: start refuses it and says why.
told() {
    cp "$WORK/plain.yaml" "$plain"
    echo "status: $1" >>"$plain"
    refused "$WORK/x" "$2" "$agg" start
}
check "plain HTTP for others is refused" told '{listen: "http://0.0.0.0:0", name: agg.example}' "needs TLS"
check "all addresses need a name" told '{listen: "https://0.0.0.0:0"}' "say in .name. by which one browsers"
check "a key without a certificate is refused" told '{listen: "https://127.0.0.1:0", key: x}' "go together"
check "a key that others can read is refused" told \
    '{listen: "https://127.0.0.1:0", key: model.safetensors, certificate: model.safetensors}' "0600|private|chmod"
check "an unknown key is named" told '{listen: "https://127.0.0.1:0", cert: x}' "federation.yaml:[0-9]+.*cert"
cp "$WORK/plain.yaml" "$plain"
echo 'status: {listen: "https://127.0.0.1:0"}' >>"$plain"

start_aggregator
for i in $(seq 100); do has "$RUN/aggregator/status.json" '"page"' && break; nap 0.05; done
check "the log says where, and the certificate's fingerprint" says "$RUN/aggregator/log" "certificate: SHA-256 ([0-9A-F]{2}:){31}"
check "the page's key is private" [ "$(stat -c %a "$RUN/aggregator/status.key" "$RUN/aggregator/status.links" | tr '\n' ' ')" = "600 600 " ]
python3 "$SOURCE/tests/e2e/status_page.py" "$BIN" "$SOURCE" "$RUN"
check "in the browser" [ $? = 0 ]
check "a scraper's token replaces no other file" refused "$WORK/x" "door.key is there, and no token" \
    "$agg" status --scraper "$RUN/aggregator/door.key"
check "a time that is none is refused" refused "$WORK/x" "90s, 10m, 12h or 7d" "$agg" status --link --for soon
check "no token is in the log or the folder" bash -c '! grep -rqF -f "$1" "$2/aggregator"' _ "$RUN/tokens" "$RUN"
check "the aggregator still runs" kill -0 "${PID[aggregator]}"
kill -TERM "${PID[aggregator]}"
check "and ends when asked" wait_end aggregator 10
check "a link to a page that is not there is not made" refused "$WORK/x" "not running" "$agg" status --link
finish
