/* One record after the other: what stands in each cell, counted; what is wrong, told. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/text.h"
#include "survey_internal.h"
#include "tokenizer_internal.h"

#define ABSENT SIZE_MAX

/* ---- the object ---- */

static bool is_number(const fm_column *c)
{
    return c->kind == FM_COLUMN_NUMERIC || c->kind == FM_COLUMN_DATE ||
           (c->kind == FM_COLUMN_LABEL && c->target == FM_TARGET_NUMBER);
}

/* The schema's own bins, which are made for the column's range, those by decades among the others;
 * else even ones. @param out room for them, or NULL. @return how many edges. */
static size_t edges_of(const fm_column *c, double *out)
{
    const fm_bins *x = &c->bins[0], *y = &c->bins[1];
    const size_t nx = x->count ? x->count + 1 : 0, ny = y->count ? y->count + 1 : 0;
    size_t n = 0;
    double last = (double)NAN;

    for (size_t i = 0, j = 0; i < nx || j < ny;) {
        const double v =
            j == ny || (i < nx && x->edges[i] <= y->edges[j]) ? x->edges[i++] : y->edges[j++];

        if (n && v <= last)
            continue;
        last = v;
        if (out)
            out[n] = v;
        n++;
    }
    if (n)
        return n;
    for (size_t i = 0; out && i <= FM_SURVEY_BINS; i++)
        out[i] = c->lo + (c->hi - c->lo) * (double)i / FM_SURVEY_BINS;
    return FM_SURVEY_BINS + 1;
}

static size_t bins_of(const fm_column *c)
{
    if (c->kind == FM_COLUMN_IGNORE)
        return 0;
    if (is_number(c))
        return edges_of(c, NULL) - 1;
    return c->kind == FM_COLUMN_LABEL && c->target == FM_TARGET_BINARY
               ? 2
               : c->values.count + c->groups.names.count;
}

fm_status fm_survey_new(const fm_schema *schema, const fm_survey_options *o, fm_survey **out)
{
    const size_t columns = schema->column_count;
    fm_survey *s = NULL;
    fm_status st;

    if ((st = fm_alloc(1, sizeof *s, (void **)&s)))
        return st;
    s->schema = schema;
    s->options = *o;
    for (size_t i = 0; i < columns; i++)
        s->bin_total += bins_of(&schema->columns[i]);
    if ((st = fm_alloc(columns, sizeof *s->cells, (void **)&s->cells)) ||
        (st = fm_alloc(s->bin_total + columns, sizeof *s->edges, (void **)&s->edges)) ||
        (st = fm_alloc(s->bin_total, sizeof *s->bins, (void **)&s->bins)) ||
        (st = fm_alloc(schema->features, sizeof *s->features, (void **)&s->features))) {
        fm_survey_free(&s);
        return st;
    }
    for (size_t i = 0, at = 0; i < columns; i++) {
        fm_survey_cells *n = &s->cells[i];

        n->bin_count = bins_of(&schema->columns[i]);
        n->bins = s->bins + at;
        if (is_number(&schema->columns[i])) {
            n->edges = s->edges + at + i; /* one more than bins, in each column */
            (void)edges_of(&schema->columns[i], s->edges + at + i);
        }
        n->least = n->most = n->lowest = n->highest = (double)NAN;
        at += n->bin_count;
    }
    *out = s;
    return FM_OK;
}

uint64_t fm_survey_rows(const fm_survey *s)
{
    return s->rows;
}

uint64_t fm_survey_units(const fm_survey *s, uint64_t *most)
{
    *most = 0;
    for (size_t u = 0; s->units && u < s->index.count; u++)
        *most = s->unit_rows[u] > *most ? s->unit_rows[u] : *most;
    return s->units ? s->index.count : 0;
}

bool fm_survey_column_at(const fm_survey *s, size_t column, fm_survey_column *out)
{
    const fm_survey_cells *n = &s->cells[column];
    const fm_column *c = &s->schema->columns[column];

    *out = (fm_survey_column){ .name = c->name,
                               .number = n->edges != NULL,
                               .values = n->values,
                               .missing = n->missing,
                               .below = n->below,
                               .above = n->above,
                               .unknown = n->other,
                               .least = n->least,
                               .most = n->most,
                               .lo = c->lo,
                               .hi = c->hi };
    return n->present;
}

/* ---- a cell ---- */

static fm_seen look_number(const fm_column *c, fm_slice cell, double *v)
{
    const bool date = c->kind == FM_COLUMN_DATE;

    /* As the encoder reads it: a label is never missing. */
    if (c->kind != FM_COLUMN_LABEL && fm_lookup_by_text(&c->lookup, cell) == FM_CODE_MISSING)
        return FM_SEEN_MISSING;
    if (c->kind != FM_COLUMN_LABEL && c->lookup.numbers && fm_text_double(cell.at, v) &&
        fm_lookup_by_number(&c->lookup, *v) == FM_CODE_MISSING)
        return FM_SEEN_MISSING;
    if (date ? !fm_cell_date(cell.at, v) : !fm_text_double(cell.at, v))
        return FM_SEEN_OTHER;
    return *v < c->lo ? FM_SEEN_BELOW : *v > c->hi ? FM_SEEN_ABOVE : FM_SEEN_VALUE;
}

fm_seen fm_survey_look(const fm_column *c, fm_slice cell, double *v)
{
    int32_t code;
    size_t group;

    if (is_number(c))
        return look_number(c, cell, v);
    code = fm_lookup_find(&c->lookup, cell);
    if (code == FM_CODE_MISSING && c->kind != FM_COLUMN_LABEL)
        return FM_SEEN_MISSING;
    *v = (double)code;
    if (code >= 0)
        return FM_SEEN_VALUE;
    group = fm_groups_find(&c->groups, cell);
    if (group == SIZE_MAX)
        return FM_SEEN_OTHER;
    *v = (double)(c->values.count + group);
    return FM_SEEN_VALUE;
}

static size_t bin_of(const fm_survey_cells *n, double v)
{
    size_t low = 0, high = n->bin_count; /* edges[low] <= v, but for the very first */

    if (!n->edges)
        return (size_t)v;
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;

        if (v < n->edges[middle])
            high = middle;
        else
            low = middle;
    }
    return low;
}

static void count(const fm_column *c, fm_survey_cells *n, fm_seen seen, double v)
{
    if (seen == FM_SEEN_VALUE || seen == FM_SEEN_BELOW || seen == FM_SEEN_ABOVE) {
        n->lowest = n->lowest <= v ? n->lowest : v; /* NaN at first */
        n->highest = n->highest >= v ? n->highest : v;
    }
    switch (seen) {
    case FM_SEEN_VALUE:
        n->values++;
        n->bins[bin_of(n, v)]++;
        n->least = n->least <= v ? n->least : v; /* NaN at first */
        n->most = n->most >= v ? n->most : v;
        break;
    case FM_SEEN_BELOW:
    case FM_SEEN_ABOVE:
        n->below += seen == FM_SEEN_BELOW;
        n->above += seen == FM_SEEN_ABOVE;
        n->sum_outside += v;
        fm_survey_try_units(c, n, v);
        break;
    case FM_SEEN_MISSING:
        n->missing++;
        break;
    case FM_SEEN_OTHER:
        n->other++;
        break;
    }
}

/* What the encoder refuses is an error, by its own words; what it takes, odd as it is, a warning. */
static fm_finding_kind kind_of(const fm_column *c, fm_seen seen)
{
    if (seen == FM_SEEN_MISSING)
        return FM_FINDING_REQUIRED;
    if (c->kind == FM_COLUMN_LABEL && c->odd == FM_ODD_ERROR)
        return FM_FINDING_LABEL;
    if (seen == FM_SEEN_OTHER) {
        if (c->kind == FM_COLUMN_LABEL)
            return FM_FINDING_LABEL;
        if (c->kind != FM_COLUMN_CATEGORICAL)
            return FM_FINDING_NUMBER;
        return c->odd == FM_ODD_ERROR ? FM_FINDING_CATEGORY : FM_FINDING_UNKNOWN;
    }
    return c->odd == FM_ODD_ERROR ? FM_FINDING_RANGE : FM_FINDING_CLIPPED;
}

static void describe_odd(const fm_survey *s, size_t line, const fm_column *c, fm_seen seen,
                         const char *shown)
{
    const bool missing = c->odd == FM_ODD_MISSING;

    if (seen == FM_SEEN_OTHER)
        (void)fm_fail(FM_EPARSE, "%s:%zu, column %s: \"%s\" is not declared; it counts as missing",
                      s->name, line, c->name, shown);
    else if (c->kind == FM_COLUMN_DATE)
        (void)fm_fail(FM_EPARSE, "%s:%zu, column %s: %s is %s the declared range; it %s", s->name,
                      line, c->name, shown, seen == FM_SEEN_BELOW ? "before" : "after",
                      missing ? "counts as missing" : "is moved to its end");
    else
        (void)fm_fail(FM_EPARSE,
                      "%s:%zu, column %s: %s is outside the declared range %.10g to %.10g; it %s",
                      s->name, line, c->name, shown, c->lo, c->hi,
                      missing ? "counts as missing" : "is moved to its end");
}

static fm_status tell_encoding(fm_survey *s, size_t line, size_t column, fm_slice cell)
{
    if (s->encoding_told || fm_tk_utf8_valid((const uint8_t *)cell.at, cell.len) == cell.len)
        return FM_OK;
    s->encoding_told = true;
    (void)fm_fail(FM_EPARSE, "%s:%zu%s%s: this is not UTF-8; is the file written in Latin-1?",
                  s->name, line, column == ABSENT ? "" : ", column ",
                  column == ABSENT ? "" : s->schema->columns[column].name);
    return fm_survey_found(s, FM_FINDING_ENCODING, line, column, NULL);
}

static fm_status take_cell(fm_survey *s, size_t line, size_t i, fm_slice cell)
{
    const fm_column *c = &s->schema->columns[i];
    char shown[FM_CELL_SHOWN];
    fm_finding_kind kind;
    double v = 0.0;
    float label;
    const fm_seen seen = fm_survey_look(c, cell, &v);
    fm_status st;

    count(c, &s->cells[i], seen, v);
    if (seen == FM_SEEN_VALUE || (seen == FM_SEEN_MISSING && !c->required))
        return FM_OK;
    kind = kind_of(c, seen);
    (void)fm_cell_show(cell.at, shown);
    st = fm_schema_encode_cell(s->schema, i, cell, s->features, &label);
    if (st && st != FM_EPARSE)
        return st;
    if (st)
        (void)fm_fail_context(st, "%s:%zu, ", s->name, line);
    else
        describe_odd(s, line, c, seen, shown);
    if ((st = fm_survey_found(s, kind, line, i, shown)))
        return st;
    return seen == FM_SEEN_OTHER ? tell_encoding(s, line, i, cell) : FM_OK;
}

/* ---- a record ---- */

/* A unit that is called as if there were none. */
static void note_nobody(fm_survey *s, size_t line, const char *key, size_t len, uint32_t unit)
{
    char name[sizeof s->nobody[0].name];

    if (len >= sizeof name || s->nobody_count == FM_SURVEY_NOBODY)
        return;
    memcpy(name, key, len);
    name[len] = '\0';
    if (!fm_cell_means_missing(name))
        return;
    s->nobody[s->nobody_count].unit = unit;
    s->nobody[s->nobody_count].line = line;
    memcpy(s->nobody[s->nobody_count++].name, name, sizeof name);
}

/* @param first out: it is the first record of its unit. */
static fm_status take_unit(fm_survey *s, const fm_binding *b, const fm_csv_record *r, bool *first)
{
    const char *key = NULL;
    const size_t before = s->index.count;
    uint32_t unit = 0;
    size_t len = 0;
    fm_status st;

    *first = false;
    if (fm_unit_key(b, r, &key, &len))
        return fm_survey_found(s, FM_FINDING_UNIT, r->line, ABSENT, NULL);
    if ((st = fm_unit_index_number(&s->index, key, len, &unit)))
        return st;
    if (unit >= s->unit_cap) {
        const size_t cap = s->unit_cap ? 2 * s->unit_cap : 256;

        if ((st = fm_widen((void **)&s->unit_rows, s->unit_cap, cap, sizeof *s->unit_rows)))
            return st;
        s->unit_cap = cap;
    }
    *first = unit == before;
    if (*first)
        note_nobody(s, r->line, key, len, unit);
    s->unit_rows[unit] += s->unit_rows[unit] < UINT32_MAX;
    return FM_OK;
}

fm_status fm_survey_begin(fm_survey *s, const fm_binding *b)
{
    for (size_t i = 0; i < s->schema->column_count; i++) {
        const fm_column_kind kind = s->schema->columns[i].kind;

        s->cells[i].present = b->place[i] != ABSENT && kind != FM_COLUMN_IGNORE &&
                              (kind != FM_COLUMN_LABEL || b->labels);
    }
    s->unit = b->unit;
    s->units = b->unit && b->unit_place != ABSENT;
    return s->name ? FM_OK : fm_strdup(b->name, &s->name);
}

/* The caller looks at the cells. */
static fm_status hand_out(fm_survey *s, const fm_slice *cells)
{
    fm_status st = FM_OK;

    for (size_t i = 0; !st && i < s->schema->column_count; i++) {
        double v = 0.0;

        if (s->cells[i].present) {
            const fm_seen seen = fm_survey_look(&s->schema->columns[i], cells[i], &v);

            st = s->options.cell(s->options.ctx, i, seen, v);
        }
    }
    return st;
}

static fm_status tell_shifted(fm_survey *s, size_t line, size_t column)
{
    (void)fm_fail(
        FM_EPARSE,
        "%s:%zu: from column %s on every cell stands one place too early, and the last is "
        "empty: a cell is missing, there or before, with its delimiter",
        s->name, line, s->schema->columns[column].name);
    return fm_survey_found(s, FM_FINDING_FIELDS, line, ABSENT, NULL);
}

fm_status fm_survey_record(fm_survey *s, const fm_binding *b, const fm_csv_record *r,
                           fm_slice *cells)
{
    bool first = true;
    size_t shifted;
    fm_status st = fm_bind_check(b, r);

    if (st)
        return fm_survey_found(s, FM_FINDING_FIELDS, r->line, ABSENT, NULL);
    s->rows++;
    if (!s->options.cell && (st = fm_survey_twice_take(s, r)))
        return st;
    fm_bind_cells(b, r, cells);
    if (!s->options.cell && (shifted = fm_survey_shifted(s, b, r, cells)) != ABSENT)
        return tell_shifted(s, r->line, shifted);
    if (s->units)
        st = take_unit(s, b, r, &first);
    if (st || s->options.cell)
        return st || !first ? st : hand_out(s, cells);
    for (size_t i = 0; !st && i < s->schema->column_count; i++)
        if (s->cells[i].present)
            st = take_cell(s, r->line, i, cells[i]);
    return st;
}

/* The header's problems come as lines "file:line, column NAME: ...". */
static fm_status tell_header(fm_survey *s, const char *lines)
{
    fm_status st = FM_OK;

    while (!st && *lines) {
        const size_t len = strcspn(lines, "\n");

        (void)fm_fail(FM_EPARSE, "%.*s", (int)len, lines);
        st = fm_survey_found(s, FM_FINDING_HEADER, 1, ABSENT, NULL);
        lines += len + (lines[len] == '\n');
    }
    return st;
}

fm_status fm_survey_end(fm_survey *s, const char *name, const char *header, bool broken)
{
    fm_status st = s->name ? FM_OK : fm_strdup(name, &s->name);

    if (!st && broken)
        st = fm_survey_found(s, FM_FINDING_FILE, 0, ABSENT, NULL);
    if (!st && header)
        st = tell_header(s, header);
    if (!st && !broken && !header && !s->rows && !s->found[FM_FINDING_FIELDS]) {
        (void)fm_fail(
            FM_EPARSE,
            "%s: there are no records; is it the right file, and was the export finished?", name);
        st = fm_survey_found(s, FM_FINDING_FILE, 0, ABSENT, NULL);
    }
    return st ? st : fm_survey_judge(s);
}
