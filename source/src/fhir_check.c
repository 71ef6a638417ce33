/* What FHIR R4 wants of the elements that are read, and what else stands there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fedmoe/base/text.h"
#include "fhir_internal.h"

#define SHOWN_MOST 48
#define FIRST_YEAR 1850
#define ID_MOST 64

/* Types of R4, R4B and R5 (hl7.org/fhir, resourcelist): those that are passed over. */
static const char *const types[] = {
    "Account",
    "ActivityDefinition",
    "ActorDefinition",
    "AdministrableProductDefinition",
    "AdverseEvent",
    "AllergyIntolerance",
    "Appointment",
    "AppointmentResponse",
    "ArtifactAssessment",
    "AuditEvent",
    "Basic",
    "Binary",
    "BiologicallyDerivedProduct",
    "BiologicallyDerivedProductDispense",
    "BodyStructure",
    "CapabilityStatement",
    "CarePlan",
    "CareTeam",
    "CatalogEntry",
    "ChargeItem",
    "ChargeItemDefinition",
    "Citation",
    "Claim",
    "ClaimResponse",
    "ClinicalImpression",
    "ClinicalUseDefinition",
    "CodeSystem",
    "Communication",
    "CommunicationRequest",
    "CompartmentDefinition",
    "Composition",
    "ConceptMap",
    "Condition",
    "ConditionDefinition",
    "Consent",
    "Contract",
    "Coverage",
    "CoverageEligibilityRequest",
    "CoverageEligibilityResponse",
    "DetectedIssue",
    "Device",
    "DeviceAssociation",
    "DeviceDefinition",
    "DeviceDispense",
    "DeviceMetric",
    "DeviceRequest",
    "DeviceUsage",
    "DeviceUseStatement",
    "DiagnosticReport",
    "DocumentManifest",
    "DocumentReference",
    "EffectEvidenceSynthesis",
    "Encounter",
    "EncounterHistory",
    "Endpoint",
    "EnrollmentRequest",
    "EnrollmentResponse",
    "EpisodeOfCare",
    "EventDefinition",
    "Evidence",
    "EvidenceReport",
    "EvidenceVariable",
    "ExampleScenario",
    "ExplanationOfBenefit",
    "FamilyMemberHistory",
    "Flag",
    "FormularyItem",
    "GenomicStudy",
    "Goal",
    "GraphDefinition",
    "Group",
    "GuidanceResponse",
    "HealthcareService",
    "ImagingSelection",
    "ImagingStudy",
    "Immunization",
    "ImmunizationEvaluation",
    "ImmunizationRecommendation",
    "ImplementationGuide",
    "Ingredient",
    "InsurancePlan",
    "InventoryItem",
    "InventoryReport",
    "Invoice",
    "Library",
    "Linkage",
    "List",
    "Location",
    "ManufacturedItemDefinition",
    "Measure",
    "MeasureReport",
    "Media",
    "Medication",
    "MedicationAdministration",
    "MedicationDispense",
    "MedicationKnowledge",
    "MedicationRequest",
    "MedicationStatement",
    "MedicinalProduct",
    "MedicinalProductAuthorization",
    "MedicinalProductContraindication",
    "MedicinalProductDefinition",
    "MedicinalProductIndication",
    "MedicinalProductIngredient",
    "MedicinalProductInteraction",
    "MedicinalProductManufactured",
    "MedicinalProductPackaged",
    "MedicinalProductPharmaceutical",
    "MedicinalProductUndesirableEffect",
    "MessageDefinition",
    "MessageHeader",
    "MolecularSequence",
    "NamingSystem",
    "NutritionIntake",
    "NutritionOrder",
    "NutritionProduct",
    "Observation",
    "ObservationDefinition",
    "OperationDefinition",
    "OperationOutcome",
    "Organization",
    "OrganizationAffiliation",
    "PackagedProductDefinition",
    "Parameters",
    "Patient",
    "PaymentNotice",
    "PaymentReconciliation",
    "Permission",
    "Person",
    "PlanDefinition",
    "Practitioner",
    "PractitionerRole",
    "Procedure",
    "Provenance",
    "Questionnaire",
    "QuestionnaireResponse",
    "RegulatedAuthorization",
    "RelatedPerson",
    "RequestGroup",
    "RequestOrchestration",
    "Requirements",
    "ResearchDefinition",
    "ResearchElementDefinition",
    "ResearchStudy",
    "ResearchSubject",
    "RiskAssessment",
    "RiskEvidenceSynthesis",
    "Schedule",
    "SearchParameter",
    "ServiceRequest",
    "Slot",
    "Specimen",
    "SpecimenDefinition",
    "StructureDefinition",
    "StructureMap",
    "Subscription",
    "SubscriptionStatus",
    "SubscriptionTopic",
    "Substance",
    "SubstanceDefinition",
    "SubstanceNucleicAcid",
    "SubstancePolymer",
    "SubstanceProtein",
    "SubstanceReferenceInformation",
    "SubstanceSourceMaterial",
    "SubstanceSpecification",
    "SupplyDelivery",
    "SupplyRequest",
    "Task",
    "TerminologyCapabilities",
    "TestPlan",
    "TestReport",
    "TestScript",
    "Transport",
    "ValueSet",
    "VerificationResult",
    "VisionPrescription",
};

static const char *kind_of(const json_t *v)
{
    static const char *const words[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "a list",  [JSON_STRING] = "a text",
        [JSON_INTEGER] = "a number", [JSON_REAL] = "a number", [JSON_TRUE] = "true",
        [JSON_FALSE] = "false",      [JSON_NULL] = "null",
    };

    return words[json_typeof(v)];
}

/* As it stands in the file, cut short; "" of objects and lists. */
static void show(const json_t *v, char out[SHOWN_MOST + 8])
{
    char *text = json_is_object(v) || json_is_array(v) ? NULL : json_dumps(v, JSON_ENCODE_ANY);
    size_t n = text ? strlen(text) : 0;

    if (n > SHOWN_MOST) {
        for (n = SHOWN_MOST - 3; n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80; n--)
            ;
        (void)snprintf(out, SHOWN_MOST + 8, "%.*s...", (int)n, text);
    } else {
        (void)snprintf(out, SHOWN_MOST + 8, "%s", text ? text : "");
    }
    fm_text_clean(out);
    free(text);
}

fm_status fm_fhir_note(fm_fhir_place *p, const char *text)
{
    const fm_status st = fm_buf_printf(p->problems, "%s\n", text);

    if (st)
        return st;
    if (++p->problem_count < FM_FHIR_PROBLEMS)
        return FM_OK;
    if (fm_buf_printf(p->problems, "%s: reading stops here: there are %zu problems\n", p->name,
                      p->problem_count))
        return FM_ENOMEM;
    return fm_fail(FM_EPARSE, "%s: too many problems", p->name);
}

fm_status fm_fhir_problem(fm_fhir_place *p, const char *element, const json_t *v, const char *what)
{
    char shown[SHOWN_MOST + 8] = "", line[1000], id[ID_MOST + 4] = "";
    const bool has_id = p->type && p->id && !p->hide_values;

    if (v && !p->hide_values)
        show(v, shown);
    if (has_id) {
        (void)snprintf(id, sizeof id, "/%.*s", ID_MOST, p->id);
        fm_text_clean(id);
    }
    (void)snprintf(line, sizeof line, "%.500s:%zu%s%s%s%s%s: %s%s%.300s", p->name, p->line,
                   p->type ? ", " : "", p->type ? p->type : "", id, element ? ", " : "",
                   element ? element : "", shown, shown[0] ? " " : "", what);
    return fm_fhir_note(p, line);
}

/* What stands under keys with points between. @param inner the object that has, or lacks, the last. */
static const json_t *look(const json_t *object, const char *path)
{
    char key[40];

    for (;;) {
        const size_t len = strcspn(path, ".");

        memcpy(key, path, len); /* of this program's tables: shorter */
        key[len] = '\0';
        object = json_object_get(object, key);
        if (!path[len])
            return object;
        path += len + 1;
    }
}

static bool is_of(const json_t *v, fm_fhir_kind kind)
{
    switch (kind) {
    case FM_FHIR_TEXT:
        return json_is_string(v) && json_string_length(v) > 0;
    case FM_FHIR_NUMBER:
        return json_is_number(v);
    case FM_FHIR_OBJECT:
        return json_is_object(v);
    default:
        return json_is_array(v);
    }
}

fm_status fm_fhir_element(fm_fhir_place *p, const json_t *object, const char *path,
                          fm_fhir_kind kind, const json_t **out)
{
    static const char *const wanted[] = { "a text in double quotes", "a number without quotes",
                                          "an object in braces", "a list in brackets" };
    const json_t *v = look(object, path);
    char what[160];

    *out = v && is_of(v, kind) ? v : NULL;
    if (!v || *out)
        return FM_OK;
    if (kind == FM_FHIR_TEXT && json_is_string(v))
        return fm_fhir_problem(p, path, NULL,
                               "is empty; leave the element out when there is nothing to say");
    (void)snprintf(what, sizeof what, "is %s, and must be %s", kind_of(v), wanted[kind]);
    return fm_fhir_problem(p, path, v, what);
}

/* ---- dates ---- */

static bool digits(const char *at, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (at[i] < '0' || at[i] > '9')
            return false;
    return true;
}

static int two(const char *at)
{
    return (at[0] - '0') * 10 + (at[1] - '0');
}

/* Thh:mm[:ss[.fff]][Z|+hh:mm]; servers leave the seconds or the zone out. */
static bool is_time(const char *s)
{
    if (*s++ != 'T' || !digits(s, 2) || s[2] != ':' || !digits(s + 3, 2) || two(s) > 24 ||
        two(s + 3) > 59)
        return false;
    s += 5;
    if (*s == ':') {
        if (!digits(s + 1, 2) || two(s + 1) > 60)
            return false;
        s += 3;
        if (*s == '.')
            s += 1 + strspn(s + 1, "0123456789");
    }
    if (*s == 'Z')
        return !s[1];
    if (*s == '+' || *s == '-')
        return digits(s + 1, 2) && s[3] == ':' && digits(s + 4, 2) && !s[6];
    return !*s;
}

/* FHIR's date and dateTime: YYYY, YYYY-MM, YYYY-MM-DD, and that with a time. @return bytes of the date,
 * 0: it is none. @param no_day out: written as one, but no month or month's day. */
static size_t date_length(const char *s, bool *no_day)
{
    static const unsigned char days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    const size_t len = strcspn(s, "T");
    int year, month = 1, day = 1, most;

    *no_day = false;
    if ((len != 4 && len != 7 && len != 10) || !digits(s, 4) ||
        (s[len] && (len != 10 || !is_time(s + len))))
        return 0;
    year = two(s) * 100 + two(s + 2);
    if (len >= 7) {
        if (s[4] != '-' || !digits(s + 5, 2))
            return 0;
        month = two(s + 5);
    }
    if (len == 10) {
        if (s[7] != '-' || !digits(s + 8, 2))
            return 0;
        day = two(s + 8);
    }
    *no_day = month < 1 || month > 12;
    if (*no_day)
        return 0;
    most = days[month - 1] + (month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0));
    *no_day = day < 1 || day > most;
    return *no_day ? 0 : len;
}

fm_status fm_fhir_date(fm_fhir_place *p, const json_t *object, const char *path, int last_year,
                       const char **text, size_t *bytes)
{
    const json_t *v = NULL;
    char what[320];
    const char *s;
    bool no_day = false;
    size_t len;
    int year;
    fm_status st = fm_fhir_element(p, object, path, FM_FHIR_TEXT, &v);

    *text = NULL;
    *bytes = 0;
    if (st || !v)
        return st;
    s = json_string_value(v);
    if ((len = date_length(s, &no_day)) == 0)
        return fm_fhir_problem(p, path, v,
                               no_day ? "is not a date: there is no such day"
                                      : "is not a date; FHIR writes 1950-02-28, or with a time "
                                        "1950-02-28T10:00:00+01:00");
    year = two(s) * 100 + two(s + 2);
    if (year < FIRST_YEAR || year > last_year ||
        (last_year <= p->this_year && len == 10 && strncmp(s, p->today, len) > 0)) {
        (void)snprintf(what, sizeof what,
                       "is a date out of the question here (%d to %s%.0d); leave the element out "
                       "when the date is not known; were all moved for de-identification, say "
                       "shifted_dates: true beside fhir: in node.yaml",
                       FIRST_YEAR, last_year <= p->this_year ? "today" : "",
                       last_year <= p->this_year ? 0 : last_year);
        return fm_fhir_problem(p, path, v, what);
    }
    *text = s;
    *bytes = len;
    return FM_OK;
}

/* ---- keys and types ---- */

/* "onsetdateTime", "onsetDateTim", "onsetDate", "val": but not an element of its own. */
static bool is_meant(const char *has, const char *key)
{
    const size_t n = strlen(has), all = strlen(key);

    return strcasecmp(has, key) == 0 || fm_text_distance(has, key) <= (all < 10 ? 1 : 2) ||
           (n >= 3 && n < all && all - n <= 4 && strncmp(has, key, n) == 0);
}

fm_status fm_fhir_check_keys(fm_fhir_place *p, const json_t *object, const char *const *keys)
{
    char what[160];
    fm_status st = FM_OK;

    for (void *it = json_object_iter((json_t *)(uintptr_t)object); it && !st;
         it = json_object_iter_next((json_t *)(uintptr_t)object, it)) {
        const char *has = json_object_iter_key(it);

        if (*has == '_') /* extensions of the element that has the name behind it */
            continue;
        for (size_t k = 0; keys[k] && !st; k++) {
            if (strcmp(has, keys[k]) == 0)
                break;
            if (json_object_get(object, keys[k]) || !is_meant(has, keys[k]))
                continue;
            (void)snprintf(what, sizeof what,
                           "is no element of FHIR's here; did you mean \"%s\"? Upper and lower "
                           "case count",
                           keys[k]);
            st = fm_fhir_problem(p, p->hide_values ? keys[k] : has, NULL, what);
            break;
        }
    }
    return st;
}

static const char *near_type(const char *type)
{
    const char *near = NULL;
    size_t best = 4; /* more is another word */

    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const size_t d = strcasecmp(types[i], type) == 0 ? 0 : fm_text_distance(types[i], type);

        if (d < best && fm_text_is_near(d, types[i])) {
            best = d;
            near = types[i];
        }
    }
    return near;
}

/* An error in the place of what was asked for: "Condition.ndjson" with an OperationOutcome in it. */
static fm_status check_outcome(fm_fhir_place *p, const json_t *resource)
{
    const json_t *issue = json_array_get(json_object_get(resource, "issue"), 0),
                 *said = json_object_get(issue, "diagnostics");
    const char *slash = strrchr(p->name, '/'), *file = slash ? slash + 1 : p->name;

    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const size_t n = strlen(types[i]);

        if (strncmp(file, types[i], n) == 0 && strchr(".-_", file[n]) &&
            strcmp(types[i], "OperationOutcome") != 0) {
            p->lost = true;
            return fm_fhir_problem(
                p, "issue.diagnostics", json_is_string(said) ? said : NULL,
                "is an error of the server's in the place of the resources; export "
                "them again");
        }
    }
    return FM_OK;
}

static fm_status check_type(fm_fhir_place *p, const json_t *v, bool *known)
{
    const char *type = json_string_value(v), *near;
    const bool lost = p->lost;
    char what[200];

    p->lost = true;
    if (!v)
        return fm_fhir_problem(p, NULL, NULL,
                               "no FHIR resource: it has no resourceType; a line of a bulk export "
                               "is one whole resource");
    if (!type)
        return fm_fhir_problem(p, "resourceType", v,
                               "must be the resource's type in double quotes, such as \"Patient\"");
    if (strcmp(type, "Bundle") == 0)
        return fm_fhir_problem(p, NULL, NULL,
                               "a Bundle, not a line of a bulk export; take its resources out: jq "
                               "-c '.entry[].resource' BUNDLE >FILE.ndjson");
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        *known |= strcmp(type, types[i]) == 0;
    p->lost = !*known;
    if (*known)
        return FM_OK;
    if (!(near = near_type(type))) { /* of a vendor's, or of a later FHIR: not ours to judge */
        p->lost = lost;
        return FM_OK;
    }
    (void)snprintf(what, sizeof what, "is no type of resource in FHIR; did you mean \"%s\"?", near);
    return fm_fhir_problem(p, "resourceType", v, what);
}

static bool is_id(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._", s[i]))
            return false;
    return n > 0 && n <= ID_MOST;
}

fm_status fm_fhir_check_head(fm_fhir_place *p, const json_t *resource, bool *known)
{
    static const char *const keys[] = { "resourceType", "id", NULL };
    const json_t *type = json_object_get(resource, "resourceType"),
                 *id = json_object_get(resource, "id");
    const size_t before = p->problem_count;
    const bool lost = p->lost;
    fm_status st;

    *known = false;
    p->type = p->id = NULL;
    if (!type && ((st = fm_fhir_check_keys(p, resource, keys)) || p->problem_count > before)) {
        p->lost = true;
        return st;
    }
    if ((st = check_type(p, type, known)) || !*known)
        return st;
    p->lost = lost;
    p->type = json_string_value(type);
    if (strcmp(p->type, "OperationOutcome") == 0)
        return check_outcome(p, resource);
    if (!id)
        return FM_OK;
    if (!json_is_string(id) || !is_id(json_string_value(id), json_string_length(id))) {
        *known = false;
        p->lost = true;
        return fm_fhir_problem(p, "id", id,
                               "is no id: it must be 1 to 64 letters, digits, - and . in double "
                               "quotes");
    }
    p->id = json_string_value(id);
    return FM_OK;
}
