/*
 * The watermark of texts (docs/edge.md, "Watermark"): how surely marked texts are found, that the
 * others are not, that marked ones are as likely under the model, what is left after words are
 * replaced, and the time a token takes.
 *
 *     ./dev bench watermark [--texts 10000] [--tokens 300] [--seed 1] [--tables]
 *
 * Texts are written by a model of three tokens (watermark_ngram.h), at temperature 1 and with all its
 * candidates, each with a key of its own, turned into text, and found in the text.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fedmoe/base/cli.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/random.h"
#include "fedmoe/edge/watermark.h"
#include "fedmoe/model/tokenizer.h"
#include "fm_test.h"
#include "watermark_ngram.h"

#define SKIPPED 77
#define MOST_TOKENS 4096
#define PROMPT 16
#define LEVEL 1e-4
#define SAMPLED 16 /* of so many tokens one's entropy is computed: it takes longer than all else */

typedef struct {
    fm_tokenizer *tokenizer;
    fm_tokenizer_worker *worker;
    fm_token_list corpus;
    ngram *model;
    uint32_t *ids;
    double *p, *marked;
    fm_rng_seed state;
    fm_rng rng;
} bench;

typedef struct {
    fm_watermark_options mark;
    double sharp;
    size_t texts, tokens;
} setting;

typedef struct {
    size_t texts, found, found_edited, false_found;
    double loss, loss_square, plain_loss, plain_square; /* of -log p a token, summed over texts */
    double entropy, scored, score;
} outcome;

static void must(fm_status st)
{
    if (st) {
        fprintf(stderr, "bench-watermark: %s\n", fm_error_text());
        exit(1);
    }
}

/* ---- the model ---- */

static void add_file(bench *b, const char *path)
{
    fm_buf text = { 0 };

    must(fm_file_read(path, FM_TOKENIZER_MAX_TEXT, &text));
    must(fm_tokenizer_encode(b->worker, text.data, text.len, FM_TOKENIZER_PLAIN, &b->corpus, NULL));
    fm_buf_fini(&text);
}

static bool prepare(bench *b, uint64_t seed)
{
    static const char *const texts[] = { "data/text/tinyshakespeare/input.txt",
                                         "data/text/mts_dialog/MTS-Dialog-TrainingSet.csv",
                                         "data/text/banking77/train.csv" };
    char path[4096];

    if (!fm_test_shared("data/tokenizers/gpt2.tokenizer.json", path, sizeof path))
        return false;
    must(fm_tokenizer_load(path, &b->tokenizer));
    must(fm_tokenizer_worker_new(b->tokenizer, &b->worker));
    for (size_t i = 0; i < FM_TEST_COUNT(texts); i++) {
        if (!fm_test_shared(texts[i], path, sizeof path))
            return false;
        add_file(b, path);
    }
    must(ngram_new(b->corpus.ids, b->corpus.count, &b->model));
    must(fm_alloc(ngram_most(b->model), sizeof *b->ids, (void **)&b->ids));
    must(fm_alloc(ngram_most(b->model), sizeof *b->p, (void **)&b->p));
    must(fm_alloc(ngram_most(b->model), sizeof *b->marked, (void **)&b->marked));
    b->rng = fm_rng_public(&b->state, seed);
    return true;
}

static size_t draw(bench *b, const double *p, size_t n)
{
    double left = fm_rng_unit(&b->rng);
    size_t i = 0;

    for (; i + 1 < n && left >= p[i]; i++)
        left -= p[i];
    return i;
}

/* What a text came to. */
typedef struct {
    uint32_t tokens[PROMPT + MOST_TOKENS];
    double loss, entropy; /* means over its tokens */
} text_of;

static void write_text(bench *b, const setting *s, fm_watermark_text *mark, text_of *t)
{
    const size_t at = (size_t)fm_rng_below(&b->rng, b->corpus.count - PROMPT);

    memcpy(t->tokens, b->corpus.ids + at, PROMPT * sizeof *t->tokens);
    t->loss = t->entropy = 0.0;
    for (size_t i = PROMPT; i < PROMPT + s->tokens; i++) {
        const size_t n =
            ngram_next(b->model, t->tokens[i - 2], t->tokens[i - 1], s->sharp, b->ids, b->p);
        size_t k;

        memcpy(b->marked, b->p, n * sizeof *b->p);
        if (mark)
            must(fm_watermark_apply(mark, t->tokens, i, b->ids, b->marked, n));
        k = draw(b, b->marked, n);
        t->tokens[i] = b->ids[k];
        t->loss -= log(b->p[k]) / (double)s->tokens;
        for (size_t j = 0; j < n && i % SAMPLED == 0; j++)
            t->entropy -=
                b->p[j] > 0.0 ? SAMPLED * b->p[j] * log(b->p[j]) / (double)s->tokens : 0.0;
    }
}

/* ---- finding ---- */

/* Each word with a chance of `share` becomes one of the corpus: a word is what stands between spaces. */
static void edit(bench *b, const fm_buf *text, double share, fm_buf *out)
{
    fm_buf_clear(out);
    for (size_t i = 0; i < text->len;) {
        size_t end = i;

        while (end < text->len && text->data[end] != ' ')
            end++;
        if (end > i && fm_rng_unit(&b->rng) < share) {
            fm_tokenizer_token word;

            do /* tokens of the corpus that are whole words */
                must(fm_tokenizer_get(
                    b->tokenizer, b->corpus.ids[fm_rng_below(&b->rng, b->corpus.count)], &word));
            while (word.bytes_len < 2 || word.bytes[0] != ' ');
            must(fm_buf_append(out, word.bytes + 1, word.bytes_len - 1));
        } else {
            must(fm_buf_append(out, text->data + i, end - i));
        }
        if (end < text->len)
            must(fm_buf_append(out, " ", 1));
        i = end + 1;
    }
}

static fm_watermark_found find(bench *b, const fm_watermark *w, const fm_buf *text)
{
    fm_token_list l = { 0 };
    fm_watermark_found f;

    must(fm_tokenizer_encode(b->worker, text->data, text->len, FM_TOKENIZER_PLAIN, &l, NULL));
    must(fm_watermark_detect(w, l.ids, l.count, &f));
    fm_token_list_fini(&l);
    return f;
}

static void one(bench *b, const setting *s, outcome *o, fm_buf *text, fm_buf *edited)
{
    uint8_t key[FM_WATERMARK_KEY_BYTES];
    fm_watermark *w = NULL;
    fm_watermark_text *mark = NULL;
    fm_watermark_found f;
    static text_of t;

    b->rng.fill(b->rng.state, key, sizeof key);
    must(fm_watermark_new(key, &s->mark, &w));
    must(fm_watermark_text_new(w, fm_tokenizer_vocabulary(b->tokenizer), &mark));
    write_text(b, s, mark, &t);
    o->loss += t.loss;
    o->loss_square += t.loss * t.loss;
    o->entropy += t.entropy;
    fm_buf_clear(text);
    must(fm_tokenizer_decode(b->tokenizer, t.tokens + PROMPT, s->tokens, false, text));
    f = find(b, w, text);
    o->found += f.p_value <= LEVEL;
    o->score += f.score;
    o->scored += (double)f.scored;
    edit(b, text, 0.2, edited);
    o->found_edited += find(b, w, edited).p_value <= LEVEL;
    write_text(b, s, NULL, &t);
    o->plain_loss += t.loss;
    o->plain_square += t.loss * t.loss;
    fm_buf_clear(text);
    must(fm_tokenizer_decode(b->tokenizer, t.tokens + PROMPT, s->tokens, false, text));
    o->false_found += find(b, w, text).p_value <= LEVEL;
    o->texts++;
    fm_watermark_text_free(&mark);
    fm_watermark_free(&w);
}

static outcome run(bench *b, const setting *s, const char *label)
{
    outcome o = { 0 };
    fm_buf text = { 0 }, edited = { 0 };
    fm_progress bar;

    fm_progress_start(&bar, label, s->texts);
    for (size_t i = 0; i < s->texts; i++) {
        one(b, s, &o, &text, &edited);
        fm_progress_set(&bar, i + 1);
    }
    fm_progress_end(&bar);
    fm_buf_fini(&text);
    fm_buf_fini(&edited);
    return o;
}

/* Perplexity of marked texts over that of the others, less 1, and its standard error. */
static void perplexity(const outcome *o, double *change, double *error)
{
    const double n = (double)o->texts, a = o->loss / n, c = o->plain_loss / n;
    const double va = o->loss_square / n - a * a, vc = o->plain_square / n - c * c;

    *change = expm1(a - c);
    *error = sqrt((va + vc) / n);
}

static void show(const setting *s, const outcome *o)
{
    const double n = (double)o->texts;
    double change, error;

    perplexity(o, &change, &error);
    printf("%-10s %6zu %6zu %7.2f %6.2f %6.0f %6.1f %9.2f %% %9.2f %% %5zu/%zu %+7.2f (%.2f) %%\n",
           s->mark.kind == FM_WATERMARK_TOURNAMENT ? "tournament" : "red-green", s->mark.window,
           s->mark.layers, s->sharp, o->entropy / n, o->scored / n, o->score / n,
           100.0 * (double)o->found / n, 100.0 * (double)o->found_edited / n, o->false_found,
           o->texts, 100.0 * change, 100.0 * error);
    (void)fflush(stdout);
}

static void head(const setting *s)
{
    printf("\n%zu texts of each kind, %zu tokens, level %g:\n", s->texts, s->tokens, LEVEL);
    printf("%-10s %6s %6s %7s %6s %6s %6s %11s %11s %7s %s\n", "kind", "window", "layers", "power",
           "nats", "scored", "score", "found", "20% edited", "false", "perplexity (s.e.)");
}

static void measure(bench *b, const setting *s, const char *label)
{
    const outcome o = run(b, s, label);

    show(s, &o);
}

static void tables(bench *b, size_t texts, size_t tokens)
{
    static const size_t windows[] = { 1, 2, 3, 4 }, layers[] = { 5, 10, 20, 30, 45, 60 };
    static const double powers[] = { 0.7, 0.85, 1.0, 1.5, 2.0, 3.0, 4.0 };
    setting s = { .mark = fm_watermark_defaults(FM_WATERMARK_TOURNAMENT),
                  .sharp = 1.0,
                  .texts = texts,
                  .tokens = tokens };

    head(&s);
    for (size_t i = 0; i < FM_TEST_COUNT(windows); i++) {
        s.mark.window = windows[i];
        measure(b, &s, "windows");
    }
    s.mark = fm_watermark_defaults(FM_WATERMARK_TOURNAMENT);
    for (size_t i = 0; i < FM_TEST_COUNT(layers); i++) {
        s.mark.layers = layers[i];
        measure(b, &s, "layers");
    }
    s.mark = fm_watermark_defaults(FM_WATERMARK_TOURNAMENT);
    for (size_t i = 0; i < 2 * FM_TEST_COUNT(powers); i++) {
        s.sharp = powers[i / 2];
        s.mark.window = i % 2 ? 4 : 2;
        measure(b, &s, "entropies");
    }
    s.sharp = 1.0;
    s.mark = fm_watermark_defaults(FM_WATERMARK_RED_GREEN);
    measure(b, &s, "red-green");
}

/* ---- time ---- */

static double now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

#define VOCABULARY ((size_t)50000)

static void speed(bench *b)
{
    static const uint8_t key[FM_WATERMARK_KEY_BYTES] = { 1 };
    static const size_t counts[] = { 50, 1000, VOCABULARY };
    const fm_watermark_options o = fm_watermark_defaults(FM_WATERMARK_TOURNAMENT);
    static uint32_t ids[VOCABULARY];
    static double p[VOCABULARY];
    fm_watermark *w = NULL;
    fm_watermark_text *t = NULL;

    must(fm_watermark_new(key, &o, &w));
    must(fm_watermark_text_new(w, VOCABULARY, &t));
    for (size_t c = 0; c < FM_TEST_COUNT(counts); c++) {
        const size_t n = counts[c];
        double best = INFINITY;

        for (size_t k = 0; k < 200; k++) {
            double from;
            uint32_t before[FM_WATERMARK_WINDOW_MAX];

            b->rng.fill(b->rng.state, before, sizeof before);
            for (size_t i = 0; i < n; i++) {
                ids[i] = (uint32_t)(i * (VOCABULARY / n));
                p[i] = 1.0 / (double)n;
            }
            from = now();
            must(fm_watermark_apply(t, before, FM_WATERMARK_WINDOW_MAX, ids, p, n));
            best = fmin(best, now() - from);
        }
        printf("time a token with %zu candidates of %zu: %.3f ms\n", n, VOCABULARY, best * 1e3);
    }
    fm_watermark_text_free(&t);
    fm_watermark_free(&w);
}

int main(int argc, char **argv)
{
    uint64_t texts = 10000, tokens = 300, seed = 1;
    bool with_tables = false;
    const fm_cli_option options[] = {
        { "texts", FM_CLI_U64, &texts, "N", "of each kind (default 10000)", false, 1, 1e6 },
        { "tokens", FM_CLI_U64, &tokens, "N", "of each text (default 300)", false, 1, MOST_TOKENS },
        { "seed", FM_CLI_U64, &seed, "N", "of keys and texts (default 1)", false, 0, 1e9 },
        { "tables", FM_CLI_FLAG, &with_tables, NULL, "other windows, layers and entropies", false,
          0, 0 },
    };
    const fm_cli_spec spec = { .program = "bench-watermark",
                               .summary = "Measure the watermark of texts.",
                               .examples = "bench-watermark --texts 1000 --tables",
                               .options = options,
                               .option_count = FM_TEST_COUNT(options) };
    static bench b;
    setting s = { .mark = fm_watermark_defaults(FM_WATERMARK_TOURNAMENT), .sharp = 1.0 };
    int first, code;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    must(fm_random_init());
    if (!prepare(&b, seed)) {
        printf("skipped: no shared data\n");
        return SKIPPED;
    }
    s.texts = (size_t)texts;
    s.tokens = (size_t)tokens;
    printf("model of three tokens of %zu, vocabulary %zu\n", b.corpus.count,
           fm_tokenizer_vocabulary(b.tokenizer));
    speed(&b);
    if (with_tables) {
        tables(&b, s.texts, s.tokens);
    } else {
        head(&s);
        measure(&b, &s, "texts");
    }
    fm_token_list_fini(&b.corpus);
    ngram_free(&b.model);
    free(b.ids);
    free(b.p);
    free(b.marked);
    fm_tokenizer_worker_free(&b.worker);
    fm_tokenizer_free(&b.tokenizer);
    return 0;
}
