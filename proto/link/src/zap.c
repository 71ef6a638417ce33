#include "zap_internal.h"

#include <string.h>

#include <sodium.h>
#include <zmq.h>

#include "socket_internal.h"

#define ENDPOINT "inproc://zeromq.zap.01"
#define FRAME_MAX 256

/* RFC 27, "The ZAP request": one frame each, in this order. */
enum { VERSION, REQUEST, DOMAIN, ADDRESS, IDENTITY, MECHANISM, CREDENTIALS, FRAMES };

typedef struct {
    uint8_t data[FRAMES][FRAME_MAX];
    size_t len[FRAMES];
} zap_request;

fm_status fm_zap_new(void *context, void **out)
{
    void *s = zmq_socket(context, ZMQ_REP);
    int linger = 0;

    if (!s)
        return fm_socket_failed("ZAP handler");
    if (zmq_setsockopt(s, ZMQ_LINGER, &linger, sizeof linger) != 0 || zmq_bind(s, ENDPOINT) != 0) {
        fm_status st = fm_socket_failed("ZAP handler");

        fm_socket_free(&s, 0);
        return st;
    }
    *out = s;
    return FM_OK;
}

/* All frames are read, whatever they are, so that a reply can follow. */
static bool read_request(void *zap, zap_request *r, bool *well_formed)
{
    size_t more_len = sizeof(int);
    int more = 1;
    size_t n = 0;

    *well_formed = true;
    for (; more; n++) {
        size_t at = n < FRAMES ? n : FRAMES - 1;
        int len = zmq_recv(zap, r->data[at], FRAME_MAX, ZMQ_DONTWAIT);

        if (len < 0 || zmq_getsockopt(zap, ZMQ_RCVMORE, &more, &more_len) != 0)
            return false;
        *well_formed = *well_formed && n < FRAMES && len <= FRAME_MAX;
        r->len[at] = len <= FRAME_MAX ? (size_t)len : FRAME_MAX;
    }
    *well_formed = *well_formed && n == FRAMES;
    return true;
}

static bool frame_is(const zap_request *r, int frame, const char *text)
{
    return r->len[frame] == strlen(text) && memcmp(r->data[frame], text, r->len[frame]) == 0;
}

static fm_zap_verdict judge_request(const zap_request *r, fm_zap_judge *judge, void *ctx)
{
    if (!frame_is(r, DOMAIN, FM_ZAP_DOMAIN) || !frame_is(r, VERSION, "1.0") ||
        !frame_is(r, MECHANISM, "CURVE") || r->len[CREDENTIALS] != FM_CURVE_KEY_BYTES)
        return FM_ZAP_REFUSE;
    return judge(ctx);
}

static void reply(void *zap, const zap_request *r, fm_zap_verdict v)
{
    const char *code = v == FM_ZAP_ADMIT ? "200" : v == FM_ZAP_LATER ? "300" : "400";
    char user[2 * FM_CURVE_KEY_BYTES + 1] = "";

    /* The User-Id is the key: every message of the connection carries it (packet.c). */
    if (v == FM_ZAP_ADMIT)
        (void)sodium_bin2hex(user, sizeof user, r->data[CREDENTIALS], FM_CURVE_KEY_BYTES);
    (void)zmq_send(zap, "1.0", 3, ZMQ_SNDMORE);
    (void)zmq_send(zap, r->data[REQUEST], r->len[REQUEST], ZMQ_SNDMORE);
    (void)zmq_send(zap, code, 3, ZMQ_SNDMORE);
    (void)zmq_send(zap, "", 0, ZMQ_SNDMORE);
    (void)zmq_send(zap, user, strlen(user), ZMQ_SNDMORE);
    (void)zmq_send(zap, "", 0, 0);
}

void fm_zap_answer(void *zap, fm_zap_judge *judge, void *ctx)
{
    bool well_formed = false;
    zap_request r;

    memset(&r, 0, sizeof r);
    if (read_request(zap, &r, &well_formed))
        reply(zap, &r, well_formed ? judge_request(&r, judge, ctx) : FM_ZAP_REFUSE);
}
