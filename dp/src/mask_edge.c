/* Whether a pair shares a mask: of a secret, in constant time. */
#include <sodium.h>

#include "fedmoe/base/hash.h"
#include "fedmoe/base/memory.h"
#include "fedmoe/dp/mask.h"

#define EDGE_LABEL "fedmoe edge v1"

unsigned fm_dp_mask_edge(const uint8_t seed[FM_DP_KEY_BYTES], uint32_t density)
{
    const uint64_t limit = (uint64_t)density << 24;
    fm_hasher h;
    fm_hash digest;
    uint64_t drawn;

    if (density >= FM_DP_DENSITY_ALL)
        return 1;
    fm_hasher_begin(&h, EDGE_LABEL);
    fm_hasher_add(&h, seed, FM_DP_KEY_BYTES);
    digest = fm_hasher_end(&h);
    drawn = fm_get_u32le(digest.bytes);
    sodium_memzero(&digest, sizeof digest);
    return (unsigned)((drawn - limit) >> 63); /* the borrow: drawn < limit */
}
