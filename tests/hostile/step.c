/* One step: what is told to whom, in what order, and whether what came back is what must come. */
#include <string.h>

#include "fedmoe/base/random.h"
#include "hostile.h"

static const lie honest = { .name = "honest",
                            .cast = "0123",
                            .answers = "1111",
                            .updates = "1111",
                            .commits = "1111",
                            .releases = "1111" };

static const lie honest_nine = { .name = "honest-nine",
                                 .cast = "012345678",
                                 .answers = "111111111",
                                 .updates = "111111111",
                                 .commits = "111111111",
                                 .releases = "111111111" };

/* ---- what an honest aggregator tells ---- */

static void tell_roster(hostile *h, telling *t, const lie *l, const fm_session *session)
{
    t->session = *session;
    t->member_count = 0;
    for (const char *c = l->cast; *c; c++) {
        unsigned who = (unsigned)(*c >= 'a' ? *c - 'a' + 10 : *c - '0');

        need(who < h->count, "a member of the cast");
        t->who[t->member_count] = who;
        t->members[t->member_count++] = h->parties[who].credential;
    }
}

static void tell_start(hostile *h, unsigned to, telling *t)
{
    t->round = h->round;
    t->plan = h->parties[to].plan_hash;
    t->head = h->head;
    t->signer = h->run.identity;
    fm_buf_clear(&t->model);
    need(fm_buf_append(&t->model, h->model.data, h->model.len) == FM_OK, "memory");
    t->model_hash = fm_model_digest(t->model.data, t->model.len);
    t->participant_count = 0;
    for (uint32_t i = 0; i < t->member_count; i++)
        t->participants[t->participant_count++] = i;
    memcpy(t->entries, h->entries, sizeof t->entries);
    t->entry_count = h->finished;
}

/* ---- one message to each node, after the lie has changed what it is told ---- */

static bool is_told(const hostile *h, const lie *l, unsigned to)
{
    return to < h->honest && strchr(l->cast, (int)('0' + to)) != NULL;
}

static void say(hostile *h, const lie *l, moment at, unsigned to)
{
    telling *t = &h->told[to];

    if (at == AT_START)
        tell_start(h, to, t);
    else if (at == AT_SURVIVORS)
        fill_survivors(h, t);
    else if (at == AT_COMMITS)
        fill_commits(h, t);
    if (l->change)
        l->change(h, at, to, t);
    switch (at) {
    case AT_ROSTER:
        say_roster(h, to, t);
        break;
    case AT_START:
        say_start(h, to, t);
        break;
    case AT_SURVIVORS:
        say_survivors(h, to, t);
        break;
    case AT_COMMITS:
        say_commits(h, to, t);
        break;
    }
}

static void say_all(hostile *h, const lie *l, moment at, unsigned but)
{
    for (unsigned i = 0; i < h->honest; i++)
        if (i != but && is_told(h, l, i))
            say(h, l, at, i);
}

static void say_rosters(hostile *h, const lie *l)
{
    fm_session session;

    fm_random_bytes(session.bytes, sizeof session.bytes);
    for (unsigned i = 0; i < h->honest; i++) {
        h->parties[i].answered = false;
        tell_roster(h, &h->told[i], l, &session);
    }
    say_all(h, l, AT_ROSTER, MOST);
}

/* ---- what comes back ---- */

static bool has_answered(const hostile *h, const party *p)
{
    (void)h;
    return p->answered && fm_hash_equal(&p->roster, &p->told);
}

static bool has_updated(const hostile *h, const party *p)
{
    (void)h;
    return p->updated > 0;
}

static bool has_committed(const hostile *h, const party *p)
{
    (void)h;
    return p->committed > 0;
}

static bool has_released(const hostile *h, const party *p)
{
    return p->releases[h->round] > 0;
}

static bool is_gone(const hostile *h, const party *p)
{
    (void)h;
    return p->peer == 0;
}

static bool has_approved(const hostile *h, const party *p)
{
    (void)h;
    return p->approved;
}

static void compare(hostile *h, const lie *l, const char *what, const char *want, const char *got)
{
    for (unsigned i = 0; i < h->honest; i++) {
        if (got[i] == (want[i] == '-' ? '0' : want[i]))
            continue;
        fprintf(stderr, "%s, round %llu: %s by %s, not %s\n", l->name, (unsigned long long)h->round,
                what, got, want);
        h->failures++;
        return;
    }
}

/* A pattern that names no message is of one that names the round. */
static void expect(const hostile *h, const char *name, const char *why)
{
    if (strncmp(why, "refused", 7) == 0)
        fprintf(h->record, "expect %s: %s\n", name, why);
    else
        fprintf(h->record, "expect %s: round %llu: .*%s\n", name, (unsigned long long)h->round,
                why);
}

static void check(hostile *h, const lie *l, const char *answers)
{
    char updates[MOST + 1] = "", commits[MOST + 1] = "", releases[MOST + 1] = "";

    for (unsigned i = 0; i < h->honest; i++) {
        updates[i] = (char)('0' + h->parties[i].updated);
        commits[i] = (char)('0' + h->parties[i].committed);
        releases[i] = (char)('0' + h->parties[i].releases[h->round]);
        if (l->says && l->says[i] == '1')
            expect(h, h->parties[i].name, l->why);
    }
    fprintf(h->record, "step %s round %llu: answers %s updates %s commits %s releases %s\n",
            l->name, (unsigned long long)h->round, answers, updates, commits, releases);
    compare(h, l, "answers", l->answers, answers);
    compare(h, l, "updates", l->updates, updates);
    compare(h, l, "commits", l->commits, commits);
    compare(h, l, "releases", l->releases, releases);
}

/* All that was sent before is dealt with when the answer to this is here. */
static void settle(hostile *h)
{
    const lie *l = h->honest == 9 ? &honest_nine : &honest;

    say_rosters(h, l);
    hear_until(h, has_answered, l->answers, "answers to the last roster");
}

/* ---- deeds ---- */

/* The last node is killed and comes back; then the same round once more, to everybody. */
static void kill_and_reopen(hostile *h, const lie *l)
{
    fprintf(h->record, "kill %s\n", h->parties[h->honest - 1].name);
    fflush(h->record);
    hear_until(h, is_gone, "0001", "end");
    hear_until(h, has_approved, "0001", "return");
    settle(h);
    for (moment at = AT_START; at <= AT_COMMITS; at++)
        say_all(h, l, at, MOST);
}

static void replay_start(hostile *h)
{
    fm_message *m = NULL;

    need(fm_message_decode(h->last_start.data, h->last_start.len, &m) == FM_OK, "a decoding");
    for (unsigned i = 0; i < h->honest; i++)
        say_message(h, i, m);
    fm_message_free(&m);
}

/* ---- the end of an honest round ---- */

static void keep_old(hostile *h)
{
    for (unsigned i = 0; i < h->honest; i++) {
        party *p = &h->parties[i];

        p->old_update = p->update;
        memcpy(p->old_update_signature, p->update_signature, sizeof p->old_update_signature);
        p->old_update_signature_len = p->update_signature_len;
        memcpy(p->old_commit_signature, p->commit_signature, sizeof p->old_commit_signature);
        p->old_commit_signature_len = p->commit_signature_len;
    }
    h->old_head = h->head;
    fm_buf_clear(&h->old_model);
    need(fm_buf_append(&h->old_model, h->model.data, h->model.len) == FM_OK, "memory");
}

/* Another model, as if a step had been made: one weight grows, and the statistics round is over. */
static void step_model(hostile *h)
{
    float first, phase = 1.0f;

    memcpy(&first, h->model.data, sizeof first);
    first += 0.125f;
    memcpy(h->model.data, &first, sizeof first);
    if (h->run.config.plan.start_scale > 0.0)
        memcpy(h->model.data + h->model.len - sizeof phase, &phase, sizeof phase);
}

static void finish_round(hostile *h)
{
    const telling *t = &h->told[0];
    fm_round_view view = view_of(t, h->run.config.plan.federation);
    fm_transcript_entry *e = &h->entries[h->finished];

    keep_old(h);
    step_model(h);
    e->round = h->round;
    e->commit_digest = fm_commit_digest(&view, t->survivors, t->update_hashes, t->survivor_count);
    e->model_after = fm_model_digest(h->model.data, h->model.len);
    h->head = fm_transcript_next(&h->head, e);
    h->finished++;
}

/* ---- the step ---- */

static void begin(hostile *h)
{
    need(++h->round <= MAX_STEPS, "a round number");
    h->old_session = h->told[0].session;
    h->old_roster = h->told[0].roster;
    for (unsigned i = 0; i < h->honest; i++)
        h->parties[i].updated = h->parties[i].committed = 0;
}

static void commit(hostile *h, const lie *l)
{
    say_all(h, l, AT_SURVIVORS, MOST);
    hear_until(h, has_committed, l->commits, "commits");
    /* Its commit is here; it alone is not told that all have committed. */
    say_all(h, l, AT_COMMITS, l->deed == KILL_AFTER_COMMIT ? h->honest - 1 : MOST);
    hear_until(h, has_released, l->releases, "releases");
}

static void ask_again(hostile *h, const lie *l)
{
    say_all(h, l, AT_SURVIVORS, MOST);
    say_all(h, l, AT_COMMITS, MOST);
}

void step(hostile *h, const lie *l)
{
    char answers[MOST + 1] = "";

    begin(h);
    if (l->deed == REPLAY_START)
        replay_start(h);
    say_rosters(h, l);
    hear_until(h, has_answered, l->answers, "answers to the roster");
    say_all(h, l, AT_START, MOST);
    hear_until(h, has_updated, l->updates, "updates");
    for (unsigned i = 0; i < h->honest; i++)
        answers[i] = has_answered(h, &h->parties[i]) ? '1' : '0';
    if (l->deed != KILL_AFTER_UPDATE)
        commit(h, l);
    if (l->deed == ASK_AGAIN)
        ask_again(h, l);
    if (!l->change && l->releases[0] == '1' && l->deed < KILL_AFTER_UPDATE)
        finish_round(h);
    if (l->deed >= KILL_AFTER_UPDATE && l->deed <= KILL_AFTER_RELEASE)
        kill_and_reopen(h, l);
    settle(h);
    check(h, l, answers);
    fflush(h->record);
}
