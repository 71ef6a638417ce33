# check lists all that is wrong with records and says what has drifted; schema suggest drafts what
# check accepts, and never silently from the records.
. "$(dirname "$0")/lib.sh"
setup --rounds 4
node=$RUN/northgate
cd "$node" || exit 1
# A header, for names; and a column that says whose.
{ echo age,sex,cp,trestbps,chol,fbs,restecg,thalach,exang,oldpeak,slope,ca,thal,num; cat records.csv; } >headed.csv
sed 's/header: false/header: true/' "$RUN/schema.yaml" >headed.yaml
sed -i -e 's/^  records: .*/  records: headed.csv/' -e "s,^  schema: .*,  schema: headed.yaml," node.yaml
chmod o= ./*.csv
cp headed.csv good.csv
looks() { "$BIN/fedmoe-node" check --config node.yaml "$@"; }
into() { local file=$1; shift; "$@" >"$file" 2>&1; }

check "good records are in order" into out looks --columns
check "with a table of their columns" says out "^chol +[0-9]+ +0\.00 .* [0-9]+ to [0-9]+$"

# ---- everything at once ----
awk -F, -v OFS=, 'NR == 5 { $1 = "abc" } NR == 6 { $3 = 9 } NR == 6 { $1 = "x" } NR == 7 { $0 = $0 ",1" }
    NR == 8 { $14 = "" } NR >= 100 && NR < 140 { $3 = "five" } { print }' good.csv >headed.csv
check "all problems are found" exits 1 out "fedmoe-node check: 45 problems" looks
check "each kind with its count and columns" says out "^PROBLEM  records +41: cells with an undeclared value \(cp 41\)"
check "and each with its place" says out "headed.csv:5, column age: \"abc\" is not a number"
check "the second one of a record, too" says out "headed.csv:6, column cp: \"9\" is none of the declared values"
check "a wrong number of cells" says out "headed.csv:7: 15 fields where 14 belong"
check "a missing label" says out 'headed.csv:8, column num: "" is neither'
check "twenty of a kind are shown" [ "$(grep -c 'column cp' out)" = 20 ]
check "and how many more there are" says out "\.\.\. and 21 more; --all lists all"
check "with what to do" says out "^ +-> correct them"
check "or all of them" exits 1 out "45 problems" looks --all
check "each in a line" [ "$(grep -c '^PROBLEM  records .*column cp' out)" = 41 ]
looks --json >out 2>err
check "JSON has an object a line" bash -c 'python3 -c "import json, sys; [json.loads(l) for l in sys.stdin]" <out'
check "of a problem: where, what, what to do" says out \
    '"kind":"number","file":"[^"]*headed.csv","line":5,"column":"age","value":"abc","message":.*"remedy":'
check "and the counts" says out '"check":"summary","level":"problem","problems":45'
check "nothing of the records is on standard error" bash -c '! grep -qE "abc|five" err'

# ---- warnings are no failure ----
awk -F, -v OFS=, 'NR > 1 { $5 = sprintf("%.2f", $5 / 38.67); $14 = 0 } { print }' good.csv >headed.csv
check "odd records are warned of" into out looks
check "a unit of measurement" says out "column chol: 200 of 200 numbers are outside .* multiplied by 38.67 \(cholesterol in mmol/l"
check "a class that nobody has" says out 'column num: no record is positive'
check "what the schema clips" says out "^WARNING  records +200: cells outside of the range, which the schema takes \(chol 200\)"

# ---- drift ----
cp good.csv headed.csv
check "a check is kept" into out looks --keep
check "as privately as the records are" [ "$(stat -c %a check.json)" = 600 ]
check "the same records have not drifted" into out looks
check "which it says" says out "^ok +drift +0 of 14 columns"
awk -F, -v OFS=, 'NR > 1 { $1 += 20; $14 = NR % 10 ? 0 : 1 } { print }' good.csv >headed.csv
check "others have" into out looks
check "by column, index and place" says out \
    "column age: population stability index [0-9.]+, a large change since the check that was kept; most of it: .*% then, .*% now"
check "the label, too" says out "column num: population stability index"
check "and no column that is as it was" bash -c '! grep -q "column sex: population" out'
chmod 644 check.json
check "a summary that others may read is refused" exits 1 out "check.json.*(0600|600)" looks
rm check.json
echo "1,0,zz" >>headed.csv
check "records with problems are no measure" exits 1 out "nothing was kept" looks --keep
check "(nothing)" [ ! -e check.json ]
looks >both 2>&1
check "the sum comes last, also where both outputs are one file" [ "$(tail -n 1 both | grep -c '^fedmoe-node check: 1 problem$')" = 1 ]

# ---- schema suggest ----
cp good.csv headed.csv
suggest() { "$BIN/fedmoe-node" schema suggest "$@"; }
check "without a source it refuses, and says why" exits 2 out "never silently from the records" suggest --label num
cat >dictionary.csv <<'END'
name,type,min,max,unit,categories,label,description
age,integer,18,100,years,,Age,
sex,category,,,,0=female; 1=male,,
cp,category,,,,1|2|3|4,Chest pain,
trestbps,number,80,200,mm Hg,,,
chol,number,,,mg/dl,,,
fbs,yesno,,,,,,
restecg,category,,,,"0,1,2",,
thalach,number,60,220,,,,
exang,yesno,,,,,,
oldpeak,number,-3,7,,,,
slope,category,,,,"1,2,3",,
ca,category,,,,"0,1,2,3",,
thal,category,,,,"3,6,7",,
num,label,,,,0=none; 1=one; 2=two; 3=three; 4=four,Disease,
END
check "a dictionary" into out suggest --dictionary dictionary.csv --missing '?' --name heart --output draft.yaml
check "what it does not say is ignored, and said" says draft.yaml "no range is known: ignored until"
check "where a figure comes from stands in the draft" says draft.yaml 'source: ".*dictionary.csv, line 2"'
check "check accepts the draft" into out looks --schema draft.yaml
check "it is not overwritten" exits 1 out "draft.yaml" suggest --dictionary dictionary.csv --output draft.yaml
cat >redcap.csv <<'END'
Variable / Field Name,Form Name,Field Type,Field Label,"Choices, Calculations, OR Slider Labels",Text Validation Type OR Show Slider Number,Text Validation Min,Text Validation Max
drugs,base,checkbox,Drugs,"1, A | 2, B",,,
weight,base,text,Weight,,integer,30,250
outcome,base,yesno,Outcome,,,,
END
echo "drugs___1,drugs___2,outcome" >checkboxes.csv
check "a checkbox of REDCap's" into out suggest --dictionary redcap.csv --records checkboxes.csv --label outcome
check "is a column for each choice" says out "drugs___2"
"$BIN/fedmoe-node" schema suggest --dictionary redcap.csv --records checkboxes.csv --label outcome >/dev/null 2>left
check "and itself not left out" [ "$(grep -c 'column drugs' left)" = 0 ]
check "what is left out is named with its line" says left "column weight .*redcap.csv, line 3.* is not in the header of the records; left out"
check "an estimate needs the officer's yes" exits 1 out "policy.tasks" suggest --dictionary dictionary.csv --charge 0.4
sed -i 's/^  tasks: .*/  tasks: [training, statistics]/' node.yaml
entries() { "$BIN/fedmoe-node" ledger --config node.yaml --json 2>/dev/null | grep -c '"round"'; }
check "(nothing was charged)" [ ! -e ledger.db ]
into out suggest --dictionary dictionary.csv --missing '?' --charge 0.9 --output charged.yaml
check "a charged estimate of what is open" says charged.yaml 'range: \[[0-9]+, [0-9]+\]'
check "says what it cost" says charged.yaml "charged estimate on data set 'northgate': epsilon 0.9 at delta 0.0001 for 1 columns"
check "stands in the ledger" [ "$(entries)" = 1 ]
check "which is whole, and fits the journal" into out looks --schema charged.yaml
check "a second one passes the budget" exits 1 out "0\.9.* is spent" suggest --dictionary dictionary.csv --charge 0.9
check "and is not charged" [ "$(entries)" = 1 ]
cat >result.json <<'END'
{"task": "statistics", "federation": "heart", "plan": "ab12", "epsilon": 1, "results": [
 {"ask": "quantiles", "column": "chol", "quantiles": [{"at": 0.01, "estimate": 130, "low": 120, "high": 140},
                                                      {"at": 0.99, "estimate": 390, "low": 370, "high": 398}]}]}
END
check "an answer of a query" into out suggest --dictionary dictionary.csv --missing '?' --answer result.json --output answered.yaml
check "gives the range" says answered.yaml "range: \[120, 400\]"
check "and is the source" says answered.yaml "query of federation 'heart', epsilon 1, plan ab12: quantiles 0.01 to 0.99"
check "which check accepts" into out looks --schema answered.yaml
finish
