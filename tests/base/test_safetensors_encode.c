#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/safetensors.h"
#include "suites.h"

static const uint8_t bytes[64] = { 1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12,
                                   13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24 };

static fm_tensor_view view(const char *name, const char *dtype, size_t n, size_t size)
{
    return (fm_tensor_view){
        .name = name, .dtype = dtype, .dims = 1, .shape = { n }, .data = bytes, .bytes = n * size
    };
}

static void round_trips_tensors_and_metadata(void)
{
    fm_tensor_view t[] = { view("a", "I8", 5, 1), view("w.\"\xc3\xa9", "F32", 6, 4),
                           view("d", "F64", 2, 8), view("empty", "BF16", 0, 2) };
    fm_safetensors_meta meta[] = { { "format", "pt" }, { "note", "line\n\"two\"" } };
    fm_buf b = { 0 };
    fm_safetensors *s = NULL;

    t[1].dims = 2;
    t[1].shape[0] = 2;
    t[1].shape[1] = 3;
    CU_ASSERT_EQUAL_FATAL(fm_safetensors_encode(t, 4, meta, 2, &b), FM_OK);
    CU_ASSERT_EQUAL(fm_get_u64le(b.data) % 8, 0);
    CU_ASSERT_EQUAL_FATAL(fm_safetensors_parse("m", b.data, b.len, &s), FM_OK);
    CU_ASSERT_EQUAL(fm_safetensors_count(s), 4);
    for (size_t i = 0; i < 4; i++) {
        const fm_tensor_view *v = fm_safetensors_find(s, t[i].name);

        CU_ASSERT_PTR_NOT_NULL_FATAL(v);
        CU_ASSERT_STRING_EQUAL(v->dtype, t[i].dtype);
        CU_ASSERT_EQUAL(v->dims, t[i].dims);
        CU_ASSERT_EQUAL(memcmp(v->shape, t[i].shape, t[i].dims * sizeof(size_t)), 0);
        CU_ASSERT_EQUAL(v->bytes, t[i].bytes);
        CU_ASSERT_EQUAL(memcmp(v->data, t[i].data, v->bytes), 0);
    }
    CU_ASSERT_STRING_EQUAL(fm_safetensors_meta_get(s, "format"), "pt");
    CU_ASSERT_STRING_EQUAL(fm_safetensors_meta_get(s, "note"), "line\n\"two\"");
    fm_safetensors_free(&s);
    fm_buf_fini(&b);
}

static void wide_elements_come_first_so_that_each_is_aligned(void)
{
    fm_tensor_view t[] = { view("a", "I8", 5, 1), view("b", "F32", 3, 4), view("c", "F64", 1, 8),
                           view("d", "F32", 1, 4), view("e", "F16", 3, 2) };
    static const char *const order[] = { "c", "b", "d", "e", "a" };
    fm_buf b = { 0 };
    fm_safetensors *s = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_safetensors_encode(t, 5, NULL, 0, &b), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_safetensors_parse("m", b.data, b.len, &s), FM_OK);
    for (size_t i = 0; i < 5; i++)
        CU_ASSERT_STRING_EQUAL(fm_safetensors_at(s, i)->name, order[i]);
    CU_ASSERT_EQUAL((uintptr_t)fm_safetensors_find(s, "b")->data % 4, 0);
    CU_ASSERT_EQUAL((uintptr_t)fm_safetensors_find(s, "e")->data % 2, 0);
    fm_safetensors_free(&s);
    fm_buf_fini(&b);
}

static void writes_the_format_byte_by_byte(void)
{
    static const char header[] =
        "{\"__metadata__\":{\"k\":\"v\"},\"w\":{\"dtype\":\"U8\",\"shape\":[3],"
        "\"data_offsets\":[0,3]}}";
    fm_tensor_view t = view("w", "U8", 3, 1);
    fm_safetensors_meta meta = { "k", "v" };
    fm_buf b = { 0 };
    size_t padded = (sizeof header - 1 + 7) / 8 * 8;

    CU_ASSERT_EQUAL(fm_buf_append(&b, "before", 6), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_safetensors_encode(&t, 1, &meta, 1, &b), FM_OK);
    CU_ASSERT_EQUAL_FATAL(b.len, 6 + 8 + padded + 3);
    CU_ASSERT_EQUAL(memcmp(b.data, "before", 6), 0);
    CU_ASSERT_EQUAL(fm_get_u64le(b.data + 6), padded);
    CU_ASSERT_EQUAL(memcmp(b.data + 14, header, sizeof header - 1), 0);
    for (size_t i = sizeof header - 1; i < padded; i++)
        CU_ASSERT_EQUAL(b.data[14 + i], ' ');
    CU_ASSERT_EQUAL(memcmp(b.data + 14 + padded, "\1\2\3", 3), 0);
    fm_buf_fini(&b);
}

static void assert_refused(fm_tensor_view v, const char *needle)
{
    fm_tensor_view t[2] = { view("ok", "U8", 1, 1), v };
    fm_buf b = { 0 };

    CU_ASSERT_EQUAL(fm_safetensors_encode(t, 2, NULL, 0, &b), FM_EINVAL);
    assert_error_has(needle);
    CU_ASSERT_EQUAL(b.len, 0);
    fm_buf_fini(&b);
}

static void refuses_tensors_that_could_not_be_read_back(void)
{
    fm_tensor_view v = view("w", "F32", 2, 4);

    assert_refused(view(NULL, "U8", 1, 1), "not a name");
    assert_refused(view("", "U8", 1, 1), "not a name");
    assert_refused(view("__metadata__", "U8", 1, 1), "not a name");
    assert_refused(view("ok", "U8", 1, 1), "tensor 'ok': its name is given twice");
    assert_refused(view("\xff", "U8", 1, 1), "not UTF-8");
    assert_refused(view("w", "F31", 1, 1), "dtype is not known");
    assert_refused(view("w", NULL, 1, 1), "dtype is not known");
    v.bytes = 7;
    assert_refused(v, "does not fit its bytes");
    v = view("w", "F32", 2, 4);
    v.data = NULL;
    assert_refused(v, "does not fit its bytes");
    v = view("w", "F32", 2, 4);
    v.dims = FM_SAFETENSORS_MAX_DIMS + 1;
    assert_refused(v, "more than 8 dimensions");
    v = view("w", "F32", 2, 4);
    v.dims = 2;
    v.shape[1] = SIZE_MAX;
    assert_refused(v, "too large");
}

static void refuses_metadata_that_could_not_be_read_back(void)
{
    static const fm_safetensors_meta cases[][2] = {
        { { "a", "1" }, { "a", "2" } },    { { "a", "1" }, { NULL, "2" } },
        { { "a", "1" }, { "b", NULL } },   { { "a", "1" }, { "b", "\xff" } },
        { { "a", "1" }, { "\xff", "b" } },
    };
    fm_buf b = { 0 };

    for (size_t i = 0; i < FM_TEST_COUNT(cases); i++) {
        CU_ASSERT_EQUAL(fm_safetensors_encode(NULL, 0, cases[i], 2, &b), FM_EINVAL);
        assert_error_has("metadata '");
    }
    CU_ASSERT_EQUAL(fm_safetensors_encode(NULL, 1, NULL, 0, &b), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_safetensors_encode(NULL, 0, NULL, 1, &b), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_safetensors_encode(NULL, 0, NULL, 0, NULL), FM_EINVAL);
    CU_ASSERT_EQUAL(b.len, 0);
    CU_ASSERT_EQUAL(fm_safetensors_encode(NULL, 0, NULL, 0, &b), FM_OK);
    CU_ASSERT_EQUAL(memcmp(b.data, "\10\0\0\0\0\0\0\0{}      ", 16), 0);
    fm_buf_fini(&b);
}

static void stops_at_the_limits_of_buffer_and_header(void)
{
    fm_tensor_view t = view("w", "U8", 64, 1);
    char *huge = malloc(FM_SAFETENSORS_MAX_HEADER + 1);
    fm_safetensors_meta meta = { "k", huge };
    fm_buf b;

    CU_ASSERT_PTR_NOT_NULL_FATAL(huge);
    fm_buf_init(&b, 100);
    CU_ASSERT_EQUAL(fm_safetensors_encode(&t, 1, NULL, 0, &b), FM_ENOMEM);
    CU_ASSERT_EQUAL(b.len, 0);
    fm_buf_fini(&b);
    fm_buf_init(&b, 0);
    memset(huge, 'x', FM_SAFETENSORS_MAX_HEADER);
    huge[FM_SAFETENSORS_MAX_HEADER] = '\0';
    CU_ASSERT_EQUAL(fm_safetensors_encode(&t, 1, &meta, 1, &b), FM_EINVAL);
    assert_error_has("longer than the limit");
    CU_ASSERT_EQUAL(b.len, 0);
    fm_buf_fini(&b);
    free(huge);
}

static void flat_values_go_into_the_shapes_of_a_model(void)
{
    fm_tensor_view t[] = { view("b", "F32", 2, 4), view("a", "F32", 3, 4) };
    float flat[5] = { 1.0f, -2.0f, 3.5f, 4.0f, 0.0f }, back[5];
    fm_safetensors_meta meta = { "round", "7" };
    fm_buf b = { 0 }, c = { 0 };
    fm_safetensors *like = NULL, *s = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_safetensors_encode(t, 2, NULL, 0, &b), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_safetensors_parse("like", b.data, b.len, &like), FM_OK);
    CU_ASSERT_EQUAL(fm_safetensors_encode_flat(like, flat, 4, &meta, 1, &c), FM_EINVAL);
    assert_error_has("holds 5 values, not 4");
    CU_ASSERT_EQUAL(fm_safetensors_encode_flat(like, NULL, 5, &meta, 1, &c), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_safetensors_encode_flat(NULL, flat, 5, &meta, 1, &c), FM_EINVAL);
    CU_ASSERT_EQUAL(c.len, 0);
    CU_ASSERT_EQUAL_FATAL(fm_safetensors_encode_flat(like, flat, 5, &meta, 1, &c), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_safetensors_parse("s", c.data, c.len, &s), FM_OK);
    CU_ASSERT_STRING_EQUAL(fm_safetensors_meta_get(s, "round"), "7");
    CU_ASSERT_STRING_EQUAL(fm_safetensors_at(s, 0)->name, "b");
    CU_ASSERT_EQUAL(memcmp(fm_safetensors_find(s, "a")->data, flat + 2, 12), 0);
    CU_ASSERT_EQUAL(fm_safetensors_flat_read(s, back, 5), FM_OK);
    CU_ASSERT_EQUAL(memcmp(back, flat, sizeof flat), 0);
    fm_safetensors_free(&s);
    fm_safetensors_free(&like);
    fm_buf_fini(&b);
    fm_buf_fini(&c);
}

static void flat_values_need_a_model_of_f32(void)
{
    fm_tensor_view t = view("b", "I32", 2, 4);
    float flat[2] = { 0.0f, 0.0f };
    fm_buf b = { 0 }, c = { 0 };
    fm_safetensors *like = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_safetensors_encode(&t, 1, NULL, 0, &b), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_safetensors_parse("like", b.data, b.len, &like), FM_OK);
    CU_ASSERT_EQUAL(fm_safetensors_encode_flat(like, flat, 2, NULL, 0, &c), FM_EPROTO);
    CU_ASSERT_EQUAL(c.len, 0);
    fm_safetensors_free(&like);
    fm_buf_fini(&b);
}

/* Large ones are written from where they lie, and never are in memory as a whole. */
static void a_file_holds_what_encode_gives(void)
{
    fm_tensor_view t[] = { view("a", "I8", 5, 1), view("b", "F32", 3, 4), view("e", "F64", 0, 8) };
    fm_safetensors_meta meta = { "format", "pt" };
    char dir[256];
    char *path = NULL;
    fm_buf b = { 0 }, file = { 0 };

    fm_test_tmpdir(dir, sizeof dir);
    CU_ASSERT_EQUAL_FATAL(fm_path_join(dir, "m.safetensors", &path), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_safetensors_encode(t, 3, &meta, 1, &b), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_safetensors_replace(path, 0600, t, 3, &meta, 1), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_file_read(path, 4096, &file), FM_OK);
    CU_ASSERT_EQUAL_FATAL(file.len, b.len);
    CU_ASSERT_EQUAL(memcmp(file.data, b.data, b.len), 0);
    t[1].bytes = 7; /* what cannot be written leaves what is there */
    CU_ASSERT_EQUAL(fm_safetensors_replace(path, 0600, t, 3, &meta, 1), FM_EINVAL);
    assert_error_has("does not fit its bytes");
    fm_buf_fini(&file);
    CU_ASSERT_EQUAL_FATAL(fm_file_read(path, 4096, &file), FM_OK);
    CU_ASSERT_EQUAL(file.len, b.len);
    fm_buf_fini(&file);
    fm_buf_fini(&b);
    free(path);
}

static void what_is_forgotten_keeps_its_shapes_and_cannot_be_read(void)
{
    fm_tensor_view t[] = { view("b", "F32", 2, 4), view("a", "F32", 3, 4) };
    fm_safetensors_meta meta = { "round", "7" };
    fm_buf b = { 0 }, c = { 0 };
    fm_safetensors *s = NULL;
    const float *values = NULL;
    float flat[5] = { 1.0f, -2.0f, 3.5f, 4.0f, 0.0f }, back[5] = { 0 };
    size_t elements = 0;

    CU_ASSERT_EQUAL_FATAL(fm_safetensors_encode(t, 2, &meta, 1, &b), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_safetensors_parse("s", b.data, b.len, &s), FM_OK);
    CU_ASSERT_EQUAL(fm_safetensors_flat_view(s, &values, &elements), FM_OK);
    CU_ASSERT(elements == 5 && values != NULL);
    fm_safetensors_forget(s);
    fm_safetensors_forget(s);
    values = NULL;
    CU_ASSERT_EQUAL(fm_safetensors_flat_view(s, &values, &elements), FM_ESTATE);
    CU_ASSERT_PTR_NULL(values);
    CU_ASSERT_EQUAL(fm_safetensors_flat_read(s, back, 5), FM_ESTATE);
    for (size_t i = 0; i < fm_safetensors_count(s); i++)
        CU_ASSERT_PTR_NULL(fm_safetensors_at(s, i)->data);
    CU_ASSERT_EQUAL(fm_safetensors_find(s, "a")->shape[0], 3);
    CU_ASSERT_STRING_EQUAL(fm_safetensors_meta_get(s, "round"), "7");
    CU_ASSERT_EQUAL(fm_safetensors_flat_size(s, &elements), FM_OK);
    CU_ASSERT_EQUAL(elements, 5);
    CU_ASSERT_EQUAL(fm_safetensors_encode_flat(s, flat, 5, NULL, 0, &c), FM_OK); /* as a pattern */
    fm_safetensors_free(&s);
    fm_buf_fini(&b);
    fm_buf_fini(&c);
}

static void a_head_and_the_values_after_it_are_a_file_that_can_be_mapped(void)
{
    fm_tensor_view t[] = { view("b", "F32", 3, 4), view("d", "F32", 1, 4), view("a", "I8", 5, 1) };
    const fm_safetensors_meta meta = { "note", "x" };
    char dir[256], path[300];
    fm_safetensors *s = NULL;
    fm_buf b = { 0 };

    for (size_t i = 0; i < 3; i++)
        t[i].data = NULL; /* they are not looked at */
    CU_ASSERT_EQUAL_FATAL(fm_safetensors_encode_head(t, 3, &meta, 1, &b), FM_OK);
    CU_ASSERT_EQUAL(b.len % 64, 0);
    for (size_t i = 0; i < 3; i++)
        CU_ASSERT_EQUAL_FATAL(fm_buf_append(&b, bytes + i, t[i].bytes), FM_OK);
    fm_test_tmpdir(dir, sizeof dir);
    (void)snprintf(path, sizeof path, "%s/file", dir);
    CU_ASSERT_EQUAL(fm_safetensors_map(path, &s), FM_ENOTFOUND);
    CU_ASSERT_EQUAL_FATAL(fm_file_create(path, b.data, b.len, 0644), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_safetensors_map(path, &s), FM_OK);
    for (size_t i = 0; i < 3; i++) {
        const fm_tensor_view *v = fm_safetensors_at(s, i);
        uint8_t back[16];

        CU_ASSERT_STRING_EQUAL(v->name, t[i].name);
        CU_ASSERT_EQUAL(memcmp(v->data, bytes + i, v->bytes), 0);
        CU_ASSERT_EQUAL(fm_safetensors_read(s, v, 0, v->bytes, back), FM_OK);
        CU_ASSERT_EQUAL(memcmp(back, bytes + i, v->bytes), 0);
    }
    CU_ASSERT_STRING_EQUAL(fm_safetensors_meta_get(s, "note"), "x");
    fm_safetensors_free(&s);
    CU_ASSERT_EQUAL_FATAL(fm_file_replace(path, b.data, b.len - 1, 0644), FM_OK);
    CU_ASSERT_EQUAL(fm_safetensors_map(path, &s), FM_EPROTO);
    t[2] = view("wide", "F64", 1, 8);
    CU_ASSERT_EQUAL(fm_safetensors_encode_head(t, 3, NULL, 0, &b), FM_EINVAL);
    fm_buf_fini(&b);
}

static const fm_test tests[] = {
    { "round trips tensors and metadata", round_trips_tensors_and_metadata },
    { "wide elements come first so that each is aligned",
      wide_elements_come_first_so_that_each_is_aligned },
    { "writes the format byte by byte", writes_the_format_byte_by_byte },
    { "refuses tensors that could not be read back", refuses_tensors_that_could_not_be_read_back },
    { "refuses metadata that could not be read back",
      refuses_metadata_that_could_not_be_read_back },
    { "stops at the limits of buffer and header", stops_at_the_limits_of_buffer_and_header },
    { "flat values go into the shapes of a model", flat_values_go_into_the_shapes_of_a_model },
    { "flat values need a model of F32", flat_values_need_a_model_of_f32 },
    { "a file holds what encode gives", a_file_holds_what_encode_gives },
    { "a head, and the values after it, are a file that can be mapped",
      a_head_and_the_values_after_it_are_a_file_that_can_be_mapped },
    { "what is forgotten keeps its shapes and cannot be read",
      what_is_forgotten_keeps_its_shapes_and_cannot_be_read },
};
const fm_test_suite suite_safetensors_encode = { "base.safetensors_encode", tests,
                                                 FM_TEST_COUNT(tests) };
