/* One cell: as a number, as a date, as one of the declared ones. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/text.h"
#include "schema_internal.h"
#include "tokenizer_internal.h"

static bool digits(const char *text, size_t n, int *out)
{
    *out = 0;
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        *out = *out * 10 + (text[i] - '0');
    }
    return true;
}

static int is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

bool fm_cell_date(const char *text, double *out)
{
    static const int days_before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365 };
    int year, month, day, length;

    if (strlen(text) != 10 || text[4] != '-' || text[7] != '-' || !digits(text, 4, &year) ||
        !digits(text + 5, 2, &month) || !digits(text + 8, 2, &day))
        return false;
    if (year < 1 || month < 1 || month > 12)
        return false;
    length = days_before[month] - days_before[month - 1] + (month == 2 ? is_leap(year) : 0);
    if (day < 1 || day > length)
        return false;
    const int before = year - 1; /* whole years since 0001-01-01, the proleptic Gregorian way */
    const int since = before * 365 + before / 4 - before / 100 + before / 400 +
                      days_before[month - 1] + (month > 2 ? is_leap(year) : 0) + day - 1;

    *out = since - 719162;
    return true;
}

/* Of a day within the years 1 to 9999. Source: Howard Hinnant, "chrono-Compatible Low-Level Date
 * Algorithms": eras of 400 years that begin on 1 March. */
const char *fm_cell_date_text(double day, char out[FM_CELL_DATE])
{
    const int z = (int)day + 719468, era = z / 146097, of_era = z - era * 146097;
    const int year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    const int of_year = of_era - (365 * year + year / 4 - year / 100);
    const int shifted = (5 * of_year + 2) / 153, month = shifted < 10 ? shifted + 3 : shifted - 9;

    (void)snprintf(out, FM_CELL_DATE, "%04d-%02d-%02d", year + era * 400 + (month <= 2), month,
                   of_year - (153 * shifted + 2) / 5 + 1);
    return out;
}

fm_status fm_cell_make(const char *text, fm_cell *out)
{
    fm_cell c = { 0 };
    fm_status st = fm_strdup(text, &c.text);

    if (st)
        return st;
    c.is_number = fm_text_double(text, &c.number);
    *out = c;
    return FM_OK;
}

size_t fm_cells_find(const fm_cells *list, const char *text)
{
    double v = 0.0;
    const bool is_number = fm_text_double(text, &v);

    for (size_t i = 0; i < list->count; i++) {
        const fm_cell *c = &list->at[i];

        if (is_number && c->is_number ? v == c->number : strcmp(c->text, text) == 0)
            return i;
    }
    return SIZE_MAX;
}

void fm_cells_fini(fm_cells *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->at[i].text);
    free(list->at);
    *list = (fm_cells){ 0 };
}

const char *fm_cell_show(const char *text, char out[FM_CELL_SHOWN])
{
    const bool cut = strlen(text) > 40;
    size_t n, bad;

    (void)snprintf(out, FM_CELL_SHOWN - 3, "%.40s", text);
    n = strlen(out);
    /* No half of a character at the cut; what is no UTF-8 is shown, but not as it is. */
    for (size_t i = 0, len; i < n; i += len) {
        len = fm_tk_utf8_length((const uint8_t *)out + i, n - i, &bad);
        if (!len) {
            len = 1;
            out[i] = '?';
        }
    }
    if (cut)
        memcpy(out + n, "...", 4);
    fm_text_clean(out);
    return out;
}
