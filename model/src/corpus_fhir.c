/* Notes of FHIR R4 bulk exports: DocumentReference and DiagnosticReport, a resource a line. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <sodium.h>

#include "corpus_internal.h"

#define WHERE 64

/* FHIR's limit on an id. */
#define ID_MOST 64u

static bool is_text(const json_t *v, const char *text)
{
    return json_is_string(v) && strcmp(json_string_value(v), text) == 0;
}

/* Which of the two it is, if the schema wants it: the key of its attachments, else NULL. */
static const char *list_of(const fm_text_schema *s, const json_t *resource)
{
    const json_t *type = json_object_get(resource, "resourceType");

    if (s->documents && is_text(type, "DocumentReference"))
        return "content";
    return s->reports && is_text(type, "DiagnosticReport") ? "presentedForm" : NULL;
}

static bool is_retracted(const json_t *resource)
{
    return is_text(json_object_get(resource, "status"), "entered-in-error") ||
           is_text(json_object_get(resource, "docStatus"), "entered-in-error");
}

/* The value of charset= behind the media type, or NULL. */
static const char *charset_of(const char *type)
{
    for (const char *p = strchr(type, ';'); p; p = strchr(p, ';')) {
        p += 1 + strspn(p + 1, " \t");
        if (strncasecmp(p, "charset=", 8) == 0)
            return p + 8 + (p[8] == '"');
    }
    return NULL;
}

static bool is_utf8(const char *charset)
{
    static const char *const known[] = { "utf-8", "utf8", "us-ascii" };
    const size_t len = strcspn(charset, "\"; \t");
    bool found = false;

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        found = found || (strlen(known[i]) == len && strncasecmp(charset, known[i], len) == 0);
    return found;
}

static bool is_plain(const char *type)
{
    return strcspn(type, "; \t") == strlen("text/plain") &&
           strncasecmp(type, "text/plain", strlen("text/plain")) == 0;
}

/* FHIR's base64Binary: the standard alphabet, padded; white space does not count. */
static fm_status decode(fm_corpus_builder *b, const json_t *data)
{
    const size_t len = json_string_length(data), before = b->text.len;
    uint8_t *to;
    size_t n = 0;
    fm_status st = fm_buf_extend(&b->text, len / 4 * 3 + 3, &to);

    if (st)
        return st;
    if (memchr(json_string_value(data), '\0', len) ||
        sodium_base642bin(to, len / 4 * 3 + 3, json_string_value(data), len, " \t\r\n", &n, NULL,
                          sodium_base64_VARIANT_ORIGINAL))
        return fm_fail(FM_EPARSE, "%zu characters that are no base64", len);
    b->text.len = before + n;
    return FM_OK;
}

/* The texts of a note stand one after the other, with an empty line between. */
static fm_status take_data(fm_corpus_builder *b, const json_t *data, bool *found)
{
    const size_t before = b->text.len;
    fm_status st = *found && before ? fm_buf_append(&b->text, "\n\n", 2) : FM_OK;

    if (!st)
        st = decode(b, data);
    *found = *found || !st;
    return st;
}

/* Its text, if it is plain and stands in it. @param where its key, for error texts. */
static fm_status take_attachment(fm_corpus_builder *b, size_t line, const char *where,
                                 const json_t *attachment, bool *found)
{
    const json_t *type = json_object_get(attachment, "contentType"),
                 *data = json_object_get(attachment, "data");
    const char *charset;
    fm_status st;

    if (!json_is_object(attachment))
        return fm_fail(FM_EPARSE, "%s:%zu, key %s: %s; it must be an attachment", b->name, line,
                       where, fm_corpus_json_kind(attachment));
    if (!data)
        return FM_OK; /* a link: nothing is fetched */
    if (!json_is_string(type) || !json_is_string(data))
        return fm_fail(FM_EPARSE, "%s:%zu, key %s.%s: %s; it must be a text", b->name, line, where,
                       json_is_string(type) ? "data" : "contentType",
                       fm_corpus_json_kind(json_is_string(type) ? data : type));
    if (!is_plain(json_string_value(type)))
        return FM_OK;
    charset = charset_of(json_string_value(type));
    if (charset && !is_utf8(charset))
        return fm_fail(FM_EPARSE,
                       "%s:%zu, key %s.contentType: a charset that is not UTF-8; convert "
                       "the notes",
                       b->name, line, where);
    st = take_data(b, data, found);
    return st ? fm_fail_context(st, "%s:%zu, key %s.data: ", b->name, line, where) : FM_OK;
}

static fm_status take_list(fm_corpus_builder *b, size_t line, const char *key,
                           const json_t *resource, bool *found)
{
    const json_t *list = json_object_get(resource, key);
    const bool wrapped = strcmp(key, "content") == 0;
    char where[WHERE];
    fm_status st = FM_OK;

    if (list && !json_is_array(list))
        return fm_fail(FM_EPARSE, "%s:%zu, key %s: %s; it must be a list", b->name, line, key,
                       fm_corpus_json_kind(list));
    for (size_t i = 0; !st && i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);

        (void)snprintf(where, sizeof where, "%s[%zu]%s", key, i, wrapped ? ".attachment" : "");
        st = take_attachment(b, line, where, wrapped ? json_object_get(item, "attachment") : item,
                             found);
    }
    return st;
}

static bool is_id(const char *p, size_t len)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.";
    size_t i = 0;

    while (i < len && p[i] && strchr(letters, p[i]))
        i++;
    return len > 0 && len <= ID_MOST && i == len;
}

/*
 * Whose it is. Patient/ID, behind any server's address and before a version, and urn:uuid:ID are
 * the patient ID: who is one patient must not become two, and two of one name on two servers who
 * become one are more private than each.
 */
static bool patient(const json_t *reference, const char **id, size_t *len)
{
    static const char word[] = "Patient/", uuid[] = "urn:uuid:";
    const char *text = json_string_value(reference), *at = NULL;

    if (!text || strlen(text) != json_string_length(reference))
        return false;
    if (strncasecmp(text, uuid, strlen(uuid)) == 0) {
        at = text + strlen(uuid);
    } else {
        for (const char *p = strstr(text, word); p; p = strstr(p + 1, word))
            if (p == text || p[-1] == '/')
                at = p + strlen(word);
    }
    if (!at)
        return false;
    *id = at;
    *len = strcspn(at, "/");
    return is_id(at, *len) && (!at[*len] || strncmp(at + *len, "/_history/", 10) == 0);
}

fm_status fm_corpus_fhir(fm_corpus_builder *b, size_t line, const json_t *object)
{
    const char *key = list_of(b->schema, object), *unit = NULL;
    const json_t *reference = json_object_get(json_object_get(object, "subject"), "reference");
    size_t len = 0;
    bool found = false;
    fm_status st;

    if (!json_is_string(json_object_get(object, "resourceType")))
        return fm_fail(FM_EPARSE,
                       "%s:%zu, key resourceType: %s; every line must be a resource of "
                       "FHIR",
                       b->name, line, fm_corpus_json_kind(json_object_get(object, "resourceType")));
    if (!key || is_retracted(object)) {
        b->facts.passed_over++;
        return FM_OK;
    }
    fm_buf_clear(&b->text);
    if ((st = take_list(b, line, key, object, &found)))
        return st;
    if (!found) {
        b->facts.without_text++;
        return FM_OK;
    }
    if (b->schema->unit && !patient(reference, &unit, &len))
        return fm_fail(
            FM_EPARSE,
            "%s:%zu, key subject.reference: %s; it must be Patient/ID: it says whose the "
            "note is",
            b->name, line,
            json_is_string(reference) ? "it names no patient" : fm_corpus_json_kind(reference));
    return fm_corpus_add(b, line, unit, len);
}
