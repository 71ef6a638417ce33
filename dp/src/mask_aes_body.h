/*
 * One kernel of mask_aes.c, included once for each instruction set, after
 *   BODY, KERNEL, TARGET   its names, and what it is compiled for
 *   REG, REG_BYTES         a register of 128-bit lanes, and its size
 *   LOAD, STORE            of unaligned memory
 *   ADD32, SUB32, ADD16, SUB16, XOR, AES_ROUND, AES_LAST
 *   EVERY_LANE             128 bits into each lane
 * The round keys are loaded again for every group: fifteen loads cost nothing beside the rounds, and
 * a copy in local variables might be spilled to the stack.
 */
TARGET __attribute__((always_inline)) static inline void BODY(const uint8_t round_key[15][16],
                                                              uint64_t group, uint8_t *at,
                                                              size_t groups, const bool narrow,
                                                              const bool minus)
{
    for (const uint8_t *end = at + GROUP_BYTES * groups; at < end; at += GROUP_BYTES, group++) {
        /* A group's first counter is a multiple of 32: the rest of it is in the lowest byte. */
        const REG first =
            EVERY_LANE(_mm_xor_si128(LOAD_KEY(round_key[0]), big_endian(BLOCKS * group)));

        for (size_t part = 0; part < GROUP_BYTES; part += AT_ONCE * REG_BYTES) {
            REG x[AT_ONCE];

#pragma GCC unroll 16
            for (size_t i = 0; i < AT_ONCE; i++)
                x[i] = XOR(first, LOAD(g_block + part + i * REG_BYTES));
#pragma GCC unroll 16
            for (int r = 1; r < ROUNDS; r++) {
                const REG k = EVERY_LANE(LOAD_KEY(round_key[r]));

#pragma GCC unroll 16
                for (size_t i = 0; i < AT_ONCE; i++)
                    x[i] = AES_ROUND(x[i], k);
            }
#pragma GCC unroll 16
            for (size_t i = 0; i < AT_ONCE; i++) {
                uint8_t *p = at + part + i * REG_BYTES;

                x[i] = AES_LAST(x[i], EVERY_LANE(LOAD_KEY(round_key[ROUNDS])));
                if (narrow)
                    STORE(p, minus ? SUB16(LOAD(p), x[i]) : ADD16(LOAD(p), x[i]));
                else
                    STORE(p, minus ? SUB32(LOAD(p), x[i]) : ADD32(LOAD(p), x[i]));
            }
        }
    }
}

TARGET void KERNEL(const uint8_t round_key[15][16], uint64_t group, uint8_t *sum, size_t groups,
                   bool narrow, int sign)
{
    if (narrow && sign > 0)
        BODY(round_key, group, sum, groups, true, false);
    else if (narrow)
        BODY(round_key, group, sum, groups, true, true);
    else if (sign > 0)
        BODY(round_key, group, sum, groups, false, false);
    else
        BODY(round_key, group, sum, groups, false, true);
}

#undef BODY
#undef KERNEL
#undef TARGET
#undef REG
#undef REG_BYTES
#undef LOAD
#undef STORE
#undef ADD32
#undef SUB32
#undef ADD16
#undef SUB16
#undef XOR
#undef AES_ROUND
#undef AES_LAST
#undef EVERY_LANE
