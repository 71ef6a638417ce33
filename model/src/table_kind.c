/* What a file is that is no CSV, by its first bytes: people export the wrong thing. */
#include <string.h>

#include "table_csv.h"

static const struct {
    const char *begins;
    size_t len;
    const char *words;
} kinds[] = {
    { "\xff\xfe", 2,
      "UTF-16 text (a spreadsheet's \"Unicode text\"); save it as CSV in UTF-8, or say csv: "
      "{encoding: UTF-16} in node.yaml" },
    { "\xfe\xff", 2,
      "UTF-16 text; save it as CSV in UTF-8, or say csv: {encoding: UTF-16} in node.yaml" },
    { "PK\3\4", 4, "an Excel workbook or a zip archive; export the sheet as CSV in UTF-8" },
    { "\xd0\xcf\x11\xe0", 4, "an old Excel workbook; export the sheet as CSV in UTF-8" },
    { "%PDF-", 5, "a PDF; export the records as CSV" },
    { "SQLite format 3", 15,
      "an SQLite database; name it so in node.yaml: records: {sqlite: FILE, query: ...}" },
    { "<!DOCTYPE", 9, "a web page; the download may have failed or want a login" },
    { "<html", 5, "a web page; the download may have failed or want a login" },
    { "<?xml", 5, "XML; export the records as CSV" },
    { "{\"", 2, "JSON; export the records as CSV" },
    { "[{", 2, "JSON; export the records as CSV" },
    { "$FL2", 4, "a file of SPSS; export it as CSV" },
    { "<stata_dta>", 11, "a file of Stata; export it as CSV" },
};

const char *fm_csv_other(const char *first, size_t n)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (n >= kinds[i].len && memcmp(first, kinds[i].begins, kinds[i].len) == 0)
            return kinds[i].words;
    return NULL;
}
