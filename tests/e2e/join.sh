# A year's operation in a minute: invited, joined, trained, one revoked; and codes that are refused.
. "$(dirname "$0")/lib.sh"
setup --rounds 400
NODES="alpha beta omega delta"
aggregator() { "$BIN/fedmoe-aggregator" "$1" --directory "$RUN/aggregator" "${@:2}"; }

# invite NAME [options]: its code alone.
invite() { aggregator invite "$@" | grep '^fedmoe1'; }
join() { "$BIN/fedmoe-node" join "$1" --output "$RUN/$2" "${@:3}"; }

# equip NAME HOSPITAL: records, and what the hospital's people would write into node.yaml.
equip() {
    cp "$RUN/$2/records.csv" "$RUN/$1/records.csv"
    sed -i -e 's/put the purpose that was agreed here/heart disease risk/' -e 's/delta: .*/delta: 0.0001/' \
        "$RUN/$1/node.yaml"
}

has_mode() { [ "$(stat -c %a "$1")" = "$2" ]; }

# ---- while it waits for an aggregator, nobody on the machine can read the code and be first
code=$(invite alpha)
"$BIN/fedmoe-node" join "$code" --output "$RUN/hidden" >"$WORK/hidden" 2>&1 &
PID[hidden]=$!
has_key() {
    local i
    for ((i = 0; i < 200; i++)); do [ -s "$RUN/$1/identity.code" ] && return 0; nap 0.05; done
    return 1
}
check "it has made its key and waits" has_key hidden
shown() { tr '\0' '\n' <"/proc/${PID[hidden]}/cmdline"; }
check "its process is seen" says <(shown) "^--output"
check "without the code" [ "$(shown | grep -c fedmoe1)" = 0 ]
kill_party hidden
rm -rf "$RUN/hidden"

# ---- by hand: the aggregator has no CA, the coordinator signs at a desk
mkdir -p "$RUN/aggregator/updates"
touch "$RUN/aggregator/updates/.7.Xy12.tmp" # of an aggregator that kept updates, and was killed
start_aggregator
start_join() {
    "$BIN/fedmoe-node" join "$code" --output "$RUN/alpha" >"$WORK/alpha" 2>&1 &
    PID[join]=$!
}
start_join
waits() {
    local i
    for ((i = 0; i < 200; i++)); do
        aggregator enrol >"$WORK/enrol" && grep -q '^alpha' "$WORK/enrol" && return 0
        nap 0.05
    done
    return 1
}
check "without a CA the request waits" waits
check "updates of a round that did not finish are gone" [ -z "$(ls -A "$RUN/aggregator/updates")" ]
key=$(sed -n 's/^alpha *key //p' "$WORK/enrol")
reads_out() {
    local i
    for ((i = 0; i < 200; i++)); do
        grep -q "^  $key\$" "$WORK/alpha" && return 0
        nap 0.05
    done
    return 1
}
check "the hospital reads out the key that the desk shows" reads_out
kill_party join
start_join
check "killed and started again, it goes on with the same key" reads_out
check "the desk does not sign without being told for which key" \
    bash -c '"$1" enrol alpha --ca "$2" --directory "$3" 2>"$4"; [ $? = 2 ]' _ \
    "$BIN/fedmoe-aggregator" "$RUN/ca" "$RUN/aggregator" "$WORK/out"
check "nor for another one" refused "$WORK/out" "not for the one that was read out" \
    "$BIN/fedmoe-aggregator" enrol alpha --key "$(printf '%064d' 1)" --ca "$RUN/ca" --directory "$RUN/aggregator"
check "the desk signs it" aggregator enrol alpha --key "$key" --ca "$RUN/ca"
check "and the node has its identity" wait_end join 30
check "nothing waits any more" says <(aggregator enrol) "no request waits"

# ---- at once: the aggregator has the CA
kill_party aggregator
# A short --linger: delta does not come for the result.
"$BIN/fedmoe-aggregator" start --directory "$RUN/aggregator" --ca "$RUN/ca" --linger 3 >>"$RUN/aggregator/log" 2>&1 &
PID[aggregator]=$!
aggregator invite gamma >"$WORK/gamma.mail"
code=$(invite beta)
check "beta joins with its code as a mail broke it into lines" join - beta < <(
    printf 'Dear all,\r\n\r\n  '
    fold -w 40 <<<"$code" | sed 's/$/\r/'
)
check "gamma with all that invite said" join - gamma <"$WORK/gamma.mail"
check "what is no code is refused" refused "$WORK/out" "join code" "$BIN/fedmoe-node" join - <<<"hello"
code=$(invite delta)
check "delta joins with its code alone, from a pipe" join - delta < <(echo "$code")
check "what join wrote is as people write it" says "$RUN/delta/node.yaml" "^  delta: 1e-05\$"
check "and shows where the schema goes" says "$RUN/delta/node.yaml" "^  # schema: schema.yaml"
check "and the language model" says "$RUN/delta/node.yaml" "^# model: base"
check "the check asks for the purpose" refused "$WORK/out" "PROBLEM +purpose .*still reads" \
    "$BIN/fedmoe-node" check --config "$RUN/delta/node.yaml"
snapshot() { find "$1" -type f -printf '%p %i %T@\n' -exec cksum {} + | sort; }
check "the key is private" has_mode "$RUN/delta/identity.key" 600
snapshot "$RUN/delta" >"$WORK/before"
check "the same command again says so" says <(join "$code" delta 2>&1) "this is node 'delta'"
check "and changes nothing" cmp "$WORK/before" <(snapshot "$RUN/delta")
check "the code is good once" refused "$WORK/out" "used already, with another key" \
    "$BIN/fedmoe-node" join "$code" --output "$RUN/thief" --wait-s 2
check "and it says what stays" says "$WORK/out" "/thief keeps the key that was made \(remove it"
check "a mistyped code is named as such" refused "$WORK/out" "mistyped or cut" \
    "$BIN/fedmoe-node" join "${code%?????}aaaaa" --output "$RUN/typo"
code=$(invite epsilon)
check "a code that is open is not made twice" refused "$WORK/out" "has an open invitation" \
    "$BIN/fedmoe-aggregator" invite epsilon --directory "$RUN/aggregator"
check "an invitation can be withdrawn" aggregator invite --withdraw epsilon
check "and its code is refused" refused "$WORK/out" "was withdrawn" \
    "$BIN/fedmoe-node" join "$code" --output "$RUN/epsilon" --wait-s 2
check "a name that has a certificate cannot be taken" refused "$WORK/out" "must revoke it first" \
    "$BIN/fedmoe-node" join "$(invite northgate)" --output "$RUN/imposter" --wait-s 2
check "the list tells what became of each" says <(aggregator invite --list) "^beta +used"

check "one more than the plan is for is warned of" exits 0 "$WORK/out" \
    "plan is for at most 4 nodes, and [0-9] others are invited or have joined: 'fifth' will find no place" aggregator invite fifth
check "and is no more when it is withdrawn" aggregator invite --withdraw fifth

# ---- another federation, which says that it is at the same address
"$BIN/fedmoe-certs" ca new --directory "$RUN/ca2" --federation other >"$WORK/out"
"$BIN/fedmoe-certs" issue --ca "$RUN/ca2" --role aggregator --name hub --output "$RUN/hub" >"$WORK/out"
sed 's/^name: .*/name: other/' "$RUN/federation.yaml" >"$RUN/other.yaml"
"$BIN/fedmoe-aggregator" init --directory "$RUN/aggregator2" --config "$RUN/other.yaml" \
    --identity "$RUN/hub" >"$WORK/out"
code=$("$BIN/fedmoe-aggregator" invite beta --directory "$RUN/aggregator2" | grep '^fedmoe1')
check "another federation's code is refused" refused "$WORK/out" "does not answer to the door key" \
    "$BIN/fedmoe-node" join "$code" --output "$RUN/lost" --wait-s 1

# ---- training, and a revocation in the middle of it
equip alpha northgate
equip beta lakeside
equip delta riverside
# omega has no code, and a certificate that ends in an hour after a day of life.
key=$(sed -n 's/^  door_key: "\(.*\)"$/\1/p' "$RUN/alpha/node.yaml")
door=$(sed -n 's/^  door: "\(.*\)"$/\1/p' "$RUN/alpha/node.yaml")
"$BIN/fedmoe-certs" issue --ca "$RUN/ca" --role node --name omega --output "$RUN/omega" \
    --not-before "$(date -u -d '23 hours ago' +%Y-%m-%dT%H:%M:%SZ)" \
    --not-after "$(date -u -d '1 hour' +%Y-%m-%dT%H:%M:%SZ)" >"$WORK/out"
cp "$RUN/hillcrest/records.csv" "$RUN/omega/records.csv"
"$BIN/fedmoe-node" init --directory "$RUN/omega" --name omega --door "$door" --door-key "$key" \
    --identity "$RUN/omega" --records "$RUN/omega/records.csv" --delta 1e-4 \
    --purpose 'heart disease risk' >"$WORK/out"
cp "$RUN/omega/identity.crt" "$WORK/omega.crt"
for name in $NODES; do start_node "$name"; done
check "round 5 is reached" wait_round aggregator 5 60
check "omega renewed its certificate while it takes part" says "$RUN/omega/log" "was renewed"
renewed() { ! cmp -s "$WORK/omega.crt" "$RUN/omega/identity.crt"; }
check "and has a new one" renewed
check "of the same key" "$BIN/fedmoe-node" check --config "$RUN/omega/node.yaml"
cp "$RUN/ca/crl.pem" "$WORK/old.pem"
aggregator invite newcomer --address "$door" >"$WORK/out"
check "a member's folder is no CA, even where only a code would go" refused "$WORK/out" \
    "ca.key is not there: .* is no folder of a CA" \
    "$BIN/fedmoe-aggregator" revoke newcomer --ca "$RUN/alpha" --directory "$RUN/aggregator"
check "and the code still counts" "$BIN/fedmoe-aggregator" invite --withdraw newcomer --directory "$RUN/aggregator"
check "delta is revoked" aggregator revoke delta --ca "$RUN/ca"
ended() { wait "${PID[delta]}"; local rc=$?; unset "PID[delta]"; [ $rc = 1 ]; }
check "its process ends, with exit 1" ended
check "and says why" says "$RUN/delta/log" "revoked by the CA"
at=$(number "$RUN/aggregator/status.json" round)
check "the others go on" wait_round aggregator $((at + 10)) 90
for name in alpha beta omega; do
    check "$name holds the CA's new list" cmp "$RUN/ca/crl.pem" "$RUN/$name/crl.pem"
done
put_back() {
    local i
    for ((i = 0; i < 100; i++)); do cmp -s "$RUN/ca/crl.pem" "$RUN/$1/crl.pem" && return 0; nap 0.05; done
    return 1
}
cp "$WORK/old.pem" "$RUN/beta/crl.pem"
check "an older list that is put back at a node is replaced by the newer one" put_back beta
check "and says so" says "$RUN/beta/log" "crl.pem is refused, and the list in force put back: .*list 1 where list"
cp "$WORK/old.pem" "$RUN/aggregator/crl.pem"
notices() {
    local i
    for ((i = 0; i < 100; i++)); do
        grep -q "the new crl.pem is refused, .*: list 1 where list" "$RUN/aggregator/log" && return 0
        nap 0.05
    done
    return 1
}
check "an older list that is put back is refused" notices
check "and the newer one put there again" put_back aggregator
at=$(number "$RUN/aggregator/status.json" round)
check "the rounds go on" wait_round aggregator $((at + 3)) 60
# No round begins by an older list than the one that lies there: put there while the aggregator stands
# still, it is read before more than the round under way has finished.
read_at_once() {
    local i lines log=$RUN/aggregator/log
    "$BIN/fedmoe-certs" refresh --ca "$RUN/ca" >"$WORK/out" || return 1
    kill -STOP "${PID[aggregator]}"
    lines=$(wc -l <"$log")
    cp "$RUN/ca/crl.pem" "$RUN/crl.new"
    mv "$RUN/crl.new" "$RUN/aggregator/crl.pem"
    kill -CONT "${PID[aggregator]}"
    since() { tail -n "+$((lines + 1))" "$log"; }
    for ((i = 0; i < 100; i++)); do since | grep -q "crl.pem was read again" && break; nap 0.05; done
    since | sed '/crl.pem was read again/q' >"$WORK/since"
    grep -q "crl.pem was read again" "$WORK/since" &&
        [ "$(grep -c "round [0-9]* finished" "$WORK/since")" -le 1 ]
}
for i in 1 2 3; do check "a new list counts from the next round on ($i)" read_at_once; done
code=$(invite delta)
check "another code does not pass for the identity that is there" refused "$WORK/out" \
    "holds an identity of 'delta' already, which this code did not bring" \
    "$BIN/fedmoe-node" join "$code" --output "$RUN/delta"
check "and stays open" says <(aggregator invite --list) "^delta +open"
aggregator invite --withdraw delta >"$WORK/out"
check "delta is not let in again" refused "$WORK/out" "revoked by the CA" \
    "$BIN/fedmoe-node" start --config "$RUN/delta/node.yaml" --retry-s 3
for name in alpha beta omega aggregator; do check "$name ends well" wait_end "$name" 150; done

# ---- nor by a restart
cp "$WORK/old.pem" "$RUN/aggregator/crl.pem"
check "an aggregator does not start with a list older than it had" refused "$WORK/out" \
    "crl.pem is not the newest .*list 1 where list" \
    "$BIN/fedmoe-aggregator" start --directory "$RUN/aggregator" --linger 1
cp "$WORK/old.pem" "$RUN/beta/crl.pem"
check "nor a node" refused "$WORK/out" "crl.pem is not the newest .*list 1 where list" \
    "$BIN/fedmoe-node" start --config "$RUN/beta/node.yaml" --retry-s 1
check "a revocation replaces it" aggregator revoke beta --ca "$RUN/ca"
check "by the newest" cmp "$RUN/ca/crl.pem" "$RUN/aggregator/crl.pem"

# ---- several commands at once: the last list is the one that stays
for name in alpha gamma omega northgate lakeside; do
    aggregator revoke $name --ca "$RUN/ca" >"$WORK/revoke.$name" 2>&1 &
    PID[revoke-$name]=$!
done
for name in alpha gamma omega northgate lakeside; do
    check "$name is revoked beside the others" wait_end "revoke-$name" 30
done
check "by the newest list of all" cmp "$RUN/ca/crl.pem" "$RUN/aggregator/crl.pem"

# ---- a damaged file of codes is no reason not to revoke
echo "no database" >"$RUN/aggregator/invitations.db"
check "it is said that a code may be open" refused "$WORK/out" \
    "'hillcrest' is revoked .*but a join code of it may still be open: .*damaged" \
    "$BIN/fedmoe-aggregator" revoke hillcrest --ca "$RUN/ca" --directory "$RUN/aggregator"
check "but it is revoked" cmp "$RUN/ca/crl.pem" "$RUN/aggregator/crl.pem"
finish
