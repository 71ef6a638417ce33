#include <stdio.h>
#include <string.h>

#include "fhir_internal.h"

#define PATHS 3

/* Where a resource of this type says what it is about, whose, when and until when. */
typedef struct {
    const char *type, *subject, *code, *date[PATHS], *until;
    const char
        *status; /* those of R4 and the releases around it (hl7.org/fhir/valueset-*-status) */
} kind;
static const kind kinds[] = {
    { "Condition",
      "subject",
      "code",
      { "onsetDateTime", "onsetPeriod.start", "recordedDate" },
      "abatementDateTime",
      NULL },
    { "Procedure",
      "subject",
      "code",
      { "performedDateTime", "performedPeriod.start", NULL },
      "performedPeriod.end",
      "preparation in-progress not-done on-hold stopped completed entered-in-error unknown "
      "suspended aborted" },
    { "Encounter",
      "subject",
      "type",
      { "period.start", NULL, NULL },
      "period.end",
      "planned arrived triaged in-progress onleave finished cancelled entered-in-error unknown "
      "on-hold discharged completed discontinued" },
    { "MedicationRequest",
      "subject",
      "medicationCodeableConcept",
      { "authoredOn", NULL, NULL },
      NULL,
      "active on-hold cancelled completed entered-in-error stopped draft unknown ended" },
    { "Observation",
      "subject",
      "code",
      { "effectiveDateTime", "effectivePeriod.start", "issued" },
      NULL,
      "registered preliminary final amended corrected cancelled entered-in-error unknown "
      "specimen-in-process appended cannot-be-obtained" },
    { "Immunization",
      "patient",
      "vaccineCode",
      { "occurrenceDateTime", NULL, NULL },
      NULL,
      "completed entered-in-error not-done in-progress on-hold stopped" },
    { "AllergyIntolerance",
      "patient",
      "code",
      { "recordedDate", "onsetDateTime", NULL },
      NULL,
      NULL },
};

/* ---- into the database ---- */

/* A text or nothing into a place of the statement. */
static void bind_text(sqlite3_stmt *to, int at, const json_t *v)
{
    if (v)
        (void)sqlite3_bind_text(to, at, json_string_value(v), (int)json_string_length(v),
                                SQLITE_TRANSIENT);
    else
        (void)sqlite3_bind_null(to, at);
}

static fm_status bind_element(fm_fhir_place *p, sqlite3_stmt *to, int at, const json_t *object,
                              const char *path)
{
    const json_t *v = NULL;
    const fm_status st = fm_fhir_element(p, object, path, FM_FHIR_TEXT, &v);

    bind_text(to, at, v);
    return st;
}

/* @param said  NULL, or out: the text, borrowed from the resource; NULL when there is none */
static fm_status bind_date(fm_fhir_place *p, sqlite3_stmt *to, int at, const json_t *object,
                           const char *path, int last_year, const char **said)
{
    const char *text = NULL;
    size_t bytes = 0;
    const fm_status st = fm_fhir_date(p, object, path, last_year, &text, &bytes);

    if (text)
        (void)sqlite3_bind_text(to, at, text, (int)bytes, SQLITE_TRANSIENT);
    else
        (void)sqlite3_bind_null(to, at);
    if (said)
        *said = text;
    return st;
}

static fm_status insert(const fm_fhir_place *p, sqlite3_stmt *s)
{
    const int rc = sqlite3_step(s);

    (void)sqlite3_reset(s);
    return rc == SQLITE_DONE
               ? FM_OK
               : fm_fail(rc == SQLITE_NOMEM ? FM_ENOMEM : FM_EIO, "%s:%zu: cannot be kept: %s",
                         p->name, p->line, sqlite3_errmsg(p->db));
}

/* Where which resource stands: for finding those that are there twice. */
static fm_status insert_place(const fm_fhir_place *p)
{
    if (!p->id)
        return FM_OK;
    (void)sqlite3_bind_text(p->place, 1, p->type, -1, SQLITE_TRANSIENT);
    (void)sqlite3_bind_text(p->place, 2, p->id, -1, SQLITE_TRANSIENT);
    (void)sqlite3_bind_int64(p->place, 3, p->file);
    (void)sqlite3_bind_int64(p->place, 4, (sqlite3_int64)p->line);
    return insert(p, p->place);
}

/* ---- Patient ---- */

static fm_status check_gender(fm_fhir_place *p, const json_t *gender)
{
    static const char *const words[] = { "male", "female", "other", "unknown" };

    for (size_t i = 0; gender && i < sizeof words / sizeof *words; i++)
        if (strcmp(json_string_value(gender), words[i]) == 0)
            return FM_OK;
    return gender ? fm_fhir_problem(p, "gender", gender,
                                    "is none of male, female, other, unknown, as FHIR writes them")
                  : FM_OK;
}

static fm_status check_order(fm_fhir_place *p, const json_t *r)
{
    const char *born = json_string_value(json_object_get(r, "birthDate")),
               *died = json_string_value(json_object_get(r, "deceasedDateTime"));

    if (!born || !died || strlen(born) < 10 || strlen(died) < 10 || strncmp(died, born, 10) >= 0)
        return FM_OK;
    return fm_fhir_problem(p, "deceasedDateTime", json_object_get(r, "deceasedDateTime"),
                           "is before the birthDate; correct one of the two");
}

static fm_status take_patient(fm_fhir_place *p, const json_t *r)
{
    static const char *const keys[] = { "id", "gender", "birthDate", "deceasedDateTime", NULL };
    sqlite3_stmt *to = p->patient;
    const json_t *gender = NULL;
    const size_t before = p->problem_count;
    fm_status st;

    if ((st = fm_fhir_check_keys(p, r, keys)))
        return st;
    if (!p->id) {
        p->lost = true;
        return fm_fhir_problem(p, NULL, NULL,
                               "has no id, so that nothing can refer to it; export it again");
    }
    bind_text(to, 1, json_object_get(r, "id"));
    if ((st = fm_fhir_element(p, r, "gender", FM_FHIR_TEXT, &gender)) ||
        (st = check_gender(p, gender)))
        return st;
    bind_text(to, 2, gender);
    if ((st = bind_date(p, to, 3, r, "birthDate", p->this_year, NULL)) ||
        (st = bind_date(p, to, 4, r, "deceasedDateTime", p->this_year, NULL)) ||
        (p->problem_count == before && (st = check_order(p, r))))
        return st;
    return insert(p, to);
}

/* ---- events ---- */

/* "Patient/ID", a URL that ends so, or either with a version behind it. @param n out: bytes of the ID */
static const char *patient_in(const char *s, size_t *n)
{
    const char *at = strstr(s, "Patient/");

    if (strncmp(s, "urn:uuid:", 9) == 0) {
        *n = strlen(s + 9);
        return *n ? s + 9 : NULL;
    }
    if (!at || (at != s && at[-1] != '/'))
        return NULL;
    at += 8;
    *n = strcspn(at, "/");
    return *n && (!at[*n] || strncmp(at + *n, "/_history/", 10) == 0) ? at : NULL;
}

static fm_status bind_subject(fm_fhir_place *p, const kind *k, const json_t *r)
{
    const json_t *subject = NULL, *reference = NULL;
    const char *id;
    char path[32];
    size_t n = 0;
    fm_status st;

    (void)sqlite3_bind_null(p->event, 1);
    (void)snprintf(path, sizeof path, "%s.reference", k->subject);
    if (!json_object_get(r, k->subject))
        return fm_fhir_problem(p, k->subject, NULL,
                               "is not there: whose it is must be said by a reference to a patient "
                               "(\"Patient/ID\")");
    if ((st = fm_fhir_element(p, r, k->subject, FM_FHIR_OBJECT, &subject)) || !subject)
        return st;
    if (!json_object_get(subject, "reference"))
        return fm_fhir_problem(p, path, NULL,
                               "is not there: no reference to a patient (\"Patient/ID\")");
    if ((st = fm_fhir_element(p, r, path, FM_FHIR_TEXT, &reference)) || !reference)
        return st;
    if (!(id = patient_in(json_string_value(reference), &n)))
        return fm_fhir_problem(p, path, reference, "is no reference to a patient (\"Patient/ID\")");
    (void)sqlite3_bind_text(p->event, 1, id, (int)n, SQLITE_TRANSIENT);
    return FM_OK;
}

static fm_status bind_value(fm_fhir_place *p, const json_t *r)
{
    static const char *const keys[] = { "valueQuantity", "valueString", "valueCodeableConcept",
                                        NULL };
    static const char *const read[] = { "value", "unit", NULL }, *const others[] = { "comparator",
                                                                                     "system",
                                                                                     "code", NULL };
    const json_t *quantity = NULL, *number = NULL, *concept = NULL, *list = NULL, *text = NULL;
    sqlite3_stmt *to = p->event;
    fm_status st;

    (void)sqlite3_bind_null(to, 9);
    (void)sqlite3_bind_null(to, 10);
    (void)sqlite3_bind_null(to, 11);
    if ((st = fm_fhir_check_keys(p, r, keys)) ||
        (st = fm_fhir_element(p, r, "valueQuantity", FM_FHIR_OBJECT, &quantity)) ||
        (quantity && (st = fm_fhir_check_parts(p, "valueQuantity", quantity, read, others))) ||
        (quantity &&
         (st = fm_fhir_element(p, r, "valueQuantity.value", FM_FHIR_NUMBER, &number))) ||
        (quantity && (st = bind_element(p, to, 10, r, "valueQuantity.unit"))) ||
        (st = fm_fhir_element(p, r, "valueString", FM_FHIR_TEXT, &text)) ||
        (st = fm_fhir_element(p, r, "valueCodeableConcept", FM_FHIR_OBJECT, &concept)) ||
        (concept &&
         (st = fm_fhir_element(p, r, "valueCodeableConcept.coding", FM_FHIR_LIST, &list))))
        return st;
    if (number)
        (void)sqlite3_bind_double(to, 9, json_number_value(number));
    if (!text && list && json_is_object(json_array_get(list, 0)))
        st = fm_fhir_element(p, json_array_get(list, 0), "code", FM_FHIR_TEXT, &text);
    bind_text(to, 11, text);
    return st;
}

/* A row for each coding of a concept. @param rows counts them. */
static fm_status take_codings(fm_fhir_place *p, const json_t *concept, size_t *rows)
{
    static const char *const read[] = { "code", NULL }, *const others[] = { "system", "version",
                                                                            "display",
                                                                            "userSelected", NULL };
    const json_t *codings = NULL;
    fm_status st = fm_fhir_element(p, concept, "coding", FM_FHIR_LIST, &codings);
    for (size_t i = 0; !st && i < json_array_size(codings); i++) {
        const json_t *c = json_array_get(codings, i);

        if (!json_is_object(c)) {
            st = fm_fhir_problem(p, "coding", c,
                                 "must be an object with system and code, in each place");
            continue;
        }
        if ((st = fm_fhir_check_parts(p, "coding", c, read, others)))
            return st;
        if (json_string_length(json_object_get(c, "system")) == 0 &&
            json_is_string(json_object_get(c, "system")))
            (void)sqlite3_bind_null(p->event, 4); /* some servers write an empty one for none */
        else if ((st = bind_element(p, p->event, 4, c, "system")))
            return st;
        if ((st = bind_element(p, p->event, 5, c, "code")))
            return st;
        st = insert(p, p->event);
        ++*rows;
    }
    return st;
}

static fm_status take_concept(fm_fhir_place *p, const char *key, const json_t *concept,
                              size_t *rows)
{
    static const char *const read[] = { "coding", NULL }, *const others[] = { "text", NULL };
    fm_status st;

    if (!json_is_object(concept))
        return fm_fhir_problem(p, key, concept,
                               "must be an object with codings: {\"coding\": [{\"system\": ..., "
                               "\"code\": ...}]}");
    if ((st = fm_fhir_check_parts(p, key, concept, read, others)))
        return st;
    p->within = key;
    st = take_codings(p, concept, rows);
    p->within = NULL;
    return st;
}

/* The rows of one event whose other places are bound; of one without codings a row without a code. */
static fm_status take_codes(fm_fhir_place *p, const kind *k, const json_t *r)
{
    const json_t *concept = json_object_get(r, k->code);
    const size_t before = p->problem_count;
    size_t rows = 0;
    fm_status st = bind_value(p, r);

    if (!st && json_is_array(concept) && strcmp(k->type, "Encounter") != 0)
        return fm_fhir_problem(p, k->code, NULL, "is a list, and must be an object in braces");
    if (!st && concept && !json_is_array(concept))
        st = take_concept(p, k->code, concept, &rows);
    for (size_t i = 0; !st && i < json_array_size(concept); i++)
        st = take_concept(p, k->code, json_array_get(concept, i), &rows);
    if (st || rows > 0 || p->problem_count > before)
        return st;
    (void)sqlite3_bind_null(p->event, 4);
    (void)sqlite3_bind_null(p->event, 5);
    return insert(p, p->event);
}

static bool is_in_error(const json_t *code)
{
    return json_is_string(code) && strcmp(json_string_value(code), "entered-in-error") == 0;
}

static bool in_error(const json_t *r)
{
    const json_t *verified = json_object_get(r, "verificationStatus"), /* conditions, allergies */
        *codings = json_object_get(verified, "coding");
    bool found = is_in_error(json_object_get(r, "status")) || is_in_error(verified); /* STU3 */

    for (size_t i = 0; i < json_array_size(codings); i++)
        found |= is_in_error(json_object_get(json_array_get(codings, i), "code"));
    return found;
}

/* A word of a list with spaces between. */
static bool is_word_of(const char *list, const char *word)
{
    const size_t n = strlen(word);

    for (const char *at = list; n && (at = strstr(at, word)); at++)
        if ((at == list || at[-1] == ' ') && (at[n] == ' ' || !at[n]) && !strchr(word, ' '))
            return true;
    return false;
}

/* "entered_in_error" would count like any other. */
static fm_status check_status(fm_fhir_place *p, const kind *k, const json_t *r)
{
    static const char verified[] =
        "unconfirmed provisional differential confirmed refuted entered-in-error presumed unknown";
    const json_t *status = NULL,
                 *codings = json_object_get(json_object_get(r, "verificationStatus"), "coding");
    char what[300];
    fm_status st = fm_fhir_element(p, r, "status", FM_FHIR_TEXT, &status);

    if (!st && status && k->status && !is_word_of(k->status, json_string_value(status))) {
        (void)snprintf(what, sizeof what, "is no status of FHIR's here; there are: %s", k->status);
        st = fm_fhir_problem(p, "status", status, what);
    }
    for (size_t i = 0; !st && i < json_array_size(codings); i++) {
        const json_t *coding = json_array_get(codings, i), *code = json_object_get(coding, "code");
        const char *system = json_string_value(json_object_get(coding, "system"));

        if (!json_is_string(code) || !system || !strstr(system, "//terminology.hl7.org/") ||
            is_word_of(verified, json_string_value(code)))
            continue;
        (void)snprintf(what, sizeof what, "is no status of FHIR's here; there are: %s", verified);
        st = fm_fhir_problem(p, "verificationStatus.coding.code", code, what);
    }
    return st;
}

/* The first of the paths that is there says when; a period is an object. */
static fm_status bind_dates(fm_fhir_place *p, const kind *k, const json_t *r)
{
    static const char *const of_period[] = { "start", "end", NULL }, *const none[] = { NULL };
    sqlite3_stmt *to = p->event;
    const char *from = NULL, *until = NULL, *began = "";
    bool dated = false;
    char what[120];
    fm_status st = FM_OK;

    (void)sqlite3_bind_null(to, 6);
    for (int i = 0; !st && !dated && i < PATHS && k->date[i]; i++) {
        char key[32];
        const size_t len = strcspn(k->date[i], ".");
        const json_t *period = NULL;

        memcpy(key, k->date[i], len);
        key[len] = '\0';
        if (!json_object_get(r, key))
            continue;
        if (k->date[i][len] && ((st = fm_fhir_element(p, r, key, FM_FHIR_OBJECT, &period)) ||
                                (st = fm_fhir_check_parts(p, key, period, of_period, none)) ||
                                !json_object_get(period, k->date[i] + len + 1)))
            continue;
        dated = true;
        st = bind_date(p, to, 6, r, k->date[i], p->this_year + 1, &from);
        began = k->date[i];
    }
    if (st || !k->until) {
        (void)sqlite3_bind_null(to, 7);
        return st;
    }
    if ((st = bind_date(p, to, 7, r, k->until, p->this_year + 100, &until)) != FM_OK || !from ||
        !until || strcmp(began, "recordedDate") == 0 || strlen(from) < 10 || strlen(until) < 10 ||
        strncmp(until, from, 10) >= 0)
        return st;
    (void)snprintf(what, sizeof what, "is before %s; correct one of the two", began);
    return fm_fhir_problem(p, k->until, NULL, what);
}

/* Keys of this kind that are read, without what is behind a point. */
static fm_status check_keys(fm_fhir_place *p, const kind *k, const json_t *r)
{
    const char *keys[PATHS + 7] = { "status", "id", k->subject, k->code };
    char dates[PATHS][32];
    size_t n = 4;

    for (int i = 0; i < PATHS && k->date[i]; i++) {
        (void)snprintf(dates[i], sizeof dates[i], "%.*s", (int)strcspn(k->date[i], "."),
                       k->date[i]);
        keys[n++] = dates[i];
    }
    if (strcmp(k->type, "Encounter") == 0)
        keys[n++] = "class";
    keys[n] = NULL;
    return fm_fhir_check_keys(p, r, keys);
}

static fm_status bind_class(fm_fhir_place *p, const kind *k, const json_t *r)
{
    const json_t *class = NULL;
    fm_status st = FM_OK;

    (void)sqlite3_bind_null(p->event, 8);
    if (strcmp(k->type, "Encounter") != 0 ||
        (st = fm_fhir_element(p, r, "class", FM_FHIR_OBJECT, &class)) || !class)
        return st;
    return bind_element(p, p->event, 8, r, "class.code");
}

static fm_status take_event(fm_fhir_place *p, const kind *k, const json_t *r)
{
    const json_t *parts = NULL;
    sqlite3_stmt *to = p->event;
    fm_status st;

    (void)sqlite3_bind_text(to, 2, k->type, -1, SQLITE_STATIC);
    bind_text(to, 3, json_object_get(r, "id"));
    (void)sqlite3_bind_int64(to, 12, p->file);
    (void)sqlite3_bind_int64(to, 13, (sqlite3_int64)p->line);
    if ((st = check_keys(p, k, r)) || (st = fm_fhir_check_release(p, r)) ||
        (st = check_status(p, k, r)) || (st = bind_subject(p, k, r)) ||
        (st = bind_class(p, k, r)) || (st = bind_dates(p, k, r)) || (st = take_codes(p, k, r)) ||
        (st = fm_fhir_element(p, r, "component", FM_FHIR_LIST, &parts)))
        return st;
    for (size_t i = 0; !st && i < json_array_size(parts); i++)
        st = json_is_object(json_array_get(parts, i))
                 ? take_codes(p, k, json_array_get(parts, i))
                 : fm_fhir_problem(p, "component", json_array_get(parts, i),
                                   "must be an object, in each place");
    return st;
}

fm_status fm_fhir_take(fm_fhir_place *p, const json_t *resource)
{
    bool known = false;
    fm_status st = fm_fhir_check_head(p, resource, &known);

    if (st || !known)
        return st;
    if (strcmp(p->type, "Patient") == 0) {
        if (!(st = take_patient(p, resource)))
            st = insert_place(p);
        return st;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(p->type, kinds[i].type) == 0) {
            if (in_error(resource))
                return FM_OK;
            st = take_event(p, &kinds[i], resource);
            return st ? st : insert_place(p);
        }
    return FM_OK;
}
