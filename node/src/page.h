/*
 * The node's own page: one struct, rendered as HTML, as metrics. Everything in it is this node's
 * own; nothing is read here. One thread.
 */
#ifndef FEDMOE_NODE_PAGE_H
#define FEDMOE_NODE_PAGE_H

#include "history.h"
#include "html.h"

typedef struct {
    const char *name, *data_set, *federation, *door; /* borrowed, as all texts here */
    int64_t now_s;
    const char *state, *phase;            /* as in status.json */
    uint64_t round, plan_rounds, charged; /* of the plan: 0 rounds when there is none */
    bool paused, in_round;                /* in_round: an update is out, and its round not over */
    const char *paused_since;
    const char *reason; /* of the last refusal; "" */
    int64_t reason_s;
    uint64_t refusals; /* since the start */
    const fm_node_policy *policy;
    bool open; /* the policy keeps nothing private */
    double spent;
    uint64_t records, bytes_sent, bytes_received; /* of the link, since the start */
    int64_t certificate_end_s;
    const fm_node_history *history;
    const char *plan_words; /* fm_plan_words; "" when no plan was offered */
} fm_page;

/** The whole page, with the marks of fedmoe/web/server.h. Same struct, same bytes. */
FM_NODISCARD fm_status fm_page_html(const fm_page *p, fm_buf *out);
/** Prometheus text, docs/metrics.md. */
FM_NODISCARD fm_status fm_page_metrics(const fm_page *p, fm_buf *out);

/* ---- parts of it ---- */
/** "2026-11-26 18:42:05 UTC"; out holds 40 bytes. */
void fm_page_time(int64_t wall_s, char out[40]);
/** What the node is at, a sentence. */
void fm_page_now(fm_html *h, const fm_page *p);
/** page_sections.c: what left, what it cost, what is left, the plan, the last refusal. */
void fm_page_sections(fm_html *h, const fm_page *p);

#endif
