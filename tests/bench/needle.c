/*
 * A needle in a long text: a small model is trained here to tell the value that stands after a key
 * somewhere in a document, first on short documents and then on long ones, quantised, and asked for
 * needles at every depth of documents of every length, also of twice what it was trained on.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/cli.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/safetensors.h"
#include "fedmoe/base/threads.h"
#include "fedmoe/edge/file.h"
#include "fedmoe/edge/session.h"
#include "needle_train.h"

#define TENSORS 200
#define DEPTHS 11

/* Associations first: of repeated tokens, then of needles, then far. */
static needle_stage stages[] = {
    { 64, 0, 0, 128, 400, 6e-3 },   { 128, 16, 16, 64, 150, 3e-3 }, { 512, 32, 32, 16, 150, 3e-3 },
    { 2048, 32, 32, 4, 150, 2e-3 }, { 8192, 32, 32, 2, 40, 1e-3 },  { 16384, 32, 32, 2, 20, 1e-3 },
};

/* ---- the model ---- */

static void fill(float *v, size_t offset, size_t n, float value)
{
    for (size_t i = 0; offset != FM_DECODER_ABSENT && i < n; i++)
        v[offset + i] = value;
}

static float *first_weights(const fm_decoder_config *c, const fm_decoder_layout *l, uint64_t seed)
{
    float *v = calloc(l->parameters, sizeof *v);
    fm_rng_seed state;
    fm_rng rng = fm_rng_public(&state, seed);

    for (size_t i = 0; v && i < l->parameters; i++)
        v[i] = (float)(0.08 * fm_rng_normal(&rng));
    for (size_t i = 0; v && i < c->layers; i++) {
        fill(v, l->layer[i].input_norm, c->width, 1.0f);
        fill(v, l->layer[i].post_norm, c->width, 1.0f);
        fill(v, l->layer[i].latent_norm, c->key_value_rank, 1.0f);
        fill(v, l->layer[i].correction, c->experts, 0.0f);
    }
    fill(v, l->norm, c->width, 1.0f);
    return v;
}

typedef struct {
    const float *flat;
    fm_tensor_view views[TENSORS];
    char names[TENSORS][160];
    size_t count;
} tensors;

static fm_status add_tensor(void *context, const fm_decoder_tensor *t)
{
    tensors *w = context;
    char *name = w->names[w->count];

    if (w->count == TENSORS)
        return fm_fail(FM_ENOMEM, "more than %d tensors", TENSORS);
    (void)snprintf(name, sizeof w->names[0], "%s", t->name);
    w->views[w->count++] =
        (fm_tensor_view){ .name = name,
                          .dtype = "F32",
                          .dims = t->columns ? 2 : 1,
                          .shape = { t->rows, t->columns },
                          .data = (const uint8_t *)(w->flat + t->offset),
                          .bytes = t->rows * (t->columns ? t->columns : 1) * sizeof(float) };
    return FM_OK;
}

static void write_folder(const fm_decoder_config *c, const fm_decoder_layout *l, const float *flat,
                         const char *dir)
{
    tensors *w = calloc(1, sizeof *w);
    char path[400];

    w->flat = flat;
    needle_need(fm_decoder_tensors(c, l, add_tensor, w));
    (void)snprintf(path, sizeof path, "%s/model.safetensors", dir);
    needle_need(fm_safetensors_replace(path, 0644, w->views, w->count, NULL, 0));
    (void)snprintf(path, sizeof path, "%s/config.json", dir);
    needle_need(fm_file_replace(path, needle_config, strlen(needle_config), 0644));
    free(w);
}

/* ---- questions ---- */

/* Whether what follows ASK and the needle's key is its value. */
static bool found(fm_edge_session *s, const needle_places *p, size_t needle)
{
    const uint32_t question[2] = { NEEDLE_ASK, p->key[needle] };
    const size_t at = fm_edge_position(s);
    float logits[NEEDLE_VOCABULARY];
    size_t best = 0;

    needle_need(fm_edge_read(s, question, 2, logits));
    needle_need(fm_edge_rewind(s, at));
    for (size_t v = 1; v < NEEDLE_VOCABULARY; v++)
        best = logits[v] > logits[best] ? v : best;
    return best == p->value[needle];
}

typedef struct {
    const fm_edge_model *model;
    size_t length;
    uint64_t seed;
    bool found[64][DEPTHS]; /* [documents] */
} trial;

static fm_status try_document(void *ctx, unsigned thread, size_t number)
{
    trial *t = ctx;
    const fm_edge_options o = { .context = t->length };
    uint32_t *tokens = calloc(t->length, sizeof *tokens);
    fm_edge_session *s = NULL;
    fm_rng_seed state;
    fm_rng rng = fm_rng_public(&state, t->seed + number);
    needle_places places;

    (void)thread;
    needle_document(&rng, t->length - 2, DEPTHS, 0, true, tokens, NULL, &places);
    needle_need(fm_edge_session_new(t->model, &o, &s));
    needle_need(fm_edge_read(s, tokens, t->length - 2, NULL));
    for (size_t i = 0; i < DEPTHS; i++)
        t->found[number][i] = found(s, &places, i);
    fm_edge_session_free(&s);
    free(tokens);
    return FM_OK;
}

/* A line: the share of needles found at each depth. */
static void try_length(const fm_edge_model *m, size_t length, size_t documents, fm_threads *threads)
{
    trial *t = calloc(1, sizeof *t);
    size_t all = 0;

    t->model = m;
    t->length = length;
    t->seed = 1000 + length;
    needle_need(fm_threads_run(threads, documents, try_document, t));
    printf("%-8zu", length);
    for (size_t i = 0; i < DEPTHS; i++) {
        size_t n = 0;

        for (size_t k = 0; k < documents; k++)
            n += t->found[k][i];
        all += n;
        printf(" %5.0f", 100.0 * (double)n / (double)documents);
    }
    printf(" %7.1f\n", 100.0 * (double)all / (double)(documents * DEPTHS));
    (void)fflush(stdout);
    free(t);
}

static void ask_all(const char *dir, uint64_t documents, uint64_t longest, unsigned count)
{
    fm_threads *threads = NULL;
    fm_edge_model *m = NULL;
    char file[400];

    (void)snprintf(file, sizeof file, "%s/int8.safetensors", dir);
    needle_need(fm_edge_write(dir, file, NULL));
    needle_need(fm_edge_model_open(file, &m));
    needle_need(fm_threads_new(count, &threads));
    printf(
        "\nneedles found, %%, in 8 bits (weights, inputs, cache), %llu documents for each length\n"
        "%-8s",
        (unsigned long long)documents, "tokens");
    for (size_t i = 0; i < DEPTHS; i++)
        printf(" %4zu%%", i * 100 / (DEPTHS - 1));
    printf(" %7s\n", "all");
    for (size_t length = 512; length <= longest; length *= 2)
        try_length(m, length, (size_t)documents, threads);
    fm_threads_free(&threads);
    fm_edge_model_free(&m);
}

int main(int argc, char **argv)
{
    uint64_t threads = fm_threads_available(), documents = 20, longest = 32768, share = 100;
    const fm_cli_option options[] = {
        { "threads", FM_CLI_U64, &threads, "N", "of training and questions", false, 1, 64 },
        { "documents", FM_CLI_U64, &documents, "N", "for each length", false, 1, 64 },
        { "longest", FM_CLI_U64, &longest, "N", "tokens of a document", false, 512, 65536 },
        { "share", FM_CLI_U64, &share, "PERCENT", "of the training's steps: to see that it works",
          false, 0, 100 },
    };
    const fm_cli_spec spec = { .program = "bench-needle",
                               .summary = "Needles in long texts, found by a small model.",
                               .options = options,
                               .option_count = sizeof options / sizeof *options };
    const char *base = getenv("TMPDIR");
    const uint64_t from = fm_clock_now_ms();
    char dir[256], command[300];
    fm_decoder_config c;
    fm_decoder_layout l;
    float *weights;
    int first, code;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    needle_need(fm_random_init());
    (void)snprintf(dir, sizeof dir, "%s/fedmoe-needle-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(dir))
        return 1;
    needle_need(fm_decoder_config_parse("the model", needle_config, strlen(needle_config), &c));
    needle_need(fm_decoder_layout_make(&c, &l));
    weights = first_weights(&c, &l, 1);
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++)
        stages[i].steps = stages[i].steps * (size_t)share / 100;
    needle_train(&c, stages, sizeof stages / sizeof *stages, (unsigned)threads, 7, weights);
    printf("%zu parameters, trained in %.0f s with %llu threads\n", l.parameters,
           (double)(fm_clock_now_ms() - from) / 1e3, (unsigned long long)threads);
    write_folder(&c, &l, weights, dir);
    ask_all(dir, documents, longest, (unsigned)threads);
    free(weights);
    fm_decoder_layout_free(&l);
    (void)snprintf(command, sizeof command, "rm -r '%s'", dir);
    return system(command) == 0 ? 0 : 1;
}
