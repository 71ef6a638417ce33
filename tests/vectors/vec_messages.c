/* Each message with its fields and its one encoding; and encodings that must be refused. */
#include <stdlib.h>
#include <string.h>

#include "vec.h"

#define HEX(x) vec_hex((x), sizeof(x))

static uint8_t signature[64], longest[96], request[24], piece[20], certificate[40];
static uint8_t seeds[3][FM_SEED_BYTES], session[FM_SESSION_BYTES];
static fm_hash h1, h2, h3, h4;
static fm_credential credentials[2];
static const uint32_t four[] = { 0, 3, 200, 1023 }, two[] = { 1, 5 };
static fm_transcript_entry entries[2];

static void fill_samples(void)
{
    vec_fill(signature, sizeof signature, 9);
    vec_fill(longest, sizeof longest, 10);
    vec_fill(request, sizeof request, 11);
    vec_fill(piece, sizeof piece, 12);
    vec_fill(certificate, sizeof certificate, 13);
    vec_fill(session, sizeof session, 14);
    for (unsigned i = 0; i < 3; i++)
        vec_fill(seeds[i], FM_SEED_BYTES, 70 + i);
    h1 = vec_count(1);
    h2 = vec_count(2);
    h3 = vec_count(3);
    h4 = vec_count(4);
    for (unsigned i = 0; i < 2; i++) {
        fm_credential *c = &credentials[i];

        memset(c, 0, sizeof *c);
        c->cert_len = 50 + i;
        c->statement_len = 20 + i;
        c->signature_len = 64;
        vec_fill(c->cert, c->cert_len, i + 1);
        vec_fill(c->statement, c->statement_len, i + 2);
        vec_fill(c->signature, c->signature_len, i + 3);
        c->intermediate_count = 2 * i;
        for (unsigned k = 0; k < c->intermediate_count; k++) {
            c->intermediate_len[k] = 10 + k;
            vec_fill(c->intermediates[k], c->intermediate_len[k], 60 + k);
        }
        entries[i] = (fm_transcript_entry){ 3 + i, vec_count(40 + i), vec_count(50 + i) };
    }
}

static fm_bytes sig(void)
{
    return (fm_bytes){ signature, sizeof signature };
}

static void put(json_t *list, const fm_message *m, json_t *fields)
{
    json_array_append_new(list,
                          json_pack("{s:s,s:i,s:o,s:o}", "message", fm_msg_name(m->type), "number",
                                    (int)m->type, "fields", fields, "encoding", vec_encoding(m)));
}

static json_t *successor_json(void)
{
    return json_pack("{s:o,s:o}", "authority", HEX(certificate), "signature", HEX(signature));
}

static fm_successor successor(void)
{
    return (fm_successor){ { certificate, sizeof certificate }, sig() };
}

static void put_enrolled(json_t *list)
{
    fm_message m = { .type = FM_MSG_ENROLLED };

    put(list, &m,
        json_pack("{s:s,s:s,s:s,s:n,s:s}", "certificate", "", "authority", "", "revocations", "",
                  "successor", "successor_revocations", ""));
    m.enrolled.certificate = (fm_bytes){ certificate, sizeof certificate };
    m.enrolled.authority = (fm_bytes){ request, sizeof request };
    m.enrolled.revocations = (fm_bytes){ piece, sizeof piece };
    put(list, &m,
        json_pack("{s:o,s:o,s:o,s:n,s:s}", "certificate", HEX(certificate), "authority",
                  HEX(request), "revocations", HEX(piece), "successor", "successor_revocations",
                  ""));
    m.enrolled.successor = successor();
    m.enrolled.successor_revocations = (fm_bytes){ request, sizeof request };
    put(list, &m,
        json_pack("{s:o,s:o,s:o,s:o,s:o}", "certificate", HEX(certificate), "authority",
                  HEX(request), "revocations", HEX(piece), "successor", successor_json(),
                  "successor_revocations", HEX(request)));
}

static void put_revocations(json_t *list)
{
    fm_message m = { .type = FM_MSG_REVOCATIONS,
                     .revocations = { .list = { piece, sizeof piece } } };

    put(list, &m, json_pack("{s:o,s:[],s:n}", "list", HEX(piece), "path", "successor"));
    m.revocations.path = (fm_ca_path){ .der = { certificate, request },
                                       .len = { sizeof certificate, sizeof request },
                                       .count = 2 };
    m.revocations.successor = successor();
    put(list, &m,
        json_pack("{s:o,s:[o,o],s:o}", "list", HEX(piece), "path", HEX(certificate), HEX(request),
                  "successor", successor_json()));
}

static void put_door(json_t *list)
{
    fm_message m = { .type = FM_MSG_HELLO, .hello = { FM_PROTO_VERSION, credentials[0] } };

    put(list, &m,
        json_pack("{s:i,s:o}", "version", FM_PROTO_VERSION, "credential",
                  vec_credential(&credentials[0])));
    m = (fm_message){ .type = FM_MSG_WELCOME,
                      .welcome = { FM_PROTO_VERSION, credentials[1], sig() } };
    put(list, &m,
        json_pack("{s:i,s:o,s:o}", "version", FM_PROTO_VERSION, "credential",
                  vec_credential(&credentials[1]), "proof", HEX(signature)));
    m = (fm_message){ .type = FM_MSG_REFUSAL, .refusal = { "the certificate has expired" } };
    put(list, &m, json_pack("{s:s}", "reason", m.refusal.reason));
    m = (fm_message){ .type = FM_MSG_REFUSAL };
    put(list, &m, json_pack("{s:s}", "reason", ""));
    m = (fm_message){ .type = FM_MSG_ENROL,
                      .enrol = { .version = FM_PROTO_VERSION,
                                 .request = { request, sizeof request } } };
    vec_fill(m.enrol.invitation, sizeof m.enrol.invitation, 15);
    vec_fill(m.enrol.proof, sizeof m.enrol.proof, 17);
    put(list, &m,
        json_pack("{s:i,s:o,s:o,s:o}", "version", FM_PROTO_VERSION, "invitation",
                  HEX(m.enrol.invitation), "request", HEX(request), "proof", HEX(m.enrol.proof)));
    put_enrolled(list);
    m = (fm_message){ .type = FM_MSG_RENEW,
                      .renew = { FM_PROTO_VERSION, credentials[0], { request, sizeof request } } };
    put(list, &m,
        json_pack("{s:i,s:o,s:o}", "version", FM_PROTO_VERSION, "credential",
                  vec_credential(&credentials[0]), "request", HEX(request)));
}

static void put_introduction(json_t *list)
{
    fm_message m = { .type = FM_MSG_JOIN, .join = { 12, h1 } };

    put(list, &m, json_pack("{s:i,s:o}", "finished_round", 12, "head", vec_hash(&h1)));
    m = (fm_message){ .type = FM_MSG_JOIN };
    put(list, &m, json_pack("{s:i,s:o}", "finished_round", 0, "head", vec_hash(&m.join.head)));
    m = (fm_message){ .type = FM_MSG_PLAN_OFFER,
                      .plan_offer = { { request, sizeof request }, { 6, h2, sig() } } };
    put(list, &m,
        json_pack("{s:o,s:{s:i,s:o,s:o}}", "plan", HEX(request), "mark", "round", 6, "head",
                  vec_hash(&h2), "signature", HEX(signature)));
    m = (fm_message){ .type = FM_MSG_PLAN_OFFER, .plan_offer = { { request, 1 }, { 0 } } };
    put(list, &m, json_pack("{s:o,s:n}", "plan", vec_hex(request, 1), "mark"));
    m = (fm_message){ .type = FM_MSG_PLAN_ANSWER,
                      .plan_answer = { h2, true, "zu teuer: \xc3\xa9psilon" } };
    put(list, &m,
        json_pack("{s:o,s:b,s:s}", "plan_hash", vec_hash(&h2), "approved", 1, "reason",
                  m.plan_answer.reason));
    m.plan_answer = (fm_msg_plan_answer){ .plan_hash = h3 };
    put(list, &m,
        json_pack("{s:o,s:b,s:s}", "plan_hash", vec_hash(&h3), "approved", 0, "reason", ""));
    m = (fm_message){ .type = FM_MSG_ROSTER, .roster = { .members = credentials, .count = 2 } };
    memcpy(m.roster.session.bytes, session, sizeof session);
    put(list, &m,
        json_pack("{s:o,s:[o,o]}", "session", HEX(session), "members",
                  vec_credential(&credentials[0]), vec_credential(&credentials[1])));
    m = (fm_message){ .type = FM_MSG_ROSTER_ANSWER, .roster_answer = { h3 } };
    put(list, &m, json_pack("{s:o}", "roster_hash", vec_hash(&h3)));
    put_revocations(list);
    m = (fm_message){ .type = FM_MSG_PING, .ping = { 0x0102030405060708u } };
    put(list, &m, json_pack("{s:o}", "sequence", vec_u64(m.ping.sequence)));
    m.ping.sequence = 0;
    put(list, &m, json_pack("{s:i}", "sequence", 0));
}

static json_t *entries_json(uint32_t count)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < count; i++)
        json_array_append_new(list, json_pack("{s:o,s:o,s:o}", "round", vec_u64(entries[i].round),
                                              "commit_digest", vec_hash(&entries[i].commit_digest),
                                              "model_after", vec_hash(&entries[i].model_after)));
    return list;
}

static void put_start(json_t *list, uint32_t known, uint32_t participants)
{
    fm_message m = { .type = FM_MSG_ROUND_START };
    fm_msg_round_start *s = &m.round_start;

    *s = (fm_msg_round_start){ .round = 7,
                               .roster_hash = h1,
                               .plan_hash = h2,
                               .model_hash = h3,
                               .participants = four,
                               .participant_count = participants,
                               .head = h4,
                               .entries = entries,
                               .entry_count = known,
                               .signature = { longest, sizeof longest } };
    memcpy(s->session.bytes, session, sizeof session);
    put(list, &m,
        json_pack("{s:i,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "round", 7, "session", HEX(session),
                  "roster_hash", vec_hash(&h1), "plan_hash", vec_hash(&h2), "model_hash",
                  vec_hash(&h3), "participants", vec_list_u32(four, participants), "head",
                  vec_hash(&h4), "entries", entries_json(known), "signature", HEX(longest)));
}

static void put_pieces(json_t *list)
{
    const uint64_t most = (uint64_t)4 * FM_MAX_PARAMETERS;
    const fm_bytes bytes = { piece, sizeof piece };
    fm_message m = { .type = FM_MSG_MODEL_WANT, .model_want = { h1, 0 } };

    put(list, &m, json_pack("{s:o,s:i}", "model_hash", vec_hash(&h1), "at", 0));
    m.model_want.at = most;
    put(list, &m, json_pack("{s:o,s:o}", "model_hash", vec_hash(&h1), "at", vec_u64(most)));
    m = (fm_message){ .type = FM_MSG_MODEL_PIECE, .model_piece = { h1, 4096, bytes } };
    put(list, &m,
        json_pack("{s:o,s:i,s:o}", "model_hash", vec_hash(&h1), "at", 4096, "piece", HEX(piece)));
    m = (fm_message){ .type = FM_MSG_UPDATE_PIECE, .update_piece = { 7, 65536, bytes } };
    put(list, &m, json_pack("{s:i,s:i,s:o}", "round", 7, "at", 65536, "piece", HEX(piece)));
    m = (fm_message){ .type = FM_MSG_UPDATE_WANT, .update_want = { 7, 1 << 20 } };
    put(list, &m, json_pack("{s:i,s:i}", "round", 7, "until", 1 << 20));
    m = (fm_message){ .type = FM_MSG_MASKED_UPDATE, .masked_update = { 7, sig() } };
    put(list, &m, json_pack("{s:i,s:o}", "round", 7, "signature", HEX(signature)));
}

static void put_agreement(json_t *list)
{
    const fm_hash hashes[] = { h1, h2 };
    const fm_bytes signatures[] = { { longest, 72 }, { signature, 64 } };
    fm_message m = { .type = FM_MSG_SURVIVORS, .survivors = { 7, two, hashes, signatures, 2 } };

    put(list, &m,
        json_pack("{s:i,s:o,s:[o,o],s:[o,o]}", "round", 7, "survivors", vec_list_u32(two, 2),
                  "update_hashes", vec_hash(&h1), vec_hash(&h2), "update_signatures",
                  vec_hex(longest, 72), HEX(signature)));
    m = (fm_message){ .type = FM_MSG_COMMIT, .commit = { 7, sig() } };
    put(list, &m, json_pack("{s:i,s:o}", "round", 7, "signature", HEX(signature)));
    m = (fm_message){ .type = FM_MSG_COMMITS, .commits = { 7, signatures, 2 } };
    put(list, &m,
        json_pack("{s:i,s:[o,o]}", "round", 7, "signatures", vec_hex(longest, 72), HEX(signature)));
}

static void put_release(json_t *list)
{
    fm_message m = { .type = FM_MSG_RELEASE };

    m.release = (fm_msg_release){ .round = 7,
                                  .lost = four,
                                  .lost_count = 2,
                                  .pair_seeds = (const uint8_t(*)[FM_SEED_BYTES])seeds,
                                  .surplus_seeds = (const uint8_t(*)[FM_SEED_BYTES])seeds + 2,
                                  .surplus_count = 1,
                                  .ledger_head = h4,
                                  .ledger_signature = sig() };
    vec_fill(m.release.self_seed, FM_SEED_BYTES, 90);
    put(list, &m,
        json_pack("{s:i,s:o,s:[{s:i,s:o},{s:i,s:o}],s:[o],s:o,s:o}", "round", 7, "self_seed",
                  HEX(m.release.self_seed), "pair_seeds", "lost", 0, "seed", HEX(seeds[0]), "lost",
                  3, "seed", HEX(seeds[1]), "surplus_seeds", HEX(seeds[2]), "ledger_head",
                  vec_hash(&h4), "ledger_signature", HEX(signature)));
    m.release.lost_count = m.release.surplus_count = 0;
    put(list, &m,
        json_pack("{s:i,s:o,s:[],s:[],s:o,s:o}", "round", 7, "self_seed", HEX(m.release.self_seed),
                  "pair_seeds", "surplus_seeds", "ledger_head", vec_hash(&h4), "ledger_signature",
                  HEX(signature)));
}

static void put_ends(json_t *list)
{
    fm_message m = { .type = FM_MSG_ABANDON, .abandon = { 7, "node riga is lost", true } };

    put(list, &m, json_pack("{s:i,s:s,s:b}", "round", 7, "reason", m.abandon.reason, "final", 1));
    m = (fm_message){ .type = FM_MSG_FINISH, .finish = { 9, h1, h2, entries, 2, sig() } };
    put(list, &m,
        json_pack("{s:i,s:o,s:o,s:o,s:o}", "rounds", 9, "model_hash", vec_hash(&h1), "head",
                  vec_hash(&h2), "entries", entries_json(2), "signature", HEX(signature)));
}

/* ---- what must be refused ---- */

static const struct {
    const char *why, *hex;
} refused[] = {
    { "nothing", "" },
    { "a body that is not known", "d20100" },
    { "two bodies", "8a0100a20100" },
    { "a byte behind it", "8a010000" },
    { "cut off", "8a01090901020304050607" },
    { "a field with its default value", "8a0109090000000000000000" },
    { "a length that is not the shortest", "8a018000" },
    { "a key that is not the shortest", "8a810000" },
    { "a field that is not known", "8a01021001" },
    { "a field of another wire type", "8a01020801" },
    { "a field twice", "8a0112090100000000000000090200000000000000" },
    { "a hash of 31 bytes",
      "42210a1f000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e" },
    { "a hash that is absent", "4200" },
    { "round 0", "620c120a00010203040506070809" },
    { "an empty signature", "6209090700000000000000" },
    { "a signature of 97 bytes",
      "626c090700000000000000126111111111111111111111111111111111111111111111111111"
      "1111111111111111111111111111111111111111111111111111111111111111111111111111"
      "11111111111111111111111111111111111111111111111111111111111111111111" },
    { "fields out of order", "620c1201ff090700000000000000" },
    { "a reason with a control character", "1a030a0107" },
    { "a reason that is no UTF-8", "1a040a02c328" },
    { "a reason with a control character of two bytes", "1a040a02c285" },
    { "a boolean that is 2", "7a0b0907000000000000001802" },
    { "an empty piece", "c20109090700000000000000" },
    { "a piece behind the longest update", "c201150907000000000000001100000000010000001a01ff" },
    { "a place behind the longest model", "ca0112090700000000000000110100000001000000" },
    { "indices out of order",
      "5a57090700000000000000120205011a20000102030405060708090a0b0c0d0e0f1011121314"
      "15161718191a1b1c1d1e1f1a20000102030405060708090a0b0c0d0e0f101112131415161718"
      "191a1b1c1d1e1f220101220101" },
    { "fewer signatures than survivors",
      "5a54090700000000000000120201051a20000102030405060708090a0b0c0d0e0f1011121314"
      "15161718191a1b1c1d1e1f1a20000102030405060708090a0b0c0d0e0f101112131415161718"
      "191a1b1c1d1e1f220101" },
};

static void unhex(const char *hex, uint8_t *out, size_t *len)
{
    *len = strlen(hex) / 2;
    for (size_t i = 0; i < *len; i++) {
        const char pair[] = { hex[2 * i], hex[2 * i + 1], 0 };

        out[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
}

static json_t *refusals(void)
{
    json_t *list = json_array();

    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        uint8_t bytes[256];
        fm_message *m = NULL;
        size_t len;

        unhex(refused[i].hex, bytes, &len);
        vec_need(fm_message_decode(bytes, len, &m) == FM_EPROTO, refused[i].why);
        json_array_append_new(
            list, json_pack("{s:s,s:s}", "why", refused[i].why, "encoding", refused[i].hex));
    }
    return list;
}

json_t *vec_messages(void)
{
    json_t *list = json_array();

    fill_samples();
    put_door(list);
    put_introduction(list);
    put_start(list, 2, 4);
    put_start(list, 0, 1);
    put_pieces(list);
    put_agreement(list);
    put_release(list);
    put_ends(list);
    return json_pack("{s:o,s:o}", "accepted", list, "refused", refusals());
}
