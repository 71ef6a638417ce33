#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/file.h"
#include "fm_test.h"
#include "model_fixture.h"
#include "suites.h"

#define SCHEMA                                                        \
    "name: t\ncolumns:\n"                                             \
    "  - {name: x, kind: numeric, range: [0, 8], knots: [1, 2, 3]}\n" \
    "  - {name: y, kind: label, negative: [0], positive: [1]}\n"
#define FEATURES 5

typedef struct {
    fixture f;
    fm_schema *schema;
    fm_buf file;
} model_file;

static model_file make(void)
{
    model_file m = { 0 };
    fm_tabular_config c = fixture_configs[3].config;
    const fm_safetensors_meta extra = { "fedmoe.round", "17" };

    c.features = FEATURES;
    m.f = fixture_make(&c, 20, 3);
    CU_ASSERT_EQUAL_FATAL(fm_schema_parse("s", SCHEMA, strlen(SCHEMA), &m.schema), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_tabular_encode(m.f.model, m.schema, &extra, 1, &m.file), FM_OK);
    return m;
}

static void finish(model_file *m)
{
    fixture_free(&m->f);
    fm_schema_free(&m->schema);
    fm_buf_fini(&m->file);
}

static void a_model_comes_back_from_its_file(void)
{
    model_file m = make();
    char dir[256], path[300];
    fm_schema *s = NULL;
    fm_tabular *back = NULL;
    float want[20], got[20];

    fm_test_tmpdir(dir, sizeof dir);
    (void)snprintf(path, sizeof path, "%s/m.safetensors", dir);
    CU_ASSERT_EQUAL(fm_tabular_load(path, 3, &s, &back), FM_ENOTFOUND);
    CU_ASSERT_EQUAL_FATAL(fm_file_create(path, m.file.data, m.file.len, 0644), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_tabular_load(path, 3, &s, &back), FM_OK);
    CU_ASSERT_STRING_EQUAL(fm_schema_text(s), SCHEMA);
    CU_ASSERT_EQUAL(fm_tabular_get_config(back)->experts, m.f.config.experts);
    CU_ASSERT_EQUAL(fm_tabular_predict(m.f.model, m.f.x, 20, want), FM_OK);
    CU_ASSERT_EQUAL(fm_tabular_predict(back, m.f.x, 20, got), FM_OK);
    CU_ASSERT_EQUAL(memcmp(want, got, sizeof want), 0);
    fm_tabular_free(&back);
    fm_schema_free(&s);
    finish(&m);
}

static void a_center_comes_back_too(void)
{
    fm_tabular_config c = fixture_configs[fixture_config_count - 1].config;
    fm_schema *s = NULL, *again = NULL;
    fm_tabular *back = NULL;
    float want[20], got[20];
    fm_buf file = { 0 };
    fixture f;

    CU_ASSERT_TRUE(c.center);
    c.features = FEATURES;
    f = fixture_make(&c, 20, 3);
    CU_ASSERT_EQUAL_FATAL(fm_schema_parse("s", SCHEMA, strlen(SCHEMA), &s), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_tabular_encode(f.model, s, NULL, 0, &file), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_tabular_decode("m", file.data, file.len, 20, &again, &back), FM_OK);
    CU_ASSERT_TRUE(fm_tabular_get_config(back)->center);
    CU_ASSERT_EQUAL(fm_tabular_predict(f.model, f.x, 20, want), FM_OK);
    CU_ASSERT_EQUAL(fm_tabular_predict(back, f.x, 20, got), FM_OK);
    CU_ASSERT_EQUAL(memcmp(want, got, sizeof want), 0);
    /* It matters, and must be a number. */
    f.theta[f.parameters - 1] += 1.0f;
    CU_ASSERT_EQUAL(fm_tabular_set(f.model, f.theta, f.parameters), FM_OK);
    CU_ASSERT_EQUAL(fm_tabular_predict(f.model, f.x, 20, got), FM_OK);
    CU_ASSERT_NOT_EQUAL(memcmp(want, got, sizeof want), 0);
    f.theta[f.parameters - 1] = NAN;
    CU_ASSERT_EQUAL(fm_tabular_set(f.model, f.theta, f.parameters), FM_ENONFINITE);
    fm_tabular_free(&back);
    fm_schema_free(&again);
    fm_schema_free(&s);
    fm_buf_fini(&file);
    fixture_free(&f);
}

/* A file from before there were centers: its configuration says nothing of one. */
static void a_file_without_the_key_has_no_center(void)
{
    static const char key[] = "center: false";
    model_file m = make();
    fm_schema *s = NULL;
    fm_tabular *back = NULL;
    uint8_t *at = memmem(m.file.data, m.file.len, key, strlen(key));

    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    memset(at, ' ', strlen(key)); /* an empty line of YAML */
    CU_ASSERT_EQUAL_FATAL(fm_tabular_decode("m", m.file.data, m.file.len, 20, &s, &back), FM_OK);
    CU_ASSERT_FALSE(fm_tabular_get_config(back)->center);
    fm_tabular_free(&back);
    fm_schema_free(&s);
    finish(&m);
}

static void a_clip_norm_comes_back_too(void)
{
    model_file m = make();
    fm_tabular *back = NULL;
    fm_schema *s = NULL;
    fm_buf file = { 0 };
    float want[20], got[20];

    CU_ASSERT_EQUAL(fm_tabular_set_clip_norm(m.f.model, 0.1 + 0.2), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_tabular_encode(m.f.model, m.schema, NULL, 0, &file), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_tabular_decode("m", file.data, file.len, 20, &s, &back), FM_OK);
    CU_ASSERT_DOUBLE_EQUAL(fm_tabular_clip_norm(back), 0.3, 1e-9);
    CU_ASSERT_EQUAL(fm_tabular_predict(m.f.model, m.f.x, 20, want), FM_OK);
    CU_ASSERT_EQUAL(fm_tabular_predict(back, m.f.x, 20, got), FM_OK);
    for (size_t i = 0; i < 20; i++)
        CU_ASSERT_DOUBLE_EQUAL(want[i], got[i], 1e-6 * (1.0 + fabs((double)want[i])));
    fm_tabular_free(&back);
    fm_schema_free(&s);
    fm_buf_fini(&file);
    finish(&m);
}

static void extra_metadata_is_kept(void)
{
    model_file m = make();
    fm_safetensors *f = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_safetensors_parse("m", m.file.data, m.file.len, &f), FM_OK);
    CU_ASSERT_STRING_EQUAL(fm_safetensors_meta_get(f, "fedmoe.round"), "17");
    CU_ASSERT_STRING_EQUAL(fm_safetensors_meta_get(f, FM_META_KIND), "tabular-moe");
    CU_ASSERT_STRING_EQUAL(fm_safetensors_meta_get(f, FM_META_SCHEMA), SCHEMA);
    fm_safetensors_free(&f);
    finish(&m);
}

/* The aggregator knows models as one flat vector in the order of the file. */
static void the_file_holds_the_flat_vector_in_order(void)
{
    model_file m = make();
    fm_safetensors *f = NULL;
    float *flat = calloc(m.f.parameters, sizeof *flat);
    size_t n = 0;

    CU_ASSERT_EQUAL_FATAL(fm_safetensors_parse("m", m.file.data, m.file.len, &f), FM_OK);
    CU_ASSERT_EQUAL(fm_safetensors_flat_size(f, &n), FM_OK);
    CU_ASSERT_EQUAL_FATAL(n, m.f.parameters);
    CU_ASSERT_EQUAL(fm_safetensors_flat_read(f, flat, n), FM_OK);
    CU_ASSERT_EQUAL(memcmp(flat, m.f.theta, n * sizeof *flat), 0);
    fm_safetensors_free(&f);
    free(flat);
    finish(&m);
}

static fm_status decode(const fm_buf *file)
{
    fm_schema *s = NULL;
    fm_tabular *back = NULL;
    const fm_status st = fm_tabular_decode("m.st", file->data, file->len, 2, &s, &back);

    CU_ASSERT_EQUAL(st == FM_OK, back != NULL);
    CU_ASSERT_EQUAL(st == FM_OK, s != NULL);
    fm_tabular_free(&back);
    fm_schema_free(&s);
    return st;
}

static void every_truncation_and_every_changed_header_byte_is_survived(void)
{
    model_file m = make();
    const size_t header = (size_t)fm_get_u64le(m.file.data) + 8;

    for (size_t len = 0; len < m.file.len; len += len < header ? 7 : 997) {
        const fm_buf cut = { .data = m.file.data, .len = len };

        CU_ASSERT_NOT_EQUAL(decode(&cut), FM_OK);
    }
    for (size_t i = 0; i < header; i += 3) {
        m.file.data[i] ^= 0x15;
        (void)decode(&m.file); /* a changed digit may still be a model; nothing may crash */
        m.file.data[i] ^= 0x15;
    }
    CU_ASSERT_EQUAL(decode(&m.file), FM_OK);
    CU_ASSERT_EQUAL(fm_buf_append(&m.file, "x", 1), FM_OK);
    CU_ASSERT_NOT_EQUAL(decode(&m.file), FM_OK);
    finish(&m);
}

/* A file with the tensors of `m` and other metadata. */
static void refuse(const model_file *m, const fm_safetensors_meta *meta, size_t n, fm_status want,
                   const char *says)
{
    fm_safetensors *f = NULL;
    fm_buf file = { 0 };

    CU_ASSERT_EQUAL_FATAL(fm_safetensors_parse("m", m->file.data, m->file.len, &f), FM_OK);
    CU_ASSERT_EQUAL_FATAL(
        fm_safetensors_encode_flat(f, m->f.theta, m->f.parameters, meta, n, &file), FM_OK);
    CU_ASSERT_EQUAL(decode(&file), want);
    if (!strstr(fm_error_text(), says))
        printf("    said: %s\n", fm_error_text());
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), says));
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "m.st"));
    fm_safetensors_free(&f);
    fm_buf_fini(&file);
}

static void wrong_metadata_is_named(void)
{
    model_file m = make();
    fm_safetensors_meta meta[] = { { FM_META_KIND, "tabular-moe" },
                                   { FM_META_SCHEMA, SCHEMA },
                                   { FM_META_MODEL, "width: 3" } };

    refuse(&m, NULL, 0, FM_EPROTO, "this is not a fedmoe model");
    refuse(&m, meta, 1, FM_EPROTO, FM_META_SCHEMA);
    refuse(&m, meta, 2, FM_EPROTO, FM_META_MODEL);
    refuse(&m, meta, 3, FM_EPROTO, "weights where its configuration needs");
    meta[2].value = "width: x";
    refuse(&m, meta, 3, FM_EPARSE, "its configuration:1:8");
    meta[1].value = "name: 3";
    refuse(&m, meta, 3, FM_EPARSE, "its schema:1:1");
    meta[0].value = "moe-decoder";
    refuse(&m, meta, 3, FM_EPROTO, "is not a tabular-moe, one of records, but a 'moe-decoder'");
    finish(&m);
}

static void weights_that_are_no_numbers_are_refused(void)
{
    model_file m = make();

    memset(m.file.data + m.file.len - 4, 0xff, 4); /* a NaN */
    CU_ASSERT_EQUAL(decode(&m.file), FM_ENONFINITE);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "m.st"));
    finish(&m);
}

static void a_schema_of_other_features_is_refused(void)
{
    static const char other[] = "name: t\ncolumns:\n  - {name: x, kind: numeric, range: [0, 8]}\n";
    model_file m = make();
    fm_schema *s = NULL;
    fm_buf out = { 0 };

    CU_ASSERT_EQUAL_FATAL(fm_schema_parse("s", other, strlen(other), &s), FM_OK);
    CU_ASSERT_EQUAL(fm_tabular_encode(m.f.model, s, NULL, 0, &out), FM_EINVAL);
    CU_ASSERT_EQUAL(out.len, 0);
    fm_schema_free(&s);
    finish(&m);
}

static const fm_test tests[] = {
    { "a model comes back from its file", a_model_comes_back_from_its_file },
    { "a center comes back too", a_center_comes_back_too },
    { "a file without the key has no center", a_file_without_the_key_has_no_center },
    { "a clip norm comes back too", a_clip_norm_comes_back_too },
    { "extra metadata is kept", extra_metadata_is_kept },
    { "the file holds the flat vector in order", the_file_holds_the_flat_vector_in_order },
    { "every truncation and every changed header byte is survived",
      every_truncation_and_every_changed_header_byte_is_survived },
    { "wrong metadata is named", wrong_metadata_is_named },
    { "weights that are no numbers are refused", weights_that_are_no_numbers_are_refused },
    { "a schema of other features is refused", a_schema_of_other_features_is_refused },
};
const fm_test_suite suite_file = { "model.file", tests, FM_TEST_COUNT(tests) };
