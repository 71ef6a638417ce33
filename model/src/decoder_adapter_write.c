/* Adapters as PEFT opens them: adapter_model.safetensors and adapter_config.json in a folder. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decoder_adapter_internal.h"
#include "decoder_folder_internal.h"
#include "fedmoe/base/file.h"

#define NAME 160
#define META ((size_t)16) /* of the caller's */

typedef struct {
    const fm_decoder *d;
    const fm_decoder_adapters *adapters;
    float *flat;
    fm_tensor_view *views; /* sorted by name */
    char (*names)[NAME];
    size_t count, room;
} writer;

static void add_half(writer *w, const char *module, const fm_decoder_adapter *at, bool b)
{
    const size_t rank = w->adapters->rank, other = b ? at->out : at->in;

    (void)snprintf(w->names[w->count], NAME, "%s.lora_%c.weight", module, b ? 'B' : 'A');
    w->views[w->count] = (fm_tensor_view){ .name = w->names[w->count],
                                           .dtype = "F32",
                                           .dims = 2,
                                           .shape = { b ? other : rank, b ? rank : other },
                                           .data = (const uint8_t *)(w->flat + (b ? at->b : at->a)),
                                           .bytes = rank * other * sizeof(float) };
    w->count++;
}

/* One map of one layer, of each expert where it is theirs. Without views: only counts. */
static void add_map(writer *w, size_t layer, const fm_peft_map *m)
{
    const size_t experts =
        m->map == FM_ADAPT_EXPERTS ? fm_decoder_get_config(w->d)->experts : (size_t)1;
    const size_t cut = sizeof FM_PEFT_EXPERTS - 1;
    fm_decoder_adapter at;
    char module[NAME - 32];

    for (size_t e = 0; e < experts; e++) {
        if (!fm_decoder_adapter_at(w->d, layer, m->map, m->part, e, &at))
            return;
        if (!w->views) {
            w->room += 2;
            continue;
        }
        if (m->map == FM_ADAPT_EXPERTS)
            (void)snprintf(module, sizeof module, FM_PEFT_PREFIX "%zu." FM_PEFT_EXPERTS "%zu.%s",
                           layer, e, m->module + cut);
        else
            (void)snprintf(module, sizeof module, FM_PEFT_PREFIX "%zu.%s", layer, m->module);
        add_half(w, module, &at, false);
        add_half(w, module, &at, true);
    }
}

static void add_all(writer *w)
{
    const fm_decoder_config *c = fm_decoder_get_config(w->d);

    for (size_t layer = 0; layer < c->layers; layer++)
        for (size_t i = 0; i < FM_PEFT_MAPS; i++)
            if ((w->adapters->maps & fm_peft_maps[i].map) && fm_peft_has(c, &fm_peft_maps[i]))
                add_map(w, layer, &fm_peft_maps[i]);
}

static int compare_views(const void *a, const void *b)
{
    return strcmp(((const fm_tensor_view *)a)->name, ((const fm_tensor_view *)b)->name);
}

static fm_status list_tensors(writer *w)
{
    void *fresh;
    fm_status st;

    add_all(w);
    if ((st = fm_alloc(w->room, sizeof *w->names, &fresh)) != FM_OK)
        return st;
    w->names = fresh;
    if ((st = fm_alloc(w->room, sizeof *w->views, &fresh)) != FM_OK)
        return st;
    w->views = fresh;
    add_all(w);
    qsort(w->views, w->count, sizeof *w->views, compare_views);
    return FM_OK;
}

/* A pattern for the whole name of a module: the same suffix means dense, shared and routed parts. */
static fm_status put_pattern(const writer *w, fm_buf *out)
{
    const fm_decoder_config *c = fm_decoder_get_config(w->d);
    const char *separator = "";
    fm_status st = fm_buf_printf(out, "model\\.layers\\.\\d+\\.(");

    for (size_t i = 0; i < FM_PEFT_MAPS && st == FM_OK; i++) {
        const fm_peft_map *m = &fm_peft_maps[i];

        if (!(w->adapters->maps & m->map) || !fm_peft_has(c, m))
            continue;
        st = m->map == FM_ADAPT_EXPERTS
                 ? fm_buf_printf(out, "%smlp\\.experts\\.\\d+\\.%s", separator,
                                 m->module + sizeof FM_PEFT_EXPERTS - 1)
                 : fm_buf_printf(out, "%s%s", separator, m->module);
        separator = "|";
    }
    return st != FM_OK ? st : fm_buf_printf(out, ")");
}

static fm_status put_config(const writer *w, const char *base, const fm_new_folder *n)
{
    fm_buf pattern = { 0 };
    json_t *root;
    char *text = NULL;
    fm_status st = put_pattern(w, &pattern);

    if (st != FM_OK)
        goto done;
    root = json_pack("{s:s, s:s, s:i, s:f, s:f, s:s, s:s, s:b, s:b, s:b, s:b, s:s?}", "peft_type",
                     "LORA", "task_type", "CAUSAL_LM", "r", (int)w->adapters->rank, "lora_alpha",
                     w->adapters->alpha, "lora_dropout", 0.0, "bias", "none", "target_modules",
                     (const char *)pattern.data, "use_rslora", 0, "use_dora", 0, "fan_in_fan_out",
                     0, "inference_mode", 1, "base_model_name_or_path", base);
    text =
        root ? json_dumps(root, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_REAL_PRECISION(15)) : NULL;
    json_decref(root);
    st = text ? fm_new_folder_put(n, FM_PEFT_CONFIG, text, strlen(text))
              : fm_fail(FM_ENOMEM, "no memory for " FM_PEFT_CONFIG ", or a name that is not UTF-8");
done:
    free(text);
    fm_buf_fini(&pattern);
    return st;
}

static fm_status put_tensors(const writer *w, const fm_adapter_about *about, const fm_new_folder *n)
{
    char rank[24], alpha[40], *path = NULL;
    fm_safetensors_meta meta[META + 3] = { { "format", "pt" },
                                           { "lora_alpha", alpha },
                                           { "r", rank } };
    fm_status st = fm_path_join(n->temp, FM_PEFT_FILE, &path);

    (void)snprintf(rank, sizeof rank, "%zu", w->adapters->rank);
    (void)snprintf(alpha, sizeof alpha, "%.17g", w->adapters->alpha);
    for (size_t i = 0; i < about->meta_count; i++)
        meta[3 + i] = about->meta[i];
    if (st == FM_OK)
        st = fm_safetensors_replace(path, 0644, w->views, w->count, meta, 3 + about->meta_count);
    free(path);
    return st;
}

static fm_status put_all(const writer *w, const fm_adapter_about *about, const char *output)
{
    fm_new_folder n = { 0 };
    fm_status st = fm_new_folder_begin(output, &n);

    n.owner_only = about->owner_only;
    if (st == FM_OK && (st = put_tensors(w, about, &n)) == FM_OK &&
        (st = put_config(w, about->base, &n)) == FM_OK)
        st = fm_new_folder_finish(&n);
    fm_new_folder_abort(&n);
    return st;
}

fm_status fm_adapter_write(const fm_decoder *d, const fm_decoder_adapters *a,
                           const fm_adapter_about *about, const char *output)
{
    writer w = { .d = d, .adapters = a };
    void *flat = NULL;
    fm_status st;

    if (!d || !a || !about || about->meta_count > META || !output ||
        fm_decoder_adapter_parameters(d) == 0)
        return fm_fail(FM_EINVAL, "fm_adapter_write: a decoder with adapters is needed");
    if (fm_decoder_get_config(d)->family == FM_DECODER_GRANITEMOE && (a->maps & FM_ADAPT_EXPERTS))
        return fm_fail(FM_EINVAL,
                       "adapters of GraniteMoE's experts have no names in PEFT: all experts "
                       "are one tensor");
    if ((st = fm_alloc(fm_decoder_adapter_parameters(d), sizeof(float), &flat)) != FM_OK)
        return st;
    w.flat = flat;
    fm_decoder_adapters_get_plain(d, w.flat);
    if ((st = list_tensors(&w)) == FM_OK)
        st = put_all(&w, about, output);
    free(w.names);
    free(w.views);
    free(flat);
    return st;
}
