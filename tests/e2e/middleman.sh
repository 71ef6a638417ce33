# A middle-man without keys: alters bytes, cuts at every frame, replays a session; and peers with a
# certificate that is expired, revoked, of the wrong role or of another federation. No session
# comes of it, the log says why, and the federation is none the worse.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_faults.sh"
rounds=400
LINGER=3
setup --rounds $rounds --quorum 3
relay_start lakeside 127.0.0.2 "" "$WORK/recorded"
certs() { "$BIN/fedmoe-certs" "$@" >"$WORK/certs.txt" 2>&1 || { cat "$WORK/certs.txt" >&2; exit 1; }; }

# comes_in CONDUCT...: lakeside does, by a later connection than the one that is tampered with.
comes_in() {
    local before
    relay_conduct "$@"
    before=$(grep -c "lakeside approved" "$RUN/aggregator/log")
    start_node lakeside --retry-s 30
    until_true 20 more "$before" "lakeside approved" "$RUN/aggregator/log" || return 1
    kill_party lakeside
}
# more BEFORE PATTERN FILE: there are more such lines than before.
more() { [ "$(grep -c -- "$2" "$3")" -gt "$1" ]; }

# ---- alters one bit of the way in, in either direction: greeting, handshake, Hello, Welcome ----
start_aggregator
for at in "1 1" "1 40" "1 150" "1 300" "1 450" "1 600" "1 900" "2 11" "2 65" "2 70" "2 150" "2 225" "2 250" "2 400" \
    "2 700"; do
    check "a bit altered (way and byte: $at): it comes in by another connection" \
        comes_in "way ${at% *}" "flip_at ${at#* }" "cut_once 1"
done
count=$(grep -c ^altered "$WORK/relay.lakeside")
check "bits were altered ($count)" [ "$count" -ge 15 ]
relay_conduct "flip_every 900"
before=$(grep -c "lakeside joined" "$RUN/aggregator/log")
start_node lakeside --retry-s 6
check "with every connection altered it does not come in, and gives up" ends_with lakeside 1 60
check "saying what is the matter" says "$RUN/lakeside/log" \
    "start: .*(does not answer to the door key|did not answer Hello|was cut)"
check "nobody was let in" [ "$(grep -c 'lakeside joined' "$RUN/aggregator/log")" = "$before" ]

# ---- cuts before each frame of the way in ----
for frame in 1 2 3 4 5 6 7 8 9; do
    check "cut before frame $frame: it comes in by another connection" \
        comes_in "cut_frame $frame" "cut_once 1"
done
count=$(grep -c ^cut "$WORK/relay.lakeside")
check "connections were cut ($count)" [ "$count" -ge 9 ]

# ---- replays what a node once said ----
rm -f "$WORK"/recorded/*
check "a session to record" comes_in
before=$(grep -c "joined" "$RUN/aggregator/log")
count=0
for file in "$WORK"/recorded/*; do
    [ "$(stat -c %s "$file")" -gt 300 ] || continue
    count=$((count + 1))
    "$RELAY" replay "$file" "$(endpoint)" >"$WORK/replayed"
    check "a recording is closed on ($(cat "$WORK/replayed"))" says "$WORK/replayed" " closed$"
done
check "a recording was replayed ($count)" [ "$count" -ge 1 ]
check "nobody joined by them" [ "$(grep -c joined "$RUN/aggregator/log")" = "$before" ]

# ---- with a certificate, but not a good one ----
certs ca new --directory "$WORK/other-ca" --federation another-study
certs issue --ca "$RUN/ca" --role node --name expired --output "$WORK/expired" \
    --not-before 2020-01-01 --not-after 2020-12-31
certs issue --ca "$RUN/ca" --role node --name revoked --output "$WORK/revoked"
certs issue --ca "$RUN/ca" --role aggregator --name posing --output "$WORK/posing"
certs issue --ca "$WORK/other-ca" --role node --name stranger --output "$WORK/stranger"
cp -r "$WORK/revoked" "$WORK/kept" # with the list of before
certs revoke --ca "$RUN/ca" --name revoked
cp "$RUN/ca/crl.pem" "$RUN/aggregator/crl.pem"
check "the aggregator reads the new list" until_true 20 says "$RUN/aggregator/log" "crl.pem was read again"

# bad_node NAME IDENTITY: northgate's folder with another identity.
bad_node() {
    cp -r "$RUN/northgate" "$RUN/$1"
    rm -rf "$RUN/$1/identity"
    cp -r "$2" "$RUN/$1/identity"
    sed -i "s/^name: .*/name: $1/" "$RUN/$1/node.yaml"
}
before=$(grep -c "joined" "$RUN/aggregator/log")
bad_node expired "$WORK/expired"
check "an expired certificate is refused before anyone is called" \
    refused "$WORK/x" "expired" "$BIN/fedmoe-node" start --config "$RUN/expired/node.yaml"
# To a day on which it was valid, if the CA had been there: the list is what gives it away.
echo $(($(date -u -d 2020-07-01 +%s) - $(date +%s))) >"$WORK/long-ago"
check "also with a clock that is set back" refused "$WORK/x" "the revocation list crl.pem is from the future" \
    env LD_PRELOAD="$FAULT" FAULT_CLOCK="$WORK/long-ago" "$BIN/fedmoe-node" start --config "$RUN/expired/node.yaml"
bad_node revoked "$WORK/kept"
check "a revoked one is refused by the aggregator" \
    refused "$WORK/x" "refused this node: .*revoked" "$BIN/fedmoe-node" start --config "$RUN/revoked/node.yaml"
check "whose log says why" says "$RUN/aggregator/log" "refused at the door: .*revoked"
bad_node posing "$WORK/posing"
check "an aggregator's certificate is none of a node" \
    refused "$WORK/x" "posing" "$BIN/fedmoe-node" start --config "$RUN/posing/node.yaml"
bad_node stranger "$WORK/stranger"
check "another federation's is refused, and refuses" \
    refused "$WORK/x" "refused this node: .*'stranger'|aggregator's credential: .*not issued by the pinned CA" "$BIN/fedmoe-node" start --config "$RUN/stranger/node.yaml"
check "whose log says why, too" says "$RUN/aggregator/log" "refused at the door: .*'stranger': not issued by the pinned CA"
check "none of them has joined" [ "$(grep -c joined "$RUN/aggregator/log")" = "$before" ]

# ---- an aggregator that is none, though it has stolen the door's key ----
certs issue --ca "$RUN/ca" --role aggregator --name late --output "$WORK/a-expired" \
    --not-before 2020-01-01 --not-after 2020-12-31
certs issue --ca "$RUN/ca" --role aggregator --name barred --output "$WORK/a-revoked"
certs issue --ca "$WORK/other-ca" --role aggregator --name foreign --output "$WORK/a-stranger"
certs revoke --ca "$RUN/ca" --name barred
cp "$RUN/ca/crl.pem" "$RUN/hillcrest/identity/crl.pem"
kill_party aggregator
mv "$RUN/aggregator" "$WORK/aggregator"
declare -A WHY=([expired]="names aggregator 'late': expired on" [revoked]="names aggregator 'barred': revoked by the CA"
    [stranger]="names aggregator 'foreign': not issued by the pinned CA")
for posing in expired revoked stranger; do
    rm -rf "$RUN/aggregator"
    cp -r "$WORK/aggregator" "$RUN/aggregator"
    cp "$WORK/a-$posing"/identity.* "$RUN/aggregator/"
    rm -f "$RUN/aggregator"/crl.* "$RUN/aggregator/log"
    start_aggregator
    check "a false one listens ($posing)" until_true 10 says "$RUN/aggregator/log" "door tcp://"
    check "hillcrest does not believe it ($posing), and says why" \
        refused "$WORK/x" "the aggregator's credential: .*${WHY[$posing]}" \
        "$BIN/fedmoe-node" start --config "$RUN/hillcrest/node.yaml"
    kill_party aggregator
done
rm -rf "$RUN/aggregator"
mv "$WORK/aggregator" "$RUN/aggregator"

# ---- after all this ----
relay_conduct
at=$(number "$RUN/aggregator/status.json" round)
start_all
check "the federation trains as if nothing had been" wait_round aggregator $((at + 20)) 60
finish
