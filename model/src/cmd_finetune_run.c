/* finetune: what it does. */
#include <stdlib.h>
#include <string.h>

#include "cmd_carry.h"
#include "cmd_finetune.h"
#include "decoder_folder_internal.h"
#include "fedmoe/base/log.h"
#include "fedmoe/base/text.h"
#include "fedmoe/base/threads.h"
#include "fedmoe/model/adapter_terms.h"

#define RANK 8u
#define UNIT_SEQUENCES 16u

fm_status fm_cmd_finetune_modules(const char *text, unsigned *maps)
{
    fm_status st = fm_adapter_modules(text, maps);

    return st ? fm_fail_context(st, "--") : FM_OK;
}

/* ---- files ---- */

/* Not after hours of training. */
static fm_status check_output(const char *output)
{
    fm_new_folder n = { 0 };
    fm_status st = fm_new_folder_begin(output, &n);

    fm_new_folder_abort(&n);
    return st;
}

static fm_status read_texts(fm_cmd_finetuning *f)
{
    const char *unit;
    fm_status st;

    if ((st = fm_cmd_texts_open(&f->texts)) ||
        (st = fm_cmd_texts_load(&f->texts, f->files, f->file_count, &f->corpus)) ||
        (f->test && (st = fm_cmd_texts_load(&f->texts, &f->test, 1, &f->tested))))
        return st;
    unit = fm_text_schema_unit(f->texts.texts);
    f->promise.unit = unit ? unit : FM_CMD_RECORD;
    f->promise.count = fm_train_units_of_corpus(f->corpus).units;
    return fm_cmd_promise_settle(&f->promise, f->files[0]);
}

/* ---- the decoder ---- */

/* Noise is on every coordinate: with privacy few of them. PEFT has no names for the adapters of
 * GraniteMoE's experts (fm_adapter_write). */
static const char *default_modules(const fm_cmd_finetuning *f, bool unnamed_experts)
{
    if (!f->promise.no_privacy)
        return "attention,shared";
    return unnamed_experts ? "attention,shared,dense" : "attention,shared,dense,experts";
}

static fm_status choose_adapters(fm_cmd_finetuning *f)
{
    const bool unnamed_experts =
        !f->merge && fm_decoder_folder_config(f->texts.folder)->family == FM_DECODER_GRANITEMOE;
    fm_decoder_adapters *a = &f->options.adapters;
    fm_status st;

    f->modules = f->modules ? f->modules : default_modules(f, unnamed_experts);
    if (f->texts.adapters) {
        *a = fm_adapter_file_adapters(f->texts.adapters);
    } else {
        a->rank = f->rank ? (size_t)f->rank : RANK;
        a->alpha = f->alpha > 0.0 ? f->alpha : 2.0 * (double)a->rank;
        if ((st = fm_cmd_finetune_modules(f->modules, &a->maps)))
            return st;
    }
    a->train_a = f->train_a;
    a->square = f->square;
    /* Not after hours of training. */
    if ((a->maps & FM_ADAPT_EXPERTS) && unnamed_experts)
        return fm_fail(FM_EINVAL, "adapters of GraniteMoE's experts have no names in PEFT; leave "
                                  "experts out of --modules, or give --merge");
    return FM_OK;
}

static fm_status load_decoder(fm_cmd_finetuning *f)
{
    fm_rng_seed state;
    fm_rng rng;
    fm_status st;

    f->options.max_tokens = 1; /* each thread has buffers of its own */
    if (f->full)
        f->options.train = FM_TRAIN_ALL;
    else if ((st = choose_adapters(f)))
        return st;
    if ((st = fm_decoder_folder_load(f->texts.folder, &f->options, &f->decoder)) || f->full)
        return st;
    if (fm_decoder_adapter_parameters(f->decoder) == 0)
        return fm_fail(FM_EINVAL, "--modules: the model has none of them");
    if (f->texts.adapters)
        return fm_adapter_file_read(f->texts.adapters, f->decoder);
    /* The first weights are public and protect nothing: no warning about seeds. */
    fm_log_set_level(FM_LOG_ERROR);
    rng = fm_rng_seeded(&state, f->seed);
    return fm_decoder_adapters_init(f->decoder, &rng);
}

/* ---- the training ---- */

static fm_status choose(fm_cmd_finetuning *f)
{
    const fm_training_case given = { .units = f->promise.units,
                                     .delta = f->promise.delta,
                                     .no_privacy = f->promise.no_privacy };
    fm_training *t = &f->training;

    fm_training_text_defaults(&given, t);
    t->rounds = f->rounds > 0 ? f->rounds : t->rounds;
    t->sampling_rate = f->rate > 0.0 ? f->rate : t->sampling_rate;
    t->learning_rate = f->learning_rate > 0.0 ? f->learning_rate : t->learning_rate;
    t->clip_norm = f->clip > 0.0 ? f->clip : t->clip_norm;
    return fm_train_calibrate(t, f->promise.epsilon, f->promise.delta, &f->promise.noise,
                              &f->promise.spent);
}

static void show_progress(void *ctx, uint64_t done)
{
    fm_progress_set(ctx, done);
}

static fm_status train(fm_cmd_finetuning *f)
{
    fm_rng_seed public_state;
    fm_rng rng = fm_rng_system();
    fm_progress bar;
    fm_train_run_spec spec = { .learner = fm_learner_decoder(f->decoder, f->corpus),
                               .training = &f->training,
                               .noise_multiplier = f->promise.noise,
                               .units = f->promise.units,
                               .max_units = f->promise.max_units,
                               .unit_rows =
                                   f->unit_sequences ? (size_t)f->unit_sequences : UNIT_SEQUENCES,
                               .encoding = f->exact || f->full ? FM_DP_EXACT : FM_DP_FAST,
                               .threads = (unsigned)f->threads,
                               .rng = &rng,
                               .progress = show_progress,
                               .progress_ctx = &bar };
    float *weights = NULL;
    fm_status st;

    if ((st = fm_train_run_length(&spec, &f->trained)) ||
        (st = fm_alloc(f->trained, sizeof *weights, (void **)&weights)))
        return st;
    if (f->promise.no_privacy) {
        fm_log_set_level(FM_LOG_ERROR);
        rng = fm_rng_seeded(&public_state, f->seed);
    }
    if (!(st = fm_learner_decoder_get(&spec.learner, weights, f->trained))) {
        spec.weights = weights;
        fm_progress_start(&bar, "training", f->training.rounds);
        st = fm_train_run(&spec, weights, f->trained, NULL);
        fm_progress_end(&bar);
    }
    if (!st)
        st = fm_learner_decoder_set(&spec.learner, weights, f->trained);
    free(weights);
    return st;
}

static fm_status measure(const fm_cmd_finetuning *f, fm_text_loss *out)
{
    return f->test ? fm_train_measure(f->decoder, f->tested, (unsigned)f->threads, out) : FM_OK;
}

/* ---- the result ---- */

static fm_status write_folder(fm_cmd_finetuning *f)
{
    float *flat = fm_decoder_weights(f->decoder);
    fm_cmd_promise_meta m;
    fm_decoder_about about = { .meta_count = FM_CMD_PROMISE_META,
                               .owner_only = f->promise.no_privacy };

    if (f->merge)
        fm_decoder_adapters_merge(f->decoder, flat);
    fm_cmd_promise_write(&f->promise, &f->training, &m);
    about.meta = m.meta;
    return fm_decoder_folder_write_about(f->texts.folder, flat, &about, f->output);
}

static fm_status write_adapters(fm_cmd_finetuning *f)
{
    fm_adapter_about about = { .base = f->texts.model,
                               .meta_count = FM_CMD_PROMISE_META,
                               .owner_only = f->promise.no_privacy };
    fm_cmd_promise_meta m;

    fm_cmd_promise_write(&f->promise, &f->training, &m);
    about.meta = m.meta;
    return fm_adapter_write(f->decoder, &f->options.adapters, &about, f->output);
}

static fm_status write_result(fm_cmd_finetuning *f)
{
    const fm_status st = f->full || f->merge ? write_folder(f) : write_adapters(f);

    return st ? st : fm_cmd_carry_card(f->texts.model, f->texts.adapter, "finetune", f->output);
}

fm_status fm_cmd_finetune_run(fm_cmd_finetuning *f)
{
    fm_status st;

    if ((st = check_output(f->output)) || (st = read_texts(f)) || (st = load_decoder(f)) ||
        (st = choose(f)))
        return st;
    fm_cmd_promise_warn(&f->promise);
    if ((st = measure(f, &f->before)) || (st = train(f)) || (st = measure(f, &f->after)))
        return st;
    return write_result(f);
}

void fm_cmd_finetune_close(fm_cmd_finetuning *f)
{
    fm_corpus_free(&f->corpus);
    fm_corpus_free(&f->tested);
    fm_decoder_free(&f->decoder);
    fm_cmd_texts_close(&f->texts);
}
