# What start would refuse for a reason that lies in this house, check says before: one by one, and all at once.
. "$(dirname "$0")/lib.sh"
setup --rounds 4
node=$RUN/northgate
config=$node/node.yaml
cp -pr "$node" "$WORK/good"
looks() { "$BIN/fedmoe-node" check --config "$config" "$@"; }
starts() { timeout 60 "$BIN/fedmoe-node" start --config "$config" --retry-s 1; }
# both NAME TEXT: check lists it as a problem, and start ends with the same words.
both() {
    check "$1: check" exits 1 "$WORK/out" "^PROBLEM .*$2" looks
    check "$1: start" exits 1 "$WORK/out" "$2" starts
    [ "${3:-}" = keep ] && return
    chmod -R u+w "$node"; rm -rf "$node"; cp -pr "$WORK/good" "$node"
}
top() { sed -i "s,^policy:.*,$1\n&," "$config"; }    # a line before the policy
data() { sed -i "s,^data:.*,&\n  $1," "$config"; }
approvers() { sed -i "/^  approval:/d; s/^policy:.*/&\n  approvers: [$1]/" "$config"; }

check "a house in order" exits 0 "$WORK/out" "^ok +folders " looks
check "start has nothing against it either" exits 1 "$WORK/out" "nothing listens" starts
check "status.json is private" [ "$(stat -c %a "$node/status.json")" = 600 ]
rm -rf "$node"; cp -pr "$WORK/good" "$node"

# ---- approvers ----
openssl genpkey -algorithm ed25519 -out "$WORK/dpo.key" 2>/dev/null
openssl pkey -in "$WORK/dpo.key" -pubout -out "$WORK/dpo.pub"
approvers dpo.pub
both "an approver's key that is missing" "dpo.pub: not there; see policy.approvers"
cp "$WORK/dpo.key" "$node/dpo.key"
approvers dpo.key
both "a private key in its place" "dpo.key: holds a private key, .*wanted is its public half, as 'openssl pkey"
cp "$WORK/dpo.pub" "$node/dpo.pub"; chmod 666 "$node/dpo.pub"
approvers dpo.pub
both "one that anybody may change" "dpo.pub: mode 0666 lets others than its owner change it; run: chmod go-w"

# ---- who may write what it goes by ----
chmod 666 "$config"
both "node.yaml that anybody may change" "node.yaml: mode 0666 lets others"
chmod 660 "$config"
both "or a group" "node.yaml: mode 0660 lets others"
chmod 777 "$node"
both "its folder" "northgate: mode 0777 lets others than its owner replace what is in it"

# ---- folders ----
sed -i 's,^ledger: .*,ledger: books/ledger.db,' "$config"
both "the ledger's folder" "ledger .*books/ledger.db: .*the folder is not there"
touch "$node/books"
sed -i 's,^ledger: .*,ledger: books/ledger.db,' "$config"
both "which is a file" "books/ledger.db: .*(is not a folder|Not a directory)"
data 'scratch: tmp'
both "the scratch files' folder" "data.scratch: .*tmp: the folder is not there"
if [ "$(id -u)" != 0 ]; then
    mkdir "$node/tmp"; chmod 500 "$node/tmp"
    data 'scratch: tmp'
    both "that cannot be written" "data.scratch: .*tmp: nothing can be written in this folder"
fi
top 'model: base'
both "the language model's folder" "model: .*base"

sed -i 's,^  records: .*,  records: {connection_file: connection\, query: "SELECT 1"},; /^  schema:/d' "$config"
check "the file of a connection, by its name" exits 1 "$WORK/out" \
    "^PROBLEM +records .*connection is not there, .*see connection_file under data.records" looks
rm -rf "$node"; cp -pr "$WORK/good" "$node"

# ---- identity ----
sed -i 's,^identity: .*,identity: id,' "$config"
both "the identity's folder" "id/.*see identity in"
identity=$(sed -n 's/^identity: *"\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' "$config")
case $identity in /*) ;; *) identity=$node/$identity ;; esac
cp -pr "$identity" "$WORK/identity"
again() { rm -rf "$identity"; cp -pr "$WORK/identity" "$identity"; }
rm "$identity/ca.crt"
both "the CA" "ca.crt"
again
chmod 644 "$identity/identity.key"
both "a key that others may read" "identity.key: mode 0644 lets others read it"
again
cp "$WORK/dpo.pub" "$identity/identity.key"; chmod 600 "$identity/identity.key"
both "a public key in its place" "identity.key: is a public key"
again
cp "$RUN/lakeside/$(basename "$identity")/identity.crt" "$identity/identity.crt" 2>/dev/null ||
    cp "$RUN"/lakeside*/identity.crt "$identity/identity.crt"
both "another's certificate" "identity"
again
printf 'fedmoe decision v1\nnumber 7\n' >"$node/decisions"; chmod 600 "$node/decisions"
both "decisions that were altered" "decision 1 was altered or is damaged"

# ---- as join leaves it: the purpose is to come, and the rest is looked at all the same ----
sed -i "s/^    - .*/    - \"put the purpose that was agreed here\"/" "$config"
check "a purpose that is to come" exits 1 "$WORK/out" "^PROBLEM +purpose .*still reads" looks
check "does not keep the records from being read" says "$WORK/out" "^ok +records +[0-9]+ records fit"
mv "$node/records.csv" "$node/else.csv"
check "or missed" exits 1 "$WORK/out" "^PROBLEM +records .*records.csv is not there; see data.records" looks
rm -rf "$node"; cp -pr "$WORK/good" "$node"
sed -i '/^  schema:/d' "$config"
check "without a schema, that they are there" exits 0 "$WORK/out" "^ok +records +there; give --schema" looks

# ---- all at once ----
approvers 'a.pub, b.pub'
sed -i 's,^ledger: .*,ledger: books/ledger.db,' "$config"
data 'scratch: tmp'
top 'model: base'
chmod 666 "$config"
rm "$identity/ca.crt" "$identity/identity.key" "$node/records.csv"
exits 1 "$WORK/out" "problems" looks
for text in "a.pub: not there" "b.pub: not there" books/ledger.db data.scratch "model: " "mode 0666" ca.crt identity.key \
    "records.csv"; do
    check "all at once: $text" says "$WORK/out" "^PROBLEM .*$text"
done
check "and the compute line is there" says "$WORK/out" "^ok +compute"
again
finish
