/* finetune: adapters of a language model from texts, with central differential privacy. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_finetune.h"
#include "fedmoe/base/threads.h"

static const char program[] = "fedmoe-model finetune";

#define OPTIONS_MAX 29

/* ---- before anything is read ---- */

static fm_status check_words(const fm_cmd_finetuning *f)
{
    const bool shaped = f->rank || f->alpha > 0.0 || f->modules || f->square;
    unsigned maps;
    fm_status st = fm_cmd_promise_check(&f->promise);

    if (st)
        return st;
    if (f->full && (shaped || f->train_a || f->texts.adapter || f->merge))
        return fm_fail(FM_EINVAL, "--full trains all weights: --rank, --alpha, --modules, "
                                  "--square, --train-a, --adapter and --merge are of adapters");
    if (f->texts.adapter && shaped)
        return fm_fail(FM_EINVAL, "--rank, --alpha and --modules are those of --adapter, and B is "
                                  "trained of it: no --square");
    if (f->square && f->train_a)
        return fm_fail(FM_EINVAL, "--square keeps A and B as they are: no --train-a");
    return f->modules ? fm_cmd_finetune_modules(f->modules, &maps) : FM_OK;
}

/* ---- what is said of it ---- */

static void print_text(const fm_cmd_finetuning *f)
{
    const fm_decoder_adapters *a = &f->options.adapters;

    fm_cmd_promise_print(&f->promise, &f->training);
    printf("texts             %zu sequences, %llu tokens\n", f->corpus->sequences,
           (unsigned long long)f->corpus->starts[f->corpus->sequences]);
    if (f->full)
        printf("%s: all weights trained, %zu\n", f->output, f->trained);
    else
        printf("%s: rank %zu, alpha %g, %s trained, %zu values%s\n", f->output, a->rank, a->alpha,
               a->square    ? "R"
               : a->train_a ? "A and B"
                            : "B",
               f->trained, f->merge ? ", merged" : "");
    if (f->test) {
        fm_cmd_loss_print("before", &f->before);
        fm_cmd_loss_print("after ", &f->after);
    }
}

static fm_status print_json(const fm_cmd_finetuning *f)
{
    const fm_decoder_adapters *a = &f->options.adapters;
    json_t *j = fm_cmd_promise_json(&f->promise, &f->training);
    fm_status st = FM_OK;

    if (json_object_set_new(j, "output", json_string(f->output)) != 0 ||
        json_object_set_new(j, "sequences", json_integer((json_int_t)f->corpus->sequences)) != 0 ||
        json_object_set_new(
            j, "tokens", json_integer((json_int_t)f->corpus->starts[f->corpus->sequences])) != 0 ||
        json_object_set_new(j, "trained", json_integer((json_int_t)f->trained)) != 0 ||
        json_object_set_new(j, "rank", json_integer((json_int_t)a->rank)) != 0 ||
        json_object_set_new(j, "alpha", json_real(a->alpha)) != 0 ||
        json_object_set_new(j, "test",
                            f->test ? fm_cmd_loss_json_beside(&f->after, "before", &f->before)
                                    : json_null()) != 0)
        st = fm_fail(FM_ENOMEM, "no memory for the report");
    else
        st = fm_json_print(j);
    json_decref(j);
    return st;
}

/* ---- the command line ---- */

/* What is trained. */
static size_t add_model(fm_cmd_finetuning *f, fm_cli_option *to)
{
    const fm_cli_option options[] = {
        { "model", FM_CLI_STRING, &f->texts.model, "FOLDER", "the language model to begin with",
          true, 0, 0 },
        { "schema", FM_CLI_STRING, &f->texts.schema, "FILE",
          "what a record's text is, and whose: docs/text.md", true, 0, 0 },
        { "output", FM_CLI_STRING, &f->output, "FOLDER",
          "a new folder: the adapters with PEFT's names, or a whole model", true, 0, 0 },
        { "modules", FM_CLI_STRING, &f->modules, "NAMES",
          "which linear maps have adapters: some of attention, shared, dense, experts (default "
          "attention,shared; without privacy all)",
          false, 0, 0 },
        { "rank", FM_CLI_U64, &f->rank, "R", "of the adapters (default 8)", false, 1, 1024 },
        { "alpha", FM_CLI_DOUBLE, &f->alpha, "A", "their scale (default twice the rank)", false,
          1e-6, 1e6 },
        { "train-a", FM_CLI_FLAG, &f->train_a, NULL,
          "train A as well as B; A is a constant from the seed otherwise", false, 0, 0 },
        { "square", FM_CLI_FLAG, &f->square, NULL,
          "train a matrix of R x R between constant A and B: few numbers, so little noise", false,
          0, 0 },
        { "full", FM_CLI_FLAG, &f->full, NULL, "train all weights; the output is a whole model",
          false, 0, 0 },
        { "merge", FM_CLI_FLAG, &f->merge, NULL,
          "the output is a whole model with the adapters in its weights", false, 0, 0 },
    };

    memcpy(to, options, sizeof options);
    return FM_CMD_COUNT(options);
}

/* How, and what becomes of it. */
static size_t add_training(fm_cmd_finetuning *f, fm_cli_option *to)
{
    const fm_cli_option options[] = {
        { "max-unit-sequences", FM_CLI_U64, &f->unit_sequences, "N",
          "most sequences of one unit that count in a round (default 16)", false, 1, 4096 },
        { "seed", FM_CLI_U64, &f->seed, "N", "of A; public (default 0)", false, 0, 0 },
        { "rounds", FM_CLI_U64, &f->rounds, "N", "instead of the default for the case", false, 1,
          1000000 },
        { "sampling-rate", FM_CLI_DOUBLE, &f->rate, "Q", "likewise", false, 1e-6, 1 },
        { "learning-rate", FM_CLI_DOUBLE, &f->learning_rate, "R", "likewise", false, 1e-9, 1e6 },
        { "clip-norm", FM_CLI_DOUBLE, &f->clip, "C", "likewise: to begin with", false, 1e-6, 1e6 },
        { "exact", FM_CLI_FLAG, &f->exact, NULL,
          "round each unit's whole gradient by itself: slower, no more private", false, 0, 0 },
        { "threads", FM_CLI_U64, &f->threads, "N",
          "default all processors, at most 16; the result does not depend on it", false, 1,
          FM_THREADS_MAX },
        { "test", FM_CLI_STRING, &f->test, "FILE", "measure on these texts, before and after",
          false, 0, 0 },
        { "json", FM_CLI_FLAG, &f->json, NULL, "as JSON", false, 0, 0 },
    };

    memcpy(to, options, sizeof options);
    return FM_CMD_COUNT(options);
}

int fm_cmd_finetune(int argc, char **argv)
{
    fm_cmd_finetuning f = { .promise = { .program = program, .unit = FM_CMD_RECORD } };
    fm_cli_option options[OPTIONS_MAX];
    fm_cli_spec spec = {
        .program = program,
        .rare = "modules, alpha, train-a, square, full, expected-units, no-privacy, adapter, "
                "context, end-token, max-unit-sequences, seed, rounds, sampling-rate, "
                "learning-rate, clip-norm, exact, threads, json",
        .summary = "Adapt a language model to texts with differential privacy: the training of a "
                   "federation, on one machine. Nothing needs tuning; what was chosen is printed. "
                   "No ledger is kept: epsilons of several trainings add up.",
        .examples =
            "fedmoe-model finetune --model base --schema notes.yaml --epsilon 8 --output adapter "
            "notes.csv\n"
            "fedmoe-model finetune --model base --schema fhir.yaml --epsilon 3 --modules attention "
            "--rank 4 --merge --output clinical DocumentReference.*.ndjson",
        .options = options,
        .operands = "FILE...",
        .operands_min = 1,
        .operands_max = SIZE_MAX,
    };
    int first, code;
    fm_status st;

    spec.option_count = add_model(&f, options);
    spec.option_count += fm_cmd_promise_options(&f.promise, options + spec.option_count);
    spec.option_count += fm_cmd_texts_options(&f.texts, options + spec.option_count);
    spec.option_count += add_training(&f, options + spec.option_count);
    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    if (check_words(&f)) {
        (void)fm_cli_failed(program);
        return FM_EXIT_USAGE;
    }
    f.files = (const char *const *)argv + first;
    f.file_count = (size_t)(argc - first);
    if (!(st = fm_cmd_finetune_run(&f))) {
        if (f.json)
            st = print_json(&f);
        else
            print_text(&f);
    }
    fm_cmd_finetune_close(&f);
    return st ? fm_cli_failed(program) : 0;
}
