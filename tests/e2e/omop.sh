# The shipped query and schema on an OMOP CDM 5.4 database, in a PostgreSQL of the test's own.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_postgres.sh"
cdm=${FEDMOE_SHARED:-$SOURCE/../shared}/data/omop/Synthea27Nj_5.4.csv.tar.xz
[ -f "$cdm" ] || skip "no ${cdm##*/} here"
command -v python3 >/dev/null || skip "no python3 here"
postgres_start
mkdir "$WORK/cdm" && tar xJf "$cdm" -C "$WORK/cdm"

# The tables of the query, with the types of the CDM.
psql -c "create table person(person_id int, gender_concept_id int, year_of_birth int)" \
    -c "create table observation_period(person_id int, observation_period_start_date date, observation_period_end_date date)" \
    -c "create table visit_occurrence(visit_occurrence_id int, person_id int, visit_concept_id int, visit_start_date date)" \
    -c "create table measurement(person_id int, measurement_concept_id int, measurement_date date, value_as_number numeric)" \
    -c "create table condition_occurrence(person_id int, condition_concept_id int, condition_start_date date)" \
    -c "create table drug_exposure(person_id int, drug_concept_id int, drug_exposure_start_date date)"
load() { # TABLE: those of its columns that were made
    local file
    file=$(find "$WORK/cdm" -iname "$1.csv")
    python3 - "$file" $(psql -c "select column_name from information_schema.columns where table_name = '$1' order by ordinal_position") <<'END' |
import csv, sys
out = csv.writer(sys.stdout)
for row in csv.DictReader(open(sys.argv[1], newline="")):
    out.writerow([row[c] for c in sys.argv[2:]])
END
        psql -c "\\copy $1 from stdin csv"
}
for table in person observation_period visit_occurrence measurement condition_occurrence drug_exposure; do
    check "$table is loaded" load $table
done

setup --rounds 2
cp "$SOURCE/examples/omop/acute_visit.sql" "$SOURCE/examples/omop/acute_visit.yaml" "$RUN/northgate/"
(umask 077 && echo "$POSTGRES" >"$RUN/northgate/connection")
awk '/^  records:/ { print "  records: {connection_file: connection, query_file: acute_visit.sql}"; next }
    /^  schema:/ { print "  schema: acute_visit.yaml"; next }
    /^  unit:/ { print "  unit: person_id"; next } { print }' "$RUN/northgate/node.yaml" >"$WORK/node.yaml"
grep -q '^  unit:' "$WORK/node.yaml" || sed -i 's/^policy:/policy:\n  unit: person_id/' "$WORK/node.yaml"
cat "$WORK/node.yaml" >"$RUN/northgate/node.yaml"
"$BIN/fedmoe-node" check --config "$RUN/northgate/node.yaml" >"$WORK/out" 2>&1
rows=$(psql -f "$SOURCE/examples/omop/acute_visit.sql" | wc -l)
people=$(psql -f "$SOURCE/examples/omop/acute_visit.sql" | cut -d'|' -f1 | sort -u | wc -l)
echo "$rows visits of $people people"
check "there are visits" [ "$rows" -gt 100 ]
check "every visit fits the schema, and the people are the units" \
    says "$WORK/out" "$rows records fit the schema 'omop-acute-visit'.*; $people units by column person_id"
# Counted another way, from the files: the label is that of an emergency or inpatient visit within a year.
acute() {
    python3 - "$WORK/cdm" <<'END'
import csv, datetime, glob, sys
def rows(name):
    for path in glob.glob(sys.argv[1] + "/**/*.csv", recursive=True):
        if path.lower().endswith("/" + name + ".csv"):
            yield from csv.DictReader(open(path, newline=""))
day = lambda s: datetime.date.fromisoformat(s[:10])
year = datetime.timedelta(days=365)
acute, pressure, observed = {}, set(), {}
for v in rows("visit_occurrence"):
    if v["visit_concept_id"] in ("9201", "9203", "262"):
        acute.setdefault(v["person_id"], []).append(day(v["visit_start_date"]))
for m in rows("measurement"):
    if m["measurement_concept_id"] == "3004249" and m["value_as_number"]:
        pressure.add((m["person_id"], day(m["measurement_date"])))
for o in rows("observation_period"):
    observed.setdefault(o["person_id"], []).append(
        (day(o["observation_period_start_date"]), day(o["observation_period_end_date"])))
n = [0, 0]
for v in rows("visit_occurrence"):
    p, d = v["person_id"], day(v["visit_start_date"])
    if v["visit_concept_id"] == "9202" and (p, d) in pressure:
        for a, b in observed.get(p, []):
            if a <= d and d + year <= b:
                n[any(d < x <= d + year for x in acute.get(p, []))] += 1
print(n[0], n[1])
END
}
labels=$(psql -c "select count(*) filter (where acute = 0), count(*) filter (where acute = 1) from ($(cat "$SOURCE/examples/omop/acute_visit.sql")) q" | tr '|' ' ')
echo "labels 0 and 1: $labels"
check "the labels are those of the files" [ "$(acute)" = "$labels" ]
check "both are there" bash -c '[ "${1% *}" -gt 0 ] && [ "${1#* }" -gt 0 ]' _ "$labels"
finish
