/* Answers, with what a browser must be told of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "web_internal.h"

/* No Cross-Origin-Opener-Policy: it starts a process of the browser anew for each visit (170 of 320 ms to
 * the first paint), and there is nothing for an opener to see: the cookie is SameSite=Strict, no
 * page has frames or takes messages. */
static const char *const strict[][2] = {
    { "X-Content-Type-Options", "nosniff" },
    /* Not no-referrer: a browser then says `Origin: null` of our own forms (Fetch, 3.2.5). Another
     * site is told nothing either way. */
    { "Referrer-Policy", "same-origin" },
    { "Cache-Control", "no-store" },
    { "X-Frame-Options", "DENY" },
    { "Cross-Origin-Resource-Policy", "same-origin" },
};

struct MHD_Response *web_response(uint8_t *bytes, size_t n, const char *media_type,
                                  const char *policy)
{
    struct MHD_Response *r = web_lib.MHD_create_response_from_buffer(
        n, bytes ? bytes : (void *)"", bytes ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
    enum MHD_Result ok = r ? MHD_YES : MHD_NO;

    if (!r) {
        free(bytes);
        return NULL;
    }
    for (size_t i = 0; ok == MHD_YES && i < sizeof strict / sizeof strict[0]; i++)
        ok = web_lib.MHD_add_response_header(r, strict[i][0], strict[i][1]);
    if (ok == MHD_YES && n > 0)
        ok = web_lib.MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, media_type);
    if (ok == MHD_YES)
        ok = web_lib.MHD_add_response_header(r, "Content-Security-Policy", policy);
    if (ok == MHD_YES)
        return r;
    web_lib.MHD_destroy_response(r);
    return NULL;
}

enum MHD_Result web_send(struct MHD_Connection *c, unsigned code, struct MHD_Response *r)
{
    enum MHD_Result done;

    if (!r)
        return MHD_NO; /* no memory: the connection ends */
    done = web_lib.MHD_queue_response(c, code, r);
    web_lib.MHD_destroy_response(r);
    return done;
}

enum MHD_Result web_send_text(struct MHD_Connection *c, unsigned code, const char *text)
{
    char policy[WEB_POLICY_SIZE];
    const size_t n = strlen(text);
    uint8_t *copy = n > 0 ? (uint8_t *)strdup(text) : NULL;

    if ((n > 0 && !copy) || web_policy("text/plain", NULL, 0, policy) != FM_OK) {
        free(copy);
        return MHD_NO;
    }
    return web_send(c, code, web_response(copy, n, "text/plain; charset=utf-8", policy));
}

enum MHD_Result web_send_html(struct MHD_Connection *c, unsigned code, const char *html)
{
    char policy[WEB_POLICY_SIZE];
    uint8_t *copy = (uint8_t *)strdup(html);
    const size_t n = strlen(html);

    if (!copy || web_policy("text/html", copy, n, policy) != FM_OK) {
        free(copy);
        return MHD_NO;
    }
    return web_send(c, code, web_response(copy, n, "text/html; charset=utf-8", policy));
}

enum MHD_Result web_send_home(struct MHD_Connection *c, const char *cookie)
{
    char policy[WEB_POLICY_SIZE];
    struct MHD_Response *r = NULL;

    if (web_policy("text/plain", NULL, 0, policy) == FM_OK)
        r = web_response(NULL, 0, "", policy);
    if (r && (web_lib.MHD_add_response_header(r, MHD_HTTP_HEADER_LOCATION, "/") != MHD_YES ||
              (cookie && web_lib.MHD_add_response_header(r, MHD_HTTP_HEADER_SET_COOKIE, cookie) !=
                             MHD_YES))) {
        web_lib.MHD_destroy_response(r);
        r = NULL;
    }
    return web_send(c, MHD_HTTP_SEE_OTHER, r);
}
