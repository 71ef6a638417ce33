/* Models made here: DeepSeek-V3's parts in sizes that hospitals train. */
#include <stdlib.h>
#include <string.h>

#include "decoder_folder_internal.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/random.h"

#define MAX_TOKENIZER ((size_t)256 * 1024 * 1024)
#define MOST_EXPERTS ((size_t)4096)

typedef struct {
    fm_decoder_preset about;
    int vocabulary, width, layers, heads, context;
    int query_rank, key_value_rank, plain, rotary, value;
    int dense_hidden, expert_hidden, experts, top_k;
    bool any_active; /* so small that the share of active parameters saves nothing */
} preset;

static const preset presets[] = {
    { { "lite-nano", "2 layers of width 48: a student of distillation" },
      .vocabulary = 512,
      .width = 48,
      .layers = 2,
      .heads = 4,
      .context = 512,
      .query_rank = 24,
      .key_value_rank = 24,
      .plain = 12,
      .rotary = 8,
      .value = 12,
      .dense_hidden = 96,
      .expert_hidden = 24,
      .experts = 8,
      .top_k = 2,
      .any_active = true },
    { { "lite-tiny", "3 layers of width 64: for tests and a first look" },
      .vocabulary = 512,
      .width = 64,
      .layers = 3,
      .heads = 4,
      .context = 512,
      .query_rank = 32,
      .key_value_rank = 32,
      .plain = 16,
      .rotary = 8,
      .value = 16,
      .dense_hidden = 128,
      .expert_hidden = 32,
      .experts = 32,
      .top_k = 2 },
    { { "lite-small", "6 layers of width 256: trains on a processor in hours" },
      .vocabulary = 8192,
      .width = 256,
      .layers = 6,
      .heads = 8,
      .context = 2048,
      .query_rank = 96,
      .key_value_rank = 64,
      .plain = 32,
      .rotary = 16,
      .value = 32,
      .dense_hidden = 704,
      .expert_hidden = 128,
      .experts = 64,
      .top_k = 4 },
    { { "lite", "12 layers of width 512" },
      .vocabulary = 32768,
      .width = 512,
      .layers = 12,
      .heads = 8,
      .context = 4096,
      .query_rank = 192,
      .key_value_rank = 128,
      .plain = 64,
      .rotary = 32,
      .value = 64,
      .dense_hidden = 1408,
      .expert_hidden = 256,
      .experts = 64,
      .top_k = 6 },
};

#define PRESETS (sizeof presets / sizeof presets[0])

size_t fm_decoder_presets(void)
{
    return PRESETS;
}

fm_decoder_preset fm_decoder_preset_at(size_t i)
{
    return i < PRESETS ? presets[i].about : (fm_decoder_preset){ 0 };
}

static fm_status find_preset(const char *name, const preset **out)
{
    for (size_t i = 0; name && i < PRESETS; i++)
        if (strcmp(presets[i].about.name, name) == 0) {
            *out = &presets[i];
            return FM_OK;
        }
    return fm_fail(FM_EINVAL,
                   "no preset '%.40s'; there are lite-nano, lite-tiny, lite-small and lite",
                   name ? name : "");
}

/* Every key of the class, so that no reader's defaults matter. One shared expert, one group. */
static json_t *make_json(const preset *p, size_t vocabulary, size_t experts)
{
    json_t *root =
        json_pack("{s:[s], s:s, s:s, s:s, s:b, s:f, s:n, s:n, s:n, s:f, s:f, s:b, s:s, s:b, s:b}",
                  "architectures", fm_decoder_class_name(FM_DECODER_DEEPSEEK_V3), "model_type",
                  "deepseek_v3", "dtype", "float32", "hidden_act", "silu", "attention_bias", 0,
                  "attention_dropout", 0.0, "bos_token_id", "eos_token_id", "pad_token_id",
                  "initializer_range", 0.02, "rms_norm_eps", 1e-6, "tie_word_embeddings", 0,
                  "transformers_version", "5.17.0", "use_cache", 1, "norm_topk_prob", 1);
    json_t *sizes = json_pack(
        "{s:I, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i}", "vocab_size",
        (json_int_t)vocabulary, "hidden_size", p->width, "num_hidden_layers", p->layers,
        "num_attention_heads", p->heads, "num_key_value_heads", p->heads, "max_position_embeddings",
        p->context, "q_lora_rank", p->query_rank, "kv_lora_rank", p->key_value_rank,
        "qk_nope_head_dim", p->plain, "qk_rope_head_dim", p->rotary, "qk_head_dim",
        p->plain + p->rotary, "head_dim", p->rotary, "v_head_dim", p->value, "intermediate_size",
        p->dense_hidden);
    json_t *routing =
        json_pack("{s:i, s:I, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:f, s:b, s:{s:f, s:s}}",
                  "moe_intermediate_size", p->expert_hidden, "n_routed_experts",
                  (json_int_t)experts, "num_experts_per_tok", p->top_k, "n_shared_experts", 1,
                  "first_k_dense_replace", 1, "n_group", 1, "topk_group", 1, "pretraining_tp", 1,
                  "num_nextn_predict_layers", 0, "routed_scaling_factor", 2.5, "rope_interleave", 1,
                  "rope_parameters", "rope_theta", 10000.0, "rope_type", "default");
    const bool whole = root && sizes && routing && json_object_update(root, sizes) == 0 &&
                       json_object_update(root, routing) == 0;

    json_decref(sizes);
    json_decref(routing);
    if (!whole) {
        json_decref(root);
        return NULL;
    }
    return root;
}

/* @param text replaced. @param active out, the share of parameters that a token touches. */
static fm_status try_experts(const preset *p, size_t vocabulary, size_t experts, fm_buf *text,
                             fm_decoder_json *out, double *active)
{
    json_t *root = make_json(p, vocabulary, experts);
    char *dump = json_dumps(root, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_REAL_PRECISION(15));
    fm_decoder_layout layout = { 0 };
    fm_status st;

    json_decref(root);
    fm_buf_clear(text);
    st = dump ? fm_buf_printf(text, "%s\n", dump) : fm_fail(FM_ENOMEM, "no memory for a preset");
    free(dump);
    if (st == FM_OK &&
        (st = fm_decoder_json_parse(FM_FOLDER_CONFIG, text->data, text->len, out)) == FM_OK &&
        (st = fm_decoder_layout_make(&out->config, &layout)) == FM_OK)
        *active =
            (double)fm_decoder_active_parameters(&out->config, &layout) / (double)layout.parameters;
    fm_decoder_layout_free(&layout);
    return st;
}

static size_t largest_id(const json_t *root)
{
    const json_t *vocab = json_object_get(json_object_get(root, "model"), "vocab");
    const json_t *added = json_object_get(root, "added_tokens");
    json_int_t most = (json_int_t)json_array_size(vocab) - 1; /* Unigram: a list */
    const char *token;
    json_t *id;

    json_object_foreach((json_t *)(uintptr_t)vocab, token, id) most =
        json_is_integer(id) && json_integer_value(id) > most ? json_integer_value(id) : most;
    for (size_t i = 0; i < json_array_size(added); i++) {
        const json_int_t at = json_integer_value(json_object_get(json_array_get(added, i), "id"));

        most = at > most ? at : most;
    }
    return most < 0 || most >= INT32_MAX ? 0 : (size_t)most + 1;
}

/* One row for each id that the tokenizer can give. */
static fm_status count_tokens(const char *path, size_t *out)
{
    json_error_t error;
    fm_buf text;
    json_t *root;
    fm_status st = fm_file_read(path, MAX_TOKENIZER, &text);

    if (st != FM_OK)
        return st;
    root = json_loadb(text.data ? (const char *)text.data : "", text.len, 0, &error);
    fm_buf_fini(&text);
    if (!root)
        return fm_fail(FM_EPARSE, "%s:%d:%d: %s", path, error.line, error.column, error.text);
    *out = largest_id(root);
    json_decref(root);
    return *out ? FM_OK : fm_fail(FM_EPROTO, "%s: no tokens in model.vocab or added_tokens", path);
}

static fm_status plan_json(const fm_decoder_plan *plan, fm_buf *text, fm_decoder_json *out)
{
    const preset *p = NULL;
    size_t vocabulary = plan->vocabulary, tokens = 0, experts;
    double active = 1.0;
    fm_status st = find_preset(plan->preset, &p);

    if (st == FM_OK && plan->tokenizer)
        st = count_tokens(plan->tokenizer, &tokens);
    if (st != FM_OK)
        return st;
    if (vocabulary == 0)
        vocabulary = tokens ? tokens : (size_t)p->vocabulary;
    if (vocabulary < tokens)
        return fm_fail(FM_EINVAL, "a vocabulary of %zu is less than the tokenizer's %zu",
                       vocabulary, tokens);
    for (experts = (size_t)p->experts; experts <= MOST_EXPERTS; experts += 8) {
        st = try_experts(p, vocabulary, experts, text, out, &active);
        if (st != FM_OK || p->any_active || active <= FM_DECODER_LITE_ACTIVE)
            return st;
    }
    return fm_fail(FM_EINVAL, "a vocabulary of %zu is too large for %s; take a larger preset",
                   vocabulary, plan->preset);
}

fm_status fm_decoder_plan_config(const fm_decoder_plan *p, fm_buf *text, fm_decoder_config *out)
{
    fm_decoder_json j;
    fm_status st;

    if (!p || !text || !out)
        return fm_fail(FM_EINVAL, "fm_decoder_plan_config: an argument is missing");
    if ((st = plan_json(p, text, &j)) == FM_OK)
        *out = j.config;
    return st;
}

/* ---- first weights ---- */

typedef struct {
    fm_tensor_view view;
    char name[FM_FOLDER_NAME];
    size_t at; /* in the flat vector */
} first_tensor;

typedef struct {
    first_tensor *list;
    size_t count, room;
} first_list;

static fm_status add_first(void *context, const fm_tensor_wanted *w)
{
    first_list *l = context;
    first_tensor *t;

    if (l->count == l->room) {
        const size_t room = l->room ? 2 * l->room : 256;
        void *more = reallocarray(l->list, room, sizeof *l->list);

        if (!more)
            return fm_fail(FM_ENOMEM, "no memory for a model's tensors");
        l->list = more;
        l->room = room;
    }
    t = &l->list[l->count++];
    *t = (first_tensor){ .view = { .dtype = "F32", .dims = w->dims }, .at = w->place.part[0] };
    memcpy(t->view.shape, w->shape, sizeof w->shape);
    memcpy(t->name, w->name, strlen(w->name) + 1);
    t->view.bytes = w->place.piece * sizeof(float);
    return FM_OK;
}

static int compare_first(const void *a, const void *b)
{
    return strcmp(((const first_tensor *)a)->name, ((const first_tensor *)b)->name);
}

/* Vectors are the norms' gains and the correction bias; V3 has no other here. */
static void fill(const first_tensor *t, double deviation, fm_rng *rng, float *out)
{
    const size_t n = t->view.bytes / sizeof *out;
    const bool gain = strstr(t->name, "norm.weight") != NULL;

    for (size_t i = 0; i < n; i++)
        out[i] = t->view.dims > 1 ? (float)(deviation * fm_rng_normal(rng)) : gain ? 1.0f : 0.0f;
}

static fm_status write_first(const first_list *l, const float *flat, const fm_decoder_about *about,
                             const fm_new_folder *n)
{
    fm_safetensors_meta meta[1 + FM_DECODER_ABOUT] = { { "format", "pt" } };
    const size_t more = about ? about->meta_count : 0;
    fm_tensor_view *views;
    char *path = NULL;
    void *fresh;
    fm_status st;

    if (more > FM_DECODER_ABOUT)
        return fm_fail(FM_EINVAL, "%zu entries of metadata; at most %u are possible", more,
                       FM_DECODER_ABOUT);
    if ((st = fm_alloc(l->count, sizeof *views, &fresh)) != FM_OK)
        return st;
    if (more)
        memcpy(meta + 1, about->meta, more * sizeof *meta);
    views = fresh;
    for (size_t i = 0; i < l->count; i++) {
        views[i] = l->list[i].view;
        views[i].name = l->list[i].name;
        views[i].data = (const uint8_t *)(flat + l->list[i].at);
    }
    if ((st = fm_path_join(n->temp, FM_FOLDER_SINGLE, &path)) == FM_OK)
        st = fm_safetensors_replace(path, 0644, views, l->count, meta, 1 + more);
    free(path);
    free(views);
    return st;
}

/* In the order of the names. */
static fm_status list_tensors(const fm_decoder_json *j, first_list *l, fm_decoder_layout *layout)
{
    const fm_name_visitor v = { NULL, add_first, l };
    fm_status st;

    if ((st = fm_decoder_layout_make(&j->config, layout)) == FM_OK &&
        (st = fm_decoder_names(&j->config, layout, &v)) == FM_OK)
        qsort(l->list, l->count, sizeof *l->list, compare_first);
    return st;
}

/* Drawn in the order of the names: the bytes do not depend on the flat vector's order. */
static void draw(const fm_decoder_json *j, const first_list *l, uint64_t seed, float *flat)
{
    fm_rng_seed state;
    fm_rng rng = fm_rng_public(&state, seed);

    for (size_t i = 0; i < l->count; i++)
        fill(&l->list[i], j->initializer_range, &rng, flat + l->list[i].at);
}

/* @param flat NULL: first weights of that seed. */
static fm_status put_weights(const fm_decoder_json *j, uint64_t seed, const float *flat,
                             const fm_decoder_about *about, const fm_new_folder *n)
{
    first_list l = { 0 };
    fm_decoder_layout layout = { 0 };
    void *fresh = NULL;
    fm_status st = list_tensors(j, &l, &layout);

    if (st == FM_OK && !flat &&
        (st = fm_alloc_whole(layout.parameters, sizeof(float), &fresh)) == FM_OK) {
        draw(j, &l, seed, fresh);
        flat = fresh;
    }
    if (st == FM_OK)
        st = write_first(&l, flat, about, n);
    free(fresh);
    free(l.list);
    fm_decoder_layout_free(&layout);
    return st;
}

fm_status fm_decoder_plan_draw(const fm_decoder_plan *p, float *flat)
{
    fm_decoder_layout layout = { 0 };
    first_list l = { 0 };
    fm_decoder_json j;
    fm_buf text;
    fm_status st;

    if (!p || !flat)
        return fm_fail(FM_EINVAL, "fm_decoder_plan_draw: an argument is missing");
    fm_buf_init(&text, 0);
    if ((st = plan_json(p, &text, &j)) == FM_OK && (st = list_tensors(&j, &l, &layout)) == FM_OK)
        draw(&j, &l, p->seed, flat);
    free(l.list);
    fm_decoder_layout_free(&layout);
    fm_buf_fini(&text);
    return st;
}

static fm_status put_tokenizer(const char *path, const fm_new_folder *n)
{
    fm_buf text;
    fm_status st;

    if (!path)
        return FM_OK;
    if ((st = fm_file_read(path, MAX_TOKENIZER, &text)) == FM_OK)
        st = fm_new_folder_put(n, FM_FOLDER_TOKENIZER, text.data, text.len);
    fm_buf_fini(&text);
    return st;
}

static fm_status write_plan(const fm_decoder_plan *p, const float *flat,
                            const fm_decoder_about *about, const char *output)
{
    fm_new_folder n = { 0 };
    fm_decoder_json j;
    fm_buf text;
    fm_status st;

    if (!p || !output)
        return fm_fail(FM_EINVAL, "fm_decoder_plan_write: an argument is missing");
    fm_buf_init(&text, 0);
    if ((st = plan_json(p, &text, &j)) == FM_OK &&
        (st = fm_new_folder_begin(output, &n)) == FM_OK &&
        (st = put_tokenizer(p->tokenizer, &n)) == FM_OK &&
        (st = put_weights(&j, p->seed, flat, about, &n)) == FM_OK &&
        (st = fm_new_folder_put(&n, FM_FOLDER_CONFIG, text.data, text.len)) == FM_OK) {
        n.owner_only = about && about->owner_only;
        st = fm_new_folder_finish(&n);
    }
    fm_new_folder_abort(&n);
    fm_buf_fini(&text);
    return st;
}

fm_status fm_decoder_plan_write(const fm_decoder_plan *p, const char *output)
{
    return write_plan(p, NULL, NULL, output);
}

fm_status fm_decoder_plan_write_about(const fm_decoder_plan *p, const float *flat,
                                      const fm_decoder_about *about, const char *output)
{
    return flat ? write_plan(p, flat, about, output)
                : fm_fail(FM_EINVAL, "fm_decoder_plan_write_about: an argument is missing");
}
