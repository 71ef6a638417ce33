/* What is no CSV, and the way out. */
#include <stdio.h>

#include "fedmoe/base/input.h"
#include "table_csv.h"

const char *fm_csv_other(const char *first, size_t n, char words[FM_CSV_OTHER])
{
    const fm_input_other *other = fm_input_other_of(first, n);

    if (!other)
        return NULL;
    if (other->kind == FM_INPUT_SQLITE)
        (void)snprintf(words, FM_CSV_OTHER,
                       "%s; name it so in node.yaml: records: {sqlite: FILE, "
                       "query: ...}",
                       other->is);
    else if (other->kind == FM_INPUT_UTF16)
        (void)snprintf(words, FM_CSV_OTHER,
                       "%s (a spreadsheet's \"Unicode text\"); save it as CSV in UTF-8, or say "
                       "csv: {encoding: %.6s} in node.yaml",
                       other->is, other->is);
    else
        (void)snprintf(words, FM_CSV_OTHER, "%s; %s", other->is,
                       other->advice ? other->advice : "export it as CSV in UTF-8");
    return words;
}
