#include "double.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** Write down; whether it is to fail. */
static bool note(port_double *d, int what)
{
    need(d->count < MAX_EFFECTS, "room for effects");
    if (d->fail == what && d->fail_with != FM_OK) {
        (void)fm_fail(d->fail_with, "made to fail");
        return true;
    }
    d->effects[d->count++] = what;
    return false;
}

bool did(const port_double *d, int what)
{
    return times(d, what) > 0;
}

unsigned times(const port_double *d, int what)
{
    unsigned n = 0;

    for (unsigned i = 0; i < d->count; i++)
        n += d->effects[i] == what;
    return n;
}

static void keep_piece(port_double *d, const fm_msg_update_piece *u)
{
    need(u->at <= sizeof d->update && u->piece.len <= sizeof d->update - u->at, "an update's size");
    memcpy(d->update + u->at, u->piece.data, u->piece.len);
}

/** As the link does it: the message becomes bytes, and bytes another message. */
static fm_status port_send(void *ctx, const fm_message *m)
{
    const bool piece = m->type == FM_MSG_UPDATE_PIECE || m->type == FM_MSG_MODEL_WANT;
    const int what = DID_SEND + (int)m->type;
    port_double *d = ctx;
    fm_buf bytes = { .limit = FM_MAX_MESSAGE_BYTES };

    if ((!piece || d->fail == what) && note(d, what))
        return d->fail_with;
    if (m->type == FM_MSG_UPDATE_PIECE)
        keep_piece(d, &m->update_piece);
    fm_message_free(&d->sent[m->type]);
    need(fm_message_encode(m, &bytes) == FM_OK, "an encoding");
    need(fm_message_decode(bytes.data, bytes.len, &d->sent[m->type]) == FM_OK, "a decoding");
    fm_buf_fini(&bytes);
    d->sent_count[m->type]++;
    return FM_OK;
}

static book_row *row(port_double *d, uint64_t round)
{
    need(round >= 1 && round <= MAX_ROUND, "a round number of the tests");
    return &d->book[round];
}

static fm_status port_use(void *ctx, uint64_t round)
{
    port_double *d = ctx;

    if (note(d, DID_USE))
        return d->fail_with;
    if (round <= d->last_used)
        return fm_fail(FM_EREPLAY, "used already");
    row(d, round)->used = true;
    d->last_used = round;
    return FM_OK;
}

static fm_status port_commit(void *ctx, uint64_t round, const fm_hash *digest)
{
    port_double *d = ctx;

    if (note(d, DID_COMMIT))
        return d->fail_with;
    if (!row(d, round)->used)
        return fm_fail(FM_ESTATE, "never used");
    if (row(d, round)->committed)
        return fm_fail(FM_EREPLAY, "committed already");
    row(d, round)->committed = true;
    row(d, round)->digest = *digest;
    return FM_OK;
}

static fm_status port_release(void *ctx, uint64_t round, const fm_hash *digest)
{
    port_double *d = ctx;

    if (note(d, DID_RELEASE))
        return d->fail_with;
    if (row(d, round)->released)
        return fm_fail(FM_EREPLAY, "released already");
    if (!row(d, round)->committed || !fm_hash_equal(&row(d, round)->digest, digest))
        return fm_fail(FM_ESTATE, "another commit");
    row(d, round)->released = true;
    return FM_OK;
}

static fm_status port_released_commit(void *ctx, uint64_t round, bool *found, fm_hash *digest)
{
    port_double *d = ctx;

    *found = round <= MAX_ROUND && row(d, round)->released;
    if (*found)
        *digest = row(d, round)->digest;
    return FM_OK;
}

static fm_status port_note_abandoned(void *ctx, uint64_t after, const fm_transcript_entry *entries,
                                     uint32_t count)
{
    port_double *d = ctx;
    uint64_t from = after + 1;

    for (uint32_t i = 0; i < count; i++) {
        for (uint64_t r = from; r < entries[i].round; r++)
            row(d, r)->abandoned = row(d, r)->released;
        from = entries[i].round >= from ? entries[i].round + 1 : from;
    }
    return FM_OK;
}

static fm_status port_head(void *ctx, uint64_t round, const fm_hash *head)
{
    port_double *d = ctx;

    if (note(d, DID_HEAD))
        return d->fail_with;
    if (round < d->finished_round)
        return fm_fail(FM_EREPLAY, "backwards");
    d->finished_round = round;
    d->head = *head;
    return FM_OK;
}

static fm_status port_afford(void *ctx, uint64_t round)
{
    port_double *d = ctx;

    (void)round;
    return note(d, DID_AFFORD) ? d->fail_with : FM_OK;
}

static fm_status port_charge(void *ctx, uint64_t round, fm_hash *ledger_head)
{
    port_double *d = ctx;

    if (note(d, DID_CHARGE))
        return d->fail_with;
    if (row(d, round)->charged)
        return fm_fail(FM_EREPLAY, "charged already");
    row(d, round)->charged = true;
    *ledger_head = d->ledger = fm_hash_of("ledger double", &round, sizeof round);
    return FM_OK;
}

static fm_status port_check_mark(void *ctx, const fm_ledger_mark *mark)
{
    port_double *d = ctx;

    d->marks++;
    return fm_hash_equal(&mark->head, &d->ledger)
               ? FM_OK
               : fm_fail(FM_EIO, "the ledger lacks what this node signed");
}

static fm_status port_approve(void *ctx, const fm_plan *plan, const fm_hash *hash,
                              uint64_t *last_used, uint64_t *finished_round, fm_hash *head)
{
    port_double *d = ctx;

    (void)plan;
    (void)hash;
    if (note(d, DID_APPROVE))
        return d->fail_with;
    if (d->approve != FM_OK)
        return fm_fail(d->approve, "the figure 0.1234 of /srv/ledger.db");
    *last_used = d->last_used;
    *finished_round = d->finished_round;
    *head = d->head;
    return FM_OK;
}

static fm_dp_shares *g_shares;

static void free_shares(void)
{
    fm_dp_shares_free(&g_shares);
}

const fm_dp_shares *the_shares(const fm_dp_lattice *lattice, uint32_t participants)
{
    if (!g_shares)
        need(atexit(free_shares) == 0, "the end");
    need(fm_dp_shares_fit(&g_shares, lattice, participants) == FM_OK, "noise");
    return g_shares;
}

static void keep_noise(port_double *d, const fm_dp_release *r, uint32_t levels)
{
    need(levels <= NODES, "room for the levels");
    d->levels = levels;
    for (uint32_t l = 0; l < levels; l++)
        memcpy(d->noise[l], fm_dp_release_noise_for_tests(r, l), sizeof d->noise[l]);
}

static fm_status port_train(void *ctx, const uint8_t *model, const fm_dp_pairs *pairs,
                            const fm_dp_round *round, fm_dp_release **out)
{
    port_double *d = ctx;
    const fm_dp_shares *shares = the_shares(&d->lattice, round->participant_count);
    fm_rng rng = fm_rng_system();
    fm_dp_sum *sum = NULL;
    float g[P];
    fm_status st;

    (void)model;
    if (note(d, DID_TRAIN))
        return d->fail_with;
    d->mask_density = round->mask_density;
    need(fm_dp_sum_new(&d->lattice, P, &sum) == FM_OK, "a sum");
    for (unsigned u = 0; u < 3; u++) {
        for (unsigned i = 0; i < P; i++)
            g[i] = (float)((d->node + 1) * (u + 1) * (i + 1)) / 64.0f * (i % 2 ? -1.0f : 1.0f);
        need(fm_dp_sum_add_unit(sum, g) == FM_OK, "a unit");
    }
    fm_dp_sum_peek_for_tests(sum, d->encoded);
    fm_dp_release_keep_noise_for_tests(1);
    st = fm_dp_release_make(sum, shares, pairs, round, &rng, out);
    if (st == FM_OK)
        keep_noise(d, *out, fm_dp_shares_levels(shares));
    fm_dp_sum_free(&sum);
    return st;
}

static fm_status port_keep(void *ctx, fm_trust *fresh)
{
    port_double *d = ctx;

    if (note(d, DID_KEEP))
        return d->fail_with;
    fm_trust_free(&d->kept);
    d->kept = fresh;
    return FM_OK;
}

static fm_status port_finished(void *ctx, const uint8_t *model, size_t len, uint64_t rounds)
{
    port_double *d = ctx;

    (void)model;
    need(len == 4 * P, "a model's length");
    if (note(d, DID_FINISH))
        return d->fail_with;
    d->finished_rounds = rounds;
    return FM_OK;
}

static void port_refused(void *ctx, fm_msg_type what, uint64_t round, const char *why)
{
    port_double *d = ctx;

    (void)what;
    (void)round;
    d->refusals++;
    (void)snprintf(d->why, sizeof d->why, "%s", why);
}

static bool port_paused(void *ctx)
{
    port_double *d = ctx;

    return d->pause_from > 0 && ++d->asked >= d->pause_from;
}

static fm_status port_note_sent(void *ctx, uint64_t round, const fm_hash *update, size_t bytes)
{
    port_double *d = ctx;

    (void)update;
    need(round > 0 && bytes == 4 * P, "what leaves");
    d->noted++;
    return d->note_fails ? fm_fail(FM_EIO, "made to fail") : FM_OK;
}

fm_node_ports double_ports(port_double *d)
{
    return (fm_node_ports){
        .ctx = d,
        .send = port_send,
        .use_round = port_use,
        .note_sent = port_note_sent,
        .paused = port_paused,
        .record_commit = port_commit,
        .record_release = port_release,
        .record_head = port_head,
        .released_commit = port_released_commit,
        .note_abandoned = port_note_abandoned,
        .can_afford = port_afford,
        .charge = port_charge,
        .check_mark = port_check_mark,
        .approve_plan = port_approve,
        .train = port_train,
        .keep_revocations = port_keep,
        .finished = port_finished,
        .refused = port_refused,
    };
}

void double_init(port_double *d, unsigned node, const fm_dp_lattice *lattice)
{
    memset(d, 0, sizeof *d);
    d->node = node;
    d->lattice = *lattice;
}

void double_restart(port_double *d)
{
    d->count = d->refusals = 0;
    for (unsigned t = 0; t <= FM_MSG_LAST; t++) {
        fm_message_free(&d->sent[t]);
        d->sent_count[t] = 0;
    }
}

void double_fini(port_double *d)
{
    double_restart(d);
    fm_trust_free(&d->kept);
}
