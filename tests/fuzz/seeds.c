/* The committed corpus: one valid input of each kind. fuzz-seeds FOLDER */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/file.h"
#include "fedmoe/base/random.h"
#include "fedmoe/base/safetensors.h"
#include "fedmoe/proto/invitation.h"
#include "samples.h"

static const char *g_root;

static void put(const char *folder, const char *name, const void *data, size_t len)
{
    char dir[512], path[1024];

    (void)snprintf(dir, sizeof dir, "%s/%s", g_root, folder);
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    if (fm_dir_make(dir, 0755) != FM_OK || fm_file_replace(path, data, len, 0644) != FM_OK)
        fprintf(stderr, "%s\n", fm_error_text());
}

/* With intermediate CAs. */
static void put_paths(void)
{
    static fm_message hello, list;
    fm_buf b = { .len = 0 };

    hello = *sample_message(FM_MSG_HELLO);
    hello.hello.credential.intermediate_count = 1;
    hello.hello.credential.intermediate_len[0] = 30;
    if (fm_message_encode(&hello, &b) == FM_OK)
        put("message", "Hello-path", b.data, b.len);
    fm_buf_clear(&b);
    list = *sample_message(FM_MSG_REVOCATIONS);
    list.revocations.path = (fm_ca_path){ { list.revocations.list.data }, { 8 }, 1 };
    if (fm_message_encode(&list, &b) == FM_OK)
        put("message", "Revocations-path", b.data, b.len);
    fm_buf_clear(&b);
    list.revocations.path.count = 0;
    list.revocations.successor =
        (fm_successor){ { list.revocations.list.data, 9 }, { list.revocations.list.data, 3 } };
    if (fm_message_encode(&list, &b) == FM_OK)
        put("message", "Revocations-successor", b.data, b.len);
    fm_buf_fini(&b);
}

static void put_messages(void)
{
    for (int t = FM_MSG_HELLO; t <= FM_MSG_LAST; t++) {
        fm_buf b = { .len = 0 };

        if (fm_message_encode(sample_message((fm_msg_type)t), &b) == FM_OK)
            put("message", fm_msg_name((fm_msg_type)t), b.data, b.len);
        fm_buf_fini(&b);
    }
    put_paths();
}

static void put_invitation(void)
{
    fm_invitation i = { .door = "tcp://127.0.0.1:7300",
                        .federation = "heart",
                        .name = "riga",
                        .token = { 1, 2, 3 },
                        .expires_s = 1800000000 };
    char text[FM_INVITATION_TEXT_MAX + 1];

    if (fm_invitation_encode(&i, text) == FM_OK)
        put("invitation", "code", text, strlen(text));
}

/* Of a key and a CA that are thrown away. */
static void put_request(fm_key_type type)
{
    char dir[] = "/tmp/fuzz-seeds-XXXXXX", ca[sizeof dir + 4];
    fm_buf request = { .len = 0 };
    fm_trust *t = NULL;
    const uint8_t *crl;
    size_t len;

    if (!mkdtemp(dir))
        return;
    (void)snprintf(ca, sizeof ca, "%s/ca", dir);
    if (fm_request_make(dir, type, "heart", "riga", &request) == FM_OK)
        put("certs_request", fm_key_type_name(type), request.data, request.len);
    fm_buf_fini(&request);
    if (fm_ca_new(ca, "heart", type, 30) == FM_OK && fm_trust_load(ca, &t) == FM_OK) {
        fm_trust_crl(t, &crl, &len);
        put("certs_request", "list", crl, len);
    }
    fm_buf_fini(&request);
    if (t) {
        fm_trust_ca(t, 0, &crl, &len);
        put("certs_request", "authority", crl, len);
    }
    fm_trust_free(&t);
    printf("remove %s\n", dir);
}

static void put_plan(void)
{
    fm_plan p = sample_plan();
    fm_buf b = { .len = 0 };

    if (fm_plan_encode(&p, &b) == FM_OK)
        put("plan", "adam", b.data, b.len);
    fm_buf_clear(&b);
    p.optimizer = FM_OPTIMIZER_SGD;
    p.colluders = 0;
    if (fm_plan_encode(&p, &b) == FM_OK)
        put("plan", "sgd", b.data, b.len);
    fm_buf_clear(&b);
    p = sample_fast_plan();
    if (fm_plan_encode(&p, &b) == FM_OK)
        put("plan", "fast", b.data, b.len);
    fm_buf_fini(&b);
}

/* An entry, a seal, and both in a file. */
static void put_bundle(void)
{
    const fm_bundle_seal seal = sample_seal();
    fm_bundle_writer *w = NULL;
    fm_buf entry = { .len = 0 }, sealed = { .len = 0 };
    char path[1024];

    if (sample_entry_bytes(&entry) == FM_OK)
        put("bundle", "entry", entry.data, entry.len);
    if (fm_bundle_seal_encode(&seal, &sealed) == FM_OK)
        put("bundle", "seal", sealed.data, sealed.len);
    (void)snprintf(path, sizeof path, "%s/bundle/file", g_root);
    if (fm_bundle_create(path, &w) != FM_OK ||
        fm_bundle_put(w, FM_BUNDLE_PLAN, "abcd", 4) != FM_OK ||
        fm_bundle_put(w, FM_BUNDLE_ENTRY, entry.data, entry.len) != FM_OK ||
        fm_bundle_put(w, FM_BUNDLE_SEAL, sealed.data, sealed.len) != FM_OK ||
        fm_bundle_finish(&w) != FM_OK)
        fprintf(stderr, "%s\n", fm_error_text());
    fm_bundle_abort(&w);
    fm_buf_fini(&entry);
    fm_buf_fini(&sealed);
}

static void put_safetensors(void)
{
    static const uint8_t values[32] = { 0, 0, 0x80, 0x3f };
    const fm_tensor_view t[] = { { "head.weight", "F32", 2, { 2, 3 }, values, 24 },
                                 { "head.bias", "F32", 1, { 2 }, values, 8 } };
    const fm_tensor_view mixed[] = { { "a", "I8", 1, { 3 }, values, 3 },
                                     { "b", "F32", 0, { 0 }, values, 4 } };
    const fm_safetensors_meta meta[] = { { "format", "fedmoe" }, { "kind", "tabular-moe" } };
    fm_buf b = { .len = 0 };

    if (fm_safetensors_encode(t, 2, meta, 2, &b) == FM_OK)
        put("safetensors", "two", b.data, b.len);
    fm_buf_clear(&b);
    if (fm_safetensors_encode(mixed, 2, NULL, 0, &b) == FM_OK)
        put("safetensors", "mixed", b.data, b.len);
    fm_buf_fini(&b);
}

static void put_yaml(void)
{
    static const char node[] = "# a node\nname: riga\ndoor: tcp://127.0.0.1:7300\n"
                               "budget: {epsilon: 4.0, delta: 1e-5}\nlist:\n  - 1\n  - \"two\"\n";
    static const char schema[] = "columns:\n- name: age\n  kind: numeric\n  range: [0, 120]\n"
                                 "- name: sex\n  kind: categorical\n  values: [f, m]\n"
                                 "note: |\n  two\n  lines\nempty: ''\n";
    static const char refused[] = "a: &x [1]\nb: *x\n";

    put("yaml", "node", node, strlen(node));
    put("yaml", "schema", schema, strlen(schema));
    put("yaml", "alias", refused, strlen(refused));
}

int main(int argc, char **argv)
{
    if (argc != 2 || fm_random_init() != FM_OK) {
        fprintf(stderr, "usage: fuzz-seeds FOLDER\n");
        return 2;
    }
    g_root = argv[1];
    put_messages();
    put_invitation();
    put_request(FM_KEY_ED25519);
    put_request(FM_KEY_P256);
    put_plan();
    put_bundle();
    put_safetensors();
    put_yaml();
    return 0;
}
