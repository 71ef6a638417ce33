/* ZAP 1.0 (ZeroMQ RFC 27), within the server's own thread. */
#ifndef FEDMOE_LINK_ZAP_INTERNAL_H
#define FEDMOE_LINK_ZAP_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "fedmoe/proto/link/link.h"

typedef enum {
    FM_ZAP_ADMIT,
    FM_ZAP_LATER, /* too many just now: the client may try again */
    FM_ZAP_REFUSE,
} fm_zap_verdict;

/** Of a connection whose peer has shown that it holds the CURVE key it came with. */
typedef fm_zap_verdict fm_zap_judge(void *ctx);

/** Bound before any CURVE socket of this context, or ZeroMQ finds nobody to ask. */
FM_NODISCARD fm_status fm_zap_new(void *context, void **out);
/** Answer one request if there is one; what is not ZAP 1.0 with CURVE is refused. */
void fm_zap_answer(void *zap, fm_zap_judge *judge, void *ctx);

#endif
