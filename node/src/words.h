/*
 * What plans and guarantees mean, in plain words: for fedmoe-node plan and for the report. Texts
 * are appended as plain UTF-8; whoever shows them cleans or escapes. Pure.
 */
#ifndef FEDMOE_NODE_WORDS_H
#define FEDMOE_NODE_WORDS_H

#include <stdbool.h>

#include "fedmoe/base/memory.h"

/**
 * The largest probability that a suspicion can reach, from `prior`, by what is (epsilon, 0)-
 * differentially private: its odds grow by e^epsilon at most. With delta > 0 the same holds but
 * for outcomes whose whole probability is at most delta.
 *
 * @param prior  in (0, 1). @param epsilon  >= 0; infinity gives 1.
 * @source Dwork, Roth 2014, The algorithmic foundations of differential privacy, lemma 3.17 (the
 *         two laws are within delta of two whose ratio is bounded everywhere).
 */
double fm_words_posterior(double epsilon, double prior);

/**
 * The largest share of right answers in a fair guess "is this unit among the records, or not?":
 * (e^epsilon + delta) / (e^epsilon + 1).
 * @source Kairouz, Oh, Viswanath 2015, arXiv:1311.0776, theorem 2.1: the region of error rates; its
 *         corner nearest to the origin.
 */
double fm_words_guess(double epsilon, double delta);

/** To the four decimals that people are shown: what is spent rounded up, what is left down;
 *  not below 0. */
double fm_words_up(double v);
double fm_words_down(double v);

#define FM_WORDS_PERCENT 16
/** "73.2%": three digits, rounded up, since it is a bound. */
void fm_words_percent(double share, char out[FM_WORDS_PERCENT]);
/** "1.2 MB": decimal prefixes, two to four digits. */
void fm_words_bytes(double bytes, char out[24]);
/** The shortest decimal that reads back as v. */
void fm_words_exact(double v, char out[32]);

/** What the unit is, and what that means for a person: two sentences or three. */
FM_NODISCARD fm_status fm_words_unit_meaning(fm_buf *out, const char *unit, long long max_rows);

/** A plan's figures of adapters of a language model. */
typedef struct {
    const char *model, *unit; /* the plan's texts: foreign */
    long long values, word_bits, rounds, unit_sequences;
} fm_words_adapters;
/** What is trained: adapters of which rank, on what of which base, how many numbers, and how much
 *  of a unit counts. A model's text that cannot be read is said to be so. */
FM_NODISCARD fm_status fm_words_adapters_of(fm_buf *out, const fm_words_adapters *a);
/** fm_words_unit_meaning, of texts. */
FM_NODISCARD fm_status fm_words_texts_unit(fm_buf *out, const char *unit, long long max_sequences);

/** Whose noise hides a unit, and what the guarantee rests on. noise: "distributed" or "local". */
FM_NODISCARD fm_status fm_words_noise(fm_buf *out, const char *noise, long long quorum,
                                      long long colluders);

/** What local steps cost, with a blank before it; nothing for fewer than 2 steps. */
FM_NODISCARD fm_status fm_words_local(fm_buf *out, long long steps, long long rounds,
                                      bool scaffold);

/** A plan's figures of who shares a mask with whom. */
typedef struct {
    long long density, nodes, quorum, colluders;
    bool groups; /* masks are within a group */
} fm_words_graph;
/** What that hides and from whom, with a blank before it; nothing for a plan that an older version
 *  wrote down. */
FM_NODISCARD fm_status fm_words_masks(fm_buf *out, const fm_words_graph *graph);

/** A plan's figures of sums by groups. */
typedef struct {
    long long groups, quorum, colluders, trim;
    const char *mean; /* "median", "trimmed" or "geometric" */
    bool local;       /* each node's noise is enough alone */
} fm_words_groups;
/** Who is summed with whom, what that is for and what it costs, with a blank before it; nothing of a
 *  plan with one sum. */
FM_NODISCARD fm_status fm_words_groups_of(fm_buf *out, const fm_words_groups *g);

/** How the bound on what a unit adds is kept: a sentence or two, each with a blank before it;
 *  nothing for a plan that an older version wrote down. @param encoding "fast" or "exact". */
FM_NODISCARD fm_status fm_words_encoding(fm_buf *out, const char *encoding);

/** A plan's figures of what a unit adds beside its gradient. */
typedef struct {
    long long load_groups, load_experts;
    double load_share, clip_quantile, clip_share;
    double held_share;   /* of units that only judge the model */
    long long patience;  /* 0: none do */
    long long held_bins; /* of scores, for each class; 0: they are not counted */
} fm_words_tail;
/** Likewise: counts of experts, a vote on the clip norm, and units that only judge; nothing when
 *  there is none of them. */
FM_NODISCARD fm_status fm_words_tail_of(fm_buf *out, const fm_words_tail *tail);

#endif
