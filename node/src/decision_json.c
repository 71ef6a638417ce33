/* Decisions for programs. */
#include "fedmoe/base/clock.h"
#include "run_internal.h"

/** Behind `j`, what there is of conditions. */
static bool add_conditions(json_t *j, const fm_decision *d)
{
    char until[32];
    bool ok = true;

    fm_clock_format(d->until_s, until, sizeof until);
    if (d->epsilon > 0.0)
        ok = ok && json_object_set_new(j, "max_epsilon", json_real(d->epsilon)) == 0;
    if (d->rounds > 0)
        ok = ok && json_object_set_new(j, "max_rounds", json_integer(d->rounds)) == 0;
    if (d->until_s > 0)
        ok = ok && json_object_set_new(j, "until", json_string(until)) == 0;
    if (d->min_cohort > 0)
        ok = ok && json_object_set_new(j, "min_cohort", json_integer(d->min_cohort)) == 0;
    if (*d->members)
        ok = ok && json_object_set_new(j, "members", json_string(d->members)) == 0;
    if (*d->note)
        ok = ok && json_object_set_new(j, "note", json_string(d->note)) == 0;
    return ok;
}

static json_t *entry_json(const fm_decision_entry *e, bool counts)
{
    char plan[2 * FM_HASH_BYTES + 1], words[2 * FM_HASH_BYTES + 1], hash[2 * FM_HASH_BYTES + 1];
    char key[17], when[32];
    json_t *j;

    fm_hash_hex(&e->d.plan, plan);
    fm_hash_hex(&e->d.words, words);
    fm_hash_hex(&e->hash, hash);
    fm_public_key_name(&e->key, key);
    fm_clock_format(e->d.at_s, when, sizeof when);
    j = json_pack("{s:I s:s s:s s:s s:s s:s s:s s:f s:f s:I s:s s:s s:s s:s s:b}", "number",
                  (json_int_t)e->d.number, "verdict",
                  e->d.verdict == FM_VERDICT_APPROVE ? "approve" : "refuse", "plan", plan, "words",
                  words, "hash", hash, "federation", e->d.federation, "purpose", e->d.purpose,
                  "plan_epsilon", e->d.plan_epsilon, "plan_delta", e->d.plan_delta, "plan_rounds",
                  (json_int_t)e->d.plan_rounds, "by", e->d.by, "role", e->d.role, "at", when, "key",
                  key, "counts", counts);
    if (j && !add_conditions(j, &e->d)) {
        json_decref(j);
        j = NULL;
    }
    return j;
}

fm_status fm_decisions_json(const fm_decisions *all, const fm_decision_keys *keys, json_t **out)
{
    json_t *list = json_array();
    bool ok = list != NULL;

    for (size_t i = 0; ok && i < all->count; i++)
        ok = json_array_append_new(
                 list, entry_json(&all->entries[i], fm_decision_counts(&all->entries[i], keys))) ==
             0;
    if (ok) {
        *out = list;
        return FM_OK;
    }
    json_decref(list);
    return fm_fail(FM_ENOMEM, "no memory for the decisions, or a text is not UTF-8");
}
