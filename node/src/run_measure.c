/* How long a round takes here: one is computed among keys made up for it, and thrown away. */
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/log.h"
#include "run_internal.h"

typedef struct {
    uint32_t count;
    fm_dp_keypair *own;
    uint8_t (*public_keys)[FM_DP_KEY_BYTES]; /* [count] */
    uint32_t *participants;                  /* [count] */
    fm_dp_pairs *pairs;
} company;

static void company_fini(company *c)
{
    fm_dp_pairs_free(&c->pairs);
    fm_dp_keypair_free(&c->own);
    free(c->public_keys);
    free(c->participants);
}

/** As many as the plan's smallest round has. */
static fm_status make_company(const fm_plan *plan, company *c)
{
    fm_dp_roster roster = { .federation = plan->federation };
    fm_status st;

    c->count = plan->quorum > plan->min_cohort ? plan->quorum : plan->min_cohort;
    if (plan->robust_groups > 0)
        c->count = fm_plan_group_nodes(plan);
    if ((st = fm_alloc(c->count, sizeof *c->public_keys, (void **)&c->public_keys)) != FM_OK ||
        (st = fm_alloc(c->count, sizeof *c->participants, (void **)&c->participants)) != FM_OK)
        return st;
    for (uint32_t i = 0; i < c->count; i++) {
        c->participants[i] = i;
        fm_dp_keypair_free(&c->own); /* the last one is this node's */
        if ((st = fm_dp_keypair_new(&c->own)) != FM_OK)
            return st;
        memcpy(c->public_keys[i], fm_dp_keypair_public(c->own), FM_DP_KEY_BYTES);
    }
    roster.public_keys = (const uint8_t(*)[FM_DP_KEY_BYTES])c->public_keys;
    roster.members = c->count;
    roster.self = c->count - 1;
    return fm_dp_pairs_new(c->own, &roster, &c->pairs);
}

static void keepalive(void *ctx)
{
    fm_link_client_keepalive(((fm_node_driver *)ctx)->link);
}

static fm_status run(fm_node_driver *d, const fm_plan *plan, const company *c)
{
    const fm_dp_round round = { .round = 1,
                                .participants = c->participants,
                                .participant_count = c->count,
                                .mask_density = plan->mask_density };
    fm_rng rng = fm_rng_system();
    const fm_node_step_input in = { .model = d->plan.weights,
                                    .pairs = c->pairs,
                                    .round = &round,
                                    .rng = &rng,
                                    .keepalive = keepalive,
                                    .keepalive_ctx = d };
    fm_dp_release *release = NULL;
    fm_status st;

    memset(d->plan.weights, 0, plan->parameters * sizeof *d->plan.weights);
    if (plan->start_scale > 0.0) /* the phase of rounds with gradients, which are the long ones */
        d->plan.weights[plan->parameters - 1] = 1.0f;
    st = fm_node_step_run(d->plan.step, &in, &release);
    fm_dp_release_free(&release);
    return st;
}

uint64_t fm_node_driver_measure(fm_node_driver *d, const fm_plan *plan)
{
    company c = { 0 };
    uint64_t begin = 0, ms = 0;
    fm_status st = make_company(plan, &c);

    if (st == FM_OK) {
        begin = fm_clock_now_ms();
        st = run(d, plan, &c);
        ms = fm_clock_now_ms() - begin;
    }
    company_fini(&c);
    if (st != FM_OK)
        fm_log(FM_LOG_INFO, "a round here was not measured: %s", fm_error_text());
    return st == FM_OK ? (ms > 0 ? ms : 1) : 0;
}
