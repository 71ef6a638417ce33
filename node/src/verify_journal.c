/* The bundle against the node's own journal: nothing that it released is left out or changed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "verify_internal.h"

fm_status fm_verify_journal_open(verification *v)
{
    void *p = NULL;
    fm_status st;

    if (!v->o->journal)
        return FM_OK;
    st = fm_journal_read_rounds(v->o->journal, v->report.plan.federation, &v->report.plan_hash,
                                &v->rows, &v->row_count, &v->journal);
    if (st == FM_OK && v->row_count > 0 && (st = fm_alloc(v->row_count, 1, &p)) == FM_OK)
        v->seen = p;
    v->report.journal = st == FM_OK;
    v->met = v->journal.finished_round == 0;
    return st;
}

/* NULL when the journal has no commit to the round. */
static const fm_journal_row *find(const verification *v, uint64_t round)
{
    size_t from = 0, to = v->row_count;

    while (from < to) {
        const size_t middle = from + (to - from) / 2;

        if (v->rows[middle].round < round)
            from = middle + 1;
        else
            to = middle;
    }
    return from < v->row_count && v->rows[from].round == round ? &v->rows[from] : NULL;
}

static bool survived(const verification *v)
{
    for (uint32_t i = 0; i < v->entry->survivor_count; i++)
        if (strcmp(fm_peer_info(v->places[v->entry->survivors[i]].peer)->name, v->o->name) == 0)
            return true;
    return false;
}

static bool is_named(const uint64_t *rounds, size_t count, uint64_t round)
{
    for (size_t i = 0; i < count; i++)
        if (rounds[i] == round)
            return true;
    return false;
}

fm_status fm_verify_journal_entry(verification *v)
{
    const fm_entry *e = v->entry;
    const fm_journal_row *row = v->report.journal ? find(v, e->round) : NULL;

    if (!v->report.journal)
        return FM_OK;
    if (e->round == v->journal.finished_round) {
        if (!fm_hash_equal(&v->head, &v->journal.head))
            return fm_verify_fail(
                v, FM_ESTATE, "head after",
                "it is not the one that this node was shown after this round: the "
                "aggregator keeps two histories");
        v->met = true;
    }
    if (survived(v) && !row)
        return fm_verify_fail(v, FM_ESTATE, "survivors",
                              "this node is among them, and its journal knows of no commit: the "
                              "journal is not the one of that time, or someone else has its key");
    if (survived(v) && !row->released && !is_named(v->o->released, v->o->released_count, e->round))
        return fm_verify_fail(
            v, FM_ESTATE, "survivors",
            "this node committed to the round and never released its update, so it cannot have "
            "finished (unless a power cut took the line out of the journal: the node's log says "
            "'released' then; give --released %llu)",
            (unsigned long long)e->round);
    if (row && (row->released || survived(v)) && !fm_hash_equal(&row->digest, &v->commit))
        return fm_verify_fail(
            v, FM_ESTATE, "commit digest",
            "it is not the one that this node signed and released its update for");
    if (row && survived(v)) {
        v->seen[row - v->rows] = true;
        v->report.released++;
        v->report.vouched += !row->released;
    }
    return FM_OK;
}

/* What was named as abandoned must need it: a slip of the pen is not to pass for a finding. */
static fm_status check_named(const verification *v)
{
    for (size_t i = 0; i < v->o->abandoned_count; i++) {
        const uint64_t round = v->o->abandoned[i];
        const fm_journal_row *row = find(v, round);

        if (!row || !row->released)
            return fm_fail(FM_EINVAL,
                           "--abandoned %llu: by its journal this node released no such round of "
                           "this plan",
                           (unsigned long long)round);
        if (v->seen[row - v->rows])
            return fm_fail(FM_EINVAL,
                           "--abandoned %llu: the round is in the bundle, so it was not abandoned",
                           (unsigned long long)round);
    }
    return FM_OK;
}

static void name_round(char *text, size_t cap, const char *before, uint64_t round)
{
    const size_t used = strlen(text);

    (void)snprintf(text + used, cap - used, "%s%llu", before, (unsigned long long)round);
}

#define NAMED 16 /* rounds in one text; the error's has room for them */

/* All of them at once: who looks into a log does it once. */
static fm_status fail_missing(const verification *v, const uint64_t *rounds, size_t count)
{
    char list[NAMED * 22 + 32] = "", give[NAMED * 34] = "";
    const size_t named = count < NAMED ? count : NAMED;

    for (size_t i = 0; i < named; i++) {
        name_round(list, sizeof list, i ? ", " : "", rounds[i]);
        name_round(give, sizeof give, i ? " --abandoned " : "--abandoned ", rounds[i]);
    }
    if (count > named)
        name_round(list, sizeof list, " and more, in all ", count);
    return fm_fail(FM_ESTATE,
                   "%s: it has no entry of round%s %s, which this node released its update for: "
                   "abandoned after that (the node's log may say so; give %s then), or withheld, "
                   "and the aggregator may know the sum",
                   v->o->bundle, count > 1 ? "s" : "", list, give);
}

/* Into what is abandoned, with *unknown (room for all rows) the rounds that nobody speaks for. */
static void sort_missing(verification *v, uint64_t *unknown, size_t *count)
{
    fm_verify_report *r = &v->report;

    for (size_t i = 0; i < v->row_count; i++) {
        const fm_journal_row *row = &v->rows[i];

        if (!row->released || v->seen[i])
            continue;
        if (row->abandoned || is_named(v->o->abandoned, v->o->abandoned_count, row->round)) {
            r->missing[r->missing_count++] = row->round;
            r->waived += !row->abandoned;
        } else if (row->round > r->last_round) {
            r->later++;
        } else {
            unknown[(*count)++] = row->round;
        }
    }
}

static fm_status check_missing(verification *v)
{
    uint64_t *unknown;
    size_t count = 0;
    void *p = NULL, *q = NULL;
    fm_status st;

    if (v->row_count == 0)
        return FM_OK;
    if ((st = fm_alloc(v->row_count, sizeof *unknown, &p)) != FM_OK)
        return st;
    if ((st = fm_alloc(v->row_count, sizeof *unknown, &q)) == FM_OK) {
        v->report.missing = q;
        unknown = p;
        sort_missing(v, unknown, &count);
        if (count > 0)
            st = fail_missing(v, unknown, count);
    }
    free(p);
    return st;
}

fm_status fm_verify_journal_end(verification *v)
{
    fm_status st;

    if (!v->report.journal)
        return FM_OK;
    if (!v->met)
        return fm_fail(
            FM_ESTATE,
            "%s: it has no entry of round %llu, which this node knows to be finished: the "
            "bundle is older than that, or the aggregator was set back; ask for a new "
            "one",
            v->o->bundle, (unsigned long long)v->journal.finished_round);
    st = check_named(v);
    return st == FM_OK ? check_missing(v) : st;
}
