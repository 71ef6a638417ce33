/* A tokenizer.json read whole, and what can be asked of it. */
#include <stdlib.h>

#include "fedmoe/base/file.h"
#include "tokenizer_internal.h"

static const char *const known[] = {
    "version",       "truncation",     "padding", "added_tokens", "normalizer",
    "pre_tokenizer", "post_processor", "decoder", "model",        NULL
};

/* Truncation would cut texts, padding to a fixed length lengthen them. */
static fm_status check_lengths(const fm_tk_at *at, const json_t *root)
{
    const json_t *truncation = json_object_get(root, "truncation");
    const json_t *padding = json_object_get(root, "padding");
    const json_t *strategy = json_object_get(padding, "strategy");
    const json_t *multiple = json_object_get(padding, "pad_to_multiple_of");
    const fm_tk_at cut = fm_tk_in(at, "truncation"), pad = fm_tk_in(at, "padding");

    if (truncation && !json_is_null(truncation))
        return fm_tk_refuse(&cut, "cutting texts is not supported; must be null");
    /* To the longest of several texts: one alone stays as it is. */
    if (padding && !json_is_null(padding) &&
        !(json_is_string(strategy) && strcmp(json_string_value(strategy), "BatchLongest") == 0 &&
          (!multiple || json_is_null(multiple))))
        return fm_tk_refuse(&pad, "padding is not supported; must be null");
    return FM_OK;
}

static fm_status check_version(const fm_tk_at *at, const json_t *root)
{
    const json_t *version = json_object_get(root, "version");
    const fm_tk_at in = fm_tk_in(at, "version");

    if (version && !(json_is_string(version) && strcmp(json_string_value(version), "1.0") == 0))
        return fm_tk_refuse(&in, "must be \"1.0\"");
    return FM_OK;
}

static fm_status read_root(fm_tokenizer *t, const char *name, const json_t *root)
{
    const fm_tk_at at = { .file = name };
    const fm_tk_at model = fm_tk_in(&at, "model"), added = fm_tk_in(&at, "added_tokens"),
                   normalizer = fm_tk_in(&at, "normalizer"),
                   splits = fm_tk_in(&at, "pre_tokenizer"), post = fm_tk_in(&at, "post_processor"),
                   decoder = fm_tk_in(&at, "decoder");
    const json_t *tokens = json_object_get(root, "added_tokens");
    fm_status st = fm_tk_keys(&at, root, known);

    if (!st)
        st = check_version(&at, root);
    if (!st)
        st = check_lengths(&at, root);
    if (!st)
        st = fm_tk_read_normalizer(t, &normalizer, json_object_get(root, "normalizer"));
    if (!st)
        st = fm_tk_read_splits(t, &splits, json_object_get(root, "pre_tokenizer"));
    if (!st)
        st = fm_tk_read_decoder(t, &decoder, json_object_get(root, "decoder"));
    if (!st)
        st = fm_tk_read_model(t, &model, json_object_get(root, "model"), tokens);
    if (!st)
        st = fm_tk_read_added(t, &added, tokens);
    if (!st)
        st = fm_tk_read_post(t, &post, json_object_get(root, "post_processor"));
    return st;
}

static fm_status parse_json(const char *name, const void *json, size_t len, json_t **out)
{
    json_error_t error;

    *out = json_loadb(json ? json : "", len, JSON_REJECT_DUPLICATES, &error);
    if (*out)
        return FM_OK;
    if (json_error_code(&error) == json_error_out_of_memory)
        return fm_fail(FM_ENOMEM, "%s: no memory to parse it", name);
    return fm_fail(FM_EPARSE, "%s:%d:%d: %s", name, error.line, error.column, error.text);
}

fm_status fm_tokenizer_parse(const char *name, const void *json, size_t len, fm_tokenizer **out)
{
    fm_tokenizer *t = NULL;
    json_t *root = NULL;
    fm_status st;

    if (!name || (!json && len) || !out)
        return fm_fail(FM_EINVAL, "fm_tokenizer_parse: no text");
    if (len > FM_TOKENIZER_MAX_FILE)
        return fm_fail(FM_EPROTO, "%s: longer than %zu bytes", name, FM_TOKENIZER_MAX_FILE);
    if ((st = parse_json(name, json, len, &root)) != FM_OK)
        return st;
    if ((st = fm_alloc(1, sizeof *t, (void **)&t)) == FM_OK &&
        (st = fm_tk_classes_get(&t->classes)) == FM_OK)
        st = read_root(t, name, root);
    json_decref(root);
    if (st)
        fm_tokenizer_free(&t);
    else
        *out = t;
    return st;
}

fm_status fm_tokenizer_load(const char *path, fm_tokenizer **out)
{
    fm_buf text;
    fm_status st;

    if (!path || !out)
        return fm_fail(FM_EINVAL, "fm_tokenizer_load: no path");
    if ((st = fm_file_read(path, FM_TOKENIZER_MAX_FILE, &text)) != FM_OK)
        return st;
    st = fm_tokenizer_parse(path, text.data, text.len, out);
    fm_buf_fini(&text);
    return st;
}

void fm_tokenizer_free(fm_tokenizer **pt)
{
    fm_tokenizer *t = pt ? *pt : NULL;

    if (!t)
        return;
    for (size_t i = 0; i < t->stage_count; i++) {
        pcre2_code_free(t->stages[i].code);
        fm_tk_runs_fini(&t->stages[i].runs);
    }
    fm_buf_fini(&t->texts);
    fm_buf_fini(&t->bytes);
    free(t->tokens);
    free(t->index);
    free(t->merges);
    free(t->added);
    free(t->raw.nodes);
    free(t->normal.nodes);
    free(t->before);
    free(t->after);
    free(t);
    *pt = NULL;
}

size_t fm_tokenizer_vocabulary(const fm_tokenizer *t)
{
    return t->token_count;
}

bool fm_tokenizer_has_bytes(const fm_tokenizer *t)
{
    for (size_t b = 0; b < 256; b++)
        if (t->of_byte[b] == FM_TK_NONE)
            return false;
    return true;
}

bool fm_tokenizer_id(const fm_tokenizer *t, const char *token, size_t len, uint32_t *id)
{
    const uint32_t found = token ? fm_tk_find(t, token, len) : FM_TK_NONE;

    if (found != FM_TK_NONE)
        *id = found;
    return found != FM_TK_NONE;
}

fm_status fm_tokenizer_get(const fm_tokenizer *t, uint32_t id, fm_tokenizer_token *out)
{
    const fm_tk_token *k;

    if (id >= t->token_count || !t->tokens[id].present)
        return fm_fail(FM_ENOTFOUND, "no token has the id %u", (unsigned)id);
    k = &t->tokens[id];
    *out = (fm_tokenizer_token){ .text = (const char *)t->texts.data + k->text,
                                 .text_len = k->text_len,
                                 .bytes = t->bytes.data + k->bytes,
                                 .bytes_len = k->bytes_len,
                                 .added = k->added,
                                 .special = k->special };
    return FM_OK;
}
