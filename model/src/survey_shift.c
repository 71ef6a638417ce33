/* A record with a cell lost and a delimiter too many: one mistake, and not one of each of its cells. */
#include "survey_internal.h"

#define ABSENT SIZE_MAX
#define LEAST 3u /* cells that do not fit as they stand, and would if they stood one further */

static bool fits(const fm_column *c, fm_slice cell)
{
    double v;
    const fm_seen seen = fm_survey_look(c, cell, &v);

    return seen == FM_SEEN_VALUE || (seen == FM_SEEN_MISSING && !c->required);
}

/* The cell that stands before the column's own, as the column reads it. */
static bool fits_before(const fm_binding *b, const fm_csv_record *r, size_t i)
{
    const fm_column *c = &b->schema->columns[i];
    fm_slice cell = r->cells[b->place[i] - 1];
    char room[FM_DIALECT_CELL];

    if (b->dialect)
        fm_dialect_cell(b->dialect, b->schema, c, &cell, room);
    return fits(c, cell);
}

size_t fm_survey_shifted(const fm_survey *s, const fm_binding *b, const fm_csv_record *r,
                         const fm_slice *cells)
{
    size_t odd = 0, first = ABSENT;

    if (r->count < LEAST || r->cells[r->count - 1].len > 0)
        return ABSENT;
    for (size_t i = 0; i < s->schema->column_count; i++) {
        if (!s->cells[i].present || fits(&s->schema->columns[i], cells[i]))
            continue;
        odd++;
        first = first == ABSENT || b->place[i] < b->place[first] ? i : first;
    }
    if (odd < LEAST)
        return ABSENT;
    for (size_t i = 0; i < s->schema->column_count; i++)
        if (s->cells[i].present && b->place[i] > b->place[first] && !fits_before(b, r, i))
            return ABSENT;
    return first;
}
