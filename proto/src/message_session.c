/* Join, PlanOffer, PlanAnswer, Roster, RosterAnswer; and Finish, which ends the run. */
#include "codec_internal.h"

/* ---- Join ---- */

static fm_status join_check(const fm_codec *c, const fm_message *m)
{
    if (m->join.finished_round == 0 && !fm_hash_is_zero(&m->join.head))
        return fm_codec_fail(c, "head", "not zero, though no round is finished");
    return FM_OK;
}

static fm_status join_put(const fm_codec *c, const fm_message *m, fm_wire *w)
{
    void *p;
    fm_status st = fm_codec_take(c, 1, sizeof *w->join, &p);

    if (st != FM_OK)
        return st;
    w->join = p;
    fedmoe__v1__join__init(w->join);
    w->join->finished_round = m->join.finished_round;
    w->join->head = fm_codec_put_bytes(m->join.head.bytes, FM_HASH_BYTES);
    return FM_OK;
}

static fm_status join_get(const fm_codec *c, const fm_wire *w, fm_message *m)
{
    m->join.finished_round = w->join->finished_round;
    return fm_codec_get_hash(c, "head", w->join->head, &m->join.head);
}

/* ---- PlanOffer ---- */

static fm_status plan_offer_check(const fm_codec *c, const fm_message *m)
{
    const fm_ledger_mark *mark = &m->plan_offer.mark;
    fm_status st = fm_codec_check_bytes(c, "plan", m->plan_offer.plan, 1, FM_MAX_PLAN_BYTES);

    if (st != FM_OK)
        return st;
    if (mark->round == 0)
        return mark->signature.len == 0 && fm_hash_is_zero(&mark->head)
                   ? FM_OK
                   : fm_codec_fail(c, "mark", "of no round");
    if ((st = fm_codec_check_round(c, mark->round)) != FM_OK)
        return st;
    return fm_codec_check_signature(c, "mark.signature", mark->signature);
}

static fm_status plan_offer_put(const fm_codec *c, const fm_message *m, fm_wire *w)
{
    const fm_ledger_mark *mark = &m->plan_offer.mark;
    Fedmoe__V1__LedgerMark *out;
    void *p, *q;
    fm_status st;

    if ((st = fm_codec_take(c, 1, sizeof *w->plan_offer, &p)) != FM_OK ||
        (st = fm_codec_take(c, 1, sizeof *out, &q)) != FM_OK)
        return st;
    w->plan_offer = p;
    fedmoe__v1__plan_offer__init(w->plan_offer);
    w->plan_offer->plan = fm_codec_put_bytes(m->plan_offer.plan.data, m->plan_offer.plan.len);
    if (mark->round == 0)
        return FM_OK;
    w->plan_offer->mark = out = q;
    fedmoe__v1__ledger_mark__init(out);
    out->round = mark->round;
    out->head = fm_codec_put_bytes(mark->head.bytes, FM_HASH_BYTES);
    out->signature = fm_codec_put_bytes(mark->signature.data, mark->signature.len);
    return FM_OK;
}

static fm_status plan_offer_get(const fm_codec *c, const fm_wire *w, fm_message *m)
{
    const Fedmoe__V1__LedgerMark *in = w->plan_offer->mark;
    fm_ledger_mark *mark = &m->plan_offer.mark;

    m->plan_offer.plan = fm_codec_get_bytes(w->plan_offer->plan);
    if (!in)
        return FM_OK;
    if (in->round == 0)
        return fm_codec_fail(c, "mark", "of no round");
    mark->round = in->round;
    mark->signature = fm_codec_get_bytes(in->signature);
    return fm_codec_get_hash(c, "mark.head", in->head, &mark->head);
}

/* ---- PlanAnswer ---- */

static fm_status plan_answer_check(const fm_codec *c, const fm_message *m)
{
    return fm_codec_check_reason(c, m->plan_answer.reason);
}

static fm_status plan_answer_put(const fm_codec *c, const fm_message *m, fm_wire *w)
{
    void *p;
    fm_status st = fm_codec_take(c, 1, sizeof *w->plan_answer, &p);

    if (st != FM_OK)
        return st;
    w->plan_answer = p;
    fedmoe__v1__plan_answer__init(w->plan_answer);
    w->plan_answer->plan_hash = fm_codec_put_bytes(m->plan_answer.plan_hash.bytes, FM_HASH_BYTES);
    w->plan_answer->approved = m->plan_answer.approved;
    w->plan_answer->reason = (char *)(uintptr_t)m->plan_answer.reason;
    return FM_OK;
}

static fm_status plan_answer_get(const fm_codec *c, const fm_wire *w, fm_message *m)
{
    fm_status st =
        fm_codec_get_hash(c, "plan_hash", w->plan_answer->plan_hash, &m->plan_answer.plan_hash);

    m->plan_answer.approved = w->plan_answer->approved;
    return st == FM_OK ? fm_codec_get_reason(c, w->plan_answer->reason, m->plan_answer.reason) : st;
}

/* ---- Roster ---- */

static fm_status roster_check(const fm_codec *c, const fm_message *m)
{
    const fm_msg_roster *r = &m->roster;
    fm_status st = fm_codec_check_count(c, "members", r->members, r->count, 1, FM_MAX_NODES);

    for (uint32_t i = 0; st == FM_OK && i < r->count; i++)
        st = fm_codec_check_credential(c, &r->members[i]);
    return st;
}

static fm_status roster_put(const fm_codec *c, const fm_message *m, fm_wire *w)
{
    const fm_msg_roster *r = &m->roster;
    Fedmoe__V1__Credential *members;
    void *p, *q, *list;
    fm_status st;

    if ((st = fm_codec_take(c, 1, sizeof *w->roster, &p)) != FM_OK ||
        (st = fm_codec_take(c, r->count, sizeof *members, &q)) != FM_OK ||
        (st = fm_codec_take(c, r->count, sizeof members, &list)) != FM_OK)
        return st;
    w->roster = p;
    fedmoe__v1__roster__init(w->roster);
    w->roster->session = fm_codec_put_bytes(r->session.bytes, FM_SESSION_BYTES);
    w->roster->members = list;
    w->roster->n_members = r->count;
    members = q;
    for (uint32_t i = 0; st == FM_OK && i < r->count; i++) {
        st = fm_codec_put_credential(c, &r->members[i], &members[i]);
        w->roster->members[i] = &members[i];
    }
    return st;
}

static fm_status roster_get(const fm_codec *c, const fm_wire *w, fm_message *m)
{
    const Fedmoe__V1__Roster *r = w->roster;
    fm_credential *members;
    void *p;
    fm_status st;

    if ((st = fm_codec_get_count(c, "members", r->n_members, FM_MAX_NODES, &m->roster.count)) !=
            FM_OK ||
        (st = fm_codec_get_exact(c, "session", r->session, m->roster.session.bytes,
                                 FM_SESSION_BYTES)) != FM_OK)
        return st;
    /* Credentials are of fixed size here: beyond the message's own ceiling, bounded by the count.
     */
    c->scratch->left += (r->n_members + 1) * sizeof *members;
    if ((st = fm_codec_take(c, r->n_members, sizeof *members, &p)) != FM_OK)
        return st;
    members = p;
    for (size_t i = 0; st == FM_OK && i < r->n_members; i++)
        st = fm_codec_get_credential(c, r->members[i], &members[i]);
    m->roster.members = members;
    return st;
}

/* ---- RosterAnswer ---- */

static fm_status roster_answer_check(const fm_codec *c, const fm_message *m)
{
    (void)c;
    (void)m;
    return FM_OK;
}

static fm_status roster_answer_put(const fm_codec *c, const fm_message *m, fm_wire *w)
{
    void *p;
    fm_status st = fm_codec_take(c, 1, sizeof *w->roster_answer, &p);

    if (st != FM_OK)
        return st;
    w->roster_answer = p;
    fedmoe__v1__roster_answer__init(w->roster_answer);
    w->roster_answer->roster_hash =
        fm_codec_put_bytes(m->roster_answer.roster_hash.bytes, FM_HASH_BYTES);
    return FM_OK;
}

static fm_status roster_answer_get(const fm_codec *c, const fm_wire *w, fm_message *m)
{
    return fm_codec_get_hash(c, "roster_hash", w->roster_answer->roster_hash,
                             &m->roster_answer.roster_hash);
}

/* ---- Finish ---- */

static fm_status finish_check(const fm_codec *c, const fm_message *m)
{
    const fm_msg_finish *f = &m->finish;
    fm_status st = fm_codec_check_entries(c, f->entries, f->entry_count, 0);

    return st == FM_OK ? fm_codec_check_signature(c, "signature", f->signature) : st;
}

static fm_status finish_put(const fm_codec *c, const fm_message *m, fm_wire *w)
{
    const fm_msg_finish *f = &m->finish;
    void *p;
    fm_status st = fm_codec_take(c, 1, sizeof *w->finish, &p);

    if (st != FM_OK)
        return st;
    w->finish = p;
    fedmoe__v1__finish__init(w->finish);
    w->finish->rounds = f->rounds;
    w->finish->model_hash = fm_codec_put_bytes(f->model_hash.bytes, FM_HASH_BYTES);
    w->finish->head = fm_codec_put_bytes(f->head.bytes, FM_HASH_BYTES);
    w->finish->signature = fm_codec_put_bytes(f->signature.data, f->signature.len);
    return fm_codec_put_entries(c, f->entries, f->entry_count, &w->finish->n_entries,
                                &w->finish->entries);
}

static fm_status finish_get(const fm_codec *c, const fm_wire *w, fm_message *m)
{
    const Fedmoe__V1__Finish *f = w->finish;
    fm_status st;

    m->finish.rounds = f->rounds;
    m->finish.signature = fm_codec_get_bytes(f->signature);
    if ((st = fm_codec_get_hash(c, "model_hash", f->model_hash, &m->finish.model_hash)) != FM_OK ||
        (st = fm_codec_get_hash(c, "head", f->head, &m->finish.head)) != FM_OK)
        return st;
    return fm_codec_get_entries(c, f->n_entries, f->entries, &m->finish.entries,
                                &m->finish.entry_count);
}

const fm_codec_message fm_codec_session[] = {
    { "Join", FEDMOE__V1__ENVELOPE__BODY_JOIN, join_check, join_put, join_get },
    { "PlanOffer", FEDMOE__V1__ENVELOPE__BODY_PLAN_OFFER, plan_offer_check, plan_offer_put,
      plan_offer_get },
    { "PlanAnswer", FEDMOE__V1__ENVELOPE__BODY_PLAN_ANSWER, plan_answer_check, plan_answer_put,
      plan_answer_get },
    { "Roster", FEDMOE__V1__ENVELOPE__BODY_ROSTER, roster_check, roster_put, roster_get },
    { "RosterAnswer", FEDMOE__V1__ENVELOPE__BODY_ROSTER_ANSWER, roster_answer_check,
      roster_answer_put, roster_answer_get },
};

const fm_codec_message fm_codec_finish[] = {
    { "Finish", FEDMOE__V1__ENVELOPE__BODY_FINISH, finish_check, finish_put, finish_get },
};
