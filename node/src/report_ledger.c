/* What the ledger says: releases by kind, by plan, and what they add up to, release by release. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"
#include "run_internal.h"

/* Kinds times points: what the plot may cost. */
#define WORK 6000u
/* Readings, when the node writes meanwhile. */
#define TRIES 50

/** One entry of the data set, as short as possible: a ledger may have many. */
typedef struct {
    uint64_t sequence, count;
    int64_t wall_s;
    size_t kind;
} step;

typedef struct {
    fm_report *r;
    step *steps;
    size_t step_count, step_cap, kind_cap, part_cap;
} walk;

/** Room for one more of `size` bytes in *items. */
static fm_status reserve(void **items, size_t count, size_t *cap, size_t size)
{
    size_t more = *cap ? 2 * *cap : 64, bytes;
    void *p;

    if (count < *cap)
        return FM_OK;
    if (fm_mul_size(more, size, &bytes) != FM_OK || !(p = realloc(*items, bytes)))
        return fm_fail(FM_ENOMEM, "no memory for the report on %zu entries", count);
    *items = p;
    *cap = more;
    return FM_OK;
}

static fm_status add_kind(walk *w, const fm_dp_mechanism *m, size_t *index)
{
    fm_report *r = w->r;
    void *p = r->kinds;
    fm_status st;

    for (size_t i = 0; i < r->kind_count; i++)
        if (fm_dp_same_kind(&r->kinds[i], m)) {
            r->kinds[i].count += m->count;
            *index = i;
            return FM_OK;
        }
    st = reserve(&p, r->kind_count, &w->kind_cap, sizeof *r->kinds);
    r->kinds = p;
    if (st != FM_OK)
        return st;
    *index = r->kind_count;
    r->kinds[r->kind_count++] = *m;
    return FM_OK;
}

/** The part that the entry belongs to: mostly the last one. */
static fm_report_part *find_part(const fm_report *r, const fm_ledger_row *row)
{
    for (size_t i = r->part_count; i-- > 0;) {
        fm_report_part *p = &r->parts[i];

        if (fm_dp_same_kind(&p->mechanism, &row->mechanism) &&
            fm_hash_equal(&p->plan, &row->plan) && strcmp(p->federation, row->federation) == 0 &&
            strcmp(p->purpose, row->purpose) == 0)
            return p;
    }
    return NULL;
}

static fm_status add_part(walk *w, const fm_ledger_row *row)
{
    fm_report *r = w->r;
    fm_report_part *p = find_part(r, row);
    void *items = r->parts;
    fm_status st;

    if (p) {
        p->mechanism.count += row->mechanism.count;
        p->last_s = row->wall_s;
        return FM_OK;
    }
    st = reserve(&items, r->part_count, &w->part_cap, sizeof *r->parts);
    r->parts = items;
    if (st != FM_OK)
        return st;
    p = &r->parts[r->part_count++];
    *p = (fm_report_part){ .plan = row->plan,
                           .mechanism = row->mechanism,
                           .first_release = r->releases + 1,
                           .first_s = row->wall_s,
                           .last_s = row->wall_s,
                           .epsilon = -1.0 };
    memcpy(p->federation, row->federation, sizeof p->federation);
    memcpy(p->purpose, row->purpose, sizeof p->purpose);
    memcpy(p->unit, row->unit, sizeof p->unit);
    return FM_OK;
}

static fm_status each_row(void *ctx, const fm_ledger_row *row)
{
    walk *w = ctx;
    fm_report *r = w->r;
    void *items = w->steps;
    size_t kind = 0;
    fm_status st;

    r->head = row->hash;
    if (strcmp(row->data_set, r->config.data_set) != 0) {
        r->other_entries++;
        return FM_OK;
    }
    if ((st = add_kind(w, &row->mechanism, &kind)) != FM_OK || (st = add_part(w, row)) != FM_OK)
        return st;
    st = reserve(&items, w->step_count, &w->step_cap, sizeof *w->steps);
    w->steps = items;
    if (st != FM_OK)
        return st;
    w->steps[w->step_count++] = (step){ row->sequence, row->mechanism.count, row->wall_s, kind };
    r->releases += row->mechanism.count;
    return FM_OK;
}

/** How many points: all entries when they are few. */
static size_t point_count(const fm_report *r, size_t steps)
{
    size_t most = r->kind_count > 0 ? WORK / r->kind_count : 0;

    most = most < 2 ? 2 : most > FM_REPORT_POINTS ? FM_REPORT_POINTS : most;
    return steps < most ? steps : most;
}

/**
 * Epsilon after evenly spaced entries, each computed. The accountant's bounds need not grow with
 * each entry to the last digit; what holds for more entries holds for fewer, so a later, smaller
 * bound is a bound for the earlier point as well.
 */
static fm_status add_points(walk *w)
{
    fm_report *r = w->r;
    size_t n = point_count(r, w->step_count), next = 0, used = 0;
    fm_dp_mechanism *sum;
    uint64_t releases = 0;
    void *p = NULL;
    fm_status st = fm_alloc(r->kind_count + 1, sizeof *sum, &p);

    sum = p;
    for (size_t i = 0; st == FM_OK && i < n; i++) {
        size_t end = (i + 1) * w->step_count / n;

        for (; next < end; next++) {
            fm_dp_mechanism *m = &sum[w->steps[next].kind];
            uint64_t before = m->count;

            *m = r->kinds[w->steps[next].kind];
            m->count = before + w->steps[next].count;
            /* Kinds are numbered as they come: those met so far stand at the front. */
            used = w->steps[next].kind >= used ? w->steps[next].kind + 1 : used;
            releases += w->steps[next].count;
        }
        r->points[i] = (fm_report_point){ .releases = releases,
                                          .sequence = w->steps[end - 1].sequence,
                                          .wall_s = w->steps[end - 1].wall_s };
        if (i + 1 == n)
            r->points[i].epsilon = r->spent; /* the ledger's own figure */
        else
            st = fm_dp_epsilon(sum, used, r->config.policy.delta, &r->points[i].epsilon);
    }
    free(p);
    for (size_t i = n; st == FM_OK && i-- > 1;)
        r->points[i - 1].epsilon = fmin(r->points[i - 1].epsilon, r->points[i].epsilon);
    r->point_count = n;
    return st;
}

/** The newest parts, each alone; equal ones are answered once. */
static fm_status price_parts(fm_report *r)
{
    size_t first = r->part_count > FM_REPORT_PARTS ? r->part_count - FM_REPORT_PARTS : 0;
    fm_status st = FM_OK;

    for (size_t i = first; st == FM_OK && i < r->part_count; i++) {
        fm_report_part *p = &r->parts[i];

        for (size_t j = first; j < i && p->epsilon < 0.0; j++)
            if (fm_dp_same_kind(&r->parts[j].mechanism, &p->mechanism) &&
                r->parts[j].mechanism.count == p->mechanism.count)
                p->epsilon = r->parts[j].epsilon;
        if (p->epsilon < 0.0)
            st = fm_dp_epsilon(&p->mechanism, 1, r->config.policy.delta, &p->epsilon);
    }
    return st;
}

static void forget(fm_report *r)
{
    free(r->kinds);
    free(r->parts);
    r->kinds = NULL;
    r->parts = NULL;
    r->kind_count = r->part_count = 0;
    r->releases = r->other_entries = 0;
}

/** One reading. *whole: false when the node wrote an entry meanwhile. */
static fm_status read_once(walk *w, fm_ledger *l, bool *whole)
{
    fm_report *r = w->r;
    fm_status st;

    if ((st = fm_ledger_verify(l, &r->entries)) != FM_OK)
        return st;
    forget(r);
    w->step_count = 0;
    w->kind_cap = w->part_cap = 0;
    st = fm_ledger_walk(l, each_row, w);
    /* Rows are only ever added: as many as were verified are those that were verified. */
    *whole = w->step_count + r->other_entries == r->entries;
    return st;
}

/** As the ledger itself reckons it, but of the entries that were read: a node at work adds more. */
static fm_status price_all(fm_report *r)
{
    fm_dp_account *a = NULL;
    fm_dp_cost cost = { 0 };
    fm_status st = fm_dp_account_new(&a);

    for (size_t i = 0; st == FM_OK && i < r->kind_count; i++)
        st = fm_dp_account_add(a, &r->kinds[i]);
    if (st == FM_OK)
        st = fm_dp_account_epsilon(a, NULL, r->config.policy.delta, &cost);
    fm_dp_account_free(&a);
    r->spent = cost.epsilon;
    return st;
}

fm_status fm_report_read_ledger(fm_report *r)
{
    const char *path = r->config.ledger;
    walk w = { .r = r };
    fm_ledger *l = NULL;
    bool whole = false;
    fm_status st;

    if ((st = fm_ledger_open_readonly(path, &l)) == FM_ENOTFOUND)
        return fm_node_books_missing(&r->config);
    for (int i = 0; st == FM_OK && !whole && i < TRIES; i++)
        st = read_once(&w, l, &whole);
    fm_ledger_close(&l);
    if (st == FM_OK && !whole)
        st = fm_fail(FM_EIO, "%s is being written to all the time; try again in a while", path);
    if (st == FM_OK && (st = price_all(r)) == FM_OK && (st = add_points(&w)) == FM_OK)
        st = price_parts(r);
    free(w.steps);
    if (st == FM_OK)
        r->left = fmax(r->config.policy.epsilon - r->spent, 0.0);
    return st;
}
