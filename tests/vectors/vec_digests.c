/* Every digest of section 10 over samples; tests/proto has the same ones for the first ten. */
#include <string.h>

#include "bundle_internal.h"
#include "fedmoe/proto/digest.h"
#include "fedmoe/proto/plan.h"
#include "vec.h"

static const uint32_t three[] = { 0, 2, 5 }, start_p[] = { 0, 3, 200, 1023 };

static fm_round_view view(void)
{
    fm_round_view v = { .federation = "heart-2026",
                        .roster = vec_count(1),
                        .plan = vec_count(2),
                        .model = vec_count(3),
                        .head = vec_count(4),
                        .round = 7,
                        .participants = three,
                        .participant_count = 3 };

    for (unsigned i = 0; i < FM_SESSION_BYTES; i++)
        v.session.bytes[i] = (uint8_t)(1 + i);
    return v;
}

static void put(json_t *list, const char *digest, json_t *of, fm_hash value)
{
    json_array_append_new(
        list, json_pack("{s:s,s:o,s:o}", "digest", digest, "of", of, "value", vec_hash(&value)));
}

static json_t *count_json(unsigned first)
{
    const fm_hash h = vec_count(first);

    return vec_hash(&h);
}

static json_t *view_json(const fm_round_view *v)
{
    return json_pack("{s:s,s:I,s:o,s:o,s:o,s:o,s:o,s:o}", "federation", v->federation, "round",
                     (json_int_t)v->round, "session", vec_hex(v->session.bytes, FM_SESSION_BYTES),
                     "roster", vec_hash(&v->roster), "plan", vec_hash(&v->plan), "model",
                     vec_hash(&v->model), "participants",
                     vec_list_u32(v->participants, v->participant_count), "head",
                     vec_hash(&v->head));
}

static void put_welcome(json_t *list)
{
    const fm_hash client = vec_count(12), door = vec_count(13);

    put(list, "welcome",
        json_pack("{s:s,s:o,s:o}", "federation", "heart-2026", "connection", vec_hash(&client),
                  "door", vec_hash(&door)),
        fm_welcome_digest("heart-2026", client.bytes, door.bytes));
}

static void put_roster(json_t *list)
{
    static fm_credential members[3];
    json_t *credentials = json_array();
    fm_msg_roster r = { .members = members, .count = 3 };

    vec_fill(r.session.bytes, FM_SESSION_BYTES, 80);
    for (unsigned i = 0; i < 3; i++) {
        members[i].cert_len = 50 + i;
        members[i].statement_len = 20 + i;
        members[i].signature_len = 64;
        vec_fill(members[i].cert, members[i].cert_len, i + 1);
        vec_fill(members[i].statement, members[i].statement_len, i + 2);
        vec_fill(members[i].signature, members[i].signature_len, i + 3);
        json_array_append_new(credentials, vec_credential(&members[i]));
    }
    put(list, "roster",
        json_pack("{s:o,s:o}", "session", vec_hex(r.session.bytes, FM_SESSION_BYTES), "members",
                  credentials),
        fm_roster_digest(&r));
}

/* The same with CAs between for the second and the third. */
static void put_roster_between(json_t *list)
{
    static fm_credential members[3];
    json_t *credentials = json_array();
    fm_msg_roster r = { .members = members, .count = 3 };

    vec_fill(r.session.bytes, FM_SESSION_BYTES, 80);
    for (unsigned i = 0; i < 3; i++) {
        members[i].cert_len = members[i].statement_len = members[i].signature_len = 8;
        members[i].intermediate_count = i;
        for (unsigned k = 0; k < i; k++) {
            members[i].intermediate_len[k] = 5 + k;
            vec_fill(members[i].intermediates[k], 5 + k, 10 * i + k);
        }
        json_array_append_new(credentials, vec_credential(&members[i]));
    }
    put(list, "roster",
        json_pack("{s:o,s:o}", "session", vec_hex(r.session.bytes, FM_SESSION_BYTES), "members",
                  credentials),
        fm_roster_digest(&r));
}

static void put_start(json_t *list)
{
    fm_msg_round_start s = { .round = 7,
                             .roster_hash = vec_count(6),
                             .plan_hash = vec_count(7),
                             .model_hash = vec_count(8),
                             .participants = start_p,
                             .participant_count = 4,
                             .head = vec_count(9) };
    fm_round_view v = { .federation = "heart-2026",
                        .round = 7,
                        .roster = s.roster_hash,
                        .plan = s.plan_hash,
                        .model = s.model_hash,
                        .participants = start_p,
                        .participant_count = 4,
                        .head = s.head };

    vec_fill(s.session.bytes, FM_SESSION_BYTES, 81);
    v.session = s.session;
    put(list, "round start", view_json(&v), fm_round_start_digest(v.federation, &s));
}

static void put_round(json_t *list)
{
    const fm_round_view v = view();
    const fm_hash update = vec_count(9), updates[] = { vec_count(10), vec_count(11) };
    const fm_transcript_entry e = { 3, vec_count(40), vec_count(50) };
    const fm_msg_finish f = { .rounds = 9, .model_hash = vec_count(4), .head = vec_count(5) };
    const fm_hash head = vec_count(4), ledger = vec_count(11), plan = vec_count(2);

    put(list, "update",
        json_pack("{s:o,s:i,s:o}", "view", view_json(&v), "node", 2, "update", vec_hash(&update)),
        fm_update_digest(&v, 2, &update));
    put(list, "commit",
        json_pack("{s:o,s:o,s:[o,o]}", "view", view_json(&v), "survivors", vec_list_u32(three, 2),
                  "updates", vec_hash(&updates[0]), vec_hash(&updates[1])),
        fm_commit_digest(&v, three, updates, 2));
    put(list, "finish",
        json_pack("{s:s,s:i,s:o,s:o}", "federation", "heart-2026", "rounds", 9, "model",
                  vec_hash(&f.model_hash), "head", vec_hash(&f.head)),
        fm_finish_digest("heart-2026", &f));
    put(list, "ledger mark",
        json_pack("{s:s,s:o,s:i,s:o}", "federation", "heart-2026", "plan", vec_hash(&plan), "round",
                  7, "ledger_head", vec_hash(&ledger)),
        fm_ledger_mark_digest("heart-2026", &plan, 7, &ledger));
    put(list, "transcript",
        json_pack("{s:o,s:i,s:o,s:o}", "head", vec_hash(&head), "round", 3, "commit_digest",
                  count_json(40), "model_after", count_json(50)),
        fm_transcript_next(&head, &e));
}

static void put_bundle(json_t *list)
{
    const fm_hash plan = vec_count(2), zero = { { 0 } };
    const fm_bundle_seal s = { .entries = 1, .head = vec_count(6), .made_s = 1767229200 };
    const fm_hash mark = fm_bundle_next_mark(&zero, FM_BUNDLE_PLAN, "abcd", 4);
    const fm_hash second = fm_bundle_next_mark(&mark, FM_BUNDLE_CA, "", 0);

    put(list, "mark",
        json_pack("{s:o,s:s,s:o}", "before", vec_hash(&zero), "tag", "plan", "payload",
                  vec_hex("abcd", 4)),
        mark);
    put(list, "mark",
        json_pack("{s:o,s:s,s:s}", "before", vec_hash(&mark), "tag", "ca  ", "payload", ""),
        second);
    put(list, "seal",
        json_pack("{s:s,s:o,s:o,s:i,s:o,s:i}", "federation", "heart-2026", "plan", vec_hash(&plan),
                  "mark", vec_hash(&second), "entries", 1, "head", vec_hash(&s.head), "time",
                  1767229200),
        fm_bundle_seal_digest("heart-2026", &plan, &second, &s));
    put(list, "entry",
        json_pack("{s:s,s:o,s:o}", "federation", "heart-2026", "head", vec_hash(&mark), "body",
                  vec_hex("abcd", 4)),
        fm_entry_digest("heart-2026", &mark, (const uint8_t *)"abcd", 4));
}

json_t *vec_digests(void)
{
    json_t *list = json_array();

    put(list, "model", json_pack("{s:s}", "bytes", "61626364"), fm_model_digest("abcd", 4));
    put(list, "update bytes", json_pack("{s:s}", "bytes", "61626364"),
        fm_update_bytes_digest("abcd", 4));
    put(list, "plan", json_pack("{s:s}", "bytes", "61626364"), fm_plan_hash("abcd", 4));
    put(list, "participants", json_pack("{s:o}", "participants", vec_list_u32(three, 3)),
        fm_participants_digest(three, 3));
    put_welcome(list);
    put_roster(list);
    put_roster_between(list);
    put_start(list);
    put_round(list);
    put_bundle(list);
    return list;
}
