/* distill: a small language model that learns from a large one. */
#include <stdio.h>
#include <string.h>

#include "cmd_distill.h"
#include "fedmoe/base/threads.h"

static const char program[] = "fedmoe-model distill";

#define OPTIONS_MAX 24

static fm_status check_words(const fm_cmd_distilling *d)
{
    const fm_cmd_promise *p = &d->promise;

    if (!(p->epsilon > 0.0) && (p->delta > 0.0 || p->units > 0.0))
        return fm_fail(FM_EINVAL, "--delta and --expected-units belong to --epsilon");
    if (!d->written && d->begin)
        return fm_fail(FM_EINVAL, "--begin belongs to --generate");
    return p->epsilon > 0.0 ? fm_cmd_promise_check(p) : FM_OK;
}

static void print_text(const fm_cmd_distilling *d, const fm_cmd_distill_about *a)
{
    if (!d->promise.no_privacy)
        fm_cmd_promise_print(&d->promise, &d->training);
    printf("teacher           %zu parameters, epsilon %s, delta %s\n", d->teacher_parameters,
           a->epsilon, a->delta);
    printf("learned from      %s\n", a->source);
    printf("texts             %zu sequences, %llu tokens\n", d->corpus->sequences,
           (unsigned long long)d->corpus->starts[d->corpus->sequences]);
    printf("%s: %zu parameters, %.1f %% of the teacher's\n", d->output, d->parameters,
           100.0 * (double)d->parameters / (double)d->teacher_parameters);
    if (d->test) {
        fm_cmd_loss_print("teacher", &d->taught);
        fm_cmd_loss_print("student", &d->after);
    }
}

static fm_status print_json(const fm_cmd_distilling *d, const fm_cmd_distill_about *a)
{
    json_t *meta = json_object();
    json_t *j = json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:f, s:f, s:I, s:I, s:f, s:f, s:b, s:o, s:o}", "output",
        d->output, "parameters", (json_int_t)d->parameters, "teacher_parameters",
        (json_int_t)d->teacher_parameters, "sequences", (json_int_t)d->corpus->sequences, "tokens",
        (json_int_t)d->corpus->starts[d->corpus->sequences], "share", d->share, "temperature",
        d->temperature, "top", (json_int_t)d->most, "rounds", (json_int_t)d->training.rounds,
        "sampling_rate", d->training.sampling_rate, "learning_rate", d->training.learning_rate,
        "owner_only", a->about.owner_only, "metadata", meta, "test",
        d->test ? fm_cmd_loss_json_beside(&d->after, "teacher", &d->taught) : json_null());
    fm_status st = j ? FM_OK : fm_fail(FM_ENOMEM, "no memory for the report");

    for (size_t i = 0; st == FM_OK && i < a->about.meta_count; i++)
        if (json_object_set_new(meta, a->meta[i].key, json_string(a->meta[i].value)) != 0)
            st = fm_fail(FM_ENOMEM, "no memory for the report");
    if (st == FM_OK)
        st = fm_json_print(j);
    json_decref(j);
    return st;
}

/* ---- the command line ---- */

static size_t add_models(fm_cmd_distilling *d, fm_cli_option *to)
{
    const fm_cli_option options[] = {
        { "teacher", FM_CLI_STRING, &d->texts.model, "FOLDER", "the language model to learn from",
          true, 0, 0 },
        { "student", FM_CLI_STRING, &d->student, "NAME|FOLDER",
          "lite-nano, lite-tiny, lite-small or lite, or a model to begin with, of the same "
          "tokenizer",
          true, 0, 0 },
        { "schema", FM_CLI_STRING, &d->texts.schema, "FILE",
          "what a record's text is: docs/text.md. With public: true nothing is charged", true, 0,
          0 },
        { "output", FM_CLI_STRING, &d->output, "FOLDER", "a new folder: the student", true, 0, 0 },
        { "generate", FM_CLI_U64, &d->written, "N",
          "learn from N texts that the teacher writes, each begun with words of FILE", false, 1,
          10000000 },
        { "begin", FM_CLI_U64, &d->begin, "N", "how many tokens those words are (default 8)", false,
          1, 65536 },
        { "epsilon", FM_CLI_DOUBLE, &d->promise.epsilon, "E",
          "the texts are private: what each unit is promised for the whole training", false, 1e-3,
          100 },
        { "delta", FM_CLI_DOUBLE, &d->promise.delta, "D",
          "default n^-1.1, n the number of units, at most 0.01", false, 1e-12, 1 },
        { "expected-units", FM_CLI_DOUBLE, &d->promise.units, "N",
          "a public round figure of how many units there are (default: their number)", false, 1,
          FM_CMD_MAX_UNITS },
    };

    memcpy(to, options, sizeof options);
    return FM_CMD_COUNT(options);
}

static size_t add_training(fm_cmd_distilling *d, fm_cli_option *to)
{
    const fm_cli_option options[] = {
        { "share", FM_CLI_DOUBLE, &d->share, "A",
          "of the teacher in the loss; the rest is the texts' own (default 0.7)", false, 0, 1 },
        { "temperature", FM_CLI_DOUBLE, &d->temperature, "T",
          "of both models' probabilities in the loss (default 1)", false, 0.1, 100 },
        { "top", FM_CLI_U64, &d->most, "K",
          "tokens that the teacher tells apart after each; the rest is one (default 64)", false, 1,
          FM_SOFT_MOST },
        { "rounds", FM_CLI_U64, &d->rounds, "N", "instead of the default for the case", false, 1,
          1000000 },
        { "sampling-rate", FM_CLI_DOUBLE, &d->rate, "Q", "likewise", false, 1e-6, 1 },
        { "learning-rate", FM_CLI_DOUBLE, &d->learning_rate, "R", "likewise", false, 1e-9, 1e6 },
        { "seed", FM_CLI_U64, &d->seed, "N",
          "of first weights, and on public texts of all that is drawn (default 0)", false, 0, 0 },
        { "threads", FM_CLI_U64, &d->threads, "N",
          "default all processors, at most 16; the result does not depend on it", false, 1,
          FM_THREADS_MAX },
        { "test", FM_CLI_STRING, &d->test, "FILE", "measure teacher and student on these texts",
          false, 0, 0 },
        { "json", FM_CLI_FLAG, &d->json, NULL, "as JSON", false, 0, 0 },
    };

    memcpy(to, options, sizeof options);
    return FM_CMD_COUNT(options);
}

int fm_cmd_distill(int argc, char **argv)
{
    fm_cmd_distilling d = { .promise = { .program = program, .unit = FM_CMD_RECORD },
                            .share = 0.7,
                            .temperature = 1.0,
                            .most = 64 };
    fm_cmd_distill_about about = { 0 };
    fm_cli_option options[OPTIONS_MAX];
    fm_cli_spec spec = {
        .program = program,
        .summary = "Make a small language model that learns from a large one, on public texts or "
                   "on texts that the teacher writes: what the teacher promises its records the "
                   "student promises too, and nothing is added. Private texts are charged.",
        .examples =
            "fedmoe-model distill --teacher clinical --student lite-tiny --schema public.yaml "
            "--output ward abstracts.csv\n"
            "fedmoe-model distill --teacher base --adapter adapter --student lite-tiny --schema "
            "public.yaml --generate 2000 --context 128 --output ward abstracts.csv\n"
            "fedmoe-model distill --teacher clinical --student ward --schema notes.yaml --epsilon "
            "3 --output ward-2 notes.csv",
        .options = options,
        .operands = "FILE...",
        .operands_min = 1,
        .operands_max = SIZE_MAX,
    };
    int first, code;
    fm_status st;

    spec.option_count = add_models(&d, options);
    spec.option_count += fm_cmd_texts_options(&d.texts, options + spec.option_count);
    spec.option_count += add_training(&d, options + spec.option_count);
    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    if (check_words(&d)) {
        (void)fm_cli_failed(program);
        return FM_EXIT_USAGE;
    }
    d.begin = d.begin ? d.begin : 8;
    d.files = (const char *const *)argv + first;
    d.file_count = (size_t)(argc - first);
    if (!(st = fm_cmd_distill_run(&d, &about))) {
        if (d.json)
            st = print_json(&d, &about);
        else
            print_text(&d, &about);
    }
    fm_cmd_distill_close(&d);
    return st ? fm_cli_failed(program) : 0;
}
