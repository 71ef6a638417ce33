/* Texts to sequences, sequences to units. */
#include <string.h>

#include "corpus_internal.h"
#include "tokenizer_internal.h"

fm_status fm_corpus_record(fm_corpus_builder *b, size_t line)
{
    if (b->facts.records >= FM_CORPUS_MAX_RECORDS)
        return fm_fail(FM_ENOMEM, "%s:%zu: too many records", b->name, line);
    b->facts.records++;
    return FM_OK;
}

bool fm_corpus_trim(const char **key, size_t *len)
{
    while (*len && ((*key)[0] == ' ' || (*key)[0] == '\t')) {
        ++*key;
        --*len;
    }
    while (*len && ((*key)[*len - 1] == ' ' || (*key)[*len - 1] == '\t'))
        --*len;
    return *len > 0;
}

static bool is_blank(const void *text, size_t len)
{
    const char *p = text;
    size_t i = 0;

    while (i < len && (p[i] == ' ' || (p[i] >= '\t' && p[i] <= '\r')))
        i++;
    return i == len;
}

fm_status fm_corpus_compose(fm_corpus_builder *b, const fm_corpus_value *values)
{
    const fm_text_schema *s = b->schema;
    bool blank = true;
    fm_status st = FM_OK;

    fm_buf_clear(&b->text);
    for (size_t i = 0; i < s->field_count; i++)
        blank = blank && is_blank(values[i].at, values[i].len);
    for (size_t i = 0; !blank && !st && i < s->part_count; i++) {
        const fm_text_part *part = &s->parts[i];
        const fm_corpus_value *v = part->field == FM_TEXT_NO_FIELD ? NULL : &values[part->field];

        st = fm_buf_append(&b->text, part->fixed, strlen(part->fixed));
        if (!st && v)
            st = fm_buf_append(&b->text, v->at, v->len);
    }
    return st;
}

static size_t count_ill_formed(const uint8_t *p, size_t n)
{
    size_t count = 0;

    while (n) {
        const size_t good = fm_tk_utf8_valid(p, n);
        size_t bad = 0;

        if (good < n && !fm_tk_utf8_length(p + good, n - good, &bad))
            count += bad;
        p += good + bad;
        n -= good + bad;
    }
    return count;
}

/* Ids of b->text behind those before, with the end token. @param added out: how many; 0: none that
 * says anything. */
static fm_status tokenize(fm_corpus_builder *b, size_t *added)
{
    const size_t before = b->tokens.count;
    size_t lost = 0;
    fm_status st =
        fm_tokenizer_encode(b->worker, b->text.data, b->text.len,
                            FM_TOKENIZER_SPECIAL | FM_TOKENIZER_PLAIN, &b->tokens, &lost);

    if (st)
        return st;
    b->facts.lost += lost;
    *added = b->tokens.count - before;
    if (*added <= b->around) {
        b->tokens.count = before;
        *added = 0;
        return FM_OK;
    }
    if (b->tokens.ids[b->tokens.count - 1] == b->end)
        return FM_OK;
    ++*added;
    return fm_tk_push(&b->tokens, b->end);
}

static fm_status add_sequence(fm_corpus_builder *b, uint64_t start, uint32_t unit)
{
    fm_status st;

    if (b->sequences == b->cap) {
        const size_t cap = b->cap ? 2 * b->cap : 256;

        if (b->sequences >= UINT32_MAX / 2)
            return fm_fail(FM_ENOMEM, "too many sequences");
        if ((st = fm_widen((void **)&b->starts, b->cap, cap, sizeof *b->starts)) ||
            (st = fm_widen((void **)&b->unit_of, b->cap, cap, sizeof *b->unit_of)))
            return st;
        b->cap = cap;
    }
    b->starts[b->sequences] = start;
    b->unit_of[b->sequences++] = unit;
    return FM_OK;
}

/* The last `count` tokens are a document's. */
static fm_status cut(fm_corpus_builder *b, size_t count, const char *unit, size_t len)
{
    const size_t context = b->options->context;
    uint64_t start = b->tokens.count - count;
    uint32_t number = (uint32_t)b->units;
    fm_status st = unit ? fm_unit_index_number(&b->index, unit, len, &number) : FM_OK;

    b->units = unit ? b->index.count : b->units + 1;
    b->facts.longest_tokens = count > b->facts.longest_tokens ? count : b->facts.longest_tokens;
    if (count % context == 1) {
        b->tokens.count--; /* a rest of one */
        count--;
    }
    for (; !st && count; start += context) {
        st = add_sequence(b, start, number);
        count -= count < context ? count : context;
    }
    return st;
}

fm_status fm_corpus_add(fm_corpus_builder *b, size_t line, const char *unit, size_t len)
{
    const bool blank = is_blank(b->text.data, b->text.len);
    size_t count = 0;
    fm_status st = FM_OK;

    if (blank && b->schema->empty_is_error)
        return fm_fail(FM_EPARSE, "%s:%zu: the text is empty", b->name, line);
    b->documents++;
    if (!blank) {
        b->facts.ill_formed += count_ill_formed(b->text.data, b->text.len);
        st = tokenize(b, &count);
    }
    if (!st && count < 2) { /* nothing to predict */
        b->tokens.count -= count;
        b->empty++;
        return FM_OK;
    }
    if (!st)
        st = cut(b, count, unit, len);
    return st ? fm_fail_context(st, "%s:%zu: ", b->name, line) : FM_OK;
}

static size_t length_of(const fm_corpus_builder *b, size_t sequence)
{
    return (size_t)((sequence + 1 < b->sequences ? b->starts[sequence + 1] : b->tokens.count) -
                    b->starts[sequence]);
}

/* unit_start of the corpus, and in *order the sequences that stay: unit by unit, and of each the
 * first ones of the files. */
static fm_status choose(fm_corpus_builder *b, fm_corpus *c, size_t **order)
{
    const size_t most = b->options->max_unit_sequences ? b->options->max_unit_sequences : SIZE_MAX;
    size_t *next = NULL;
    fm_status st;

    if ((st = fm_alloc(b->units + 1, sizeof *c->unit_start, (void **)&c->unit_start)) ||
        (st = fm_alloc(b->units, sizeof *next, (void **)&next)) ||
        (st = fm_alloc(b->sequences, sizeof **order, (void **)order)))
        goto done;
    c->units = b->units;
    for (size_t i = 0; i < b->sequences; i++)
        c->unit_start[b->unit_of[i] + 1] += c->unit_start[b->unit_of[i] + 1] < most;
    for (size_t u = 0; u < b->units; u++) {
        c->unit_start[u + 1] += c->unit_start[u];
        next[u] = c->unit_start[u];
    }
    for (size_t i = 0; i < b->sequences; i++)
        if (next[b->unit_of[i]] < c->unit_start[b->unit_of[i] + 1])
            (*order)[next[b->unit_of[i]]++] = i;
    c->sequences = c->unit_start[b->units];
    c->facts.cut = b->sequences - c->sequences;
done:
    fm_wipe_free(next, b->units, sizeof *next);
    return st;
}

static fm_status copy(const fm_corpus_builder *b, fm_corpus *c, const size_t *order)
{
    uint64_t total = 0;
    fm_status st;

    for (size_t i = 0; i < c->sequences; i++)
        total += length_of(b, order[i]);
    if ((st = fm_alloc(c->sequences + 1, sizeof *c->starts, (void **)&c->starts)) ||
        (st = fm_alloc((size_t)total, sizeof *c->tokens, (void **)&c->tokens)))
        return st;
    for (size_t i = 0; i < c->sequences; i++) {
        const size_t len = length_of(b, order[i]);

        memcpy(c->tokens + c->starts[i], b->tokens.ids + b->starts[order[i]],
               len * sizeof *c->tokens);
        c->starts[i + 1] = c->starts[i] + len;
        c->longest = len > c->longest ? len : c->longest;
    }
    return FM_OK;
}

fm_status fm_corpus_finish(fm_corpus_builder *b, fm_corpus **out)
{
    size_t *order = NULL;
    fm_corpus *c = NULL;
    fm_status st = fm_alloc(1, sizeof *c, (void **)&c);

    if (!st) {
        c->documents = b->documents;
        c->empty = b->empty;
        c->facts = b->facts;
        st = choose(b, c, &order);
    }
    if (!st && !(st = copy(b, c, order))) {
        *out = c; /* ownership moves to the caller */
        c = NULL;
    }
    fm_wipe_free(order, b->sequences, sizeof *order);
    fm_corpus_free(&c);
    return st;
}
