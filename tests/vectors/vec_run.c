#include "vec_run.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "fedmoe/replay/replay.h"
#include "mask_internal.h"

const uint32_t vec_run_all[RUN_NODES] = { 0, 1, 2 };

static vec_run runs[3]; /* 16, 24 and 32 bits */
static vec_run *run;    /* that is being made */

/* ---- randomness that is none ---- */

static const uint8_t *next_secret;

static void give_secret(void *const out, const size_t len)
{
    memset(out, 0, len);
    memcpy(out, next_secret, len < 32 ? len : 32);
}

static const char *generator_name(void)
{
    return "fixed";
}

static uint32_t zero(void)
{
    return 0;
}

/* Key pairs come from the system's generator alone; here it is a fixed one for that long. */
static void make_keypair(const uint8_t secret[32], fm_dp_keypair **out)
{
    static randombytes_implementation fixed = { .implementation_name = generator_name,
                                                .random = zero,
                                                .buf = give_secret };

    next_secret = secret;
    (void)randombytes_set_implementation(&fixed);
    vec_need(fm_dp_keypair_new(out) == FM_OK, "key pair");
    (void)randombytes_set_implementation(&randombytes_sysrandom_implementation);
}

typedef struct {
    uint64_t drawn;
    uint8_t seeds[8][32];
} draws;

static void draw(void *state, void *out, size_t len)
{
    draws *d = state;
    const fm_hash h = fm_hash_of("fedmoe vectors", &d->drawn, sizeof d->drawn);

    if (len == 1) { /* where ties go */
        memcpy(out, h.bytes, 1);
        return;
    }
    vec_need(len == 32, "a draw of another length");
    memcpy(out, h.bytes, len);
    memcpy(d->seeds[d->drawn++ % 8], h.bytes, len);
}

/* ---- before the first round ---- */

static void put_floats(uint8_t *out, const float *in)
{
    for (size_t i = 0; i < VEC_RUN_WORDS; i++) {
        uint32_t bits;

        memcpy(&bits, in + i, sizeof bits);
        fm_put_u32le(out + 4 * i, bits);
    }
}

static void make_plan(unsigned word_bits)
{
    float weights[VEC_RUN_WORDS];
    uint8_t bytes[4 * VEC_RUN_WORDS];
    fm_dp_lattice_spec spec;
    fm_hash model;

    for (size_t i = 0; i < VEC_RUN_WORDS; i++)
        weights[i] = ((float)i - 5.0f) / 8.0f;
    put_floats(bytes, weights);
    model = fm_model_digest(bytes, sizeof bytes);
    run->plan = vec_plan_run(&model, word_bits);
    fm_buf_init(&run->plan_bytes, FM_MAX_PLAN_BYTES);
    vec_need(fm_plan_encode(&run->plan, &run->plan_bytes) == FM_OK, "plan");
    run->plan_hash = fm_plan_hash(run->plan_bytes.data, run->plan_bytes.len);
    spec = fm_replay_lattice_spec(&run->plan);
    vec_need(fm_dp_lattice_make(&spec, &run->lattice) == FM_OK, "lattice");
    vec_need(fm_dp_shares_new(&run->lattice, RUN_NODES, &run->shares) == FM_OK, "shares");
    vec_need(fm_replay_optimizer_new(&run->plan, weights, VEC_RUN_WORDS, &run->optimizer) == FM_OK,
             "optimizer");
}

static void make_roster(void)
{
    fm_dp_keypair *keys[RUN_NODES] = { NULL };
    fm_dp_roster r = { .federation = run->plan.federation, .members = RUN_NODES };

    for (unsigned u = 0; u < RUN_NODES; u++) {
        const fm_hash secret = vec_count(0x40 + 3 * u);

        memcpy(run->secret[u], secret.bytes, 32);
        make_keypair(run->secret[u], &keys[u]);
        memcpy(run->public_keys[u], fm_dp_keypair_public(keys[u]), 32);
        run->members[u] = vec_session((vec_party)u, run->public_keys[u]);
    }
    run->hub = vec_session(VEC_HUB, NULL);
    run->roster = (fm_msg_roster){ .members = run->members, .count = RUN_NODES };
    vec_fill(run->roster.session.bytes, FM_SESSION_BYTES, 21);
    run->roster_hash = fm_roster_digest(&run->roster);
    memcpy(r.session, run->roster.session.bytes, sizeof r.session);
    r.roster = run->roster_hash;
    r.public_keys = (const uint8_t(*)[FM_DP_KEY_BYTES])run->public_keys;
    for (unsigned u = 0; u < RUN_NODES; u++) {
        r.self = u;
        vec_need(fm_dp_pairs_new(keys[u], &r, &run->pairs[u]) == FM_OK, "pairs");
        fm_dp_keypair_free(&keys[u]);
    }
}

/* ---- a round ---- */

fm_msg_round_start vec_run_start(const vec_run *of, const run_round *r)
{
    return (fm_msg_round_start){ .round = r->number,
                                 .session = of->roster.session,
                                 .roster_hash = of->roster_hash,
                                 .plan_hash = of->plan_hash,
                                 .model_hash = r->model_before,
                                 .participants = vec_run_all,
                                 .participant_count = RUN_NODES,
                                 .head = r->head_before,
                                 .signature = r->start_signature };
}

fm_round_view vec_run_view(const vec_run *of, const run_round *r)
{
    return (fm_round_view){ .federation = of->plan.federation,
                            .session = of->roster.session,
                            .roster = of->roster_hash,
                            .plan = of->plan_hash,
                            .model = r->model_before,
                            .head = r->head_before,
                            .round = r->number,
                            .participants = vec_run_all,
                            .participant_count = RUN_NODES };
}

/* Multiples of the lattice's step and shorter than the clip norm: nothing is rounded or clipped. */
static void make_units(run_node *n, unsigned u, uint64_t round)
{
    for (unsigned k = 0; k < RUN_UNITS; k++)
        for (unsigned i = 0; i < VEC_RUN_WORDS; i++)
            n->units[k][i] =
                ((float)((7 * u + 5 * i + 3 * k + (unsigned)round) % 13) - 6.0f) / 32.0f;
}

static void release_of(run_round *r, unsigned u, fm_dp_release **out, draws *d)
{
    const fm_dp_round round = { .round = r->number,
                                .plan = run->plan_hash,
                                .model = r->model_before,
                                .participants = vec_run_all,
                                .participant_count = RUN_NODES,
                                .mask_density = run->plan.mask_density };
    fm_rng rng = { draw, d };
    run_node *n = &r->nodes[u];
    fm_dp_sum *sum = NULL;

    r->context = fm_dp_round_context(&round);
    vec_need(fm_dp_sum_new(&run->lattice, VEC_RUN_WORDS, &sum) == FM_OK, "sum");
    for (unsigned k = 0; k < RUN_UNITS; k++)
        vec_need(fm_dp_sum_add_unit(sum, n->units[k]) == FM_OK, "unit");
    fm_dp_sum_peek_for_tests(sum, n->sum);
    fm_dp_release_keep_noise_for_tests(1);
    vec_need(fm_dp_release_make(sum, run->shares, run->pairs[u], &round, &rng, out) == FM_OK,
             "release");
    for (unsigned l = 0; l < RUN_LEVELS; l++)
        memcpy(n->noise[l], fm_dp_release_noise_for_tests(*out, l), sizeof n->noise[l]);
    fm_dp_sum_free(&sum);
}

/* What a node adds its masks to: for who writes another one. */
static void take_masks_off(run_node *n, unsigned u)
{
    const unsigned bits = run->lattice.word_bits;
    uint32_t words[VEC_RUN_WORDS] = { 0 };
    fm_status st = fm_dp_sum_words(bits, words, VEC_RUN_WORDS, n->update, n->update_bytes);

    if (st == FM_OK)
        st = fm_dp_mask_apply(bits, words, VEC_RUN_WORDS, n->self_seed, -1);
    for (unsigned v = 0; st == FM_OK && v < RUN_NODES; v++)
        if (v != u)
            st = fm_dp_mask_apply(bits, words, VEC_RUN_WORDS, n->pair_seeds[v],
                                  -fm_dp_mask_sign(u, v));
    vec_need(st == FM_OK, "masks");
    for (size_t i = 0; i < VEC_RUN_WORDS; i++)
        n->unmasked[i] = fm_dp_sum_word(bits, words, i);
}

static void make_update(run_round *r, unsigned u, fm_dp_release **out)
{
    draws d = { .drawn = 100 * r->number + 10 * u };
    const uint64_t first = d.drawn;
    const fm_round_view view = vec_run_view(run, r);
    run_node *n = &r->nodes[u];
    const uint8_t *bytes;
    size_t len;

    release_of(r, u, out, &d);
    vec_need(d.drawn - first == RUN_LEVELS + 1, "as many draws as levels and one");
    for (unsigned l = 0; l < RUN_LEVELS; l++)
        memcpy(n->level_seeds[l], d.seeds[(first + l) % 8], 32);
    memcpy(n->self_seed, d.seeds[(first + RUN_LEVELS) % 8], 32);
    for (unsigned v = 0; v < RUN_NODES; v++)
        if (v != u)
            vec_need(fm_dp_mask_seed(fm_dp_pairs_secret(run->pairs[u], v), &r->context,
                                     n->pair_seeds[v]) == FM_OK,
                     "mask seed");
    fm_dp_release_bytes(*out, &bytes, &len);
    vec_need(len == VEC_RUN_WORDS * fm_dp_word_bytes(run->lattice.word_bits), "update");
    memcpy(n->update, bytes, len);
    n->update_bytes = len;
    take_masks_off(n, u);
    n->update_hash = fm_update_bytes_digest(bytes, len);
    n->update_digest = fm_update_digest(&view, u, &n->update_hash);
    n->update_signature = vec_sign((vec_party)u, FM_LABEL_UPDATE, &n->update_digest);
}

static void agree(run_round *r)
{
    const fm_round_view view = vec_run_view(run, r);
    uint32_t count = 0;

    for (unsigned u = 0; u < RUN_NODES; u++)
        if (r->nodes[u].survives) {
            r->survivors[count] = u;
            r->update_hashes[count] = r->nodes[u].update_hash;
            r->update_signatures[count++] = r->nodes[u].update_signature;
        }
    r->survivor_count = count;
    r->commit = fm_commit_digest(&view, r->survivors, r->update_hashes, count);
    for (uint32_t i = 0; i < count; i++)
        r->commit_signatures[i] = r->nodes[r->survivors[i]].commit_signature =
            vec_sign((vec_party)r->survivors[i], FM_LABEL_COMMIT, &r->commit);
}

static void disclose(run_round *r, unsigned u, fm_dp_release *release)
{
    run_node *n = &r->nodes[u];
    fm_dp_unmask *unmask = NULL;
    fm_hash mark;

    n->ledger_head = vec_count(0xa0 + 16 * (unsigned)r->number + u);
    mark = fm_ledger_mark_digest(run->plan.federation, &run->plan_hash, r->number, &n->ledger_head);
    vec_need(fm_dp_release_unmask(release, r->survivors, r->survivor_count, &unmask) == FM_OK,
             "unmask");
    n->unmask = *unmask;
    fm_dp_unmask_free(&unmask);
    n->release =
        (fm_msg_release){ .round = r->number,
                          .lost = n->unmask.lost,
                          .pair_seeds = (const uint8_t(*)[FM_SEED_BYTES])n->unmask.pair_seeds,
                          .lost_count = n->unmask.lost_count,
                          .surplus_seeds = (const uint8_t(*)[FM_SEED_BYTES])n->unmask.surplus_seeds,
                          .surplus_count = n->unmask.surplus_count,
                          .ledger_head = n->ledger_head,
                          .ledger_signature = vec_sign((vec_party)u, FM_LABEL_LEDGER_MARK, &mark) };
    memcpy(n->release.self_seed, n->unmask.self_seed, FM_SEED_BYTES);
}

static void add_up(run_round *r)
{
    const unsigned bits = run->lattice.word_bits;
    const fm_replay_sum sum = { .lattice = &run->lattice,
                                .shares = run->shares,
                                .round = r->number,
                                .survivors = r->survivor_count,
                                .mask_density = run->plan.mask_density,
                                .sum = r->words,
                                .words = VEC_RUN_WORDS };

    for (uint32_t i = 0; i < r->survivor_count; i++) {
        const run_node *n = &r->nodes[r->survivors[i]];

        vec_need(fm_dp_sum_words(bits, r->words, VEC_RUN_WORDS, n->update, n->update_bytes) ==
                     FM_OK,
                 "sum");
        vec_need(fm_replay_unmask(&sum, r->survivors[i], &n->release) == FM_OK, "unmask");
    }
    for (size_t i = 0; i < VEC_RUN_WORDS; i++)
        r->unmasked[i] = fm_dp_sum_word(bits, r->words, i);
    fm_dp_decode_sum(&run->lattice, r->words, VEC_RUN_WORDS, r->gradient);
    vec_need(fm_replay_step(&sum, run->optimizer) == FM_OK, "step");
    put_floats(r->model_after, run->optimizer->weights);
}

static void make_round(run_round *r, uint64_t number, const fm_hash *head, unsigned lost)
{
    fm_dp_release *releases[RUN_NODES] = { NULL };
    fm_msg_round_start start;

    r->number = number;
    r->head_before = *head;
    put_floats(r->model_bytes, run->optimizer->weights);
    r->model_before = fm_model_digest(r->model_bytes, sizeof r->model_bytes);
    start = vec_run_start(run, r);
    r->start_digest = fm_round_start_digest(run->plan.federation, &start);
    r->start_signature = vec_sign(VEC_HUB, FM_LABEL_ROUND_START, &r->start_digest);
    for (unsigned u = 0; u < RUN_NODES; u++) {
        r->nodes[u].survives = u != lost;
        make_units(&r->nodes[u], u, number);
        make_update(r, u, &releases[u]);
    }
    agree(r);
    for (unsigned u = 0; u < RUN_NODES; u++) {
        if (r->nodes[u].survives)
            disclose(r, u, releases[u]);
        fm_dp_release_free(&releases[u]);
    }
    add_up(r);
    r->entry = (fm_transcript_entry){
        .round = number,
        .commit_digest = r->commit,
        .model_after = fm_model_digest(r->model_after, sizeof r->model_after),
    };
    r->head_after = fm_transcript_next(&r->head_before, &r->entry);
}

static void forget(void)
{
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        for (unsigned u = 0; u < RUN_NODES; u++)
            fm_dp_pairs_free(&runs[i].pairs[u]);
        fm_dp_shares_free(&runs[i].shares);
        fm_optimizer_free(&runs[i].optimizer);
        fm_buf_fini(&runs[i].plan_bytes);
    }
}

const vec_run *vec_run_get(unsigned word_bits)
{
    static bool registered;
    const fm_hash none = { { 0 } };

    run = &runs[word_bits / 8 - 2];
    if (!run->optimizer) {
        make_plan(word_bits);
        make_roster();
        make_round(&run->rounds[0], 3, &none, 1);
        make_round(&run->rounds[1], 5, &run->rounds[0].head_after, RUN_NODES);
    }
    if (!registered)
        registered = atexit(forget) == 0;
    return run;
}
