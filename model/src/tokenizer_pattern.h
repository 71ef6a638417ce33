/* How a file's expression is read: shared by tokenizer_pattern.c and tokenizer_pattern_set.c. */
#ifndef FEDMOE_MODEL_TOKENIZER_PATTERN_H
#define FEDMOE_MODEL_TOKENIZER_PATTERN_H

#include "tokenizer_internal.h"

#define FM_TK_RE_END UINT32_MAX

typedef struct {
    const char *where;
    const uint8_t *text;
    size_t len, at;
    fm_buf *out;
    unsigned depth;
    bool fold;     /* within (?i: */
    uint32_t last; /* the literal just before, under fold; 0: none */
    fm_tk_set set; /* of the atom under way, where it is one character */
    bool single;   /* it is */
    char repeated; /* how: '1' not, '?', '+', 'm' {1,most}, 'x' in another way */
    uint32_t most;
    size_t items; /* read at the top, bars counted */
    struct {
        fm_tk_set set;
        char repeated; /* 0: not one character; '$' */
        uint32_t most;
    } top[2];
    fm_status st;
} fm_tk_reader;

/** Record the first failure, with its place. */
fm_status fm_tk_re_refuse(fm_tk_reader *r, const char *fmt, ...) FM_PRINTF(2, 3);
/** \p{...} and \P{...}: general categories by their short names. */
void fm_tk_re_property(fm_tk_reader *r, bool negative);
/** An escape that stands for one character; 0 when it stands for something else (`letter`). */
uint32_t fm_tk_re_escaped(fm_tk_reader *r, uint32_t letter);
/** A class, after its '['. */
void fm_tk_re_class(fm_tk_reader *r);

static inline void put(fm_tk_reader *r, const char *text)
{
    if (!r->st)
        r->st = fm_buf_append(r->out, text, strlen(text));
}

static inline void put_char(fm_tk_reader *r, uint32_t c)
{
    if (!r->st)
        r->st = fm_buf_printf(r->out, "\\x{%x}", c);
}

/* The next character, FM_TK_RE_END at the end; advances. */
static inline uint32_t take(fm_tk_reader *r)
{
    size_t len;
    uint32_t c;

    if (r->at >= r->len)
        return FM_TK_RE_END;
    c = fm_tk_decode(r->text + r->at, &len);
    r->at += len;
    return c;
}

static inline void member(fm_tk_reader *r, uint32_t lo, uint32_t hi)
{
    if (!r->st)
        r->st = fm_tk_set_add(&r->set, lo, hi);
}

/* White_Space. */
static inline void spaces(fm_tk_reader *r)
{
    r->set.categories |= fm_tk_categories("Z");
    member(r, 0x09, 0x0d);
    member(r, 0x85, 0x85);
}

static inline void categories(fm_tk_reader *r, const char *name, bool negative)
{
    const uint32_t bits = fm_tk_categories(name);

    r->set.categories |= negative ? ~bits & FM_TK_ALL_CATEGORIES : bits;
}

static inline bool next_is(const fm_tk_reader *r, const char *text)
{
    const size_t n = strlen(text);

    return r->len - r->at >= n && memcmp(r->text + r->at, text, n) == 0;
}

static inline bool accept(fm_tk_reader *r, const char *text)
{
    if (!next_is(r, text))
        return false;
    r->at += strlen(text);
    return true;
}

static inline bool is_ascii_word(uint32_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

#endif
