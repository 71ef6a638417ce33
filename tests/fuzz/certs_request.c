/* Bytes from outside as a request for a certificate, and as a revocation list, an intermediate CA and
 * a successor of a CA that is made once: refused, or well formed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fedmoe/base/random.h"
#include "fedmoe/certs/succession.h"
#include "fuzz.h"

static fm_trust *g_trust;

static void forget(void)
{
    fm_trust_free(&g_trust);
}

static void make_trust(void)
{
    static const char *const files[] = { "ca.key", "ca.crt", "crl.pem", "issued", "" };
    char dir[] = "/tmp/fuzz-request-XXXXXX", path[64];

    FUZZ_REQUIRE(fm_random_init() == FM_OK && mkdtemp(dir));
    FUZZ_REQUIRE(fm_ca_new(dir, "heart", FM_KEY_ED25519, 30) == FM_OK);
    FUZZ_REQUIRE(fm_trust_load(dir, &g_trust) == FM_OK);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        FUZZ_REQUIRE(remove(path) == 0);
    }
    (void)atexit(forget);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    fm_request_info info;
    fm_trust *fresh = NULL;
    fm_succession s = { data, len, data, len < FM_SIGNATURE_MAX ? len : FM_SIGNATURE_MAX };
    fm_ca_path path = { .der = { data }, .len = { len }, .count = 1 };
    const uint8_t *list;
    size_t list_len;

    if (!g_trust)
        make_trust();
    /* Nobody but the CA can make another list. */
    FUZZ_REQUIRE(fm_trust_revise(g_trust, data, len, &fresh) != FM_OK && !fresh);
    /* Nor another intermediate CA: not even the right list passes with one. */
    fm_trust_crl(g_trust, &list, &list_len);
    FUZZ_REQUIRE(fm_trust_revise_path(g_trust, list, list_len, &path, &fresh) != FM_OK && !fresh);
    /* Nor a successor. */
    FUZZ_REQUIRE((len == 0 || fm_trust_succeed(g_trust, &s, 1800000000, &fresh) != FM_OK) &&
                 !fresh);
    if (fm_request_check(data, len, &info) != FM_OK)
        return 0;
    FUZZ_REQUIRE(len <= FM_REQUEST_MAX_BYTES);
    FUZZ_REQUIRE(fm_name_check(info.name) == FM_OK && fm_name_check(info.federation) == FM_OK);
    return 0;
}
