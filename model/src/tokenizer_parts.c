/* The file's normaliser, pre-tokenizers, post-processor and decoder. */
#include <stdio.h>
#include <stdlib.h>

#include "tokenizer_internal.h"

#define IDS_MOST ((size_t)1024)

static fm_status one_normalizer(fm_tokenizer *t, const fm_tk_at *at, const json_t *obj)
{
    static const char *const names[] = { "NFC", "NFD", "NFKC", "NFKD" };
    static const char *const known[] = { "type", NULL };
    const char *type;
    fm_status st = fm_tk_type(at, obj, &type);

    if (st)
        return st;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(type, names[i]) != 0)
            continue;
        if (t->form_count == FM_TK_MAX_STAGES)
            return fm_tk_refuse(at, "more than %zu normalizers", FM_TK_MAX_STAGES);
        t->forms[t->form_count++] = (fm_tk_form)i;
        return fm_tk_keys(at, obj, known);
    }
    return fm_tk_refuse(at,
                        "the normalizer '%.32s' is not supported; NFC, NFD, NFKC, NFKD and "
                        "Sequence are",
                        type);
}

fm_status fm_tk_read_normalizer(fm_tokenizer *t, const fm_tk_at *at, const json_t *obj)
{
    return fm_tk_sequence(t, at, obj, "normalizers", one_normalizer);
}

static fm_status read_behaviour(const fm_tk_at *at, const json_t *obj, fm_tk_behaviour *out)
{
    static const char *const names[] = { "Isolated", "Removed", "Contiguous", "MergedWithPrevious",
                                         "MergedWithNext" };
    const fm_tk_at in = fm_tk_in(at, "behavior");
    const char *name;
    fm_status st = fm_tk_text(at, obj, "behavior", &name);

    if (st)
        return st;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0) {
            *out = (fm_tk_behaviour)i;
            return FM_OK;
        }
    return fm_tk_refuse(&in, "'%.32s' is not known", name);
}

static fm_status read_byte_level(const fm_tk_at *at, const json_t *obj, fm_tk_stage *s)
{
    static const char *const known[] = { "type", "add_prefix_space", "trim_offsets", "use_regex",
                                         NULL };
    fm_status st = fm_tk_keys(at, obj, known);

    s->kind = FM_TK_BYTELEVEL;
    if (!st)
        st = fm_tk_bool(at, obj, "add_prefix_space", -1, &s->prefix);
    return st ? st : fm_tk_bool(at, obj, "use_regex", 1, &s->scan);
}

static fm_status read_split(const fm_tk_at *at, const json_t *obj, fm_tk_stage *s)
{
    static const char *const known[] = { "type", "pattern", "behavior", "invert", NULL };
    const json_t *pattern = json_object_get(obj, "pattern"), *text;
    const fm_tk_at in = fm_tk_in(at, "pattern");
    bool literal;
    fm_status st = fm_tk_keys(at, obj, known);

    s->kind = FM_TK_SPLIT;
    if (!st)
        st = read_behaviour(at, obj, &s->behaviour);
    if (!st)
        st = fm_tk_bool(at, obj, "invert", -1, &s->invert);
    if (st)
        return st;
    text = json_object_get(pattern, "Regex");
    literal = !text;
    if (literal)
        text = json_object_get(pattern, "String");
    if (json_object_size(pattern) != 1 || !json_is_string(text))
        return fm_tk_refuse(&in, "must be {\"Regex\": text} or {\"String\": text}");
    /* GPT-2's expression matches everything somehow: pieces are its matches alone. */
    s->scan = !literal && strcmp(json_string_value(text), FM_TK_GPT2) == 0 &&
              s->behaviour == FM_TK_ISOLATED;
    (void)snprintf(s->where, sizeof s->where, "%.*s", (int)sizeof s->where - 1, in.path);
    if (s->scan)
        return FM_OK;
    st = fm_tk_pattern_compile(s->where, json_string_value(text), json_string_length(text), literal,
                               &s->code, &s->runs);
    return st ? fm_fail_context(st, "%s: ", at->file) : FM_OK;
}

static fm_status read_digits(const fm_tk_at *at, const json_t *obj, fm_tk_stage *s)
{
    static const char *const known[] = { "type", "individual_digits", NULL };
    bool individual = false;
    fm_status st = fm_tk_keys(at, obj, known);

    if (!st)
        st = fm_tk_bool(at, obj, "individual_digits", -1, &individual);
    s->kind = FM_TK_DIGITS;
    s->behaviour = individual ? FM_TK_ISOLATED : FM_TK_CONTIGUOUS;
    return st;
}

static fm_status read_punctuation(const fm_tk_at *at, const json_t *obj, fm_tk_stage *s)
{
    static const char *const known[] = { "type", "behavior", NULL };
    const fm_status st = fm_tk_keys(at, obj, known);

    s->kind = FM_TK_PUNCTUATION;
    return st || !json_object_get(obj, "behavior") ? st : read_behaviour(at, obj, &s->behaviour);
}

static fm_status one_split(fm_tokenizer *t, const fm_tk_at *at, const json_t *obj)
{
    static const struct {
        const char *type;
        fm_status (*read)(const fm_tk_at *at, const json_t *obj, fm_tk_stage *s);
    } kinds[] = {
        { "ByteLevel", read_byte_level },
        { "Split", read_split },
        { "Digits", read_digits },
        { "Punctuation", read_punctuation },
    };
    const char *type;
    fm_status st = fm_tk_type(at, obj, &type);

    if (st)
        return st;
    if (t->stage_count && t->stages[t->stage_count - 1].kind == FM_TK_BYTELEVEL)
        return fm_tk_refuse(at, "ByteLevel must be the last pre-tokenizer");
    if (t->stage_count == FM_TK_MAX_STAGES)
        return fm_tk_refuse(at, "more than %zu pre-tokenizers", FM_TK_MAX_STAGES);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(type, kinds[i].type) == 0)
            return kinds[i].read(at, obj, &t->stages[t->stage_count++]);
    return fm_tk_refuse(at,
                        "the pre-tokenizer '%.32s' is not supported; ByteLevel, Split, Digits, "
                        "Punctuation and Sequence are",
                        type);
}

fm_status fm_tk_read_splits(fm_tokenizer *t, const fm_tk_at *at, const json_t *obj)
{
    const fm_status st = fm_tk_sequence(t, at, obj, "pretokenizers", one_split);

    if (st)
        return st;
    if (!t->stage_count || t->stages[t->stage_count - 1].kind != FM_TK_BYTELEVEL)
        return fm_tk_refuse(at, "must be ByteLevel, or a Sequence that ends in it: only byte-level "
                                "BPE is supported");
    return FM_OK;
}

/* ---- Post-processors ---- */

static fm_status put_id(const fm_tk_at *at, const fm_tokenizer *t, const json_t *value,
                        uint32_t **ids, size_t *count)
{
    uint32_t id, *more;
    const fm_status st = fm_tk_id(at, value, &id);

    if (st)
        return st;
    if (id >= t->token_count || !t->tokens[id].present)
        return fm_tk_refuse(at, "no token has the id %u", (unsigned)id);
    if (*count == IDS_MOST)
        return fm_tk_refuse(at, "more than %zu ids around a text", IDS_MOST);
    if (!(more = realloc(*ids, (*count + 1) * sizeof *more)))
        return fm_fail(FM_ENOMEM, "no memory for the post-processor");
    *ids = more;
    more[(*count)++] = id;
    return FM_OK;
}

/* {"SpecialToken": {"id": name, "type_id": n}}: the ids that special_tokens has for the name. */
static fm_status template_special(fm_tokenizer *t, const fm_tk_at *at, const json_t *special,
                                  const json_t *names, bool after)
{
    const char *name = json_string_value(json_object_get(special, "id"));
    const json_t *ids = json_object_get(name ? json_object_get(names, name) : NULL, "ids");
    fm_status st = FM_OK;

    if (!json_is_array(ids))
        return fm_tk_refuse(at, "'%.32s' has no ids in special_tokens", name ? name : "?");
    for (size_t i = 0; i < json_array_size(ids) && !st; i++)
        st = put_id(at, t, json_array_get(ids, i), after ? &t->after : &t->before,
                    after ? &t->after_count : &t->before_count);
    return st;
}

static fm_status read_template(fm_tokenizer *t, const fm_tk_at *at, const json_t *obj)
{
    static const char *const known[] = { "type", "single", "pair", "special_tokens", NULL };
    const json_t *single = json_object_get(obj, "single");
    bool seen = false;
    fm_status st = fm_tk_keys(at, obj, known);

    if (!st && !json_is_array(single))
        st = fm_tk_refuse(at, "single must be a list");
    for (size_t i = 0; i < json_array_size(single) && !st; i++) {
        const fm_tk_at in = fm_tk_item(at, "single", i);
        const json_t *piece = json_array_get(single, i);
        const json_t *special = json_object_get(piece, "SpecialToken");
        const char *id =
            json_string_value(json_object_get(json_object_get(piece, "Sequence"), "id"));

        if (json_object_size(piece) == 1 && special) {
            st = template_special(t, &in, special, json_object_get(obj, "special_tokens"), seen);
        } else if (json_object_size(piece) == 1 && id && strcmp(id, "A") == 0 && !seen) {
            seen = true;
        } else {
            st = fm_tk_refuse(&in, "must be a SpecialToken, or once the Sequence A");
        }
    }
    if (!st && !seen)
        st = fm_tk_refuse(at, "single must have the Sequence A");
    return st;
}

/* BertProcessing and RobertaProcessing: "cls" before, "sep" after, each [text, id]. */
static fm_status read_around(fm_tokenizer *t, const fm_tk_at *at, const json_t *obj)
{
    static const char *const known[] = { "type", "sep", "cls", "trim_offsets", "add_prefix_space",
                                         NULL };
    const fm_tk_at cls = fm_tk_in(at, "cls"), sep = fm_tk_in(at, "sep");
    fm_status st = fm_tk_keys(at, obj, known);

    if (!st)
        st = put_id(&cls, t, json_array_get(json_object_get(obj, "cls"), 1), &t->before,
                    &t->before_count);
    if (!st)
        st = put_id(&sep, t, json_array_get(json_object_get(obj, "sep"), 1), &t->after,
                    &t->after_count);
    return st;
}

static fm_status one_post(fm_tokenizer *t, const fm_tk_at *at, const json_t *obj)
{
    static const char *const byte_level[] = { "type", "add_prefix_space", "trim_offsets",
                                              "use_regex", NULL };
    const char *type;
    fm_status st = fm_tk_type(at, obj, &type);

    if (st)
        return st;
    if (strcmp(type, "ByteLevel") == 0) /* of offsets, which nobody asks for here */
        return fm_tk_keys(at, obj, byte_level);
    if (t->before_count || t->after_count)
        return fm_tk_refuse(at, "a second post-processor that adds tokens is not supported");
    if (strcmp(type, "TemplateProcessing") == 0)
        return read_template(t, at, obj);
    if (strcmp(type, "BertProcessing") == 0 || strcmp(type, "RobertaProcessing") == 0)
        return read_around(t, at, obj);
    return fm_tk_refuse(at,
                        "the post-processor '%.32s' is not supported; ByteLevel, "
                        "TemplateProcessing, BertProcessing, RobertaProcessing and Sequence are",
                        type);
}

fm_status fm_tk_read_post(fm_tokenizer *t, const fm_tk_at *at, const json_t *obj)
{
    return fm_tk_sequence(t, at, obj, "processors", one_post);
}

static fm_status one_decoder(fm_tokenizer *t, const fm_tk_at *at, const json_t *obj)
{
    static const char *const known[] = { "type", "add_prefix_space", "trim_offsets", "use_regex",
                                         NULL };
    const char *type;
    fm_status st = fm_tk_type(at, obj, &type);

    (void)t;
    if (st)
        return st;
    if (strcmp(type, "ByteLevel") != 0)
        return fm_tk_refuse(at, "the decoder '%.32s' is not supported; ByteLevel is", type);
    return fm_tk_keys(at, obj, known);
}

fm_status fm_tk_read_decoder(fm_tokenizer *t, const fm_tk_at *at, const json_t *obj)
{
    const json_t *list = json_object_get(obj, "decoders");

    if (!json_is_object(obj) || (list && json_array_size(list) != 1))
        return fm_tk_refuse(at,
                            "must be ByteLevel: what others make of byte-level tokens is no text");
    return fm_tk_sequence(t, at, obj, "decoders", one_decoder);
}
