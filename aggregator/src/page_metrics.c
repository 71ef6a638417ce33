/* What a Prometheus collects; names and meanings are kept: docs/metrics.md. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "page_internal.h"

#define PREFIX "fedmoe_aggregator_"

static fm_status head(fm_buf *out, const char *name, const char *type, const char *help)
{
    return fm_buf_printf(out, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n", name, help, name,
                         type);
}

static fm_status one(fm_buf *out, const char *name, const char *type, const char *help,
                     double value)
{
    fm_status st = head(out, name, type, help);

    if (st != FM_OK)
        return st;
    return isnan(value) ? fm_buf_printf(out, PREFIX "%s NaN\n", name)
                        : fm_buf_printf(out, PREFIX "%s %.17g\n", name, value);
}

static fm_status write_rounds(const fm_run *r, fm_buf *out)
{
    const fm_page *p = r->page;
    fm_status st;

    if ((st = one(out, "rounds_planned", "gauge", "Rounds of the plan.", r->config.plan.rounds)) !=
            FM_OK ||
        (st = one(out, "rounds_finished", "gauge", "Rounds that are finished, of all starts.",
                  (double)fm_state_finished(r->state))) != FM_OK ||
        (st = one(out, "rounds_abandoned_total", "counter", "Rounds abandoned since this start.",
                  (double)r->abandoned)) != FM_OK ||
        (st = one(out, "received_bytes_total", "counter",
                  "Bytes received of nodes by the ends of rounds since this start.",
                  (double)p->bytes)) != FM_OK ||
        (st = head(out, "round_seconds", "summary",
                   "Seconds that finished rounds took since this start.")) != FM_OK)
        return st;
    return fm_buf_printf(
        out, PREFIX "round_seconds_sum %.17g\n" PREFIX "round_seconds_count %" PRIu64 "\n",
        p->seconds, p->finished);
}

static fm_status write_last(const fm_run *r, fm_buf *out)
{
    const fm_page *p = r->page;
    const page_round none = { .loss = NAN, .auc = { NAN, NAN } };
    const page_round *last = p->round_count > 0 ? &p->rounds[p->round_count - 1] : &none;
    fm_status st;

    if ((st = one(out, "last_round_end_timestamp_seconds", "gauge",
                  "When the last round ended, finished or not; 0: none since this start.",
                  (double)last->ended_s)) != FM_OK ||
        (st = one(out, "last_round_seconds", "gauge", "How long it took.", last->seconds)) !=
            FM_OK ||
        (st = one(out, "last_round_participants", "gauge", "Nodes that it began with.",
                  last->participants)) != FM_OK ||
        (st = one(out, "last_round_survivors", "gauge", "Nodes whose updates it counted.",
                  last->survivors)) != FM_OK)
        return st;
    if ((st = one(out, "last_step_length", "gauge",
                  "Length of the step that the model made in it; 0: it was abandoned.",
                  last->step)) != FM_OK)
        return st;
    if ((st = one(out, "last_held_loss", "gauge",
                  "Mean loss on units held out, noised, over the window under way; NaN: none is.",
                  last->loss)) != FM_OK ||
        (st = one(out, "last_held_auc", "gauge",
                  "AUC on units held out, noised, over the window under way; NaN: none is.",
                  last->auc.value)) != FM_OK)
        return st;
    return one(out, "last_held_auc_deviation", "gauge", "Standard deviation of the noise on it.",
               last->auc.deviation);
}

static fm_status write_state(const fm_run *r, fm_buf *out)
{
    static const char *const names[] = { "waiting", "training", "finished" };
    const fm_coordinator_phase phase = fm_coordinator_get_phase(r->coordinator);
    const size_t now = phase == FM_COORD_FINISHED                                        ? 2
                       : phase == FM_COORD_WAIT_MEMBERS || phase == FM_COORD_WAIT_ROSTER ? 0
                                                                                         : 1;
    fm_status st = head(out, "state", "gauge", "1 for what it is at.");

    for (size_t i = 0; st == FM_OK && i < 3; i++)
        st = fm_buf_printf(out, PREFIX "state{state=\"%s\"} %d\n", names[i], i == now);
    return st;
}

static fm_status write_members(const fm_run *r, fm_buf *out)
{
    const page_counts n = page_count(r);
    const struct {
        const char *name;
        uint32_t value;
    } states[] = { { "in", n.in },         { "awaited", n.awaited },     { "joining", n.joining },
                   { "barred", n.barred }, { "exhausted", n.exhausted }, { "away", n.away } };
    fm_status st = head(out, "members", "gauge", "Nodes seen since this start, by state.");

    for (size_t i = 0; st == FM_OK && i < sizeof states / sizeof states[0]; i++)
        st = fm_buf_printf(out, PREFIX "members{state=\"%s\"} %u\n", states[i].name,
                           states[i].value);
    return st;
}

typedef double (*value_of)(const fm_run *r, const run_member *m);

static double is_connected(const fm_run *r, const run_member *m)
{
    (void)r;
    return m->peer != 0;
}

static double received(const fm_run *r, const run_member *m)
{
    (void)r;
    return (double)(m->bytes_before + m->bytes_now);
}

static double harm(const fm_run *r, const run_member *m)
{
    uint64_t barred_ms;

    return fm_coordinator_harm(r->coordinator, m->name, fm_clock_now_ms(), &barred_ms);
}

static double barred_s(const fm_run *r, const run_member *m)
{
    uint64_t barred_ms = 0;

    (void)fm_coordinator_harm(r->coordinator, m->name, fm_clock_now_ms(), &barred_ms);
    return (double)barred_ms / 1000.0;
}

/* A member's name is letters, digits and '-': nothing to escape in a label. */
static fm_status write_each(const fm_run *r, fm_buf *out)
{
    static const struct {
        const char *name, *type, *help;
        value_of value;
    } each[] = {
        { "member_connected", "gauge", "1 while the node is connected.", is_connected },
        { "member_received_bytes_total", "counter", "Bytes received of the node since this start.",
          received },
        { "member_harm", "gauge",
          "Times that the node cost the others a round or a roster, and has not made up for.",
          harm },
        { "member_barred_seconds", "gauge", "Seconds for which the node is still barred.",
          barred_s },
    };
    fm_status st = FM_OK;

    for (size_t k = 0; st == FM_OK && k < sizeof each / sizeof each[0]; k++) {
        st = head(out, each[k].name, each[k].type, each[k].help);
        for (size_t i = 0; st == FM_OK && i < r->member_count; i++)
            st = fm_buf_printf(out, PREFIX "%s{member=\"%s\"} %.17g\n", each[k].name,
                               r->members[i].name, each[k].value(r, &r->members[i]));
    }
    return st;
}

static fm_status write_privacy(const fm_run *r, fm_buf *out)
{
    const fm_plan *plan = &r->config.plan;
    double epsilon = 0.0;
    fm_status st;

    if ((st = one(out, "epsilon_planned", "gauge", "What the plan may cost each unit.",
                  plan->epsilon)) != FM_OK ||
        (st = one(out, "delta_planned", "gauge", "The plan's delta.", plan->delta)) != FM_OK)
        return st;
    if (!page_epsilon(r->page, fm_state_finished(r->state), &epsilon))
        return FM_OK;
    return one(out, "epsilon_spent", "gauge",
               "Upper bound on what the finished rounds cost each unit, by the plan.", epsilon);
}

fm_status page_metrics(const fm_run *r, fm_buf *out)
{
    const fm_cert_info *own = fm_identity_info(r->identity);
    fm_status st;

    if ((st = head(out, "info", "gauge", "Always 1; what runs here.")) != FM_OK ||
        (st = fm_buf_printf(out, PREFIX "info{federation=\"%s\",task=\"%s\",version=\"%s\"} 1\n",
                            r->config.plan.federation,
                            r->config.plan.task == FM_TASK_TRAINING ? "training" : "query",
                            FM_VERSION)) != FM_OK ||
        (st = one(out, "start_timestamp_seconds", "gauge", "When it was started.",
                  (double)r->page->started_s)) != FM_OK ||
        (st = one(out, "certificate_end_timestamp_seconds", "gauge",
                  "When the aggregator's certificate ends.", (double)own->not_after_s)) != FM_OK ||
        (st = one(out, "revocation_list_number", "gauge",
                  "Number of the revocation list in force; 0: none.",
                  (double)fm_trust_crl_number(r->trust))) != FM_OK ||
        (st = write_state(r, out)) != FM_OK || (st = write_rounds(r, out)) != FM_OK ||
        (st = write_last(r, out)) != FM_OK || (st = write_members(r, out)) != FM_OK ||
        (st = write_each(r, out)) != FM_OK)
        return st;
    return write_privacy(r, out);
}
