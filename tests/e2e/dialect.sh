# A hospital's own way to write its file: the same records, and a federation goes on with them.
. "$(dirname "$0")/lib.sh"
setup --rounds 3
node=$RUN/northgate
looks() { "$BIN/fedmoe-node" check --config "$node/node.yaml" "$@"; }
into() { local file=$1; shift; "$@" >"$file" 2>&1; }
# What check says of the records, without the file's name.
of_records() { looks --columns | sed -n '/^[a-z0-9]* *[0-9][0-9]* *[0-9]\.[0-9][0-9] /p'; }
of_records >"$WORK/plain"
check "the records as they are" [ -s "$WORK/plain" ]

# As a German spreadsheet exports them, with a title, a header and a remark, packed.
python3 - "$node/records.csv" <<'END'
import gzip, sys
rows = [line.split(",") for line in open(sys.argv[1]).read().split()]
text = "Herzstudie, Nordtor; Krankenhaus Süd\r\n\r\n"
text += "age;sex;cp;trestbps;chol;fbs;restecg;thalach;exang;oldpeak;slope;ca;thal;num\r\n"
for i, row in enumerate(rows):
    text += "# gepr\xfcft\r\n" if i == 10 else ""
    text += ";".join("k.A." if cell == "?" else '"%s"' % cell.replace(".", ",") for cell in row) + "\r\n"
gzip.open(sys.argv[1][:-4] + ".german.csv.gz", "wb").write(text.encode("windows-1252"))
END
chmod 600 "$node/records.german.csv.gz"
sed -i 's/^  records: .*/  records: records.german.csv.gz/' "$node/node.yaml"
check "without a word about it they are refused" exits 1 "$WORK/out" "PROBLEM" looks
csv() { sed -i -e '/^  csv:/d' -e "s/^data:/&\n  csv: $1/" "$node/node.yaml"; }
csv '{skip_lines: 2, header: true}'
check "first the delimiter is named" exits 1 "$WORK/out" 'under data: csv: {delimiter: ";"}' looks
csv '{skip_lines: 2, header: true, delimiter: ";"}'
check "then the remark" exits 1 "$WORK/out" "german.csv.gz:14: 1 field where 14 belong" looks
check "then decimal commas" exits 1 "$WORK/out" 'column oldpeak: .*say csv: {decimal: ","} in node.yaml' looks
csv '{skip_lines: 2, header: true, delimiter: ";", decimal: ",", comment: "#", missing: ["k.A."], encoding: windows-1252}'
check "then they are in order" into "$WORK/out" looks
of_records >"$WORK/german"
check "and the same records" cmp "$WORK/plain" "$WORK/german"
csv '{skip_lines: 2, encoding: UTF-8}'
check "another encoding is found out" exits 1 "$WORK/out" "byte 0xfc is no UTF-8 here" looks
csv '{delimeter: ";"}'
check "a key that is none has its place" exits 1 "$WORK/out" "node.yaml:.*delimeter.*delimiter" looks
csv '{skip_lines: 2, header: true, delimiter: ";", decimal: ",", comment: "#", missing: ["k.A."], encoding: windows-1252}'
start_all
for name in aggregator $HOSPITALS; do check "$name is through" wait_end "$name" 60; done
"$BIN/fedmoe-node" evaluate --config "$RUN/lakeside/node.yaml" --model "$node/model.safetensors" \
    --data "$node/records.csv" --json >"$WORK/plain.json"
"$BIN/fedmoe-node" evaluate --config "$node/node.yaml" --data "$node/records.german.csv.gz" --json >"$WORK/german.json"
check "evaluate reads it as training did" cmp "$WORK/plain.json" "$WORK/german.json"
check "(there are figures)" says "$WORK/plain.json" '"auc"'
"$BIN/fedmoe-node" predict --config "$RUN/lakeside/node.yaml" --model "$node/model.safetensors" \
    --input "$node/records.csv" --output "$WORK/plain.csv" >/dev/null
"$BIN/fedmoe-node" predict --config "$node/node.yaml" --input "$node/records.german.csv.gz" --output "$WORK/german.csv" >/dev/null
check "and so does predict" cmp <(cut -d, -f2- "$WORK/plain.csv") <(cut -d, -f2- "$WORK/german.csv")
check "(there are predictions)" [ "$(wc -l <"$WORK/german.csv")" -gt 100 ]
check "with the same model everywhere" cmp "$node/model.safetensors" "$RUN/lakeside/model.safetensors"
finish
