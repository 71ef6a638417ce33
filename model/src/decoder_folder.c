/* Opening: what is in the folder, and whether it is one model. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "decoder_adapter_internal.h"
#include "decoder_folder_internal.h"
#include "fedmoe/base/file.h"

static fm_status read_text(const char *dir, const char *name, fm_buf *out)
{
    char *path = NULL;
    fm_status st = fm_path_join(dir, name, &path);

    if (st == FM_OK)
        st = fm_file_read(path, FM_FOLDER_MAX_JSON, out);
    free(path);
    return st;
}

static bool has(const char *dir, const char *name)
{
    char *path = NULL;
    const bool is = fm_path_join(dir, name, &path) == FM_OK && fm_file_exists(path);

    free(path);
    return is;
}

static fm_status read_config(fm_decoder_folder *f)
{
    char *path = NULL;
    fm_status st = read_text(f->dir, FM_FOLDER_CONFIG, &f->json);

    if (st == FM_OK && (st = fm_path_join(f->dir, FM_FOLDER_CONFIG, &path)) == FM_OK)
        st = fm_decoder_json_parse(path, f->json.data, f->json.len, &f->parsed);
    free(path);
    return st != FM_OK ? st : fm_decoder_layout_make(&f->parsed.config, &f->layout);
}

static fm_status take_single(fm_decoder_folder *f)
{
    void *fresh;
    fm_status st = fm_alloc(1, sizeof *f->names, &fresh);

    if (st != FM_OK)
        return st;
    f->names = fresh;
    f->shards = 1;
    return fm_strdup(FM_FOLDER_SINGLE, &f->names[0]);
}

/* Sets the names of the files with weights; *map stays NULL when there is one. */
static fm_status find_shards(fm_decoder_folder *f, json_t **map)
{
    const bool single = has(f->dir, FM_FOLDER_SINGLE), many = has(f->dir, FM_FOLDER_INDEX);
    char *path = NULL;
    fm_status st;

    if (single && many)
        return fm_fail(FM_EPROTO,
                       "%s: has both " FM_FOLDER_SINGLE " and " FM_FOLDER_INDEX
                       "; take away the one that does not count",
                       f->dir);
    if (single)
        return take_single(f);
    if (!many)
        return fm_fail(FM_ENOTFOUND,
                       "%s: has neither " FM_FOLDER_SINGLE " nor " FM_FOLDER_INDEX
                       "; weights are read as safetensors only",
                       f->dir);
    if ((st = read_text(f->dir, FM_FOLDER_INDEX, &f->index)) == FM_OK &&
        (st = fm_path_join(f->dir, FM_FOLDER_INDEX, &path)) == FM_OK)
        st = fm_folder_index_names(path, &f->index, map, &f->names, &f->shards);
    free(path);
    return st;
}

static fm_status open_shards(fm_decoder_folder *f)
{
    void *fresh;
    fm_status st = fm_alloc(f->shards, sizeof *f->files, &fresh);

    if (st != FM_OK)
        return st;
    f->files = fresh;
    for (size_t i = 0; i < f->shards && st == FM_OK; i++) {
        char *path = NULL;

        if ((st = fm_path_join(f->dir, f->names[i], &path)) == FM_OK &&
            (st = fm_safetensors_open(path, &f->files[i])) == FM_OK)
            f->count += fm_safetensors_count(f->files[i]);
        free(path);
    }
    return st;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp((*(fm_folder_tensor *const *)a)->view->name,
                  (*(fm_folder_tensor *const *)b)->view->name);
}

static fm_status list_tensors(fm_decoder_folder *f)
{
    size_t n = 0;
    void *fresh;
    fm_status st;

    if ((st = fm_alloc(f->count, sizeof *f->tensors, &fresh)) != FM_OK)
        return st;
    f->tensors = fresh;
    if ((st = fm_alloc(f->count, sizeof *f->by_name, &fresh)) != FM_OK)
        return st;
    f->by_name = fresh;
    for (size_t i = 0; i < f->shards; i++)
        for (size_t k = 0; k < fm_safetensors_count(f->files[i]); k++, n++) {
            f->tensors[n] = (fm_folder_tensor){ .view = fm_safetensors_at(f->files[i], k),
                                                .file = f->files[i] };
            f->by_name[n] = &f->tensors[n];
        }
    qsort(f->by_name, f->count, sizeof *f->by_name, compare_names);
    for (size_t i = 1; i < f->count; i++)
        if (compare_names(&f->by_name[i - 1], &f->by_name[i]) == 0)
            return fm_fail(FM_EPROTO, "%s: tensor '%.200s' is in two files", f->dir,
                           f->by_name[i]->view->name);
    return FM_OK;
}

/* The first that the index has and no file does. */
static fm_status fail_missing(const fm_decoder_folder *f, json_t *map)
{
    const char *tensor;
    json_t *file;

    json_object_foreach(map, tensor, file)
    {
        bool there = false;

        for (size_t i = 0; i < f->shards && !there; i++)
            there = fm_safetensors_find(f->files[i], tensor) != NULL;
        if (!there)
            return fm_fail(FM_EPROTO, "%s/%s: tensor '%.200s' is missing", f->dir,
                           json_string_value(file), tensor);
    }
    return fm_fail(FM_EINTERNAL, "%s: its index and its files differ", f->dir);
}

/* Every tensor is in the index, where the index says, and the index names no other. */
static fm_status check_index(const fm_decoder_folder *f, json_t *map)
{
    for (size_t i = 0; i < f->shards; i++)
        for (size_t k = 0; k < fm_safetensors_count(f->files[i]); k++) {
            const char *name = fm_safetensors_at(f->files[i], k)->name;
            const char *said = json_string_value(json_object_get(map, name));

            if (!said || strcmp(said, f->names[i]) != 0)
                return fm_fail(FM_EPROTO, "%s/%s: tensor '%.200s': " FM_FOLDER_INDEX " %s%.200s",
                               f->dir, f->names[i], name, said ? "has it in " : "does not have it",
                               said ? said : "");
        }
    return f->count == json_object_size(map) ? FM_OK : fail_missing(f, map);
}

static fm_status holds(const char *dir, const char *name, bool *out)
{
    char *path = NULL;
    const fm_status st = fm_path_join(dir, name, &path);

    *out = st == FM_OK && fm_file_exists(path);
    free(path);
    return st;
}

static fm_status refuse_adapters(const char *dir)
{
    bool config = false, adapters = false;
    fm_status st;

    if ((st = holds(dir, FM_FOLDER_CONFIG, &config)) != FM_OK ||
        (st = holds(dir, FM_PEFT_CONFIG, &adapters)) != FM_OK || config || !adapters)
        return st;
    return fm_fail(FM_EINVAL,
                   "%s: holds adapters, no model of its own: give the model that they are for, and "
                   "this folder as --adapter (for generate to 'fedmoe-model quantize')",
                   dir);
}

/* Also of what quantize wrote. */
static fm_status refuse_file(const char *path)
{
    struct stat info;

    if (stat(path, &info) != 0)
        return FM_OK;
    if (S_ISDIR(info.st_mode))
        return refuse_adapters(path);
    return fm_fail(FM_EINVAL,
                   "%s: is a file; here a language model is a folder, with " FM_FOLDER_CONFIG
                   " (what 'fedmoe-model quantize' wrote is for generate and inspect)",
                   path);
}

static fm_status open_all(fm_decoder_folder *f)
{
    json_t *map = NULL;
    fm_status st;

    if ((st = refuse_file(f->dir)) == FM_OK && (st = read_config(f)) == FM_OK &&
        (st = find_shards(f, &map)) == FM_OK && (st = open_shards(f)) == FM_OK &&
        (st = map ? check_index(f, map) : FM_OK) == FM_OK && (st = list_tensors(f)) == FM_OK &&
        (st = fm_folder_assign(f)) == FM_OK)
        st = fm_folder_list_runs(f);
    json_decref(map);
    return st;
}

fm_status fm_decoder_folder_open(const char *dir, fm_decoder_folder **out)
{
    fm_decoder_folder *f;
    void *fresh;
    fm_status st;

    if (!dir || !out)
        return fm_fail(FM_EINVAL, "fm_decoder_folder_open: an argument is missing");
    if ((st = fm_alloc(1, sizeof *f, &fresh)) != FM_OK)
        return st;
    f = fresh;
    if ((st = fm_strdup(dir, &f->dir)) == FM_OK && (st = open_all(f)) == FM_OK) {
        *out = f;
        f = NULL;
    }
    fm_decoder_folder_free(&f);
    return st;
}

void fm_decoder_folder_free(fm_decoder_folder **f)
{
    if (!f || !*f)
        return;
    for (size_t i = 0; i < (*f)->shards; i++) {
        if ((*f)->files)
            fm_safetensors_free(&(*f)->files[i]);
        free((*f)->names[i]);
    }
    free((*f)->names);
    free((*f)->files);
    free((*f)->tensors);
    free((*f)->by_name);
    free((*f)->runs);
    fm_decoder_layout_free(&(*f)->layout);
    fm_buf_fini(&(*f)->json);
    fm_buf_fini(&(*f)->index);
    free((*f)->dir);
    free(*f);
    *f = NULL;
}

const fm_decoder_config *fm_decoder_folder_config(const fm_decoder_folder *f)
{
    return &f->parsed.config;
}

const fm_decoder_layout *fm_decoder_folder_layout(const fm_decoder_folder *f)
{
    return &f->layout;
}

const fm_buf *fm_decoder_folder_json(const fm_decoder_folder *f)
{
    return &f->json;
}

const fm_safetensors *fm_decoder_folder_file(const fm_decoder_folder *f)
{
    return f->files[0];
}

/* Kinds of the weights that are read, the one with most bytes first. */
static void name_kinds(const fm_decoder_folder *f, char out[FM_DECODER_DTYPE_TEXT])
{
    static const char *const kinds[] = { "F32", "BF16", "F16" };
    uint64_t bytes[3] = { 0 };
    size_t at = 0;

    for (size_t i = 0; i < f->count; i++)
        for (size_t k = 0; k < 3; k++)
            if (f->tensors[i].role != FM_TENSOR_PASSED &&
                strcmp(f->tensors[i].view->dtype, kinds[k]) == 0)
                bytes[k] += f->tensors[i].view->bytes;
    out[0] = '\0';
    for (size_t round = 0; round < 3; round++) {
        size_t most = 0;

        for (size_t k = 1; k < 3; k++)
            most = bytes[k] > bytes[most] ? k : most;
        if (bytes[most] == 0)
            return;
        at += (size_t)snprintf(out + at, FM_DECODER_DTYPE_TEXT - at, "%s%s", at ? " and " : "",
                               kinds[most]);
        bytes[most] = 0;
    }
}

void fm_decoder_folder_describe(const fm_decoder_folder *f, fm_decoder_folder_facts *out)
{
    fm_decoder_folder_facts facts = { .shards = f->shards, .tensors = f->count };

    for (size_t i = 0; i < f->shards; i++)
        facts.bytes += fm_safetensors_bytes(f->files[i]);
    for (size_t i = 0; i < f->count; i++)
        if (f->tensors[i].role == FM_TENSOR_PASSED) {
            facts.passed_tensors++;
            facts.passed_bytes += f->tensors[i].view->bytes;
        }
    name_kinds(f, facts.dtype);
    facts.tokenizer = has(f->dir, FM_FOLDER_TOKENIZER);
    *out = facts;
}
