#include "edge_model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/file.h"
#include "fedmoe/base/random.h"
#include "fedmoe/model/tabular.h"
#include "model_internal.h"

const char edge_model_config[] =
    "{\"architectures\":[\"DeepseekV3ForCausalLM\"],\"model_type\":\"deepseek_v3\","
    "\"vocab_size\":32768,\"hidden_size\":1024,\"num_hidden_layers\":16,\"hidden_act\":\"silu\","
    "\"num_attention_heads\":16,\"num_key_value_heads\":16,\"max_position_embeddings\":32768,"
    "\"intermediate_size\":2816,\"moe_intermediate_size\":384,\"n_routed_experts\":66,"
    "\"n_shared_experts\":1,\"num_experts_per_tok\":4,\"first_k_dense_replace\":1,"
    "\"q_lora_rank\":384,\"kv_lora_rank\":256,\"qk_nope_head_dim\":64,\"qk_rope_head_dim\":32,"
    "\"v_head_dim\":64,\"n_group\":1,\"topk_group\":1,\"routed_scaling_factor\":1.0,"
    "\"norm_topk_prob\":true,\"rope_theta\":10000.0,\"tie_word_embeddings\":false,"
    "\"rms_norm_eps\":1e-6}";

#define NAMES 20000
#define PIECE ((size_t)1 << 20)

typedef struct {
    const fm_decoder_layout *layout;
    fm_decoder_tensor *tensors;
    char (*names)[2][FM_EDGE_NAME];
    size_t count;
    fm_tensor_view *views;
    size_t view_count;
    fm_rng_seed state;
    fm_rng rng;
    uint8_t *piece; /* [PIECE] random bytes, read from another place for each tensor */
    fm_file_writer *out;
} writer;

static fm_status visit(void *context, const fm_decoder_tensor *t)
{
    writer *w = context;

    if (w->count == NAMES)
        return fm_fail(FM_ENOMEM, "more than %d tensors", NAMES);
    (void)strncpy(w->names[w->count][0], t->name, FM_EDGE_NAME - 1);
    fm_edge_scale_name(t->name, w->names[w->count][1]);
    w->tensors[w->count] = *t;
    w->tensors[w->count].name = w->names[w->count][0];
    w->count++;
    return FM_OK;
}

static void view(writer *w, const char *name, const char *dtype, size_t element, size_t rows,
                 size_t columns)
{
    w->views[w->view_count++] =
        (fm_tensor_view){ .name = name,
                          .dtype = dtype,
                          .dims = columns ? 2 : 1,
                          .shape = { rows, columns },
                          .bytes = rows * (columns ? columns : 1) * element };
}

static void plan(writer *w, const char *config)
{
    for (size_t i = 0; i < w->count; i++)
        if (!fm_edge_is_map(w->layout, &w->tensors[i]))
            view(w, w->names[i][0], "F32", 4, w->tensors[i].rows, w->tensors[i].columns);
    for (size_t i = 0; i < w->count; i++)
        if (fm_edge_is_map(w->layout, &w->tensors[i]))
            view(w, w->names[i][1], "F32", 4, w->tensors[i].rows, 0);
    for (size_t i = 0; i < w->count; i++)
        if (fm_edge_is_map(w->layout, &w->tensors[i]))
            view(w, w->names[i][0], "I8", 1, w->tensors[i].rows, w->tensors[i].columns);
    view(w, FM_EDGE_CONFIG, "U8", 1, strlen(config), 0);
    w->views[w->view_count - 1].data = (const uint8_t *)config;
}

/* Gains 1, corrections 0, the router and scales so that rows keep their size. */
static fm_status put_floats(writer *w, const fm_tensor_view *v, float value, float deviation)
{
    const size_t n = v->bytes / sizeof(float);
    float *values = calloc(n, sizeof *values);
    fm_status st;

    if (!values)
        return fm_fail(FM_ENOMEM, "no memory for %zu floats", n);
    for (size_t i = 0; i < n; i++)
        values[i] = value + (deviation > 0.0f ? deviation * (float)fm_rng_normal(&w->rng) : 0.0f);
    st = fm_file_write(w->out, values, v->bytes);
    free(values);
    return st;
}

static fm_status put_bytes(writer *w, const fm_tensor_view *v)
{
    fm_status st = FM_OK;

    for (size_t left = v->bytes, n; left && !st; left -= n) {
        const size_t from = (size_t)fm_rng_below(&w->rng, PIECE / 2);

        n = left < PIECE / 2 ? left : PIECE / 2;
        st = fm_file_write(w->out, w->piece + from, n);
    }
    return st;
}

static fm_status put(writer *w, const fm_tensor_view *v, size_t columns)
{
    if (v->dtype[0] == 'U')
        return fm_file_write(w->out, v->data, v->bytes);
    if (v->dtype[0] == 'I')
        return put_bytes(w, v);
    if (v->dims == 2) /* the router */
        return put_floats(w, v, 0.0f, 1.0f / sqrtf((float)v->shape[1]));
    if (columns)
        return put_floats(w, v, 1.0f / (73.0f * sqrtf((float)columns)), 0.0f);
    return put_floats(w, v, strstr(v->name, "norm") ? 1.0f : 0.0f, 0.0f);
}

/* Columns of the map whose scales a tensor is; 0: it is none. */
static size_t columns_of(const writer *w, const char *name)
{
    for (size_t i = 0; i < w->count; i++)
        if (name == w->names[i][1])
            return w->tensors[i].columns;
    return 0;
}

static fm_status put_all(writer *w)
{
    const fm_safetensors_meta meta = { FM_META_KIND, FM_EDGE_KIND };
    fm_buf head = { 0 };
    fm_status st = fm_safetensors_encode_head(w->views, w->view_count, &meta, 1, &head);

    if (!st)
        st = fm_file_write(w->out, head.data, head.len);
    fm_buf_fini(&head);
    for (size_t i = 0; i < w->view_count && !st; i++)
        st = put(w, &w->views[i], columns_of(w, w->views[i].name));
    return st;
}

static fm_status write_file(writer *w, const char *config, const fm_decoder_config *c,
                            const char *output)
{
    fm_status st = fm_decoder_tensors(c, w->layout, visit, w);

    if (st)
        return st;
    plan(w, config);
    fm_random_bytes(w->piece, PIECE);
    for (size_t i = 0; i < PIECE; i++)
        if (w->piece[i] == 0x80)
            w->piece[i] = 0;
    if ((st = fm_file_begin(output, 0644, &w->out)))
        return st;
    if (!(st = put_all(w)))
        return fm_file_finish(&w->out);
    fm_file_abort(&w->out);
    return st;
}

fm_status edge_model_write(const char *config, const char *output)
{
    writer w = { 0 };
    fm_decoder_config c;
    fm_decoder_layout layout = { 0 };
    fm_status st;

    if ((st = fm_decoder_config_parse("the model", config, strlen(config), &c)) ||
        (st = fm_decoder_layout_make(&c, &layout)))
        return st;
    w.layout = &layout;
    w.rng = fm_rng_public(&w.state, 1);
    w.tensors = calloc(NAMES, sizeof *w.tensors);
    w.names = calloc(NAMES, sizeof *w.names);
    w.views = calloc(2 * NAMES, sizeof *w.views);
    w.piece = calloc(PIECE, 1);
    st = w.tensors && w.names && w.views && w.piece
             ? write_file(&w, config, &c, output)
             : fm_fail(FM_ENOMEM, "no memory for the tensors' names");
    free(w.tensors);
    free(w.names);
    free(w.views);
    free(w.piece);
    fm_decoder_layout_free(&layout);
    return st;
}
