/* What can be said of records when all of them are read. */
#include <math.h>

#include "survey_internal.h"

#define ABSENT SIZE_MAX
#define FEW 10u /* fewer values say nothing of their unit, or of there being only one */

#define POWERS 6u /* of ten: the first of the units */

/* What a value times `factor` plus `shift` would be. Powers of ten, then units of measurement that
 * are mixed up in laboratories and wards. */
static const struct {
    double factor, shift;
    const char *words;
} units[FM_SURVEY_FACTORS] = {
    { 0.1, 0.0, "divided by 10" },
    { 10.0, 0.0, "multiplied by 10" },
    { 0.01, 0.0, "divided by 100 (a percentage, or centimetres for metres?)" },
    { 100.0, 0.0, "multiplied by 100 (a share, or metres for centimetres?)" },
    { 0.001, 0.0, "divided by 1000 (grams for kilograms?)" },
    { 1000.0, 0.0, "multiplied by 1000 (kilograms for grams?)" },
    { 18.016, 0.0, "multiplied by 18.016 (glucose in mmol/l for mg/dl?)" },
    { 1.0 / 18.016, 0.0, "divided by 18.016 (glucose in mg/dl for mmol/l?)" },
    { 38.67, 0.0, "multiplied by 38.67 (cholesterol in mmol/l for mg/dl?)" },
    { 1.0 / 38.67, 0.0, "divided by 38.67 (cholesterol in mg/dl for mmol/l?)" },
    { 88.42, 0.0, "multiplied by 88.42 (creatinine in mg/dl for umol/l?)" },
    { 1.0 / 88.42, 0.0, "divided by 88.42 (creatinine in umol/l for mg/dl?)" },
    { 0.45359237, 0.0, "multiplied by 0.4536 (pounds for kilograms?)" },
    { 1.0 / 0.45359237, 0.0, "divided by 0.4536 (kilograms for pounds?)" },
    { 2.54, 0.0, "multiplied by 2.54 (inches for centimetres?)" },
    { 1.0 / 2.54, 0.0, "divided by 2.54 (centimetres for inches?)" },
    { 7.50062, 0.0, "multiplied by 7.5 (kPa for mmHg?)" },
    { 1.0 / 7.50062, 0.0, "divided by 7.5 (mmHg for kPa?)" },
    { 1.0 / 12.0, 0.0, "divided by 12 (months for years?)" },
    { 1.0 / 365.25, 0.0, "divided by 365.25 (days for years?)" },
    { -1.0, 0.0, "taken as years of birth and made ages" }, /* shift: this year */
    { 5.0 / 9.0, -160.0 / 9.0, "taken as Fahrenheit and made Celsius" },
    { 9.0 / 5.0, 32.0, "taken as Celsius and made Fahrenheit" },
};

static double in_unit(size_t i, double v)
{
    if (units[i].factor < 0.0)
        return fm_this_year() - v;
    return v * units[i].factor + units[i].shift;
}

static bool is_measure(const fm_column *c)
{
    return c->kind == FM_COLUMN_NUMERIC ||
           (c->kind == FM_COLUMN_LABEL && c->target == FM_TARGET_NUMBER);
}

void fm_survey_try_units(const fm_column *c, fm_survey_cells *n, double v)
{
    for (size_t i = 0; is_measure(c) && i < FM_SURVEY_FACTORS; i++) {
        const double w = in_unit(i, v);

        n->fits[i] += w >= c->lo && w <= c->hi;
    }
}

/* The unit in which nearly all would fit, of those from `first` to before `end`; of several the one
 * that brings their mean nearest to the middle of the range. NULL: none. */
static const char *likely_unit(const fm_column *c, const fm_survey_cells *n, size_t first,
                               size_t end, uint64_t *fits)
{
    const double outside = (double)(n->below + n->above), mean = n->sum_outside / outside,
                 middle = c->lo + (c->hi - c->lo) / 2.0;
    const char *words = NULL;
    double least = HUGE_VAL;

    for (size_t i = first; i < end; i++) {
        const double off = fabs(in_unit(i, mean) - middle);

        if ((double)n->fits[i] < 0.95 * outside || !(off < least))
            continue;
        words = units[i].words;
        least = off;
        *fits = n->fits[i];
    }
    return words;
}

/* Nearly all numbers are outside of the range. */
static bool is_off(const fm_survey *s, size_t i)
{
    const fm_survey_cells *n = &s->cells[i];
    const uint64_t outside = n->below + n->above, numbers = outside + n->values;

    return n->present && is_measure(&s->schema->columns[i]) && numbers >= FEW &&
           (double)outside >= 0.9 * (double)numbers;
}

static bool would_fit(const fm_survey_cells *n, const fm_column *c)
{
    return n->lowest >= c->lo && n->highest <= c->hi;
}

/* Another column that is off as well, each with numbers of the other's range. */
static fm_status judge_swapped(fm_survey *s, size_t i)
{
    const fm_column *columns = s->schema->columns;

    for (size_t j = i + 1; is_off(s, i) && j < s->schema->column_count; j++) {
        if (!is_off(s, j) || !would_fit(&s->cells[i], &columns[j]) ||
            !would_fit(&s->cells[j], &columns[i]))
            continue;
        s->cells[i].swapped = s->cells[j].swapped = true;
        (void)fm_fail(FM_EPARSE,
                      "%s:1, columns %s and %s: the numbers of each are in the range of the other; "
                      "have their names changed places?",
                      s->name, columns[i].name, columns[j].name);
        return fm_survey_found(s, FM_FINDING_SWAPPED, 1, ABSENT, NULL);
    }
    return FM_OK;
}

static fm_status judge_unit(fm_survey *s, size_t i)
{
    const fm_column *c = &s->schema->columns[i];
    const fm_survey_cells *n = &s->cells[i];
    const uint64_t outside = n->below + n->above, numbers = outside + n->values;
    uint64_t fits = 0;
    const char *ten, *other;

    if (!is_off(s, i) || n->swapped)
        return FM_OK;
    ten = likely_unit(c, n, 0, POWERS, &fits);
    other = likely_unit(c, n, POWERS, FM_SURVEY_FACTORS, &fits);
    if (!ten && !other)
        return FM_OK;
    (void)fm_fail(FM_EPARSE,
                  "%s, column %s: %llu of %llu numbers are outside the declared range %.10g to "
                  "%.10g, and %llu of these would be inside if %s%s%s",
                  s->name, c->name, (unsigned long long)outside, (unsigned long long)numbers, c->lo,
                  c->hi, (unsigned long long)fits, ten ? ten : other,
                  ten && other ? ", or if " : "", ten && other ? other : "");
    return fm_survey_found(s, FM_FINDING_SCALE, 0, i, NULL);
}

static fm_status judge_empty(fm_survey *s, size_t i)
{
    const fm_survey_cells *n = &s->cells[i];
    const uint64_t measured = n->values + n->below + n->above + n->other;

    if (!s->rows || n->missing < FEW || (double)measured > 0.05 * (double)s->rows)
        return FM_OK;
    (void)fm_fail(FM_EPARSE, "%s, column %s: %s; %llu of %llu cells are missing", s->name,
                  s->schema->columns[i].name, measured ? "hardly a value" : "not one value",
                  (unsigned long long)n->missing, (unsigned long long)s->rows);
    return fm_survey_found(s, FM_FINDING_EMPTY, 0, i, NULL);
}

static bool is_constant(const fm_survey_cells *n)
{
    size_t used = 0;

    if (n->values < FEW || n->below || n->above || n->other)
        return false;
    if (n->edges)
        return n->least == n->most;
    for (size_t b = 0; b < n->bin_count; b++)
        used += n->bins[b] > 0;
    return used == 1;
}

static fm_status judge_constant(fm_survey *s, size_t i)
{
    const fm_column *c = &s->schema->columns[i];
    const fm_survey_cells *n = &s->cells[i];

    if (c->kind == FM_COLUMN_LABEL || !is_constant(n))
        return FM_OK;
    (void)fm_fail(FM_EPARSE, "%s, column %s: all %llu values are the same", s->name, c->name,
                  (unsigned long long)n->values);
    return fm_survey_found(s, FM_FINDING_CONSTANT, 0, i, NULL);
}

static fm_status judge_label(fm_survey *s, size_t i)
{
    const fm_column *c = &s->schema->columns[i];
    const fm_survey_cells *n = &s->cells[i];
    fm_status st = FM_OK;

    if (c->kind != FM_COLUMN_LABEL || !n->values)
        return FM_OK;
    if (n->edges) {
        if (!is_constant(n))
            return FM_OK;
        (void)fm_fail(FM_EPARSE, "%s, column %s: the label is the same in all %llu records",
                      s->name, c->name, (unsigned long long)n->values);
        return fm_survey_found(s, FM_FINDING_CLASSES, 0, i, NULL);
    }
    for (size_t b = 0; !st && b < n->bin_count; b++) {
        if (n->bins[b])
            continue;
        (void)fm_fail(FM_EPARSE, "%s, column %s: no record is %s\"%s\"", s->name, c->name,
                      c->target != FM_TARGET_BINARY ? "of the class "
                      : b                           ? "positive: "
                                                    : "negative: ",
                      fm_schema_class_name(s->schema, b));
        st = fm_survey_found(s, FM_FINDING_CLASSES, 0, i, NULL);
    }
    return st;
}

static fm_status judge_units(fm_survey *s)
{
    const uint64_t bound = s->options.max_unit_rows;
    uint64_t over = 0, lost = 0, most = 0;

    for (size_t u = 0; bound && s->units && u < s->index.count; u++) {
        const uint64_t rows = s->unit_rows[u];

        over += rows > bound;
        lost += rows > bound ? rows - bound : 0;
        most = rows > most ? rows : most;
    }
    if (!over)
        return FM_OK;
    (void)fm_fail(FM_EPARSE,
                  "%s: %llu of %zu units have more than %llu records (the largest %llu); a round "
                  "leaves out up to %llu of theirs",
                  s->name, (unsigned long long)over, s->index.count, (unsigned long long)bound,
                  (unsigned long long)most, (unsigned long long)lost);
    return fm_survey_found(s, FM_FINDING_UNIT_ROWS, 0, ABSENT, NULL);
}

static fm_status judge_nobody(fm_survey *s)
{
    fm_status st = FM_OK;

    for (size_t i = 0; !st && i < s->nobody_count; i++) {
        const uint32_t rows = s->unit_rows[s->nobody[i].unit];

        (void)fm_fail(FM_EPARSE,
                      "%s:%zu, column %s: \"%s\" in %u record%s from here on; are they of one and "
                      "the same?",
                      s->name, s->nobody[i].line, s->unit, s->nobody[i].name, (unsigned)rows,
                      rows == 1 ? "" : "s");
        st = fm_survey_found(s, FM_FINDING_NOBODY, s->nobody[i].line, ABSENT, NULL);
    }
    return st;
}

static fm_status judge_rows(fm_survey *s)
{
    if (!s->options.max_rows || s->rows <= s->options.max_rows)
        return FM_OK;
    (void)fm_fail(FM_EPERM, "%s: %llu records; policy.max_rows allows %llu", s->name,
                  (unsigned long long)s->rows, (unsigned long long)s->options.max_rows);
    return fm_survey_found(s, FM_FINDING_ROWS, 0, ABSENT, NULL);
}

fm_status fm_survey_judge(fm_survey *s)
{
    fm_status st = judge_rows(s);

    for (size_t i = 0; !st && i < s->schema->column_count; i++) {
        if (!s->cells[i].present)
            continue;
        if (!(st = judge_swapped(s, i)) && !(st = judge_unit(s, i)) && !(st = judge_empty(s, i)) &&
            !(st = judge_constant(s, i)))
            st = judge_label(s, i);
    }
    if (!st)
        st = fm_survey_twice_judge(s);
    if (!st)
        st = judge_nobody(s);
    return st ? st : judge_units(s);
}
