/* The types of a data dictionary, REDCap's among them. */
#include <strings.h>

#include "draft_internal.h"
#include "fedmoe/base/text.h"

static const struct {
    const char *word;
    fm_draft_kind kind;
} types[] = {
    { "number", FM_DRAFT_NUMERIC },
    { "numeric", FM_DRAFT_NUMERIC },
    { "integer", FM_DRAFT_NUMERIC },
    { "int", FM_DRAFT_NUMERIC },
    { "float", FM_DRAFT_NUMERIC },
    { "double", FM_DRAFT_NUMERIC },
    { "decimal", FM_DRAFT_NUMERIC },
    { "real", FM_DRAFT_NUMERIC },
    { "calc", FM_DRAFT_NUMERIC },
    { "slider", FM_DRAFT_NUMERIC },
    { "date", FM_DRAFT_DATE },
    { "category", FM_DRAFT_CATEGORICAL },
    { "categorical", FM_DRAFT_CATEGORICAL },
    { "code", FM_DRAFT_CATEGORICAL },
    { "enum", FM_DRAFT_CATEGORICAL },
    { "radio", FM_DRAFT_CATEGORICAL },
    { "dropdown", FM_DRAFT_CATEGORICAL },
    { "checkbox", FM_DRAFT_CATEGORICAL },
    { "yesno", FM_DRAFT_CATEGORICAL },
    { "truefalse", FM_DRAFT_CATEGORICAL },
    { "boolean", FM_DRAFT_CATEGORICAL },
    { "bool", FM_DRAFT_CATEGORICAL },
    { "label", FM_DRAFT_CATEGORICAL },
    { "text", FM_DRAFT_IGNORE },
    { "string", FM_DRAFT_IGNORE },
    { "notes", FM_DRAFT_IGNORE },
    { "identifier", FM_DRAFT_IGNORE },
    { "id", FM_DRAFT_IGNORE },
    { "ignore", FM_DRAFT_IGNORE },
    { "descriptive", FM_DRAFT_IGNORE },
    { "file", FM_DRAFT_IGNORE },
    { "sql", FM_DRAFT_IGNORE },
};

bool fm_draft_type(const char *word, fm_draft_kind *out, const char **near)
{
    *near = NULL;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcasecmp(types[i].word, word) == 0) {
            *out = types[i].kind;
            return true;
        }
        if (!*near && fm_text_is_near(fm_text_distance(types[i].word, word), types[i].word))
            *near = types[i].word;
    }
    *out = FM_DRAFT_UNKNOWN;
    return false;
}
