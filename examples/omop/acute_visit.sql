-- A row for each outpatient visit at which the blood pressure was taken, with what was known on that day;
-- the label: was there an emergency or inpatient visit within the following year? Of the OMOP CDM 5.4,
-- in PostgreSQL's SQL; the schema of the tables is the connection's search_path.
--
-- Only visits whose following year lies in the observation period count, so that "no" means no.
-- The unit of privacy is the person: node.yaml says `unit: person_id`.
WITH visit AS (
    SELECT v.visit_occurrence_id, v.person_id, v.visit_start_date AS day
    FROM visit_occurrence v
    JOIN observation_period o ON o.person_id = v.person_id
        AND v.visit_start_date >= o.observation_period_start_date
        AND v.visit_start_date + 365 <= o.observation_period_end_date
    WHERE v.visit_concept_id = 9202 -- outpatient
),
taken AS ( -- the day's measurements, one of a kind: their mean
    SELECT m.person_id, m.measurement_date AS day,
           avg(m.value_as_number) FILTER (WHERE m.measurement_concept_id = 3004249) AS systolic,
           avg(m.value_as_number) FILTER (WHERE m.measurement_concept_id = 3012888) AS diastolic,
           avg(m.value_as_number) FILTER (WHERE m.measurement_concept_id = 3027018) AS heart_rate,
           avg(m.value_as_number) FILTER (WHERE m.measurement_concept_id = 3036277) AS height_cm,
           avg(m.value_as_number) FILTER (WHERE m.measurement_concept_id = 3025315) AS weight_kg
    FROM measurement m
    WHERE m.measurement_concept_id IN (3004249, 3012888, 3027018, 3036277, 3025315)
    GROUP BY m.person_id, m.measurement_date
)
SELECT v.person_id,
       extract(year FROM v.day)::int - p.year_of_birth AS age,
       p.gender_concept_id AS sex,
       round(t.systolic, 1) AS systolic,
       round(t.diastolic, 1) AS diastolic,
       round(t.heart_rate, 1) AS heart_rate,
       round(t.weight_kg / nullif((t.height_cm / 100) ^ 2, 0), 1) AS bmi,
       (SELECT count(*) FROM visit_occurrence b
        WHERE b.person_id = v.person_id AND b.visit_start_date < v.day
            AND b.visit_start_date >= v.day - 365) AS visits_before,
       (SELECT count(DISTINCT c.condition_concept_id) FROM condition_occurrence c
        WHERE c.person_id = v.person_id AND c.condition_start_date <= v.day
            AND c.condition_start_date >= v.day - 365) AS conditions_before,
       (SELECT count(DISTINCT d.drug_concept_id) FROM drug_exposure d
        WHERE d.person_id = v.person_id AND d.drug_exposure_start_date <= v.day
            AND d.drug_exposure_start_date >= v.day - 365) AS drugs_before,
       CASE WHEN EXISTS (
           SELECT 1 FROM visit_occurrence a
           WHERE a.person_id = v.person_id AND a.visit_concept_id IN (9201, 9203, 262)
               AND a.visit_start_date > v.day AND a.visit_start_date <= v.day + 365
       ) THEN 1 ELSE 0 END AS acute
FROM visit v
JOIN person p ON p.person_id = v.person_id
JOIN taken t ON t.person_id = v.person_id AND t.day = v.day
WHERE t.systolic IS NOT NULL
