/* The file's vocabulary, merges and added tokens. */
#include <stdlib.h>

#include "tokenizer_internal.h"

#define ADDED_MOST ((size_t)1 << 16)

/* Largest id + 1 of the vocabulary and the added tokens. */
static fm_status count_ids(const fm_tk_at *at, const json_t *vocab, const json_t *added,
                           size_t *ids)
{
    const char *key;
    json_t *value;
    size_t i;
    uint32_t id;
    fm_status st = FM_OK;

    json_object_foreach((json_t *)(uintptr_t)vocab, key, value)
    {
        if (!fm_tk_is_id(value)) { /* the place is written only then: there are many */
            const fm_tk_at in = fm_tk_in(at, key);

            return fm_tk_id(&in, value, &id);
        }
        id = (uint32_t)json_integer_value(value);
        *ids = id + 1 > *ids ? id + 1 : *ids;
    }
    json_array_foreach(added, i, value)
    {
        const fm_tk_at root = { .file = at->file }, in = fm_tk_item(&root, "added_tokens", i);

        if (!json_is_object(value))
            return fm_tk_refuse(&in, "must be an object");
        if ((st = fm_tk_id(&in, json_object_get(value, "id"), &id)) != FM_OK)
            return st;
        *ids = id + 1 > *ids ? id + 1 : *ids;
    }
    return FM_OK;
}

static fm_status read_vocab(fm_tokenizer *t, const fm_tk_at *at, const json_t *vocab,
                            const json_t *added)
{
    const fm_tk_at in = fm_tk_in(at, "vocab");
    const char *key;
    size_t len, ids = 0;
    json_t *value;
    fm_status st;

    if (!json_is_object(vocab) || !json_object_size(vocab))
        return fm_tk_refuse(&in, "must be an object of tokens and their ids");
    if ((st = count_ids(&in, vocab, added, &ids)) != FM_OK ||
        (st = fm_tk_vocab_begin(t, ids, json_object_size(vocab) + json_array_size(added))) != FM_OK)
        return st;
    json_object_keylen_foreach((json_t *)(uintptr_t)vocab, key, len, value)
    {
        const uint32_t id = (uint32_t)json_integer_value(value);

        if (t->tokens[id].present)
            return fm_tk_refuse(&in, "'%.64s' has the id %u, which another token has", key,
                                (unsigned)id);
        if ((st = fm_tk_vocab_add(t, id, key, len, false)) != FM_OK)
            return st;
    }
    return FM_OK;
}

/* "left right", or [left, right]. False when it is neither. */
static bool sides(const json_t *merge, const char *side[2], size_t len[2])
{
    const char *text = json_string_value(merge), *space;

    if (text) {
        space = memchr(text, ' ', json_string_length(merge));
        if (!space || strchr(space + 1, ' '))
            return false;
        side[0] = text;
        len[0] = (size_t)(space - text);
        side[1] = space + 1;
        len[1] = json_string_length(merge) - len[0] - 1;
        return true;
    }
    if (json_array_size(merge) != 2)
        return false;
    for (size_t i = 0; i < 2; i++) {
        const json_t *v = json_array_get(merge, i);

        if (!(side[i] = json_string_value(v)))
            return false;
        len[i] = json_string_length(v);
    }
    return true;
}

static fm_status read_merge(fm_tokenizer *t, const fm_tk_at *at, size_t i, const json_t *merge,
                            uint32_t rank, fm_buf *joined)
{
    const char *side[2], *missing = NULL;
    size_t len[2];
    uint32_t id[3];
    fm_status st;

    if (!sides(merge, side, len)) {
        const fm_tk_at in = fm_tk_item(at, "merges", i);

        return fm_tk_refuse(&in, "must be two tokens, \"a b\" or [\"a\", \"b\"]");
    }
    joined->len = 0;
    if ((st = fm_buf_append(joined, side[0], len[0])) != FM_OK ||
        (st = fm_buf_append(joined, side[1], len[1])) != FM_OK)
        return st;
    id[0] = fm_tk_find(t, side[0], len[0]);
    id[1] = fm_tk_find(t, side[1], len[1]);
    id[2] = fm_tk_find(t, (const char *)joined->data, joined->len);
    for (size_t k = 3; k-- > 0;)
        if (id[k] == FM_TK_NONE)
            missing = k < 2 ? side[k] : (const char *)joined->data;
    if (missing) {
        const fm_tk_at in = fm_tk_item(at, "merges", i);

        return fm_tk_refuse(&in, "'%.64s' is not in the vocabulary", missing);
    }
    fm_tk_merges_add(t, id[0], id[1], rank, id[2]);
    return FM_OK;
}

static fm_status read_merges(fm_tokenizer *t, const fm_tk_at *at, const json_t *merges)
{
    const fm_tk_at in = fm_tk_in(at, "merges");
    fm_buf joined = { 0 };
    json_t *merge;
    size_t i, skipped = 0;
    fm_status st;

    if (!json_is_array(merges))
        return fm_tk_refuse(&in, "must be a list");
    if ((st = fm_tk_merges_begin(t, json_array_size(merges))) != FM_OK)
        return st;
    json_array_foreach(merges, i, merge)
    {
        const char *text = json_string_value(merge);

        if (text && strncmp(text, "#version", 8) == 0) { /* as the library does */
            skipped++;
            continue;
        }
        if ((st = read_merge(t, at, i, merge, (uint32_t)(i - skipped), &joined)) != FM_OK)
            break;
    }
    fm_buf_fini(&joined);
    return st;
}

/* What would change the ids and is not supported must be absent or have its neutral value. */
static fm_status refuse_unsupported(const fm_tk_at *at, const json_t *model)
{
    static const char *const affixes[] = { "continuing_subword_prefix", "end_of_word_suffix" };
    const json_t *dropout = json_object_get(model, "dropout");
    const char *type = json_string_value(json_object_get(model, "type"));
    const fm_tk_at in = fm_tk_in(at, "dropout");

    if (json_object_get(model, "type") && (!type || strcmp(type, "BPE") != 0)) {
        const fm_tk_at of = fm_tk_in(at, "type");

        return fm_tk_refuse(&of, "'%.32s' is not supported; BPE is", type ? type : "?");
    }
    if (dropout && !json_is_null(dropout) &&
        !(json_number_value(dropout) == 0.0 && json_is_number(dropout)))
        return fm_tk_refuse(&in, "dropping merges at random is not supported; must be null");
    for (size_t i = 0; i < 2; i++) {
        const json_t *v = json_object_get(model, affixes[i]);
        const fm_tk_at of = fm_tk_in(at, affixes[i]);

        if (v && !json_is_null(v) && !(json_is_string(v) && json_string_length(v) == 0))
            return fm_tk_refuse(&of, "is not supported; must be null or empty");
    }
    return FM_OK;
}

static bool has_bytes(const fm_tokenizer *t)
{
    for (size_t b = 0; b < 256; b++)
        if (t->of_byte[b] == FM_TK_NONE)
            return false;
    return true;
}

/* byte_fallback looks for <0x41> where a character of the alphabet is missing. */
static fm_status read_unknown(fm_tokenizer *t, const fm_tk_at *at, const json_t *model)
{
    const json_t *unk = json_object_get(model, "unk_token");
    bool fallback;
    fm_status st = fm_tk_bool(at, model, "byte_fallback", 0, &fallback);

    if (!st)
        st = fm_tk_bool(at, model, "fuse_unk", 0, &t->fuse_unk);
    if (!st)
        st = fm_tk_bool(at, model, "ignore_merges", 0, &t->ignore_merges);
    if (st)
        return st;
    if (fallback && !has_bytes(t)) {
        const fm_tk_at in = fm_tk_in(at, "byte_fallback");

        return fm_tk_refuse(&in, "is not supported; bytes must be tokens of the byte alphabet");
    }
    t->unk = FM_TK_NONE;
    if (!unk || json_is_null(unk))
        return FM_OK;
    if (json_is_string(unk))
        t->unk = fm_tk_find(t, json_string_value(unk), json_string_length(unk));
    if (t->unk == FM_TK_NONE && !has_bytes(t)) { /* else it is never used */
        const fm_tk_at in = fm_tk_in(at, "unk_token");

        return fm_tk_refuse(&in, "must be a token of model.vocab");
    }
    return FM_OK;
}

fm_status fm_tk_read_model(fm_tokenizer *t, const fm_tk_at *at, const json_t *model,
                           const json_t *added)
{
    static const char *const known[] = { "type",
                                         "dropout",
                                         "unk_token",
                                         "continuing_subword_prefix",
                                         "end_of_word_suffix",
                                         "fuse_unk",
                                         "byte_fallback",
                                         "ignore_merges",
                                         "vocab",
                                         "merges",
                                         NULL };
    fm_status st;

    if (!json_is_object(model))
        return fm_tk_refuse(at, "must be an object");
    if ((st = refuse_unsupported(at, model)) != FM_OK || /* another kind of model has other keys */
        (st = fm_tk_keys(at, model, known)) != FM_OK ||
        (st = read_vocab(t, at, json_object_get(model, "vocab"), added)) != FM_OK ||
        (st = read_merges(t, at, json_object_get(model, "merges"))) != FM_OK)
        return st;
    return read_unknown(t, at, model);
}

/* The normal form in which a token is looked for. */
static fm_status normal_content(const fm_tokenizer *t, const char *text, size_t len, fm_buf *out)
{
    fm_buf next = { 0 };
    fm_status st = fm_buf_append(out, text, len);

    for (size_t i = 0; i < t->form_count && !st; i++) {
        st = fm_tk_normalise(t->forms[i], out->data, out->len, &next);
        fm_buf_fini(out);
        *out = next;
        next = (fm_buf){ 0 };
    }
    return st;
}

static fm_status plant(fm_tokenizer *t, const fm_tk_at *at, const char *text, size_t len,
                       bool normalized)
{
    fm_buf content = { 0 };
    bool repeated = false;
    fm_status st =
        normalized ? normal_content(t, text, len, &content) : fm_buf_append(&content, text, len);

    if (!st && (!content.len || content.len > FM_TK_MAX_CONTENT))
        st = fm_tk_refuse(at, "content must have 1 to %zu bytes", FM_TK_MAX_CONTENT);
    if (!st && fm_tk_stand_in(content.data, content.len))
        st = fm_tk_refuse(at, "content with U+10FFFF is not supported");
    if (!st)
        st = fm_tk_tree_add(normalized ? &t->normal : &t->raw, content.data, content.len,
                            (uint32_t)t->added_count, &repeated);
    if (!st && repeated)
        st = fm_tk_refuse(at, "another added token has the same content");
    fm_buf_fini(&content);
    return st;
}

/* The library numbers tokens that the vocabulary does not have by itself: from the vocabulary's size
 * on, in the file's order. */
static fm_status check_id(const fm_tokenizer *t, const fm_tk_at *at, uint32_t id, const char *text,
                          size_t len, uint32_t *next)
{
    const uint32_t have = fm_tk_find(t, text, len);
    const uint32_t want = have != FM_TK_NONE ? have : *next;

    if (id != want)
        return fm_tk_refuse(at, "id is %u, but by the vocabulary '%.64s' has %u", (unsigned)id,
                            text, (unsigned)want);
    if (have == FM_TK_NONE && t->tokens[id].present)
        return fm_tk_refuse(at, "id %u is that of another token", (unsigned)id);
    *next += have == FM_TK_NONE;
    return FM_OK;
}

static fm_status read_one(fm_tokenizer *t, const fm_tk_at *at, const json_t *obj, uint32_t *next)
{
    static const char *const known[] = { "id",     "content",    "single_word", "lstrip",
                                         "rstrip", "normalized", "special",     NULL };
    fm_tk_added *a = &t->added[t->added_count];
    const json_t *content = json_object_get(obj, "content");
    const char *text = json_string_value(content);
    const size_t len = json_string_length(content);
    bool normalized;
    fm_status st;

    if ((st = fm_tk_keys(at, obj, known)) != FM_OK ||
        (st = fm_tk_id(at, json_object_get(obj, "id"), &a->id)) != FM_OK)
        return st;
    if (!text || !len)
        return fm_tk_refuse(at, "content must be a text");
    if ((st = fm_tk_bool(at, obj, "single_word", -1, &a->single_word)) != FM_OK ||
        (st = fm_tk_bool(at, obj, "lstrip", -1, &a->lstrip)) != FM_OK ||
        (st = fm_tk_bool(at, obj, "rstrip", -1, &a->rstrip)) != FM_OK ||
        (st = fm_tk_bool(at, obj, "normalized", -1, &normalized)) != FM_OK ||
        (st = fm_tk_bool(at, obj, "special", -1, &a->special)) != FM_OK ||
        (st = check_id(t, at, a->id, text, len, next)) != FM_OK ||
        (st = plant(t, at, text, len, normalized)) != FM_OK)
        return st;
    st = fm_tk_vocab_mark(t, a->id, text, len, a->special);
    t->added_count++;
    return st;
}

fm_status fm_tk_read_added(fm_tokenizer *t, const fm_tk_at *at, const json_t *added)
{
    const size_t count = json_array_size(added);
    uint32_t next = 0;
    fm_status st;

    if (!added || json_is_null(added))
        return FM_OK;
    if (!json_is_array(added) || count > ADDED_MOST)
        return fm_tk_refuse(at, "must be a list of at most %zu tokens", ADDED_MOST);
    if (!count)
        return FM_OK;
    if ((st = fm_alloc(count, sizeof *t->added, (void **)&t->added)) != FM_OK)
        return st;
    for (size_t i = 0; i < t->token_count; i++)
        next += t->tokens[i].present;
    for (size_t i = 0; i < count && !st; i++) {
        const fm_tk_at root = { .file = at->file }, in = fm_tk_item(&root, "added_tokens", i);

        st = read_one(t, &in, json_array_get(added, i), &next);
    }
    return st;
}
