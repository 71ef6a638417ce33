#include "draft_charge.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "fedmoe/base/file.h"
#include "fedmoe/base/yaml.h"
#include "fedmoe/dp/noise.h"
#include "fedmoe/model/survey.h"
#include "records.h"
#include "run_internal.h"

#define NEGATIVE 50u /* parts below 0; then 0 itself, then as many above */
#define WORDS (FM_DRAFT_PARTS + 1u)
#define STEPS 1024.0 /* of the lattice for each record: the noise is many of them wide */
#define LOCAL "schema suggest"

size_t fm_draft_part(double v)
{
    const double a = fabs(v);
    double p;

    if (a == 0.0)
        return NEGATIVE;
    p = a < 1e-3 ? 0.0 : fmin(1.0 + floor(4.0 * log10(a) + 12.0), 49.0);
    return v > 0.0 ? NEGATIVE + 1 + (size_t)p : NEGATIVE - 1 - (size_t)p;
}

void fm_draft_part_ends(size_t part, double *lo, double *hi)
{
    const bool below = part < NEGATIVE;
    const double p = below ? (double)(NEGATIVE - 1 - part) : (double)part - NEGATIVE - 1.0;
    const double near = p < 1.0 ? 0.0 : pow(10.0, (p - 13.0) / 4.0),
                 far = pow(10.0, (p - 12.0) / 4.0);

    if (part == NEGATIVE) {
        *lo = *hi = 0.0;
        return;
    }
    *lo = below ? -far : near;
    *hi = below ? -near : far;
}

typedef struct {
    const fm_node_config *config;
    fm_draft *draft;
    double epsilon, z, sigma, bound; /* sigma, bound: in records */
    size_t *asked;                   /* [draft->count]: which block, or SIZE_MAX */
    size_t blocks;
    int64_t *counts; /* [blocks, WORDS]: parts, then what is no number */
    fm_schema *schema;
    fm_hash plan;
} estimate;

/* ---- which columns ---- */

static bool is_named(const char *name, const char *const *only, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(only[i], name) == 0)
            return true;
    return false;
}

static bool is_open(const fm_draft *d, const fm_draft_column *c)
{
    return (c->kind == FM_DRAFT_UNKNOWN || c->kind == FM_DRAFT_NUMERIC) && !c->lo &&
           (c->in_file || !d->header_known);
}

static fm_status choose(estimate *e, const char *const *only, size_t count)
{
    const fm_draft *d = e->draft;
    fm_status st = fm_alloc(d->count ? d->count : 1, sizeof *e->asked, (void **)&e->asked);

    for (size_t i = 0; !st && i < count; i++)
        if (!fm_draft_find(d, only[i]) || !is_open(d, fm_draft_find(d, only[i])))
            st = fm_fail(FM_ENOTFOUND,
                         "--column %s: there is no such column, or it has a range or values",
                         only[i]);
    for (size_t i = 0; !st && i < d->count; i++)
        e->asked[i] =
            is_open(d, &d->columns[i]) && (!count || is_named(d->columns[i].name, only, count))
                ? e->blocks++
                : SIZE_MAX;
    if (!st && !e->blocks)
        st = fm_fail(FM_EPERM, "there is no column without a range or values: nothing to charge "
                               "for");
    return st ? st : fm_alloc(e->blocks * WORDS, sizeof *e->counts, (void **)&e->counts);
}

/* A schema that takes any cell of them. */
static fm_status make_schema(estimate *e)
{
    const fm_draft *d = e->draft;
    const char delimiter[] = { d->delimiter ? d->delimiter : ',', '\0' };
    fm_buf text = { 0 };
    fm_status st = fm_buf_printf(
        &text, "name: draft\ncsv: {header: %s, delimiter: \"%s\", missing: [\"\"",
        d->header_known && !d->header ? "false" : "true", *delimiter == '\t' ? "\\t" : delimiter);

    for (size_t i = 0; !st && i < d->missing_count; i++)
        if (!(st = fm_buf_printf(&text, ", ")))
            st = fm_yaml_quote(&text, d->missing[i]);
    if (!st)
        st = fm_buf_printf(&text, "]}\ncolumns:\n");
    for (size_t i = 0; !st && i < d->count; i++)
        if (!(st = fm_buf_printf(&text, "  - {name: ")) &&
            !(st = fm_yaml_quote(&text, d->columns[i].name)))
            st = fm_buf_printf(&text, "%s}\n",
                               e->asked[i] == SIZE_MAX
                                   ? ", kind: ignore"
                                   : ", kind: numeric, range: [0, 1], outside: clip");
    if (!st)
        st = fm_schema_parse("the draft", text.data, text.len, &e->schema);
    fm_buf_fini(&text);
    return st;
}

/* ---- counting ---- */

static fm_status count_cell(void *ctx, size_t column, fm_seen seen, double v)
{
    estimate *e = ctx;
    int64_t *counts = e->counts + e->asked[column] * WORDS;

    if (seen == FM_SEEN_OTHER)
        counts[FM_DRAFT_PARTS]++;
    else if (seen != FM_SEEN_MISSING)
        counts[fm_draft_part(v)]++;
    return FM_OK;
}

static fm_status count_records(estimate *e)
{
    const fm_survey_options o = { .cell = count_cell, .ctx = e };
    fm_table_options t = { .unit = fm_node_policy_unit_column(&e->config->policy) };
    fm_table none = { 0 };
    fm_survey *survey = NULL;
    fm_status st;

    if ((st = fm_survey_new(e->schema, &o, &survey)))
        return st;
    t.survey = survey;
    st = fm_node_records_load(e->config, e->schema, &t, &none);
    if (!st && fm_survey_errors(survey))
        st = fm_fail(FM_EPARSE,
                     "the records cannot all be read (%llu problems); 'fedmoe-node check' lists "
                     "them; nothing was charged",
                     (unsigned long long)fm_survey_errors(survey));
    fm_survey_free(&survey);
    return st;
}

/* ---- charging ---- */

static fm_status pay(estimate *e)
{
    const fm_node_policy *p = &e->config->policy;
    const fm_ledger_budget budget = { p->epsilon, p->delta };
    uint8_t once[32];
    char purpose[64];
    fm_ledger_entry entry = { .data_set = e->config->data_set,
                              .federation = LOCAL,
                              .purpose = purpose,
                              .round = 0, /* of no run: see run_books.c */
                              .mechanism = { e->z, 1.0, 1, FM_DP_GAUSSIAN, 0 },
                              .unit = fm_node_policy_unit_column(p) };
    fm_ledger *l = NULL;
    fm_status st = FM_OK;

    fm_random_bytes(once, sizeof once);
    entry.plan = e->plan = fm_hash_of("fedmoe draft v1", once, sizeof once);
    (void)snprintf(purpose, sizeof purpose, "schema suggest: ranges of %zu columns", e->blocks);
    if (!fm_file_exists(e->config->ledger))
        st = fm_node_books_none_yet(e->config);
    if (!st && !(st = fm_ledger_open(e->config->ledger, &l)) &&
        !(st = fm_node_books_compare(e->config, l)))
        st = fm_ledger_charge(l, &entry, &budget);
    fm_ledger_close(&l);
    return st;
}

static fm_status add_noise(estimate *e, fm_rng *rng)
{
    const size_t n = e->blocks * WORDS;
    fm_dp_gaussian *g = NULL;
    int64_t *noise = NULL;
    fm_status st;

    if (!(st = fm_alloc(n, sizeof *noise, (void **)&noise)) &&
        !(st = fm_dp_gaussian_new(e->sigma * STEPS, &g)))
        st = fm_dp_gaussian_sample64(g, rng, noise, n);
    for (size_t i = 0; !st && i < n; i++)
        e->counts[i] = e->counts[i] * (int64_t)STEPS + noise[i];
    fm_dp_gaussian_free(&g);
    if (noise)
        sodium_memzero(noise, n * sizeof *noise);
    free(noise);
    return st;
}

/* ---- reading what was paid for ---- */

static fm_status set_range(const estimate *e, fm_draft_column *c, double lo, double hi)
{
    char ends[2][32];
    fm_status st;

    fm_draft_round(lo, false, ends[0]);
    fm_draft_round(hi, true, ends[1]);
    c->kind = FM_DRAFT_NUMERIC;
    c->estimated = true;
    if ((st = fm_draft_set(&c->lo, "%s", ends[0])) || (st = fm_draft_set(&c->hi, "%s", ends[1])))
        return st;
    return fm_draft_set(&c->source,
                        "charged estimate on data set '%s': epsilon %g at delta %g for %zu "
                        "columns; quarters of decades with more than about %.0f records",
                        e->config->data_set, e->epsilon, e->config->policy.delta, e->blocks,
                        e->bound);
}

static fm_status read_column(const estimate *e, const int64_t *counts, fm_draft_column *c)
{
    const double other = (double)counts[FM_DRAFT_PARTS] / STEPS;
    double lo = HUGE_VAL, hi = -HUGE_VAL, numbers = 0.0;

    for (size_t p = 0; p < FM_DRAFT_PARTS; p++) {
        const double n = (double)counts[p] / STEPS;
        double ends[2];

        if (n <= e->bound)
            continue;
        fm_draft_part_ends(p, &ends[0], &ends[1]);
        numbers += n;
        lo = fmin(lo, ends[0]);
        hi = fmax(hi, ends[1]);
    }
    if (other > e->bound && other > numbers)
        return fm_draft_set(&c->doubt, "hardly a number (charged estimate): list its values in a "
                                       "dictionary, or leave it ignored");
    if (!(lo < hi))
        return fm_draft_set(&c->doubt,
                            "lost in the noise: no quarter of a decade has more than about %.0f "
                            "records; a larger epsilon, or fewer --column, would tell more",
                            e->bound);
    return set_range(e, c, lo, hi);
}

static fm_status prepare(estimate *e, const char *const *only, size_t count)
{
    fm_status st;

    if (!(e->config->policy.tasks & FM_NODE_TASK(FM_TASK_STATISTICS)))
        return fm_fail(FM_EPERM, "a charged estimate is a question about the records, and the "
                                 "policy of this node does not allow statistics; its "
                                 "data-protection officer can add it to policy.tasks");
    if ((st = choose(e, only, count)) || (st = make_schema(e)) ||
        (st = fm_dp_calibrate(e->epsilon, e->config->policy.delta, 1.0, 1, &e->z)))
        return st;
    e->sigma = e->z * sqrt((double)e->blocks);
    /* By the union bound some empty part passes it in one draft of twenty, at most. */
    e->bound = e->sigma * sqrt(2.0 * log((double)(e->blocks * WORDS) / 0.05));
    return FM_OK;
}

fm_status fm_node_draft_charge(const fm_node_config *c, double epsilon, const char *const *only,
                               size_t count, fm_rng *rng, fm_draft *d)
{
    estimate e = { .config = c, .draft = d, .epsilon = epsilon };
    fm_status st;

    if ((st = prepare(&e, only, count)) || (st = count_records(&e)) || (st = pay(&e)) ||
        (st = add_noise(&e, rng)))
        goto done;
    for (size_t i = 0; !st && i < d->count; i++)
        if (e.asked[i] != SIZE_MAX)
            st = read_column(&e, e.counts + e.asked[i] * WORDS, &d->columns[i]);
done:
    if (e.counts)
        sodium_memzero(e.counts, e.blocks * WORDS * sizeof *e.counts);
    free(e.counts);
    free(e.asked);
    fm_schema_free(&e.schema);
    return st;
}
