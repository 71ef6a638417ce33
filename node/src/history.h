/*
 * What left this node lately and what it cost, for those who watch: kept in memory by the driver,
 * read from journal and ledger at the start. Plain data; one thread.
 */
#ifndef FEDMOE_NODE_HISTORY_H
#define FEDMOE_NODE_HISTORY_H

#include "fedmoe/node/journal.h"
#include "report.h"

#define FM_HISTORY_ROWS 20u

typedef struct {
    fm_journal_sent_row rows[FM_HISTORY_ROWS]; /* newest first */
    size_t count;
    uint64_t updates, bytes; /* that ever left, as far as the journal has noted them */
    /* Of the data set, over all federations: releases, and epsilon after some of them, ascending. */
    uint64_t releases;
    fm_report_point points[FM_REPORT_POINTS];
    size_t point_count;
    /* How many rounds of the plan the budget sufficed for when `charged` were paid. */
    bool affordable_known;
    uint64_t affordable, charged;
    double round_ms; /* of rounds lately, from release to release; 0: not known */
    uint64_t released_ms;
} fm_node_history;

/** @param path  state.db; one that is not there yet is an empty one. */
FM_NODISCARD fm_status fm_history_read(const char *path, fm_node_history *h);

/** An update is about to leave. */
void fm_history_sent(fm_node_history *h, const fm_journal_sent_row *row);
/** Its mask left too, after which its round counts. @param now_ms  of the monotonic clock. */
void fm_history_released(fm_node_history *h, const fm_hash *plan, uint64_t round, int64_t now_s,
                         uint64_t now_ms);
/** Released, and then lost. */
void fm_history_abandoned(fm_node_history *h, const fm_hash *plan, uint64_t round);
/** Epsilon as it is now; when there are many points every second one is forgotten. */
void fm_history_point(fm_node_history *h, int64_t now_s, double epsilon);

/** Rounds of the plan that the budget still suffices for; false: not known. @param charged of the
 *  plan, now. */
bool fm_history_affordable(const fm_node_history *h, uint64_t charged, uint64_t *rounds);

#endif
