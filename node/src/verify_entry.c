/* Rosters and entries: who they were, what they signed, and that one entry follows another. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/clock.h"
#include "verify_internal.h"

/* The aggregator's clock, and a round that outlives a statement, may be wrong by so much. */
#define TIME_SLACK_S ((int64_t)24 * 3600)

/* ---- the roster ---- */

void fm_verify_forget_roster(verification *v)
{
    for (uint32_t i = 0; i < v->count; i++)
        fm_peer_free(&v->places[i].peer);
    free(v->places);
    v->places = NULL;
    v->count = 0;
}

/* Members are known by name over all rosters. */
static fm_status member_of(verification *v, const char *name, size_t *out)
{
    fm_verify_report *r = &v->report;
    fm_verify_member *grown;
    size_t bytes = 0;
    fm_status st;

    for (size_t i = 0; i < r->member_count; i++)
        if (strcmp(r->members[i].name, name) == 0) {
            *out = i;
            return FM_OK;
        }
    if ((st = fm_mul_size(r->member_count + 1, sizeof *grown, &bytes)) != FM_OK)
        return st;
    if (!(grown = realloc(r->members, bytes)))
        return fm_fail(FM_ENOMEM, "verify: no memory for %zu members", r->member_count + 1);
    r->members = grown;
    r->members[r->member_count] = (fm_verify_member){ 0 };
    (void)snprintf(r->members[r->member_count].name, FM_NAME_MAX + 1, "%s", name);
    *out = r->member_count++;
    return FM_OK;
}

static fm_status take_member(verification *v, const fm_credential *c)
{
    verify_place *p = &v->places[v->count];
    fm_past_credential past = { 0 };
    fm_status st = fm_credential_verify_past(v->trust, c, FM_ROLE_NODE, &past);

    if (st != FM_OK)
        return st;
    p->peer = past.peer;
    p->made_s = past.made_s;
    p->not_after_s = past.statement.not_after_s;
    p->revoked_s = past.revoked_s;
    v->count++;
    if ((st = member_of(v, past.statement.name, &p->member)) != FM_OK)
        return st;
    if (past.revoked_s)
        v->report.members[p->member].revoked_s = past.revoked_s;
    for (uint32_t i = 0; i + 1 < v->count; i++)
        if (v->places[i].member == p->member)
            return fm_fail(FM_EPROTO, "'%s' stands in it twice", past.statement.name);
    return FM_OK;
}

static fm_status take_members(verification *v, const fm_msg_roster *r)
{
    char field[32];
    void *p = NULL;
    fm_status st;

    if (r->count > v->report.plan.max_nodes)
        return fm_verify_fail(v, FM_EPROTO, "members", "%u of them, and the plan allows %u",
                              r->count, v->report.plan.max_nodes);
    if ((st = fm_alloc(r->count, sizeof *v->places, &p)) != FM_OK)
        return st;
    v->places = p;
    for (uint32_t i = 0; i < r->count; i++)
        if ((st = take_member(v, &r->members[i])) != FM_OK) {
            (void)snprintf(field, sizeof field, "member %u", i);
            return fm_verify_place(v, st, field);
        }
    return FM_OK;
}

fm_status fm_verify_roster(verification *v)
{
    fm_message *m = NULL;
    fm_status st;

    fm_verify_forget_roster(v);
    if ((st = fm_message_decode(v->at.payload.data, v->at.payload.len, &m)) != FM_OK)
        return fm_verify_place(v, st, "message");
    if (m->type != FM_MSG_ROSTER) {
        st = fm_verify_fail(v, FM_EPROTO, "message", "it is a %s, not a Roster",
                            fm_msg_name(m->type));
    } else {
        v->session = m->roster.session;
        v->roster = fm_roster_digest(&m->roster);
        st = take_members(v, &m->roster);
    }
    v->report.rosters += st == FM_OK;
    fm_message_free(&m);
    return st;
}

/* ---- the aggregator ---- */

static fm_status check_aggregator(verification *v, fm_bytes certificate, int64_t at_s,
                                  const char *label, const fm_hash *digest, fm_bytes signature)
{
    fm_peer *hub = NULL;
    int64_t revoked_s = 0;
    fm_status st = fm_peer_verify_past(v->trust, certificate.data, certificate.len, NULL,
                                       FM_ROLE_AGGREGATOR, at_s, &hub, &revoked_s);

    if (st != FM_OK)
        return fm_verify_place(v, st, "aggregator's certificate");
    st = fm_peer_check_signature(hub, label, digest->bytes, FM_HASH_BYTES, signature.data,
                                 signature.len);
    if (revoked_s)
        v->report.aggregator_revoked_s = revoked_s;
    if (st == FM_OK)
        memcpy(v->report.aggregator, fm_peer_info(hub)->name, sizeof v->report.aggregator);
    else
        st = fm_verify_place(v, st, "aggregator's signature");
    fm_peer_free(&hub);
    return st;
}

/* ---- an entry ---- */

static fm_status check_place_in_chain(verification *v)
{
    const fm_entry *e = v->entry;
    const unsigned long long last = (unsigned long long)v->report.last_round;

    if (!fm_hash_equal(&e->plan, &v->report.plan_hash))
        return fm_verify_fail(v, FM_EPROTO, "plan",
                              "it is not the plan of this bundle: an entry of another run");
    if (e->round <= v->report.last_round)
        return fm_verify_fail(v, FM_EPROTO, "round",
                              "it stands behind round %llu: entries were swapped or repeated",
                              last);
    if (!fm_hash_equal(&e->head_before, &v->head))
        return fm_verify_fail(
            v, FM_EPROTO, "head before",
            "it does not follow the entry of round %llu: an entry between them is "
            "missing, or this one is of another history",
            last);
    if (!fm_hash_equal(&e->model_before, &v->model))
        return fm_verify_fail(
            v, FM_EPROTO, "model before",
            "it is not the model that the round before (%llu; 0: the plan's first "
            "model) ended with",
            last);
    if (v->count == 0 || memcmp(&e->session, &v->session, sizeof v->session) != 0 ||
        !fm_hash_equal(&e->roster, &v->roster))
        return fm_verify_fail(v, FM_EPROTO, "roster",
                              "it is not of the session of the roster that stands before it");
    return FM_OK;
}

static fm_status check_cohort(verification *v)
{
    const fm_entry *e = v->entry;
    const fm_plan *p = &v->report.plan;
    const uint32_t needed = p->min_cohort > p->quorum ? p->min_cohort : p->quorum;

    if (e->participants[e->participant_count - 1] >= v->count)
        return fm_verify_fail(v, FM_EPROTO, "participants", "place %u is not in the roster of %u",
                              e->participants[e->participant_count - 1], v->count);
    if (e->survivor_count < needed)
        return fm_verify_fail(v, FM_EPROTO, "survivors",
                              "%u of them, and the plan demands %u: fewer than it allows were "
                              "summed",
                              e->survivor_count, needed);
    return FM_OK;
}

/* Who was summed with whom, as every node draws it for itself. */
static fm_status check_groups(verification *v)
{
    const fm_entry *e = v->entry;
    const fm_round_view view = fm_entry_view(v->report.plan.federation, e);
    fm_status st = fm_replay_round_begin(v->sums, &view);

    if (st != FM_OK)
        return fm_verify_place(v, st, "participants");
    st = fm_replay_round_survive(v->sums, e->survivors, e->survivor_count);
    return st == FM_OK ? st : fm_verify_place(v, FM_EPROTO, "survivors");
}

/* The time is the aggregator's word; the members' own statements bound it. */
static fm_status check_time(verification *v)
{
    const fm_entry *e = v->entry;
    char from[32], to[32];

    for (uint32_t i = 0; i < e->participant_count; i++) {
        const verify_place *p = &v->places[e->participants[i]];

        if (e->finished_s >= p->made_s - TIME_SLACK_S &&
            e->finished_s <= p->not_after_s + TIME_SLACK_S)
            continue;
        fm_clock_format(p->made_s, from, sizeof from);
        fm_clock_format(p->not_after_s, to, sizeof to);
        return fm_verify_fail(v, FM_EPROTO, "time",
                              "it is more than a day outside of the statement of '%s', which says "
                              "%s to %s",
                              fm_peer_info(p->peer)->name, from, to);
    }
    return FM_OK;
}

/*
 * Statements last a week, and a revocation within it ends no statement: it is the aggregator that
 * has to bring the list. How soon it did, shows here; a day may be a clock, or a list on its way.
 */
static fm_status check_revoked(verification *v)
{
    const fm_entry *e = v->entry;
    char when[32];

    for (uint32_t i = 0; i < e->participant_count; i++) {
        const verify_place *p = &v->places[e->participants[i]];

        if (p->revoked_s == 0 || e->finished_s <= p->revoked_s + TIME_SLACK_S)
            continue;
        fm_clock_format(p->revoked_s, when, sizeof when);
        return fm_verify_fail(v, FM_EAUTH, "participants",
                              "'%s' is among them, more than a day after its certificate was "
                              "revoked (%s): the aggregator has withheld the list",
                              fm_peer_info(p->peer)->name, when);
    }
    return FM_OK;
}

static fm_status check_signature(verification *v, uint32_t i, const char *what, const char *label,
                                 const fm_hash *digest, fm_bytes signature)
{
    const verify_place *p = &v->places[v->entry->survivors[i]];
    char field[FM_NAME_MAX + 32];
    fm_status st = fm_peer_check_signature(p->peer, label, digest->bytes, FM_HASH_BYTES,
                                           signature.data, signature.len);

    if (st == FM_OK)
        return st;
    (void)snprintf(field, sizeof field, "%s of '%s'", what, fm_peer_info(p->peer)->name);
    return fm_verify_place(v, st, field);
}

static fm_status check_survivors(verification *v, const fm_hash *commit)
{
    const fm_entry *e = v->entry;
    const fm_round_view view = fm_entry_view(v->report.plan.federation, e);
    fm_status st = FM_OK;

    for (uint32_t i = 0; st == FM_OK && i < e->survivor_count; i++) {
        const fm_hash update = fm_update_digest(&view, e->survivors[i], &e->updates[i]);

        st = check_signature(v, i, "update signature", FM_LABEL_UPDATE, &update,
                             e->update_signatures[i]);
        if (st == FM_OK)
            st = check_signature(v, i, "commit signature", FM_LABEL_COMMIT, commit,
                                 e->commit_signatures[i]);
    }
    return st;
}

static void note_entry(verification *v, const fm_hash *head)
{
    fm_verify_report *r = &v->report;
    const fm_entry *e = v->entry;

    for (uint32_t i = 0; i < e->participant_count; i++) {
        const verify_place *p = &v->places[e->participants[i]];

        r->members[p->member].took_part++;
        r->members[p->member].too_late += p->revoked_s != 0 && e->finished_s > p->revoked_s;
    }
    for (uint32_t i = 0; i < e->survivor_count; i++)
        r->members[v->places[e->survivors[i]].member].signed_++;
    if (r->entries++ == 0) {
        r->first_round = e->round;
        r->first_s = e->finished_s;
    }
    r->last_round = e->round;
    r->last_s = e->finished_s;
    r->head = v->head = *head;
    r->model = v->model = e->model_after;
}

static fm_status decode_entry(verification *v)
{
    fm_status st;

    free(v->entry);
    v->entry = NULL;
    fm_buf_clear(&v->bytes);
    /* Its own copy: the section goes when the next one is read. */
    if ((st = fm_buf_append(&v->bytes, v->at.payload.data, v->at.payload.len)) != FM_OK)
        return st;
    if ((st = fm_entry_decode(v->bytes.data, v->bytes.len, &v->entry)) != FM_OK)
        return fm_verify_place(v, st, "form");
    return FM_OK;
}

fm_status fm_verify_entry(verification *v)
{
    const char *federation = v->report.plan.federation;
    fm_transcript_entry t;
    fm_hash head, digest;
    fm_status st;

    if ((st = decode_entry(v)) != FM_OK || (st = check_place_in_chain(v)) != FM_OK ||
        (st = check_cohort(v)) != FM_OK || (st = check_groups(v)) != FM_OK ||
        (st = check_time(v)) != FM_OK || (st = check_revoked(v)) != FM_OK)
        return st;
    t = fm_entry_transcript(federation, v->entry);
    head = fm_transcript_next(&v->head, &t);
    digest = fm_entry_digest(federation, &head, v->bytes.data,
                             fm_entry_body_len(v->entry, v->bytes.len));
    if ((st = check_survivors(v, &t.commit_digest)) != FM_OK ||
        (st = check_aggregator(v, v->entry->certificate, v->entry->finished_s, FM_LABEL_ENTRY,
                               &digest, v->entry->signature)) != FM_OK)
        return st;
    v->commit = t.commit_digest;
    note_entry(v, &head);
    return FM_OK;
}

/* ---- the seal ---- */

fm_status fm_verify_seal(verification *v)
{
    fm_verify_report *r = &v->report;
    fm_bundle_seal seal;
    fm_hash digest;
    fm_status st = fm_bundle_seal_decode(v->at.payload.data, v->at.payload.len, &seal);

    if (st != FM_OK)
        return fm_verify_place(v, st, "form");
    if (seal.entries != r->entries || r->entries == 0)
        return fm_verify_fail(v, FM_EPROTO, "entries",
                              "it seals %llu entries, and there are %llu: some are missing",
                              (unsigned long long)seal.entries, (unsigned long long)r->entries);
    if (!fm_hash_equal(&seal.head, &r->head))
        return fm_verify_fail(v, FM_EPROTO, "head", "it is not the head that the entries lead to");
    digest = fm_bundle_seal_digest(r->plan.federation, &r->plan_hash, &v->at.before, &seal);
    r->made_s = seal.made_s;
    return check_aggregator(v, seal.certificate, seal.made_s, FM_LABEL_SEAL, &digest,
                            seal.signature);
}
