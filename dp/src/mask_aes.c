/*
 * The mask kernels: AES-256-CTR whose key stream is added to the sum, or subtracted, while it is in
 * registers: to words of 32 bits, or of 16. By AES-NI, by VAES in 256 bits, by VAES in 512; bit for bit OpenSSL's key stream: a test
 * compares them. No branch and no address depends on the keys or on the sum.
 */
#include "mask_internal.h"

#if defined(__x86_64__)
#if defined( \
    FM_MASK_EMULATED) /* tests: VAES written out over AES-NI, see tests/dp/mask_emulated.c */
#include "vaes_emulated.h"
#define VAES256 "aes,sse4.1"
#define VAES512 "aes,sse4.1"
#else
#include <immintrin.h>
#define VAES256 "avx2,vaes,aes"
#define VAES512 "avx512f,avx512bw,avx512vl,vaes,aes"
#endif
#define ROUNDS 14
#define AT_ONCE 8 /* registers in flight: hides the latency of a round */
#define BLOCKS 32 /* of AES in a group */
#define GROUP_BYTES ((size_t)16 * BLOCKS)

_Static_assert(GROUP_BYTES == FM_DP_MASK_GROUP_BYTES, "a group is one turn of the widest kernel");

/* What the counter of a group's blocks has besides its first one's: 0 to 31, in the lowest byte. */
static const _Alignas(64) uint8_t g_block[GROUP_BYTES] = {
    [15] = 0,   [31] = 1,   [47] = 2,   [63] = 3,   [79] = 4,   [95] = 5,   [111] = 6,  [127] = 7,
    [143] = 8,  [159] = 9,  [175] = 10, [191] = 11, [207] = 12, [223] = 13, [239] = 14, [255] = 15,
    [271] = 16, [287] = 17, [303] = 18, [319] = 19, [335] = 20, [351] = 21, [367] = 22, [383] = 23,
    [399] = 24, [415] = 25, [431] = 26, [447] = 27, [463] = 28, [479] = 29, [495] = 30, [511] = 31,
};

#define LOAD_KEY(p) _mm_loadu_si128((const __m128i *)(p))

/* A counter block; the upper half of 128 bits is never reached. */
__attribute__((target("sse4.1"), always_inline)) static inline __m128i big_endian(uint64_t counter)
{
    return _mm_set_epi64x((long long)__builtin_bswap64(counter), 0);
}

#define BODY body_aesni
#define KERNEL fm_dp_mask_aesni
#define TARGET __attribute__((target("aes,sse4.1")))
#define REG __m128i
#define REG_BYTES 16
#define LOAD(p) _mm_loadu_si128((const __m128i *)(p))
#define STORE(p, x) _mm_storeu_si128((__m128i *)(p), x)
#define ADD32 _mm_add_epi32
#define SUB32 _mm_sub_epi32
#define ADD16 _mm_add_epi16
#define SUB16 _mm_sub_epi16
#define XOR _mm_xor_si128
#define AES_ROUND _mm_aesenc_si128
#define AES_LAST _mm_aesenclast_si128
#define EVERY_LANE(x) (x)
#include "mask_aes_body.h"

#define BODY body_vaes256
#define KERNEL fm_dp_mask_vaes256
#define TARGET __attribute__((target(VAES256)))
#define REG __m256i
#define REG_BYTES 32
#define LOAD(p) _mm256_loadu_si256((const __m256i *)(p))
#define STORE(p, x) _mm256_storeu_si256((__m256i *)(p), x)
#define ADD32 _mm256_add_epi32
#define SUB32 _mm256_sub_epi32
#define ADD16 _mm256_add_epi16
#define SUB16 _mm256_sub_epi16
#define XOR _mm256_xor_si256
#define AES_ROUND _mm256_aesenc_epi128
#define AES_LAST _mm256_aesenclast_epi128
#define EVERY_LANE _mm256_broadcastsi128_si256
#include "mask_aes_body.h"

#define BODY body_vaes512
#define KERNEL fm_dp_mask_vaes512
#define TARGET __attribute__((target(VAES512)))
#define REG __m512i
#define REG_BYTES 64
#define LOAD _mm512_loadu_si512
#define STORE _mm512_storeu_si512
#define ADD32 _mm512_add_epi32
#define SUB32 _mm512_sub_epi32
#define ADD16 _mm512_add_epi16
#define SUB16 _mm512_sub_epi16
#define XOR _mm512_xor_si512
#define AES_ROUND _mm512_aesenc_epi128
#define AES_LAST _mm512_aesenclast_epi128
#define EVERY_LANE _mm512_broadcast_i32x4
#include "mask_aes_body.h"
#endif
