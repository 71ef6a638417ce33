#include "history.h"

#include <string.h>

#define OF_ROUND 0.2 /* weight of the newest round in the mean */

fm_status fm_history_read(const char *path, fm_node_history *h)
{
    uint64_t total[2] = { 0, 0 };
    fm_status st = fm_journal_read_sent(path, h->rows, FM_HISTORY_ROWS, &h->count, total);

    if (st == FM_ENOTFOUND) {
        fm_error_clear();
        return FM_OK;
    }
    h->updates = total[0];
    h->bytes = total[1];
    return st;
}

void fm_history_sent(fm_node_history *h, const fm_journal_sent_row *row)
{
    const size_t kept = h->count < FM_HISTORY_ROWS ? h->count : FM_HISTORY_ROWS - 1;

    memmove(&h->rows[1], &h->rows[0], kept * sizeof h->rows[0]);
    h->rows[0] = *row;
    h->count = kept + 1;
    h->updates++;
    h->bytes += row->bytes;
}

static fm_journal_sent_row *find(fm_node_history *h, const fm_hash *plan, uint64_t round)
{
    for (size_t i = 0; i < h->count; i++)
        if (h->rows[i].round == round && fm_hash_equal(&h->rows[i].plan, plan))
            return &h->rows[i];
    return NULL;
}

void fm_history_released(fm_node_history *h, const fm_hash *plan, uint64_t round, int64_t now_s,
                         uint64_t now_ms)
{
    fm_journal_sent_row *row = find(h, plan, round);
    const double took = (double)(now_ms - h->released_ms);

    if (row)
        row->released_s = now_s;
    if (h->released_ms > 0)
        h->round_ms = h->round_ms > 0.0 ? h->round_ms + OF_ROUND * (took - h->round_ms) : took;
    h->released_ms = now_ms;
}

void fm_history_abandoned(fm_node_history *h, const fm_hash *plan, uint64_t round)
{
    fm_journal_sent_row *row = find(h, plan, round);

    if (row)
        row->abandoned = true;
}

void fm_history_point(fm_node_history *h, int64_t now_s, double epsilon)
{
    const fm_report_point now = { .releases = h->releases, .wall_s = now_s, .epsilon = epsilon };
    size_t kept = 0;

    if (h->releases == 0)
        return;
    if (h->point_count > 0 && h->points[h->point_count - 1].releases == h->releases) {
        h->points[h->point_count - 1].epsilon = epsilon;
        return;
    }
    if (h->point_count == FM_REPORT_POINTS) {
        for (size_t i = 1; i < h->point_count; i += 2)
            h->points[kept++] = h->points[i];
        h->point_count = kept;
    }
    h->points[h->point_count++] = now;
}

bool fm_history_affordable(const fm_node_history *h, uint64_t charged, uint64_t *rounds)
{
    const uint64_t paid = charged > h->charged ? charged - h->charged : 0;

    *rounds = h->affordable > paid ? h->affordable - paid : 0;
    return h->affordable_known;
}
