#include "teacher.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

/* Soft targets of some rows. */
typedef struct {
    uint32_t *tokens; /* [rows, most] */
    float *chances;   /* [rows, most] */
    float *rest;      /* [rows] */
} targets;

struct fm_teacher {
    const fm_decoder *model;
    const fm_corpus *corpus;
    fm_teaching settings;
    targets kept; /* of all tokens of the corpus, or nothing */
    bool *known;  /* [sequences] of which of them; NULL: nothing is kept */
};

struct fm_lesson {
    fm_teacher *teacher;
    fm_decoder *worker;
    size_t batch;
    bool used;          /* the worker and fresh, since they were wiped */
    targets now, fresh; /* [batch]; fresh where something is kept */
    uint32_t *tokens;   /* [batch] of sequences that are not known yet */
    uint32_t *ends;     /* [batch] */
};

/* ---- targets ---- */

static fm_status make_targets(size_t rows, size_t most, targets *out)
{
    size_t n;
    fm_status st;

    if ((st = fm_mul_size(rows, most, &n)) != FM_OK ||
        (st = fm_alloc(n, sizeof *out->tokens, (void **)&out->tokens)) != FM_OK ||
        (st = fm_alloc(n, sizeof *out->chances, (void **)&out->chances)) != FM_OK)
        return st;
    return fm_alloc(rows, sizeof *out->rest, (void **)&out->rest);
}

static void wipe_targets(targets *t, size_t rows, size_t most)
{
    if (t->tokens)
        sodium_memzero(t->tokens, rows * most * sizeof *t->tokens);
    if (t->chances)
        sodium_memzero(t->chances, rows * most * sizeof *t->chances);
    if (t->rest)
        sodium_memzero(t->rest, rows * sizeof *t->rest);
}

static void free_targets(targets *t, size_t rows, size_t most)
{
    wipe_targets(t, rows, most);
    free(t->tokens);
    free(t->chances);
    free(t->rest);
    *t = (targets){ 0 };
}

static void copy_targets(const targets *from, size_t at, size_t n, size_t most, targets *to,
                         size_t place)
{
    memcpy(to->tokens + place * most, from->tokens + at * most, n * most * sizeof *to->tokens);
    memcpy(to->chances + place * most, from->chances + at * most, n * most * sizeof *to->chances);
    memcpy(to->rest + place, from->rest + at, n * sizeof *to->rest);
}

/* ---- the teacher ---- */

static size_t tokens_of(const fm_corpus *c)
{
    return (size_t)c->starts[c->sequences];
}

static fm_status check(const fm_decoder *model, const fm_corpus *c, const fm_teaching *t)
{
    const fm_decoder_config *f = fm_decoder_get_config(model);

    if (!(t->share >= 0.0 && t->share <= 1.0) ||
        !(t->temperature >= 0.1 && t->temperature <= 100.0) || t->most < 1 ||
        t->most > FM_SOFT_MOST)
        return fm_fail(FM_EINVAL, "teacher: share, temperature or tokens named out of range");
    if (c->longest > f->context)
        return fm_fail(FM_EINVAL,
                       "the texts were cut into sequences of %zu tokens; the teacher's context is "
                       "%zu",
                       c->longest, f->context);
    for (size_t i = 0; i < tokens_of(c); i++)
        if (c->tokens[i] >= f->vocabulary)
            return fm_fail(FM_EINVAL, "the texts hold token %u; the teacher's vocabulary has %zu",
                           (unsigned)c->tokens[i], f->vocabulary);
    return FM_OK;
}

/* Only what fits altogether: a part would be of use to some sequences alone. */
static fm_status keep(fm_teacher *t)
{
    const size_t rows = tokens_of(t->corpus);
    const size_t each =
        t->settings.most * (sizeof *t->kept.tokens + sizeof *t->kept.chances) + sizeof(float);
    fm_status st;

    if (rows > t->settings.kept_bytes / each)
        return FM_OK;
    if ((st = make_targets(rows, t->settings.most, &t->kept)) != FM_OK)
        return st;
    return fm_alloc(t->corpus->sequences, sizeof *t->known, (void **)&t->known);
}

fm_status fm_teacher_new(const fm_decoder *model, const fm_corpus *c, const fm_teaching *settings,
                         fm_teacher **out)
{
    fm_teacher *t = NULL;
    fm_status st;

    if (!model || !c || !settings || !out || c->sequences == 0)
        return fm_fail(FM_EINVAL, "teacher: an argument is missing, or there are no texts");
    if ((st = check(model, c, settings)) != FM_OK ||
        (st = fm_alloc(1, sizeof *t, (void **)&t)) != FM_OK)
        return st;
    t->model = model;
    t->corpus = c;
    t->settings = *settings;
    if (t->settings.most > fm_decoder_get_config(model)->vocabulary)
        t->settings.most = fm_decoder_get_config(model)->vocabulary;
    if ((st = keep(t)) == FM_OK) {
        *out = t; /* ownership moves to the caller */
        t = NULL;
    }
    fm_teacher_free(&t);
    return st;
}

void fm_teacher_free(fm_teacher **teacher)
{
    fm_teacher *t = teacher ? *teacher : NULL;

    if (!t)
        return;
    free_targets(&t->kept, tokens_of(t->corpus), t->settings.most);
    free(t->known);
    free(t);
    *teacher = NULL;
}

bool fm_teacher_fits(const fm_teacher *t, const fm_decoder *student, const fm_corpus *c)
{
    return t->corpus == c && fm_decoder_get_config(t->model)->vocabulary ==
                                 fm_decoder_get_config(student)->vocabulary;
}

/* ---- lessons ---- */

fm_status fm_lesson_new(fm_teacher *t, size_t batch, fm_lesson **out)
{
    fm_lesson *l = NULL;
    fm_status st = fm_alloc(1, sizeof *l, (void **)&l);

    if (st != FM_OK)
        return st;
    l->teacher = t;
    l->batch = batch;
    if ((st = make_targets(batch, t->settings.most, &l->now)) == FM_OK &&
        (!t->known || ((st = make_targets(batch, t->settings.most, &l->fresh)) == FM_OK &&
                       (st = fm_alloc(batch, sizeof *l->tokens, (void **)&l->tokens)) == FM_OK &&
                       (st = fm_alloc(batch, sizeof *l->ends, (void **)&l->ends)) == FM_OK)) &&
        (st = fm_decoder_new_worker(t->model, batch, &l->worker)) == FM_OK) {
        *out = l;
        l = NULL;
    }
    fm_lesson_free(&l);
    return st;
}

void fm_lesson_forget(fm_lesson *l)
{
    const size_t most = l->teacher->settings.most;

    wipe_targets(&l->now, l->batch, most);
    if (!l->used)
        return;
    fm_decoder_forget(l->worker);
    wipe_targets(&l->fresh, l->batch, most);
    if (l->tokens)
        sodium_memzero(l->tokens, l->batch * sizeof *l->tokens);
    if (l->ends)
        sodium_memzero(l->ends, l->batch * sizeof *l->ends);
    l->used = false;
}

void fm_lesson_free(fm_lesson **lesson)
{
    fm_lesson *l = lesson ? *lesson : NULL;

    if (!l)
        return;
    fm_lesson_forget(l);
    fm_decoder_free(&l->worker);
    free_targets(&l->now, l->batch, l->teacher->settings.most);
    free_targets(&l->fresh, l->batch, l->teacher->settings.most);
    free(l->tokens);
    free(l->ends);
    free(l);
    *lesson = NULL;
}

static fm_status soften(fm_lesson *l, const fm_decoder_batch *b, targets *to)
{
    l->used = true;
    return fm_decoder_soften(l->worker, b, l->teacher->settings.temperature,
                             l->teacher->settings.most, to->tokens, to->chances, to->rest);
}

/* What is not known yet of some sequences, to what is kept. */
static fm_status learn(fm_lesson *l, const uint32_t *rows, size_t count)
{
    const fm_teacher *t = l->teacher;
    const fm_corpus *c = t->corpus;
    fm_decoder_batch b = { .tokens = l->tokens, .ends = l->ends };
    targets kept = t->kept;
    size_t at = 0;
    fm_status st;

    for (size_t i = 0; i < count; i++) {
        const uint64_t from = c->starts[rows[i]], n = c->starts[rows[i] + 1] - from;

        if (t->known[rows[i]])
            continue;
        memcpy(l->tokens + at, c->tokens + from, n * sizeof *l->tokens);
        at += n;
        l->ends[b.sequences++] = (uint32_t)at;
    }
    if (b.sequences == 0)
        return FM_OK;
    if ((st = soften(l, &b, &l->fresh)) != FM_OK)
        return st;
    at = 0;
    for (size_t i = 0; i < count; i++) {
        const uint64_t from = c->starts[rows[i]], n = c->starts[rows[i] + 1] - from;

        if (t->known[rows[i]])
            continue;
        copy_targets(&l->fresh, at, n, t->settings.most, &kept, from);
        at += n;
        t->known[rows[i]] = true;
    }
    return FM_OK;
}

fm_status fm_lesson_take(fm_lesson *l, const uint32_t *rows, const fm_decoder_batch *b,
                         fm_decoder_soft *out)
{
    const fm_teacher *t = l->teacher;
    const fm_corpus *c = t->corpus;
    size_t at = 0;
    fm_status st = t->known ? learn(l, rows, b->sequences) : soften(l, b, &l->now);

    if (st != FM_OK)
        return st;
    for (size_t i = 0; t->known && i < b->sequences; i++) {
        const uint64_t from = c->starts[rows[i]], n = c->starts[rows[i] + 1] - from;

        copy_targets(&t->kept, from, n, t->settings.most, &l->now, at);
        at += n;
    }
    *out = (fm_decoder_soft){ .share = t->settings.share,
                              .temperature = t->settings.temperature,
                              .most = t->settings.most,
                              .tokens = l->now.tokens,
                              .chances = l->now.chances,
                              .rest = l->now.rest };
    return FM_OK;
}
