/* Figures over the rounds, out of the records of finished ones and the plan. */
#include "figures.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "directory_internal.h"
#include "fedmoe/aggregator/state.h"
#include "fedmoe/base/file.h"
#include "fedmoe/dp/accountant.h"
#include "fedmoe/proto/entry.h"
#include "fedmoe/replay/replay.h"

#define EPSILONS 16 /* points of the curve: each is a reckoning of some 10 ms */

typedef struct {
    fm_figures *out;
    const char *dir;
    int lock;
    fm_buf plan;
    fm_optimizer *optimizer;
    fm_state *state;
    uint64_t last_round;
} reading;

fm_status fm_figures_add(fm_figures *f, const char *name, uint64_t round, int64_t time_s,
                         double value)
{
    if (f->count == f->room) {
        const size_t room = f->room ? 2 * f->room : 64;
        fm_figure *grown = reallocarray(f->at, room, sizeof *grown);

        if (!grown)
            return fm_fail(FM_ENOMEM, "out of memory");
        f->at = grown;
        f->room = room;
    }
    f->at[f->count++] =
        (fm_figure){ .name = name, .round = round, .time_s = time_s, .value = value };
    return FM_OK;
}

/* By the plan's noise: what a node spent on rounds that were lost after its release is in its own
 * ledger alone. */
static fm_status add_epsilon(fm_figures *f, const fm_entry *e)
{
    const fm_plan *p = &f->config.plan;
    const uint64_t every = 1 + (p->rounds - 1) / EPSILONS;
    const fm_dp_mechanism m = fm_replay_mechanism(p, f->finished);
    double epsilon;
    fm_status st;

    if (!(p->noise_multiplier > 0.0) ||
        (f->finished % every != 0 && f->finished != 1 && f->finished != p->rounds))
        return FM_OK;
    if ((st = fm_dp_epsilon(&m, 1, p->delta, &epsilon)) != FM_OK)
        return st;
    return fm_figures_add(f, "epsilon", e->round, e->finished_s, epsilon);
}

static fm_status add_round(reading *r, const fm_entry *e)
{
    fm_figures *f = r->out;
    const double bytes = (double)e->survivor_count * (double)fm_plan_update_words(&f->config.plan) *
                         (double)f->config.plan.word_bits / 8.0;
    const double abandoned = (double)(e->round - r->last_round - 1);
    const double waited = (double)(e->finished_s - f->last_s);
    fm_status st;

    if ((st = fm_figures_add(f, "participants", e->round, e->finished_s,
                             (double)e->participant_count)) != FM_OK ||
        (st = fm_figures_add(f, "survivors", e->round, e->finished_s, (double)e->survivor_count)) !=
            FM_OK ||
        (st = fm_figures_add(f, "update_bytes", e->round, e->finished_s, bytes)) != FM_OK ||
        (st = fm_figures_add(f, "abandoned_before", e->round, e->finished_s, abandoned)) != FM_OK)
        return st;
    return f->finished == 1
               ? FM_OK
               : fm_figures_add(f, "seconds_since_last", e->round, e->finished_s, waited);
}

/* Of units held out, what was known. */
static fm_status add_held(reading *r, const fm_entry *e)
{
    fm_figures *f = r->out;
    fm_state_held held;
    fm_status st = fm_state_find_held(r->state, e->round, &held);

    if (st == FM_OK && !isnan(held.loss))
        st = fm_figures_add(f, "held_loss", e->round, e->finished_s,
                            f->config.plan.held_bound * held.loss);
    if (st != FM_OK || isnan(held.auc.value))
        return st;
    if ((st = fm_figures_add(f, "held_auc", e->round, e->finished_s, held.auc.value)) != FM_OK)
        return st;
    return fm_figures_add(f, "held_auc_deviation", e->round, e->finished_s, held.auc.deviation);
}

static fm_status take(void *ctx, uint64_t round, fm_bytes record)
{
    reading *r = ctx;
    fm_figures *f = r->out;
    fm_entry *e = NULL;
    fm_status st;

    f->finished++;
    if (record.len == 0)
        return FM_OK; /* finished by a version that kept none */
    if ((st = fm_entry_decode(record.data, record.len, &e)) != FM_OK)
        return fm_fail_context(st,
                               "state.db: the record of round %llu: ", (unsigned long long)round);
    if (f->first_s == 0)
        f->first_s = f->last_s = e->finished_s;
    if ((st = add_round(r, e)) == FM_OK && (st = add_epsilon(f, e)) == FM_OK)
        st = add_held(r, e);
    f->last_s = e->finished_s;
    r->last_round = e->round;
    free(e);
    return st;
}

static fm_status read_all(reading *r)
{
    fm_figures *f = r->out;
    fm_status st = fm_dir_lock(r->dir, &r->lock);

    if (st == FM_EEXIST)
        return fm_fail(st,
                       "%s: an aggregator is at work there; stop it for a moment (it goes on where "
                       "it was), or wait for the end of the run",
                       r->dir);
    if (st != FM_OK || (st = fm_directory_open(r->dir, &f->config, &r->plan)) != FM_OK ||
        (st = fm_directory_optimizer(&f->config, &r->optimizer)) != FM_OK)
        return st;
    f->plan = fm_plan_hash(r->plan.data, r->plan.len);
    if ((st = fm_state_open(r->dir, &f->plan, f->config.model, r->optimizer, &r->state)) != FM_OK ||
        (st = fm_state_each_record(r->state, take, r)) != FM_OK)
        return st;
    f->head = fm_state_head(r->state);
    f->over = f->finished >= f->config.plan.rounds || fm_optimizer_is_done(r->optimizer);
    return f->count > 0
               ? FM_OK
               : fm_fail(FM_ENOTFOUND, "%s: no round with a record is finished yet", r->dir);
}

fm_status fm_figures_read(const char *dir, fm_figures *out)
{
    reading r = { .out = out, .dir = dir, .lock = -1 };
    fm_status st;

    memset(out, 0, sizeof *out);
    st = read_all(&r);
    fm_state_close(&r.state);
    fm_optimizer_free(&r.optimizer);
    fm_buf_fini(&r.plan);
    fm_dir_unlock(&r.lock);
    return st;
}

void fm_figures_fini(fm_figures *f)
{
    free(f->at);
    fm_aggregator_config_fini(&f->config);
    memset(f, 0, sizeof *f);
}
