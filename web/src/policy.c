/* Content-Security-Policy from the page itself: hashes of its scripts and styles (CSP level 2). */
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "web_internal.h"

#define HASHED_MAX 4
#define SOURCE_SIZE 64 /* 'sha256-...44...' and a space */

static const uint8_t *find(const uint8_t *at, const uint8_t *end, const char *text)
{
    return at < end ? memmem(at, (size_t)(end - at), text, strlen(text)) : NULL;
}

static void add_hash(const uint8_t *text, size_t n, char *sources)
{
    char hash[sodium_base64_ENCODED_LEN(crypto_hash_sha256_BYTES, sodium_base64_VARIANT_ORIGINAL)];
    uint8_t digest[crypto_hash_sha256_BYTES];
    const size_t used = strlen(sources);

    (void)crypto_hash_sha256(digest, text, n);
    (void)sodium_bin2base64(hash, sizeof hash, digest, sizeof digest,
                            sodium_base64_VARIANT_ORIGINAL);
    (void)snprintf(sources + used, HASHED_MAX * SOURCE_SIZE - used, " 'sha256-%s'", hash);
}

static fm_status add_all(const uint8_t *bytes, size_t n, const char *open, const char *close,
                         char sources[HASHED_MAX * SOURCE_SIZE])
{
    const uint8_t *const end = bytes + n;
    const uint8_t *at = bytes, *last;
    int count = 0;

    sources[0] = '\0';
    while ((at = find(at, end, open)) != NULL) {
        at += strlen(open);
        if (!(last = find(at, end, close)) || ++count > HASHED_MAX)
            return fm_fail(FM_EINVAL, "a page has more than %d of %s, or one without an end",
                           HASHED_MAX, open);
        add_hash(at, (size_t)(last - at), sources);
        at = last;
    }
    if (count == 0)
        (void)snprintf(sources, HASHED_MAX * SOURCE_SIZE, " 'none'");
    return FM_OK;
}

fm_status web_policy(const char *media_type, const uint8_t *bytes, size_t n,
                     char out[WEB_POLICY_SIZE])
{
    char scripts[HASHED_MAX * SOURCE_SIZE] = " 'none'",
                              styles[HASHED_MAX * SOURCE_SIZE] = " 'none'";
    int len;

    if (strncmp(media_type, "text/html", 9) == 0) {
        fm_status st = add_all(bytes, n, "<script>", "</script>", scripts);

        if (st == FM_OK)
            st = add_all(bytes, n, "<style>", "</style>", styles);
        if (st != FM_OK)
            return st;
    }
    len = snprintf(out, WEB_POLICY_SIZE,
                   "default-src 'none'; script-src%s; style-src%s; connect-src 'self'; form-action "
                   "'self'; base-uri 'none'; frame-ancestors 'none'",
                   scripts, styles);
    if (len < 0 || len >= WEB_POLICY_SIZE)
        return fm_fail(FM_EINVAL, "a page has too many scripts and styles");
    return FM_OK;
}
