#include "finetune_texts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fedmoe/optim/optimizer.h"
#include "fedmoe/train/measure.h"
#include "fm_test.h"

void bench_need(fm_status st)
{
    if (st) {
        fprintf(stderr, "bench-finetune: %s\n", fm_error_text());
        exit(1);
    }
}

/* ---- texts ---- */

/* As UTF-8: GPT-2's letters for bytes, of which those that can be seen stand for themselves. */
static void put_letter(fm_buf *out, unsigned byte, unsigned *hidden)
{
    const bool seen = (byte >= 33 && byte < 127) || (byte >= 161 && byte != 173);
    const unsigned code = seen ? byte : 256 + (*hidden)++;

    bench_need(fm_buf_printf(out, "%s\"\\u%04x\": %u", byte ? ", " : "", code, byte));
}

static void tokenizer_text(fm_buf *json)
{
    unsigned hidden = 0;

    fm_buf_init(json, 0);
    bench_need(fm_buf_printf(
        json,
        "{\"version\": \"1.0\", \"added_tokens\": [{\"id\": 256, \"content\": "
        "\"<|endoftext|>\", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, "
        "\"special\": true, \"normalized\": false}], \"normalizer\": "
        "null, \"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, "
        "\"trim_offsets\": true, \"use_regex\": false}, \"decoder\": {\"type\": \"ByteLevel\", "
        "\"add_prefix_space\": true, \"trim_offsets\": true, \"use_regex\": true}, \"model\": "
        "{\"type\": \"BPE\", \"dropout\": null, \"unk_token\": null, "
        "\"fuse_unk\": false, \"byte_fallback\": false, \"merges\": [], \"vocab\": {"));
    for (unsigned b = 0; b < 256; b++)
        put_letter(json, b, &hidden);
    bench_need(fm_buf_printf(json, "}}}"));
}

static fm_tokenizer *byte_tokenizer(void)
{
    fm_tokenizer *t = NULL;
    fm_buf json;

    tokenizer_text(&json);
    bench_need(fm_tokenizer_parse("bytes", json.data, json.len, &t));
    fm_buf_fini(&json);
    return t;
}

bool bench_texts(const char *file, const char *schema, size_t context, fm_corpus **out)
{
    const fm_corpus_options o = { .context = context };
    char rel[256], path[4096];
    const char *const paths[] = { path };
    fm_text_schema *s = NULL;
    fm_tokenizer *t;

    (void)snprintf(rel, sizeof rel, "data/text/%s", file);
    if (!fm_test_shared(rel, path, sizeof path))
        return false;
    t = byte_tokenizer();
    bench_need(fm_text_schema_parse("schema", schema, strlen(schema), &s));
    bench_need(fm_corpus_load(s, t, &o, paths, 1, out));
    fm_text_schema_free(&s);
    fm_tokenizer_free(&t);
    return true;
}

static void shuffle(uint32_t *order, size_t n, fm_rng *rng)
{
    for (size_t i = 0; i < n; i++)
        order[i] = (uint32_t)i;
    for (size_t i = n; i > 1; i--) {
        const size_t j = (size_t)fm_rng_below(rng, i);
        const uint32_t kept = order[i - 1];

        order[i - 1] = order[j];
        order[j] = kept;
    }
}

void bench_choose(const fm_corpus *from, uint64_t seed, size_t first, size_t count, fm_corpus *out)
{
    uint32_t *order = calloc(from->sequences, sizeof *order);
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, seed);

    shuffle(order, from->sequences, &rng);
    *out = (fm_corpus){ .tokens = calloc(count * from->longest, sizeof *out->tokens),
                        .starts = calloc(count + 1, sizeof *out->starts),
                        .sequences = count };
    for (size_t i = 0; i < count; i++) {
        const uint32_t s = order[(first + i) % from->sequences];
        const uint64_t n = from->starts[s + 1] - from->starts[s];

        memcpy(out->tokens + out->starts[i], from->tokens + from->starts[s],
               n * sizeof *out->tokens);
        out->starts[i + 1] = out->starts[i] + n;
        out->longest = n > out->longest ? (size_t)n : out->longest;
    }
    free(order);
}

void bench_chosen_free(fm_corpus *c)
{
    free(c->tokens);
    free(c->starts);
    *c = (fm_corpus){ 0 };
}

/* ---- models ---- */

fm_decoder *bench_decoder(const char *preset, uint64_t seed, const fm_decoder_options *o)
{
    const fm_decoder_plan plan = { .preset = preset, .vocabulary = 257, .seed = seed };
    char root[512], path[560];
    fm_decoder_folder *f = NULL;
    fm_decoder *d = NULL;

    fm_test_tmpdir(root, sizeof root);
    (void)snprintf(path, sizeof path, "%s/base", root);
    bench_need(fm_decoder_plan_write(&plan, path));
    bench_need(fm_decoder_folder_open(path, &f));
    bench_need(fm_decoder_folder_load(f, o, &d));
    fm_decoder_folder_free(&f);
    return d;
}

static FILE *open_file(const char *folder, const char *name, char *path, size_t cap)
{
    FILE *f;

    (void)snprintf(path, cap, "%s/%s", folder, name);
    if (!(f = fopen(path, "wb"))) {
        perror(path);
        exit(1);
    }
    return f;
}

/* A quoted field for each text. The end token stays behind: it comes with reading. */
static void write_texts(const fm_corpus *c, const char *folder, const char *name)
{
    char path[4096];
    FILE *f = open_file(folder, name, path, sizeof path);

    (void)fputs("text\n", f);
    for (size_t i = 0; i < c->sequences; i++) {
        (void)fputc('"', f);
        for (uint64_t k = c->starts[i]; k < c->starts[i + 1]; k++) {
            if (c->tokens[k] == '"')
                (void)fputc('"', f);
            if (c->tokens[k] < 256)
                (void)fputc((int)c->tokens[k], f);
        }
        (void)fputs("\"\n", f);
    }
    (void)fclose(f);
}

void bench_write(const fm_decoder *d, const char *preset, const fm_corpus *train,
                 const fm_corpus *test, const char *folder)
{
    char tokenizer[4096], path[4096], root[512], plain[560];
    const fm_decoder_plan plan = { .preset = preset, .tokenizer = tokenizer };
    float *flat = calloc(fm_decoder_get_layout(d)->parameters, sizeof *flat);
    fm_decoder_folder *f = NULL;
    fm_buf json;
    FILE *to;

    if (mkdir(folder, 0755) != 0) {
        perror(folder);
        exit(1);
    }
    tokenizer_text(&json);
    to = open_file(folder, "tokenizer.json", tokenizer, sizeof tokenizer);
    (void)fwrite(json.data, 1, json.len, to);
    (void)fclose(to);
    fm_buf_fini(&json);
    to = open_file(folder, "schema.yaml", path, sizeof path);
    (void)fputs("name: bank\nsource: csv\ntext: text\nunit: record\n", to);
    (void)fclose(to);
    write_texts(train, folder, "train.csv");
    write_texts(test, folder, "test.csv");
    fm_test_tmpdir(root, sizeof root);
    (void)snprintf(plain, sizeof plain, "%s/plain", root);
    bench_need(fm_decoder_plan_write(&plan, plain));
    bench_need(fm_decoder_folder_open(plain, &f));
    fm_decoder_get(d, flat);
    (void)snprintf(path, sizeof path, "%s/base", folder);
    bench_need(fm_decoder_folder_write(f, flat, path));
    fm_decoder_folder_free(&f);
    free(flat);
}

double bench_loss(const fm_decoder *d, const fm_corpus *c)
{
    fm_text_loss loss;

    bench_need(fm_train_measure(d, c, 1, &loss));
    return loss.loss;
}

/* ---- training without privacy ---- */

struct bench_adam {
    fm_optimizer *o;
    float *gradient, *weights;
    uint32_t *tokens, *ends, *order;
};

static bench_adam *begin(fm_decoder *d, const fm_corpus *c, size_t tokens, double rate,
                         uint64_t steps)
{
    const size_t n = fm_decoder_gradient_parameters(d);
    const fm_optimizer_spec spec = { .rule = FM_OPTIM_ADAM,
                                     .learning_rate = rate,
                                     .momentum = 0.9,
                                     .beta2 = 0.99,
                                     .adam_epsilon = 1e-8,
                                     .schedule = FM_OPTIM_COSINE,
                                     .warmup = 0.05,
                                     .final_rate = 0.1,
                                     .rounds = steps,
                                     .divisor = 1.0 };
    bench_adam *s = calloc(1, sizeof *s);

    s->gradient = calloc(n, sizeof(float));
    s->weights = calloc(fm_decoder_adapter_parameters(d) + n, sizeof(float));
    s->tokens = calloc(tokens, sizeof(uint32_t));
    s->ends = calloc(tokens, sizeof(uint32_t));
    s->order = calloc(c->sequences, sizeof(uint32_t));
    if (fm_decoder_adapter_parameters(d))
        fm_decoder_adapters_get(d, s->weights);
    else
        fm_decoder_get(d, s->weights);
    bench_need(fm_optimizer_new(&spec, s->weights, n, &s->o));
    return s;
}

/* The gradient of the mean loss of the batch's predictions. */
static void step(fm_decoder *d, bench_adam *s, size_t sequences)
{
    const fm_decoder_batch b = { s->tokens, s->ends, sequences, NULL };
    const double all = (double)(s->ends[sequences - 1] - sequences);
    const size_t n = fm_decoder_gradient_parameters(d);
    float weights[1024];

    for (size_t i = 0, from = 0; i < sequences; from = s->ends[i++])
        weights[i] = (float)((double)(s->ends[i] - from - 1) / all);
    bench_need(fm_decoder_backward(d, &b, NULL));
    fm_decoder_weighted_sum(d, NULL, 0, weights, s->gradient);
    bench_need(fm_optimizer_step(s->o, s->gradient, n));
    bench_need(fm_decoder_adapter_parameters(d)
                   ? fm_decoder_adapters_set_trained(d, s->o->weights, n)
                   : fm_decoder_set(d, s->o->weights, n));
}

void bench_pass(fm_decoder *d, const fm_corpus *c, size_t tokens, double rate, uint64_t steps,
                fm_rng *rng, bench_adam **state)
{
    bench_adam *s = *state ? *state : begin(d, c, tokens, rate, steps);
    size_t at = 0, sequences = 0;

    *state = s;
    shuffle(s->order, c->sequences, rng);
    for (size_t i = 0; i < c->sequences; i++) {
        const uint64_t from = c->starts[s->order[i]], n = c->starts[s->order[i] + 1] - from;

        if (at + n > tokens || sequences == 1024) {
            step(d, s, sequences);
            at = sequences = 0;
        }
        memcpy(s->tokens + at, c->tokens + from, n * sizeof *s->tokens);
        at += n;
        s->ends[sequences++] = (uint32_t)at;
    }
    step(d, s, sequences);
}

void bench_pass_free(bench_adam **state)
{
    bench_adam *s = *state;

    fm_optimizer_free(&s->o);
    free(s->gradient);
    free(s->weights);
    free(s->tokens);
    free(s->ends);
    free(s->order);
    free(s);
    *state = NULL;
}
