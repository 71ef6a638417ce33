/* The driver's side of the history: what the books say at the start, and what follows from them. */
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/log.h"
#include "policy_internal.h"
#include "run_internal.h"

/* More rounds than that are said to be as many. */
#define ROUNDS_MOST 100000u

typedef struct {
    const char *data_set;
    uint64_t releases;
} counting;

static fm_status count_row(void *ctx, const fm_ledger_row *row)
{
    counting *c = ctx;

    if (strcmp(row->data_set, c->data_set) == 0)
        c->releases += row->mechanism.count;
    return FM_OK;
}

/** The plot's points up to now: only where there is a page to show them. */
static fm_status read_points(fm_node_driver *d)
{
    fm_report *r = NULL;
    void *p = NULL;
    fm_status st = fm_alloc(1, sizeof *r, &p);

    if (st != FM_OK)
        return st;
    r = p;
    r->config = d->config; /* borrowed */
    if ((st = fm_report_read_ledger(r)) == FM_OK) {
        memcpy(d->history.points, r->points, sizeof d->history.points);
        d->history.point_count = r->point_count;
    }
    free(r->kinds);
    free(r->parts);
    free(r);
    return st;
}

fm_status fm_node_driver_read_history(fm_node_driver *d)
{
    counting c = { .data_set = d->config.data_set };
    char *path = NULL;
    fm_status st = fm_path_join(d->config.dir, "state.db", &path);

    if (st == FM_OK && (st = fm_history_read(path, &d->history)) == FM_OK)
        st = fm_ledger_walk(d->ledger, count_row, &c);
    d->history.releases = c.releases;
    if (st == FM_OK && d->config.page && c.releases > 0)
        st = read_points(d);
    free(path);
    return st;
}

static fm_status fits(const fm_node_driver *d, uint64_t rounds, bool *out)
{
    fm_dp_mechanism more = d->plan.mechanism;
    double epsilon = 0.0;
    fm_status st;

    more.count = rounds;
    st = fm_ledger_epsilon(d->ledger, d->config.data_set, &more, d->config.policy.delta, &epsilon);
    *out = st == FM_OK && epsilon <= d->config.policy.epsilon;
    return st;
}

/** The most rounds of the plan that the budget allows, by halving; epsilon only grows. */
static fm_status count_affordable(const fm_node_driver *d, uint64_t *rounds)
{
    uint64_t low = 0, high = ROUNDS_MOST + 1; /* low fits, high is taken not to */
    bool ok = false;
    fm_status st = FM_OK;

    while (st == FM_OK && high - low > 1) {
        const uint64_t middle = low + (high - low) / 2;

        if ((st = fits(d, middle, &ok)) == FM_OK)
            *(ok ? &low : &high) = middle;
    }
    *rounds = low;
    return st;
}

void fm_node_driver_weigh_plan(fm_node_driver *d)
{
    fm_node_history *h = &d->history;
    uint64_t rounds = 0;

    h->affordable_known = false;
    if (fm_node_policy_is_open(&d->config.policy))
        return;
    if (count_affordable(d, &rounds) != FM_OK) {
        fm_log(FM_LOG_WARN, "how many rounds the budget allows is not known: %s", fm_error_text());
        return;
    }
    h->affordable = rounds;
    h->charged = d->plan.charged;
    h->affordable_known = true;
}

fm_status fm_node_driver_note_sent(fm_node_driver *d, uint64_t round, const fm_hash *update,
                                   size_t bytes)
{
    fm_journal_sent_row row = { .plan = d->plan.hash,
                                .hash = *update,
                                .round = round,
                                .bytes = bytes,
                                .sent_s = fm_clock_wall_s() };
    fm_status st = fm_journal_sent(d->plan.journal, round, update, bytes);

    memcpy(row.federation, d->plan.federation, sizeof row.federation);
    if (st == FM_OK)
        fm_history_sent(&d->history, &row);
    return st;
}
