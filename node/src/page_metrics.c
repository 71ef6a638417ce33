/*
 * Prometheus text, version 0.0.4. Names and labels are stable: docs/metrics.md.
 * @source https://prometheus.io/docs/instrumenting/exposition_formats/
 */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "page.h"

typedef struct {
    fm_buf *out;
    fm_status st;
} text;

static void head(text *t, const char *name, const char *kind, const char *help)
{
    if (t->st == FM_OK)
        t->st = fm_buf_printf(t->out, "# HELP fedmoe_node_%s %s\n# TYPE fedmoe_node_%s %s\n", name,
                              help, name, kind);
}

static void real(text *t, const char *name, const char *help, double v)
{
    head(t, name, "gauge", help);
    if (t->st == FM_OK)
        t->st = fm_buf_printf(t->out, "fedmoe_node_%s %.17g\n", name, v);
}

static void whole(text *t, const char *name, const char *kind, const char *help, uint64_t v)
{
    head(t, name, kind, help);
    if (t->st == FM_OK)
        t->st = fm_buf_printf(t->out, "fedmoe_node_%s %" PRIu64 "\n", name, v);
}

/** A label's value: backslash, quote and newline are escaped. */
static void value(text *t, const char *s)
{
    for (; t->st == FM_OK && *s; s++) {
        if (*s == '\\' || *s == '"')
            t->st = fm_buf_append(t->out, "\\", 1);
        if (t->st == FM_OK)
            t->st = *s == '\n' ? fm_buf_append(t->out, "\\n", 2) : fm_buf_append(t->out, s, 1);
    }
}

static void label(text *t, const char *before, const char *s)
{
    if (t->st == FM_OK)
        t->st = fm_buf_printf(t->out, "%s", before);
    value(t, s);
}

static void write_info(text *t, const fm_page *p)
{
    head(t, "info", "gauge", "Always 1; who this is.");
    label(t, "fedmoe_node_info{node=\"", p->name);
    label(t, "\",federation=\"", p->federation);
    label(t, "\",data_set=\"", p->data_set);
    label(t, "\",version=\"", FM_VERSION);
    if (t->st == FM_OK)
        t->st = fm_buf_printf(t->out, "\"} 1\n");
}

static void write_state(text *t, const fm_page *p)
{
    static const char *const states[] = { "starting", "connecting", "connected", "joined",
                                          "training", "paused",     "refused",   "finished",
                                          "stopped",  "failed" };

    head(t, "state", "gauge", "1 for what the node is at, 0 for the others.");
    for (size_t i = 0; t->st == FM_OK && i < sizeof states / sizeof states[0]; i++)
        t->st = fm_buf_printf(t->out, "fedmoe_node_state{state=\"%s\"} %d\n", states[i],
                              strcmp(states[i], p->state) == 0);
    whole(t, "paused", "gauge", "1 while the owner has paused the node.", p->paused);
}

static void write_rounds(text *t, const fm_page *p)
{
    whole(t, "round", "gauge", "Number of the last round that this node was in.", p->round);
    whole(t, "plan_rounds", "gauge", "Finished rounds that the plan wants; 0: no plan.",
          p->plan_rounds);
    whole(t, "records", "gauge", "Records (of texts: sequences) that the plan trains on.",
          p->records);
    whole(t, "refusals_total", "counter", "What this node has refused since its start.",
          p->refusals);
    whole(t, "certificate_end_timestamp_seconds", "gauge",
          "When this node's certificate ends, in seconds since 1970.",
          p->certificate_end_s > 0 ? (uint64_t)p->certificate_end_s : 0);
}

static void write_budget(text *t, const fm_page *p)
{
    uint64_t rounds = 0;

    real(t, "epsilon_spent", "Epsilon that the data set has spent, over all federations.",
         p->spent);
    real(t, "epsilon_budget", "Epsilon that the policy allows.", p->policy->epsilon);
    real(t, "delta", "Delta of both.", p->policy->delta);
    if (fm_history_affordable(p->history, p->charged, &rounds))
        whole(t, "rounds_affordable", "gauge",
              "More rounds of the plan that the budget suffices for, 100000 at most.", rounds);
    whole(t, "releases_total", "counter", "Releases of the data set in the ledger.",
          p->history->releases);
}

static void write_left(text *t, const fm_page *p)
{
    const fm_node_history *n = p->history;

    whole(t, "updates_sent_total", "counter", "Masked updates that left, by the journal.",
          n->updates);
    whole(t, "update_bytes_sent_total", "counter", "Bytes of them.", n->bytes);
    whole(t, "last_update_timestamp_seconds", "gauge",
          "When the last one left, in seconds since 1970; 0: none has.",
          n->count > 0 && n->rows[0].sent_s > 0 ? (uint64_t)n->rows[0].sent_s : 0);
    whole(t, "link_bytes_sent_total", "counter", "Bytes of all messages to the aggregator.",
          p->bytes_sent);
    whole(t, "link_bytes_received_total", "counter", "Bytes of all messages from it.",
          p->bytes_received);
}

fm_status fm_page_metrics(const fm_page *p, fm_buf *out)
{
    text t = { .out = out };

    if (!p || !out)
        return fm_fail(FM_EINVAL, "fm_page_metrics: NULL argument");
    write_info(&t, p);
    write_state(&t, p);
    write_rounds(&t, p);
    write_budget(&t, p);
    write_left(&t, p);
    return t.st;
}
