/* Keys that must be refused, and the key schedule against values computed apart. */
#include <string.h>

#include <sodium.h>

#include "mask_fixture.h"
#include "mask_internal.h"

static fm_status pairs_of(fixture *f, uint32_t self)
{
    fm_dp_roster r = f->roster;
    fm_dp_pairs *p = NULL;
    fm_status st;

    r.self = self;
    st = fm_dp_pairs_new(f->keys[0], &r, &p);
    CU_ASSERT((st == FM_OK) == (p != NULL));
    fm_dp_pairs_free(&p);
    return st;
}

static void put_key(fixture *f, uint32_t at, const char *hex)
{
    size_t len = 0;

    CU_ASSERT_EQUAL_FATAL(
        sodium_hex2bin(f->public_keys[at], FM_DP_KEY_BYTES, hex, strlen(hex), NULL, &len, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(len, FM_DP_KEY_BYTES);
}

static void refuses_keys_of_low_order(void)
{
    /* The points of order 1, 2, 4 and 8 of curve and twist; cr.yp.to/ecdh.html#validate. */
    static const char *const low[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    };
    fixture f;

    fix_init(&f, 3, 1, 0.0);
    CU_ASSERT_EQUAL(pairs_of(&f, 0), FM_OK);
    for (size_t i = 0; i < FM_TEST_COUNT(low); i++) {
        put_key(&f, 2, low[i]);
        CU_ASSERT_EQUAL(pairs_of(&f, 0), FM_EAUTH);
    }
    fix_fini(&f);
}

static void refuses_two_members_with_one_key(void)
{
    fixture f;

    fix_init(&f, 4, 1, 0.0);
    memcpy(f.public_keys[3], f.public_keys[1], FM_DP_KEY_BYTES);
    CU_ASSERT_EQUAL(pairs_of(&f, 0), FM_EAUTH);
    f.public_keys[3][31] |= 0x80; /* the same key to X25519, in other bytes */
    CU_ASSERT_EQUAL(pairs_of(&f, 0), FM_EAUTH);
    memcpy(f.public_keys[3], f.public_keys[0], FM_DP_KEY_BYTES); /* own key, a second time */
    CU_ASSERT_EQUAL(pairs_of(&f, 0), FM_EAUTH);
    fix_fini(&f);
}

static void refuses_a_roster_without_its_own_key_at_its_place(void)
{
    fm_dp_keypair *other = NULL;
    fixture f;

    fix_init(&f, 3, 1, 0.0);
    CU_ASSERT_EQUAL(pairs_of(&f, 1), FM_EAUTH);
    CU_ASSERT_EQUAL_FATAL(fm_dp_keypair_new(&other), FM_OK);
    memcpy(f.public_keys[0], fm_dp_keypair_public(other), FM_DP_KEY_BYTES);
    CU_ASSERT_EQUAL(pairs_of(&f, 0), FM_EAUTH);
    fm_dp_keypair_free(&other);
    fix_fini(&f);
}

static void refuses_rosters_out_of_range(void)
{
    char name[300];
    fixture f;

    fix_init(&f, 3, 1, 0.0);
    CU_ASSERT_EQUAL(pairs_of(&f, 3), FM_EINVAL);
    f.roster.members = 0;
    CU_ASSERT_EQUAL(pairs_of(&f, 0), FM_EINVAL);
    f.roster.members = 1025;
    CU_ASSERT_EQUAL(pairs_of(&f, 0), FM_EINVAL);
    f.roster.members = 3;
    f.roster.federation = "";
    CU_ASSERT_EQUAL(pairs_of(&f, 0), FM_EINVAL);
    memset(name, 'x', sizeof name);
    name[299] = 0;
    f.roster.federation = name;
    CU_ASSERT_EQUAL(pairs_of(&f, 0), FM_EINVAL);
    f.roster.federation = NULL;
    CU_ASSERT_EQUAL(pairs_of(&f, 0), FM_EINVAL);
    fix_fini(&f);
}

static void both_ends_of_a_pair_agree_and_no_two_pairs_do(void)
{
    fixture f;

    fix_init(&f, 5, 1, 0.0);
    for (uint32_t u = 0; u < 5; u++)
        for (uint32_t v = 0; v < 5; v++) {
            if (u == v)
                continue;
            CU_ASSERT_EQUAL(memcmp(fm_dp_pairs_secret(f.pairs[u], v),
                                   fm_dp_pairs_secret(f.pairs[v], u), FM_DP_KEY_BYTES),
                            0);
            for (uint32_t w = 0; w < v; w++)
                CU_ASSERT_NOT_EQUAL(memcmp(fm_dp_pairs_secret(f.pairs[u], v),
                                           fm_dp_pairs_secret(f.pairs[u], w), FM_DP_KEY_BYTES),
                                    0);
        }
    fix_fini(&f);
}

static void expect_hex(const uint8_t *bytes, const char *hex)
{
    char got[2 * FM_DP_KEY_BYTES + 1];

    sodium_bin2hex(got, sizeof got, bytes, FM_DP_KEY_BYTES);
    CU_ASSERT_STRING_EQUAL(got, hex);
}

/*
 * Computed apart, with Python's hashlib and hmac and with `openssl enc -aes-256-ctr`, from the
 * layouts in mask.h. Keys and X25519 result: RFC 7748 section 6.1.
 */
static const char *const g_alice =
    "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a";
static const char *const g_bob = "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f";
static const char *const g_shared =
    "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742";

static void known_seed(uint8_t k[FM_DP_KEY_BYTES])
{
    static const uint32_t both[] = { 0, 1 };
    uint8_t keys[2][FM_DP_KEY_BYTES], shared[FM_DP_KEY_BYTES], s[FM_DP_KEY_BYTES];
    fm_dp_roster roster = { .federation = "kat",
                            .public_keys = (const uint8_t(*)[FM_DP_KEY_BYTES])keys,
                            .members = 2 };
    fm_dp_round round = {
        .round = 7, .participants = both, .participant_count = 2, .mask_density = FM_DP_DENSITY_ALL
    };
    fm_hash context;

    (void)sodium_hex2bin(keys[0], 32, g_alice, 64, NULL, NULL, NULL);
    (void)sodium_hex2bin(keys[1], 32, g_bob, 64, NULL, NULL, NULL);
    (void)sodium_hex2bin(shared, 32, g_shared, 64, NULL, NULL, NULL);
    for (uint8_t i = 0; i < FM_DP_SESSION_BYTES; i++)
        roster.session[i] = i;
    memset(roster.roster.bytes, 0xa0, FM_HASH_BYTES);
    memset(round.plan.bytes, 0x11, FM_HASH_BYTES);
    memset(round.model.bytes, 0x22, FM_HASH_BYTES);

    context = fm_dp_pair_context(&roster, 1, 0);
    expect_hex(context.bytes, "4eb6decf9cb0c176fa43bfde0fb55242ca08ba4991f2c651d10cc653bc618aa2");
    CU_ASSERT_EQUAL(fm_dp_pair_secret(&roster, 0, 1, shared, s), FM_OK);
    expect_hex(s, "466587efe6b967bf5d018420f948d7c0d8d4c6de98254e516e8ab888af715414");
    context = fm_dp_round_context(&round);
    expect_hex(context.bytes, "cb01c967aa72549a9714f4af846e2763b79014b76545b905b16f6844d8e5cf56");
    CU_ASSERT_EQUAL(fm_dp_mask_seed(s, &context, k), FM_OK);
    expect_hex(k, "acd6175bc25eca90bec386f7442e8b60f14f7e9cb57190fe9d8c301f8acd1f78");
}

static void the_key_schedule_gives_the_known_answer(void)
{
    enum { WORDS = 10007 };
    static uint32_t words[WORDS];
    uint8_t k[FM_DP_KEY_BYTES];
    fm_hash h;

    known_seed(k);
    memset(words, 0, sizeof words);
    CU_ASSERT_EQUAL(fm_dp_mask_apply(32, words, WORDS, k, 1), FM_OK);
    CU_ASSERT(words[0] == 0x2ac16320 && words[1] == 0x44b4d8ec && words[2] == 0xee812258 &&
              words[3] == 0xc6a38bfd && words[WORDS - 1] == 0x712f07f9);
    h = fm_hash_of("fedmoe update v1", words, sizeof words); /* little-endian machines only */
    expect_hex(h.bytes, "04161cbea2e62335b7e577e8ebc818bce24742a9d14b736d494833e96fc944d0");
}

static const fm_test g_tests[] = {
    { "refuses keys of low order", refuses_keys_of_low_order },
    { "refuses two members with one key", refuses_two_members_with_one_key },
    { "refuses a roster without its own key at its place",
      refuses_a_roster_without_its_own_key_at_its_place },
    { "refuses rosters out of range", refuses_rosters_out_of_range },
    { "both ends of a pair agree and no two pairs do",
      both_ends_of_a_pair_agree_and_no_two_pairs_do },
    { "the key schedule gives the known answer", the_key_schedule_gives_the_known_answer },
};

const fm_test_suite fm_suite_dp_mask_keys = { "dp.mask_keys", g_tests, FM_TEST_COUNT(g_tests) };
