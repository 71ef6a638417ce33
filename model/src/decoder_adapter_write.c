/* Adapters to disk. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "decoder_adapter_internal.h"
#include "decoder_folder_internal.h"
#include "fedmoe/base/file.h"

#define META_MOST ((size_t)32)

static fm_status no_memory(void)
{
    return fm_fail(FM_ENOMEM, "no memory for an adapter's files");
}

/* ---- adapter_config.json ---- */

static fm_status add_target(void *context, const char *target)
{
    return json_array_append_new(context, json_string(target)) == 0 ? FM_OK : no_memory();
}

static json_t *number(double v)
{
    return v == floor(v) && fabs(v) < 1e9 ? json_integer((json_int_t)v) : json_real(v);
}

/* The keys that PEFT has had for long; readers of it refuse or pass over newer ones. */
static json_t *make_config(const fm_decoder_adapters *o, const char *base, json_t *targets)
{
    json_t *name = base ? json_string(base) : json_null();

    if (!name)
        name = json_null(); /* a path that is no UTF-8 */
    return json_pack("{s:o, s:{}, s:s, s:b, s:b, s:b, s:o, s:f, s:n, s:s, s:I, s:{}, s:O, s:s, "
                     "s:b, s:b, s:n, s:n, s:n, s:n}",
                     "base_model_name_or_path", name, "alpha_pattern", "bias", "none",
                     "fan_in_fan_out", 0, "inference_mode", 1, "init_lora_weights", 1, "lora_alpha",
                     number(o->alpha), "lora_dropout", 0.0, "modules_to_save", "peft_type", "LORA",
                     "r", (json_int_t)o->rank, "rank_pattern", "target_modules", targets,
                     "task_type", "CAUSAL_LM", "use_dora", 0, "use_rslora", 0, "layers_pattern",
                     "layers_to_transform", "auto_mapping", "revision");
}

static fm_status put_config(const fm_decoder *d, const char *base, const fm_new_folder *n)
{
    const fm_decoder_adapters *o = &fm_decoder_get_options(d)->adapters;
    json_t *targets = json_array(), *root = NULL;
    char *text = NULL;
    fm_buf file = { 0 };
    fm_status st = targets
                       ? fm_adapter_targets(fm_decoder_get_config(d), o->maps, add_target, targets)
                       : no_memory();

    if (st == FM_OK &&
        (!(root = make_config(o, base, targets)) ||
         !(text = json_dumps(root, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_REAL_PRECISION(15)))))
        st = no_memory();
    fm_buf_init(&file, 0);
    if (st == FM_OK && (st = fm_buf_printf(&file, "%s\n", text)) == FM_OK)
        st = fm_new_folder_put(n, FM_ADAPTER_CONFIG, file.data, file.len);
    fm_buf_fini(&file);
    free(text);
    json_decref(root);
    json_decref(targets);
    return st;
}

/* ---- adapter_model.safetensors ---- */

typedef struct {
    size_t rank, count, most;
    const float *flat;
    fm_tensor_view *views; /* [most] */
    char (*names)[FM_ADAPTER_NAME + 40];
} list;

static fm_status count_module(void *context, const fm_adapter_module *m)
{
    list *l = context;

    (void)m;
    l->most += 2;
    return FM_OK;
}

static void add(list *l, const fm_adapter_module *m, char which, size_t rows, size_t columns,
                size_t at)
{
    fm_adapter_tensor_name(m->name, which, l->names[l->count]);
    l->views[l->count] = (fm_tensor_view){ .name = l->names[l->count],
                                           .dtype = "F32",
                                           .dims = 2,
                                           .shape = { rows, columns },
                                           .data = (const uint8_t *)(l->flat + at),
                                           .bytes = rows * columns * sizeof *l->flat };
    l->count++;
}

static fm_status add_module(void *context, const fm_adapter_module *m)
{
    list *l = context;

    add(l, m, 'A', l->rank, m->at.in, m->at.a);
    add(l, m, 'B', m->at.out, l->rank, m->at.b);
    return FM_OK;
}

/* Readers of transformers' family ask for "format"; r and lora_alpha, so that the file is enough. */
static fm_status write_weights(const list *l, double alpha, const fm_adapter_about *about,
                               const char *path)
{
    char rank_text[24], alpha_text[32];
    fm_safetensors_meta meta[META_MOST] = { { "format", "pt" },
                                            { "r", rank_text },
                                            { "lora_alpha", alpha_text } };
    const size_t own = 3;

    if (about->meta_count > META_MOST - own)
        return fm_fail(FM_EINVAL, "an adapter's metadata has at most %zu entries", META_MOST - own);
    (void)snprintf(rank_text, sizeof rank_text, "%zu", l->rank);
    (void)snprintf(alpha_text, sizeof alpha_text, "%.17g", alpha);
    for (size_t i = 0; i < about->meta_count; i++)
        meta[own + i] = about->meta[i];
    return fm_safetensors_replace(path, 0644, l->views, l->count, meta, own + about->meta_count);
}

static fm_status put_weights(const fm_decoder *d, const fm_adapter_about *about,
                             const fm_new_folder *n)
{
    const fm_decoder_adapters *o = &fm_decoder_get_options(d)->adapters;
    const size_t parameters = fm_decoder_adapter_parameters(d);
    list l = { .rank = o->rank };
    float *flat = NULL;
    char *path = NULL;
    fm_status st;

    if ((st = fm_adapter_each(d, count_module, &l)) != FM_OK ||
        (st = fm_alloc(parameters, sizeof *flat, (void **)&flat)) != FM_OK ||
        (st = fm_alloc(l.most, sizeof *l.views, (void **)&l.views)) != FM_OK ||
        (st = fm_alloc(l.most, sizeof *l.names, (void **)&l.names)) != FM_OK)
        goto done;
    fm_decoder_adapters_get(d, flat);
    l.flat = flat;
    if ((st = fm_adapter_each(d, add_module, &l)) == FM_OK &&
        (st = fm_path_join(n->temp, FM_ADAPTER_WEIGHTS, &path)) == FM_OK)
        st = write_weights(&l, o->alpha, about, path);
done:
    free(flat);
    free(l.views);
    free(l.names);
    free(path);
    return st;
}

static fm_status check(const fm_decoder *d)
{
    if (fm_decoder_adapter_parameters(d) == 0)
        return fm_fail(FM_EINVAL, "the model has no adapters to be written");
    if (fm_decoder_get_config(d)->family == FM_DECODER_GRANITEMOE &&
        (fm_decoder_get_options(d)->adapters.maps & FM_ADAPT_EXPERTS))
        return fm_fail(FM_EINVAL, "GraniteMoE keeps its routed experts in one tensor, for which "
                                  "there are no adapters");
    return FM_OK;
}

fm_status fm_adapter_write(const fm_decoder *d, const fm_adapter_about *about, const char *output)
{
    fm_new_folder n = { 0 };
    fm_status st;

    if (!d || !about || !output)
        return fm_fail(FM_EINVAL, "fm_adapter_write: an argument is missing");
    if ((st = check(d)) != FM_OK || (st = fm_new_folder_begin(output, &n)) != FM_OK)
        return st;
    n.owner_only = about->owner_only;
    if ((st = put_weights(d, about, &n)) == FM_OK && (st = put_config(d, about->base, &n)) == FM_OK)
        st = fm_new_folder_finish(&n);
    fm_new_folder_abort(&n);
    return st;
}
