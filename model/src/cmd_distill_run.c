/* distill: what it does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_carry.h"
#include "cmd_distill.h"
#include "decoder_folder_internal.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/log.h"
#include "fedmoe/model/adapter_terms.h"
#include "fedmoe/train/teacher.h"

#define UNIT_SEQUENCES 16u
#define KEPT_BYTES ((size_t)1 << 30) /* of soft targets in memory */

/* Not after hours of training. */
static fm_status check_output(const char *output)
{
    fm_new_folder n = { 0 };
    fm_status st = fm_new_folder_begin(output, &n);

    fm_new_folder_abort(&n);
    return st;
}

/* ---- texts ---- */

/* Nobody's: each sequence stands for itself. */
static void ungroup(fm_corpus *c)
{
    free(c->unit_start);
    c->unit_start = NULL;
    c->units = c->sequences;
}

static fm_status write_texts(fm_cmd_distilling *d)
{
    fm_authoring a = { .texts = (size_t)d->written,
                       .begin = (size_t)d->begin,
                       .longest = (size_t)d->texts.context,
                       .temperature = 1.0,
                       .seed = d->seed,
                       .threads = (unsigned)d->threads };
    fm_corpus *written = NULL;
    fm_status st;

    if ((st = fm_corpus_end_token(d->texts.tokenizer, d->texts.end_token, &a.end_token)) ||
        (st = fm_train_compose(d->teacher, d->corpus, &a, &written)))
        return st;
    fm_corpus_free(&d->corpus);
    d->corpus = written;
    return FM_OK;
}

static fm_status read_texts(fm_cmd_distilling *d)
{
    const char *unit = fm_text_schema_unit(d->texts.texts);
    fm_status st;

    if ((st = fm_cmd_texts_load(&d->texts, d->files, d->file_count, &d->corpus)) ||
        (d->test && (st = fm_cmd_texts_load(&d->texts, &d->test, 1, &d->tested))))
        return st;
    d->promise.unit = unit ? unit : FM_CMD_RECORD;
    d->promise.no_privacy = fm_text_schema_public(d->texts.texts);
    if (d->promise.no_privacy)
        ungroup(d->corpus);
    if (d->written && (st = write_texts(d)))
        return st;
    d->promise.count = fm_train_units_of_corpus(d->corpus).units;
    return fm_cmd_promise_settle(&d->promise, d->files[0]);
}

/* ---- models ---- */

static fm_status load_teacher(fm_cmd_distilling *d)
{
    fm_decoder_options o = { .max_tokens = 1 }; /* each thread has buffers of its own */
    fm_status st;

    if (d->texts.adapters)
        o.adapters = fm_adapter_file_adapters(d->texts.adapters);
    if ((st = fm_decoder_folder_load(d->texts.folder, &o, &d->teacher)) == FM_OK &&
        d->texts.adapters)
        st = fm_adapter_file_read(d->texts.adapters, d->teacher);
    d->teacher_parameters = fm_decoder_folder_layout(d->texts.folder)->parameters;
    return st;
}

static bool is_preset(const char *name)
{
    for (size_t i = 0; i < fm_decoder_presets(); i++)
        if (strcmp(fm_decoder_preset_at(i).name, name) == 0)
            return true;
    return false;
}

/* What a token means is what both must agree on. */
static fm_status check_student(const fm_cmd_distilling *d)
{
    const size_t mine = fm_decoder_folder_config(d->from)->vocabulary;
    const size_t others = fm_decoder_folder_config(d->texts.folder)->vocabulary;
    fm_adapter_terms teacher, student;
    fm_status st;

    if (mine != others)
        return fm_fail(FM_EINVAL,
                       "%s has a vocabulary of %zu, its teacher %s one of %zu; they must be the "
                       "same",
                       d->student, mine, d->texts.model, others);
    if ((st = fm_adapter_terms_of(d->texts.folder, &teacher)) ||
        (st = fm_adapter_terms_of(d->from, &student)))
        return st;
    if (strcmp(teacher.tokenizer, student.tokenizer) != 0)
        return fm_fail(FM_EINVAL,
                       "%s has another tokenizer.json than its teacher %s; their tokens must mean "
                       "the same",
                       d->student, d->texts.model);
    return FM_OK;
}

static fm_status make_student(fm_cmd_distilling *d, const fm_decoder_options *o)
{
    fm_decoder_config config;
    fm_buf text;
    fm_status st;

    fm_buf_init(&text, 0);
    d->plan =
        (fm_decoder_plan){ .preset = d->student,
                           .vocabulary = fm_decoder_folder_config(d->texts.folder)->vocabulary,
                           .tokenizer = d->tokenizer,
                           .seed = d->seed };
    if ((st = fm_decoder_plan_config(&d->plan, &text, &config)) == FM_OK &&
        (st = fm_decoder_new(&config, o, &d->pupil)) == FM_OK &&
        (st = fm_decoder_plan_draw(&d->plan, fm_decoder_weights(d->pupil))) == FM_OK)
        st = fm_decoder_refresh(d->pupil);
    fm_buf_fini(&text);
    return st;
}

static fm_status load_student(fm_cmd_distilling *d)
{
    const fm_decoder_options o = { .max_tokens = 1, .train = FM_TRAIN_ALL };
    fm_status st;

    if (is_preset(d->student))
        st = make_student(d, &o);
    else if ((st = fm_decoder_folder_open(d->student, &d->from)) == FM_OK &&
             (st = check_student(d)) == FM_OK)
        st = fm_decoder_folder_load(d->from, &o, &d->pupil);
    if (st == FM_OK)
        d->parameters = fm_decoder_get_layout(d->pupil)->parameters;
    return st;
}

/* ---- the training ---- */

static fm_status choose(fm_cmd_distilling *d)
{
    const fm_training_case given = { .units = d->promise.units, .delta = d->promise.delta };
    fm_training *t = &d->training;

    if (d->promise.no_privacy)
        fm_training_student_defaults(&given, t);
    else
        fm_training_text_defaults(&given, t);
    t->rounds = d->rounds > 0 ? d->rounds : t->rounds;
    t->sampling_rate = d->rate > 0.0 ? d->rate : t->sampling_rate;
    t->learning_rate = d->learning_rate > 0.0 ? d->learning_rate : t->learning_rate;
    return fm_train_calibrate(t, d->promise.epsilon, d->promise.delta, &d->promise.noise,
                              &d->promise.spent);
}

static void show_progress(void *ctx, uint64_t done)
{
    fm_progress_set(ctx, done);
}

static fm_status train(fm_cmd_distilling *d, fm_teacher *teacher)
{
    fm_rng_seed public_state;
    fm_rng rng = d->promise.no_privacy ? fm_rng_public(&public_state, d->seed) : fm_rng_system();
    fm_progress bar;
    fm_train_run_spec spec = { .learner = fm_learner_taught(d->pupil, d->corpus, teacher),
                               .training = &d->training,
                               .noise_multiplier = d->promise.noise,
                               .units = d->promise.units,
                               .max_units = d->promise.max_units,
                               .unit_rows = d->promise.no_privacy ? 1 : UNIT_SEQUENCES,
                               .encoding = FM_DP_EXACT,
                               .threads = (unsigned)d->threads,
                               .rng = &rng,
                               .progress = show_progress,
                               .progress_ctx = &bar };
    float *weights = NULL;
    size_t n = 0;
    fm_status st;

    if ((st = fm_train_run_length(&spec, &n)) ||
        (st = fm_alloc(n, sizeof *weights, (void **)&weights)))
        return st;
    if (!(st = fm_learner_decoder_get(&spec.learner, weights, n))) {
        spec.weights = weights;
        fm_progress_start(&bar, "distilling", d->training.rounds);
        st = fm_train_run(&spec, weights, n, NULL);
        fm_progress_end(&bar);
    }
    if (!st)
        st = fm_learner_decoder_set(&spec.learner, weights, n);
    free(weights);
    return st;
}

static fm_status learn(fm_cmd_distilling *d)
{
    const fm_teaching teaching = { .share = d->share,
                                   .temperature = d->temperature,
                                   .most = (size_t)d->most,
                                   .kept_bytes = KEPT_BYTES };
    fm_teacher *teacher = NULL;
    fm_status st = fm_teacher_new(d->teacher, d->corpus, &teaching, &teacher);

    if (st == FM_OK)
        st = train(d, teacher);
    fm_teacher_free(&teacher);
    return st;
}

static fm_status measure(fm_cmd_distilling *d)
{
    fm_status st;

    if (!d->test)
        return FM_OK;
    st = fm_train_measure(d->teacher, d->tested, (unsigned)d->threads, &d->taught);
    return st ? st : fm_train_measure(d->pupil, d->tested, (unsigned)d->threads, &d->after);
}

static fm_status write_result(fm_cmd_distilling *d, const fm_decoder_about *about)
{
    const float *flat = fm_decoder_weights(d->pupil);
    const fm_status st = d->from ? fm_decoder_folder_write_about(d->from, flat, about, d->output)
                                 : fm_decoder_plan_write_about(&d->plan, flat, about, d->output);

    return st ? st : fm_cmd_carry_card(d->texts.model, d->texts.adapter, "distil", d->output);
}

fm_status fm_cmd_distill_run(fm_cmd_distilling *d, fm_cmd_distill_about *about)
{
    fm_status st;

    if ((st = check_output(d->output)) || (st = fm_cmd_texts_open(&d->texts)) ||
        (st = fm_cmd_distill_check_source(d)) ||
        (st = fm_path_join(d->texts.model, FM_FOLDER_TOKENIZER, &d->tokenizer)) ||
        (st = load_student(d)) || (st = load_teacher(d)) || (st = read_texts(d)) ||
        (st = choose(d)) || (st = fm_cmd_distill_describe(d, about)))
        return st;
    if (about->about.owner_only)
        fprintf(stderr,
                "%s: the teacher may tell its records, and its student may, too: the folder is "
                "for its owner alone\n",
                d->promise.program);
    if ((st = learn(d)) || (st = measure(d)))
        return st;
    return write_result(d, &about->about);
}

void fm_cmd_distill_close(fm_cmd_distilling *d)
{
    fm_corpus_free(&d->corpus);
    fm_corpus_free(&d->tested);
    fm_decoder_free(&d->teacher);
    fm_decoder_free(&d->pupil);
    fm_decoder_folder_free(&d->from);
    free(d->tokenizer);
    fm_cmd_texts_close(&d->texts);
}
