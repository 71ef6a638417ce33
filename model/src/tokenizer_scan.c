/*
 * GPT-2's expression by hand, which most tokenizers use; tests/model/test_tokenizer_split.c holds
 * it against the library's matches over all characters and random texts.
 *
 *   's|'t|'re|'ve|'m|'ll|'d | ?\p{L}+ | ?\p{N}+ | ?[^\s\p{L}\p{N}]+ | \s+(?!\S) | \s+
 */
#include "tokenizer_internal.h"

/* 's and the like: its length, or 0. */
static size_t contraction(const uint8_t *p, size_t n)
{
    if (n < 2)
        return 0;
    switch (p[1]) {
    case 's':
    case 't':
    case 'm':
    case 'd':
        return 2;
    case 'r':
    case 'v':
        return n > 2 && p[2] == 'e' ? 3 : 0;
    case 'l':
        return n > 2 && p[2] == 'l' ? 3 : 0;
    default:
        return 0;
    }
}

/* From `at`, where a character of `group` is, to the end of its run. */
static size_t run_end(const fm_tk_classes *c, const uint8_t *p, size_t n, size_t at, uint8_t group)
{
    size_t len;

    for (;;) {
        while (at < n && p[at] < 0x80 && (c->ascii[p[at]] & FM_TK_GROUP) == group)
            at++;
        if (at >= n || p[at] < 0x80 ||
            (fm_tk_properties_of(c, fm_tk_decode(p + at, &len)).class & FM_TK_GROUP) != group)
            return at;
        at += len;
    }
}

/* Spaces: all of them at the end of the text, else all but the last one, else that one. */
static size_t spaces(const fm_tk_classes *c, const uint8_t *p, size_t n)
{
    size_t at = 0, last = 0, len;

    while (at < n && fm_tk_class_at(c, p + at, &len) & FM_TK_SPACE) {
        last = at;
        at += len;
    }
    return at == n || last == 0 ? at : last;
}

size_t fm_tk_scan(const fm_tk_classes *c, const uint8_t *p, size_t n)
{
    size_t len, skip = 0;
    uint8_t class;

    if (p[0] == '\'' && (len = contraction(p, n)) != 0)
        return len;
    class = fm_tk_class_at(c, p, &len);
    if (p[0] == ' ' && n > 1) {
        skip = 1;
        class = fm_tk_class_at(c, p + 1, &len);
    }
    if (class & FM_TK_SPACE)
        return spaces(c, p, n);
    return run_end(c, p, n, skip + len, class & FM_TK_GROUP);
}
