/* The seven messages of a round (docs/protocol.md, section 8), and Abandon. */
#include <string.h>

#include "codec_internal.h"

/* ---- RoundStart ---- */

static fm_status round_start_check(const fm_codec *c, const fm_message *m)
{
    const fm_msg_round_start *r = &m->round_start;
    fm_status st;

    if ((st = fm_codec_check_round(c, r->round)) != FM_OK ||
        (st = fm_codec_check_words(c, "model", r->model, 0)) != FM_OK ||
        (st = fm_codec_check_indices(c, "participants", r->participants, r->participant_count,
                                     1)) != FM_OK ||
        (st = fm_codec_check_entries(c, r->entries, r->entry_count, r->round)) != FM_OK)
        return st;
    return fm_codec_check_signature(c, "signature", r->signature);
}

static fm_status round_start_put(const fm_codec *c, const fm_message *m, fm_wire *w)
{
    const fm_msg_round_start *r = &m->round_start;
    Fedmoe__V1__RoundStart *out;
    void *p;
    fm_status st = fm_codec_take(c, 1, sizeof *out, &p);

    if (st != FM_OK)
        return st;
    w->round_start = out = p;
    fedmoe__v1__round_start__init(out);
    out->round = r->round;
    out->session = fm_codec_put_bytes(r->session.bytes, FM_SESSION_BYTES);
    out->roster_hash = fm_codec_put_bytes(r->roster_hash.bytes, FM_HASH_BYTES);
    out->plan_hash = fm_codec_put_bytes(r->plan_hash.bytes, FM_HASH_BYTES);
    out->model_hash = fm_codec_put_bytes(r->model_hash.bytes, FM_HASH_BYTES);
    out->model = fm_codec_put_bytes(r->model.data, r->model.len);
    out->n_participants = r->participant_count;
    out->participants = (uint32_t *)(uintptr_t)r->participants;
    out->head = fm_codec_put_bytes(r->head.bytes, FM_HASH_BYTES);
    out->signature = fm_codec_put_bytes(r->signature.data, r->signature.len);
    return fm_codec_put_entries(c, r->entries, r->entry_count, &out->n_entries, &out->entries);
}

static fm_status round_start_get(const fm_codec *c, const fm_wire *w, fm_message *m)
{
    const Fedmoe__V1__RoundStart *in = w->round_start;
    fm_msg_round_start *r = &m->round_start;
    fm_status st;

    if ((st = fm_codec_get_exact(c, "session", in->session, r->session.bytes, FM_SESSION_BYTES)) !=
            FM_OK ||
        (st = fm_codec_get_hash(c, "roster_hash", in->roster_hash, &r->roster_hash)) != FM_OK ||
        (st = fm_codec_get_hash(c, "plan_hash", in->plan_hash, &r->plan_hash)) != FM_OK ||
        (st = fm_codec_get_hash(c, "model_hash", in->model_hash, &r->model_hash)) != FM_OK ||
        (st = fm_codec_get_hash(c, "head", in->head, &r->head)) != FM_OK ||
        (st = fm_codec_get_count(c, "participants", in->n_participants, FM_MAX_NODES,
                                 &r->participant_count)) != FM_OK)
        return st;
    r->round = in->round;
    r->model = fm_codec_get_bytes(in->model);
    r->participants = in->participants;
    r->signature = fm_codec_get_bytes(in->signature);
    return fm_codec_get_entries(c, in->n_entries, in->entries, &r->entries, &r->entry_count);
}

/* ---- MaskedUpdate ---- */

static fm_status masked_update_check(const fm_codec *c, const fm_message *m)
{
    fm_status st;

    if ((st = fm_codec_check_round(c, m->masked_update.round)) != FM_OK ||
        (st = fm_codec_check_bytes(c, "masked", m->masked_update.masked, 2,
                                   (size_t)4 * FM_MAX_PARAMETERS)) != FM_OK)
        return st;
    return fm_codec_check_signature(c, "signature", m->masked_update.signature);
}

static fm_status masked_update_put(const fm_codec *c, const fm_message *m, fm_wire *w)
{
    const fm_msg_masked_update *u = &m->masked_update;
    void *p;
    fm_status st = fm_codec_take(c, 1, sizeof *w->masked_update, &p);

    if (st != FM_OK)
        return st;
    w->masked_update = p;
    fedmoe__v1__masked_update__init(w->masked_update);
    w->masked_update->round = u->round;
    w->masked_update->masked = fm_codec_put_bytes(u->masked.data, u->masked.len);
    w->masked_update->signature = fm_codec_put_bytes(u->signature.data, u->signature.len);
    return FM_OK;
}

static fm_status masked_update_get(const fm_codec *c, const fm_wire *w, fm_message *m)
{
    (void)c;
    m->masked_update.round = w->masked_update->round;
    m->masked_update.masked = fm_codec_get_bytes(w->masked_update->masked);
    m->masked_update.signature = fm_codec_get_bytes(w->masked_update->signature);
    return FM_OK;
}

/* ---- Survivors ---- */

static fm_status survivors_check(const fm_codec *c, const fm_message *m)
{
    const fm_msg_survivors *s = &m->survivors;
    fm_status st;

    if ((st = fm_codec_check_round(c, s->round)) != FM_OK ||
        (st = fm_codec_check_indices(c, "survivors", s->survivors, s->count, 1)) != FM_OK)
        return st;
    if (!s->update_hashes || !s->update_signatures)
        return fm_codec_fail(c, "update_hashes", "missing");
    for (uint32_t i = 0; st == FM_OK && i < s->count; i++)
        st = fm_codec_check_signature(c, "update_signatures", s->update_signatures[i]);
    return st;
}

static fm_status survivors_put(const fm_codec *c, const fm_message *m, fm_wire *w)
{
    const fm_msg_survivors *s = &m->survivors;
    ProtobufCBinaryData *hashes;
    void *p, *q;
    fm_status st;

    if ((st = fm_codec_take(c, 1, sizeof *w->survivors, &p)) != FM_OK ||
        (st = fm_codec_take(c, s->count, sizeof *hashes, &q)) != FM_OK)
        return st;
    w->survivors = p;
    fedmoe__v1__survivors__init(w->survivors);
    w->survivors->round = s->round;
    w->survivors->n_survivors = s->count;
    w->survivors->survivors = (uint32_t *)(uintptr_t)s->survivors;
    hashes = q;
    for (uint32_t i = 0; i < s->count; i++)
        hashes[i] = fm_codec_put_bytes(s->update_hashes[i].bytes, FM_HASH_BYTES);
    w->survivors->n_update_hashes = s->count;
    w->survivors->update_hashes = hashes;
    return fm_codec_put_list(c, s->update_signatures, s->count, &w->survivors->n_update_signatures,
                             &w->survivors->update_signatures);
}

static fm_status survivors_get(const fm_codec *c, const fm_wire *w, fm_message *m)
{
    const Fedmoe__V1__Survivors *in = w->survivors;
    fm_msg_survivors *s = &m->survivors;
    fm_hash *hashes;
    void *p;
    fm_status st;

    if ((st = fm_codec_get_count(c, "survivors", in->n_survivors, FM_MAX_NODES, &s->count)) !=
        FM_OK)
        return st;
    if (in->n_update_hashes != s->count)
        return fm_codec_fail(c, "update_hashes", "%zu of them for %u survivors",
                             in->n_update_hashes, s->count);
    if (in->n_update_signatures != s->count)
        return fm_codec_fail(c, "update_signatures", "%zu of them for %u survivors",
                             in->n_update_signatures, s->count);
    if ((st = fm_codec_take(c, s->count, sizeof *hashes, &p)) != FM_OK)
        return st;
    hashes = p;
    for (uint32_t i = 0; st == FM_OK && i < s->count; i++)
        st = fm_codec_get_hash(c, "update_hashes", in->update_hashes[i], &hashes[i]);
    if (st != FM_OK)
        return st;
    s->round = in->round;
    s->survivors = in->survivors;
    s->update_hashes = hashes;
    return fm_codec_get_list(c, "update_signatures", in->n_update_signatures, in->update_signatures,
                             &s->update_signatures);
}

/* ---- Commit ---- */

static fm_status commit_check(const fm_codec *c, const fm_message *m)
{
    fm_status st = fm_codec_check_round(c, m->commit.round);

    return st == FM_OK ? fm_codec_check_signature(c, "signature", m->commit.signature) : st;
}

static fm_status commit_put(const fm_codec *c, const fm_message *m, fm_wire *w)
{
    void *p;
    fm_status st = fm_codec_take(c, 1, sizeof *w->commit, &p);

    if (st != FM_OK)
        return st;
    w->commit = p;
    fedmoe__v1__commit__init(w->commit);
    w->commit->round = m->commit.round;
    w->commit->signature = fm_codec_put_bytes(m->commit.signature.data, m->commit.signature.len);
    return FM_OK;
}

static fm_status commit_get(const fm_codec *c, const fm_wire *w, fm_message *m)
{
    (void)c;
    m->commit.round = w->commit->round;
    m->commit.signature = fm_codec_get_bytes(w->commit->signature);
    return FM_OK;
}

/* ---- Commits ---- */

static fm_status commits_check(const fm_codec *c, const fm_message *m)
{
    const fm_msg_commits *s = &m->commits;
    fm_status st;

    if ((st = fm_codec_check_round(c, s->round)) != FM_OK ||
        (st = fm_codec_check_count(c, "signatures", s->signatures, s->count, 1, FM_MAX_NODES)) !=
            FM_OK)
        return st;
    for (uint32_t i = 0; st == FM_OK && i < s->count; i++)
        st = fm_codec_check_signature(c, "signatures", s->signatures[i]);
    return st;
}

static fm_status commits_put(const fm_codec *c, const fm_message *m, fm_wire *w)
{
    void *p;
    fm_status st = fm_codec_take(c, 1, sizeof *w->commits, &p);

    if (st != FM_OK)
        return st;
    w->commits = p;
    fedmoe__v1__commits__init(w->commits);
    w->commits->round = m->commits.round;
    return fm_codec_put_list(c, m->commits.signatures, m->commits.count, &w->commits->n_signatures,
                             &w->commits->signatures);
}

static fm_status commits_get(const fm_codec *c, const fm_wire *w, fm_message *m)
{
    const Fedmoe__V1__Commits *in = w->commits;
    fm_status st =
        fm_codec_get_count(c, "signatures", in->n_signatures, FM_MAX_NODES, &m->commits.count);

    if (st != FM_OK)
        return st;
    m->commits.round = in->round;
    return fm_codec_get_list(c, "signatures", in->n_signatures, in->signatures,
                             &m->commits.signatures);
}

/* ---- Release ---- */

static fm_status release_check(const fm_codec *c, const fm_message *m)
{
    const fm_msg_release *r = &m->release;
    fm_status st;

    if ((st = fm_codec_check_round(c, r->round)) != FM_OK ||
        (st = fm_codec_check_indices(c, "pair_seeds", r->lost, r->lost_count, 0)) != FM_OK ||
        (st = fm_codec_check_signature(c, "ledger_signature", r->ledger_signature)) != FM_OK)
        return st;
    if (r->lost_count > 0 && !r->pair_seeds)
        return fm_codec_fail(c, "pair_seeds", "missing");
    return fm_codec_check_count(c, "surplus_seeds", r->surplus_seeds, r->surplus_count, 0,
                                FM_MAX_LEVELS);
}

static fm_status put_pair_seeds(const fm_codec *c, const fm_msg_release *r, Fedmoe__V1__Release *to)
{
    Fedmoe__V1__PairSeed *seeds, **list;
    void *p, *q;
    fm_status st;

    if ((st = fm_codec_take(c, r->lost_count, sizeof *seeds, &p)) != FM_OK ||
        (st = fm_codec_take(c, r->lost_count, sizeof *list, &q)) != FM_OK)
        return st;
    seeds = p;
    list = q;
    for (uint32_t i = 0; i < r->lost_count; i++) {
        list[i] = &seeds[i];
        fedmoe__v1__pair_seed__init(list[i]);
        list[i]->lost = r->lost[i];
        list[i]->seed = fm_codec_put_bytes(r->pair_seeds[i], FM_SEED_BYTES);
    }
    to->n_pair_seeds = r->lost_count;
    to->pair_seeds = list;
    return FM_OK;
}

static fm_status put_surplus(const fm_codec *c, const fm_msg_release *r, Fedmoe__V1__Release *to)
{
    ProtobufCBinaryData *list;
    void *p;
    fm_status st = fm_codec_take(c, r->surplus_count, sizeof *list, &p);

    if (st != FM_OK)
        return st;
    list = p;
    for (uint32_t i = 0; i < r->surplus_count; i++)
        list[i] = fm_codec_put_bytes(r->surplus_seeds[i], FM_SEED_BYTES);
    to->n_surplus_seeds = r->surplus_count;
    to->surplus_seeds = list;
    return FM_OK;
}

static fm_status release_put(const fm_codec *c, const fm_message *m, fm_wire *w)
{
    const fm_msg_release *r = &m->release;
    void *p;
    fm_status st = fm_codec_take(c, 1, sizeof *w->release, &p);

    if (st != FM_OK)
        return st;
    w->release = p;
    fedmoe__v1__release__init(w->release);
    w->release->round = r->round;
    w->release->self_seed = fm_codec_put_bytes(r->self_seed, FM_SEED_BYTES);
    w->release->ledger_head = fm_codec_put_bytes(r->ledger_head.bytes, FM_HASH_BYTES);
    w->release->ledger_signature =
        fm_codec_put_bytes(r->ledger_signature.data, r->ledger_signature.len);
    st = put_pair_seeds(c, r, w->release);
    return st == FM_OK ? put_surplus(c, r, w->release) : st;
}

static fm_status get_pair_seeds(const fm_codec *c, const Fedmoe__V1__Release *in, fm_msg_release *r)
{
    uint8_t(*seeds)[FM_SEED_BYTES];
    uint32_t *lost;
    void *p, *q;
    fm_status st;

    if ((st = fm_codec_get_count(c, "pair_seeds", in->n_pair_seeds, FM_MAX_NODES,
                                 &r->lost_count)) != FM_OK ||
        (st = fm_codec_take(c, r->lost_count, sizeof *lost, &p)) != FM_OK ||
        (st = fm_codec_take(c, r->lost_count, sizeof *seeds, &q)) != FM_OK)
        return st;
    lost = p;
    seeds = q;
    for (uint32_t i = 0; st == FM_OK && i < r->lost_count; i++) {
        lost[i] = in->pair_seeds[i]->lost;
        st = fm_codec_get_exact(c, "pair_seeds", in->pair_seeds[i]->seed, seeds[i], FM_SEED_BYTES);
    }
    r->lost = lost;
    r->pair_seeds = (const uint8_t(*)[FM_SEED_BYTES])seeds;
    return st;
}

static fm_status get_surplus(const fm_codec *c, const Fedmoe__V1__Release *in, fm_msg_release *r)
{
    uint8_t(*seeds)[FM_SEED_BYTES];
    void *p;
    fm_status st;

    if ((st = fm_codec_get_count(c, "surplus_seeds", in->n_surplus_seeds, FM_MAX_LEVELS,
                                 &r->surplus_count)) != FM_OK ||
        (st = fm_codec_take(c, r->surplus_count, sizeof *seeds, &p)) != FM_OK)
        return st;
    seeds = p;
    for (uint32_t i = 0; st == FM_OK && i < r->surplus_count; i++)
        st = fm_codec_get_exact(c, "surplus_seeds", in->surplus_seeds[i], seeds[i], FM_SEED_BYTES);
    r->surplus_seeds = (const uint8_t(*)[FM_SEED_BYTES])seeds;
    return st;
}

static fm_status release_get(const fm_codec *c, const fm_wire *w, fm_message *m)
{
    const Fedmoe__V1__Release *in = w->release;
    fm_msg_release *r = &m->release;
    fm_status st;

    if ((st = fm_codec_get_exact(c, "self_seed", in->self_seed, r->self_seed, FM_SEED_BYTES)) !=
            FM_OK ||
        (st = fm_codec_get_hash(c, "ledger_head", in->ledger_head, &r->ledger_head)) != FM_OK ||
        (st = get_pair_seeds(c, in, r)) != FM_OK)
        return st;
    r->round = in->round;
    r->ledger_signature = fm_codec_get_bytes(in->ledger_signature);
    return get_surplus(c, in, r);
}

/* ---- Abandon ---- */

static fm_status abandon_check(const fm_codec *c, const fm_message *m)
{
    fm_status st = fm_codec_check_round(c, m->abandon.round);

    return st == FM_OK ? fm_codec_check_reason(c, m->abandon.reason) : st;
}

static fm_status abandon_put(const fm_codec *c, const fm_message *m, fm_wire *w)
{
    void *p;
    fm_status st = fm_codec_take(c, 1, sizeof *w->abandon, &p);

    if (st != FM_OK)
        return st;
    w->abandon = p;
    fedmoe__v1__abandon__init(w->abandon);
    w->abandon->round = m->abandon.round;
    w->abandon->final = m->abandon.final;
    w->abandon->reason = (char *)(uintptr_t)m->abandon.reason;
    return FM_OK;
}

static fm_status abandon_get(const fm_codec *c, const fm_wire *w, fm_message *m)
{
    m->abandon.round = w->abandon->round;
    m->abandon.final = w->abandon->final;
    return fm_codec_get_reason(c, w->abandon->reason, m->abandon.reason);
}

const fm_codec_message fm_codec_round[] = {
    { "RoundStart", FEDMOE__V1__ENVELOPE__BODY_ROUND_START, round_start_check, round_start_put,
      round_start_get },
    { "MaskedUpdate", FEDMOE__V1__ENVELOPE__BODY_MASKED_UPDATE, masked_update_check,
      masked_update_put, masked_update_get },
    { "Survivors", FEDMOE__V1__ENVELOPE__BODY_SURVIVORS, survivors_check, survivors_put,
      survivors_get },
    { "Commit", FEDMOE__V1__ENVELOPE__BODY_COMMIT, commit_check, commit_put, commit_get },
    { "Commits", FEDMOE__V1__ENVELOPE__BODY_COMMITS, commits_check, commits_put, commits_get },
    { "Release", FEDMOE__V1__ENVELOPE__BODY_RELEASE, release_check, release_put, release_get },
    { "Abandon", FEDMOE__V1__ENVELOPE__BODY_ABANDON, abandon_check, abandon_put, abandon_get },
};
