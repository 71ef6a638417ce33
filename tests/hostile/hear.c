/* What comes from the nodes; whatever it is, it is only written down. */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/random.h"
#include "hostile.h"

void need(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "hostile aggregator: %s: %s\n", what, fm_error_text());
    exit(1);
}

void make_credential(const fm_identity *id, fm_credential *out)
{
    const fm_cert_info *info = fm_identity_info(id);
    fm_statement s = { .role = info->role, .not_after_s = fm_clock_wall_s() + 3600 };
    uint8_t secret[FM_SESSION_KEY_BYTES];

    memcpy(s.name, info->name, sizeof s.name);
    memcpy(s.federation, info->federation, sizeof s.federation);
    fm_random_bytes(s.curve_public, sizeof s.curve_public);
    if (info->role == FM_ROLE_NODE) {
        fm_random_bytes(secret, sizeof secret);
        need(crypto_scalarmult_base(s.x25519_public, secret) == 0, "a key");
    }
    need(fm_credential_make(id, &s, out) == FM_OK, "a credential");
}

void offer_plan(hostile *h, const party *p)
{
    fm_message m = { .type = FM_MSG_PLAN_OFFER };

    m.plan_offer.plan = (fm_bytes){ p->plan.data, p->plan.len };
    need(fm_link_server_send(h->run.link, p->peer, &m) == FM_OK, "an offer");
}

static void joined(hostile *h, const fm_link_event *e)
{
    for (unsigned i = 0; i < h->honest; i++) {
        party *p = &h->parties[i];

        if (strcmp(p->name, e->statement->name) != 0)
            continue;
        p->earlier = p->credential;
        p->credential = *e->credential;
        p->peer = e->peer;
        p->approved = false;
        offer_plan(h, p);
    }
}

static party *by_peer(hostile *h, uint64_t peer)
{
    for (unsigned i = 0; i < h->honest; i++)
        if (h->parties[i].peer == peer)
            return &h->parties[i];
    return NULL;
}

static size_t keep(uint8_t to[FM_SIGNATURE_MAX], fm_bytes from)
{
    memcpy(to, from.data, from.len);
    return from.len;
}

static void keep_update(hostile *h, party *p, const fm_msg_masked_update *u)
{
    char path[1024];

    p->update = fm_update_bytes_digest(p->masked.data, p->masked.len);
    p->update_signature_len = keep(p->update_signature, u->signature);
    p->updated += u->round == h->round;
    if (!h->updates_dir)
        return;
    (void)snprintf(path, sizeof path, "%s/%s-%llu", h->updates_dir, p->name,
                   (unsigned long long)u->round);
    need(fm_file_create(path, p->masked.data, p->masked.len, 0600) == FM_OK, "an update's file");
}

static void keep_piece(hostile *h, party *p, const fm_msg_update_piece *u)
{
    fm_message more = { .type = FM_MSG_UPDATE_WANT };

    if (u->at == 0)
        fm_buf_clear(&p->masked);
    need(fm_buf_append(&p->masked, u->piece.data, u->piece.len) == FM_OK, "memory");
    more.update_want = (fm_msg_update_want){ u->round, (uint64_t)4 * FM_MAX_PARAMETERS };
    say_message(h, (unsigned)(p - h->parties), &more);
}

static void take(hostile *h, party *p, const fm_message *m)
{
    switch (m->type) {
    case FM_MSG_MODEL_WANT:
        if (m->model_want.at == 0) /* all of it, whatever the window */
            say_model(h, (unsigned)(p - h->parties), &m->model_want.model_hash);
        break;
    case FM_MSG_UPDATE_PIECE:
        keep_piece(h, p, &m->update_piece);
        break;
    case FM_MSG_PLAN_ANSWER:
        p->approved = m->plan_answer.approved;
        p->declined = !p->approved;
        fprintf(h->record, "%s %s the plan%s%s\n", p->name, p->approved ? "approves" : "refuses",
                p->approved ? "" : ": ", m->plan_answer.reason);
        break;
    case FM_MSG_ROSTER_ANSWER:
        p->roster = m->roster_answer.roster_hash;
        p->answered = true;
        break;
    case FM_MSG_MASKED_UPDATE:
        keep_update(h, p, &m->masked_update);
        break;
    case FM_MSG_COMMIT:
        p->committed += m->commit.round == h->round;
        p->commit_signature_len = keep(p->commit_signature, m->commit.signature);
        break;
    case FM_MSG_RELEASE:
        need(m->release.round <= MAX_STEPS, "a round that was started");
        p->releases[m->release.round]++;
        fprintf(h->record, "%s releases round %llu\n", p->name,
                (unsigned long long)m->release.round);
        break;
    case FM_MSG_ABANDON:
        fprintf(h->record, "%s abandons round %llu: %s\n", p->name,
                (unsigned long long)m->abandon.round, m->abandon.reason);
        break;
    default:
        break;
    }
}

void hear(hostile *h, int ms)
{
    fm_link_event e = { 0 };
    party *p;

    need(fm_link_server_poll(h->run.link, ms, &e) == FM_OK, "the link");
    p = e.peer ? by_peer(h, e.peer) : NULL;
    if (e.kind == FM_LINK_JOINED) {
        joined(h, &e);
    } else if (p && e.kind == FM_LINK_GONE) {
        fprintf(h->record, "%s is gone: %s\n", p->name, e.reason);
        p->peer = 0;
        p->approved = false;
    } else if (p && e.kind == FM_LINK_MESSAGE) {
        take(h, p, e.message);
    }
    fm_message_free(&e.message);
    fflush(h->record);
}

static bool all(const hostile *h, party_test test, const char *which)
{
    for (unsigned i = 0; i < h->honest; i++)
        if (which[i] == '1' && !test(h, &h->parties[i]))
            return false;
    return true;
}

void hear_until(hostile *h, party_test test, const char *which, const char *what)
{
    uint64_t end = fm_clock_now_ms() + PATIENCE_S * 1000u;

    while (!all(h, test, which)) {
        if (fm_clock_now_ms() < end) {
            hear(h, 50);
            continue;
        }
        fprintf(stderr, "hostile aggregator: round %llu: no %s of nodes %s in time\n",
                (unsigned long long)h->round, what, which);
        exit(1);
    }
}
