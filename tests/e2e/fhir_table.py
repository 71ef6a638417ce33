"""The table of examples/fhir/features.sql, computed from the export by other means: Python alone."""
import csv, glob, json, lzma, os, sys

DAY, BACK, AHEAD = "2020-01-01", "2015-01-01", "2021-01-01"
DATES = {"Condition": ["onsetDateTime", "recordedDate"], "Procedure": ["performedDateTime"], "Encounter": [],
         "MedicationRequest": ["authoredOn"]}
PERIODS = {"Procedure": "performedPeriod", "Encounter": "period", "Condition": "onsetPeriod"}


def resources(folder):
    for path in sorted(glob.glob(os.path.join(folder, "*.ndjson*"))):
        if os.path.basename(path) == "log.ndjson":
            continue
        opener = lzma.open if path.endswith(".xz") else open
        with opener(path, "rt", encoding="utf-8") as f:
            for line in f:
                yield json.loads(line)


def day_of(r):
    for key in DATES[r["resourceType"]]:
        if key in r:
            return r[key][:10]
    return r.get(PERIODS.get(r["resourceType"]), {}).get("start", "")[:10]


patients, events = {}, {}
for r in resources(sys.argv[1]):
    if r["resourceType"] == "Patient":
        patients[r["id"]] = r
    elif r["resourceType"] in DATES and r.get("status") != "entered-in-error":
        events.setdefault(r["subject"]["reference"].split("/")[-1], []).append(r)

out = csv.writer(sys.stdout, lineterminator="\n", quoting=csv.QUOTE_ALL)
out.writerow("patient age gender encounters procedures obese hypertension bmi medicated".split())
for id, p in sorted(patients.items()):
    died = p.get("deceasedDateTime", "9999")[:10]
    if p["birthDate"] >= DAY or died < DAY:
        continue
    mine = [(e["resourceType"], day_of(e), {c.get("code") for c in e.get("code", {}).get("coding", [])})
            for e in events.get(id, [])]

    def within(kind, first):
        return sum(k == kind and first <= d < DAY for k, d, _ in mine)

    def has(*codes):
        return int(any(k == "Condition" and d < DAY and c & set(codes) for k, d, c in mine))

    age = int(DAY[:4]) - int(p["birthDate"][:4]) - (DAY[5:] < p["birthDate"][5:])
    out.writerow([id, age, p["gender"], within("Encounter", BACK), within("Procedure", BACK), has("162864005"),
                  has("38341003", "59621000"), "",
                  int(any(k == "MedicationRequest" and DAY <= d < AHEAD for k, d, _ in mine))])
