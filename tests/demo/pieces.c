#include "pieces.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the node's ports ---- */

static fm_status node_send(void *ctx, const fm_message *m)
{
    piece_node *n = ctx;

    if (m->type == FM_MSG_MODEL_WANT)
        n->down_ok = m->model_want.at;
    if (m->type == FM_MSG_UPDATE_PIECE) {
        n->up = m->update_piece.at + m->update_piece.piece.len;
        CU_ASSERT(n->up <= n->up_ok);
    }
    house_say(n->house, n->i, m);
    return FM_OK;
}

static fm_status node_use(void *ctx, uint64_t round)
{
    piece_node *n = ctx;

    n->last_used = round;
    n->up = 0;
    n->up_ok = FM_FIRST_PIECE_BYTES;
    return FM_OK;
}

static fm_status node_record(void *ctx, uint64_t round, const fm_hash *digest)
{
    (void)ctx;
    (void)round;
    (void)digest;
    return FM_OK;
}

static fm_status node_head(void *ctx, uint64_t round, const fm_hash *head)
{
    piece_node *n = ctx;

    n->finished_round = round;
    n->head = *head;
    return FM_OK;
}

static fm_status node_afford(void *ctx, uint64_t round)
{
    (void)ctx;
    (void)round;
    return FM_OK;
}

static fm_status node_charge(void *ctx, uint64_t round, fm_hash *head)
{
    (void)ctx;
    *head = fm_hash_of("a ledger", &round, sizeof round);
    return FM_OK;
}

static fm_status node_approve(void *ctx, const fm_plan *plan, const fm_hash *hash,
                              uint64_t *last_used, uint64_t *finished_round, fm_hash *head)
{
    piece_node *n = ctx;

    (void)plan;
    (void)hash;
    *last_used = n->last_used;
    *finished_round = n->finished_round;
    *head = n->head;
    return FM_OK;
}

static fm_status node_train(void *ctx, const uint8_t *model, const fm_dp_pairs *pairs,
                            const fm_dp_round *round, fm_dp_release **out)
{
    static float unit[WORDS];
    piece_node *n = ctx;
    fm_rng rng = fm_rng_system();
    fm_dp_sum *sum = NULL;
    fm_status st;

    (void)model;
    unit[n->i] = 1.0f;
    need(fm_dp_sum_new(&n->house->lattice, WORDS, &sum) == FM_OK, "a sum");
    need(fm_dp_sum_add_unit(sum, unit) == FM_OK, "a unit");
    unit[n->i] = 0.0f;
    st = fm_dp_release_make(sum, NULL, pairs, round, &rng, out);
    fm_dp_sum_free(&sum);
    return st;
}

static fm_status node_finished(void *ctx, const uint8_t *model, size_t len, uint64_t rounds)
{
    piece_node *n = ctx;

    CU_ASSERT_EQUAL_FATAL(len, SIZE);
    CU_ASSERT_EQUAL(rounds, n->house->entry_count);
    CU_ASSERT_EQUAL(memcmp(n->house->optimizer->weights, model, SIZE), 0);
    n->finished = true;
    return FM_OK;
}

static void make_machine(house *h, piece_node *n)
{
    const fm_node_round_config c = {
        .identity = the_world()->node[n->i],
        .trust = the_world()->trust,
        .aggregator = h->hub,
        .keypair = n->keys,
        .own = &n->credential,
        .policy = { .min_cohort = 3, .min_colluders = 0 },
        .ports = { .ctx = n,
                   .send = node_send,
                   .use_round = node_use,
                   .record_commit = node_record,
                   .record_release = node_record,
                   .record_head = node_head,
                   .can_afford = node_afford,
                   .charge = node_charge,
                   .approve_plan = node_approve,
                   .train = node_train,
                   .finished = node_finished },
    };

    need(fm_node_round_new(&c, &n->machine) == FM_OK, "a machine");
}

/* ---- the aggregator's ports ---- */

static void watch(piece_node *n, const fm_message *m)
{
    const uint64_t window = fm_plan_window_bytes(&n->house->plan);

    if (m->type == FM_MSG_MODEL_PIECE) {
        if (m->model_piece.at == 0)
            n->down_ok = 0;
        n->down = m->model_piece.at + m->model_piece.piece.len;
        CU_ASSERT(n->down - n->down_ok <= window);
        n->most_down = n->down > n->most_down ? n->down : n->most_down;
    }
}

static fm_status hub_send(void *ctx, const uint64_t *peers, size_t count, const fm_message *m)
{
    house *h = ctx;
    fm_buf bytes = { 0 };

    need(fm_message_encode(m, &bytes) == FM_OK, "an encoding");
    for (size_t i = 0; i < count; i++) {
        piece_node *n = &h->node[peers[i] - 1];

        if (!n->here)
            continue;
        watch(n, m);
        need(n->waiting < QUEUE, "room in a queue");
        need(fm_message_decode(bytes.data, bytes.len, &n->in[n->waiting++]) == FM_OK, "a message");
    }
    fm_buf_fini(&bytes);
    return FM_OK;
}

static void hub_drop(void *ctx, uint64_t peer, const char *reason)
{
    house *h = ctx;

    (void)snprintf(h->dropped[peer - 1], sizeof h->dropped[0], "%.250s", reason);
    h->node[peer - 1].here = false;
}

static fm_status hub_next(void *ctx, uint64_t *round)
{
    *round = ++((house *)ctx)->rounds;
    return FM_OK;
}

static void hub_entries(void *ctx, uint64_t round, const fm_transcript_entry **entries,
                        uint32_t *count)
{
    house *h = ctx;
    uint32_t first = 0;

    while (first < h->entry_count && h->entries[first].round <= round)
        first++;
    *entries = h->entries + first;
    *count = h->entry_count - first;
}

static fm_status hub_finish(void *ctx, const fm_transcript_entry *e, fm_bytes record,
                            const fm_optimizer *o)
{
    house *h = ctx;

    (void)record;
    (void)o;
    need(h->entry_count < 8, "room for entries");
    h->entries[h->entry_count++] = *e;
    return FM_OK;
}

static void hub_random(void *ctx, void *out, size_t len)
{
    (void)ctx;
    fm_random_bytes(out, len);
}

static fm_status hub_keep_mark(void *ctx, const char *name, const fm_ledger_mark *mark)
{
    (void)ctx;
    (void)name;
    (void)mark;
    return FM_OK;
}

static void hub_find_mark(void *ctx, const char *name, bool *found, fm_ledger_mark *mark)
{
    (void)ctx;
    (void)name;
    (void)mark;
    *found = false;
}

static fm_status hub_put(void *ctx, uint32_t index, size_t size, uint64_t at, fm_bytes piece)
{
    return fm_spool_put(((house *)ctx)->spool, index, size, at, piece);
}

static fm_status hub_get(void *ctx, uint32_t index, uint64_t at, uint8_t *out, size_t len)
{
    return fm_spool_get(((house *)ctx)->spool, index, at, out, len);
}

static void hub_drop_pieces(void *ctx, uint32_t index)
{
    fm_spool_drop(((house *)ctx)->spool, index);
}

static fm_status hub_roster(void *ctx, const fm_msg_roster *r)
{
    (void)ctx;
    (void)r;
    return FM_OK;
}

static void hub_result(void *ctx, uint64_t peer)
{
    house *h = ctx;

    CU_ASSERT(h->node[peer - 1].finished); /* never before it is kept */
    h->results++;
}

static void hub_ended(void *ctx, uint64_t round, bool finished, uint32_t survivors,
                      uint32_t participants, const char *reason)
{
    house *h = ctx;

    (void)round;
    (void)participants;
    (void)reason;
    h->abandoned += !finished;
    h->survivors = survivors;
}

/* ---- life ---- */

static void make_plan(house *h, uint32_t rounds, const float *first)
{
    fm_plan *p = &h->plan;

    *p = (fm_plan){
        .federation = FEDERATION,
        .purpose = "tests",
        .privacy_unit = "record",
        .max_unit_rows = 1,
        .task = FM_TASK_TRAINING,
        .noise = FM_NOISE_DISTRIBUTED,
        .epsilon = 1000.0,
        .delta = 1e-4,
        .clip_norm = 1.0,
        .sampling_rate = 1.0,
        .rounds = rounds,
        .max_units = 64,
        .expected_units = 1.0,
        .min_cohort = 3,
        .quorum = 3,
        .max_nodes = NODES,
        .word_bits = 32,
        .mask_density = 256,
        .parameters = WORDS,
        .initial_model = fm_model_digest(first, SIZE),
        .optimizer = FM_OPTIMIZER_SGD,
        .learning_rate = 1.0,
        .adam_epsilon = 1e-3,
        .encoding = FM_ENCODING_EXACT,
        .schedule = FM_SCHEDULE_CONSTANT,
    };
    need(fm_strdup("model", &p->model_text) == FM_OK &&
             fm_strdup("schema", &p->schema_text) == FM_OK &&
             fm_plan_encode(p, &h->plan_bytes) == FM_OK,
         "a plan");
}

void house_make(house *h, uint32_t rounds)
{
    static const float first[WORDS];
    const uint8_t *der = NULL;
    fm_dp_lattice_spec spec;
    size_t len = 0;

    memset(h, 0, sizeof *h);
    h->now_ms = 1000;
    make_plan(h, rounds, first);
    spec = fm_replay_lattice_spec(&h->plan);
    fm_identity_der(the_world()->aggregator, &der, &len);
    need(fm_dp_lattice_make(&spec, &h->lattice) == FM_OK &&
             fm_replay_optimizer_new(&h->plan, first, WORDS, &h->optimizer) == FM_OK &&
             fm_spool_new(the_world()->root, NODES, &h->spool) == FM_OK &&
             fm_peer_verify(the_world()->trust, der, len, FM_ROLE_AGGREGATOR, the_world()->now_s,
                            &h->hub) == FM_OK,
         "a house");

    const fm_coordinator_config c = {
        .plan = &h->plan,
        .plan_bytes = h->plan_bytes.data,
        .plan_len = h->plan_bytes.len,
        .identity = the_world()->aggregator,
        .trust = the_world()->trust,
        .optimizer = h->optimizer,
        .join_ms = 10,
        .phase_ms = ROUND_MS,
        .ports = { .ctx = h,
                   .send = hub_send,
                   .drop = hub_drop,
                   .next_round = hub_next,
                   .entries_after = hub_entries,
                   .finish_round = hub_finish,
                   .random = hub_random,
                   .keep_mark = hub_keep_mark,
                   .find_mark = hub_find_mark,
                   .put_piece = hub_put,
                   .get_piece = hub_get,
                   .drop_pieces = hub_drop_pieces,
                   .keep_roster = hub_roster,
                   .has_result = hub_result,
                   .round_ended = hub_ended },
    };

    need(fm_coordinator_new(&c, &h->c) == FM_OK, "a coordinator");
    for (uint32_t i = 0; i < NODES; i++)
        h->node[i] = (piece_node){ .house = h, .i = i };
}

static void empty(piece_node *n)
{
    for (uint32_t i = 0; i < n->waiting; i++)
        fm_message_free(&n->in[i]);
    n->waiting = 0;
    fm_node_round_free(&n->machine);
    fm_dp_keypair_free(&n->keys);
}

void house_end(house *h)
{
    fm_coordinator_free(&h->c);
    for (uint32_t i = 0; i < NODES; i++)
        empty(&h->node[i]);
    fm_spool_free(&h->spool);
    fm_optimizer_free(&h->optimizer);
    fm_peer_free(&h->hub);
    fm_buf_fini(&h->plan_bytes);
    fm_plan_fini(&h->plan);
}

/* ---- what happens ---- */

void house_join(house *h, uint32_t i)
{
    piece_node *n = &h->node[i];
    uint8_t curve[FM_SESSION_KEY_BYTES];

    empty(n);
    fm_random_bytes(curve, sizeof curve);
    need(fm_dp_keypair_new(&n->keys) == FM_OK, "keys");
    make_credential(the_world()->node[i], fm_dp_keypair_public(n->keys), curve, &n->credential);
    need(fm_statement_decode(n->credential.statement, n->credential.statement_len, &n->statement) ==
             FM_OK,
         "a statement");
    make_machine(h, n);
    n->here = n->reads = true;
    n->says_left = -1;
    n->down = n->down_ok = n->most_down = n->up = n->up_ok = 0;
    CU_ASSERT_EQUAL(fm_coordinator_joined(h->c, i + 1, &n->credential, &n->statement, h->now_ms,
                                          the_world()->now_s),
                    FM_OK);
}

void house_leave(house *h, uint32_t i)
{
    h->node[i].here = false;
    CU_ASSERT_EQUAL(fm_coordinator_gone(h->c, i + 1, h->now_ms), FM_OK);
}

void house_say(house *h, uint32_t i, const fm_message *m)
{
    piece_node *n = &h->node[i];

    if (!n->here || n->says_left == 0)
        return;
    n->says_left -= n->says_left > 0;
    CU_ASSERT_EQUAL(fm_coordinator_take(h->c, i + 1, m, h->now_ms, the_world()->now_s), FM_OK);
}

static bool read_one(piece_node *n)
{
    fm_message *m;

    if (!n->here || !n->reads || n->waiting == 0)
        return false;
    m = n->in[0];
    memmove(n->in, n->in + 1, --n->waiting * sizeof *n->in);
    if (m->type == FM_MSG_UPDATE_WANT && m->update_want.round == n->last_used)
        n->up_ok = m->update_want.until;
    CU_ASSERT_EQUAL(fm_node_round_take(n->machine, m, the_world()->now_s), FM_OK);
    fm_message_free(&m);
    return true;
}

void house_run(house *h)
{
    bool some = true;

    while (some) {
        some = false;
        for (uint32_t i = 0; i < NODES; i++)
            some |= read_one(&h->node[i]);
    }
}

void house_tick(house *h, uint64_t ms)
{
    h->now_ms += ms;
    CU_ASSERT_EQUAL(fm_coordinator_tick(h->c, h->now_ms, the_world()->now_s), FM_OK);
}

float house_sums(const house *h, uint32_t i)
{
    return -h->optimizer->weights[i];
}

uint32_t house_stray(const house *h)
{
    uint32_t stray = 0;

    for (uint32_t i = NODES; i < WORDS; i++)
        stray += h->optimizer->weights[i] != 0.0f;
    return stray;
}
