#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/safetensors.h"
#include "suites.h"

/* Length, header text, then `data_len` bytes 0, 1, 2, ... */
static void build(fm_buf *b, const char *header, size_t data_len)
{
    uint8_t len[8];

    fm_buf_init(b, 0);
    fm_put_u64le(len, strlen(header));
    CU_ASSERT_EQUAL_FATAL(fm_buf_append(b, len, 8), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_buf_append(b, header, strlen(header)), FM_OK);
    for (size_t i = 0; i < data_len; i++)
        CU_ASSERT_EQUAL_FATAL(fm_buf_append(b, &(uint8_t){ (uint8_t)i }, 1), FM_OK);
}

static fm_status parse(const char *header, size_t data_len, fm_safetensors **out)
{
    fm_buf b;
    fm_status st;

    build(&b, header, data_len);
    st = fm_safetensors_parse("m.safetensors", b.data, b.len, out);
    fm_buf_fini(&b);
    return st;
}

#define T(name, dtype, shape, begin, end)                                                   \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":[" shape "],\"data_offsets\":[" #begin \
    "," #end "]}"

static void reads_tensors_in_the_order_of_their_data(void)
{
    fm_safetensors *s = NULL;
    const fm_tensor_view *v;

    CU_ASSERT_EQUAL_FATAL(
        parse("{" T("b", "F32", "2,3", 5, 29) "," T("a", "I8", "5", 0, 5) "," T(
                  "scalar", "F64", "", 29, 37) "," T("none", "F16", "0,7", 29, 29) "}  ",
              37, &s),
        FM_OK);
    CU_ASSERT_EQUAL(fm_safetensors_count(s), 4);
    CU_ASSERT_STRING_EQUAL(fm_safetensors_at(s, 0)->name, "a");
    CU_ASSERT_STRING_EQUAL(fm_safetensors_at(s, 1)->name, "b");
    CU_ASSERT_STRING_EQUAL(fm_safetensors_at(s, 2)->name, "none");
    CU_ASSERT_STRING_EQUAL(fm_safetensors_at(s, 3)->name, "scalar");
    CU_ASSERT_PTR_NULL(fm_safetensors_at(s, 4));
    v = fm_safetensors_find(s, "b");
    CU_ASSERT_PTR_NOT_NULL_FATAL(v);
    CU_ASSERT_STRING_EQUAL(v->dtype, "F32");
    CU_ASSERT_EQUAL(v->dims, 2);
    CU_ASSERT_EQUAL(v->shape[0], 2);
    CU_ASSERT_EQUAL(v->shape[1], 3);
    CU_ASSERT_EQUAL(v->bytes, 24);
    CU_ASSERT_EQUAL(v->data[0], 5);
    CU_ASSERT_EQUAL(v->data[23], 28);
    CU_ASSERT_EQUAL(fm_safetensors_find(s, "scalar")->dims, 0);
    CU_ASSERT_EQUAL(fm_safetensors_find(s, "none")->bytes, 0);
    CU_ASSERT_PTR_NULL(fm_safetensors_find(s, "c"));
    CU_ASSERT_EQUAL(fm_safetensors_meta_count(s), 0);
    CU_ASSERT_PTR_NULL(fm_safetensors_meta_get(s, "k"));
    fm_safetensors_free(&s);
    CU_ASSERT_PTR_NULL(s);
    fm_safetensors_free(&s);
    fm_safetensors_free(NULL);
}

static void data_is_aligned_whatever_the_header_length(void)
{
    for (size_t pad = 0; pad < 16; pad++) {
        char header[200];
        fm_safetensors *s = NULL;

        (void)snprintf(header, sizeof header, "{%*s" T("w", "F64", "2", 0, 16) "}", (int)pad, "");
        CU_ASSERT_EQUAL_FATAL(parse(header, 16, &s), FM_OK);
        CU_ASSERT_EQUAL((uintptr_t)fm_safetensors_at(s, 0)->data % 8, 0);
        CU_ASSERT_EQUAL(fm_safetensors_at(s, 0)->data[15], 15);
        fm_safetensors_free(&s);
    }
}

static void reads_metadata(void)
{
    fm_safetensors *s = NULL;

    CU_ASSERT_EQUAL_FATAL(
        parse("{\"__metadata__\":{\"format\":\"pt\",\"z\":\"\"}," T("w", "U8", "1", 0, 1) "}", 1,
              &s),
        FM_OK);
    CU_ASSERT_EQUAL(fm_safetensors_count(s), 1);
    CU_ASSERT_EQUAL(fm_safetensors_meta_count(s), 2);
    CU_ASSERT_STRING_EQUAL(fm_safetensors_meta_at(s, 0).key, "format");
    CU_ASSERT_STRING_EQUAL(fm_safetensors_meta_at(s, 0).value, "pt");
    CU_ASSERT_STRING_EQUAL(fm_safetensors_meta_get(s, "z"), "");
    CU_ASSERT_PTR_NULL(fm_safetensors_meta_get(s, "q"));
    CU_ASSERT_PTR_NULL(fm_safetensors_meta_at(s, 2).key);
    fm_safetensors_free(&s);
}

static void a_file_may_hold_no_tensors(void)
{
    fm_safetensors *s = NULL;
    size_t n = 7;

    CU_ASSERT_EQUAL_FATAL(parse("{}", 0, &s), FM_OK);
    CU_ASSERT_EQUAL(fm_safetensors_count(s), 0);
    CU_ASSERT_PTR_NULL(fm_safetensors_find(s, "x"));
    CU_ASSERT_EQUAL(fm_safetensors_flat_size(s, &n), FM_OK);
    CU_ASSERT_EQUAL(n, 0);
    CU_ASSERT_EQUAL(fm_safetensors_flat_read(s, NULL, 0), FM_OK);
    fm_safetensors_free(&s);
    CU_ASSERT_EQUAL(parse("{}", 1, &s), FM_EPROTO);
    assert_error_has("1 bytes after the last tensor");
}

typedef struct {
    const char *header;
    size_t data_len;
    const char *needle;
} bad;

static void assert_all_refused(const bad *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        fm_safetensors *s = NULL;
        fm_status st = parse(cases[i].header, cases[i].data_len, &s);

        CU_ASSERT_EQUAL(st, FM_EPROTO);
        CU_ASSERT_PTR_NULL(s);
        if (st == FM_EPROTO) {
            assert_error_has("m.safetensors: ");
            assert_error_has(cases[i].needle);
        } else {
            printf("\n    accepted: %s\n", cases[i].header);
        }
        fm_safetensors_free(&s);
    }
}

static void refuses_offsets_that_do_not_tile_the_data(void)
{
    static const bad cases[] = {
        { "{" T("a", "U8", "4", 0, 4) "," T("b", "U8", "4", 3, 7) "}", 7,
          "'b': its data overlaps" },
        { "{" T("a", "U8", "4", 0, 4) "," T("b", "U8", "4", 0, 4) "}", 4,
          "'b': its data overlaps" },
        { "{" T("a", "U8", "4", 0, 4) "," T("b", "U8", "0", 2, 2) "}", 4,
          "'b': its data overlaps" },
        { "{" T("a", "U8", "4", 0, 4) "," T("b", "U8", "2", 5, 7) "}", 7, "'b': there is a gap" },
        { "{" T("a", "U8", "4", 1, 5) "}", 5, "'a': there is a gap" },
        { "{" T("a", "U8", "4", 0, 4) "}", 5, "1 bytes after the last tensor" },
        { "{" T("a", "U8", "4", 0, 4) "}", 3, "leave the 3 bytes of data" },
        { "{" T("a", "U8", "4", 4, 0) "}", 4, "'a': data_offsets 4 to 0 leave" },
        { "{" T("a", "U8", "1", 9223372036854775807, 9223372036854775807) "}", 4, "leave the 4" },
        { "{" T("a", "U8", "4", -4, 0) "}", 4, "not two whole numbers" },
        { "{" T("a", "U8", "4", 0.0, 4) "}", 4, "not two whole numbers" },
        { "{" T("a", "U8", "4", 18446744073709551615, 4) "}", 4, "too big integer" },
        { "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4,4]}}", 4, "two whole" },
        { "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":\"04\"}}", 4, "two whole" },
        { "{\"a\":{\"dtype\":\"U8\",\"shape\":[4]}}", 4, "two whole" },
    };

    assert_all_refused(cases, FM_TEST_COUNT(cases));
}

static void refuses_shapes_that_do_not_fit(void)
{
    static const bad cases[] = {
        { "{" T("a", "F32", "2", 0, 4) "}", 4, "its shape of 2 elements does not fit its 4 bytes" },
        { "{" T("a", "F32", "", 0, 8) "}", 8, "its shape of 1 elements does not fit its 8 bytes" },
        { "{" T("a", "F32", "0", 0, 4) "}", 4, "does not fit" },
        { "{" T("a", "F32", "-1", 0, 4) "}", 4, "something other than whole numbers" },
        { "{" T("a", "F32", "1.0", 0, 4) "}", 4, "something other than whole numbers" },
        { "{" T("a", "F32", "\"1\"", 0, 4) "}", 4, "something other than whole numbers" },
        { "{" T("a", "F32", "1,1,1,1,1,1,1,1,1", 0, 4) "}", 4, "more than 8 dimensions" },
        /* 2^32 * 2^32 = 0 mod 2^64, and 2^62 * 4 = 0 mod 2^64 */
        { "{" T("a", "F32", "4294967296,4294967296", 0, 0) "}", 0, "too large for this machine" },
        { "{" T("a", "F32", "4611686018427387904", 0, 0) "}", 0, "does not fit its 0 bytes" },
        { "{" T("a", "U8", "9223372036854775807,3", 0, 0) "}", 0, "too large for this machine" },
        { "{\"a\":{\"dtype\":\"U8\",\"shape\":4,\"data_offsets\":[0,4]}}", 4,
          "shape is not a list" },
        { "{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,4]}}", 4, "shape is not a list" },
    };

    assert_all_refused(cases, FM_TEST_COUNT(cases));
}

static void refuses_malformed_headers(void)
{
    static const bad cases[] = {
        { "", 0, "does not begin with '{'" },
        { "[]", 0, "does not begin with '{'" },
        { " {}", 0, "does not begin with '{'" },
        { "{", 0, "header, byte" },
        { "{}x", 0, "header, byte" },
        { "{\"a\":1}", 0, "'a': its entry is not an object" },
        { "{\"a\":null}", 0, "'a': its entry is not an object" },
        { "{" T("", "U8", "1", 0, 1) "}", 1, "it has no name" },
        { "{" T("a", "F31", "1", 0, 4) "}", 4, "dtype is missing or not known" },
        { "{" T("a", "f32", "1", 0, 4) "}", 4, "dtype is missing or not known" },
        { "{\"a\":{\"dtype\":4,\"shape\":[4],\"data_offsets\":[0,4]}}", 4, "dtype is missing" },
        { "{\"a\":{\"shape\":[4],\"data_offsets\":[0,4]}}", 4, "dtype is missing" },
        { "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4],\"x\":1}}", 4,
          "more than" },
        { "{" T("a", "U8", "1", 0, 1) "," T("a", "U8", "1", 1, 2) "}", 2, "duplicate" },
        { "{\"a\\u0000b\":{}}", 0, "header, byte" },
        { "{\"\xff\":{}}", 0, "header, byte" },
        { "{\"__metadata__\":[]}", 0, "__metadata__ is not an object" },
        { "{\"__metadata__\":{\"k\":1}}", 0, "metadata 'k' is not a text" },
        { "{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", 0, "duplicate" },
    };

    assert_all_refused(cases, FM_TEST_COUNT(cases));
}

/* A schema, records or nothing where a model was expected. */
static void says_when_it_is_another_kind_of_file(void)
{
    static const char *const texts[] = { "name: heart\ncolumns: []\n", "who,a,b\n1,2,3\n",
                                         "{\"a\": 1, \"b\": 2}" };
    fm_safetensors *s = NULL;

    for (size_t i = 0; i < FM_TEST_COUNT(texts); i++) {
        CU_ASSERT_EQUAL(fm_safetensors_parse("m", texts[i], strlen(texts[i]), &s), FM_EPROTO);
        assert_error_has("m: not a safetensors file, as models are: it begins with text");
    }
    CU_ASSERT_EQUAL(fm_safetensors_parse("m", "abc", 3, &s), FM_EPROTO);
    assert_error_has("m: not a safetensors file, as models are: too few bytes");
    CU_ASSERT_EQUAL(fm_safetensors_parse("m", "\0\0\0\0\0\0\0\0[]", 10, &s), FM_EPROTO);
    assert_error_has("m: not a safetensors file, as models are: the header does not begin");
    CU_ASSERT_PTR_NULL(s);
}

static void refuses_lengths_that_lie(void)
{
    static const struct {
        uint64_t len;
        const char *needle;
    } cases[] = {
        { 3, "only 2 bytes follow" },
        { FM_SAFETENSORS_MAX_HEADER, "only 2 bytes follow" },
        { FM_SAFETENSORS_MAX_HEADER + 1, "longer than the limit" },
        { UINT64_MAX, "longer than the limit" },
        { UINT64_MAX - 7, "longer than the limit" },
        { 0, "does not begin with '{'" },
    };

    for (size_t i = 0; i < FM_TEST_COUNT(cases); i++) {
        uint8_t bytes[10] = { [8] = '{', [9] = '}' };
        fm_safetensors *s = NULL;

        fm_put_u64le(bytes, cases[i].len);
        CU_ASSERT_EQUAL(fm_safetensors_parse("m", bytes, sizeof bytes, &s), FM_EPROTO);
        assert_error_has(cases[i].needle);
    }
}

static void every_truncation_and_a_trailing_byte_are_refused(void)
{
    fm_buf b;
    fm_safetensors *s = NULL;

    build(&b, "{" T("a", "I8", "5", 0, 5) "," T("b", "F32", "2", 5, 13) "}", 14);
    CU_ASSERT_EQUAL(fm_safetensors_parse("m", b.data, b.len, &s), FM_EPROTO);
    CU_ASSERT_EQUAL_FATAL(fm_safetensors_parse("m", b.data, b.len - 1, &s), FM_OK);
    fm_safetensors_free(&s);
    for (size_t n = 0; n < b.len - 1; n++) {
        uint8_t *exact = malloc(n ? n : 1);

        CU_ASSERT_PTR_NOT_NULL_FATAL(exact);
        memcpy(exact, b.data, n);
        CU_ASSERT_EQUAL(fm_safetensors_parse("m", exact, n, &s), FM_EPROTO);
        free(exact);
    }
    CU_ASSERT_PTR_NULL(s);
    fm_buf_fini(&b);
    CU_ASSERT_EQUAL(fm_safetensors_parse("m", NULL, 0, &s), FM_EPROTO);
    CU_ASSERT_EQUAL(fm_safetensors_parse("m", NULL, 1, &s), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_safetensors_parse(NULL, "", 0, &s), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_safetensors_parse("m", "", 0, NULL), FM_EINVAL);
}

static void loads_files_within_a_limit(void)
{
    char dir[256], path[300];
    fm_buf b;
    fm_safetensors *s = NULL;

    fm_test_tmpdir(dir, sizeof dir);
    (void)snprintf(path, sizeof path, "%s/m.safetensors", dir);
    CU_ASSERT_EQUAL(fm_safetensors_load(path, 1000, &s), FM_ENOTFOUND);
    build(&b, "{" T("w", "F32", "2", 0, 8) "}", 8);
    CU_ASSERT_EQUAL_FATAL(fm_file_replace(path, b.data, b.len, 0644), FM_OK);
    CU_ASSERT_EQUAL(fm_safetensors_load(path, b.len - 1, &s), FM_EPROTO);
    assert_error_has("limit");
    CU_ASSERT_EQUAL_FATAL(fm_safetensors_load(path, b.len, &s), FM_OK);
    CU_ASSERT_EQUAL(fm_safetensors_at(s, 0)->data[7], 7);
    fm_safetensors_free(&s);
    CU_ASSERT_EQUAL_FATAL(fm_file_replace(path, b.data, b.len - 1, 0644), FM_OK);
    CU_ASSERT_EQUAL(fm_safetensors_load(path, b.len, &s), FM_EPROTO);
    assert_error_has(path);
    fm_buf_fini(&b);
}

static void opened_files_are_read_in_ranges(void)
{
    char dir[256], path[300];
    fm_buf b, head = { 0 };
    fm_safetensors *s = NULL;
    const fm_tensor_view *v;
    uint8_t got[8] = { 0 };

    fm_test_tmpdir(dir, sizeof dir);
    (void)snprintf(path, sizeof path, "%s/m.safetensors", dir);
    CU_ASSERT_EQUAL(fm_safetensors_open(path, &s), FM_ENOTFOUND);
    CU_ASSERT_EQUAL(fm_safetensors_open(dir, &s), FM_EIO);
    assert_error_has("not a regular file");
    build(&b,
          "{\"__metadata__\":{\"k\":\"v\"}," T("w", "F32", "2", 3, 11) "," T("a", "I8", "3", 0,
                                                                             3) "}",
          11);
    CU_ASSERT_EQUAL_FATAL(fm_file_replace(path, b.data, b.len, 0644), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_safetensors_open(path, &s), FM_OK);
    CU_ASSERT_EQUAL(fm_safetensors_bytes(s), b.len);
    CU_ASSERT_STRING_EQUAL(fm_safetensors_meta_get(s, "k"), "v");
    CU_ASSERT_STRING_EQUAL(fm_safetensors_at(s, 0)->name, "a");
    v = fm_safetensors_find(s, "w");
    CU_ASSERT_PTR_NULL(v->data);
    CU_ASSERT_EQUAL(fm_safetensors_read(s, v, 5, 3, got), FM_OK);
    CU_ASSERT_EQUAL(got[0], 8);
    CU_ASSERT_EQUAL(got[2], 10);
    CU_ASSERT_EQUAL(got[3], 0);
    CU_ASSERT_EQUAL(fm_safetensors_read(s, v, 5, 4, got), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_safetensors_read(s, v, 9, SIZE_MAX, got), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_safetensors_read_head(s, &head), FM_OK);
    CU_ASSERT_TRUE(head.len == b.len - 11 && memcmp(head.data, b.data, head.len) == 0);
    fm_buf_fini(&head);
    fm_safetensors_free(&s);
    for (size_t n = 0; n < b.len; n++) {
        CU_ASSERT_EQUAL_FATAL(truncate(path, (off_t)(b.len - 1 - n)), 0);
        CU_ASSERT_EQUAL(fm_safetensors_open(path, &s), FM_EPROTO);
        assert_error_has(path);
    }
    CU_ASSERT_PTR_NULL(s);
    CU_ASSERT_EQUAL_FATAL(fm_safetensors_parse("m", b.data, b.len, &s), FM_OK);
    CU_ASSERT_EQUAL(fm_safetensors_read(s, fm_safetensors_find(s, "w"), 7, 1, got), FM_OK);
    CU_ASSERT_EQUAL(got[0], 10);
    CU_ASSERT_EQUAL(fm_safetensors_read_head(s, &head), FM_ESTATE);
    fm_safetensors_forget(s);
    CU_ASSERT_EQUAL(fm_safetensors_read(s, fm_safetensors_find(s, "w"), 7, 1, got), FM_ESTATE);
    fm_safetensors_free(&s);
    fm_buf_fini(&b);
}

static void flat_reading_takes_only_f32(void)
{
    float out[3] = { -1.0f, -1.0f, -1.0f };
    fm_safetensors *s = NULL;
    size_t n = 99;

    CU_ASSERT_EQUAL_FATAL(
        parse("{" T("a", "F32", "2", 0, 8) "," T("b", "F16", "2", 8, 12) "}", 12, &s), FM_OK);
    CU_ASSERT_EQUAL(fm_safetensors_flat_size(s, &n), FM_EPROTO);
    assert_error_has("tensor 'b' is F16, not F32");
    CU_ASSERT_EQUAL(fm_safetensors_flat_read(s, out, 3), FM_EPROTO);
    CU_ASSERT_EQUAL(n, 99);
    fm_safetensors_free(&s);
    CU_ASSERT_EQUAL_FATAL(
        parse("{" T("a", "F32", "2", 0, 8) "," T("b", "F32", "1", 8, 12) "}", 12, &s), FM_OK);
    CU_ASSERT_EQUAL(fm_safetensors_flat_size(s, &n), FM_OK);
    CU_ASSERT_EQUAL(n, 3);
    CU_ASSERT_EQUAL(fm_safetensors_flat_read(s, out, 2), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_safetensors_flat_read(s, NULL, 3), FM_EINVAL);
    CU_ASSERT_EQUAL(out[0], -1.0f);
    CU_ASSERT_EQUAL(fm_safetensors_flat_read(s, out, 3), FM_OK);
    CU_ASSERT_EQUAL(memcmp(out, "\0\1\2\3\4\5\6\7\10\11\12\13", 12), 0);
    fm_safetensors_free(&s);
}

static void reads_files_that_other_tools_wrote(void)
{
    static const char *const names[] = { "olmoe/model", "deepseek_v3/model", "granitemoe/ref",
                                         "deepseek_v2/adapter" };
    char rel[128], path[1024];

    for (size_t i = 0; i < FM_TEST_COUNT(names); i++) {
        fm_safetensors *s = NULL;
        fm_status st;

        (void)snprintf(rel, sizeof rel, "fixtures/transformers/%s.safetensors", names[i]);
        if (!fm_test_shared(rel, path, sizeof path)) {
            char why[200];

            (void)snprintf(why, sizeof why, "shared/%s is not there", rel);
            fm_test_skip(why);
            continue;
        }
        st = fm_safetensors_load(path, (size_t)1 << 30, &s);
        CU_ASSERT_EQUAL(st, FM_OK);
        if (st != FM_OK) {
            printf("\n    %s\n", fm_error_text());
            continue;
        }
        CU_ASSERT(fm_safetensors_count(s) > 0);
        fm_safetensors_free(&s);
    }
}

static const fm_test tests[] = {
    { "reads tensors in the order of their data", reads_tensors_in_the_order_of_their_data },
    { "data is aligned whatever the header length", data_is_aligned_whatever_the_header_length },
    { "reads metadata", reads_metadata },
    { "a file may hold no tensors", a_file_may_hold_no_tensors },
    { "refuses offsets that do not tile the data", refuses_offsets_that_do_not_tile_the_data },
    { "refuses shapes that do not fit", refuses_shapes_that_do_not_fit },
    { "refuses malformed headers", refuses_malformed_headers },
    { "says when it is another kind of file", says_when_it_is_another_kind_of_file },
    { "refuses lengths that lie", refuses_lengths_that_lie },
    { "every truncation and a trailing byte are refused",
      every_truncation_and_a_trailing_byte_are_refused },
    { "loads files within a limit", loads_files_within_a_limit },
    { "opened files are read in ranges", opened_files_are_read_in_ranges },
    { "flat reading takes only F32", flat_reading_takes_only_f32 },
    { "reads files that other tools wrote", reads_files_that_other_tools_wrote },
};
const fm_test_suite suite_safetensors = { "base.safetensors", tests, FM_TEST_COUNT(tests) };
