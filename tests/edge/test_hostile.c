/* Files in 8 bits of strangers: cut short, changed, or made to be believed. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edge_fixture.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/random.h"
#include "folder_fixture.h"
#include "model_internal.h"
#include "suites.h"

#define MAP "model.layers.1.mlp.experts.2.up_proj.weight"
#define MOST 400

typedef struct {
    char dir[DECODER_PATH], file[DECODER_PATH];
    fm_buf bytes; /* of a good file */
} world;

static world make(void)
{
    const decoder_folder_spec spec = { .config = decoder_v3, .dtype = "F32" };
    world w = { 0 };

    edge_int8_make(&spec, w.dir, w.file);
    CU_ASSERT_EQUAL_FATAL(fm_file_read(w.file, (size_t)1 << 24, &w.bytes), FM_OK);
    return w;
}

/* Not synced, as fm_file_replace does: it is done thousands of times. */
static void put(const world *w, const void *data, size_t len)
{
    FILE *f = fopen(w->file, "wb");

    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    CU_ASSERT_EQUAL(fwrite(data, 1, len, f), len);
    CU_ASSERT_EQUAL(fclose(f), 0);
}

/* Reads all that a model points at. */
static double look(const fm_edge_model *m)
{
    double sum = 0.0;

    for (size_t i = 0; i < m->count; i++) {
        const fm_edge_slot *s = &m->slots[i];

        for (size_t k = 0; s->f32 && k < s->rows * (s->columns ? s->columns : 1); k++)
            sum += (double)s->f32[k];
        for (size_t k = 0; s->map.i8.q && k < s->rows * s->columns; k++)
            sum += (double)s->map.i8.scale[k / s->columns] * s->map.i8.q[k];
    }
    return sum;
}

static void every_shorter_file_is_refused(void)
{
    world w = make();

    for (size_t len = 0; len < w.bytes.len; len += len < 64 ? 1 : 211) {
        fm_edge_model *m = NULL;

        put(&w, w.bytes.data, len);
        CU_ASSERT_EQUAL(fm_edge_model_open(w.file, &m), FM_EPROTO);
        CU_ASSERT_PTR_NULL(m);
    }
    fm_buf_fini(&w.bytes);
}

static void changed_bits_do_no_harm(void)
{
    world w = make();
    const size_t head = 8 + (size_t)fm_get_u64le(w.bytes.data);
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 81);
    size_t opened = 0;

    for (size_t i = 0; i < 900; i++) {
        const size_t end = i % 2 ? w.bytes.len : head;
        const size_t at = (size_t)fm_rng_below(&rng, end);
        const uint8_t bit = (uint8_t)(1u << fm_rng_below(&rng, 8));
        fm_edge_model *m = NULL;

        w.bytes.data[at] ^= bit;
        put(&w, w.bytes.data, w.bytes.len);
        if (fm_edge_model_open(w.file, &m) == FM_OK) {
            opened++;
            CU_ASSERT_TRUE(isfinite(look(m)));
        }
        fm_edge_model_free(&m);
        w.bytes.data[at] ^= bit;
    }
    CU_ASSERT_TRUE(opened > 0 && opened < 900);
    fm_buf_fini(&w.bytes);
}

typedef struct {
    fm_tensor_view views[MOST];
    size_t count;
    fm_safetensors_meta meta[4];
    size_t meta_count;
} parts;

static fm_tensor_view *part(parts *p, const char *name)
{
    for (size_t i = 0; i < p->count; i++)
        if (strcmp(p->views[i].name, name) == 0)
            return &p->views[i];
    CU_FAIL_FATAL("no such tensor");
    return NULL;
}

static void leave_out(parts *p, const char *name)
{
    fm_tensor_view *v = part(p, name);

    *v = p->views[--p->count];
}

static float g_scale[64];
static const uint8_t g_byte[1] = { '{' };

static void no_scale(parts *p)
{
    leave_out(p, MAP "_scale");
}
static void no_map(parts *p)
{
    leave_out(p, MAP);
}
static void no_configuration(parts *p)
{
    leave_out(p, "config.json");
}
static void another_configuration(parts *p)
{
    fm_tensor_view *v = part(p, "config.json");

    v->data = g_byte;
    v->bytes = v->shape[0] = 1;
}
static void float_map(parts *p)
{
    fm_tensor_view *v = part(p, MAP);

    v->dtype = "U8";
}
static void turned_map(parts *p)
{
    fm_tensor_view *v = part(p, MAP);
    const size_t rows = v->shape[0];

    v->shape[0] = v->shape[1];
    v->shape[1] = rows;
}
static void flat_map(parts *p)
{
    fm_tensor_view *v = part(p, MAP);

    v->dims = 1;
    v->shape[0] *= v->shape[1];
}
static void with_scale(parts *p, float v)
{
    fm_tensor_view *s = part(p, MAP "_scale");

    memcpy(g_scale, s->data, s->bytes);
    g_scale[3] = v;
    s->data = (const uint8_t *)g_scale;
}
static void negative_scale(parts *p)
{
    with_scale(p, -1e-3f);
}
static void no_number(parts *p)
{
    with_scale(p, NAN);
}
static void endless(parts *p)
{
    with_scale(p, INFINITY);
}
static void one_more(parts *p)
{
    p->views[p->count++] = (fm_tensor_view){
        .name = "more", .dtype = "U8", .dims = 1, .shape = { 1 }, .data = g_byte, .bytes = 1
    };
}
static void another_kind(parts *p)
{
    for (size_t i = 0; i < p->meta_count; i++)
        if (strcmp(p->meta[i].key, "fedmoe.kind") == 0)
            p->meta[i].value = "tabular-moe";
}
static void bad_tokenizer(parts *p)
{
    one_more(p);
    p->views[p->count - 1].name = "tokenizer.json";
}

static const struct {
    void (*spoil)(parts *p);
    fm_status st;
    const char *text;
} lies[] = {
    { no_scale, FM_EPROTO, MAP "_scale' is missing" },
    { no_map, FM_EPROTO, MAP "' is missing" },
    { no_configuration, FM_EPROTO, "config.json' is missing" },
    { another_configuration, FM_EPARSE, "" },
    { float_map, FM_EPROTO, MAP "' is U8, not I8" },
    { turned_map, FM_EPROTO, MAP "' has not the shape [6, 16]" },
    { flat_map, FM_EPROTO, MAP "' has not the shape" },
    { negative_scale, FM_EPROTO, "a scale below 0" },
    { no_number, FM_ENONFINITE, MAP "_scale" },
    { endless, FM_ENONFINITE, MAP "_scale" },
    { one_more, FM_EPROTO, "1 of its tensors have no place" },
    { another_kind, FM_EPROTO, "no decoder in 8 bits" },
    { bad_tokenizer, FM_EPARSE, "" },
};

static void what_does_not_fit_the_configuration_is_refused(void)
{
    world w = make();
    fm_safetensors *f = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_safetensors_parse("f", w.bytes.data, w.bytes.len, &f), FM_OK);
    for (size_t i = 0; i < FM_TEST_COUNT(lies); i++) {
        parts p = { .count = fm_safetensors_count(f), .meta_count = fm_safetensors_meta_count(f) };
        fm_edge_model *m = NULL;
        fm_buf out = { 0 };

        for (size_t k = 0; k < p.count; k++)
            p.views[k] = *fm_safetensors_at(f, k);
        for (size_t k = 0; k < p.meta_count; k++)
            p.meta[k] = fm_safetensors_meta_at(f, k);
        lies[i].spoil(&p);
        CU_ASSERT_EQUAL_FATAL(fm_safetensors_encode(p.views, p.count, p.meta, p.meta_count, &out),
                              FM_OK);
        put(&w, out.data, out.len);
        CU_ASSERT_EQUAL(fm_edge_model_open(w.file, &m), lies[i].st);
        decoder_error_has(lies[i].text);
        fm_edge_model_free(&m);
        fm_buf_fini(&out);
    }
    fm_safetensors_free(&f);
    fm_buf_fini(&w.bytes);
}

static void nothing_is_left_of_a_file_that_cannot_be_written(void)
{
    const decoder_folder_spec spec = { .config = decoder_v3,
                                       .dtype = "F32",
                                       .spoilt = "model.layers.1.mlp.experts.3.down_proj.weight",
                                       .spoil = NAN };
    char dir[DECODER_PATH], out[DECODER_PATH];
    float *flat;
    size_t n;

    fm_test_tmpdir(dir, sizeof dir);
    decoder_path(dir, "out.safetensors", out);
    decoder_folder_make(dir, &spec, &flat, &n);
    CU_ASSERT_EQUAL(fm_edge_write(dir, out, NULL), FM_ENONFINITE);
    decoder_error_has(spec.spoilt);
    CU_ASSERT_FALSE(fm_file_exists(out));
    decoder_put(dir, "out.safetensors", "before");
    CU_ASSERT_EQUAL(fm_edge_write(dir, out, NULL), FM_EEXIST);
    CU_ASSERT_EQUAL(fm_edge_write("/nowhere", out, NULL), FM_ENOTFOUND);
    free(flat);
}

static const fm_test tests[] = {
    { "every shorter file is refused", every_shorter_file_is_refused },
    { "changed bits do no harm", changed_bits_do_no_harm },
    { "what does not fit the configuration is refused",
      what_does_not_fit_the_configuration_is_refused },
    { "nothing is left of a file that cannot be written",
      nothing_is_left_of_a_file_that_cannot_be_written },
};
const fm_test_suite suite_hostile = { "edge.hostile", tests, FM_TEST_COUNT(tests) };
