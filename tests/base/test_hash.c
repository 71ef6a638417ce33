#include <stdio.h>
#include <string.h>

#include "fedmoe/base/file.h"
#include "fedmoe/base/hash.h"
#include "suites.h"

/* python3: hashlib.blake2b(len(label).to_bytes(8,'little') + label + ..., digest_size=32) */
static void is_blake2b_over_length_prefixed_label_and_parts(void)
{
    char hex[65];
    fm_hash h = fm_hash_of("fedmoe test v1", "abc", 3);

    fm_hash_hex(&h, hex);
    CU_ASSERT_STRING_EQUAL(hex, "57d06fe1190c5fd2cf4fdfc8f1ec0fc35d1d28999b89f49c07eb1145875104b5");
}

static void a_part_is_its_length_and_its_bytes(void)
{
    fm_hasher h;
    fm_hash a, b;

    fm_hasher_begin(&h, "l");
    fm_hasher_add_part(&h, "abc", 3);
    a = fm_hasher_end(&h);
    fm_hasher_begin(&h, "l");
    fm_hasher_add_u64(&h, 3);
    fm_hasher_add(&h, "a", 1);
    fm_hasher_add(&h, NULL, 0);
    fm_hasher_add(&h, "bc", 2);
    b = fm_hasher_end(&h);
    CU_ASSERT(fm_hash_equal(&a, &b));
    b = fm_hash_of("l", "abc", 3);
    CU_ASSERT(fm_hash_equal(&a, &b));
}

static void parts_cannot_be_shifted_into_each_other(void)
{
    static const char *const splits[][3] = {
        { "l", "ab", "c" }, { "l", "a", "bc" }, { "l", "abc", "" },
        { "l", "", "abc" }, { "la", "b", "c" }, { "", "lab", "c" },
    };
    fm_hash seen[FM_TEST_COUNT(splits)];

    for (size_t i = 0; i < FM_TEST_COUNT(splits); i++) {
        fm_hasher h;

        fm_hasher_begin(&h, splits[i][0]);
        fm_hasher_add_part(&h, splits[i][1], strlen(splits[i][1]));
        fm_hasher_add_part(&h, splits[i][2], strlen(splits[i][2]));
        seen[i] = fm_hasher_end(&h);
        for (size_t k = 0; k < i; k++)
            CU_ASSERT(!fm_hash_equal(&seen[i], &seen[k]));
    }
}

static void labels_keep_uses_apart(void)
{
    fm_hash a = fm_hash_of("fedmoe model v1", "x", 1), b = fm_hash_of("fedmoe plan v1", "x", 1);

    CU_ASSERT(!fm_hash_equal(&a, &b));
}

static void every_bit_counts_when_comparing(void)
{
    fm_hash a = fm_hash_of("l", "x", 1), zero = { { 0 } };

    for (size_t i = 0; i < 8 * FM_HASH_BYTES; i++) {
        fm_hash b = a, z = zero;

        b.bytes[i / 8] ^= (uint8_t)(1u << i % 8);
        z.bytes[i / 8] ^= (uint8_t)(1u << i % 8);
        CU_ASSERT(!fm_hash_equal(&a, &b));
        CU_ASSERT(!fm_hash_is_zero(&z));
    }
    CU_ASSERT(fm_hash_equal(&a, &a));
    CU_ASSERT(fm_hash_is_zero(&zero));
}

static void hex_is_lower_case_and_terminated(void)
{
    fm_hash h;
    char hex[65];

    for (size_t i = 0; i < FM_HASH_BYTES; i++)
        h.bytes[i] = (uint8_t)(i * 8 + 7);
    fm_hash_hex(&h, hex);
    CU_ASSERT_STRING_EQUAL(hex, "070f171f272f373f474f575f676f777f878f979fa7afb7bfc7cfd7dfe7eff7ff");
}

static void the_state_is_wiped_at_the_end(void)
{
    fm_hasher h, zero;

    memset(&zero, 0, sizeof zero);
    fm_hasher_begin(&h, "secret");
    (void)fm_hasher_end(&h);
    CU_ASSERT_EQUAL(memcmp(h.state, zero.state, sizeof h.state), 0);
}

/* FIPS 180-4's own example, and a file longer than what is read at once. */
static void the_sha256_of_a_file_is_what_sha256sum_prints(void)
{
    static char long_text[200000];
    char dir[256], path[300], hex[65] = "";
    uint64_t bytes = 0;

    fm_test_tmpdir(dir, sizeof dir);
    (void)snprintf(path, sizeof path, "%s/x", dir);
    CU_ASSERT_EQUAL_FATAL(fm_file_replace(path, "abc", 3, 0600), FM_OK);
    CU_ASSERT_EQUAL(fm_hash_file_sha256(path, hex, NULL), FM_OK);
    CU_ASSERT_STRING_EQUAL(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    memset(long_text, 'a', sizeof long_text);
    CU_ASSERT_EQUAL_FATAL(fm_file_replace(path, long_text, sizeof long_text, 0600), FM_OK);
    CU_ASSERT_EQUAL(fm_hash_file_sha256(path, hex, &bytes), FM_OK);
    CU_ASSERT_EQUAL(bytes, sizeof long_text);
    CU_ASSERT_STRING_EQUAL(hex, "2287d207f24a941ff3b56c04c8a25ad56b63e3023207b3bb5b4ac0c9869d74be");
    CU_ASSERT_EQUAL(fm_hash_file_sha256("/nowhere/x", hex, NULL), FM_ENOTFOUND);
    CU_ASSERT_EQUAL(fm_hash_file_sha256(dir, hex, NULL), FM_EIO);
    CU_ASSERT_EQUAL(fm_hash_file_sha256("/dev/zero", hex, NULL), FM_EIO);
}

static const fm_test tests[] = {
    { "is BLAKE2b over length-prefixed label and parts",
      is_blake2b_over_length_prefixed_label_and_parts },
    { "a part is its length and its bytes", a_part_is_its_length_and_its_bytes },
    { "parts cannot be shifted into each other", parts_cannot_be_shifted_into_each_other },
    { "labels keep uses apart", labels_keep_uses_apart },
    { "every bit counts when comparing", every_bit_counts_when_comparing },
    { "hex is lower case and terminated", hex_is_lower_case_and_terminated },
    { "the state is wiped at the end", the_state_is_wiped_at_the_end },
    { "the SHA-256 of a file is what sha256sum prints",
      the_sha256_of_a_file_is_what_sha256sum_prints },
};
const fm_test_suite suite_hash = { "base.hash", tests, FM_TEST_COUNT(tests) };
