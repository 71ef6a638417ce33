#include "needle_train.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/threads.h"
#include "fedmoe/optim/optimizer.h"

const char needle_config[] =
    "{\"architectures\":[\"DeepseekV3ForCausalLM\"],\"model_type\":\"deepseek_v3\","
    "\"vocab_size\":192,\"hidden_size\":64,\"num_hidden_layers\":2,\"hidden_act\":\"silu\","
    "\"num_attention_heads\":2,\"num_key_value_heads\":2,\"max_position_embeddings\":65536,"
    "\"intermediate_size\":128,\"moe_intermediate_size\":32,\"n_routed_experts\":8,"
    "\"n_shared_experts\":1,\"num_experts_per_tok\":2,\"first_k_dense_replace\":1,"
    "\"q_lora_rank\":null,\"kv_lora_rank\":32,\"qk_nope_head_dim\":32,\"qk_rope_head_dim\":16,"
    "\"v_head_dim\":32,\"n_group\":1,\"topk_group\":1,\"routed_scaling_factor\":1.0,"
    "\"norm_topk_prob\":true,\"rope_theta\":10000.0,\"tie_word_embeddings\":false,"
    "\"rms_norm_eps\":1e-6}";

void needle_need(fm_status st)
{
    if (st) {
        fprintf(stderr, "bench-needle: %s\n", fm_error_text());
        exit(1);
    }
}

/* `count` of n numbers, in random order. */
static void choose(fm_rng *rng, size_t n, size_t count, uint32_t *out)
{
    uint32_t *all = calloc(n, sizeof *all);

    for (size_t i = 0; i < n; i++)
        all[i] = (uint32_t)i;
    for (size_t i = 0; i < count; i++) {
        const size_t j = i + fm_rng_below(rng, n - i);
        const uint32_t was = all[j];

        all[j] = all[i];
        out[i] = all[i] = was;
    }
    free(all);
}

static void plant(fm_rng *rng, size_t slots, size_t needles, bool even, uint32_t *tokens,
                  needle_places *p)
{
    choose(rng, NEEDLE_KEYS, needles, p->key);
    choose(rng, slots, needles, p->slot);
    for (size_t i = 0; i < needles; i++) {
        if (even)
            p->slot[i] = (uint32_t)(i * (slots - 1) / (needles - 1));
        p->key[i] += NEEDLE_FIRST_KEY;
        p->value[i] = NEEDLE_FIRST_VALUE + (uint32_t)fm_rng_below(rng, NEEDLE_VALUES);
        tokens[1 + 2 * p->slot[i]] = p->key[i];
        tokens[2 + 2 * p->slot[i]] = p->value[i];
    }
}

void needle_document(fm_rng *rng, size_t length, size_t needles, size_t questions, bool even,
                     uint32_t *tokens, float *weights, needle_places *places)
{
    const size_t body = length - 3 * questions;

    tokens[0] = NEEDLE_BEGIN;
    for (size_t i = 1; i < body; i++)
        tokens[i] = NEEDLE_FIRST_FILLER + (uint32_t)fm_rng_below(rng, NEEDLE_FILLERS);
    plant(rng, (body - 1) / 2, needles, even, tokens, places);
    if (weights)
        memset(weights, 0, length * sizeof *weights);
    for (size_t i = 0; i < questions; i++) {
        uint32_t *at = tokens + body + 3 * i;

        at[0] = NEEDLE_ASK;
        at[1] = places->key[i];
        at[2] = places->value[i];
        if (weights)
            weights[body + 3 * i + 2] = 1.0f / (float)questions;
    }
}

/* Random tokens that come again after a distance, which is another in each sequence: only from what
 * stood there can be told what comes. */
static void repeated(fm_rng *rng, size_t length, uint32_t *tokens, float *weights)
{
    const size_t distance = length / 8 + fm_rng_below(rng, length / 2);

    memset(weights, 0, length * sizeof *weights);
    for (size_t i = 0; i < length; i++) {
        tokens[i] =
            i < distance ? (uint32_t)fm_rng_below(rng, NEEDLE_VOCABULARY) : tokens[i - distance];
        if (i > distance)
            weights[i] = 1.0f / (float)(length - distance - 1);
    }
}

/* ---- training ---- */

typedef struct {
    fm_decoder *d;
    uint32_t *tokens, *ends;
    float *weights, *gradient;
    double loss;
} worker;

typedef struct {
    const needle_stage *stage;
    worker *workers;
    size_t threads, parameters;
    uint64_t seed;
} step_work;

/* Sequences of a worker: each thread has its share of the step. */
static size_t share(const step_work *w, size_t number)
{
    return w->stage->sequences * (number + 1) / w->threads -
           w->stage->sequences * number / w->threads;
}

static fm_status work(void *ctx, unsigned thread, size_t number)
{
    const step_work *w = ctx;
    const needle_stage *s = w->stage;
    worker *k = &w->workers[number];
    const size_t sequences = share(w, number);
    fm_decoder_batch b = { k->tokens, k->ends, sequences, k->weights };
    float each[1024];
    double losses[1024];
    needle_places places;

    (void)thread;
    for (size_t i = 0; i < sequences; i++) {
        fm_rng_seed state;
        fm_rng rng = fm_rng_public(&state, w->seed + s->sequences * number / w->threads + i);

        if (s->questions)
            needle_document(&rng, s->length, s->needles, s->questions, false,
                            k->tokens + i * s->length, k->weights + i * s->length, &places);
        else
            repeated(&rng, s->length, k->tokens + i * s->length, k->weights + i * s->length);
        k->ends[i] = (uint32_t)((i + 1) * s->length);
        each[i] = 1.0f / (float)s->sequences;
    }
    needle_need(fm_decoder_backward(k->d, &b, losses));
    k->loss = 0.0;
    for (size_t i = 0; i < sequences; i++)
        k->loss += losses[i] / (double)s->sequences;
    fm_decoder_weighted_sum(k->d, NULL, 0, each, k->gradient);
    return FM_OK;
}

static fm_optimizer *optimizer(const float *weights, size_t n, const needle_stage *s)
{
    const fm_optimizer_spec spec = { .rule = FM_OPTIM_ADAM,
                                     .learning_rate = s->rate,
                                     .momentum = 0.9,
                                     .beta2 = 0.98,
                                     .adam_epsilon = 1e-8,
                                     .schedule = FM_OPTIM_COSINE,
                                     .warmup = 0.1,
                                     .final_rate = 0.1,
                                     .rounds = s->steps,
                                     .divisor = 1.0 };
    fm_optimizer *o = NULL;

    needle_need(fm_optimizer_new(&spec, weights, n, &o));
    return o;
}

static worker *make_workers(const fm_decoder_config *c, const needle_stage *s, unsigned threads)
{
    worker *w = calloc(threads, sizeof *w);
    const size_t most = (s->sequences + threads - 1) / threads * s->length;
    const fm_decoder_options o = { .max_tokens = most, .train = FM_TRAIN_ALL };

    for (unsigned i = 0; i < threads; i++) {
        needle_need(fm_decoder_new(c, &o, &w[i].d));
        w[i].tokens = calloc(most, sizeof *w->tokens);
        w[i].ends = calloc(s->sequences, sizeof *w->ends);
        w[i].weights = calloc(most, sizeof *w->weights);
        w[i].gradient = calloc(fm_decoder_get_layout(w[i].d)->parameters, sizeof(float));
    }
    return w;
}

static void free_workers(worker *w, unsigned threads)
{
    for (unsigned i = 0; i < threads; i++) {
        fm_decoder_free(&w[i].d);
        free(w[i].tokens);
        free(w[i].ends);
        free(w[i].weights);
        free(w[i].gradient);
    }
    free(w);
}

static void train_stage(const fm_decoder_config *c, const needle_stage *s, fm_threads *threads,
                        uint64_t seed, float *weights)
{
    const unsigned count = fm_threads_count(threads);
    step_work w = { .stage = s, .workers = make_workers(c, s, count), .threads = count };
    const size_t n = fm_decoder_get_layout(w.workers[0].d)->parameters;
    fm_optimizer *o = optimizer(weights, n, s);
    const uint64_t from = fm_clock_now_ms();
    double loss = 0.0;

    for (size_t step = 0; step < s->steps; step++) {
        double here = 0.0;

        w.seed = seed + 1000 * step;
        for (unsigned i = 0; i < count; i++)
            needle_need(fm_decoder_set(w.workers[i].d, o->weights, n));
        needle_need(fm_threads_run(threads, count, work, &w));
        for (unsigned i = 0; i < count; i++) {
            here += w.workers[i].loss;
            for (size_t k = 0; i && k < n; k++)
                w.workers[0].gradient[k] += w.workers[i].gradient[k];
        }
        needle_need(fm_optimizer_step(o, w.workers[0].gradient, n));
        loss = step ? 0.9 * loss + 0.1 * here : here;
        if (step % 50 == 49 || step + 1 == s->steps)
            printf("  %6zu tokens, step %4zu: loss %.4f, %.0f s\n", s->length, step + 1, loss,
                   (double)(fm_clock_now_ms() - from) / 1e3);
        (void)fflush(stdout);
    }
    memcpy(weights, o->weights, n * sizeof *weights);
    fm_optimizer_free(&o);
    free_workers(w.workers, count);
}

void needle_train(const fm_decoder_config *c, const needle_stage *stages, size_t count,
                  unsigned threads, uint64_t seed, float *weights)
{
    fm_threads *t = NULL;

    needle_need(fm_threads_new(threads, &t));
    for (size_t i = 0; i < count; i++)
        if (stages[i].steps)
            train_stage(c, &stages[i], t, seed + (i << 32), weights);
    fm_threads_free(&t);
}
