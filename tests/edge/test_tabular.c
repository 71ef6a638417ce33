/* A model of records in 8 bits: read as any other, with the values that the file says. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/file.h"
#include "fedmoe/edge/file.h"
#include "fedmoe/model/tabular.h"
#include "folder_fixture.h"
#include "suites.h"

#define SCHEMA                                                        \
    "name: t\ncolumns:\n"                                             \
    "  - {name: x, kind: numeric, range: [0, 8], knots: [1, 2, 3]}\n" \
    "  - {name: y, kind: label, negative: [0], positive: [1]}\n"

typedef struct {
    char dir[DECODER_PATH], plain[DECODER_PATH], small[DECODER_PATH];
    fm_schema *schema;
    fm_tabular *m;
    float *flat;
    size_t n;
    fm_edge_facts facts;
} world;

static world make(void)
{
    world w = { 0 };
    fm_tabular_config c;
    fm_safetensors_meta extra = { "fedmoe.round", "17" };
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 7);
    fm_buf file = { 0 };

    fm_test_tmpdir(w.dir, sizeof w.dir);
    decoder_path(w.dir, "plain", w.plain);
    decoder_path(w.dir, "small", w.small);
    CU_ASSERT_EQUAL_FATAL(fm_schema_parse("s", SCHEMA, strlen(SCHEMA), &w.schema), FM_OK);
    fm_tabular_config_default(w.schema, &c);
    CU_ASSERT_EQUAL_FATAL(fm_tabular_parameters(&c, &w.n), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_tabular_new(&c, 4, &w.m), FM_OK);
    w.flat = malloc(w.n * sizeof *w.flat);
    CU_ASSERT_PTR_NOT_NULL_FATAL(w.flat);
    for (size_t i = 0; i < w.n; i++)
        w.flat[i] = 0.3f * (float)fm_rng_normal(&rng);
    CU_ASSERT_EQUAL_FATAL(fm_tabular_set(w.m, w.flat, w.n), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_tabular_encode(w.m, w.schema, &extra, 1, &file), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_file_replace(w.plain, file.data, file.len, 0644), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_edge_write_tabular(w.plain, 0600, w.small, &w.facts), FM_OK);
    fm_buf_fini(&file);
    return w;
}

static void drop(world *w)
{
    free(w->flat);
    fm_tabular_free(&w->m);
    fm_schema_free(&w->schema);
}

static void a_model_of_records_is_read_from_8_bits(void)
{
    world w = make();
    fm_schema *s = NULL;
    fm_tabular *m = NULL;
    fm_safetensors *f = NULL;
    float *back = malloc(w.n * sizeof *back);

    CU_ASSERT_EQUAL_FATAL(fm_tabular_load(w.small, 4, &s, &m), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_safetensors_load(w.small, 1 << 20, &f), FM_OK);
    CU_ASSERT_STRING_EQUAL(fm_safetensors_meta_get(f, "fedmoe.round"), "17");
    fm_tabular_get(m, back);
    for (size_t i = 0; i < fm_tabular_tensors(m); i++) {
        const fm_tabular_tensor_info t = fm_tabular_tensor(m, i);
        const bool map = t.dims == 2 && !strstr(t.name, "router");
        char name[128];
        const fm_tensor_view *scale;

        (void)snprintf(name, sizeof name, "%s_scale", t.name);
        scale = fm_safetensors_find(f, name);
        CU_ASSERT_EQUAL(scale != NULL, map);
        for (size_t k = 0; k < t.elements; k++) {
            const float by = map ? ((const float *)(const void *)scale->data)[k / t.shape[1]] : 0;

            CU_ASSERT_TRUE(fabsf(back[t.offset + k] - w.flat[t.offset + k]) <= by * 0.50002f);
        }
    }
    CU_ASSERT_TRUE(w.facts.weights < w.facts.before / 2);
    CU_ASSERT_EQUAL(fm_edge_write_tabular(w.small, 0644, w.plain, NULL), FM_EINVAL);
    decoder_error_has("8 bits already");
    free(back);
    fm_safetensors_free(&f);
    fm_tabular_free(&m);
    fm_schema_free(&s);
    drop(&w);
}

/* `value` in place of the first scale; name of a tensor's dtype in place of its own. */
static void load_with(const world *w, float value, const char *dtype, fm_status want)
{
    static float scale[4096];
    fm_safetensors *f = NULL;
    fm_tensor_view views[64];
    fm_safetensors_meta meta[8];
    fm_schema *s = NULL;
    fm_tabular *m = NULL;
    fm_buf out = { 0 };

    CU_ASSERT_EQUAL_FATAL(fm_safetensors_load(w->small, 1 << 20, &f), FM_OK);
    for (size_t i = 0; i < fm_safetensors_count(f); i++) {
        views[i] = *fm_safetensors_at(f, i);
        if (strcmp(views[i].name, "embed.weight_scale") == 0) {
            memcpy(scale, views[i].data, views[i].bytes);
            scale[0] = value;
            views[i].data = (const uint8_t *)scale;
        }
        if (strcmp(views[i].name, "embed.weight") == 0)
            views[i].dtype = dtype;
    }
    for (size_t i = 0; i < fm_safetensors_meta_count(f); i++)
        meta[i] = fm_safetensors_meta_at(f, i);
    CU_ASSERT_EQUAL_FATAL(fm_safetensors_encode(views, fm_safetensors_count(f), meta,
                                                fm_safetensors_meta_count(f), &out),
                          FM_OK);
    CU_ASSERT_EQUAL(fm_tabular_decode("f", out.data, out.len, 1, &s, &m), want);
    fm_tabular_free(&m);
    fm_schema_free(&s);
    fm_buf_fini(&out);
    fm_safetensors_free(&f);
}

static void scales_that_are_none_are_refused(void)
{
    world w = make();

    load_with(&w, 0.5f, "I8", FM_OK);
    load_with(&w, -0.5f, "I8", FM_EPROTO);
    load_with(&w, NAN, "I8", FM_EPROTO);
    load_with(&w, INFINITY, "I8", FM_EPROTO);
    load_with(&w, 0.5f, "U8", FM_EPROTO);
    load_with(&w, 3e38f, "I8", FM_ENONFINITE); /* times 127 */
    drop(&w);
}

static const fm_test tests[] = {
    { "a model of records is read from 8 bits", a_model_of_records_is_read_from_8_bits },
    { "scales that are none are refused", scales_that_are_none_are_refused },
};
const fm_test_suite suite_tabular = { "edge.tabular", tests, FM_TEST_COUNT(tests) };
