#include "bucket_internal.h"

void fm_bucket_init(fm_bucket *b, uint64_t burst, uint64_t per_second, uint64_t now_ms)
{
    *b = (fm_bucket){ burst, per_second, burst * 1000, now_ms };
}

bool fm_bucket_take(fm_bucket *b, uint64_t now_ms)
{
    uint64_t full = b->burst * 1000;
    uint64_t passed = now_ms > b->at_ms ? now_ms - b->at_ms : 0;

    b->at_ms = now_ms;
    if (passed > full / b->per_second || b->millitokens + passed * b->per_second > full)
        b->millitokens = full;
    else
        b->millitokens += passed * b->per_second;
    if (b->millitokens < 1000)
        return false;
    b->millitokens -= 1000;
    return true;
}
