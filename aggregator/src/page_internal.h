/* The status page and the metrics, shared by page.c, page_rounds.c, page_html.c, page_chart.c, page_metrics.c. */
#ifndef FEDMOE_AGGREGATOR_PAGE_INTERNAL_H
#define FEDMOE_AGGREGATOR_PAGE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "fedmoe/optim/auc.h"
#include "fedmoe/web/server.h"
#include "run_internal.h"

#define PAGE_ROUNDS 200 /* that are shown: the last */
#define PAGE_EVENTS 12
#define PAGE_EPSILONS 25 /* of so many numbers of rounds */
#define PAGE_EVENT_BYTES 200

typedef struct {
    uint64_t round;
    int64_t ended_s;
    uint64_t ended_ms;
    bool finished;
    uint32_t survivors, participants;
    double seconds;
    uint64_t bytes; /* received since the one before */
    double step;    /* length of the step that the model made; 0: none */
    double loss;    /* noised, on units held out: mean of the window so far; NaN: none */
    fm_auc auc;     /* likewise */
} page_round;

typedef struct {
    int64_t at_s;
    char text[PAGE_EVENT_BYTES];
} page_event;

struct fm_page {
    fm_web *web;
    char *url; /* "https://agg.example:7390/" */
    pthread_mutex_t trust_lock;
    const fm_trust *trust; /* borrowed; under the lock, as the server's thread asks it */
    struct {
        char name[FM_NAME_MAX + 1];
        uint64_t admission;
    } * admitted; /* [admitted_count], owned; likewise under the lock */
    size_t admitted_count;
    int64_t started_s;
    page_round rounds[PAGE_ROUNDS]; /* the oldest first */
    size_t round_count;
    uint64_t finished, bytes; /* since the start */
    double seconds;           /* of the finished ones */
    float *weights;           /* owned: before the round under way */
    page_event events[PAGE_EVENTS];
    size_t event_count;
    /* What so many rounds cost, reckoned by a thread of its own at the start: up to 0.2 s each. */
    pthread_t reckoner;
    bool reckoning;
    atomic_bool stop;
    atomic_size_t epsilon_count;
    uint32_t epsilon_rounds[PAGE_EPSILONS];
    double epsilons[PAGE_EPSILONS];
    uint64_t refreshed_ms;
    fm_buf last[2]; /* what was published: for members, for the coordinator */
};

/** In a thread of its own, which the end of the page ends. */
void page_start_reckoning(fm_run *r);
/** Upper bound on what `rounds` finished ones cost each unit; false: not reckoned (yet). */
bool page_epsilon(const fm_page *p, uint64_t rounds, double *out);
/** Seconds until the last round, by the pace of the last ten; false: not known. */
bool page_time_left(const fm_run *r, double *seconds);

typedef struct {
    uint32_t connected, in, awaited, barred, exhausted, away, joining;
} page_counts;
page_counts page_count(const fm_run *r);

#define PAGE_TEXT 40
/** "12 min", "3 h 20 min"; "4.2 MB"; "26 Nov 18:20 UTC" as a <time>. */
void page_duration(double seconds, char out[PAGE_TEXT]);
void page_bytes(uint64_t bytes, char out[PAGE_TEXT]);
FM_NODISCARD fm_status page_time(fm_buf *out, int64_t wall_s);
/** A term and what it is, for a list of tiles. @param value  HTML. */
FM_NODISCARD fm_status page_pair(fm_buf *out, const char *term, const char *value);

/** What is between <body> and the footer. @param all  for the coordinator. */
FM_NODISCARD fm_status page_html_body(const fm_run *r, bool all, fm_buf *out);
/** Before and behind it. */
FM_NODISCARD fm_status page_html_wrap(const fm_run *r, bool all, const fm_buf *body, fm_buf *out);
/* page_rest.c */
FM_NODISCARD fm_status page_html_privacy(const fm_run *r, fm_buf *out);
FM_NODISCARD fm_status page_html_quality(const fm_run *r, fm_buf *out);
FM_NODISCARD fm_status page_html_transcript(const fm_run *r, fm_buf *out);
FM_NODISCARD fm_status page_html_events(const fm_page *p, fm_buf *out);
/** A member's own part. */
FM_NODISCARD fm_status page_html_own(const fm_run *r, const run_member *m, fm_buf *out);
/** For whoever shows nothing. */
extern const char page_html_stranger[];
/** Bars of seconds, and a line of steps, as figures. */
FM_NODISCARD fm_status page_chart_seconds(const fm_page *p, fm_buf *out);
FM_NODISCARD fm_status page_chart_steps(const fm_page *p, fm_buf *out);
/** A line of losses, 0 where there is none. */
FM_NODISCARD fm_status page_chart_losses(const fm_page *p, fm_buf *out);
/** A line of AUCs from 0 to 1, their noise about it as a band, and a line at a half. */
FM_NODISCARD fm_status page_chart_aucs(const fm_page *p, fm_buf *out);

/** Prometheus text format 0.0.4: docs/metrics.md. */
FM_NODISCARD fm_status page_metrics(const fm_run *r, fm_buf *out);

#endif
