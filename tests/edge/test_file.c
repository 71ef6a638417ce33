/* A folder into a file in 8 bits, and back from it: what is there, and what is refused. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/file.h"
#include "folder_fixture.h"
#include "model_internal.h"
#include "suites.h"

static decoder_folder_spec spec_of(size_t i)
{
    const decoder_folder_spec specs[] = {
        { .config = decoder_olmoe, .dtype = "F32" },
        { .config = decoder_granite, .dtype = "BF16", .shards = 2 },
        { .config = decoder_v2, .dtype = "F32", .other = "F16" },
        { .config = decoder_v3, .dtype = "BF16", .names = { "experts.gate_up_proj" } },
    };

    return specs[i];
}
#define SPECS ((size_t)4)

typedef struct {
    char dir[DECODER_PATH], file[DECODER_PATH];
    float *flat;
    size_t parameters;
    fm_edge_facts facts;
} world;

static world make(size_t i)
{
    const decoder_folder_spec spec = spec_of(i);
    char root[DECODER_PATH];
    world w = { 0 };

    fm_test_tmpdir(w.dir, sizeof w.dir);
    fm_test_tmpdir(root, sizeof root);
    decoder_path(root, "model.safetensors", w.file);
    decoder_folder_make(w.dir, &spec, &w.flat, &w.parameters);
    CU_ASSERT_EQUAL_FATAL(fm_edge_write(w.dir, w.file, &w.facts), FM_OK);
    return w;
}

/* Values of the file against those of the folder: half a scale apart at most (the scale itself
 * is rounded, 127 times it by 2^-23), or the same. */
static void same_values(const fm_edge_model *m, const float *flat)
{
    size_t values = 0;

    for (size_t i = 0; i < m->count; i++) {
        const fm_edge_slot *s = &m->slots[i];
        const fm_int8_matrix *q = &s->map.i8;
        const float *want = flat + s->offset;

        values += s->rows * (s->columns ? s->columns : 1);
        if (s->f32) {
            CU_ASSERT_EQUAL(memcmp(s->f32, want, s->rows * (s->columns ? s->columns : 1) * 4), 0);
            continue;
        }
        CU_ASSERT_TRUE_FATAL(q->rows == s->rows && q->columns == s->columns);
        for (size_t k = 0; k < s->rows * s->columns; k++) {
            const double scale = (double)q->scale[k / s->columns];

            CU_ASSERT_TRUE(fabs((double)want[k] - scale * q->q[k]) <= scale * 0.50002);
        }
    }
    CU_ASSERT_EQUAL(values, m->layout.parameters);
}

static void a_file_holds_what_the_folder_held(void)
{
    for (size_t i = 0; i < SPECS; i++) {
        world w = make(i);
        fm_edge_model *m = NULL, *plain = NULL;

        CU_ASSERT_EQUAL_FATAL(fm_edge_model_open(w.file, &m), FM_OK);
        CU_ASSERT_EQUAL_FATAL(fm_edge_model_open(w.dir, &plain), FM_OK);
        CU_ASSERT_TRUE(fm_edge_model_is_int8(m) && !fm_edge_model_is_int8(plain));
        same_values(m, w.flat);
        CU_ASSERT_EQUAL(memcmp(plain->floats, w.flat, w.parameters * sizeof *w.flat), 0);
        CU_ASSERT_EQUAL(memcmp(&m->config, &plain->config, sizeof m->config), 0);
        CU_ASSERT_STRING_EQUAL(fm_edge_model_meta(m, "fedmoe.kind"), FM_EDGE_KIND);
        CU_ASSERT_TRUE(w.facts.worst > 0.3 && w.facts.worst <= 0.50002);
        CU_ASSERT_EQUAL(w.facts.before, w.parameters * sizeof *w.flat);
        fm_edge_model_free(&plain);
        fm_edge_model_free(&m);
        free(w.flat);
    }
}

static void same_map(const fm_edge_map *a, const float *flat, size_t offset)
{
    if (a->rows == 0) {
        CU_ASSERT_EQUAL(offset, FM_DECODER_ABSENT);
        return;
    }
    CU_ASSERT_PTR_EQUAL(a->f32, flat + offset);
}

static void every_tensor_is_in_its_field(void)
{
    for (size_t i = 0; i < SPECS; i++) {
        world w = make(i);
        fm_edge_model *m = NULL;

        CU_ASSERT_EQUAL_FATAL(fm_edge_model_open(w.dir, &m), FM_OK);
        for (size_t l = 0; l < m->config.layers; l++) {
            const fm_edge_layer *a = fm_edge_model_layer(m, l);
            const fm_decoder_layer *b = &m->layout.layer[l];

            same_map(&a->query, m->floats, b->query);
            same_map(&a->key, m->floats, b->key);
            same_map(&a->value, m->floats, b->value);
            same_map(&a->query_a, m->floats, b->query_a);
            same_map(&a->query_b, m->floats, b->query_b);
            same_map(&a->latent, m->floats, b->latent);
            same_map(&a->latent_b, m->floats, b->latent_b);
            same_map(&a->output, m->floats, b->output);
            same_map(&a->gate, m->floats, b->gate);
            same_map(&a->shared_down, m->floats, b->shared_down);
            CU_ASSERT_PTR_EQUAL(a->post_norm, m->floats + b->post_norm);
            if (l < m->config.dense_layers)
                continue;
            CU_ASSERT_PTR_EQUAL(a->router, m->floats + b->router);
            for (size_t e = 0; e < m->config.experts; e++) {
                const fm_edge_expert x = fm_edge_model_expert(m, l, e);

                same_map(&x.gate, m->floats, b->expert_gate + e * b->expert_stride);
                same_map(&x.up, m->floats, b->expert_up + e * b->expert_stride);
                same_map(&x.down, m->floats, b->expert_down + e * b->expert_stride);
            }
        }
        CU_ASSERT_PTR_EQUAL(fm_edge_model_last_norm(m), m->floats + m->layout.norm);
        CU_ASSERT_PTR_EQUAL(fm_edge_model_embedding(m).f32, m->floats + m->layout.embedding);
        CU_ASSERT_PTR_EQUAL(fm_edge_model_head(m).f32, m->floats + m->layout.head);
        fm_edge_model_free(&m);
        free(w.flat);
    }
}

static const fm_test tests[] = {
    { "a file holds what the folder held", a_file_holds_what_the_folder_held },
    { "every tensor is in its field", every_tensor_is_in_its_field },
};
const fm_test_suite suite_file = { "edge.file", tests, FM_TEST_COUNT(tests) };
