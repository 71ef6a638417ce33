/*
 * Groups of samples from the key stream, in the compiler's own vectors (GNU C): what the kernels
 * for AVX2 and AVX-512 must equal bit for bit. A kernel: exempt from the size rule.
 *
 * A stage of a group takes 192 bytes: 64 columns of the alias table, 64 bytes of sign (top bit)
 * and fraction (7 bits), 64 bytes of the fraction's low part. Byte 16 L + 4 q + r of each is for
 * sample 16 q + 4 L + r of the group (0 <= L, q, r < 4): the order that unpacking leaves behind.
 * The t-th escape of a block, counted by group, stage, byte, takes residual sample t mod 64.
 * Tables are read whole, whatever is looked up.
 */
#include <string.h>

#include "noise_internal.h"

typedef uint8_t bytes16 __attribute__((vector_size(16)));
#define VECTORS (FM_GAUSS_GROUP / 16)

/* magnitude[64] by the alias table; ESCAPE among them. */
static void look_up(const fm_gauss_alias *t, const uint8_t *words, uint8_t *magnitude)
{
    for (size_t v = 0; v < VECTORS; v++, words += 16, magnitude += 16) {
        bytes16 index, fraction, fraction_low, high = { 0 }, low = { 0 }, symbol = { 0 }, keep;

        memcpy(&index, words, sizeof index);
        memcpy(&fraction, words + 64, sizeof fraction);
        memcpy(&fraction_low, words + 128, sizeof fraction_low);
        fraction &= 0x7f;
        for (unsigned j = 0; j < 256; j++) {
            bytes16 here = (bytes16)(index == (uint8_t)j);

            high |= here & t->high[j];
            low |= here & t->low[j];
            symbol |= here & t->other[j];
        }
        keep = (bytes16)(fraction < high) |
               ((bytes16)(fraction == high) & (bytes16)(fraction_low < low));
        symbol = (index & keep) | (symbol & ~keep);
        memcpy(magnitude, &symbol, sizeof symbol);
    }
}

/* Residual samples in place of escapes: the low bytes into magnitude, the high ones into over. */
static void serve_escapes(fm_gauss_escapes *e, uint8_t *magnitude, uint8_t *over)
{
    uint8_t slot[FM_GAUSS_GROUP];

    for (size_t i = 0; i < FM_GAUSS_GROUP; i++) {
        slot[i] = e->used % FM_GAUSS_SLOTS;
        e->used += (((uint32_t)magnitude[i] ^ FM_GAUSS_ESCAPE) - 1) >> 31;
    }
    for (size_t v = 0; v < VECTORS; v++) {
        bytes16 symbol, at, low = { 0 }, high = { 0 }, escape;

        memcpy(&symbol, magnitude + 16 * v, sizeof symbol);
        memcpy(&at, slot + 16 * v, sizeof at);
        for (unsigned j = 0; j < FM_GAUSS_SLOTS; j++) {
            bytes16 here = (bytes16)(at == (uint8_t)j);

            low |= here & e->low[j];
            high |= here & e->high[j];
        }
        escape = (bytes16)(symbol == FM_GAUSS_ESCAPE);
        symbol = (low & escape) | (symbol & ~escape);
        high &= escape;
        memcpy(magnitude + 16 * v, &symbol, sizeof symbol);
        memcpy(over + 16 * v, &high, sizeof high);
    }
}

static void stage(const fm_gauss_alias *t, fm_gauss_escapes *e, const uint8_t *words, int32_t *x)
{
    uint8_t magnitude[FM_GAUSS_GROUP], over[FM_GAUSS_GROUP];

    look_up(t, words, magnitude);
    serve_escapes(e, magnitude, over);
    for (size_t i = 0; i < FM_GAUSS_GROUP; i++) {
        int32_t negative = -(int32_t)(words[64 + i] >> 7);

        x[i] = ((magnitude[i] | over[i] << 8) ^ negative) - negative;
    }
}

void fm_gauss_groups_portable(const fm_gauss_alias *t, const fm_gauss_quad *quad,
                              const uint8_t *words, size_t stride, size_t groups,
                              fm_gauss_escapes *escapes, int32_t *out)
{
    const int32_t weight[4] = { 1, quad->near, quad->both, quad->both * quad->far };

    for (; groups-- > 0; words += stride, out += FM_GAUSS_GROUP) {
        int32_t sum[FM_GAUSS_GROUP] = { 0 }, x[FM_GAUSS_GROUP];

        for (uint32_t i = 0; i < quad->stages; i++) {
            stage(t, escapes, words + i * FM_GAUSS_STAGE_BYTES, x);
            for (size_t j = 0; j < FM_GAUSS_GROUP; j++)
                sum[j] += weight[i] * x[j];
        }
        for (size_t j = 0; j < FM_GAUSS_GROUP; j++) /* 16 L + 4 q + r -> 16 q + 4 L + r */
            out[16 * (j / 4 % 4) + 4 * (j / 16) + j % 4] = sum[j];
    }
}
