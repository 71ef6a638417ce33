/* Join codes, the key of a token, requests and proofs. */
#include <string.h>

#include "fedmoe/certs/enrol.h"
#include "fedmoe/proto/link/enrol.h"
#include "vec.h"

static fm_invitation sample(void)
{
    fm_invitation i = { .door = "tcp://agg.example.org:7300",
                        .ca = vec_count(0x80),
                        .federation = "heart-study",
                        .name = "hospital-a",
                        .expires_s = 1800000000 };
    const fm_hash door = vec_count(1);

    memcpy(i.door_public, door.bytes, sizeof i.door_public);
    for (unsigned k = 0; k < FM_TOKEN_BYTES; k++)
        i.token[k] = (uint8_t)(3 * (16 + k) + 7);
    return i;
}

static json_t *fields(const fm_invitation *i)
{
    return json_pack("{s:o,s:o,s:o,s:I,s:s,s:s,s:s}", "door_key",
                     vec_hex(i->door_public, FM_DOOR_KEY_BYTES), "ca", vec_hash(&i->ca), "token",
                     vec_hex(i->token, FM_TOKEN_BYTES), "expires", (json_int_t)i->expires_s,
                     "federation", i->federation, "name", i->name, "door", i->door);
}

static void judge(json_t *list, const char *why, const char *text)
{
    fm_invitation out;

    json_array_append_new(list, json_pack("{s:s,s:s,s:b}", "why", why, "code", text, "accept",
                                          fm_invitation_decode(text, &out) == FM_OK));
}

/* The code with its characters [at, at + n) exchanged. */
static const char *with(char out[FM_INVITATION_TEXT_MAX + 8], const char *text, size_t at,
                        const char *other)
{
    const size_t len = strlen(text), n = strlen(other);

    memcpy(out, text, len + 1);
    memcpy(out + at, other, n + (at + n > len));
    return out;
}

static json_t *codes(const char *text)
{
    json_t *list = json_array();
    char other[FM_INVITATION_TEXT_MAX + 8];
    const size_t len = strlen(text);

    judge(list, "as it is written", text);
    judge(list, "in capitals", with(other, text, 0, "FEDMOE1AEBAG"));
    judge(list, "with space, line break and hyphens", with(other, text, len, " -\n- "));
    judge(list, "mistyped", with(other, text, 30, text[30] == 'a' ? "b" : "a"));
    memcpy(other, text, len - 1);
    other[len - 1] = '\0';
    judge(list, "cut", other);
    judge(list, "another form", with(other, text, 6, "2"));
    judge(list, "no code", "hedmoe1");
    judge(list, "nothing", "");
    judge(list, "a character that is none of base32", with(other, text, 40, "0"));
    judge(list, "a character behind it", with(other, text, len, "a"));
    judge(list, "padding", with(other, text, len, "="));
    return list;
}

/* What is signed for whom: ours, and four that are for something else. */
static void put_proofs(json_t *list, const fm_invitation *i)
{
    const fm_hash own = vec_count(0x20), others = vec_count(0x21);
    const fm_enrol_channel channel = { own.bytes, i->door_public };
    const fm_enrol_channel elsewhere = { others.bytes, i->door_public };
    const fm_enrol_channel another_door = { own.bytes, others.bytes };
    fm_msg_enrol good, m;

    vec_need(fm_enrol_prove(i->token, &channel, (fm_bytes){ (const uint8_t *)"abcd", 4 }, &good) ==
                 FM_OK,
             "proof");
    for (int k = 0; k < 4; k++) {
        static const char *const whys[] = { "as it must be", "another connection", "another door",
                                            "another request" };
        const fm_enrol_channel *c = k == 1 ? &elsewhere : k == 2 ? &another_door : &channel;

        m = good;
        if (k == 3)
            m.request = (fm_bytes){ (const uint8_t *)"abce", 4 };
        vec_need((fm_enrol_check(&m, c) == FM_OK) == (k == 0), whys[k]);
        json_array_append_new(
            list, json_pack("{s:s,s:o,s:o,s:o,s:o,s:o,s:b}", "why", whys[k], "connection",
                            vec_hex(c->client_public, 32), "door", vec_hex(c->door_public, 32),
                            "invitation", vec_hex(m.invitation, FM_INVITATION_KEY_BYTES), "request",
                            vec_hex(m.request.data, m.request.len), "proof",
                            vec_hex(m.proof, FM_INVITATION_PROOF_BYTES), "accept", k == 0));
    }
}

static json_t *request_json(vec_party p)
{
    fm_request_info info;
    fm_buf der = { 0 };
    json_t *j;

    vec_need(fm_identity_request(vec_identity(p), &der) == FM_OK, "request");
    vec_need(fm_request_check(der.data, der.len, &info) == FM_OK, "request");
    j = json_pack("{s:o,s:s,s:s,s:s,s:o}", "der", vec_hex(der.data, der.len), "role",
                  fm_role_name(info.role), "federation", info.federation, "name", info.name,
                  "key_fingerprint", vec_hash(&info.key));
    fm_buf_fini(&der);
    return j;
}

json_t *vec_enrolment(void)
{
    const fm_invitation i = sample();
    char text[FM_INVITATION_TEXT_MAX + 1];
    uint8_t invitation[FM_INVITATION_KEY_BYTES];
    const fm_hash seed = fm_hash_of("fedmoe invitation seed v1", i.token, FM_TOKEN_BYTES);
    json_t *proofs = json_array();

    vec_need(fm_invitation_encode(&i, text) == FM_OK, "join code");
    vec_need(fm_enrol_public(i.token, invitation) == FM_OK, "token");
    put_proofs(proofs, &i);
    return json_pack("{s:{s:o,s:s,s:o,s:o},s:o,s:o,s:[o]}", "code", "fields", fields(&i), "text",
                     text, "seed", vec_hash(&seed), "invitation",
                     vec_hex(invitation, sizeof invitation), "codes", codes(text), "proofs", proofs,
                     "requests", request_json(VEC_ALPHA));
}
