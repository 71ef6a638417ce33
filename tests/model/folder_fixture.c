#include "folder_fixture.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fedmoe/base/file.h"
#include "fedmoe/base/json.h"
#include "fedmoe/base/log.h"
#include "fedmoe/base/random.h"

#define COMMON                                                                              \
    "\"vocab_size\":24,\"hidden_size\":16,\"num_hidden_layers\":2,\"hidden_act\":\"silu\"," \
    "\"num_attention_heads\":4,\"max_position_embeddings\":64"

const char *const decoder_olmoe =
    "{\"architectures\":[\"OlmoeForCausalLM\"],\"model_type\":\"olmoe\"," COMMON
    ",\"num_key_value_heads\":2,\"intermediate_size\":6,\"num_experts\":4,"
    "\"num_experts_per_tok\":2}";
const char *const decoder_granite =
    "{\"architectures\":[\"GraniteMoeForCausalLM\"],\"model_type\":\"granitemoe\"," COMMON
    ",\"num_key_value_heads\":2,\"intermediate_size\":6,\"num_local_experts\":4,"
    "\"num_experts_per_tok\":2,\"tie_word_embeddings\":true,\"attention_multiplier\":0.3}";
const char *const decoder_v2 =
    "{\"architectures\":[\"DeepseekV2ForCausalLM\"],\"model_type\":\"deepseek_v2\"," COMMON
    ",\"num_key_value_heads\":4,\"intermediate_size\":20,\"moe_intermediate_size\":6,"
    "\"n_routed_experts\":4,\"n_shared_experts\":2,\"num_experts_per_tok\":2,"
    "\"first_k_dense_replace\":1,\"q_lora_rank\":null,\"kv_lora_rank\":10,\"qk_nope_head_dim\":6,"
    "\"qk_rope_head_dim\":4,\"v_head_dim\":5}";
const char *const decoder_v3 =
    "{\"architectures\":[\"DeepseekV3ForCausalLM\"],\"model_type\":\"deepseek_v3\"," COMMON
    ",\"num_key_value_heads\":4,\"intermediate_size\":20,\"moe_intermediate_size\":6,"
    "\"n_routed_experts\":4,\"n_shared_experts\":1,\"num_experts_per_tok\":2,"
    "\"first_k_dense_replace\":1,\"q_lora_rank\":8,\"kv_lora_rank\":10,\"qk_nope_head_dim\":6,"
    "\"qk_rope_head_dim\":4,\"v_head_dim\":5,\"n_group\":2,\"topk_group\":1}";

char *decoder_config_with(const char *config, const char *more)
{
    char *out = NULL;

    CU_ASSERT_TRUE_FATAL(asprintf(&out, "%.*s%s}", (int)strlen(config) - 1, config, more) > 0);
    return out;
}

void decoder_path(const char *dir, const char *name, char out[DECODER_PATH])
{
    CU_ASSERT_TRUE_FATAL(snprintf(out, DECODER_PATH, "%s/%s", dir, name) < DECODER_PATH);
}

void decoder_put(const char *dir, const char *name, const char *text)
{
    char path[DECODER_PATH];

    decoder_path(dir, name, path);
    CU_ASSERT_EQUAL_FATAL(fm_file_replace(path, text, strlen(text), 0644), FM_OK);
}

void decoder_error_has(const char *needle)
{
    const bool has = strstr(fm_error_text(), needle) != NULL;

    if (!has)
        printf("\n    '%s' is not in '%s'\n", needle, fm_error_text());
    CU_ASSERT_TRUE(has);
}

#define MOST 400

typedef struct {
    const decoder_folder_spec *spec;
    float *flat;
    fm_tensor_view views[MOST];
    char names[MOST][FM_FOLDER_NAME];
    size_t count;
} maker;

static bool exists(const void *context, const char *name)
{
    const maker *m = context;

    for (size_t i = 0; i < 3 && m->spec->names[i]; i++)
        if (strstr(name, m->spec->names[i]))
            return true;
    return false;
}

static const char *dtype_of(const maker *m)
{
    return m->spec->other && m->count % 3 == 2 ? m->spec->other : m->spec->dtype;
}

/* Takes `values` as the tensor's, and rounds them to what its dtype can hold. */
static void add_tensor(maker *m, const char *name, size_t dims, const size_t shape[3],
                       float *values, size_t n)
{
    const char *dtype = dtype_of(m);
    const size_t element = strcmp(dtype, "F32") == 0 ? 4 : 2;
    uint8_t *bytes = calloc(n + 1, 4);
    fm_tensor_view *v = &m->views[m->count];

    CU_ASSERT_TRUE_FATAL(m->count < MOST && bytes);
    (void)fm_floats_encode(dtype, values, n, bytes);
    CU_ASSERT_TRUE(fm_floats_decode(dtype, bytes, n, values));
    (void)snprintf(m->names[m->count], FM_FOLDER_NAME, "%s", name);
    *v = (fm_tensor_view){ .name = m->names[m->count],
                           .dtype = dtype,
                           .dims = dims,
                           .data = bytes,
                           .bytes = n * element };
    memcpy(v->shape, shape, dims * sizeof *shape);
    m->count++;
}

static fm_status make_tensor(void *context, const fm_tensor_wanted *w)
{
    maker *m = context;
    const fm_tensor_place *p = &w->place;
    const size_t n = p->groups * p->parts * p->piece;
    float *values = calloc(n + 1, sizeof *values);
    size_t at = 0;

    if (m->spec->without && strcmp(m->spec->without, w->name) == 0) {
        free(values);
        return FM_OK;
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(values);
    for (size_t g = 0; g < p->groups; g++)
        for (size_t k = 0; k < p->parts; k++, at += p->piece)
            memcpy(values + at, m->flat + p->part[k] + g * p->stride, p->piece * sizeof *values);
    if (m->spec->spoilt && strcmp(m->spec->spoilt, w->name) == 0)
        values[0] = m->spec->spoil;
    add_tensor(m, w->name, w->dims, w->shape, values, n);
    at = 0;
    for (size_t g = 0; g < p->groups; g++)
        for (size_t k = 0; k < p->parts; k++, at += p->piece)
            memcpy(m->flat + p->part[k] + g * p->stride, values + at, p->piece * sizeof *values);
    free(values);
    return FM_OK;
}

static void add_extra(maker *m, const fm_decoder_config *c, const fm_decoder_layout *l)
{
    for (size_t i = 0; i < 4 && m->spec->extra[i].name; i++) {
        const bool same = m->spec->extra[i].embedding;
        const size_t rows = same ? c->vocabulary : m->spec->extra[i].rows;
        const size_t columns = same ? c->width : m->spec->extra[i].columns;
        const size_t n = rows * (columns ? columns : 1), shape[3] = { rows, columns };
        float *values = calloc(n + 1, sizeof *values);

        CU_ASSERT_PTR_NOT_NULL_FATAL(values);
        for (size_t k = 0; k < n; k++)
            values[k] = same ? m->flat[l->embedding + k] : m->spec->extra[i].value;
        add_tensor(m, m->spec->extra[i].name, columns ? 2 : 1, shape, values, n);
        free(values);
    }
}

static void write_file(const char *dir, const char *name, const fm_tensor_view *v, size_t n)
{
    const fm_safetensors_meta meta[] = { { "format", "pt" }, { "made by", "a test" } };
    char path[DECODER_PATH];

    decoder_path(dir, name, path);
    CU_ASSERT_EQUAL_FATAL(fm_safetensors_replace(path, 0644, v, n, meta, 2), FM_OK);
}

static void write_shards(const char *dir, const maker *m)
{
    const size_t shards = m->spec->shards, each = (m->count + shards - 1) / shards;
    json_t *map = json_object(), *root;
    char path[DECODER_PATH], name[64];

    for (size_t s = 0; s < shards; s++) {
        const size_t from = s * each, to = from + each < m->count ? from + each : m->count;

        (void)snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", s + 1, shards);
        for (size_t i = from; i < to; i++)
            CU_ASSERT_EQUAL(json_object_set_new(map, m->names[i], json_string(name)), 0);
        write_file(dir, name, m->views + from, to - from);
    }
    root = json_pack("{s:{s:i}, s:o}", "metadata", "total_size", 12345, "weight_map", map);
    decoder_path(dir, FM_FOLDER_INDEX, path);
    CU_ASSERT_EQUAL_FATAL(fm_json_write(path, root, 0644), FM_OK);
    json_decref(root);
}

void decoder_folder_make(const char *dir, const decoder_folder_spec *s, float **flat,
                         size_t *parameters)
{
    maker *m = calloc(1, sizeof *m);
    const fm_name_visitor v = { exists, make_tensor, m };
    fm_decoder_config c;
    fm_decoder_layout l;
    fm_rng_seed state;
    fm_rng rng;

    CU_ASSERT_EQUAL_FATAL(fm_decoder_config_parse("c", s->config, strlen(s->config), &c), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_decoder_layout_make(&c, &l), FM_OK);
    m->spec = s;
    m->flat = calloc(l.parameters, sizeof *m->flat);
    CU_ASSERT_PTR_NOT_NULL_FATAL(m->flat);
    fm_log_set_level(FM_LOG_ERROR);
    rng = fm_rng_seeded(&state, 5);
    for (size_t i = 0; i < l.parameters; i++)
        m->flat[i] = (float)((s->spread > 0.0 ? s->spread : 1.0) * fm_rng_normal(&rng));
    CU_ASSERT_EQUAL_FATAL(fm_decoder_names(&c, &l, &v), FM_OK);
    add_extra(m, &c, &l);
    decoder_put(dir, FM_FOLDER_CONFIG, s->config);
    if (s->shards)
        write_shards(dir, m);
    else
        write_file(dir, FM_FOLDER_SINGLE, m->views, m->count);
    for (size_t i = 0; i < m->count; i++)
        free((void *)(uintptr_t)m->views[i].data);
    *parameters = l.parameters;
    *flat = m->flat;
    fm_decoder_layout_free(&l);
    free(m);
}

static size_t count_files(const char *dir)
{
    DIR *d = opendir(dir);
    size_t n = 0;

    CU_ASSERT_PTR_NOT_NULL_FATAL(d);
    while (readdir(d))
        n++;
    (void)closedir(d);
    return n - 2;
}

size_t decoder_same_files(const char *a, const char *b)
{
    DIR *d = opendir(a);

    CU_ASSERT_PTR_NOT_NULL_FATAL(d);
    for (const struct dirent *e; (e = readdir(d));) {
        char from[DECODER_PATH], to[DECODER_PATH];
        fm_buf x, y;

        if (e->d_name[0] == '.')
            continue;
        decoder_path(a, e->d_name, from);
        decoder_path(b, e->d_name, to);
        CU_ASSERT_EQUAL_FATAL(fm_file_read(from, 1 << 24, &x), FM_OK);
        CU_ASSERT_EQUAL_FATAL(fm_file_read(to, 1 << 24, &y), FM_OK);
        CU_ASSERT_TRUE(x.len == y.len && memcmp(x.data, y.data, x.len) == 0);
        fm_buf_fini(&x);
        fm_buf_fini(&y);
    }
    (void)closedir(d);
    CU_ASSERT_EQUAL(count_files(a), count_files(b));
    return count_files(a);
}
