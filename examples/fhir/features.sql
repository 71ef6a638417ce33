-- A row for each patient who was alive on 2020-01-01, with what was known on that day; the label: was a new
-- medication ordered in the year that followed? Of a FHIR bulk export (docs/sources.md has the tables), in
-- SQLite's SQL. Dates are texts YYYY-MM-DD, which compare as dates do.
WITH at(day, back, ahead) AS (VALUES ('2020-01-01', '2015-01-01', '2021-01-01')),
known AS (
    SELECT e.* FROM event e, at WHERE e.date < at.day
)
SELECT p.id AS patient,
       -- Whole years: a birthday that is still to come does not count.
       CAST(strftime('%Y', at.day) AS INTEGER) - CAST(strftime('%Y', p.birth_date) AS INTEGER)
           - (strftime('%m-%d', at.day) < strftime('%m-%d', p.birth_date)) AS age,
       p.gender,
       (SELECT count(DISTINCT e.id) FROM known e
        WHERE e.patient = p.id AND e.resource = 'Encounter' AND e.date >= at.back) AS encounters,
       (SELECT count(DISTINCT e.id) FROM known e
        WHERE e.patient = p.id AND e.resource = 'Procedure' AND e.date >= at.back) AS procedures,
       -- Obesity and hypertension, by SNOMED CT.
       EXISTS (SELECT 1 FROM known e WHERE e.patient = p.id AND e.resource = 'Condition'
               AND e.system = 'http://snomed.info/sct' AND e.code = '162864005') AS obese,
       EXISTS (SELECT 1 FROM known e WHERE e.patient = p.id AND e.resource = 'Condition'
               AND e.system = 'http://snomed.info/sct' AND e.code IN ('38341003', '59621000')) AS hypertension,
       -- The latest body mass index, by LOINC; NULL when none was taken.
       (SELECT round(e.value, 1) FROM known e WHERE e.patient = p.id AND e.resource = 'Observation'
        AND e.code = '39156-5' ORDER BY e.date DESC, e.id LIMIT 1) AS bmi,
       EXISTS (SELECT 1 FROM event e WHERE e.patient = p.id AND e.resource = 'MedicationRequest'
               AND e.date >= at.day AND e.date < at.ahead) AS medicated
FROM patient p, at
WHERE p.birth_date < at.day AND (p.death_date IS NULL OR p.death_date >= at.day)
ORDER BY p.id
