#include "federation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/clock.h"

#define DIR_CAP 512

const fm_trust *fed_trust;
const fm_identity *fed_hub;
static fm_identity *people[PEOPLE];
static char ca_dir[DIR_CAP];

void need(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "cannot prepare the test: %s: %s\n", what, fm_error_text());
    exit(1);
}

/* ---- certificates, once for all tests ---- */

static void name_of(uint32_t i, char out[16])
{
    if (i < 26)
        (void)snprintf(out, 16, "node-%c", (char)('a' + (int)i));
    else
        (void)snprintf(out, 16, "node-%u", (unsigned)i);
}

static void issue(const char *root, fm_role role, const char *name, char out[DIR_CAP])
{
    const fm_ca_request r = { .role = role, .name = name, .type = FM_KEY_ED25519, .days = 30 };
    int n = snprintf(out, DIR_CAP, "%s/%s", root, name);

    need(n > 0 && n < DIR_CAP && fm_ca_issue(ca_dir, &r, out) == FM_OK, "issue");
}

static void make_people(void)
{
    static fm_trust *trust;
    static fm_identity *hub;
    char root[DIR_CAP - 64], dir[DIR_CAP], name[16];

    if (fed_hub)
        return;
    fm_test_tmpdir(root, sizeof root);
    (void)snprintf(ca_dir, sizeof ca_dir, "%s/ca", root);
    need(fm_ca_new(ca_dir, "heart", FM_KEY_ED25519, 365) == FM_OK, "ca");
    issue(root, FM_ROLE_AGGREGATOR, "hub", dir);
    need(fm_identity_load(dir, &hub) == FM_OK && fm_trust_load(dir, &trust) == FM_OK, "hub");
    for (uint32_t i = 0; i < PEOPLE; i++) {
        name_of(i, name);
        issue(root, FM_ROLE_NODE, name, dir);
        need(fm_identity_load(dir, &people[i]) == FM_OK, name);
    }
    fed_hub = hub;
    fed_trust = trust;
}

const char *fed_ca(void)
{
    return ca_dir;
}

fm_trust *fed_trust_without(uint32_t i)
{
    fm_trust *t = NULL;
    char name[16];

    name_of(i, name);
    need(fm_ca_revoke(ca_dir, name) == FM_OK && fm_trust_load(ca_dir, &t) == FM_OK, "revoke");
    return t;
}

/* ---- ports ---- */

static node *by_peer(federation *f, uint64_t peer)
{
    for (uint32_t i = 0; i < PEOPLE; i++)
        if (f->nodes[i].peer == peer)
            return &f->nodes[i];
    return NULL;
}

/* Through the codec: what could not travel fails the test. */
static fm_status port_send(void *ctx, const uint64_t *peers, size_t count, const fm_message *m)
{
    federation *f = ctx;
    fm_buf bytes = { 0 };

    f->sent[m->type] += (uint32_t)count;
    need(fm_message_encode(m, &bytes) == FM_OK, "encode");
    for (size_t i = 0; i < count; i++) {
        node *to = by_peer(f, peers[i]);

        CU_ASSERT_NOT_EQUAL(peers[i], 0);
        if (!to)
            continue;
        need(to->waiting < INBOX, "inbox");
        need(fm_message_decode(bytes.data, bytes.len, &to->inbox[to->waiting++]) == FM_OK,
             "decode");
    }
    fm_buf_fini(&bytes);
    return FM_OK;
}

static void port_drop(void *ctx, uint64_t peer, const char *reason)
{
    federation *f = ctx;
    node *n = by_peer(f, peer);
    dropped *d = &f->drops[f->drop_count++];

    need(f->drop_count < LOG_CAP, "drops");
    d->peer = peer;
    (void)snprintf(d->text, sizeof d->text, "%s", reason);
    if (n)
        n->peer = 0;
}

static fm_status port_next(void *ctx, uint64_t *round)
{
    federation *f = ctx;

    if (f->next_fails != FM_OK)
        return fm_fail(f->next_fails, "the test says so");
    *round = ++f->last_given;
    return FM_OK;
}

static void port_entries(void *ctx, uint64_t round, const fm_transcript_entry **entries,
                         uint32_t *count)
{
    federation *f = ctx;
    uint32_t first = 0;

    while (first < f->entry_count && f->entries[first].round <= round)
        first++;
    *entries = f->entries + first;
    *count = f->entry_count - first;
}

static fm_status port_finish(void *ctx, const fm_transcript_entry *e, fm_bytes record,
                             const fm_optimizer *o)
{
    federation *f = ctx;
    fm_hash now = fm_model_digest(o->weights, o->n * sizeof *o->weights);

    if (f->finish_fails != FM_OK)
        return fm_fail(f->finish_fails, "the test says so");
    CU_ASSERT(fm_hash_equal(&now, &e->model_after));
    fed_check_record(f, e, record);
    if (f->keeper)
        f->keeper->finish(f->keeper->ctx, record);
    f->entries[f->entry_count++] = *e;
    f->head = fm_transcript_next(&f->head, e);
    return FM_OK;
}

static void port_random(void *ctx, void *out, size_t len)
{
    federation *f = ctx;

    f->rng.fill(f->rng.state, out, len);
}

static fm_status port_keep_mark(void *ctx, const char *name, const fm_ledger_mark *mark)
{
    federation *f = ctx;
    uint32_t i = 0;

    while (i < f->mark_count && strcmp(f->marks[i].name, name) != 0)
        i++;
    need(i < PEOPLE && mark->signature.len <= FM_SIGNATURE_MAX, "marks");
    f->mark_count += i == f->mark_count;
    (void)snprintf(f->marks[i].name, sizeof f->marks[i].name, "%s", name);
    memcpy(f->marks[i].signature, mark->signature.data, mark->signature.len);
    f->marks[i].mark = *mark;
    f->marks[i].mark.signature.data = f->marks[i].signature;
    return FM_OK;
}

static void port_find_mark(void *ctx, const char *name, bool *found, fm_ledger_mark *mark)
{
    federation *f = ctx;

    *found = false;
    for (uint32_t i = 0; i < f->mark_count; i++)
        if (strcmp(f->marks[i].name, name) == 0) {
            *mark = f->marks[i].mark;
            *found = true;
        }
}

/* ---- pieces of updates ---- */

static fm_status port_put(void *ctx, uint32_t index, size_t size, uint64_t at, fm_bytes piece)
{
    federation *f = ctx;

    need(index < PEOPLE && size <= sizeof f->pieces[0] && at + piece.len <= size, "a piece");
    memcpy(f->pieces[index] + at, piece.data, piece.len);
    return FM_OK;
}

static fm_status port_get(void *ctx, uint32_t index, uint64_t at, uint8_t *out, size_t len)
{
    federation *f = ctx;

    need(index < PEOPLE && at + len <= sizeof f->pieces[0], "bytes of an update");
    memcpy(out, f->pieces[index] + at, len);
    return FM_OK;
}

static void port_drop_pieces(void *ctx, uint32_t index)
{
    federation *f = ctx;

    need(index < PEOPLE, "a place");
    memset(f->pieces[index], 0xee, sizeof f->pieces[index]);
    f->dropped_pieces++;
}

static void port_has_result(void *ctx, uint64_t peer)
{
    (void)peer;
    ((federation *)ctx)->results++;
}

static void port_note(void *ctx, const char *text)
{
    federation *f = ctx;

    if (f->note_count < LOG_CAP)
        (void)snprintf(f->notes[f->note_count++], sizeof f->notes[0], "%.159s", text);
}

static void port_ended(void *ctx, uint64_t round, bool finished, uint32_t survivors,
                       uint32_t participants, const char *reason)
{
    federation *f = ctx;
    ended *e = &f->rounds[f->round_count++];

    need(f->round_count < LOG_CAP, "rounds");
    *e = (ended){ round, finished, survivors, participants, "" };
    (void)snprintf(e->reason, sizeof e->reason, "%.127s", reason);
}

/* ---- life ---- */

static void make_plan(federation *f, const spec *s, const float first[PARAMETERS])
{
    fm_plan *p = &f->plan;

    *p = (fm_plan){
        .federation = "heart",
        .purpose = "tests",
        .privacy_unit = "record",
        .max_unit_rows = 1,
        .task = FM_TASK_TRAINING,
        .noise = s->local_noise ? FM_NOISE_LOCAL : FM_NOISE_DISTRIBUTED,
        .epsilon = s->no_noise ? 1000.0 : 1.0,
        .delta = 1e-4,
        .clip_norm = 1.0,
        .sampling_rate = 1.0,
        .noise_multiplier = s->no_noise ? 0.0 : 2.0,
        .rounds = s->rounds,
        .max_units = s->max_units ? s->max_units : 64,
        .expected_units = 1.0,
        .min_cohort = s->min_cohort,
        .quorum = s->quorum,
        .colluders = s->colluders,
        .max_nodes = s->max_nodes,
        .word_bits = s->word_bits ? s->word_bits : 32,
        .mask_density = s->mask_density ? s->mask_density : FM_PLAN_DENSITY_ALL,
        .robust_groups = s->groups,
        .robust_quorum = s->group_quorum,
        .robust_mean = s->mean,
        .parameters = PARAMETERS,
        .initial_model = fm_model_digest(first, PARAMETERS * sizeof *first),
        .optimizer = FM_OPTIMIZER_SGD,
        .learning_rate = 1.0,
        .adam_epsilon = 1e-3,
        .encoding = FM_ENCODING_EXACT,
        .schedule = FM_SCHEDULE_CONSTANT,
    };
    need(fm_strdup("model", &p->model_text) == FM_OK &&
             fm_strdup("schema", &p->schema_text) == FM_OK &&
             fm_plan_encode(p, &f->plan_bytes) == FM_OK,
         "plan");
}

static void make_coordinator(federation *f, uint32_t join_ms)
{
    const fm_coordinator_config c = {
        .plan = &f->plan,
        .plan_bytes = f->plan_bytes.data,
        .plan_len = f->plan_bytes.len,
        .identity = fed_hub,
        .trust = fed_trust,
        .optimizer = f->optimizer,
        .finished = f->entry_count,
        .last_round = f->entry_count ? f->entries[f->entry_count - 1].round : 0,
        .head = f->head,
        .join_ms = join_ms,
        .phase_ms = PHASE_MS,
        .ports = { .ctx = f,
                   .send = port_send,
                   .drop = port_drop,
                   .next_round = port_next,
                   .entries_after = port_entries,
                   .finish_round = port_finish,
                   .random = port_random,
                   .keep_mark = port_keep_mark,
                   .find_mark = port_find_mark,
                   .put_piece = port_put,
                   .get_piece = port_get,
                   .drop_pieces = port_drop_pieces,
                   .keep_roster = fed_keep_roster,
                   .keep_update = fed_keep_update,
                   .keep_release = fed_keep_release,
                   .note = port_note,
                   .has_result = port_has_result,
                   .round_ended = port_ended },
    };

    need(fm_coordinator_new(&c, &f->c) == FM_OK, "coordinator");
}

void fed_make(federation *f, const spec *s)
{
    fm_dp_lattice_spec lattice;
    float first[PARAMETERS];

    make_people();
    memset(f, 0, sizeof *f);
    f->now_ms = 1000;
    f->now_s = fm_clock_wall_s();
    f->rng = fm_rng_seeded(&f->seed, 7);
    for (size_t i = 0; i < PARAMETERS; i++)
        first[i] = 0.25f * (float)i;
    make_plan(f, s, first);
    lattice = fm_replay_lattice_spec(&f->plan);
    need(fm_dp_lattice_make(&lattice, &f->lattice) == FM_OK, "lattice");
    need(fm_replay_optimizer_new(&f->plan, first, PARAMETERS, &f->optimizer) == FM_OK &&
             fm_replay_optimizer_new(&f->plan, first, PARAMETERS, &f->reference) == FM_OK,
         "optimizer");
    for (uint32_t i = 0; i < PEOPLE; i++) {
        f->nodes[i].id = people[i];
        name_of(i, f->nodes[i].name);
    }
    make_coordinator(f, s->join_ms ? s->join_ms : JOIN_MS);
}

void fed_restart(federation *f)
{
    fm_coordinator_free(&f->c);
    for (uint32_t i = 0; i < PEOPLE; i++)
        f->nodes[i].peer = 0;
    make_coordinator(f, JOIN_MS);
}

void fed_end(federation *f)
{
    fm_coordinator_free(&f->c);
    for (uint32_t i = 0; i < PEOPLE; i++)
        node_fini(&f->nodes[i]);
    fm_optimizer_free(&f->optimizer);
    fm_optimizer_free(&f->reference);
    for (uint32_t i = 0; i <= PEOPLE; i++)
        fm_dp_shares_free(&f->shares[i]);
    fm_buf_fini(&f->plan_bytes);
    fm_plan_fini(&f->plan);
}

/* ---- what happens ---- */

void fed_join(federation *f, uint32_t i)
{
    node *n = &f->nodes[i];

    node_new(f, n);
    n->peer = ++f->next_peer;
    CU_ASSERT_EQUAL(fm_coordinator_joined(f->c, n->peer, &n->credential, &n->statement, f->now_ms,
                                          f->now_s + f->wrong_s),
                    FM_OK);
}

void fed_join_all(federation *f, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        fed_join(f, i);
}

void fed_leave(federation *f, uint32_t i)
{
    uint64_t peer = f->nodes[i].peer;

    f->nodes[i].peer = 0;
    CU_ASSERT_EQUAL(fm_coordinator_gone(f->c, peer, f->now_ms), FM_OK);
}

void fed_clear_inbox(federation *f, uint32_t i)
{
    node *n = &f->nodes[i];

    while (n->waiting > 0)
        fm_message_free(&n->inbox[--n->waiting]);
}

void fed_say(federation *f, uint32_t i, const fm_message *m)
{
    CU_ASSERT_EQUAL(
        fm_coordinator_take(f->c, f->nodes[i].peer, m, f->now_ms, f->now_s + f->wrong_s), FM_OK);
}

static bool reads_on(const node *n)
{
    if (n->peer == 0 || n->waiting == 0)
        return false;
    return n->stop_at == 0 || n->inbox[0]->type != n->stop_at;
}

void fed_pump(federation *f)
{
    bool some = true;

    while (some) {
        some = false;
        for (uint32_t i = 0; i < PEOPLE; i++) {
            fm_message answer;
            bool answered = false;

            if (!reads_on(&f->nodes[i]))
                continue;
            some = true;
            node_read(f, &f->nodes[i], &answered, &answer);
            if (answered)
                fed_say(f, i, &answer);
        }
    }
}

void fed_tick(federation *f, uint64_t ms)
{
    f->now_ms += ms;
    CU_ASSERT_EQUAL(fm_coordinator_tick(f->c, f->now_ms, f->now_s + f->wrong_s), FM_OK);
}

void fed_stop_all_at(federation *f, fm_msg_type type)
{
    for (uint32_t i = 0; i < PEOPLE; i++)
        f->nodes[i].stop_at = type;
}

/* ---- what can be seen ---- */

fm_coordinator_phase fed_phase(const federation *f)
{
    return fm_coordinator_get_phase(f->c);
}

bool fed_dropped(const federation *f, uint64_t peer, const char *words)
{
    for (size_t i = 0; i < f->drop_count; i++)
        if (f->drops[i].peer == peer && strstr(f->drops[i].text, words))
            return true;
    return false;
}

bool fed_noted(const federation *f, const char *words)
{
    for (size_t i = 0; i < f->note_count; i++)
        if (strstr(f->notes[i], words))
            return true;
    return false;
}

const fm_dp_shares *fed_shares(federation *f, uint32_t participants)
{
    CU_ASSERT_FATAL(participants <= PEOPLE);
    need(fm_dp_shares_fit(&f->shares[participants], &f->lattice, participants) == FM_OK, "noise");
    return f->shares[participants];
}

/* As dp has words of 16 bits. */
static void narrow(unsigned word_bits, uint32_t sum[PARAMETERS])
{
    uint16_t words[PARAMETERS];

    for (size_t i = 0; i < PARAMETERS; i++)
        words[i] = (uint16_t)sum[i];
    if (word_bits == 16)
        memcpy(sum, words, sizeof words);
}

bool fed_stepped(federation *f, const uint32_t *survivors, uint32_t count)
{
    uint64_t at = f->entries[f->entry_count - 1].round % PLAIN_ROUNDS;
    const fm_dp_shares *shares = fed_shares(f, f->participants[at]);
    uint32_t needed = fm_dp_shares_levels(shares) - fm_dp_shares_surplus(shares, count);
    uint32_t sum[PARAMETERS] = { 0 };
    float gradient[PARAMETERS];

    for (uint32_t s = 0; s < count; s++)
        for (size_t i = 0; i < PARAMETERS; i++) {
            sum[i] += (uint32_t)f->plain[at][survivors[s]][i];
            for (uint32_t l = 0; l < needed; l++)
                sum[i] += (uint32_t)f->noise[at][survivors[s]][l][i];
        }
    narrow(f->lattice.word_bits, sum);
    fm_dp_decode_sum(&f->lattice, sum, PARAMETERS, gradient);
    need(fm_optimizer_step(f->reference, gradient, PARAMETERS) == FM_OK, "reference");
    return memcmp(f->reference->weights, f->optimizer->weights, sizeof gradient) == 0;
}

const spec fed_five = { .max_nodes = 5, .min_cohort = 3, .quorum = 4, .colluders = 1, .rounds = 2 };

/* The message that nodes leave unread so that the coordinator waits in this phase. */
static fm_msg_type stop_for(fm_coordinator_phase p)
{
    switch (p) {
    case FM_COORD_WAIT_UPDATES:
        return FM_MSG_ROUND_START;
    case FM_COORD_WAIT_COMMITS:
        return FM_MSG_SURVIVORS;
    default:
        return FM_MSG_COMMITS;
    }
}

void fed_bring_to(federation *f, fm_coordinator_phase p)
{
    fed_make(f, &fed_five);
    fed_stop_all_at(f, stop_for(p));
    fed_join_all(f, 5);
    fed_pump(f);
    CU_ASSERT_EQUAL_FATAL(fed_phase(f), p);
}

void fed_finishes(federation *f)
{
    fed_stop_all_at(f, 0);
    for (uint32_t i = 0; i < 5; i++)
        if (f->nodes[i].peer == 0)
            fed_join(f, i);
    for (int i = 0; i < 20 && fed_phase(f) != FM_COORD_FINISHED; i++) {
        fed_pump(f);
        fed_tick(f, PHASE_MS);
    }
    CU_ASSERT_EQUAL(fed_phase(f), FM_COORD_FINISHED);
    CU_ASSERT_EQUAL(f->entry_count, 2);
}
