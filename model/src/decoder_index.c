/* model.safetensors.index.json: which file has which tensor. Nothing in it can leave the folder. */
#include <stdlib.h>
#include <string.h>

#include "decoder_folder_internal.h"

static bool is_plain_name(const char *name)
{
    static const char end[] = ".safetensors";
    const size_t len = strlen(name);

    if (len <= sizeof end - 1 || strcmp(name + len - (sizeof end - 1), end) != 0)
        return false;
    for (const char *p = name; *p; p++)
        if (*p == '/' || *p == '\\' || (unsigned char)*p < 0x20 || *p == 0x7f)
            return false;
    return name[0] != '.';
}

static fm_status check_map(const char *path, json_t *map)
{
    const char *tensor;
    json_t *file;

    if (!json_is_object(map) || json_object_size(map) == 0)
        return fm_fail(FM_EPROTO, "%s: weight_map is missing, or names no tensor", path);
    json_object_foreach(map, tensor, file)
    {
        if (!json_is_string(file))
            return fm_fail(FM_EPROTO, "%s: tensor '%.200s': its file is not a text", path, tensor);
        if (!is_plain_name(json_string_value(file)))
            return fm_fail(FM_EPROTO,
                           "%s: tensor '%.200s': '%.200s' is not the plain name of a .safetensors "
                           "file in this folder",
                           path, tensor, json_string_value(file));
    }
    return FM_OK;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorted, each once; they belong to the map. */
static fm_status collect(json_t *map, const char ***out, size_t *count)
{
    const size_t n = json_object_size(map);
    const char *tensor, **list;
    size_t kept = 0, i = 0;
    json_t *file;
    void *fresh;
    fm_status st = fm_alloc(n, sizeof *list, &fresh);

    if (st != FM_OK)
        return st;
    list = fresh;
    json_object_foreach(map, tensor, file) list[i++] = json_string_value(file);
    qsort(list, n, sizeof *list, compare_texts);
    for (i = 0; i < n; i++)
        if (kept == 0 || strcmp(list[kept - 1], list[i]) != 0)
            list[kept++] = list[i];
    *out = list;
    *count = kept;
    return FM_OK;
}

static fm_status copy_names(const char *path, const char **list, size_t count, char ***out)
{
    char **names;
    void *fresh;
    fm_status st;

    if (count > FM_FOLDER_MAX_SHARDS)
        return fm_fail(FM_EPROTO, "%s: names %zu files; at most %zu are read", path, count,
                       FM_FOLDER_MAX_SHARDS);
    if ((st = fm_alloc(count, sizeof *names, &fresh)) != FM_OK)
        return st;
    names = fresh;
    for (size_t i = 0; i < count && st == FM_OK; i++)
        st = fm_strdup(list[i], &names[i]);
    if (st == FM_OK) {
        *out = names;
        return FM_OK;
    }
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
    return st;
}

fm_status fm_folder_index_names(const char *path, const fm_buf *text, json_t **map, char ***names,
                                size_t *shards)
{
    const char **list = NULL;
    size_t count = 0;
    json_error_t error;
    json_t *root, *inner;
    fm_status st;

    root = json_loadb(text->data ? (const char *)text->data : "", text->len, JSON_REJECT_DUPLICATES,
                      &error);
    if (!root && json_error_code(&error) == json_error_out_of_memory)
        return fm_fail(FM_ENOMEM, "%s: no memory to parse it", path);
    if (!root)
        return fm_fail(FM_EPARSE, "%s:%d:%d: %s", path, error.line, error.column, error.text);
    inner = json_object_get(root, "weight_map");
    if ((st = check_map(path, inner)) == FM_OK && (st = collect(inner, &list, &count)) == FM_OK &&
        (st = copy_names(path, list, count, names)) == FM_OK) {
        *map = json_incref(inner);
        *shards = count;
    }
    free(list);
    json_decref(root);
    return st;
}
