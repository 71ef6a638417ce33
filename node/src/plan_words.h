/* The plan that was offered last, for people: what it means for the records. One thread. */
#ifndef FEDMOE_NODE_PLAN_WORDS_H
#define FEDMOE_NODE_PLAN_WORDS_H

#include <jansson.h>

#include "fedmoe/node/config.h"

/** The plan that stands in plan.json. */
typedef struct {
    json_t *json; /* owned: plan.json, its figures and texts anew from the plan's own bytes */
    bool whole;   /* these were there, so that hash is theirs: false of what older versions wrote */
    fm_hash hash;
    fm_plan plan; /* owned */
} fm_plan_offer;
/** FM_ENOTFOUND: none was offered yet; FM_EPARSE: damaged. fm_plan_offer_fini. */
FM_NODISCARD fm_status fm_plan_offer_read(const char *config, fm_plan_offer *out);
void fm_plan_offer_fini(fm_plan_offer *o);

/** What follows from plan.json, node.yaml and the ledger. */
typedef struct {
    long long update_words, word_bits; /* an update is so many words of so many bits */
    long long tail_words; /* of them: load counts and vote, no parameters of the model */
    double up_per_round, down_per_round; /* bytes of update and model; the rest is some kB */
    bool books_known;                    /* the figures below */
    char why[256];                       /* when not: the reason */
    uint64_t charged;                    /* rounds of this plan in the ledger */
    double budget, delta;                /* the policy's */
    double spent, after;                 /* at that delta: now, and with the rest of the plan */
    bool gain_known; /* from the whole curve of the plan's rounds: dp/tradeoff.h */
    double guess;    /* share of right answers, at most */
    double power_hundredth, power_thousandth; /* at so many false alarms */
} fm_plan_means;

/**
 * Work them out. Books that cannot be read are no failure: `why` says so.
 * @param config  node.yaml.
 * @param at_leisure  false: in a run, which is not to wait. What an attacker gains is then known only
 *                    of plans without sampling; of others it takes seconds, with many rounds a minute.
 */
fm_plan_means fm_plan_means_of(const json_t *plan, const char *config, bool at_leisure);

/** The whole text, wrapped at 80 columns, what is foreign cleaned; ends with a newline. */
FM_NODISCARD fm_status fm_plan_words(const json_t *plan, const fm_plan_means *m, fm_buf *out);

/** {"update_words", "bytes_up_per_round", ..., "epsilon_after"}: "derived" of plan --json. */
FM_NODISCARD fm_status fm_plan_means_json(const json_t *plan, const fm_plan_means *m, json_t **out);

#endif
