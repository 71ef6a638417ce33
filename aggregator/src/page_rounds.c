/* What the status page remembers of rounds, and what they cost. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "fedmoe/dp/accountant.h"
#include "fedmoe/replay/replay.h"
#include "page_internal.h"

#define PACE 10 /* finished rounds that say how long one takes */

/* ---- what rounds cost ---- */

static void *reckon(void *context)
{
    const fm_run *r = context;
    const fm_plan *plan = &r->config.plan;
    fm_page *p = r->page;
    uint32_t before = 0;

    for (size_t i = 1; i <= PAGE_EPSILONS && !atomic_load(&p->stop); i++) {
        const uint32_t rounds =
            (uint32_t)(((uint64_t)plan->rounds * i + PAGE_EPSILONS - 1) / PAGE_EPSILONS);
        const fm_dp_mechanism m = fm_replay_mechanism(plan, rounds);
        const size_t n = atomic_load(&p->epsilon_count);

        if (rounds == before)
            continue;
        before = rounds;
        if (fm_dp_epsilon(&m, 1, plan->delta, &p->epsilons[n]) != FM_OK)
            break;
        p->epsilon_rounds[n] = rounds;
        atomic_store(&p->epsilon_count, n + 1);
    }
    return NULL;
}

void page_start_reckoning(fm_run *r)
{
    fm_page *p = r->page;

    if (r->config.plan.noise_multiplier > 0.0)
        p->reckoning = pthread_create(&p->reckoner, NULL, reckon, r) == 0;
}

bool page_epsilon(const fm_page *p, uint64_t rounds, double *out)
{
    const size_t n = atomic_load(&p->epsilon_count);

    if (rounds == 0) {
        *out = 0.0;
        return true;
    }
    for (size_t i = 0; i < n; i++)
        if (p->epsilon_rounds[i] >= rounds) {
            *out = p->epsilons[i];
            return true;
        }
    return false;
}

/* ---- what is remembered ---- */

bool page_time_left(const fm_run *r, double *seconds)
{
    const fm_page *p = r->page;
    const uint64_t left = r->config.plan.rounds - fm_state_finished(r->state);
    const page_round *first = NULL, *last = NULL;
    size_t between = 0;

    for (size_t i = p->round_count; i > 0 && between <= PACE; i--)
        if (p->rounds[i - 1].finished) {
            between += last != NULL;
            first = &p->rounds[i - 1];
            last = last ? last : first;
        }
    if (!last || last == first || left == 0 ||
        fm_coordinator_get_phase(r->coordinator) == FM_COORD_FINISHED)
        return false;
    *seconds = (double)(last->ended_ms - first->ended_ms) / 1000.0 / (double)between * (double)left;
    return true;
}

page_counts page_count(const fm_run *r)
{
    page_counts n = { 0 };

    for (size_t i = 0; i < r->member_count; i++) {
        n.connected += r->members[i].peer != 0;
        switch (fm_coordinator_part_of(r->coordinator, r->members[i].name)) {
        case FM_PART_AWAY:
            n.away++;
            break;
        case FM_PART_JOINING:
        case FM_PART_READY:
            n.joining++;
            break;
        case FM_PART_IN:
            n.in++;
            break;
        case FM_PART_AWAITED:
            n.awaited++;
            break;
        case FM_PART_BARRED:
            n.barred++;
            break;
        case FM_PART_EXHAUSTED:
            n.exhausted++;
            break;
        }
    }
    return n;
}

static uint64_t bytes_received(const fm_run *r)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < r->member_count; i++)
        sum += r->members[i].bytes_before + r->members[i].bytes_now;
    return sum;
}

/* Of the weights that everybody gets: what the noised sum made of them. */
static double step_length(fm_page *p, const fm_optimizer *o)
{
    double sum = 0.0;

    for (size_t i = 0; p->weights && i < o->n; i++) {
        const double d = (double)o->weights[i] - (double)p->weights[i];

        sum += d * d;
        p->weights[i] = o->weights[i];
    }
    return sqrt(sum);
}

void fm_page_round(fm_run *r, uint64_t round, bool finished, uint32_t survivors,
                   uint32_t participants)
{
    fm_page *p = r->page;
    page_round *one;

    if (!p)
        return;
    if (p->round_count == PAGE_ROUNDS)
        memmove(p->rounds, p->rounds + 1, --p->round_count * sizeof *p->rounds);
    one = &p->rounds[p->round_count++];
    *one = (page_round){
        .round = round,
        .ended_s = fm_clock_wall_s(),
        .ended_ms = fm_clock_now_ms(),
        .finished = finished,
        .survivors = survivors,
        .participants = participants,
        .bytes = bytes_received(r) - p->bytes,
        .step = finished ? step_length(p, r->optimizer) : 0.0,
        .loss = finished ? r->config.plan.held_bound * fm_optimizer_held_loss(r->optimizer) : NAN,
        .auc = { NAN, NAN }
    };
    if (finished)
        (void)fm_optimizer_held_auc(r->optimizer, &one->auc);
    if (r->round_started_ns > 0)
        one->seconds = (double)(fm_clock_now_ns() - r->round_started_ns) / 1e9;
    p->bytes += one->bytes;
    p->finished += finished;
    p->seconds += finished ? one->seconds : 0.0;
}

void fm_page_event(fm_run *r, const char *text)
{
    fm_page *p = r->page;
    page_event *e;

    if (!p)
        return;
    if (p->event_count == PAGE_EVENTS)
        memmove(p->events, p->events + 1, --p->event_count * sizeof *p->events);
    e = &p->events[p->event_count++];
    e->at_s = fm_clock_wall_s();
    (void)snprintf(e->text, sizeof e->text, "%s", text);
}
