/* Why a line of a dictionary has not the header's number of fields. */
#include "draft_internal.h"
#include "fedmoe/base/text.h"

static const char *delimiter_name(char delimiter)
{
    return delimiter == ';'    ? "semicolons"
           : delimiter == '\t' ? "tabs"
           : delimiter == '|'  ? "bars"
                               : "commas";
}

/* The delimiter of a line that has none of the header's, but as many as it needs of this one; '\0': none. */
static char other_delimiter(const fm_csv_record *line, char delimiter, size_t fields)
{
    for (const char *c = ",;\t|"; *c && line->count == 1; c++) {
        size_t n = 0;

        for (const char *p = line->cells[0].at; *p; p++)
            n += *p == *c;
        if (*c != delimiter && n > 0 && n + 1 >= fields)
            return *c;
    }
    return '\0';
}

bool fm_draft_fail_fields(const char *name, const fm_csv_record *line, char delimiter,
                          size_t fields)
{
    const char other = other_delimiter(line, delimiter, fields);

    if (line->count && fm_text_is_conflict(line->cells[0].at, line->cells[0].len)) {
        (void)fm_fail(FM_EPARSE, "%s:%zu: " FM_TEXT_CONFLICT, name, line->line);
        return true;
    }
    if (other) {
        (void)fm_fail(FM_EPARSE,
                      "%s:%zu: %s separate the fields of this line, and %s those of the header; "
                      "write one of the two in all lines",
                      name, line->line, delimiter_name(other), delimiter_name(delimiter));
        return true;
    }
    (void)fm_fail(FM_EPARSE, "%s:%zu: %zu field%s where %zu belong; %s", name, line->line,
                  line->count, line->count == 1 ? "" : "s", fields,
                  line->count > fields
                      ? "a delimiter inside a cell needs quotes around the cell"
                      : "cells are missing: also for an empty one there is a delimiter, and a copy "
                        "that was cut needs to be made again");
    return false;
}
