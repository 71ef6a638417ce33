# Texts of every source, counted by the command; what is wrong, said without a word of a record.
. "$(dirname "$0")/lib.sh"
cd "$WORK" || exit 1

# Letters have tokens, and the end of a text; other bytes have none.
vocabulary() {
    local i=0 c
    for c in {a..z}; do
        printf '%s"%s": %d' "$([ $i = 0 ] || echo ', ')" "$c" "$i"
        i=$((i + 1))
    done
}
cat >tokenizer.json <<END
{"version": "1.0", "normalizer": null, "post_processor": null, "decoder": {"type": "ByteLevel"},
 "added_tokens": [{"id": 26, "content": "</s>", "special": true, "single_word": false,
                   "lstrip": false, "rstrip": false, "normalized": false}],
 "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
 "model": {"type": "BPE", "unk_token": null, "merges": [], "vocab": {$(vocabulary)}}}
END
corpus=("$BIN/fedmoe-model" corpus --tokenizer tokenizer.json)

# counts KEY VALUE...: of the JSON in figures.json.
counts() {
    while [ $# -gt 0 ]; do
        says figures.json "^ *\"$1\": \"?$2\"?,?$" || return 1
        shift 2
    done
}

printf 'name: t\nsource: csv\ntemplate: "{a}{b}"\nunit: who\n' >csv.yaml
printf 'who,a,b\nx,ab,"c\nd"\ny,,\nx,efghijk,\n' >one.csv
printf 'b,a,who\r\nlm,</s>,z\r\n' >two.csv
"${corpus[@]}" --schema csv.yaml --context 4 --json one.csv two.csv >figures.json
check "csv: records, documents, units, tokens, sequences" counts records 4 documents 4 empty 1 units 2 unit who \
    tokens 16 sequences 4 longest_document 8 longest_sequence 4 lost_bytes 4
check "and of each unit" counts least 1 most 3
"${corpus[@]}" --schema csv.yaml --context 4 --max-unit-sequences 1 one.csv two.csv >figures.txt
check "of a unit no more than asked for" says figures.txt "2 sequences left out by --max-unit-sequences"

printf 'name: t\nsource: ndjson\ntext: n.t\nunit: record\n' >ndjson.yaml
printf '{"n": {"t": "abc"}}\n\n{"n": {"t": "de"}}\n' >notes.ndjson
"${corpus[@]}" --schema ndjson.yaml --json notes.ndjson >figures.json
check "ndjson" counts records 2 units 2 unit record tokens 7
"${corpus[@]}" --schema ndjson.yaml --json <(cat notes.ndjson) >figures.json
check "from a pipe" counts records 2 tokens 7

note() {
    printf '{"resourceType": "DocumentReference", "subject": {"reference": "%s"}, "content": [{"attachment": ' "$1"
    printf '{"contentType": "text/plain", "data": "%s"}}]}\n' "$(printf %s "$2" | base64)"
}
printf 'name: t\nsource: fhir\nunit: patient\n' >fhir.yaml
{ note Patient/a abc; note http://h/fhir/Patient/a de; note Patient/b f; echo '{"resourceType": "Patient"}'; } >fhir.ndjson
"${corpus[@]}" --schema fhir.yaml --json fhir.ndjson >figures.json
check "fhir: two notes of one patient are one unit" counts records 4 passed_over 1 documents 3 units 2 tokens 9

note Group/secret secret >>fhir.ndjson
echo '{"secret": "secret' >>fhir.ndjson
check "who cannot be told is refused with file and line" refused out \
    "fhir.ndjson:5, key subject.reference: it names no patient" "${corpus[@]}" --schema fhir.yaml fhir.ndjson
check "so is what is no JSON" says out "fhir.ndjson:6, byte 18: the line ends before the object does"
check "without a word of the record" bash -c '! grep -q secret out'
printf 'who,a,b\n,secret,\nx,secret\n' >bad.csv
check "csv: the row and the column" refused out "bad.csv:2, column who: empty" "${corpus[@]}" --schema csv.yaml one.csv bad.csv
check "and the next one" says out "bad.csv:3: 2 fields where 3 belong"
check "without a word of the record" bash -c '! grep -q secret out'
echo "txet: a" >>csv.yaml
check "an unknown key: file, line, and what was meant" refused out \
    "csv.yaml:5:1: unknown key 'txet'; did you mean 'text'" "${corpus[@]}" --schema csv.yaml one.csv
check "an end token that is none" refused out "has no token </e>" \
    "${corpus[@]}" --schema ndjson.yaml --end-token '</e>' notes.ndjson
sed 's/<\/s>/<｜end▁of▁sentence｜>/' tokenizer.json >deepseek.json
"$BIN/fedmoe-model" corpus --tokenizer deepseek.json --schema ndjson.yaml --json notes.ndjson >figures.json
check "DeepSeek's end token is known" counts tokens 7
sed 's/<\/s>/<stop>/' tokenizer.json >other.json
check "and one that is not must be named" refused out "say which one does" \
    "$BIN/fedmoe-model" corpus --tokenizer other.json --schema ndjson.yaml notes.ndjson
"${corpus[@]}" --schema ndjson.yaml notes.ndjson >/dev/full 2>out
check "a full disk is a failure" [ $? = 1 ]
finish
