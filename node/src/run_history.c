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

/* ---- how long the budget lasts ---- */

typedef struct {
    const fm_node_driver *d;
    fm_ledger *ledger;
} scales;

static fm_status fits(const scales *s, uint64_t rounds, bool *out)
{
    const fm_node_config *c = &s->d->config;
    fm_dp_mechanism more = s->d->plan.mechanism;
    double epsilon = 0.0;
    fm_status st;

    more.count *= rounds;
    st = fm_ledger_epsilon(s->ledger, c->data_set, rounds > 0 ? &more : NULL, c->policy.delta,
                           &epsilon);
    *out = st == FM_OK && epsilon <= c->policy.epsilon;
    return st;
}

/** The most rounds that fit, from how many are to come: by doubling, then by halving. Those first,
 *  since the accountant is finest before it was asked for more. */
static fm_status count_affordable(const scales *s, uint64_t to_come, uint64_t *rounds)
{
    uint64_t low = 0, high = to_come > 0 ? to_come : 1; /* low fits */
    bool ok = false;
    fm_status st;

    while ((st = fits(s, high, &ok)) == FM_OK && ok && high < ROUNDS_MOST) {
        low = high;
        high = high < ROUNDS_MOST / 2 ? 2 * high : ROUNDS_MOST;
    }
    if (ok)
        low = high++;
    while (st == FM_OK && high - low > 1) {
        const uint64_t middle = low + (high - low) / 2;

        if ((st = fits(s, middle, &ok)) == FM_OK)
            *(ok ? &low : &high) = middle;
    }
    *rounds = low;
    return st;
}

/** On a ledger of its own: the one that charges keeps the grid that its own questions have made. */
static fm_status weigh(const fm_node_driver *d, uint64_t *rounds)
{
    const uint64_t charged = d->plan.charged;
    scales s = { .d = d };
    fm_status st = fm_ledger_open_readonly(d->config.ledger, &s.ledger);

    if (st == FM_OK)
        st = count_affordable(&s, d->plan.rounds > charged ? d->plan.rounds - charged : 0, rounds);
    fm_ledger_close(&s.ledger);
    return st;
}

void fm_node_driver_weigh_plan(fm_node_driver *d)
{
    fm_node_history *h = &d->history;
    uint64_t rounds = 0;

    h->affordable_known = false;
    if (fm_node_policy_is_open(&d->config.policy))
        return;
    if (weigh(d, &rounds) != FM_OK) {
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
