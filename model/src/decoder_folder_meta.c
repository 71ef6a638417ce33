/* Metadata of a folder's files of weights. */
#include <stdlib.h>
#include <string.h>

#include "decoder_folder_internal.h"

#define LENGTH_BYTES 8u

const char *fm_decoder_folder_meta(const fm_decoder_folder *f, const char *key)
{
    const char *value = NULL;

    for (size_t i = 0; i < f->shards && !value; i++)
        value = fm_safetensors_meta_get(f->files[i], key);
    return value;
}

static bool add(json_t *root, const fm_decoder_about *about)
{
    json_t *meta = json_object_get(root, "__metadata__");

    if (!meta && (json_object_set_new(root, "__metadata__", json_object()) != 0 ||
                  !(meta = json_object_get(root, "__metadata__"))))
        return false;
    for (size_t i = 0; i < about->meta_count; i++)
        if (json_object_set_new(meta, about->meta[i].key, json_string(about->meta[i].value)) != 0)
            return false;
    return true;
}

/* Offsets count from the end of the head: the tensors' entries stay as they are. */
fm_status fm_folder_head(const fm_decoder_about *about, fm_buf *head)
{
    json_t *root = head->len < LENGTH_BYTES ? NULL
                                            : json_loadb((const char *)head->data + LENGTH_BYTES,
                                                         head->len - LENGTH_BYTES, 0, NULL);
    char *text = root && add(root, about) ? json_dumps(root, JSON_COMPACT) : NULL;
    const size_t n = text ? strlen(text) : 0, padded = (n + 7) / 8 * 8;
    uint8_t length[LENGTH_BYTES];
    fm_status st = FM_OK;

    json_decref(root);
    if (!text)
        return fm_fail(FM_ENOMEM, "no memory for a file's metadata, or it is not UTF-8 text");
    fm_put_u64le(length, padded);
    fm_buf_clear(head);
    if ((st = fm_buf_append(head, length, sizeof length)) == FM_OK)
        st = fm_buf_append(head, text, n);
    for (size_t i = n; st == FM_OK && i < padded; i++)
        st = fm_buf_append(head, " ", 1);
    free(text);
    return st;
}
