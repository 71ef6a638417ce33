/* inspect of a folder as PEFT and finetune write it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_inspect.h"
#include "decoder_adapter_internal.h"
#include "decoder_folder_internal.h"
#include "fedmoe/base/file.h"

typedef struct {
    json_t *config;
    fm_safetensors *file; /* its header alone */
    size_t values;
} opened;

static bool has(const char *dir, const char *name)
{
    char *path = NULL;
    const bool is = fm_path_join(dir, name, &path) == FM_OK && fm_file_exists(path);

    free(path);
    return is;
}

bool fm_inspect_is_peft(const char *dir)
{
    return has(dir, FM_PEFT_CONFIG) && !has(dir, FM_FOLDER_CONFIG);
}

static fm_status open_folder(const char *dir, opened *o)
{
    char *config = NULL, *file = NULL;
    fm_status st = fm_path_join(dir, FM_PEFT_CONFIG, &config);

    if (!st && !(st = fm_json_read(config, &o->config)) &&
        !(st = fm_path_join(dir, FM_PEFT_FILE, &file)))
        st = fm_safetensors_open(file, &o->file);
    for (size_t i = 0; !st && i < fm_safetensors_count(o->file); i++) {
        const fm_tensor_view *v = fm_safetensors_at(o->file, i);
        size_t n = 1;

        for (size_t k = 0; k < v->dims; k++)
            n *= v->shape[k]; /* bounded by the file's length */
        o->values += n;
    }
    free(config);
    free(file);
    return st;
}

static void print_clean(const char *before, const char *text, const char *end)
{
    fputs(before, stdout);
    fm_inspect_print_clean(text, strlen(text), end);
}

static void print_text(const opened *o)
{
    const char *base = json_string_value(json_object_get(o->config, "base_model_name_or_path"));

    printf("adapters    rank %g, alpha %g; with PEFT's names\n",
           json_number_value(json_object_get(o->config, "r")),
           json_number_value(json_object_get(o->config, "lora_alpha")));
    printf("values      %zu in %zu tensors\n", o->values, fm_safetensors_count(o->file));
    print_clean("base        ", base ? base : "not said", "\n\nmetadata\n");
    for (size_t i = 0; i < fm_safetensors_meta_count(o->file); i++) {
        const fm_safetensors_meta m = fm_safetensors_meta_at(o->file, i);

        print_clean("  ", m.key, ": ");
        print_clean("", m.value, "\n");
    }
    printf("\ntensors\n");
    for (size_t i = 0; i < fm_safetensors_count(o->file); i++)
        print_clean("  ", fm_safetensors_at(o->file, i)->name, "\n");
}

static fm_status print_json(const opened *o)
{
    json_t *meta = json_object(), *tensors = json_array(), *root;
    fm_status st;

    for (size_t i = 0; i < fm_safetensors_meta_count(o->file); i++) {
        const fm_safetensors_meta m = fm_safetensors_meta_at(o->file, i);

        json_object_set_new(meta, m.key, json_string(m.value));
    }
    for (size_t i = 0; i < fm_safetensors_count(o->file); i++)
        json_array_append_new(tensors, json_string(fm_safetensors_at(o->file, i)->name));
    root = json_pack("{s:s, s:O, s:I, s:o, s:o}", "kind", "peft", "adapter_config", o->config,
                     "values", (json_int_t)o->values, "metadata", meta, "tensors", tensors);
    st = root ? fm_json_print(root) : fm_fail(FM_ENOMEM, "out of memory");
    json_decref(root);
    return st;
}

fm_status fm_inspect_peft(const char *dir, bool json)
{
    opened o = { 0 };
    fm_status st = open_folder(dir, &o);

    if (!st && json)
        st = print_json(&o);
    else if (!st)
        print_text(&o);
    fm_safetensors_free(&o.file);
    json_decref(o.config);
    return st;
}
