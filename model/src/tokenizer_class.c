/*
 * Which characters are letters, numbers, spaces: asked of the expression library, so that the
 * scanner and the library's own matches cannot disagree. Each class is matched once against all
 * characters in order; the runs that match are its ranges.
 */
#include <pthread.h>
#include <stdlib.h>

#include "tokenizer_internal.h"

#define BLOCKS ((size_t)0x110000 >> 8)

/* Planes with characters of these classes. 4 to 13 are unassigned, 15 and 16 for private use; a
 * test over all characters would notice when that changes. */
static bool is_used(uint32_t plane)
{
    return plane <= 3 || plane == 14;
}

static const struct {
    uint8_t bit;
    const char *pattern;
} classes[] = {
    { FM_TK_LETTER, "\\p{L}+" },
    { FM_TK_NUMBER, "\\p{N}+" },
    { FM_TK_SPACE, "[" FM_TK_SPACES "]+" },
    /* Of Alphabetic, what is no letter, number or mark are circled and squared letters. */
    { FM_TK_WORD, "[\\p{L}\\p{Nl}\\p{M}\\p{Nd}\\p{Pc}\\x{24b6}-\\x{24e9}\\x{1f130}-\\x{1f149}"
                  "\\x{1f150}-\\x{1f169}\\x{1f170}-\\x{1f189}\\x{200c}\\x{200d}]+" },
    { FM_TK_PUNCT, "[\\p{P}$+<=>^`|~]+" }, /* of ASCII all that prints and is no letter or digit */
};

/* All characters of the planes that are used, in order. Returns the bytes. */
static size_t spell(uint8_t *out)
{
    size_t n = 0;

    for (uint32_t c = 0; c < 0x110000; c++)
        if (is_used(c >> 16) && (c < 0xd800 || c > 0xdfff))
            n += fm_tk_encode(c, out + n);
    return n;
}

static void mark(uint8_t *flat, const uint8_t *text, const size_t *range, uint8_t bit)
{
    size_t len;

    for (size_t at = range[0]; at < range[1]; at += len)
        flat[fm_tk_decode(text + at, &len)] |= bit;
}

static fm_status match_class(const char *pattern, uint8_t bit, const uint8_t *text, size_t n,
                             uint8_t *flat)
{
    pcre2_match_data *m = NULL;
    PCRE2_SIZE offset = 0;
    int code;
    pcre2_code *re = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                                   PCRE2_UTF | PCRE2_UCP, &code, &offset, NULL);
    fm_status st = FM_ENOMEM;

    if (!re || !(m = pcre2_match_data_create(1, NULL)))
        goto done;
    (void)pcre2_jit_compile(re, PCRE2_JIT_COMPLETE); /* without it: slower */
    offset = 0;
    while ((code = pcre2_match(re, text, n, offset, PCRE2_NO_UTF_CHECK, m, NULL)) > 0) {
        mark(flat, text, pcre2_get_ovector_pointer(m), bit);
        offset = pcre2_get_ovector_pointer(m)[1];
    }
    if (code == PCRE2_ERROR_NOMATCH)
        st = FM_OK;
done:
    pcre2_match_data_free(m);
    pcre2_code_free(re);
    return st ? fm_fail(st, "cannot look up the classes of characters") : FM_OK;
}

/* Blocks of 256 characters, the same ones once. */
static fm_status fold(const uint8_t *flat, fm_tk_classes *c)
{
    size_t count = 0;
    fm_status st = fm_alloc(UINT16_MAX + 1, 1, (void **)&c->bits);

    if (st)
        return st;
    for (size_t b = 0; b < BLOCKS; b++) {
        size_t same = 0;

        while (same < count && memcmp(c->bits + same, flat + (b << 8), 256) != 0)
            same += 256;
        if (same == count && count > UINT16_MAX - 256)
            return fm_fail(FM_EINTERNAL, "classes of characters need more than 64 KiB");
        if (same == count) {
            memcpy(c->bits + count, flat + (b << 8), 256);
            count += 256;
        }
        c->block[b] = (uint16_t)same;
    }
    memcpy(c->ascii, flat, sizeof c->ascii);
    return FM_OK;
}

static fm_status make(fm_tk_classes *c)
{
    uint8_t *text = NULL, *flat = NULL;
    size_t n;
    fm_status st = fm_alloc(5 << 16, 4, (void **)&text);

    if (!st)
        st = fm_alloc(0x110000, 1, (void **)&flat);
    if (!st) {
        n = spell(text);
        for (size_t i = 0; !st && i < sizeof classes / sizeof classes[0]; i++)
            st = match_class(classes[i].pattern, classes[i].bit, text, n, flat);
    }
    if (!st)
        st = fold(flat, c);
    free(text);
    free(flat);
    return st;
}

fm_status fm_tk_classes_get(const fm_tk_classes **out)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static fm_tk_classes known;
    static bool made;
    fm_status st = FM_OK;

    (void)pthread_mutex_lock(&lock);
    if (!made) {
        fm_tk_classes fresh = { .bits = NULL };

        if ((st = make(&fresh)) == FM_OK) {
            known = fresh;
            made = true;
        } else {
            free(fresh.bits);
        }
    }
    (void)pthread_mutex_unlock(&lock);
    if (!st)
        *out = &known;
    return st;
}
