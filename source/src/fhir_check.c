/* What FHIR R4 wants of the elements that are read, and what else stands there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fedmoe/base/text.h"
#include "fhir_internal.h"

#define SHOWN_MOST 48
#define FIRST_YEAR 1850

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
    char shown[SHOWN_MOST + 8] = "", line[1000], id[FM_FHIR_ID_MOST + 4] = "";
    const bool has_id = p->type && p->id && !p->hide_values;

    if (v && !p->hide_values)
        show(v, shown);
    if (has_id) {
        (void)snprintf(id, sizeof id, "/%.*s", FM_FHIR_ID_MOST, p->id);
        fm_text_clean(id);
    }
    (void)snprintf(line, sizeof line, "%.500s:%zu%s%s%s%s%s%s%s: %s%s%.300s", p->name, p->line,
                   p->type ? ", " : "", p->type ? p->type : "", id, element ? ", " : "",
                   element && p->within ? p->within : "", element && p->within ? "." : "",
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
    fm_status st;

    *text = NULL;
    *bytes = 0;
    if (json_is_number(look(object, path)))
        return fm_fhir_problem(p, path, look(object, path),
                               "is a number, and must be a date in double quotes, \"1950-02-28\"; "
                               "seconds or milliseconds since 1970 are to be converted");
    st = fm_fhir_element(p, object, path, FM_FHIR_TEXT, &v);
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

/* ---- keys ---- */

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

static bool is_listed(const char *const *keys, const char *key)
{
    for (; *keys; keys++)
        if (strcmp(*keys, key) == 0)
            return true;
    return false;
}

fm_status fm_fhir_check_parts(fm_fhir_place *p, const char *path, const json_t *object,
                              const char *const *read, const char *const *others)
{
    static const char *const of_all[] = { "id", "extension", "fhir_comments", NULL };
    const char *lacks = NULL;
    char place[120], what[120];
    fm_status st = FM_OK;

    for (size_t i = 0; read[i] && !lacks; i++)
        lacks = json_object_get(object, read[i]) ? NULL : read[i];
    for (void *it = lacks ? json_object_iter((json_t *)(uintptr_t)object) : NULL; it && !st;
         it = json_object_iter_next((json_t *)(uintptr_t)object, it)) {
        const char *has = json_object_iter_key(it);

        if (*has == '_' || is_listed(read, has) || is_listed(others, has) || is_listed(of_all, has))
            continue;
        (void)snprintf(place, sizeof place, "%.40s%s%.60s", path, p->hide_values ? "" : ".",
                       p->hide_values ? "" : has);
        fm_text_clean(place);
        (void)snprintf(what, sizeof what,
                       "is no element of FHIR's here, and \"%s\" is not there; is that meant?",
                       lacks);
        st = fm_fhir_problem(p, place, NULL, what);
    }
    return st;
}

fm_status fm_fhir_check_release(fm_fhir_place *p, const json_t *resource)
{
    static const struct {
        const char *type, *key, *here, *release;
    } renamed[] = {
        { "Encounter", "actualPeriod", "period", "R5" },
        { "Procedure", "occurrenceDateTime", "performedDateTime", "R5" },
        { "Procedure", "occurrencePeriod", "performedPeriod", "R5" },
        { "MedicationRequest", "medication", "medicationCodeableConcept", "R5" },
        { "Immunization", "date", "occurrenceDateTime", "STU3" },
    };
    char what[200];
    fm_status st = FM_OK;

    for (size_t i = 0; !st && i < sizeof renamed / sizeof *renamed; i++) {
        if (strcmp(p->type, renamed[i].type) != 0 || !json_object_get(resource, renamed[i].key) ||
            json_object_get(resource, renamed[i].here))
            continue;
        (void)snprintf(what, sizeof what,
                       "is of FHIR %s, and R4 is read here, which has \"%s\"; export as R4, or "
                       "rename it",
                       renamed[i].release, renamed[i].here);
        st = fm_fhir_problem(p, renamed[i].key, NULL, what);
    }
    return st;
}
