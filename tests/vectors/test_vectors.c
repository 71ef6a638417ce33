/* The committed files are what the code gives today; and our code judges what other software made. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "fedmoe/base/file.h"
#include "fedmoe/certs/succession.h"
#include "suites.h"
#include "vec.h"

static void each_file_is_what_the_code_gives(void)
{
    for (size_t i = 0; i < vec_topic_count; i++) {
        json_t *ours = vec_topics[i].make(), *theirs = vec_load(vec_topics[i].file);
        char *a = vec_text(ours), *b = vec_text(theirs);

        if (strcmp(a, b) != 0) {
            size_t at = 0;

            while (a[at] == b[at])
                at++;
            at = at > 60 ? at - 60 : 0;
            printf("\n  %s: the code gives ...%.160s\n  the file has ...%.160s\n",
                   vec_topics[i].file, a + at, b + at);
        }
        CU_ASSERT_STRING_EQUAL(a, b);
        free(a);
        free(b);
        json_decref(ours);
        json_decref(theirs);
    }
}

/** Of a hexadecimal text; *len its bytes. */
static uint8_t *bytes_of(const json_t *j, const char *key, size_t *len)
{
    const char *hex = json_string_value(json_object_get(j, key));
    const size_t cap = hex ? strlen(hex) / 2 + 1 : 1;
    uint8_t *out = malloc(cap);

    vec_need(hex && out && sodium_hex2bin(out, cap, hex, strlen(hex), NULL, len, NULL) == 0, key);
    return out;
}

static void certificates_are_judged(void)
{
    json_t *file = vec_load("certificates.json"), *one;
    size_t i;

    json_array_foreach(json_object_get(file, "certificates"), i, one)
    {
        const bool node = strcmp(json_string_value(json_object_get(one, "role")), "node") == 0;
        const bool accept = json_is_true(json_object_get(one, "accept"));
        fm_peer *peer = NULL;
        size_t len = 0;
        uint8_t *der = bytes_of(one, "der", &len);
        fm_status st =
            fm_peer_verify(vec_trust(), der, len, node ? FM_ROLE_NODE : FM_ROLE_AGGREGATOR,
                           json_integer_value(json_object_get(one, "time")), &peer);

        if (st != (accept ? FM_OK : FM_EAUTH))
            printf("\n  %s: %s\n", json_string_value(json_object_get(one, "why")),
                   st == FM_OK ? "accepted" : fm_error_text());
        CU_ASSERT_EQUAL(st, accept ? FM_OK : FM_EAUTH);
        fm_peer_free(&peer);
        free(der);
    }
    CU_ASSERT(i > 30);
    json_decref(file);
}

static void signatures_are_judged(void)
{
    json_t *file = vec_load("certificates.json"), *one;
    size_t i;

    json_array_foreach(json_object_get(file, "signatures"), i, one)
    {
        const bool accept = json_is_true(json_object_get(one, "accept"));
        fm_peer *peer = NULL;
        size_t der_len = 0, message_len = 0, len = 0;
        uint8_t *der = bytes_of(one, "certificate", &der_len);
        uint8_t *message = bytes_of(one, "message", &message_len);
        uint8_t *signature = bytes_of(one, "signature", &len);

        CU_ASSERT_EQUAL_FATAL(
            fm_peer_verify(vec_trust(), der, der_len, FM_ROLE_NODE, VEC_NOW_S, &peer), FM_OK);
        CU_ASSERT_EQUAL(fm_peer_check_signature(peer,
                                                json_string_value(json_object_get(one, "label")),
                                                message, message_len, signature, len),
                        accept ? FM_OK : FM_EAUTH);
        fm_peer_free(&peer);
        free(der);
        free(message);
        free(signature);
    }
    CU_ASSERT_EQUAL(i, 14);
    json_decref(file);
}

static bool node_is_good(const fm_trust *t, const json_t *one, const char *key)
{
    fm_peer *peer = NULL;
    size_t len = 0;
    uint8_t *der = bytes_of(one, key, &len);
    const bool good = fm_peer_verify(t, der, len, FM_ROLE_NODE, VEC_NOW_S, &peer) == FM_OK;

    fm_peer_free(&peer);
    free(der);
    return good;
}

static void revocation_lists_are_judged(void)
{
    json_t *file = vec_load("certificates.json"), *one;
    const json_t *node = json_array_get(json_object_get(file, "certificates"), 0);
    fm_trust *held = NULL;
    size_t i;

    json_array_foreach(json_object_get(file, "revocations"), i, one)
    {
        const char *verdict = json_string_value(json_object_get(one, "verdict"));
        fm_trust *fresh = NULL;
        size_t len = 0;
        uint8_t *list = bytes_of(one, "list", &len);
        fm_status st = fm_trust_revise(held ? held : vec_trust(), list, len, &fresh);

        CU_ASSERT_STRING_EQUAL(st != FM_OK ? "refused" : fresh ? "taken" : "held", verdict);
        if (fresh) {
            fm_trust_free(&held);
            held = fresh;
        }
        CU_ASSERT_EQUAL(node_is_good(held ? held : vec_trust(), node, "der"),
                        json_is_true(json_object_get(one, "accept")));
        free(list);
    }
    CU_ASSERT(i > 10);
    fm_trust_free(&held);
    json_decref(file);
}

static void authorities_are_judged(void)
{
    json_t *file = vec_load("certificates.json"), *one;
    char dir[400], path[512];
    size_t i;

    fm_test_tmpdir(dir, sizeof dir);
    (void)snprintf(path, sizeof path, "%s/ca.crt", dir);
    json_array_foreach(json_object_get(file, "authorities"), i, one)
    {
        const char *pem = json_string_value(json_object_get(one, "ca"));
        const bool accept = json_is_true(json_object_get(one, "accept"));
        fm_trust *trust = NULL;

        vec_need(fm_file_replace(path, pem, strlen(pem), 0644) == FM_OK, path);
        CU_ASSERT_EQUAL(fm_trust_load(dir, &trust) == FM_OK, accept);
        if (trust)
            CU_ASSERT_EQUAL(node_is_good(trust, one, "node"),
                            json_is_true(json_object_get(one, "node_accept")));
        fm_trust_free(&trust);
    }
    CU_ASSERT(i > 8);
    json_decref(file);
}

/** The trust of a file ca.crt with this text; NULL: it is refused. */
static fm_trust *pin(const json_t *one)
{
    const char *pem = json_string_value(json_object_get(one, "ca"));
    char dir[400], path[512];
    fm_trust *t = NULL;

    fm_test_tmpdir(dir, sizeof dir);
    (void)snprintf(path, sizeof path, "%s/ca.crt", dir);
    vec_need(pem && fm_file_replace(path, pem, strlen(pem), 0644) == FM_OK, path);
    return fm_trust_load(dir, &t) == FM_OK ? t : NULL;
}

/** Of a list of hexadecimal texts; what it borrows is freed by free_path. */
static fm_ca_path path_of(const json_t *list)
{
    fm_ca_path p = { .count = json_array_size(list) };

    for (size_t i = 0; i < p.count && i < FM_INTERMEDIATES_MAX; i++) {
        json_t *one = json_pack("{s:O}", "der", json_array_get(list, i));

        p.der[i] = bytes_of(one, "der", &p.len[i]);
        json_decref(one);
    }
    return p;
}

static void free_path(fm_ca_path *p)
{
    for (size_t i = 0; i < p->count && i < FM_INTERMEDIATES_MAX; i++)
        free((void *)(uintptr_t)p->der[i]);
}

/** Whether the lists are taken, one after the other. */
static bool take_lists(const json_t *lists, fm_trust **t)
{
    const json_t *one;
    bool ok = true;
    size_t i;

    json_array_foreach(lists, i, one)
    {
        fm_ca_path path = path_of(json_object_get(one, "path"));
        fm_trust *fresh = NULL;
        size_t len = 0;
        uint8_t *list = bytes_of(one, "list", &len);

        ok = ok && fm_trust_revise_path(*t, list, len, &path, &fresh) == FM_OK;
        if (fresh) {
            fm_trust_free(t);
            *t = fresh;
        }
        free(list);
        free_path(&path);
    }
    return ok;
}

static void chains_are_judged(void)
{
    json_t *file = vec_load("certificates.json"), *one;
    size_t i;

    json_array_foreach(json_object_get(file, "chains"), i, one)
    {
        const json_t *sent = json_object_get(one, "path");
        fm_ca_path path = path_of(sent);
        fm_trust *t = pin(one);
        fm_peer *peer = NULL;
        size_t len = 0;
        uint8_t *der = bytes_of(one, "node", &len);
        bool ok = t && json_array_size(sent) <= FM_INTERMEDIATES_MAX &&
                  take_lists(json_object_get(one, "lists"), &t) &&
                  fm_peer_verify_path(t, der, len, &path, FM_ROLE_NODE, VEC_NOW_S, &peer) == FM_OK;

        if (ok != json_is_true(json_object_get(one, "accept")))
            printf("\n  %s: %s\n", json_string_value(json_object_get(one, "why")),
                   ok ? "accepted" : fm_error_text());
        CU_ASSERT_EQUAL(ok, json_is_true(json_object_get(one, "accept")));
        fm_peer_free(&peer);
        fm_trust_free(&t);
        free(der);
        free_path(&path);
    }
    CU_ASSERT(i > 18);
    json_decref(file);
}

static void successors_are_judged(void)
{
    json_t *file = vec_load("certificates.json"), *one;
    size_t i;

    json_array_foreach(json_object_get(file, "successors"), i, one)
    {
        const int64_t time = json_integer_value(json_object_get(one, "time"));
        fm_trust *t = pin(one), *both = NULL;
        size_t ca_len = 0, len = 0;
        uint8_t *ca = bytes_of(one, "authority", &ca_len), *sig = bytes_of(one, "signature", &len);
        const fm_succession s = { ca, ca_len, sig, len };

        CU_ASSERT_PTR_NOT_NULL_FATAL(t);
        CU_ASSERT_EQUAL(fm_trust_succeed(t, &s, time, &both) == FM_OK,
                        json_is_true(json_object_get(one, "accept")));
        if (both)
            CU_ASSERT_TRUE(node_is_good(both, one, "node"));
        fm_trust_free(&both);
        fm_trust_free(&t);
        free(ca);
        free(sig);
    }
    CU_ASSERT(i > 8);
    json_decref(file);
}

static const fm_test tests[] = {
    { "each file is what the code gives", each_file_is_what_the_code_gives },
    { "certificates of other software are judged as the file says", certificates_are_judged },
    { "signatures of other software are judged as the file says", signatures_are_judged },
    { "revocation lists of other software likewise", revocation_lists_are_judged },
    { "certificate authorities of other software likewise", authorities_are_judged },
    { "chains of them likewise", chains_are_judged },
    { "successors of them likewise", successors_are_judged },
};

const fm_test_suite suite_vectors = { "vectors.files", tests, FM_TEST_COUNT(tests) };
