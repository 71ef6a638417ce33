#include "mask_fixture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/random.h"

fm_dp_lattice_spec fix_spec(uint32_t members, double noise_multiplier)
{
    return (fm_dp_lattice_spec){ .clip_norm = 1.0,
                                 .noise_multiplier = noise_multiplier,
                                 .max_units = 200,
                                 .nodes = FIX_NODES,
                                 .quorum = members > 4   ? members - 2
                                           : members > 1 ? 2
                                                         : 1,
                                 .colluders = 0 };
}

void fix_pair(fixture *f, uint32_t u)
{
    fm_dp_roster r = f->roster;

    r.self = u;
    fm_dp_pairs_free(&f->pairs[u]);
    CU_ASSERT_EQUAL_FATAL(fm_dp_pairs_new(f->keys[u], &r, &f->pairs[u]), FM_OK);
}

void fix_init(fixture *f, uint32_t members, size_t n, double noise_multiplier)
{
    fm_dp_lattice_spec spec = fix_spec(members, noise_multiplier);

    fix_init_noise(f, members, n, &spec);
}

void fix_init_noise(fixture *f, uint32_t members, size_t n, const fm_dp_lattice_spec *spec)
{
    memset(f, 0, sizeof *f);
    f->members = members;
    f->n = n;
    CU_ASSERT_EQUAL_FATAL(fm_dp_lattice_make(spec, &f->lattice), FM_OK);
    f->expected = calloc(n, sizeof *f->expected);
    CU_ASSERT_PTR_NOT_NULL_FATAL(f->expected);
    f->roster = (fm_dp_roster){ .federation = "hearts",
                                .session = { 1, 2, 3 },
                                .roster = fm_hash_of("roster", "r", 1),
                                .public_keys = (const uint8_t(*)[FM_DP_KEY_BYTES])f->public_keys,
                                .members = members };
    for (uint32_t u = 0; u < members; u++) {
        CU_ASSERT_EQUAL_FATAL(fm_dp_keypair_new(&f->keys[u]), FM_OK);
        memcpy(f->public_keys[u], fm_dp_keypair_public(f->keys[u]), FM_DP_KEY_BYTES);
        f->participants[u] = u;
    }
    for (uint32_t u = 0; u < members; u++) {
        fix_pair(f, u);
        f->rounds[u] = (fm_dp_round){ .round = 7,
                                      .plan = fm_hash_of("plan", "p", 1),
                                      .model = fm_hash_of("model", "m", 1),
                                      .participants = f->participants,
                                      .participant_count = members,
                                      .mask_density = FM_DP_DENSITY_ALL };
    }
}

void fix_set_density(fixture *f, uint32_t density)
{
    for (uint32_t u = 0; u < f->members; u++)
        f->rounds[u].mask_density = density;
}

/* As node u saw the round. */
static const fm_dp_shares *shares_of(fixture *f, uint32_t u)
{
    CU_ASSERT_EQUAL_FATAL(fm_dp_shares_fit(&f->shares, &f->lattice,
                                           f->rounds[u].group ? f->rounds[u].group_count
                                                              : f->rounds[u].participant_count),
                          FM_OK);
    return f->shares;
}

/* The expectation needs the survivors, so it is kept per node until then. */
static int32_t *g_encoded[FIX_MAX];
static int64_t *g_encoded64[FIX_MAX];

static void release_one(fixture *f, uint32_t u, fm_rng *r, float *g)
{
    fm_rng system = fm_rng_system();
    fm_dp_sum *s = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_dp_sum_new(&f->lattice, f->n, &s), FM_OK);
    for (int unit = 0; unit < 3; unit++) {
        for (size_t i = 0; i < f->n; i++)
            g[i] = (float)fm_rng_normal(r);
        CU_ASSERT_EQUAL(fm_dp_sum_add_unit(s, g), FM_OK);
    }
    fm_dp_sum_peek_for_tests(s, g_encoded[u]);
    fm_dp_sum_peek64_for_tests(s, g_encoded64[u]);
    CU_ASSERT_EQUAL_FATAL(fm_dp_release_make(s, shares_of(f, u), f->pairs[u], &f->rounds[u],
                                             &system, &f->releases[u]),
                          FM_OK);
    CU_ASSERT_EQUAL(fm_dp_sum_units(s), 0);
    fm_dp_sum_free(&s);
}

void fix_release_all(fixture *f, uint64_t seed_value)
{
    float *g = malloc(f->n * sizeof *g);
    fm_rng_seed seed;
    fm_rng r = fm_rng_seeded(&seed, seed_value);

    CU_ASSERT_PTR_NOT_NULL_FATAL(g);
    fm_dp_release_keep_noise_for_tests(1);
    for (uint32_t u = 0; u < f->members; u++) {
        free(g_encoded[u]);
        free(g_encoded64[u]);
        g_encoded[u] = malloc(f->n * sizeof *g_encoded[u]);
        g_encoded64[u] = malloc(f->n * sizeof *g_encoded64[u]);
        CU_ASSERT_PTR_NOT_NULL_FATAL(g_encoded[u]);
        CU_ASSERT_PTR_NOT_NULL_FATAL(g_encoded64[u]);
        fm_dp_release_free(&f->releases[u]);
        release_one(f, u, &r, g);
    }
    fm_dp_release_keep_noise_for_tests(0);
    free(g);
}

const int32_t *fix_encoded(uint32_t u)
{
    return g_encoded[u];
}

const int64_t *fix_encoded64(uint32_t u)
{
    return g_encoded64[u];
}

static void add(int32_t *sum, const int32_t *more, size_t n)
{
    CU_ASSERT_PTR_NOT_NULL_FATAL(more);
    for (size_t i = 0; i < n; i++)
        sum[i] = (int32_t)((uint32_t)sum[i] + (uint32_t)more[i]);
}

/* The encoding and the first level, rounded to the wire's lattice. */
static void add_rounded(fixture *f, uint32_t u, const int32_t *noise)
{
    const double step = ldexp(1.0, (int)f->lattice.shift);
    const bool down = fm_dp_release_ties_down_for_tests(f->releases[u]);

    for (size_t i = 0; i < f->n; i++) {
        double x = (double)(g_encoded64[u][i] + (noise ? noise[i] : 0));

        double rounded = down ? ceil(x / step - 0.5) : floor(x / step + 0.5);

        f->expected[i] = (int32_t)((uint32_t)f->expected[i] + (uint32_t)(int64_t)rounded);
    }
}

static void add_expected(fixture *f, uint32_t u, uint32_t survivors)
{
    const fm_dp_shares *s = shares_of(f, u);
    uint32_t kept = fm_dp_shares_levels(s) - fm_dp_shares_surplus(s, survivors);

    add_rounded(f, u, kept > 0 ? fm_dp_release_noise_for_tests(f->releases[u], 0) : NULL);
    for (uint32_t l = 1; l < kept; l++)
        add(f->expected, fm_dp_release_noise_for_tests(f->releases[u], l), f->n);
}

static void remove_surplus(fixture *f, uint32_t u, uint32_t survivors, const fm_dp_unmask *m,
                           void *sum)
{
    CU_ASSERT_EQUAL(
        fm_dp_shares_subtract(shares_of(f, u), survivors,
                              (const uint8_t(*)[FM_DP_NOISE_SEED_BYTES])m->surplus_seeds,
                              m->surplus_count, sum, f->n),
        FM_OK);
}

static void remove_masks(fixture *f, uint32_t u, const fm_dp_unmask *m, void *sum)
{
    CU_ASSERT_EQUAL(fm_dp_mask_apply(f->lattice.word_bits, sum, f->n, m->self_seed, -1), FM_OK);
    for (uint32_t i = 0; i < m->lost_count; i++)
        if (fm_dp_mask_edge(m->pair_seeds[i], f->rounds[u].mask_density))
            CU_ASSERT_EQUAL(fm_dp_mask_apply(f->lattice.word_bits, sum, f->n, m->pair_seeds[i],
                                             -fm_dp_mask_sign(u, m->lost[i])),
                            FM_OK);
}

static void take_one(fixture *f, const uint32_t *survivors, uint32_t count, uint32_t u, void *sum)
{
    fm_dp_unmask *m = NULL;
    const uint8_t *bytes;
    size_t len;

    fm_dp_release_bytes(f->releases[u], &bytes, &len);
    CU_ASSERT_EQUAL_FATAL(fm_dp_sum_words(f->lattice.word_bits, sum, f->n, bytes, len), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_dp_release_unmask(f->releases[u], survivors, count, &m), FM_OK);
    remove_masks(f, u, m, sum);
    remove_surplus(f, u, count, m, sum);
    fm_dp_unmask_free(&m);
    add_expected(f, u, count);
}

static void clear(fixture *f, void *sum)
{
    memset(f->expected, 0, f->n * sizeof *f->expected);
    memset(sum, 0, f->n * fm_dp_sum_word_bytes(f->lattice.word_bits));
}

void fix_unmask(fixture *f, const uint32_t *survivors, uint32_t count, void *sum)
{
    clear(f, sum);
    for (uint32_t i = 0; i < count; i++)
        take_one(f, survivors, count, survivors[i], sum);
}

void fix_unmask_one(fixture *f, const uint32_t *survivors, uint32_t count, uint32_t who, void *sum)
{
    clear(f, sum);
    take_one(f, survivors, count, who, sum);
}

size_t fix_wrong_words(const fixture *f, const void *sum)
{
    const unsigned bits = f->lattice.word_bits;
    size_t wrong = 0;

    for (size_t i = 0; i < f->n; i++) {
        const uint32_t wide = (uint32_t)f->expected[i];
        const uint16_t narrow = (uint16_t)wide;

        wrong += fm_dp_sum_word(bits, sum, i) !=
                 fm_dp_sum_word(bits, bits == 16 ? (const void *)&narrow : &wide, 0);
    }
    return wrong;
}

void fix_fini(fixture *f)
{
    for (uint32_t u = 0; u < f->members; u++) {
        fm_dp_release_free(&f->releases[u]);
        fm_dp_pairs_free(&f->pairs[u]);
        fm_dp_keypair_free(&f->keys[u]);
        free(g_encoded[u]);
        free(g_encoded64[u]);
        g_encoded[u] = NULL;
        g_encoded64[u] = NULL;
    }
    fm_dp_shares_free(&f->shares);
    free(f->expected);
    f->expected = NULL;
}
