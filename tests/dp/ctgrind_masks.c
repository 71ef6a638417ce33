/*
 * Masks under valgrind, see ctgrind.c: every kernel, the way from an X25519 secret to the masks, and
 * all of a release, whose sum is secret too. The one thing that may show of a key is that a peer's is
 * of low order, and so the result zero (ctgrind.supp): then the roster is refused for all to see.
 */
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "ctgrind.h"
#include "fedmoe/base/random.h"
#include "mask_emulated.h"
#include "sum_internal.h"

#define WORDS 1003u
#define MEMBERS 3u

static bool always(void)
{
    return true;
}

static void make_secret(const void *p, size_t len)
{
    (void)VALGRIND_MAKE_MEM_UNDEFINED(p, len);
}

static void make_public(const void *p, size_t len)
{
    (void)VALGRIND_MAKE_MEM_DEFINED(p, len);
}

/*
 * Whether a pair is an edge is a secret in how it is made out, and shows once masks are listed: in
 * their number and their time (docs/privacy.md, section 6). The library is linked so that it asks here.
 */
unsigned __real_fm_dp_mask_edge(const uint8_t seed[FM_DP_KEY_BYTES], uint32_t density);
unsigned __wrap_fm_dp_mask_edge(const uint8_t seed[FM_DP_KEY_BYTES], uint32_t density);

static unsigned g_secret_edges; /* that were still marked as secret when they came */

unsigned __wrap_fm_dp_mask_edge(const uint8_t seed[FM_DP_KEY_BYTES], uint32_t density)
{
    unsigned edge = __real_fm_dp_mask_edge(seed, density);

    g_secret_edges += ct_is_secret(&edge);
    make_public(&edge, sizeof edge);
    return edge;
}

static int watch_path(const fm_dp_mask_path *path, unsigned bits)
{
    static uint32_t sum[WORDS];
    uint8_t seed[FM_DP_KEY_BYTES];
    fm_dp_mask_stream s;

    if (!path->available()) {
        printf("masks by %s: not here\n", path->name);
        return 0;
    }
    printf("masks by %s, %u bits\n", path->name, bits);
    fm_random_bytes(seed, sizeof seed);
    make_secret(seed, sizeof seed);
    for (int sign = -1; sign <= 1; sign += 2) {
        memset(sum, 0, sizeof sum);
        if (fm_dp_mask_begin(&s, path, bits, seed) != FM_OK ||
            fm_dp_mask_next(&s, sum, WORDS, sign) != FM_OK)
            return 1;
        fm_dp_mask_end(&s);
        if (!ct_is_secret(&sum[0]) ||
            !ct_is_secret((uint8_t *)sum + WORDS * fm_dp_sum_word_bytes(bits) - 1))
            return 1;
    }
    return 0;
}

static int watch_paths(void)
{
    int bad = 0;

    for (size_t i = 0; i < fm_dp_mask_path_count && !bad; i++)
        bad = watch_path(&fm_dp_mask_paths[i], 16) || watch_path(&fm_dp_mask_paths[i], 32);
#if defined(__x86_64__)
    const fm_dp_mask_path emulated[] = {
        { "VAES, AVX2, emulated", always, fm_dp_mask_vaes256_emulated },
        { "VAES, AVX-512, emulated", always, fm_dp_mask_vaes512_emulated },
    };

    for (size_t i = 0; i < 2 && !bad && __builtin_cpu_supports("aes"); i++)
        bad = watch_path(&emulated[i], 16) || watch_path(&emulated[i], 32);
#else
    (void)always;
#endif
    return bad;
}

/* The secret half lies before the public one: see keypair.c. */
static int hide_key(const fm_dp_keypair *k)
{
    const uint8_t *public_key = fm_dp_keypair_public(k), *secret = public_key - FM_DP_KEY_BYTES;
    uint8_t again[FM_DP_KEY_BYTES];

    if (crypto_scalarmult_base(again, secret) != 0 || memcmp(again, public_key, sizeof again) != 0)
        return 1;
    make_secret(secret, FM_DP_KEY_BYTES);
    return 0;
}

/* The pair secrets of node 0 of three. */
static fm_status make_pairs(fm_dp_keypair *keys[MEMBERS], fm_dp_pairs **out)
{
    uint8_t public_keys[MEMBERS][FM_DP_KEY_BYTES];
    fm_dp_roster roster = { .federation = "hearts",
                            .public_keys = (const uint8_t(*)[FM_DP_KEY_BYTES])public_keys,
                            .members = MEMBERS };
    fm_status st;

    for (uint32_t u = 0; u < MEMBERS; u++) {
        if ((st = fm_dp_keypair_new(&keys[u])) != FM_OK)
            return st;
        memcpy(public_keys[u], fm_dp_keypair_public(keys[u]), FM_DP_KEY_BYTES);
    }
    if (hide_key(keys[0]) != 0)
        return fm_fail(FM_EINTERNAL, "the key pair is laid out otherwise");
    if ((st = fm_dp_pairs_new(keys[0], &roster, out)) != FM_OK)
        return st;
    return ct_is_secret(fm_dp_pairs_secret(*out, 1)) ? FM_OK : FM_EINTERNAL;
}

/* A secret sum, with noise. */
static fm_status make_sum(unsigned word_bits, fm_dp_sum **sum, fm_dp_shares **shares)
{
    const fm_dp_lattice_spec spec = { .clip_norm = 1.0,
                                      .noise_multiplier = 1.0,
                                      .max_units = 50,
                                      .nodes = MEMBERS,
                                      .quorum = 2,
                                      .colluders = 0,
                                      .encoding = FM_DP_FAST,
                                      .word_bits = word_bits };
    fm_dp_lattice lattice;
    fm_status st = fm_dp_lattice_make(&spec, &lattice);

    if (st != FM_OK || (st = fm_dp_shares_new(&lattice, MEMBERS, shares)) != FM_OK ||
        (st = fm_dp_sum_new(&lattice, WORDS, sum)) != FM_OK)
        return st;
    make_secret((*sum)->total, WORDS * sizeof *(*sum)->total);
    return FM_OK;
}

static void fill_secret(void *state, void *out, size_t len)
{
    (void)state;
    fm_random_bytes(out, len);
    make_secret(out, len);
}

/* What is sent, and the seeds for a round that lost node 2, both still marked as secret. */
static fm_status watch_release(fm_dp_sum *sum, const fm_dp_shares *shares, const fm_dp_pairs *pairs,
                               uint32_t density)
{
    static const uint32_t all[MEMBERS] = { 0, 1, 2 };
    const fm_dp_round round = {
        .round = 1, .participants = all, .participant_count = MEMBERS, .mask_density = density
    };
    fm_rng rng = { .fill = fill_secret };
    fm_dp_release *release = NULL;
    fm_dp_unmask *unmask = NULL;
    const uint8_t *bytes;
    size_t len;
    fm_hash hash, other;
    bool same;
    fm_status st = fm_dp_release_make(sum, shares, pairs, &round, &rng, &release);

    if (st != FM_OK)
        return st;
    fm_dp_release_bytes(release, &bytes, &len);
    hash = fm_dp_release_hash(release);
    memset(&other, 1, sizeof other);
    make_secret(&other, sizeof other);
    same = fm_hash_equal(&hash, &other);
    make_public(&same, sizeof same);
    if (!ct_is_secret(bytes) || !ct_is_secret(bytes + len - 1) || !ct_is_secret(&hash) || same)
        st = FM_EINTERNAL;
    if (st == FM_OK && (st = fm_dp_release_unmask(release, all, 2, &unmask)) == FM_OK &&
        (!ct_is_secret(unmask->self_seed) || !ct_is_secret(unmask->pair_seeds[0])))
        st = FM_EINTERNAL;
    fm_dp_unmask_free(&unmask);
    fm_dp_release_free(&release);
    return st;
}

int ct_masks(void)
{
    fm_dp_keypair *keys[MEMBERS] = { NULL };
    fm_dp_pairs *pairs = NULL;
    fm_status st = FM_EINTERNAL;

    if (watch_paths() == 0)
        st = make_pairs(keys, &pairs);
    for (unsigned i = 0; st == FM_OK && i < 6; i++) {
        const uint32_t density = i < 3 ? FM_DP_DENSITY_ALL : 128;
        fm_dp_shares *shares = NULL;
        fm_dp_sum *sum = NULL;

        if ((st = make_sum(16 + 8 * (i % 3), &sum, &shares)) == FM_OK)
            st = watch_release(sum, shares, pairs, density);
        fm_dp_sum_free(&sum);
        fm_dp_shares_free(&shares);
    }
    if (st == FM_OK && g_secret_edges != 3 * (MEMBERS - 1)) /* of the sparse ones, all */
        st = FM_EINTERNAL;
    fm_dp_pairs_free(&pairs);
    for (uint32_t u = 0; u < MEMBERS; u++)
        fm_dp_keypair_free(&keys[u]);
    return st == FM_OK ? 0 : 1;
}
