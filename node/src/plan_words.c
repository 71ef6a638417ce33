#include "plan_words.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "fedmoe/base/text.h"
#include "fedmoe/model/adapter_terms.h"
#include "policy_internal.h"
#include "words.h"

#define COLUMNS 80u
#define INDENT "  "
#define DELTA_LARGE 0.01

/** A paragraph: words of `text` in lines of COLUMNS, and an empty line. */
static fm_status paragraph(fm_buf *out, const char *text)
{
    size_t column = 0;
    fm_status st = FM_OK;

    for (const char *p = text; st == FM_OK && *p;) {
        size_t blanks = strspn(p, " \n"), len = strcspn(p + blanks, " \n");

        p += blanks;
        if (len == 0)
            break;
        if (column > 0 && column + 1 + len > COLUMNS) {
            st = fm_buf_append(out, "\n", 1);
            column = 0;
        }
        if (st == FM_OK)
            st = fm_buf_printf(out, "%s%.*s", column == 0 ? INDENT : " ", (int)len, p);
        column += len + (column == 0 ? sizeof INDENT - 1 : 1);
        p += len;
    }
    return st == FM_OK ? fm_buf_append(out, "\n", 1) : st;
}

/** A heading, and what was written into `text`, cleaned and wrapped; text is emptied. */
static fm_status section(fm_buf *out, const char *heading, fm_buf *text, fm_status st)
{
    if (st == FM_OK)
        st = fm_buf_printf(out, "%s%s\n", out->len > 0 ? "\n" : "", heading);
    if (st == FM_OK && text->len > 0) {
        fm_text_clean((char *)text->data);
        st = paragraph(out, (const char *)text->data);
    }
    fm_buf_clear(text);
    return st;
}

/** Survivors of one sum, at least. */
static long long fewest(const json_t *j)
{
    return fm_cmd_whole(j, fm_cmd_whole(j, "robust_groups") > 0 ? "robust_quorum" : "quorum");
}

static fm_status say_who(const json_t *j, fm_buf *t)
{
    fm_status st = fm_buf_printf(
        t,
        "Federation '%s': up to %lld institutions. A round starts with at least %lld of them, and "
        "nothing but sums over at least %lld can be read.",
        fm_cmd_text(j, "federation"), fm_cmd_whole(j, "max_nodes"), fm_cmd_whole(j, "min_cohort"),
        fewest(j));

    if (st != FM_OK || !*fm_cmd_text(j, "aggregator"))
        return st;
    return fm_buf_printf(
        t,
        " The aggregator is '%s', certificate %.16s; it and every member are let in by the CA "
        "%.16s alone. Which members come is not settled by a plan: each round's are in the roster "
        "and in the audit bundle, and an approval can be limited to some by name (--members).",
        fm_cmd_text(j, "aggregator"), fm_cmd_text(j, "aggregator_certificate"),
        fm_cmd_text(j, "ca"));
}

static bool is_of_texts(const json_t *j)
{
    return fm_adapter_terms_is(fm_cmd_text(j, "model"));
}

static fm_status say_adapters(const json_t *j, const fm_plan_means *m, fm_buf *t)
{
    const fm_words_adapters a = { .model = fm_cmd_text(j, "model"),
                                  .unit = fm_cmd_text(j, "privacy_unit"),
                                  .values = fm_cmd_whole(j, "parameters") - m->tail_words,
                                  .word_bits = m->word_bits,
                                  .rounds = fm_cmd_whole(j, "rounds"),
                                  .unit_sequences = fm_cmd_whole(j, "max_unit_rows") };

    return fm_words_adapters_of(t, &a);
}

static fm_status say_unit(const json_t *j, fm_buf *t)
{
    return (is_of_texts(j) ? fm_words_texts_unit : fm_words_unit_meaning)(
        t, fm_cmd_text(j, "privacy_unit"), fm_cmd_whole(j, "max_unit_rows"));
}

static fm_status say_task(const json_t *j, const fm_plan_means *m, fm_buf *t)
{
    const char *task = fm_cmd_text(j, "task");
    long long rounds = fm_cmd_whole(j, "rounds");

    if (strcmp(task, "statistics") == 0)
        return fm_buf_printf(t,
                             "Statistics of the records of all institutions together: %lld figures "
                             "are counted or summed, in %lld finished round%s, and published with "
                             "noise. No model is trained.",
                             m->update_words, rounds, rounds == 1 ? "" : "s");
    if (strcmp(task, "evaluation") == 0)
        return fm_buf_printf(t,
                             "A finished model is measured on the records of all institutions "
                             "together: each record's score falls into one of the classes of a "
                             "histogram, and %lld summed figures are published with noise, in %lld "
                             "finished round%s. The model does not change.",
                             m->update_words, rounds, rounds == 1 ? "" : "s");
    if (is_of_texts(j))
        return say_adapters(j, m, t);
    return fm_buf_printf(t,
                         "All institutions train one model of %lld parameters, in %lld finished "
                         "round%s. What each computes on its records stays with it; only sums over "
                         "several institutions are read.",
                         fm_cmd_whole(j, "parameters") - m->tail_words, rounds,
                         rounds == 1 ? "" : "s");
}

static fm_status say_sampling(const json_t *j, fm_buf *t)
{
    double q = fm_cmd_real(j, "sampling_rate");
    fm_status st =
        q >= 1.0
            ? fm_buf_printf(t, "Every unit takes part in every round. ")
            : fm_buf_printf(t,
                            "In each round every unit is drawn by chance, with probability %g; "
                            "nobody outside learns which were drawn (how long the node computes "
                            "may tell roughly how many). ",
                            q);

    if (st != FM_OK)
        return st;
    return fm_buf_printf(t,
                         "What one unit may add to the sum is cut to a length (L2 norm) of %g; a "
                         "unit that would add more is scaled down. So no single unit can move the "
                         "sum by more.",
                         fm_cmd_real(j, "clip_norm"));
}

/** What else than its gradient a unit adds, under the same bound. */
static fm_status say_tail(const json_t *j, fm_buf *t)
{
    const fm_words_tail tail = { .load_groups = fm_cmd_whole(j, "load_groups"),
                                 .load_experts = fm_cmd_whole(j, "load_experts"),
                                 .load_share = fm_cmd_real(j, "load_share"),
                                 .clip_quantile = fm_cmd_real(j, "clip_quantile"),
                                 .clip_share = fm_cmd_real(j, "clip_share"),
                                 .held_share = fm_cmd_real(j, "held_share"),
                                 .patience = fm_cmd_whole(j, "patience"),
                                 .held_bins = fm_cmd_whole(j, "held_bins") };

    return fm_words_tail_of(t, &tail);
}

/** The first round, when it is not for a gradient. */
static fm_status say_start(const json_t *j, fm_buf *t)
{
    if (!(fm_cmd_real(j, "start_scale") > 0.0))
        return FM_OK;
    return fm_buf_printf(t, " In the first round a unit adds no gradient, but the average of its "
                            "rows' features and labels, cut to the same length and hidden by the "
                            "same noise: from the noised sum the model gets the features' means "
                            "and the share of positive labels. It costs what any round costs.");
}

static fm_status say_bound(const json_t *j, fm_buf *t)
{
    fm_status st = say_sampling(j, t);

    if (st == FM_OK)
        st = fm_words_encoding(t, fm_cmd_text(j, "encoding"));
    if (st == FM_OK)
        st = say_tail(j, t);
    return st == FM_OK ? say_start(j, t) : st;
}

static fm_status say_noise(const json_t *j, fm_buf *t)
{
    double z = fm_cmd_real(j, "noise_multiplier");
    fm_status st;

    if (!(z > 0.0))
        return fm_buf_printf(t, "NO NOISE is added: nothing of this plan is private.");
    st = fm_words_noise(
        t, fm_cmd_text(j, "noise"),
        fm_cmd_whole(j, fm_cmd_whole(j, "robust_groups") > 0 ? "robust_quorum" : "quorum"),
        fm_cmd_whole(j, "colluders"));
    if (st != FM_OK)
        return st;
    return fm_buf_printf(t,
                         " The noise that is counted on has a standard deviation of %g times the "
                         "most that a unit can add.",
                         z);
}

static fm_status say_local(const json_t *j, fm_buf *t)
{
    return fm_words_local(t, fm_cmd_whole(j, "local_steps"), fm_cmd_whole(j, "rounds"),
                          strcmp(fm_cmd_text(j, "correction"), "scaffold") == 0);
}

static fm_status say_hiding(const json_t *j, fm_buf *t)
{
    const fm_words_graph graph = { .density = fm_cmd_whole(j, "mask_density"),
                                   .nodes = fm_cmd_whole(j, "max_nodes"),
                                   .quorum = fm_cmd_whole(j, "quorum"),
                                   .colluders = fm_cmd_whole(j, "colluders"),
                                   .groups = fm_cmd_whole(j, "robust_groups") > 0 };
    const fm_words_groups groups = { .groups = fm_cmd_whole(j, "robust_groups"),
                                     .quorum = fm_cmd_whole(j, "robust_quorum"),
                                     .colluders = fm_cmd_whole(j, "colluders"),
                                     .trim = fm_cmd_whole(j, "robust_trim"),
                                     .mean = fm_cmd_text(j, "robust_mean"),
                                     .local = strcmp(fm_cmd_text(j, "noise"), "local") == 0 };
    fm_status st = say_noise(j, t);

    if (st == FM_OK)
        st = say_local(j, t);
    if (st == FM_OK)
        st = fm_words_masks(t, &graph);
    return st == FM_OK ? fm_words_groups_of(t, &groups) : st;
}

static fm_status say_cost(const json_t *j, const fm_plan_means *m, fm_buf *t)
{
    const double delta = fm_cmd_real(j, "delta"), units = fm_cmd_real(j, "expected_units");
    fm_status st = fm_buf_printf(t, "For each unit the whole run costs epsilon %g at delta %g. ",
                                 fm_cmd_real(j, "epsilon"), delta);

    if (st == FM_OK && (delta >= DELTA_LARGE || delta * units > 1.0))
        st = fm_buf_printf(t,
                           "THIS DELTA IS LARGE: with this probability the promise may fail "
                           "altogether, and of %g expected units that may be %.2g. ",
                           units, delta * units);
    if (st != FM_OK)
        return st;
    if (!m->books_known)
        return fm_buf_printf(t, "What the data set has spent is not known: %s.", m->why);
    if (m->budget >= FM_NODE_NO_PRIVACY_EPSILON)
        return fm_buf_printf(t,
                             "The policy of this node sets a budget of %g: nothing is private "
                             "here, and the budget has no end. %.4f is booked so far.",
                             m->budget, fm_words_up(m->spent));
    st = fm_buf_printf(t,
                       "Of its budget of %g at delta %g the data set has spent %.4f so far; when "
                       "the plan has run to its end it will be %.4f, ",
                       m->budget, m->delta, fm_words_up(m->spent), fm_words_up(m->after));
    if (st == FM_OK)
        st = m->after <= m->budget
                 ? fm_buf_printf(t, "and %.4f is left.", fm_words_down(m->budget - m->after))
                 : fm_buf_printf(t, "which is MORE THAN THE BUDGET: the node refuses.");
    if (st == FM_OK && m->charged > 0)
        st = fm_buf_printf(t, " %llu of the plan's %lld rounds are in the ledger already.",
                           (unsigned long long)m->charged, fm_cmd_whole(j, "rounds"));
    return st;
}

static fm_status say_gain(const json_t *j, fm_buf *t)
{
    double epsilon = fm_cmd_real(j, "epsilon"), delta = fm_cmd_real(j, "delta");
    char guess[FM_WORDS_PERCENT], half[FM_WORDS_PERCENT], one[FM_WORDS_PERCENT];

    if (!(fm_cmd_real(j, "noise_multiplier") > 0.0))
        return fm_buf_printf(t, "Everything that the sums show.");
    fm_words_percent(fm_words_guess(epsilon, delta), guess);
    fm_words_percent(fm_words_posterior(epsilon, 0.5), half);
    fm_words_percent(fm_words_posterior(epsilon, 0.01), one);
    return fm_buf_printf(
        t,
        "Who knows everything else about a patient and all other records, sees everything that "
        "this plan lets out, and has to say whether one certain unit is among the records: a coin "
        "is right in 50%% of such cases, and nobody in more than %s. A suspicion of 50%% grows "
        "to %s at most, one of 1%% to %s, except with probability %g (delta).",
        guess, half, one, delta);
}

/** The same from all of the curve, not from one point of it. */
static fm_status say_power(const fm_plan_means *m, fm_buf *t)
{
    char guess[FM_WORDS_PERCENT], hundredth[FM_WORDS_PERCENT], thousandth[FM_WORDS_PERCENT];

    if (!m->gain_known)
        return FM_OK;
    fm_words_percent(m->guess, guess);
    fm_words_percent(m->power_hundredth, hundredth);
    fm_words_percent(m->power_thousandth, thousandth);
    return fm_buf_printf(t,
                         " Reckoned from this plan's rounds themselves it is less: right in %s at "
                         "most. And who wants to raise a false alarm for no more than 1 in 100 "
                         "units that are not there finds at most %s of those that are; with 1 in "
                         "1000, %s. For a patient: nobody who looks at the result, with whatever "
                         "else they know, can do better than that at telling whether you were in "
                         "it.",
                         guess, hundredth, thousandth);
}

/** What no epsilon is about. */
static fm_status say_open(const json_t *j, fm_buf *t)
{
    fm_status st = fm_buf_printf(
        t,
        "What holds for people in general may be learnt, also of somebody who is not among the "
        "records: that smokers are ill more often, and so that a smoker may be. That this "
        "institution takes part, for which purpose and for how long, is known to all members. "
        "If more than %lld of the other nodes collude, or one institution holds records of the "
        "same person too, the figures above are larger.",
        fm_cmd_whole(j, "colluders"));

    if (st != FM_OK || strcmp(fm_cmd_text(j, "privacy_unit"), "record") != 0)
        return st;
    return fm_buf_printf(t, " A person with several records is protected less: the figures are for "
                            "one record.");
}

static void say_time(double seconds, char out[32])
{
    if (seconds < 90.0)
        (void)snprintf(out, 32, "%.2g s", seconds);
    else if (seconds < 5400.0)
        (void)snprintf(out, 32, "%.0f minutes", seconds / 60.0);
    else
        (void)snprintf(out, 32, "%.1f hours", seconds / 3600.0);
}

#define LINE_BYTES_A_SECOND 1.25e6 /* 10 Mbit/s */

/** Minutes: from a step that was really done, and a line that is only supposed. */
static fm_status say_minutes(const json_t *j, const fm_plan_means *m, fm_buf *t)
{
    const double rounds = (double)fm_cmd_whole(j, "rounds");
    const double step_s = (double)fm_cmd_whole(j, "step_ms") / 1000.0;
    char step[32], all[32], line[32];

    say_time(rounds * (m->up_per_round + m->down_per_round) / LINE_BYTES_A_SECOND, line);
    if (!(step_s > 0.0))
        return fm_buf_printf(t,
                             " Over a line of 10 Mbit/s that takes %s. How long this machine "
                             "computes was not measured: it is when a plan waits for a decision.",
                             line);
    say_time(step_s, step);
    say_time(step_s * rounds, all);
    return fm_buf_printf(t,
                         " Over a line of 10 Mbit/s that takes %s. This machine's part of a round "
                         "takes %s (one was computed here, and thrown away, on %lld records): %s "
                         "in all. The slowest member sets the pace; the plan states none.",
                         line, step, fm_cmd_whole(j, "records"), all);
}

static fm_status say_traffic(const json_t *j, const fm_plan_means *m, fm_buf *t)
{
    double rounds = (double)fm_cmd_whole(j, "rounds");
    char up[24], down[24], all_up[24], all_down[24];

    fm_words_bytes(m->up_per_round, up);
    fm_words_bytes(m->down_per_round, down);
    fm_words_bytes(m->up_per_round * rounds, all_up);
    fm_words_bytes(m->down_per_round * rounds, all_down);
    return fm_buf_printf(t,
                         "Out, in each round: one masked update of %lld numbers of %lld bits (%s), "
                         "which alone is uniformly random to everybody, and some kilobytes of "
                         "signatures and seeds. In: the model (%s). In all %s out and %s in.",
                         m->update_words, m->word_bits, up, down, all_up, all_down);
}

static fm_status say_attack(const json_t *j, const fm_plan_means *m, fm_buf *t)
{
    fm_status st = say_gain(j, t);

    return st == FM_OK ? say_power(m, t) : st;
}

static fm_status say_load(const json_t *j, const fm_plan_means *m, fm_buf *t)
{
    fm_status st = say_traffic(j, m, t);

    return st == FM_OK ? say_minutes(j, m, t) : st;
}

/** What is asked, as the plan says it: foreign text, line by line. */
static fm_status say_query(const json_t *j, fm_buf *out, fm_buf *t)
{
    const char *query = fm_cmd_text(j, "query");
    fm_status st = FM_OK;

    if (!*query)
        return FM_OK;
    st = fm_buf_printf(out, "\nThe query, word for word\n");
    while (st == FM_OK && *query) {
        size_t len = strcspn(query, "\n");

        fm_buf_clear(t);
        if ((st = fm_buf_append(t, query, len)) == FM_OK && t->len > 0)
            fm_text_clean((char *)t->data);
        if (st == FM_OK)
            st = fm_buf_printf(out, INDENT "%s\n", t->len > 0 ? (const char *)t->data : "");
        query += len + (query[len] == '\n');
    }
    fm_buf_clear(t);
    return st;
}

fm_status fm_plan_words(const json_t *j, const fm_plan_means *m, fm_buf *out)
{
    fm_buf t = { 0 };
    fm_status st;

    if ((st = section(out, "Purpose", &t, fm_buf_printf(&t, "%s", fm_cmd_text(j, "purpose")))) !=
            FM_OK ||
        (st = section(out, "Who", &t, say_who(j, &t))) != FM_OK ||
        (st = section(out, "What is computed", &t, say_task(j, m, &t))) != FM_OK ||
        (st = say_query(j, out, &t)) != FM_OK ||
        (st = section(out, "Whom it protects", &t, say_unit(j, &t))) != FM_OK ||
        (st = section(out, "What a unit can do to the result", &t, say_bound(j, &t))) != FM_OK ||
        (st = section(out, "What hides it", &t, say_hiding(j, &t))) != FM_OK ||
        (st = section(out, "What it costs", &t, say_cost(j, m, &t))) != FM_OK ||
        (st = section(out, "What an attacker could gain", &t, say_attack(j, m, &t))) != FM_OK ||
        (st = section(out, "What it does not protect", &t, say_open(j, &t))) != FM_OK)
        goto done;
    st = section(out, "What goes over the line, and how long it takes", &t, say_load(j, m, &t));
done:
    fm_buf_fini(&t);
    return st;
}
