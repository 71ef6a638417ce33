#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "fedmoe/base/memory.h"
#include "suites.h"

static void refuses_sizes_that_overflow(void)
{
    size_t out = 7;

    CU_ASSERT_EQUAL(fm_mul_size(SIZE_MAX, 2, &out), FM_ENOMEM);
    CU_ASSERT_EQUAL(fm_mul_size(SIZE_MAX / 2 + 1, 2, &out), FM_ENOMEM);
    CU_ASSERT_EQUAL(fm_add_size(SIZE_MAX, 1, &out), FM_ENOMEM);
    CU_ASSERT_EQUAL(out, 7);
    CU_ASSERT_EQUAL(fm_mul_size(SIZE_MAX / 2, 2, &out), FM_OK);
    CU_ASSERT_EQUAL(out, SIZE_MAX - 1);
    CU_ASSERT_EQUAL(fm_mul_size(0, SIZE_MAX, &out), FM_OK);
    CU_ASSERT_EQUAL(out, 0);
    CU_ASSERT_EQUAL(fm_add_size(SIZE_MAX, 0, &out), FM_OK);
    CU_ASSERT_EQUAL(out, SIZE_MAX);
}

static void allocates_zeroed_memory_and_refuses_too_much(void)
{
    void *p = NULL;
    char *s = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_alloc(100, 4, &p), FM_OK);
    for (size_t i = 0; i < 400; i++)
        CU_ASSERT_EQUAL(((char *)p)[i], 0);
    free(p);
    p = NULL;
    CU_ASSERT_EQUAL(fm_alloc(0, 0, &p), FM_OK);
    CU_ASSERT_PTR_NOT_NULL(p);
    free(p);
    p = NULL;
    CU_ASSERT_EQUAL(fm_alloc(SIZE_MAX / 2, 4, &p), FM_ENOMEM);
    CU_ASSERT_EQUAL(fm_alloc(SIZE_MAX, 1, &p), FM_ENOMEM);
    CU_ASSERT_PTR_NULL(p);
    CU_ASSERT_EQUAL(fm_alloc_whole(SIZE_MAX / 2, 4, &p), FM_ENOMEM);
    CU_ASSERT_PTR_NULL(p);
    CU_ASSERT_EQUAL_FATAL(fm_strdup("a text", &s), FM_OK);
    CU_ASSERT_STRING_EQUAL(s, "a text");
    free(s);
    CU_ASSERT_EQUAL(fm_strdup(NULL, &s), FM_EINVAL);
}

/* Below, at and above the size from which huge pages are asked for. */
static void vectors_of_every_length_are_zeroed_and_whole(void)
{
    const size_t lengths[] = { 0, 1, ((size_t)4 << 20) - 1, (size_t)4 << 20,
                               ((size_t)6 << 20) + 3 };

    for (size_t i = 0; i < FM_TEST_COUNT(lengths); i++) {
        void *p = NULL;
        size_t wrong = 0;

        CU_ASSERT_EQUAL_FATAL(fm_alloc_whole(lengths[i], 1, &p), FM_OK);
        CU_ASSERT_PTR_NOT_NULL(p);
        for (size_t j = 0; j < lengths[i]; j++)
            wrong += ((uint8_t *)p)[j] != 0;
        CU_ASSERT_EQUAL(wrong, 0);
        memset(p, 0xff, lengths[i]);
        free(p);
    }
}

static void carves_aligned_zeroed_pieces_and_reuses_them(void)
{
    fm_arena *a = NULL;
    size_t plan = 0;
    void *p, *q, *again;

    CU_ASSERT_EQUAL(fm_arena_plan(&plan, 3, 4), FM_OK);
    CU_ASSERT_EQUAL(plan, 64);
    CU_ASSERT_EQUAL(fm_arena_plan(&plan, 65, 1), FM_OK);
    CU_ASSERT_EQUAL(plan, 192);
    CU_ASSERT_EQUAL(fm_arena_plan(&plan, 0, 8), FM_OK);
    CU_ASSERT_EQUAL(plan, 192);
    CU_ASSERT_EQUAL_FATAL(fm_arena_new(plan, &a), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_arena_take(a, 3, 4, &p), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_arena_take(a, 65, 1, &q), FM_OK);
    CU_ASSERT_EQUAL((uintptr_t)p % 64, 0);
    CU_ASSERT_EQUAL((uintptr_t)q % 64, 0);
    CU_ASSERT_EQUAL((uint8_t *)q - (uint8_t *)p, 64);
    CU_ASSERT_EQUAL(fm_arena_used(a), 192);
    memset(p, 7, 12);
    memset(q, 7, 65);
    fm_arena_wipe(a);
    CU_ASSERT_EQUAL(fm_arena_used(a), 192);
    for (size_t i = 0; i < 65; i++)
        CU_ASSERT(((uint8_t *)q)[i] == 0 && ((uint8_t *)p)[i % 12] == 0);
    memset(p, 0xff, 12);
    fm_arena_reset(a);
    CU_ASSERT_EQUAL(fm_arena_used(a), 0);
    CU_ASSERT_EQUAL_FATAL(fm_arena_take(a, 12, 1, &again), FM_OK);
    CU_ASSERT_PTR_EQUAL(again, p);
    for (size_t i = 0; i < 12; i++)
        CU_ASSERT_EQUAL(((uint8_t *)again)[i], 0);
    fm_arena_free(&a);
    CU_ASSERT_PTR_NULL(a);
    fm_arena_free(&a);
    fm_arena_free(NULL);
}

static void an_arena_never_grows_past_its_plan(void)
{
    fm_arena *a = NULL;
    size_t plan = SIZE_MAX - 10;
    void *p = &plan;

    CU_ASSERT_EQUAL_FATAL(fm_arena_new(64, &a), FM_OK);
    CU_ASSERT_EQUAL(fm_arena_take(a, 65, 1, &p), FM_ENOMEM);
    assert_error_has("64 bytes left");
    CU_ASSERT_EQUAL(fm_arena_take(a, SIZE_MAX, 1, &p), FM_ENOMEM);
    CU_ASSERT_EQUAL(fm_arena_take(a, SIZE_MAX / 2, 4, &p), FM_ENOMEM);
    CU_ASSERT_PTR_EQUAL(p, &plan);
    CU_ASSERT_EQUAL(fm_arena_used(a), 0);
    CU_ASSERT_EQUAL(fm_arena_take(a, 64, 1, &p), FM_OK);
    CU_ASSERT_EQUAL(fm_arena_take(a, 1, 1, &p), FM_ENOMEM);
    CU_ASSERT_EQUAL(fm_arena_take(a, 0, 1, &p), FM_OK);
    fm_arena_free(&a);
    CU_ASSERT_EQUAL(fm_arena_plan(&plan, 64, 1), FM_ENOMEM);
    CU_ASSERT_EQUAL(plan, SIZE_MAX - 10);
    CU_ASSERT_EQUAL(fm_arena_new(SIZE_MAX, &a), FM_ENOMEM);
    CU_ASSERT_EQUAL(fm_arena_new(SIZE_MAX - 100, &a), FM_ENOMEM);
    CU_ASSERT_EQUAL(fm_arena_new(64, NULL), FM_EINVAL);
    CU_ASSERT_EQUAL_FATAL(fm_arena_new(0, &a), FM_OK);
    CU_ASSERT_EQUAL(fm_arena_take(a, 1, 1, &p), FM_ENOMEM);
    fm_arena_free(&a);
}

static void a_buffer_grows_and_stays_text(void)
{
    fm_buf b = { 0 };

    for (int i = 0; i < 1000; i++)
        CU_ASSERT_EQUAL(fm_buf_append(&b, "abc", 3), FM_OK);
    CU_ASSERT_EQUAL(b.len, 3000);
    CU_ASSERT_EQUAL(strlen((char *)b.data), 3000);
    fm_buf_clear(&b);
    CU_ASSERT_EQUAL(b.len, 0);
    CU_ASSERT_STRING_EQUAL((char *)b.data, "");
    CU_ASSERT_EQUAL(b.data[100], 0); /* wiped */
    CU_ASSERT_EQUAL(fm_buf_printf(&b, "%d-%s", 7, "x"), FM_OK);
    CU_ASSERT_EQUAL(fm_buf_printf(&b, "%s", ""), FM_OK);
    CU_ASSERT_STRING_EQUAL((char *)b.data, "7-x");
    CU_ASSERT_EQUAL(fm_buf_append(&b, NULL, 0), FM_OK);
    CU_ASSERT_EQUAL(fm_buf_append(&b, NULL, 1), FM_EINVAL);
    fm_buf_fini(&b);
    CU_ASSERT_PTR_NULL(b.data);
    fm_buf_fini(&b);
    fm_buf_clear(&b);
}

/* Else the time of a long line is the square of its length. */
static void a_buffer_is_copied_seldom_up_to_its_limit(void)
{
    static const char piece[1000] = "x";
    const size_t limit = (size_t)1 << 20;
    size_t cap = 0, copies = 0;
    fm_buf b;

    fm_buf_init(&b, limit);
    while (b.len + sizeof piece <= limit) {
        CU_ASSERT_EQUAL_FATAL(fm_buf_append(&b, piece, sizeof piece), FM_OK);
        copies += b.cap != cap;
        cap = b.cap;
    }
    CU_ASSERT_TRUE(copies <= 14);
    CU_ASSERT_TRUE(b.cap <= limit + 1);
    fm_buf_fini(&b);
}

static void a_buffer_stops_at_its_limit_unchanged(void)
{
    fm_buf b;
    uint8_t *place = NULL;

    fm_buf_init(&b, 10);
    CU_ASSERT_EQUAL(fm_buf_append(&b, "0123456", 7), FM_OK);
    CU_ASSERT_EQUAL(fm_buf_append(&b, "0123", 4), FM_ENOMEM);
    assert_error_has("limit of 10 bytes");
    CU_ASSERT_EQUAL(fm_buf_printf(&b, "%s", "0123"), FM_ENOMEM);
    CU_ASSERT_EQUAL(fm_buf_extend(&b, SIZE_MAX, &place), FM_ENOMEM);
    CU_ASSERT_EQUAL(b.len, 7);
    CU_ASSERT_STRING_EQUAL((char *)b.data, "0123456");
    CU_ASSERT_EQUAL(fm_buf_append(&b, "789", 3), FM_OK);
    CU_ASSERT_STRING_EQUAL((char *)b.data, "0123456789");
    CU_ASSERT_EQUAL(fm_buf_append(&b, "x", 1), FM_ENOMEM);
    CU_ASSERT_EQUAL(fm_buf_extend(&b, 0, &place), FM_OK);
    fm_buf_fini(&b);
    fm_buf_init(&b, 0);
    CU_ASSERT_EQUAL(fm_buf_extend(&b, FM_BUF_DEFAULT_LIMIT + 1, &place), FM_ENOMEM);
    b.limit = SIZE_MAX;
    CU_ASSERT_EQUAL(fm_buf_extend(&b, SIZE_MAX, &place), FM_ENOMEM);
    CU_ASSERT_EQUAL(fm_buf_extend(&b, SIZE_MAX - 1, &place), FM_ENOMEM);
    CU_ASSERT_PTR_NULL(b.data);
}

static void extending_gives_the_place_to_write(void)
{
    fm_buf b;
    uint8_t *place = NULL;

    fm_buf_init(&b, 1000);
    CU_ASSERT_EQUAL(fm_buf_append(&b, "ab", 2), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_buf_extend(&b, 500, &place), FM_OK);
    CU_ASSERT_PTR_EQUAL(place, b.data + 2);
    memset(place, 'z', 500);
    CU_ASSERT_EQUAL(b.len, 502);
    CU_ASSERT_EQUAL(b.data[502], 0);
    CU_ASSERT_EQUAL(memcmp(b.data, "abz", 3), 0);
    fm_buf_fini(&b);
}

static void little_endian_integers_round_trip(void)
{
    static const uint8_t bytes[9] = { 0xff, 0x08, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01 };
    uint8_t out[8];

    CU_ASSERT_EQUAL(fm_get_u64le(bytes + 1), UINT64_C(0x0102030405060708));
    CU_ASSERT_EQUAL(fm_get_u32le(bytes + 1), UINT32_C(0x05060708));
    fm_put_u64le(out, UINT64_C(0x0102030405060708));
    CU_ASSERT_EQUAL(memcmp(out, bytes + 1, 8), 0);
    fm_put_u32le(out, UINT32_C(0xfffefdfc));
    CU_ASSERT_EQUAL(fm_get_u32le(out), UINT32_C(0xfffefdfc));
}

static const fm_test tests[] = {
    { "refuses sizes that overflow", refuses_sizes_that_overflow },
    { "allocates zeroed memory and refuses too much",
      allocates_zeroed_memory_and_refuses_too_much },
    { "vectors of every length are zeroed and whole",
      vectors_of_every_length_are_zeroed_and_whole },
    { "carves aligned zeroed pieces and reuses them",
      carves_aligned_zeroed_pieces_and_reuses_them },
    { "an arena never grows past its plan", an_arena_never_grows_past_its_plan },
    { "a buffer grows and stays text", a_buffer_grows_and_stays_text },
    { "a buffer is copied seldom up to its limit", a_buffer_is_copied_seldom_up_to_its_limit },
    { "a buffer stops at its limit unchanged", a_buffer_stops_at_its_limit_unchanged },
    { "extending gives the place to write", extending_gives_the_place_to_write },
    { "little-endian integers round trip", little_endian_integers_round_trip },
};
const fm_test_suite suite_memory = { "base.memory", tests, FM_TEST_COUNT(tests) };
