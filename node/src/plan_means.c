/* What a plan comes to: bytes, and epsilon with the ledger's entries. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "fedmoe/dp/tradeoff.h"
#include "plan_words.h"
#include "policy_internal.h"
#include "run_internal.h"
#include "words.h"

typedef struct {
    const char *data_set, *plan; /* the plan's hash in hex */
    uint64_t charged;
} charges;

static fm_status count_charged(void *ctx, const fm_ledger_row *row)
{
    charges *c = ctx;
    char hex[2 * FM_HASH_BYTES + 1];

    fm_hash_hex(&row->plan, hex);
    if (strcmp(row->data_set, c->data_set) == 0 && strcmp(hex, c->plan) == 0)
        c->charged++; /* an entry a round, whatever it counts for */
    return FM_OK;
}

/** What the rounds that are not paid yet will be charged as. */
static fm_dp_mechanism rest_of(const json_t *plan, uint64_t charged)
{
    uint64_t rounds = (uint64_t)fm_cmd_whole(plan, "rounds");
    fm_plan p = { .noise_multiplier = fm_cmd_real(plan, "noise_multiplier"),
                  .sampling_rate = fm_cmd_real(plan, "sampling_rate"),
                  .clip_norm = fm_cmd_real(plan, "clip_norm"),
                  .local_steps = (uint32_t)fm_cmd_whole(plan, "local_steps") };

    return fm_node_policy_mechanism(&p, rounds > charged ? rounds - charged : 0);
}

static fm_status read_books(const json_t *plan, const fm_node_config *c, fm_plan_means *m)
{
    charges count = { .data_set = c->data_set, .plan = fm_cmd_text(plan, "hash") };
    fm_dp_mechanism rest;
    fm_ledger *l = NULL;
    fm_status st;

    m->budget = c->policy.epsilon;
    m->delta = c->policy.delta;
    if ((st = fm_ledger_open_readonly(c->ledger, &l)) == FM_ENOTFOUND) {
        if ((st = fm_node_books_none_yet(c)) != FM_OK)
            return st;
        rest = rest_of(plan, 0);
        return fm_dp_epsilon(&rest, 1, m->delta, &m->after);
    }
    if (st == FM_OK && (st = fm_ledger_verify(l, NULL)) == FM_OK &&
        (st = fm_ledger_walk(l, count_charged, &count)) == FM_OK &&
        (st = fm_ledger_epsilon(l, c->data_set, NULL, m->delta, &m->spent)) == FM_OK) {
        m->charged = count.charged;
        rest = rest_of(plan, m->charged);
        st = fm_ledger_epsilon(l, c->data_set, rest.count > 0 ? &rest : NULL, m->delta, &m->after);
    }
    fm_ledger_close(&l);
    return st;
}

/** Of the noise that remains after collusion, as epsilon is. */
static void reckon_gain(const json_t *plan, bool at_leisure, fm_plan_means *m)
{
    const fm_dp_mechanism run = rest_of(plan, 0);
    fm_dp_test tests[] = { { 0.01, 1.0 }, { 0.001, 1.0 } };

    m->gain_known = fm_cmd_real(plan, "noise_multiplier") > 0.0 &&
                    (at_leisure || run.sampling_rate >= 1.0) &&
                    fm_dp_tradeoff(&run, 1, tests, 2, &m->guess) == FM_OK;
    m->power_hundredth = tests[0].power;
    m->power_thousandth = tests[1].power;
}

fm_plan_means fm_plan_means_of(const json_t *plan, const char *config, bool at_leisure)
{
    fm_plan_means m = { .update_words =
                            fm_cmd_whole(plan, "parameters") - fm_cmd_whole(plan, "frozen") };
    fm_node_config c = { 0 };
    fm_status st;

    reckon_gain(plan, at_leisure, &m);
    st = fm_node_config_load(config, &c);
    m.tail_words = fm_cmd_whole(plan, "load_groups") * fm_cmd_whole(plan, "load_experts") +
                   (fm_cmd_real(plan, "clip_quantile") > 0.0) +
                   (fm_cmd_whole(plan, "patience") > 0 ? 2 : 0) +
                   2 * fm_cmd_whole(plan, "held_bins") + (fm_cmd_real(plan, "start_scale") > 0.0);
    m.word_bits = fm_cmd_whole(plan, "word_bits");
    m.up_per_round = (double)m.word_bits / 8.0 * (double)m.update_words;
    m.down_per_round = 4.0 * (double)fm_cmd_whole(plan, "parameters");
    if (st == FM_OK)
        st = read_books(plan, &c, &m);
    m.books_known = st == FM_OK;
    if (st != FM_OK)
        (void)snprintf(m.why, sizeof m.why, "%s", fm_error_text());
    fm_node_config_fini(&c);
    return m;
}

static json_t *books_json(const fm_plan_means *m)
{
    return json_pack("{s:I s:f s:f s:f s:f s:f}", "rounds_charged", (json_int_t)m->charged,
                     "epsilon_budget", m->budget, "delta", m->delta, "epsilon_spent", m->spent,
                     "epsilon_after", m->after, "epsilon_left_after",
                     fmax(m->budget - m->after, 0.0));
}

fm_status fm_plan_means_json(const json_t *plan, const fm_plan_means *m, json_t **out)
{
    double rounds = (double)fm_cmd_whole(plan, "rounds"), epsilon = fm_cmd_real(plan, "epsilon");
    json_t *j =
        json_pack("{s:I s:I s:f s:f s:f s:f s:f s:f s:f}", "update_words",
                  (json_int_t)m->update_words, "word_bits", (json_int_t)m->word_bits,
                  "bytes_up_per_round", m->up_per_round, "bytes_down_per_round", m->down_per_round,
                  "bytes_up", m->up_per_round * rounds, "bytes_down", m->down_per_round * rounds,
                  "guess_right_at_most", fm_words_guess(epsilon, fm_cmd_real(plan, "delta")),
                  "posterior_from_half", fm_words_posterior(epsilon, 0.5),
                  "posterior_from_hundredth", fm_words_posterior(epsilon, 0.01));
    json_t *books = m->books_known ? books_json(m) : NULL;

    if (j && m->gain_known &&
        (json_object_set_new(j, "guess_right_by_curve", json_real(m->guess)) != 0 ||
         json_object_set_new(j, "power_at_0.01", json_real(m->power_hundredth)) != 0 ||
         json_object_set_new(j, "power_at_0.001", json_real(m->power_thousandth)) != 0)) {
        json_decref(j);
        j = NULL;
    }

    if (!j || (m->books_known && (!books || json_object_update(j, books) != 0))) {
        json_decref(j);
        json_decref(books);
        return fm_fail(FM_ENOMEM, "no memory for the plan");
    }
    json_decref(books);
    *out = j;
    return FM_OK;
}
