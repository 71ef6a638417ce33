/* What plan and report say, as the data-protection officer runs them. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "fedmoe/base/file.h"
#include "fedmoe/base/json.h"
#include "plan_words.h"
#include "report_desk.h"
#include "suites.h"
#include "words.h"

typedef struct {
    desk desk;
    fm_buf said; /* by the last run, on both outputs */
} shell;

static void open_shell(shell *d)
{
    memset(d, 0, sizeof *d);
    open_desk(&d->desk, "alpha", "alpha", 2.0);
}

/** Arguments without quotes in them, ended with NULL. The exit code. */
static int run(shell *d, ...)
{
    fm_buf line = { 0 };
    char block[512];
    va_list arguments;
    const char *a;
    FILE *p = NULL;
    size_t n;
    int status;

    need(fm_buf_printf(&line, "'%s'", FEDMOE_NODE) == FM_OK, "a command");
    va_start(arguments, d);
    while ((a = va_arg(arguments, const char *)))
        need(fm_buf_printf(&line, " '%s'", a) == FM_OK, "a command");
    va_end(arguments);
    need(fm_buf_printf(&line, " 2>&1") == FM_OK && (p = popen((const char *)line.data, "r")),
         "a process");
    fm_buf_fini(&line);
    fm_buf_clear(&d->said);
    while ((n = fread(block, 1, sizeof block, p)) > 0)
        need(fm_buf_append(&d->said, block, n) == FM_OK, "the output");
    status = pclose(p);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool said(const shell *d, const char *word)
{
    bool yes = d->said.len > 0 && strstr((const char *)d->said.data, word) != NULL;

    if (!yes)
        printf("\n    not '%s' but: %s\n", word, (const char *)d->said.data);
    return yes;
}

/** What the last run printed as JSON; json_decref. */
static json_t *said_json(const shell *d)
{
    json_t *j = json_loadb((const char *)d->said.data, d->said.len, 0, NULL);

    need(j != NULL, "JSON");
    return j;
}

static void report_writes_the_ledgers_figures_into_a_private_page(void)
{
    char page[PATH_CAP], sentence[80];
    json_t *ledger, *report;
    fm_buf html = { 0 };
    struct stat st;
    double spent;
    shell d;

    open_shell(&d);
    make_path(page, d.desk.dir, "report.html");
    CU_ASSERT_EQUAL(run(&d, "report", "--config", d.desk.config, "--output", page, NULL), 1);
    CU_ASSERT(said(&d, "nothing has been spent"));
    CU_ASSERT_FALSE(fm_file_exists(page));
    charge(&d.desk, "alpha", "heart", "heart disease risk", 0, 20.0, 3);
    CU_ASSERT_EQUAL(run(&d, "report", "--config", d.desk.config, "--output", page, NULL), 0);
    CU_ASSERT(said(&d, "3 entries are whole"));
    CU_ASSERT(stat(page, &st) == 0 && (st.st_mode & 0777) == 0600);
    CU_ASSERT_EQUAL(run(&d, "ledger", "--config", d.desk.config, "--json", NULL), 0);
    ledger = said_json(&d);
    CU_ASSERT_EQUAL(run(&d, "report", "--config", d.desk.config, "--json", NULL), 0);
    report = said_json(&d);
    spent = json_real_value(json_object_get(ledger, "epsilon_spent"));
    CU_ASSERT(spent > 0.0);
    CU_ASSERT_EQUAL(json_real_value(json_object_get(report, "epsilon_spent")), spent);
    CU_ASSERT_EQUAL(json_array_size(json_object_get(report, "points")), 3);
    CU_ASSERT_EQUAL_FATAL(fm_file_read(page, 1 << 20, &html), FM_OK);
    (void)snprintf(sentence, sizeof sentence, "has spent %.4f; %.4f is left.", fm_words_up(spent),
                   fm_words_down(2.0 - spent));
    CU_ASSERT_PTR_NOT_NULL(strstr((const char *)html.data, sentence));
    json_decref(ledger);
    json_decref(report);
    fm_buf_fini(&html);
    fm_buf_fini(&d.said);
}

static const char plan_json[] =
    "{\"approved\": %s, \"reason\": \"too\\u001b[2J many\", \"offered\": \"2026-11-25T10:00:00Z\", "
    "\"hash\": \"0000000000000000000000000000000000000000000000000000000000000000\", "
    "\"federation\": \"heart\", \"purpose\": \"heart disease\\u001b[31m risk\", "
    "\"privacy_unit\": \"%s\", \"epsilon\": 1.0, \"delta\": 0.0001, \"clip_norm\": 1.5, "
    "\"sampling_rate\": 0.25, \"noise_multiplier\": 20.0, \"rounds\": 10, \"max_units\": 100, "
    "\"expected_units\": 25.0, \"min_cohort\": 4, \"quorum\": 3, \"colluders\": 1, "
    "\"max_nodes\": 5, \"parameters\": 1000, \"max_unit_rows\": 16, \"frozen\": %u, "
    "\"word_bits\": 16, "
    "\"task\": \"%s\", \"noise\": \"%s\", \"schema\": \"name: x\"%s}";

static void offer(shell *d, bool approved, const char *unit, unsigned frozen, const char *task,
                  const char *noise, const char *more)
{
    char text[2048];

    (void)snprintf(text, sizeof text, plan_json, approved ? "true" : "false", unit, frozen, task,
                   noise, more);
    write_file(d->desk.dir, "plan.json", text);
    CU_ASSERT_EQUAL(run(d, "plan", "--config", d->desk.config, NULL), 0);
}

/** The output as one line: where it is broken is no matter. */
static bool means(shell *d, const char *words)
{
    char *from = (char *)d->said.data, *to = from;

    for (; *from; from++)
        if ((*from != ' ' && *from != '\n') || to == (char *)d->said.data || to[-1] != ' ')
            *to++ = *from == '\n' ? ' ' : *from;
    *to = '\0';
    return said(d, words);
}

static void plan_says_what_training_with_shared_noise_means(void)
{
    shell d;

    open_shell(&d);
    offer(&d, true, "record", 0, "training", "distributed", "");
    CU_ASSERT(means(&d, "train one model of 1000 parameters, in 10 finished rounds"));
    CU_ASSERT(means(&d, "sums over at least 3 can be read"));
    CU_ASSERT(means(&d, "one record, that is one line of the file"));
    CU_ASSERT(means(&d, "drawn by chance, with probability 0.25"));
    CU_ASSERT(means(&d, "cut to a length (L2 norm) of 1.5"));
    CU_ASSERT(means(&d, "(3) less 1: the guarantee holds if at most 1 of the other nodes"));
    CU_ASSERT(means(&d, "taken off again when no node drops out, never below what the guarantee"));
    CU_ASSERT(means(&d, "deviation of 20 times the most that a unit can add"));
    CU_ASSERT(means(&d, "costs epsilon 1 at delta 0.0001"));
    CU_ASSERT(means(&d, "nobody in more than 73.2%"));
    CU_ASSERT(means(&d, "one of 1% to 2.68%"));
    CU_ASSERT(means(&d, "1000 numbers of 16 bits (2.0 kB)"));
    CU_ASSERT(means(&d, "In all 20.0 kB out and 40.0 kB in"));
    CU_ASSERT(means(&d, "heart disease?[31m risk")); /* no command to the terminal */
    CU_ASSERT(means(&d, "This node approved it."));
    CU_ASSERT_PTR_NULL(strchr((const char *)d.said.data, 0x1b));
    fm_buf_fini(&d.said);
}

/** Of the plan's five nodes, and of 200. */
static void plan_says_with_how_many_a_node_shares_masks(void)
{
    const fm_words_graph many = { .density = 120, .nodes = 200, .quorum = 101, .colluders = 0 };
    const fm_words_graph high = { .density = 167, .nodes = 200, .quorum = 160, .colluders = 0 };
    const fm_words_graph odd = { .density = 182, .nodes = 101, .quorum = 51, .colluders = 0 };
    const fm_words_graph bad = { .density = 300, .nodes = -5, .quorum = 101, .colluders = 101 };
    fm_buf t = { 0 };
    shell d;

    open_shell(&d);
    offer(&d, true, "record", 0, "training", "distributed", "");
    CU_ASSERT_PTR_NULL(strstr((const char *)d.said.data, "by masks"));
    offer(&d, true, "record", 0, "training", "distributed", ", \"mask_density\": 256");
    CU_ASSERT(means(&d, "hidden by masks, one with every other node of the round"));
    fm_buf_fini(&d.said);
    CU_ASSERT_EQUAL(fm_words_masks(&t, &bad), FM_OK);
    CU_ASSERT_EQUAL(t.len, 0);
    CU_ASSERT_EQUAL_FATAL(fm_words_masks(&t, &many), FM_OK);
    CU_ASSERT_PTR_NOT_NULL(strstr((const char *)t.data, "about 93 of 199 others"));
    CU_ASSERT_PTR_NOT_NULL(strstr((const char *)t.data, "up to 1 node that colludes with it"));
    CU_ASSERT_PTR_NOT_NULL(strstr((const char *)t.data, "below 2^-55.1"));
    CU_ASSERT_EQUAL_FATAL(fm_words_masks(&t, &high), FM_OK); /* 41 honest ones of 160 */
    CU_ASSERT_PTR_NOT_NULL(strstr((const char *)t.data, "up to 119 nodes that collude with it"));
    CU_ASSERT_EQUAL_FATAL(fm_words_masks(&t, &odd), FM_OK);
    CU_ASSERT_PTR_NOT_NULL(strstr((const char *)t.data, "Against the aggregator these masks"));
    fm_buf_fini(&t);
}

static void plan_says_who_is_summed_with_whom_and_what_that_costs(void)
{
    shell d;

    open_shell(&d);
    offer(&d, true, "record", 0, "training", "distributed",
          ", \"mask_density\": 256, \"robust_groups\": 5, \"robust_quorum\": 3, "
          "\"robust_mean\": \"median\", \"robust_trim\": 0");
    CU_ASSERT(means(&d, "nothing but sums over at least 3 can be read"));
    CU_ASSERT(means(&d, "one with every other node of its group"));
    CU_ASSERT(means(&d, "by lot to 5 groups"));
    CU_ASSERT(means(&d, "so 2 groups in which a node sends what is no honest update"));
    CU_ASSERT(means(&d, "A unit is in one group's sum only, so it costs no more epsilon"));
    CU_ASSERT(means(&d, "2.24 times that of one sum, and a median up to a quarter more"));
    fm_buf_fini(&d.said);
}

static void plan_says_how_units_are_added_and_what_rides_with_them(void)
{
    shell d;

    open_shell(&d);
    offer(&d, true, "record", 0, "training", "distributed", "");
    CU_ASSERT_FALSE(means(&d, "encoding:")); /* of an older version: nothing is made up */
    CU_ASSERT_FALSE(means(&d, "A part of that length"));
    offer(&d, true, "record", 0, "training", "distributed", ", \"encoding\": \"exact\"");
    CU_ASSERT(means(&d, "checked before they are added (encoding: exact)"));
    CU_ASSERT_FALSE(means(&d, "A part of that length"));
    CU_ASSERT_FALSE(means(&d, "no budget of its own"));
    offer(&d, true, "record", 0, "training", "distributed",
          ", \"encoding\": \"fast\", \"load_groups\": 3, \"load_experts\": 8, "
          "\"load_share\": 0.125");
    CU_ASSERT(means(&d, "no unit's own gradient is ever stored"));
    CU_ASSERT(means(&d, "known exactly, and is checked (encoding: fast)"));
    CU_ASSERT(means(&d, "0.125 of it, goes to counts: which of the 8 experts in each of 3 parts"));
    CU_ASSERT(means(&d, "one model of 976 parameters")); /* 1000 words, 24 of them counts */
    CU_ASSERT(means(&d, "no budget of its own"));
    CU_ASSERT(means(&d, "gradient and counts together stay"));
    CU_ASSERT_FALSE(means(&d, "one vote"));
    offer(&d, true, "record", 0, "training", "distributed",
          ", \"load_groups\": 1, \"load_experts\": 8, \"load_share\": 0.125, "
          "\"clip_quantile\": 0.75, \"clip_share\": 0.05");
    CU_ASSERT(means(&d, "which of the 8 experts in 1 part of the model"));
    CU_ASSERT(means(&d, "gradient, counts and vote together stay"));
    offer(&d, true, "record", 0, "training", "distributed",
          ", \"encoding\": \"fast\", \"clip_quantile\": 0.75, \"clip_share\": 0.05");
    CU_ASSERT(means(&d, "0.05 of it, goes to one vote: whether the unit was cut"));
    CU_ASSERT(means(&d, "about 75% of the units are not cut"));
    CU_ASSERT(means(&d, "one model of 999 parameters"));
    CU_ASSERT(means(&d, "no budget of its own"));
    CU_ASSERT_FALSE(means(&d, "In the first round"));
    offer(&d, true, "record", 0, "training", "distributed", ", \"start_scale\": 0.3");
    CU_ASSERT(
        means(&d, "In the first round a unit adds no gradient, but the average of its rows'"));
    CU_ASSERT(means(&d, "one model of 999 parameters"));
    fm_buf_fini(&d.said);
}

#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"

/* Of a language model: what is trained of which base, and whose texts count how much. */
static void plan_says_which_adapters_are_trained(void)
{
    static const char terms[] =
        ", \"model\": \"kind: decoder-adapter\\nbase: " ZEROS "\\ntokenizer: " ZEROS
        "\\nmodules: attention,dense\\nrank: 8\\nalpha: 16\\nseed: 1\\ncontext: 256\\n\", "
        "\"clip_quantile\": 0.5, \"clip_share\": 0.1";
    shell d;

    open_shell(&d);
    offer(&d, true, "person", 0, "training", "distributed", terms);
    CU_ASSERT(means(&d, "the base with hash " ZEROS "."));
    CU_ASSERT(means(&d, "adapters of rank 8 on its modules attention,dense: 999 numbers, in each "
                        "round 2.0 kB out and 4.0 kB in."));
    CU_ASSERT(means(&d, "The privacy unit is person; in a round at most 16 sequences of at most "
                        "256 tokens of one unit count."));
    CU_ASSERT(means(&d, "the whole of all texts with the same person"));
    offer(&d, true, "record", 0, "training", "distributed", terms);
    CU_ASSERT(means(&d, "The protected unit is one record, that is one document;"));
    offer(&d, false, "person", 0, "training", "distributed",
          ", \"model\": \"kind: decoder-adapter\\nmodules: \\u001b[31m\\n\"");
    CU_ASSERT(means(&d, "but what the plan says of them cannot be read."));
    CU_ASSERT_PTR_NULL(strchr((const char *)d.said.data, 0x1b));
    fm_buf_fini(&d.said);
}

/** The usual plan at another delta and number of units, each of as many characters. */
static void offer_at(shell *d, const char *delta, const char *units)
{
    char text[2048];

    (void)snprintf(text, sizeof text, plan_json, "true", "record", 0, "training", "local", "");
    memcpy(strstr(text, "0.0001"), delta, 6);
    memcpy(strstr(text, "25.0"), units, 4);
    write_file(d->desk.dir, "plan.json", text);
    CU_ASSERT_EQUAL(run(d, "plan", "--config", d->desk.config, NULL), 0);
}

static void plan_says_when_delta_is_large(void)
{
    shell d;

    open_shell(&d);
    offer_at(&d, "0.0001", "25.0");
    CU_ASSERT_FALSE(means(&d, "THIS DELTA"));
    offer_at(&d, "0.0500", "10.0");
    CU_ASSERT(means(&d, "THIS DELTA IS LARGE"));
    CU_ASSERT(means(&d, "of 10 expected units that may be 0.5."));
    offer_at(&d, "0.0020", "1000");
    CU_ASSERT(means(&d, "of 1000 expected units that may be 2."));
    fm_buf_fini(&d.said);
}

/* What a unit adds beside its gradient stands on the officer's page, too. */
static void report_says_how_units_are_added_and_what_rides_with_them(void)
{
    char page[PATH_CAP];
    fm_buf html = { 0 };
    shell d;

    open_shell(&d);
    make_path(page, d.desk.dir, "report.html");
    charge(&d.desk, "alpha", "heart", "heart disease risk", 1, 20.0, 1);
    offer(&d, true, "record", 0, "training", "distributed",
          ", \"encoding\": \"fast\", \"load_groups\": 1, \"load_experts\": 8, "
          "\"load_share\": 0.125, \"clip_quantile\": 0.75, \"clip_share\": 0.05");
    CU_ASSERT_EQUAL(run(&d, "report", "--config", d.desk.config, "--output", page, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(fm_file_read(page, 1 << 20, &html), FM_OK);
    CU_ASSERT_PTR_NOT_NULL(strstr((const char *)html.data, "is checked (encoding: fast). A part "));
    CU_ASSERT_PTR_NOT_NULL(strstr((const char *)html.data, "experts in 1 part of the model"));
    CU_ASSERT_PTR_NOT_NULL(strstr((const char *)html.data, "goes to one vote"));
    CU_ASSERT_PTR_NOT_NULL(strstr((const char *)html.data, "in every round. Noise hides what it"));
    /* Never over the books. */
    CU_ASSERT_EQUAL(run(&d, "report", "--config", d.desk.config, "--output", d.desk.ledger, NULL),
                    1);
    CU_ASSERT(said(&d, "same file as the input"));
    CU_ASSERT_EQUAL(
        run(&d, "ledger", "export", "--config", d.desk.config, "--output", d.desk.ledger, NULL), 1);
    CU_ASSERT(said(&d, "same file as the input"));
    CU_ASSERT_EQUAL(run(&d, "ledger", "verify", "--config", d.desk.config, NULL), 0);
    fm_buf_fini(&html);
    fm_buf_fini(&d.said);
}

static void plan_says_what_other_units_tasks_and_noise_mean(void)
{
    shell d;

    open_shell(&d);
    offer(&d, false, "patient_nbr", 900, "evaluation", "local",
          ", \"query\": \"a: 1\\nb: \\u001b2\"");
    CU_ASSERT(said(&d, "\n  a: 1\n  b: ?2\n"));
    CU_ASSERT(means(&d, "the whole of all records with the same patient_nbr"));
    CU_ASSERT(means(&d, "At most 16 records of one unit count in a round"));
    CU_ASSERT(means(&d, "adds all the noise that its guarantee needs"));
    CU_ASSERT(means(&d, "even if all other nodes and the aggregator collude"));
    CU_ASSERT(means(&d, "is n times what it had to be"));
    CU_ASSERT(means(&d, "measured on the records of all institutions"));
    CU_ASSERT(means(&d, "100 summed figures"));
    CU_ASSERT(means(&d, "one masked update of 100 numbers of 16 bits (200 bytes)"));
    CU_ASSERT(means(&d, "In: the model (4.0 kB)"));
    CU_ASSERT(means(&d, "This node REFUSED it: reason too?[2J many"));
    offer(&d, true, "record", 0, "statistics", "distributed", ", \"query\": \"a: 1\"");
    CU_ASSERT(means(&d, "1000 figures are counted or summed, in 10 finished rounds"));
    CU_ASSERT(means(&d, "No model is trained"));
    fm_buf_fini(&d.said);
}

/** What is left after the plan is the accountant's answer for its rounds and the ledger's. */
static void plan_reckons_with_what_is_spent(void)
{
    const fm_dp_mechanism before = { 20.0, 0.25, 3, FM_DP_GAUSSIAN, 0 };
    const fm_dp_mechanism whole = { 20.0, 0.25, 10, FM_DP_GAUSSIAN, 0 };
    double spent = 0.0, after = 0.0, epsilon = 0.0;
    const json_t *derived;
    char line[96];
    json_t *j;
    shell d;

    open_shell(&d);
    charge(&d.desk, "alpha", "heart", "heart disease risk", 0, 20.0,
           3); /* of the plan with the hash zero, as is the one offered */
    offer(&d, true, "record", 0, "training", "distributed", "");
    CU_ASSERT(means(&d, "3 of the plan's 10 rounds are in the ledger already"));
    CU_ASSERT_EQUAL(run(&d, "plan", "--config", d.desk.config, "--json", NULL), 0);
    j = said_json(&d);
    derived = json_object_get(j, "derived");
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(derived, "rounds_charged")), 3);
    CU_ASSERT_EQUAL(json_number_value(json_object_get(j, "rounds")), 10);
    CU_ASSERT_EQUAL(fm_dp_epsilon(&before, 1, 1e-4, &spent), FM_OK);
    CU_ASSERT_EQUAL(fm_dp_epsilon(&whole, 1, 1e-4, &after), FM_OK);
    epsilon = json_number_value(json_object_get(derived, "epsilon_spent"));
    CU_ASSERT_DOUBLE_EQUAL(epsilon, spent, 1e-3 * spent);
    epsilon = json_number_value(json_object_get(derived, "epsilon_after"));
    CU_ASSERT(epsilon > spent);
    CU_ASSERT_DOUBLE_EQUAL(epsilon, after, 1e-3 * after); /* 7 rounds are still to come, not 10 */
    CU_ASSERT_DOUBLE_EQUAL(json_number_value(json_object_get(derived, "epsilon_left_after")),
                           2.0 - epsilon, 1e-12);
    CU_ASSERT_EQUAL(json_number_value(json_object_get(derived, "bytes_up")), 20000.0);
    CU_ASSERT_EQUAL(run(&d, "plan", "--config", d.desk.config, NULL), 0);
    (void)snprintf(line, sizeof line, "it will be %.4f, and %.4f is left", fm_words_up(epsilon),
                   fm_words_down(2.0 - epsilon));
    CU_ASSERT(means(&d, line));
    json_decref(j);
    write_file(d.desk.dir, "node.yaml", "nonsense: 1\n");
    CU_ASSERT_EQUAL(run(&d, "plan", "--config", d.desk.config, NULL), 0);
    CU_ASSERT(means(&d, "has spent is not known: "));
    fm_buf_fini(&d.said);
}

/** Of a sampled plan it takes long: a run's page does without, who asks for the plan waits. */
static void a_run_does_not_wait_for_what_an_attacker_gains(void)
{
    json_t *plan =
        json_pack("{s:i, s:f, s:f}", "rounds", 20, "noise_multiplier", 5.0, "sampling_rate", 0.25);

    CU_ASSERT(fm_plan_means_of(plan, "none.yaml", true).gain_known);
    CU_ASSERT(!fm_plan_means_of(plan, "none.yaml", false).gain_known);
    need(json_object_set_new(plan, "sampling_rate", json_real(1.0)) == 0, "a plan");
    CU_ASSERT(fm_plan_means_of(plan, "none.yaml", false).gain_known);
    json_decref(plan);
}

static void what_is_spent_is_shown_rounded_up_and_what_is_left_down(void)
{
    CU_ASSERT_DOUBLE_EQUAL(fm_words_up(0.12341), 0.1235, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(fm_words_down(0.12349), 0.1234, 1e-12);
    for (int i = 0; i <= 10000; i++) { /* four decimals stay what they are */
        CU_ASSERT_DOUBLE_EQUAL(fm_words_up(i / 1e4), i / 1e4, 1e-12);
        CU_ASSERT_DOUBLE_EQUAL(fm_words_down(i / 1e4), i / 1e4, 1e-12);
    }
    CU_ASSERT(fm_words_up(INFINITY) == INFINITY);
}

static const fm_test tests[] = {
    { "a run does not wait for what an attacker gains",
      a_run_does_not_wait_for_what_an_attacker_gains },
    { "what is spent is shown rounded up, and what is left down",
      what_is_spent_is_shown_rounded_up_and_what_is_left_down },
    { "report writes the ledger's figures into a private page",
      report_writes_the_ledgers_figures_into_a_private_page },
    { "plan says what training with shared noise means",
      plan_says_what_training_with_shared_noise_means },
    { "plan says with how many a node shares masks", plan_says_with_how_many_a_node_shares_masks },
    { "plan says how units are added, and what rides with them",
      plan_says_how_units_are_added_and_what_rides_with_them },
    { "plan says when delta is large", plan_says_when_delta_is_large },
    { "plan says which adapters are trained", plan_says_which_adapters_are_trained },
    { "report says how units are added, and what rides with them",
      report_says_how_units_are_added_and_what_rides_with_them },
    { "plan says what other units, tasks and noise mean",
      plan_says_what_other_units_tasks_and_noise_mean },
    { "plan says who is summed with whom, and what that costs",
      plan_says_who_is_summed_with_whom_and_what_that_costs },
    { "plan reckons with what is spent", plan_reckons_with_what_is_spent },
};

const fm_test_suite suite_words = { "node.words", tests, FM_TEST_COUNT(tests) };
