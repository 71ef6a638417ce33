/* A token bucket: at most `burst` at once, `per_second` in the long run. */
#ifndef FEDMOE_LINK_BUCKET_INTERNAL_H
#define FEDMOE_LINK_BUCKET_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint64_t burst, per_second;
    uint64_t millitokens;
    uint64_t at_ms;
} fm_bucket;

void fm_bucket_init(fm_bucket *b, uint64_t burst, uint64_t per_second, uint64_t now_ms);
/** Whether one more is allowed now; counts it if so. */
bool fm_bucket_take(fm_bucket *b, uint64_t now_ms);

#endif
