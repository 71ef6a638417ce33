#include <string.h>

#include "fhir_internal.h"

#define PATHS 3

/* Where a resource of this type says what it is about, whose, when and until when. */
typedef struct {
    const char *type, *subject, *code, *date[PATHS], *until;
} kind;
static const kind kinds[] = {
    { "Condition",
      "subject",
      "code",
      { "onsetDateTime", "onsetPeriod.start", "recordedDate" },
      "abatementDateTime" },
    { "Procedure",
      "subject",
      "code",
      { "performedDateTime", "performedPeriod.start", NULL },
      "performedPeriod.end" },
    { "Encounter", "subject", "type", { "period.start", NULL, NULL }, "period.end" },
    { "MedicationRequest",
      "subject",
      "medicationCodeableConcept",
      { "authoredOn", NULL, NULL },
      NULL },
    { "Observation",
      "subject",
      "code",
      { "effectiveDateTime", "effectivePeriod.start", "issued" },
      NULL },
    { "Immunization", "patient", "vaccineCode", { "occurrenceDateTime", NULL, NULL }, NULL },
    { "AllergyIntolerance", "patient", "code", { "recordedDate", "onsetDateTime", NULL }, NULL },
};

/* What stands under keys with points between; NULL when one of them is not there. */
static const json_t *look(const json_t *object, const char *path)
{
    char key[32];

    for (;;) {
        const size_t len = strcspn(path, ".");

        memcpy(key, path, len); /* of the table above: shorter */
        key[len] = '\0';
        object = json_object_get(object, key);
        if (!path[len])
            return object;
        path += len + 1;
    }
}

static fm_status fault(const fm_fhir_place *p, const char *what)
{
    return fm_fail(FM_EPARSE, "%s:%zu: %s", p->name, p->line, what);
}

static bool digits(const char *at, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (at[i] < '0' || at[i] > '9')
            return false;
    return true;
}

/* FHIR's date and dateTime: YYYY, YYYY-MM, YYYY-MM-DD, and that with a time. @return bytes of the date,
 * 0: it is none. */
static size_t date_length(const char *s)
{
    static const unsigned char days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    const size_t len = strcspn(s, "T");
    unsigned month = 1, day = 1;

    if ((len != 4 && len != 7 && len != 10) || !digits(s, 4) || (s[len] == 'T' && len != 10))
        return 0;
    if (len >= 7) {
        if (s[4] != '-' || !digits(s + 5, 2))
            return 0;
        month = (unsigned)(s[5] - '0') * 10 + (unsigned)(s[6] - '0');
    }
    if (month < 1 || month > 12)
        return 0;
    if (len == 10) {
        if (s[7] != '-' || !digits(s + 8, 2))
            return 0;
        day = (unsigned)(s[8] - '0') * 10 + (unsigned)(s[9] - '0');
    }
    return day >= 1 && day <= days[month - 1] ? len : 0;
}

/* A text or nothing into a place of the statement. */
static void bind_text(sqlite3_stmt *to, int at, const json_t *v)
{
    if (json_is_string(v))
        (void)sqlite3_bind_text(to, at, json_string_value(v), (int)json_string_length(v),
                                SQLITE_TRANSIENT);
    else
        (void)sqlite3_bind_null(to, at);
}

static fm_status bind_date(const fm_fhir_place *p, sqlite3_stmt *to, int at, const json_t *v,
                           const char *key)
{
    size_t len;

    (void)sqlite3_bind_null(to, at);
    if (!v)
        return FM_OK;
    if (!json_is_string(v) || (len = date_length(json_string_value(v))) == 0)
        return fm_fail(FM_EPARSE, "%s:%zu, key %s: not a date (YYYY-MM-DD, perhaps with a time)",
                       p->name, p->line, key);
    (void)sqlite3_bind_text(to, at, json_string_value(v), (int)len, SQLITE_TRANSIENT);
    return FM_OK;
}

static fm_status insert(const fm_fhir_place *p, sqlite3_stmt *s)
{
    const int rc = sqlite3_step(s);

    (void)sqlite3_reset(s);
    if (rc == SQLITE_DONE)
        return FM_OK;
    if ((rc & 0xff) == SQLITE_CONSTRAINT)
        return fault(p, "a patient with this id is there already");
    return fm_fail(rc == SQLITE_NOMEM ? FM_ENOMEM : FM_EIO, "%s:%zu: cannot be kept: %s", p->name,
                   p->line, sqlite3_errmsg(p->db));
}

static fm_status take_patient(const fm_fhir_place *p, const json_t *r)
{
    sqlite3_stmt *to = p->patient;
    fm_status st;

    if (!json_is_string(json_object_get(r, "id")))
        return fault(p, "the patient has no id");
    bind_text(to, 1, json_object_get(r, "id"));
    bind_text(to, 2, json_object_get(r, "gender"));
    if ((st = bind_date(p, to, 3, json_object_get(r, "birthDate"), "birthDate")) ||
        (st = bind_date(p, to, 4, json_object_get(r, "deceasedDateTime"), "deceasedDateTime")))
        return st;
    return insert(p, to);
}

/* "Patient/ID", or a URL that ends so; NULL: it is none. */
static const char *patient_of(const json_t *reference)
{
    const char *s = json_string_value(json_object_get(reference, "reference")), *at;

    if (!s)
        return NULL;
    at = strstr(s, "Patient/");
    if (strncmp(s, "urn:uuid:", 9) == 0)
        return s + 9;
    return at && (at == s || at[-1] == '/') && at[8] && !strchr(at + 8, '/') ? at + 8 : NULL;
}

static void bind_value(sqlite3_stmt *to, const json_t *r)
{
    const json_t *v = look(r, "valueQuantity.value");

    if (json_is_number(v))
        (void)sqlite3_bind_double(to, 9, json_number_value(v));
    else
        (void)sqlite3_bind_null(to, 9);
    bind_text(to, 10, look(r, "valueQuantity.unit"));
    v = json_object_get(r, "valueString");
    bind_text(
        to, 11,
        v ? v : json_object_get(json_array_get(look(r, "valueCodeableConcept.coding"), 0), "code"));
}

/* A row for each coding of a concept. @param rows counts them. */
static fm_status take_concept(const fm_fhir_place *p, const json_t *concept, size_t *rows)
{
    const json_t *codings = json_object_get(concept, "coding");
    fm_status st = FM_OK;

    for (size_t i = 0; !st && i < json_array_size(codings); i++) {
        const json_t *c = json_array_get(codings, i);

        bind_text(p->event, 4, json_object_get(c, "system"));
        bind_text(p->event, 5, json_object_get(c, "code"));
        st = insert(p, p->event);
        ++*rows;
    }
    return st;
}

/* The rows of one event whose other places are bound; of one without codings a row without a code. */
static fm_status take_codes(const fm_fhir_place *p, const kind *k, const json_t *r)
{
    const json_t *concept = json_object_get(r, k->code);
    size_t rows = 0;
    fm_status st = FM_OK;

    bind_value(p->event, r);
    if (!json_is_array(concept))
        st = take_concept(p, concept, &rows);
    for (size_t i = 0; !st && i < json_array_size(concept); i++)
        st = take_concept(p, json_array_get(concept, i), &rows);
    if (st || rows > 0)
        return st;
    (void)sqlite3_bind_null(p->event, 4);
    (void)sqlite3_bind_null(p->event, 5);
    return insert(p, p->event);
}

static bool in_error(const json_t *r)
{
    const json_t *coding =
        json_array_get(look(r, "verificationStatus.coding"), 0); /* of conditions and allergies */
    const char *status = json_string_value(json_object_get(r, "status")),
               *verified = json_string_value(json_object_get(coding, "code"));

    return (status && strcmp(status, "entered-in-error") == 0) ||
           (verified && strcmp(verified, "entered-in-error") == 0);
}

static fm_status bind_dates(const fm_fhir_place *p, const kind *k, const json_t *r)
{
    const char *key = k->date[0];
    const json_t *v = NULL;
    fm_status st;

    for (int i = 0; !v && i < PATHS && k->date[i]; i++)
        v = look(r, key = k->date[i]);
    if ((st = bind_date(p, p->event, 6, v, key)))
        return st;
    return bind_date(p, p->event, 7, k->until ? look(r, k->until) : NULL, k->until);
}

static fm_status take_event(const fm_fhir_place *p, const kind *k, const json_t *r)
{
    const json_t *parts = json_object_get(r, "component");
    const char *patient = patient_of(json_object_get(r, k->subject));
    sqlite3_stmt *to = p->event;
    fm_status st;

    if (!patient)
        return fm_fail(FM_EPARSE, "%s:%zu, key %s: no reference to a patient (Patient/ID)", p->name,
                       p->line, k->subject);
    (void)sqlite3_bind_text(to, 1, patient, -1, SQLITE_TRANSIENT);
    (void)sqlite3_bind_text(to, 2, k->type, -1, SQLITE_STATIC);
    bind_text(to, 3, json_object_get(r, "id"));
    bind_text(to, 8, json_object_get(json_object_get(r, "class"), "code"));
    (void)sqlite3_bind_int64(to, 12, p->file);
    (void)sqlite3_bind_int64(to, 13, (sqlite3_int64)p->line);
    if ((st = bind_dates(p, k, r)) || (st = take_codes(p, k, r)))
        return st;
    for (size_t i = 0; !st && i < json_array_size(parts); i++)
        st = take_codes(p, k, json_array_get(parts, i));
    return st;
}

fm_status fm_fhir_take(const fm_fhir_place *p, const json_t *resource)
{
    const char *type = json_string_value(json_object_get(resource, "resourceType"));

    if (!type)
        return fault(p, "no FHIR resource: it has no resourceType");
    if (strcmp(type, "Patient") == 0)
        return take_patient(p, resource);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(type, kinds[i].type) == 0)
            return in_error(resource) ? FM_OK : take_event(p, &kinds[i], resource);
    return FM_OK;
}
