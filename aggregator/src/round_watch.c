/*
 * Whose groups stand out. In one round a sum that is far from the others says nothing of who in it
 * did it; but groups are drawn anew in each, and whoever sends what honest nodes do not is in
 * all of them. What is counted here is a function of sums that were released, so it costs no privacy;
 * it is a suspicion (unusual records stand out, too), and nobody is barred for it.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "round_internal.h"

/* So unlikely it must be that chance brings any member into as many outlying groups. */
#define CHANCE 1e-3

static void note_groups(fm_coordinator *m, const fm_replay_outliers *o)
{
    const fm_groups *groups = fm_replay_round_groups(m->sums);

    for (uint32_t g = 0; g < o->groups; g++) {
        char names[512] = "";
        size_t len = 0;

        if (!o->outlying[g])
            continue;
        for (uint32_t i = 0; i < m->survivor_count && len < sizeof names; i++) {
            const member *who = m->roster_members[m->survivors[i]];

            if (who && groups->of[m->survivors[i]] == g)
                len += (size_t)snprintf(names + len, sizeof names - len, "%s%s", len ? ", " : "",
                                        who->name);
        }
        fm_coord_note(m,
                      "round %llu: the sum of a group stands out, at %.1f times its noise from the "
                      "robust mean%s: %s",
                      (unsigned long long)m->round, o->distance[g],
                      o->too_long[g] ? ", longer than honest nodes can make it" : "", names);
    }
}

/* Pr[Bin(n, p) >= k]; 1 where k is not above the mean. From there on terms fall. */
static double tail(uint32_t n, uint32_t k, double p)
{
    double log_first, term, sum = 0.0;

    if (p <= 0.0 || p >= 1.0 || (double)k <= (double)n * p)
        return 1.0;
    log_first = (double)k * log(p) + (double)(n - k) * log1p(-p);
    for (uint32_t j = 1; j <= k; j++)
        log_first += log((double)(n - k + j) / (double)j);
    term = exp(log_first);
    for (uint32_t i = k; i <= n; i++) {
        sum += term;
        term *= (double)(n - i) / (double)(i + 1) * p / (1.0 - p);
    }
    return sum;
}

static void judge(fm_coordinator *m, record *r)
{
    const double share = (double)m->outlying / (double)m->watched;
    const uint32_t rounds = r->rounds, often = r->outlying;
    const bool suspect =
        rounds > 0 && tail(rounds, often, share) * (double)m->record_count < CHANCE;

    if (suspect && (!r->suspect || often % 10 == 0))
        fm_coord_note(
            m,
            "%s was in outlying groups in %u of %u rounds, all members on average in %.0f %%: "
            "look at its records, or ask its people (a suspicion, not a proof)",
            r->name, often, rounds, 100.0 * share);
    r->suspect = suspect;
}

void fm_coord_watch(fm_coordinator *m, const fm_replay_outliers *o)
{
    const fm_groups *groups = fm_replay_round_groups(m->sums);

    if (o->groups == 0)
        return;
    note_groups(m, o);
    for (uint32_t i = 0; i < m->survivor_count; i++) {
        const member *who = m->roster_members[m->survivors[i]];
        record *r = who ? fm_coord_record_of(m, who->name) : NULL;
        const bool outlying = o->outlying[groups->of[m->survivors[i]]];

        if (!r)
            continue;
        r->rounds++;
        r->outlying += outlying;
        m->watched++;
        m->outlying += outlying;
    }
    for (uint32_t i = 0; i < m->record_count; i++)
        if (m->records[i].outlying > 0)
            judge(m, &m->records[i]);
}

bool fm_coordinator_suspicion(const fm_coordinator *m, const char *name, uint32_t *outlying,
                              uint32_t *rounds)
{
    const record *r = fm_coord_record_find(m, name);

    *outlying = r ? r->outlying : 0;
    *rounds = r ? r->rounds : 0;
    return r && r->suspect;
}
