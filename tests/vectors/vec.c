#include "vec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "fedmoe/base/file.h"
#include "fm_test.h"

const vec_topic vec_topics[] = {
    { "messages.json", vec_messages },
    { "digests.json", vec_digests },
    { "identities.json", vec_identities },
    { "enrolment.json", vec_enrolment },
    { "plans.json", vec_plans },
    { "noise.json", vec_noise },
    { "graph.json", vec_graph },
    { "groups.json", vec_groups },
    { "step.json", vec_steps },
    { "round16.json", vec_round16 },
    { "round24.json", vec_round24 },
    { "round32.json", vec_round32 },
    { "audit.json", vec_audit },
};
const size_t vec_topic_count = sizeof vec_topics / sizeof vec_topics[0];

void vec_need(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "cannot make the vectors: %s: %s\n", what, fm_error_text());
    exit(1);
}

/* ---- values ---- */

json_t *vec_hex(const void *data, size_t len)
{
    char *text = malloc(2 * len + 1);
    json_t *j;

    vec_need(text != NULL, "memory");
    sodium_bin2hex(text, 2 * len + 1, data, len);
    j = json_string(text);
    free(text);
    return j;
}

json_t *vec_hash(const fm_hash *h)
{
    return vec_hex(h->bytes, FM_HASH_BYTES);
}

json_t *vec_u64(uint64_t v)
{
    char text[24];

    if (v <= (uint64_t)1 << 53)
        return json_integer((json_int_t)v);
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)v);
    return json_string(text);
}

json_t *vec_list_u32(const uint32_t *p, size_t n)
{
    json_t *list = json_array();

    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_integer(p[i]));
    return list;
}

json_t *vec_list_i32(const int32_t *p, size_t n)
{
    json_t *list = json_array();

    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_integer(p[i]));
    return list;
}

json_t *vec_credential(const fm_credential *c)
{
    json_t *path = json_array();

    for (size_t i = 0; i < c->intermediate_count; i++)
        json_array_append_new(path, vec_hex(c->intermediates[i], c->intermediate_len[i]));
    return json_pack("{s:o,s:o,s:o,s:o}", "certificate", vec_hex(c->cert, c->cert_len), "statement",
                     vec_hex(c->statement, c->statement_len), "signature",
                     vec_hex(c->signature, c->signature_len), "intermediates", path);
}

json_t *vec_encoding(const fm_message *m)
{
    fm_buf b = { 0 };
    json_t *j;

    fm_buf_init(&b, FM_MAX_MESSAGE_BYTES);
    vec_need(fm_message_encode(m, &b) == FM_OK, fm_msg_name(m->type));
    j = vec_hex(b.data, b.len);
    fm_buf_fini(&b);
    return j;
}

fm_hash vec_count(unsigned first)
{
    fm_hash h;

    for (unsigned i = 0; i < FM_HASH_BYTES; i++)
        h.bytes[i] = (uint8_t)(first + i);
    return h;
}

void vec_fill(void *out, size_t len, unsigned first)
{
    uint8_t *p = out;

    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)(first + 7 * i);
}

/* ---- files ---- */

static const char *path_of(char out[512], const char *dir, const char *file)
{
    int n = snprintf(out, 512, "%s/%s", dir, file);

    vec_need(n > 0 && n < 512, "path too long");
    return out;
}

json_t *vec_load(const char *file)
{
    char path[512];
    json_error_t error;
    json_t *j = json_load_file(path_of(path, FEDMOE_VECTORS, file), 0, &error);

    if (!j)
        fprintf(stderr, "%s: %s\n", path, error.text);
    vec_need(j != NULL, file);
    return j;
}

char *vec_text(json_t *topic)
{
    char *text = json_dumps(topic, JSON_INDENT(1) | JSON_REAL_PRECISION(17));

    vec_need(text != NULL, "memory");
    return text;
}

/* ---- identities ---- */

static const char *const names[VEC_PARTIES] = { "alpha", "beta", "gamma", "delta", "hub" };

const char *vec_name(vec_party p)
{
    return names[p];
}

/* From the committed files into a folder where the key is private: what git cannot keep. */
static void lay_out(const char *dir, const char *name)
{
    char from[512], to[512], file[64];
    fm_buf b = { 0 };

    vec_need(fm_dir_make(dir, 0700) == FM_OK, dir);
    for (int key = 0; key < 2; key++) {
        (void)snprintf(file, sizeof file, "identities/%s.%s", name, key ? "key" : "crt");
        vec_need(fm_file_read(path_of(from, FEDMOE_VECTORS, file), 1 << 16, &b) == FM_OK, file);
        vec_need(fm_file_create(path_of(to, dir, key ? "identity.key" : "identity.crt"), b.data,
                                b.len, key ? 0600 : 0644) == FM_OK,
                 to);
        fm_buf_fini(&b);
    }
    vec_need(fm_file_read(path_of(from, FEDMOE_VECTORS, "identities/ca.crt"), 1 << 16, &b) == FM_OK,
             "ca.crt");
    vec_need(fm_file_create(path_of(to, dir, "ca.crt"), b.data, b.len, 0644) == FM_OK, to);
    fm_buf_fini(&b);
}

static struct {
    char root[400];
    fm_identity *identities[VEC_PARTIES];
    fm_trust *trust;
} world;

static void forget(void)
{
    for (int p = 0; p < VEC_PARTIES; p++)
        fm_identity_free(&world.identities[p]);
    fm_trust_free(&world.trust);
}

static const char *folder(char out[512], vec_party p)
{
    if (world.root[0] == '\0') {
        fm_test_tmpdir(world.root, sizeof world.root);
        (void)atexit(forget);
    }
    return path_of(out, world.root, names[p]);
}

const fm_identity *vec_identity(vec_party p)
{
    char dir[512];

    if (!world.identities[p]) {
        lay_out(folder(dir, p), names[p]);
        vec_need(fm_identity_load(dir, &world.identities[p]) == FM_OK, names[p]);
    }
    return world.identities[p];
}

const fm_trust *vec_trust(void)
{
    char dir[512];

    if (!world.trust) {
        (void)vec_identity(VEC_HUB);
        vec_need(fm_trust_load(folder(dir, VEC_HUB), &world.trust) == FM_OK, "trust");
    }
    return world.trust;
}

fm_credential vec_session(vec_party p, const uint8_t x25519[FM_SESSION_KEY_BYTES])
{
    const fm_cert_info *info = fm_identity_info(vec_identity(p));
    const fm_hash curve = vec_count(32 + (unsigned)p);
    fm_statement s = { .role = info->role, .not_after_s = VEC_NOW_S + FM_STATEMENT_VALID_S };
    fm_credential c;

    memcpy(s.federation, info->federation, sizeof s.federation);
    memcpy(s.name, info->name, sizeof s.name);
    memcpy(s.curve_public, curve.bytes, sizeof s.curve_public);
    if (x25519)
        memcpy(s.x25519_public, x25519, sizeof s.x25519_public);
    vec_need(fm_credential_make(vec_identity(p), &s, &c) == FM_OK, "credential");
    return c;
}

fm_bytes vec_sign(vec_party p, const char *label, const fm_hash *digest)
{
    static uint8_t places[64][FM_SIGNATURE_MAX];
    static size_t used;
    uint8_t *place = places[used++ % 64];
    size_t len = 0;

    vec_need(fm_identity_sign(vec_identity(p), label, digest->bytes, FM_HASH_BYTES, place, &len) ==
                 FM_OK,
             label);
    return (fm_bytes){ place, len };
}
