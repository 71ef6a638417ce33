#include "text_rig.h"

#include <stdlib.h>
#include <string.h>

#include "decoder_fixture.h"

#define RANK 3

static void make_corpus(text_rig *r, size_t people, size_t most)
{
    fm_corpus *c = &r->corpus;
    fm_rng_seed seed;
    fm_rng rng = fm_rng_seeded(&seed, 5);
    size_t at = 0;

    memset(c, 0, sizeof *c);
    c->tokens = calloc(people * most * 24, sizeof *c->tokens);
    c->starts = calloc(people * most + 1, sizeof *c->starts);
    c->unit_start = calloc(people + 1, sizeof *c->unit_start);
    need(c->tokens && c->starts && c->unit_start, "memory");
    for (size_t u = 0; u < people; u++) {
        for (size_t k = 0; k <= u % most; k++) {
            const size_t n = 2 + fm_rng_below(&rng, 22);

            for (size_t i = 0; i < n; i++)
                c->tokens[at++] = (uint32_t)fm_rng_below(&rng, r->config.vocabulary);
            c->longest = n > c->longest ? n : c->longest;
            c->starts[++c->sequences] = at;
        }
        c->unit_start[++c->units] = c->sequences;
    }
    if (most == 1) {
        free(c->unit_start);
        c->unit_start = NULL;
    }
}

static void make_decoder(text_rig *r, bool all, bool square)
{
    const fm_decoder_options o = {
        .max_tokens = 1,
        .train = all ? FM_TRAIN_ALL : FM_TRAIN_NONE,
        .adapters = { .rank = all ? 0 : RANK,
                      .alpha = 6.0,
                      .maps = FM_ADAPT_ALL & ~(unsigned)(FM_ADAPT_EXPERTS | FM_ADAPT_DENSE),
                      .square = square }
    };
    float *theta = decoder_random(&r->config, 3);
    fm_rng_seed seed;
    fm_rng rng = fm_rng_seeded(&seed, 9);

    need(fm_decoder_new(&r->config, &o, &r->d) == FM_OK &&
             fm_decoder_set(r->d, theta, fm_decoder_get_layout(r->d)->parameters) == FM_OK &&
             (all || fm_decoder_adapters_init(r->d, &rng) == FM_OK),
         "a decoder");
    free(theta);
}

/* Of a training of all weights those that the decoder has; else B, anything but 0. */
static void make_state(text_rig *r, bool all)
{
    fm_learner_facts facts;
    fm_rng_seed seed;
    fm_rng rng = fm_rng_seeded(&seed, 13);
    float *from = fm_decoder_weights(r->d);
    size_t at = 0;

    need(fm_learner_describe(&r->spec.learner, 1, &facts) == FM_OK, "a learner");
    r->parameters = facts.parameters;
    r->length = r->parameters + fm_train_tail_length(&r->spec.tail);
    need((r->state = calloc(r->length, sizeof *r->state)) != NULL, "memory");
    for (size_t i = 0; !all && i < r->parameters; i++)
        r->state[i] = (float)(0.3 * fm_rng_normal(&rng));
    for (size_t i = 0; all && i < fm_decoder_get_layout(r->d)->parameters; i++) {
        bool constant = false;

        for (size_t l = 0; l < r->config.layers; l++) {
            const size_t gap = fm_decoder_get_layout(r->d)->layer[l].correction;

            constant |= gap != FM_DECODER_ABSENT && i >= gap && i < gap + r->config.experts;
        }
        if (!constant)
            r->state[at++] = from[i];
    }
    need(!all || at == r->parameters, "the state of all weights");
}

void text_rig_open(text_rig *r, const text_rig_plan *p)
{
    const fm_dp_lattice_spec lattice = { .clip_norm = 1.0,
                                         .noise_multiplier = 0.0,
                                         .max_units = 4000,
                                         .nodes = 1,
                                         .quorum = 1,
                                         .encoding = p->encoding };

    memset(r, 0, sizeof *r);
    r->config = decoder_small(p->which);
    need(fm_dp_lattice_make(&lattice, &r->lattice) == FM_OK, "a lattice");
    make_corpus(r, p->people, p->most);
    make_decoder(r, p->all, p->square);
    r->spec = (fm_train_step_spec){ .learner = fm_learner_decoder(r->d, &r->corpus),
                                    .lattice = &r->lattice,
                                    .sampling_rate = 1.0,
                                    .unit_rows = p->most };
    if (p->tail) {
        r->spec.tail.clip_norm = true;
        r->spec.clip_share = 0.1;
    }
    make_state(r, p->all);
}

void text_rig_close(text_rig *r)
{
    fm_decoder_free(&r->d);
    free(r->corpus.tokens);
    free(r->corpus.starts);
    free(r->corpus.unit_start);
    free(r->state);
}

fm_train_step *text_rig_step(const text_rig *r, unsigned threads)
{
    fm_train_step_spec spec = r->spec;
    fm_train_step *s = NULL;

    spec.threads = threads;
    need(fm_train_step_new(&spec, &s) == FM_OK, "a step");
    return s;
}

int64_t *text_rig_sum(const text_rig *r, fm_train_step *s, uint64_t seed, size_t *dropped)
{
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, seed);
    const fm_train_step_input in = { .state = r->state, .rng = &rng };
    int64_t *out = calloc(r->length, sizeof *out);
    fm_dp_sum *sum = NULL;

    need(out != NULL, "memory");
    need(fm_train_step_run(s, &in, &sum) == FM_OK, "a run");
    fm_dp_sum_peek64_for_tests(sum, out);
    if (dropped)
        *dropped = fm_dp_sum_units_dropped(sum);
    return out;
}

/* Sequences [from, to) go; the units after them close up. */
static void cut(fm_corpus *c, size_t from, size_t to)
{
    const uint64_t gone = c->starts[to] - c->starts[from];

    memmove(c->tokens + c->starts[from], c->tokens + c->starts[to],
            (c->starts[c->sequences] - c->starts[to]) * sizeof *c->tokens);
    for (size_t i = to; i <= c->sequences; i++)
        c->starts[from + i - to] = c->starts[i] - gone;
    c->sequences -= to - from;
}

void text_rig_drop(text_rig *r, size_t person)
{
    fm_corpus *c = &r->corpus;
    size_t n = 1;

    if (c->unit_start) {
        n = c->unit_start[person + 1] - c->unit_start[person];
        cut(c, c->unit_start[person], c->unit_start[person + 1]);
        for (size_t u = person + 1; u < c->units; u++)
            c->unit_start[u] = c->unit_start[u + 1] - n;
    } else {
        cut(c, person, person + 1);
    }
    c->units--;
}

void text_rig_keep(text_rig *r, size_t first, size_t last)
{
    while (r->corpus.units > last)
        text_rig_drop(r, r->corpus.units - 1);
    while (first-- > 0)
        text_rig_drop(r, 0);
}
