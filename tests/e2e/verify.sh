# The audit bundle of a run: a member and an outsider check it without the aggregator; what was
# altered, left out or made up is named.
. "$(dirname "$0")/lib.sh"
setup --rounds 5
echo "keep_updates: true" >>"$RUN/aggregator/federation.yaml"
BUNDLE=$WORK/heart.audit
export_audit() { "$BIN/fedmoe-aggregator" export --directory "$RUN/aggregator" --audit "$1"; }
verify() { timeout 60 "$BIN/fedmoe-node" verify "$@"; }
member() { verify --config "$RUN/northgate/node.yaml" "$@"; }
into() { local file=$1; shift; "$@" >"$file" 2>&1; }
outsider() { verify --trust "$WORK/outsider" "$@"; }

check "nothing to check before the first round" refused "$WORK/out" "no round is finished yet" \
    "$BIN/fedmoe-aggregator" export --directory "$RUN/aggregator" --audit "$BUNDLE"
start_aggregator
for ((i = 0; i < 200; i++)); do [ -e "$RUN/aggregator/status.json" ] && break || nap 0.05; done
check "not while the aggregator runs" refused "$WORK/out" "an aggregator is at work there" \
    "$BIN/fedmoe-aggregator" export --directory "$RUN/aggregator" --audit "$BUNDLE"
kill_party aggregator
start_all
for name in $HOSPITALS; do check "$name ends well" wait_end "$name" 90; done
wait_end aggregator 30
check "the bundle" into "$WORK/out" export_audit "$BUNDLE"
check "with the updates of all rounds" says "$WORK/out" "5 rounds, the updates of 5"
check "never in place of the aggregator's own files" refused "$WORK/out" "own files" \
    "$BIN/fedmoe-aggregator" export --directory "$RUN/aggregator" --audit "$RUN/aggregator/plan.bin"
check "nor of the updates that it keeps" refused "$WORK/out" "among the updates that are kept" \
    "$BIN/fedmoe-aggregator" export --directory "$RUN/aggregator" \
    --audit "$RUN/aggregator/updates/$(ls "$RUN/aggregator/updates" | head -1)"
check "nobody else may read it" [ "$(stat -c %a "$BUNDLE")" = 600 ]
check "one of --output and --audit" bash -c '"$1" export --directory "$2" 2>"$3"; [ $? = 2 ]' _ \
    "$BIN/fedmoe-aggregator" "$RUN/aggregator" "$WORK/out"
check "a finished round has its updates, and no other has" \
    [ "$(ls -A "$RUN/aggregator/updates" | wc -l)" = 5 ]

# A member, with its own journal; an outsider with nothing but the CA's certificate.
mkdir "$WORK/outsider"
cp "$RUN/northgate/identity/ca.crt" "$WORK/outsider/"
mv "$RUN/aggregator" "$WORK/gone"
check "a member: it holds" into "$WORK/out" member "$BUNDLE"
check "its own rounds are in it" says "$WORK/out" "journal +5 rounds of this node are in it"
check "the sums were recomputed" says "$WORK/out" "recomputed in all 5 rounds"
check "an outsider: it holds" into "$WORK/out" outsider --recompute "$BUNDLE"
check "without a list nobody was looked for on it" says "$WORK/out" "no list here .*revoked members were not looked for"
check "who took part and signed" says "$WORK/out" "lakeside +5 +5"
check "what the run cost" says "$WORK/out" "epsilon +1 at delta 0.0001"
check "as JSON" into "$WORK/out.json" outsider --json "$BUNDLE"
check "valid" says "$WORK/out.json" '"valid": true'
FIRST=$(number "$WORK/out.json" first_round)
check "rounds" [ "$(number "$WORK/out.json" recomputed)" = 5 ]
if command -v python3 >/dev/null; then
    check "another program reads it from the document" \
        python3 "$SOURCE/tests/e2e/audit_read.py" "$BUNDLE" "$WORK/out.json"
fi

# Tampered copies.
tampered() { # OFFSET: one byte, from the end when negative
    local size at
    size=$(stat -c %s "$BUNDLE")
    at=$(($1 < 0 ? size + $1 : $1))
    cp "$BUNDLE" "$WORK/bad"
    printf "\\x$(printf %02x $(($(od -An -tu1 -j "$at" -N 1 "$BUNDLE") ^ 1)))" |
        dd of="$WORK/bad" bs=1 seek="$at" conv=notrunc status=none
}
tampered 100
check "a byte of the plan" refused "$WORK/out" "section 1, plan: its bytes do not have the mark" \
    "$BIN/fedmoe-node" verify --trust "$WORK/outsider" "$WORK/bad"
entry=$(grep -abo "entr" "$BUNDLE" | tail -1 | cut -d: -f1)
tampered $((entry + 60))
check "a byte of an entry" refused "$WORK/out" "section [0-9]+, entry: its bytes do not have the mark" \
    "$BIN/fedmoe-node" verify --trust "$WORK/outsider" "$WORK/bad"
tampered -1
check "the last byte" refused "$WORK/out" "seal: its bytes do not have the mark" \
    "$BIN/fedmoe-node" verify --trust "$WORK/outsider" "$WORK/bad"
head -c 50000 "$BUNDLE" >"$WORK/bad"
check "cut off" refused "$WORK/out" "the file ends .*cut off" \
    "$BIN/fedmoe-node" verify --trust "$WORK/outsider" "$WORK/bad"
{ cat "$BUNDLE"; echo; } >"$WORK/bad"
check "a byte more" refused "$WORK/out" "bytes behind the seal" \
    "$BIN/fedmoe-node" verify --trust "$WORK/outsider" "$WORK/bad"
check "no bundle at all" refused "$WORK/out" "does not begin with the line" \
    "$BIN/fedmoe-node" verify --trust "$WORK/outsider" "$SOURCE/README.md"
"$BIN/fedmoe-certs" ca new --directory "$WORK/other-ca" --federation heart-demo >"$WORK/out" 2>&1
check "another CA" refused "$WORK/out" "member 0: .*not issued by the pinned CA" \
    "$BIN/fedmoe-node" verify --trust "$WORK/other-ca" "$BUNDLE"

# An aggregator that leaves out what it would rather not show, and signs the rest.
mv "$WORK/gone" "$RUN/aggregator"
cp -a "$RUN/aggregator" "$WORK/honest"
sqlite3 "$RUN/aggregator/state.db" "UPDATE entry SET record = (SELECT record FROM entry WHERE round = $FIRST) WHERE round = $((FIRST + 1))"
check "a round in another's place" into "$WORK/out" export_audit "$WORK/bad"
check "is named" refused "$WORK/out" "entry of round $FIRST\), round: it stands behind round $FIRST" \
    "$BIN/fedmoe-node" verify --trust "$WORK/outsider" "$WORK/bad"
rm -rf "$RUN/aggregator" && cp -a "$WORK/honest" "$RUN/aggregator"
rm "$RUN/aggregator/updates/$((FIRST + 3))"
check "updates that are gone" into "$WORK/out" export_audit "$WORK/bad"
check "are said to be" into "$WORK/out" outsider "$WORK/bad"
check "and the rounds that they would prove" says "$WORK/out" "recomputed in 3 of 5 rounds"
check "and can be demanded" refused "$WORK/out" "only 3 of 5 rounds can be recomputed" \
    "$BIN/fedmoe-node" verify --trust "$WORK/outsider" --recompute "$WORK/bad"
ln -s $((FIRST + 3)) "$RUN/aggregator/updates/$((FIRST + 3))" # there, and cannot be read
check "updates that cannot be read are not taken for none" refused "$WORK/out" "updates/$((FIRST + 3)): cannot be opened" \
    "$BIN/fedmoe-aggregator" export --directory "$RUN/aggregator" --audit "$WORK/bad"
# A member that is revoked now.
"$BIN/fedmoe-aggregator" revoke lakeside --ca "$RUN/ca" --directory "$RUN/aggregator" >"$WORK/out"
cp "$RUN/ca/crl.pem" "$WORK/outsider/"
check "it counted then" into "$WORK/out" outsider "$BUNDLE"
check "and is named" says "$WORK/out" "lakeside +5 +5 +certificate revoked later, on "
check "by a list that is named" says "$WORK/out" "by list 2 of the CA"
# Committed to, never released: only this node can know.
sqlite3 "$RUN/northgate/state.db" "UPDATE rounds SET released_s = NULL WHERE round = $FIRST"
check "a round that never finished for this node" refused "$WORK/out" \
    "entry of round $FIRST\), survivors: this node committed to the round and never released" \
    "$BIN/fedmoe-node" verify --config "$RUN/northgate/node.yaml" "$BUNDLE"
check "unless its log says otherwise" into "$WORK/out" member --released $FIRST "$BUNDLE"
check "which the report repeats" says "$WORK/out" "1 of them by your word"
sqlite3 "$RUN/northgate/state.db" "UPDATE rounds SET released_s = used_s WHERE round = $FIRST"
# A round that this node released, and that is nowhere.
sqlite3 "$RUN/northgate/state.db" "INSERT INTO rounds SELECT federation, plan, $((FIRST - 1)), used_s, x'$(printf '%064d' 1)', released_s FROM rounds WHERE round = $FIRST"
check "a released round that the bundle lacks" refused "$WORK/out" \
    "no entry of round $((FIRST - 1)), which this node released" \
    "$BIN/fedmoe-node" verify --config "$RUN/northgate/node.yaml" "$BUNDLE"
check "unless the node's log says that it was abandoned" into "$WORK/out" member --abandoned $((FIRST - 1)) "$BUNDLE"
check "which the report lists" says "$WORK/out" "abandoned .*: $((FIRST - 1)) \(1 of them by your word\)"
check "but no round that is there" refused "$WORK/out" "abandoned $FIRST: the round is in the bundle" \
    "$BIN/fedmoe-node" verify --config "$RUN/northgate/node.yaml" --abandoned $FIRST "$BUNDLE"
sqlite3 "$RUN/northgate/state.db" "INSERT INTO abandoned SELECT federation, plan, round FROM rounds WHERE round = $((FIRST - 1))"
check "nor is a word needed where the journal has it" into "$WORK/out" member "$BUNDLE"
check "and it is listed" says "$WORK/out" "abandoned .*: $((FIRST - 1))\$"
sqlite3 "$RUN/northgate/state.db" "DELETE FROM rounds WHERE round = $((FIRST - 1)); UPDATE rounds SET committed = x'$(printf '%064d' 1)' WHERE round = $FIRST"
check "another commit than the journal's" refused "$WORK/out" \
    "entry of round $FIRST\), commit digest: it is not the one that this node signed" \
    "$BIN/fedmoe-node" verify --config "$RUN/northgate/node.yaml" "$BUNDLE"
finish
