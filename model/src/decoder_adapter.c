/* Adapters of PEFT, read: names into maps, A and B into the flat vector of fm_decoder_adapters. */
#include "fedmoe/model/decoder_adapter.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "decoder_adapter_internal.h"
#include "decoder_folder_internal.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/json.h"
#include "fedmoe/base/text.h"

/* One half of one adapter. */
typedef struct {
    const fm_tensor_view *view;
    size_t layer, part, expert;
    unsigned map;
    bool b;
} half;

struct fm_adapter_file {
    char *path;
    fm_safetensors *file;
    const fm_decoder_config *config;
    fm_decoder_adapters adapters;
    half *halves; /* as many as the file has tensors */
};

static fm_status fail(const fm_adapter_file *f, const char *tensor, const char *what)
{
    return fm_fail(FM_EPROTO, "%s: tensor '%.200s' %s", f->path, tensor, what);
}

/* ---- names ---- */

const fm_peft_map fm_peft_maps[FM_PEFT_MAPS] = {
    { "self_attn.q_proj", FM_ADAPT_QUERY, 0 },
    { "self_attn.q_b_proj", FM_ADAPT_QUERY, 0 },
    { "self_attn.k_proj", FM_ADAPT_KEY, 0 },
    { "self_attn.v_proj", FM_ADAPT_VALUE, 0 },
    { "self_attn.q_a_proj", FM_ADAPT_QUERY_A, 0 },
    { "self_attn.kv_a_proj_with_mqa", FM_ADAPT_LATENT, 0 },
    { "self_attn.kv_b_proj", FM_ADAPT_LATENT_B, 0 },
    { "self_attn.o_proj", FM_ADAPT_OUTPUT, 0 },
    { "mlp.gate_proj", FM_ADAPT_DENSE, 0 },
    { "mlp.up_proj", FM_ADAPT_DENSE, 1 },
    { "mlp.down_proj", FM_ADAPT_DENSE, 2 },
    { "mlp.shared_experts.gate_proj", FM_ADAPT_SHARED, 0 },
    { "mlp.shared_experts.up_proj", FM_ADAPT_SHARED, 1 },
    { "mlp.shared_experts.down_proj", FM_ADAPT_SHARED, 2 },
    { "mlp.experts.gate_proj", FM_ADAPT_EXPERTS, 0 },
    { "mlp.experts.up_proj", FM_ADAPT_EXPERTS, 1 },
    { "mlp.experts.down_proj", FM_ADAPT_EXPERTS, 2 },
};

bool fm_peft_has(const fm_decoder_config *c, const fm_peft_map *m)
{
    const bool two = c->attention == FM_ATTENTION_LATENT && c->query_rank > 0;

    if (c->family == FM_DECODER_GRANITEMOE && m->map == FM_ADAPT_EXPERTS)
        return false;
    return strcmp(m->module, two ? "self_attn.q_proj" : "self_attn.q_b_proj") != 0;
}

/* "12." -> 12, and past it. */
static bool take_number(const char **at, size_t *out)
{
    char digits[12] = "";
    uint64_t value;
    const size_t n = strspn(*at, "0123456789");

    if (n == 0 || n >= sizeof digits || (*at)[n] != '.')
        return false;
    memcpy(digits, *at, n);
    if (!fm_text_u64(digits, &value))
        return false;
    *out = (size_t)value;
    *at += n + 1;
    return true;
}

/* Cuts ".lora_A.weight" or ".lora_B.weight", and the number of an expert out of the middle. */
static bool take_module(const char *at, char *module, size_t cap, half *h)
{
    static const char ends[2][16] = { ".lora_A.weight", ".lora_B.weight" };
    static const char experts[] = "mlp.experts.";
    const size_t tail = sizeof ".lora_A.weight" - 1, len = strlen(at);

    if (len <= tail || len >= cap)
        return false;
    h->b = strcmp(at + len - tail, ends[1]) == 0;
    if (!h->b && strcmp(at + len - tail, ends[0]) != 0)
        return false;
    (void)snprintf(module, cap, "%.*s", (int)(len - tail), at);
    if (strncmp(module, experts, sizeof experts - 1) == 0) {
        const char *rest = module + sizeof experts - 1;

        if (!take_number(&rest, &h->expert))
            return false;
        memmove(module + sizeof experts - 1, rest, strlen(rest) + 1);
    }
    return true;
}

static bool parse_name(const fm_decoder_config *c, const char *name, half *h)
{
    char module[128];

    if (strncmp(name, FM_PEFT_PREFIX, sizeof FM_PEFT_PREFIX - 1) != 0)
        return false;
    name += sizeof FM_PEFT_PREFIX - 1;
    if (!take_number(&name, &h->layer) || !take_module(name, module, sizeof module, h))
        return false;
    for (size_t i = 0; i < FM_PEFT_MAPS; i++)
        if (strcmp(fm_peft_maps[i].module, module) == 0) {
            h->map = fm_peft_maps[i].map;
            h->part = fm_peft_maps[i].part;
            return fm_peft_has(c, &fm_peft_maps[i]);
        }
    return false;
}

/* ---- settings ---- */

/* But for the digits that were written. */
static bool is_same(double a, double b)
{
    return fabs(a - b) <= 1e-9 * fabs(b);
}

/* PEFT goes by adapter_config.json alone: what the metadata says must be the same. */
static fm_status read_setting(const fm_adapter_file *f, const json_t *config, const char *key,
                              double *out)
{
    const char *text = fm_safetensors_meta_get(f->file, key);
    const json_t *value = json_object_get(config, key);

    if (text && !fm_text_double(text, out))
        return fm_fail(FM_EPROTO, "%s: metadata %s is '%.40s', not a number", f->path, key, text);
    if (value && !json_is_number(value))
        return fm_fail(FM_EPROTO, "%s: %s of " FM_PEFT_CONFIG " is not a number", f->path, key);
    if (text && value && !is_same(json_number_value(value), *out))
        return fm_fail(FM_EPROTO, "%s: %s is %g in its metadata, %g in " FM_PEFT_CONFIG, f->path,
                       key, *out, json_number_value(value));
    if (!text && !value)
        return fm_fail(FM_EPROTO,
                       "%s: says no %s: neither its metadata nor " FM_PEFT_CONFIG " has the number",
                       f->path, key);
    *out = text ? *out : json_number_value(value);
    return FM_OK;
}

/* Of training and of where things came from. Which maps have adapters the tensors say. */
static bool is_harmless(const char *key)
{
    static const char *const list[] = {
        "r",
        "lora_alpha",
        "lora_dropout",
        "target_modules",
        "exclude_modules",
        "layers_to_transform",
        "layers_pattern",
        "base_model_name_or_path",
        "revision",
        "task_type",
        "inference_mode",
        "auto_mapping",
        "peft_version",
        "runtime_config",
        "loftq_config",
        "eva_config",
        "corda_config",
        "qalora_group_size", /* counts where use_qalora is true */
    };

    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
        if (strcmp(list[i], key) == 0)
            return true;
    return false;
}

/* Nothing is asked for. */
static bool is_neutral(const json_t *v)
{
    return json_is_null(v) || json_is_false(v) || (json_is_array(v) && json_array_size(v) == 0) ||
           (json_is_object(v) && json_object_size(v) == 0);
}

/* Some ways to begin also change the base, which then is another than the one here. */
static bool is_good_start(const json_t *v)
{
    const char *name = json_string_value(v);

    return json_is_true(v) || is_neutral(v) ||
           (name && (strcmp(name, "gaussian") == 0 || strcmp(name, "eva") == 0 ||
                     strcmp(name, "orthogonal") == 0));
}

static bool is_text(const json_t *v, const char *text)
{
    return json_is_string(v) && strcmp(json_string_value(v), text) == 0;
}

/* What makes PEFT compute something else than alpha / r * B A is refused; so is a key that is not
 * known here and asks for something. */
static fm_status check_config(const fm_adapter_file *f, json_t *config)
{
    const fm_json_reader r = { .name = FM_PEFT_CONFIG };
    const char *key;
    json_t *value;

    json_object_foreach(config, key, value)
    {
        bool good = is_harmless(key) || is_neutral(value);

        if (strcmp(key, "peft_type") == 0)
            good = is_text(value, "LORA");
        else if (strcmp(key, "bias") == 0)
            good = is_text(value, "none") || json_is_null(value);
        else if (strcmp(key, "init_lora_weights") == 0)
            good = is_good_start(value);
        if (!good)
            return fm_fail_context(fm_json_fail(&r, key, value, "not supported"), "%s: ", f->path);
    }
    return FM_OK;
}

static fm_status read_settings(fm_adapter_file *f, json_t *config)
{
    double rank, alpha;
    fm_status st;

    if ((config && (st = check_config(f, config)) != FM_OK) ||
        (st = read_setting(f, config, "r", &rank)) != FM_OK ||
        (st = read_setting(f, config, "lora_alpha", &alpha)) != FM_OK)
        return st;
    if (!(rank >= 1.0 && rank <= 1024.0) || rank != floor(rank))
        return fm_fail(FM_EPROTO, "%s: r is %g; 1 to 1024 are possible", f->path, rank);
    f->adapters.rank = (size_t)rank;
    f->adapters.alpha = alpha;
    return FM_OK;
}

/* ---- the file ---- */

static bool has_other_half(const fm_adapter_file *f, const half *h)
{
    char name[256];
    const size_t len = strlen(h->view->name);

    if (len >= sizeof name)
        return false;
    memcpy(name, h->view->name, len + 1);
    name[len - sizeof "A.weight" + 1] = h->b ? 'A' : 'B';
    return fm_safetensors_find(f->file, name) != NULL;
}

static fm_status read_halves(fm_adapter_file *f)
{
    const size_t n = fm_safetensors_count(f->file);
    void *fresh;
    fm_status st = fm_alloc(n, sizeof *f->halves, &fresh);

    if (st != FM_OK)
        return st;
    f->halves = fresh;
    for (size_t i = 0; i < n; i++) {
        half *h = &f->halves[i];

        h->view = fm_safetensors_at(f->file, i);
        if (!parse_name(f->config, h->view->name, h))
            return fail(f, h->view->name, "is not an adapter of a map that such a model has");
        f->adapters.maps |= h->map;
    }
    if (n == 0)
        return fm_fail(FM_EPROTO, "%s: holds no adapters", f->path);
    for (size_t i = 0; i < n; i++)
        if (!has_other_half(f, &f->halves[i]))
            return fail(f, f->halves[i].view->name, "is without its other half");
    return FM_OK;
}

static bool is_folder(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* adapter_config.json in the folder, or beside the file; *out NULL: there is none. */
static fm_status read_config(const char *path, json_t **out)
{
    char *dir = NULL, *config = NULL;
    fm_status st = is_folder(path) ? fm_strdup(path, &dir) : fm_path_dir(path, &dir);

    if (st == FM_OK && (st = fm_path_join(dir, FM_PEFT_CONFIG, &config)) == FM_OK &&
        fm_file_exists(config))
        st = fm_json_read(config, out);
    free(dir);
    free(config);
    return st;
}

static fm_status open_file(fm_adapter_file *f, const char *path)
{
    fm_status st =
        is_folder(path) ? fm_path_join(path, FM_PEFT_FILE, &f->path) : fm_strdup(path, &f->path);

    return st != FM_OK ? st : fm_safetensors_open(f->path, &f->file);
}

fm_status fm_adapter_file_open(const char *path, const fm_decoder_config *c, fm_adapter_file **out)
{
    fm_adapter_file *f;
    json_t *config = NULL;
    void *fresh;
    fm_status st;

    if (!path || !c || !out)
        return fm_fail(FM_EINVAL, "fm_adapter_file_open: an argument is missing");
    if ((st = fm_alloc(1, sizeof *f, &fresh)) != FM_OK)
        return st;
    f = fresh;
    f->config = c;
    if ((st = open_file(f, path)) == FM_OK && (st = read_config(path, &config)) == FM_OK &&
        (st = read_settings(f, config)) == FM_OK && (st = read_halves(f)) == FM_OK) {
        *out = f;
        f = NULL;
    }
    json_decref(config);
    fm_adapter_file_free(&f);
    return st;
}

void fm_adapter_file_free(fm_adapter_file **f)
{
    if (!f || !*f)
        return;
    fm_safetensors_free(&(*f)->file);
    free((*f)->halves);
    free((*f)->path);
    free(*f);
    *f = NULL;
}

fm_decoder_adapters fm_adapter_file_adapters(const fm_adapter_file *f)
{
    return f->adapters;
}

static fm_status read_half(const fm_adapter_file *f, const half *h, const fm_decoder_adapter *at,
                           float *flat)
{
    const fm_tensor_view *v = h->view;
    const size_t rank = f->adapters.rank, n = rank * (h->b ? at->out : at->in);
    float *into = flat + (h->b ? at->b : at->a);
    void *bytes;
    fm_status st;

    if (v->dims != 2 || v->shape[0] != (h->b ? at->out : rank) ||
        v->shape[1] != (h->b ? rank : at->in))
        return fail(f, v->name, "does not have the shape that the map and r give it");
    if (fm_floats_element(v->dtype) == 0)
        return fail(f, v->name, "is not F32, F16 or BF16");
    if ((st = fm_alloc(v->bytes, 1, &bytes)) != FM_OK)
        return st;
    st = fm_safetensors_read(f->file, v, 0, v->bytes, bytes);
    if (st == FM_OK && (!fm_floats_decode(v->dtype, bytes, n, into) || !fm_floats_finite(into, n)))
        st = fm_fail(FM_ENONFINITE, "%s: tensor '%.200s' holds a value that is not finite", f->path,
                     v->name);
    free(bytes);
    return st;
}

fm_status fm_adapter_file_read(const fm_adapter_file *f, fm_decoder *d)
{
    const size_t n = d ? fm_decoder_adapter_parameters(d) : 0;
    void *flat = NULL;
    fm_status st;

    if (!f || n == 0)
        return fm_fail(FM_EINVAL, "fm_adapter_file_read: a decoder with adapters is needed");
    if ((st = fm_alloc(n, sizeof(float), &flat)) != FM_OK)
        return st;
    for (size_t i = 0; i < fm_safetensors_count(f->file) && st == FM_OK; i++) {
        const half *h = &f->halves[i];
        fm_decoder_adapter at;

        st = fm_decoder_adapter_at(d, h->layer, h->map, h->part, h->expert, &at)
                 ? read_half(f, h, &at, flat)
                 : fail(f, h->view->name, "is of a layer or expert that the model does not have");
    }
    if (st == FM_OK)
        st = fm_decoder_adapters_set(d, flat, n);
    free(flat);
    return st;
}

fm_status fm_decoder_folder_load(const fm_decoder_folder *f, const fm_decoder_options *o,
                                 fm_decoder **out)
{
    fm_decoder *d = NULL;
    fm_status st;

    if (!f || !o || !out)
        return fm_fail(FM_EINVAL, "fm_decoder_folder_load: an argument is missing");
    if ((st = fm_decoder_new(&f->parsed.config, o, &d)) == FM_OK &&
        (st = fm_decoder_folder_read(f, fm_decoder_weights(d))) == FM_OK &&
        (st = fm_decoder_refresh(d)) == FM_OK) {
        *out = d;
        d = NULL;
    }
    fm_decoder_free(&d);
    return st;
}
