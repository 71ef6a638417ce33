#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/node/step.h"

static void make_node(bench *b, unsigned i)
{
    bench_node *n = &b->node[i];
    uint8_t curve[FM_SESSION_KEY_BYTES];
    fm_node_round_config c = { 0 };

    fm_random_bytes(curve, sizeof curve);
    n->identity = the_world()->node[i];
    need(fm_dp_keypair_new(&n->keypair) == FM_OK, "a key pair");
    make_credential(n->identity, fm_dp_keypair_public(n->keypair), curve, &n->credential);
    c.identity = n->identity;
    c.trust = the_world()->trust;
    c.aggregator = b->aggregator;
    c.keypair = n->keypair;
    c.own = &n->credential;
    c.policy.min_cohort = 3;
    c.policy.min_colluders = 1;
    c.ports = double_ports(&n->ports);
    need(fm_node_round_new(&c, &n->machine) == FM_OK, "a machine");
}

static void free_node(bench_node *n)
{
    fm_node_round_free(&n->machine);
    fm_dp_keypair_free(&n->keypair);
}

static char *copy(const char *s)
{
    char *out = NULL;

    need(fm_strdup(s, &out) == FM_OK, "a copy");
    return out;
}

static void make_plan(bench *b)
{
    fm_plan *p = &b->plan;

    *p = (fm_plan){ .epsilon = 1.0,
                    .delta = 1e-4,
                    .clip_norm = 1.0,
                    .sampling_rate = 0.5,
                    .noise_multiplier = 2.0,
                    .rounds = 8,
                    .max_units = 1000,
                    .expected_units = 100,
                    .min_cohort = 3,
                    .quorum = 3,
                    .colluders = 1,
                    .max_nodes = NODES,
                    .word_bits = 32,
                    .mask_density = 256,
                    .parameters = P,
                    .optimizer = FM_OPTIMIZER_SGD,
                    .learning_rate = 0.1,
                    .adam_epsilon = 1e-3,
                    .encoding = FM_ENCODING_EXACT,
                    .schedule = FM_SCHEDULE_CONSTANT };
    (void)snprintf(p->federation, sizeof p->federation, FEDERATION);
    (void)snprintf(p->purpose, sizeof p->purpose, "heart disease risk");
    (void)snprintf(p->privacy_unit, sizeof p->privacy_unit, "record");
    p->max_unit_rows = 1;
    p->task = FM_TASK_TRAINING;
    p->noise = FM_NOISE_DISTRIBUTED;
    p->model_text = copy("width: 0\n");
    p->schema_text = copy("name: x\n");
    p->initial_model = b->model_hash;
    need(fm_plan_encode(p, &b->plan_bytes) == FM_OK, "a plan");
    b->plan_hash = fm_plan_hash(b->plan_bytes.data, b->plan_bytes.len);
}

/** Some finite weights, different in each round. */
static void make_model(bench *b, uint64_t round)
{
    for (unsigned i = 0; i < P; i++) {
        float v = (float)round + (float)i / 8.0f;
        uint32_t bits;

        memcpy(&bits, &v, sizeof bits);
        fm_put_u32le(b->model + 4 * i, bits);
    }
    b->model_hash = fm_model_digest(b->model, sizeof b->model);
}

void bench_init(bench *b)
{
    const uint8_t *der = NULL;
    size_t len = 0;
    fm_dp_lattice_spec spec;

    memset(b, 0, sizeof *b);
    make_model(b, 0);
    make_plan(b);
    spec = fm_node_lattice_spec(&b->plan);
    need(fm_dp_lattice_make(&spec, &b->lattice) == FM_OK, "a lattice");
    fm_identity_der(the_world()->aggregator, &der, &len);
    need(fm_peer_verify(the_world()->trust, der, len, FM_ROLE_AGGREGATOR, the_world()->now_s,
                        &b->aggregator) == FM_OK,
         "the aggregator");
    for (unsigned i = 0; i < NODES; i++) {
        double_init(&b->node[i].ports, i, &b->lattice);
        make_node(b, i);
        b->participants[i] = b->survivors[i] = i;
    }
    b->participant_count = b->survivor_count = NODES;
    fm_random_bytes(b->session.bytes, sizeof b->session.bytes);
    b->round = 1;
}

void bench_fini(bench *b)
{
    for (unsigned i = 0; i < NODES; i++) {
        free_node(&b->node[i]);
        double_fini(&b->node[i].ports);
    }
    fm_peer_free(&b->aggregator);
    fm_plan_fini(&b->plan);
    fm_buf_fini(&b->plan_bytes);
}

port_double *victim_ports(bench *b)
{
    return &b->node[VICTIM].ports;
}

fm_node_phase victim_phase(const bench *b)
{
    return fm_node_round_phase(b->node[VICTIM].machine);
}

void restart_victim(bench *b)
{
    free_node(&b->node[VICTIM]);
    double_restart(&b->node[VICTIM].ports);
    make_node(b, VICTIM);
}

fm_status hear_alone(bench *b, unsigned node, const bench_message *o)
{
    /* The clock's own time, not the world's: a list that is made now is of the future minutes ago. */
    return fm_node_round_take(b->node[node].machine, &o->m, fm_clock_wall_s() + b->wrong_s);
}

fm_status hear(bench *b, unsigned node, const bench_message *o)
{
    fm_status st = hear_alone(b, node, o);
    bench_message *piece;

    if (st != FM_OK || fm_node_round_phase(b->node[node].machine) != FM_NODE_WAIT_MODEL)
        return st;
    need((piece = calloc(1, sizeof *piece)) != NULL, "memory");
    say_piece(b, piece);
    st = hear_alone(b, node, piece);
    free(piece);
    return st;
}

void tell(bench *b, fm_msg_type what, bool spare_victim)
{
    bench_message *o = calloc(1, sizeof *o);

    need(o != NULL, "memory");
    say(b, what, o);
    for (unsigned i = 0; i < NODES; i++)
        if (!(spare_victim && i == VICTIM))
            CU_ASSERT_EQUAL(hear(b, i, o), FM_OK);
    free(o);
}

void reach(bench *b, fm_node_phase phase)
{
    static const fm_msg_type steps[] = { FM_MSG_PLAN_OFFER, FM_MSG_ROSTER, FM_MSG_ROUND_START,
                                         FM_MSG_SURVIVORS };
    static const fm_node_phase after[] = { FM_NODE_WAIT_ROSTER, FM_NODE_WAIT_START,
                                           FM_NODE_WAIT_SURVIVORS, FM_NODE_WAIT_COMMITS };

    if (phase == FM_NODE_FINISHED) {
        reach(b, FM_NODE_WAIT_START);
        tell(b, FM_MSG_FINISH, false);
    }
    for (unsigned i = 0; i < 4 && victim_phase(b) != phase; i++)
        if (victim_phase(b) < after[i])
            tell(b, steps[i], false);
    CU_ASSERT_EQUAL_FATAL(victim_phase(b), phase);
}

void finish_round(bench *b)
{
    fm_transcript_entry *e = &b->entries[b->entry_count];

    reach(b, FM_NODE_WAIT_COMMITS);
    tell(b, FM_MSG_COMMITS, false);
    e->round = b->round;
    e->commit_digest = bench_commit_digest(b);
    make_model(b, b->round);
    e->model_after = b->model_hash;
    b->head = fm_transcript_next(&b->head, e);
    b->entry_count++;
    next_round(b);
}

void next_round(bench *b)
{
    b->round++;
}

void check_lie_on(bench *b, fm_msg_type what, const char *word,
                  void (*change)(bench *b, bench_message *o))
{
    bench_message *o = calloc(1, sizeof *o);
    port_double *d = victim_ports(b);
    fm_node_phase phase = victim_phase(b);
    unsigned effects = d->count, refusals = d->refusals;

    need(o != NULL, "memory");
    say(b, what, o);
    change(b, o);
    CU_ASSERT_EQUAL(hear(b, VICTIM, o), FM_OK);
    CU_ASSERT_EQUAL(d->refusals, refusals + 1);
    CU_ASSERT_EQUAL(d->count, effects);
    CU_ASSERT_EQUAL(victim_phase(b), phase);
    CU_ASSERT_PTR_NOT_NULL(strstr(d->why, word));
    if (!strstr(d->why, word))
        printf("\n    not '%s' but: %s\n", word, d->why);
    say(b, what, o);
    CU_ASSERT_EQUAL(hear(b, VICTIM, o), FM_OK);
    CU_ASSERT_EQUAL(d->refusals, refusals + 1);
    CU_ASSERT(d->count > effects);
    free(o);
}

void check_lie(fm_msg_type what, const char *word, void (*change)(bench *b, bench_message *o))
{
    bench *b = calloc(1, sizeof *b);

    need(b != NULL, "memory");
    bench_init(b);
    switch (what) {
    case FM_MSG_ROSTER:
        reach(b, FM_NODE_WAIT_ROSTER);
        break;
    case FM_MSG_ROUND_START: /* of the second round: there is a transcript to lie about */
        reach(b, FM_NODE_WAIT_START);
        finish_round(b);
        break;
    case FM_MSG_SURVIVORS:
        reach(b, FM_NODE_WAIT_SURVIVORS);
        break;
    case FM_MSG_COMMITS:
        reach(b, FM_NODE_WAIT_COMMITS);
        break;
    case FM_MSG_FINISH:
        reach(b, FM_NODE_WAIT_START);
        finish_round(b);
        break;
    default:
        break;
    }
    check_lie_on(b, what, word, change);
    bench_fini(b);
    free(b);
}
