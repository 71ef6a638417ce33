/* Which pairs share a mask, how many must, and a round of 40 nodes of which some pairs do not. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/dp/mask.h"
#include "vec.h"
#include "vec_plan.h"

#define NODES 40u
#define WORDS 4u
#define BITS 24u
#define DENSITY 100u

/* ---- a plan ---- */

fm_plan vec_plan_many(void)
{
    fm_plan p = vec_plan_exact();

    p.max_nodes = 200;
    p.quorum = p.min_cohort = 101;
    p.colluders = 0;
    p.mask_density = 120;
    return p;
}

/* ---- edges of seeds ---- */

static const uint32_t densities[] = { 1, 64, 100, 128, 200, 255, 256 };
#define DENSITIES (sizeof densities / sizeof densities[0])

static json_t *edges(void)
{
    json_t *list = json_array();

    for (unsigned s = 0; s < 24; s++) {
        json_t *at = json_array();
        uint8_t seed[FM_DP_KEY_BYTES];

        vec_fill(seed, sizeof seed, 31 * s + 5);
        for (size_t d = 0; d < DENSITIES; d++)
            json_array_append_new(at, json_integer(fm_dp_mask_edge(seed, densities[d])));
        json_array_append_new(list, json_pack("{s:o,s:o,s:o}", "seed", vec_hex(seed, sizeof seed),
                                              "densities", vec_list_u32(densities, DENSITIES),
                                              "edge", at));
    }
    return list;
}

/* ---- how many ---- */

static const struct {
    uint32_t nodes, quorum, colluders;
    double delta; /* 0: 1e-6 */
} people[] = {
    { 32, 17, 0, 0 },      { 33, 17, 0, 0 },       { 33, 33, 31, 0 },      { 40, 21, 0, 0 },
    { 46, 44, 4, 0 },      { 50, 26, 0, 0 },       { 50, 28, 5, 0 },       { 61, 36, 4, 0 },
    { 100, 51, 0, 0 },     { 100, 63, 25, 0 },     { 100, 80, 0, 0 },      { 100, 100, 99, 0 },
    { 200, 101, 0, 0 },    { 200, 101, 0, 1e-10 }, { 200, 101, 0, 1e-11 }, { 200, 111, 20, 0 },
    { 200, 121, 0, 0 },    { 200, 160, 0, 0 },     { 200, 180, 20, 0 },    { 200, 200, 0, 0 },
    { 200, 126, 50, 0 },   { 500, 251, 0, 0 },     { 500, 500, 498, 0 },   { 1000, 501, 0, 0 },
    { 1000, 626, 250, 0 }, { 1000, 800, 0, 0 },    { 1024, 513, 0, 0 },
};

/* Rounded, so that the last bits of a library's logarithm are no matter. */
static json_t *rounded(double log2)
{
    return isfinite(log2) ? json_real(round(log2 * 1e6) / 1e6) : json_null();
}

static json_t *choices(void)
{
    json_t *list = json_array();

    for (size_t i = 0; i < sizeof people / sizeof people[0]; i++) {
        const uint32_t n = people[i].nodes, t = people[i].quorum, c = people[i].colluders;
        const double delta = people[i].delta > 0.0 ? people[i].delta : 1e-6;
        const fm_dp_graph g = {
            .nodes = n, .quorum = t, .colluders = c, .rounds = 100, .delta = delta
        };
        const uint32_t honest = t - fm_dp_graph_coalition(&g);
        const uint32_t least = fm_dp_mask_density_least(&g);
        uint32_t lowest = least;

        while (lowest > 1 && fm_dp_mask_density_check(&g, lowest - 1) == FM_OK)
            lowest--;
        json_array_append_new(
            list,
            json_pack("{s:i,s:i,s:i,s:f,s:i,s:i,s:i,s:i,s:o,s:o}", "max_nodes", (int)n, "quorum",
                      (int)t, "colluders", (int)c, "delta", delta, "held",
                      (int)fm_dp_graph_colluders(&g), "honest", (int)honest, "chosen", (int)least,
                      "accepted_from", (int)lowest, "log2_apart_with_chosen",
                      rounded(fm_dp_graph_log2_failure(n, honest, least)), "log2_apart_with_64",
                      rounded(fm_dp_graph_log2_failure(n, honest, 64))));
    }
    return list;
}

/* Whether a plan in which so many rounds were released may release one more; whether one of so many
 * rounds is a plan at all. */
static json_t *limits(void)
{
    static const uint32_t densities_of[] = { 120, 255, 256 };
    json_t *list = json_array();

    for (size_t d = 0; d < sizeof densities_of / sizeof densities_of[0]; d++)
        for (uint32_t rounds = 16383; rounds <= 16385; rounds++) {
            const fm_dp_graph g = { .nodes = 200, .quorum = 101, .rounds = rounds, .delta = 1e-6 };
            const uint32_t density = densities_of[d];

            json_array_append_new(
                list,
                json_pack("{s:i,s:i,s:b,s:b}", "mask_density", (int)density, "rounds", (int)rounds,
                          "one_more_release", fm_dp_mask_release_check(density, rounds) == FM_OK,
                          "plan", fm_dp_mask_density_check(&g, density) == FM_OK));
        }
    return list;
}

/* ---- a round ---- */

static fm_hash seed_of(const char *label, uint32_t u, uint32_t v)
{
    fm_hasher h;

    fm_hasher_begin(&h, label);
    fm_hasher_add_u64(&h, u < v ? u : v);
    fm_hasher_add_u64(&h, u < v ? v : u);
    return fm_hasher_end(&h);
}

static fm_hash pair_seed(uint32_t u, uint32_t v)
{
    return seed_of("fedmoe vector pair", u, v);
}

static void apply(uint32_t *words, const fm_hash *seed, int sign)
{
    vec_need(fm_dp_mask_apply(BITS, words, WORDS, seed->bytes, sign) == FM_OK, "a mask");
}

/* Every fifth is. */
static bool is_lost(uint32_t u)
{
    return u % 5 == 2;
}

/* What node u sends, into `words`; how many masks it shares. */
static uint32_t update_of(uint32_t u, uint32_t words[WORDS])
{
    const fm_hash self = seed_of("fedmoe vector self", u, u);
    uint32_t shared = 0;

    for (uint32_t i = 0; i < WORDS; i++)
        words[i] = 1000 * u + i;
    apply(words, &self, 1);
    for (uint32_t v = 0; v < NODES; v++) {
        const fm_hash seed = pair_seed(u, v);

        if (v == u || !fm_dp_mask_edge(seed.bytes, DENSITY))
            continue;
        apply(words, &seed, fm_dp_mask_sign(u, v));
        shared++;
    }
    return shared;
}

/* What the aggregator takes off a survivor's update. */
static void unmask(uint32_t u, uint32_t *sum)
{
    const fm_hash self = seed_of("fedmoe vector self", u, u);

    apply(sum, &self, -1);
    for (uint32_t v = 0; v < NODES; v++) {
        const fm_hash seed = pair_seed(u, v);

        if (is_lost(v) && fm_dp_mask_edge(seed.bytes, DENSITY))
            apply(sum, &seed, -fm_dp_mask_sign(u, v));
    }
}

static json_t *a_round(void)
{
    json_t *nodes = json_array(), *lost = json_array();
    uint32_t sum[WORDS] = { 0 };
    int32_t plain[WORDS];

    for (uint32_t u = 0; u < NODES; u++) {
        uint32_t words[WORDS] = { 0 };
        const uint32_t shared = update_of(u, words);
        uint8_t bytes[WORDS * BITS / 8];

        for (uint32_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)(words[i / 3] >> 8 * (i % 3));
        json_array_append_new(nodes, json_pack("{s:i,s:o}", "masks_shared", (int)shared, "update",
                                               vec_hex(bytes, sizeof bytes)));
        if (is_lost(u)) {
            json_array_append_new(lost, json_integer(u));
            continue;
        }
        vec_need(fm_dp_sum_words(BITS, sum, WORDS, bytes, sizeof bytes) == FM_OK, "a sum");
        unmask(u, sum);
    }
    for (uint32_t i = 0; i < WORDS; i++)
        plain[i] = fm_dp_sum_word(BITS, sum, i);
    return json_pack("{s:i,s:i,s:i,s:s,s:s,s:s,s:o,s:o,s:o}", "nodes", (int)NODES, "word_bits",
                     (int)BITS, "mask_density", (int)DENSITY, "k_uv",
                     "H(\"fedmoe vector pair\"; u64 u, u64 v), u < v", "b_u",
                     "H(\"fedmoe vector self\"; u64 u, u64 u)", "words",
                     "node u: 1000 u, 1000 u + 1, 1000 u + 2, 1000 u + 3", "lost", lost, "updates",
                     nodes, "sum", vec_list_i32(plain, WORDS));
}

json_t *vec_graph(void)
{
    return json_pack("{s:o,s:o,s:o,s:o}", "edges", edges(), "densities", choices(), "limits",
                     limits(), "round", a_round());
}
