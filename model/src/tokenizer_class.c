/*
 * Which characters are letters, numbers, spaces: asked of the expression library, so that what is
 * matched here and what it matches cannot disagree. All characters in order are one text, of which
 * it gives the runs of each general category.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "tokenizer_internal.h"

#define BLOCKS ((size_t)0x110000 >> 8)
#define PLANES 5 /* with characters whose category is to be asked for */

static const char *const names[] = { FM_TK_CATEGORIES };
enum { CN = 2, CO = 3 };
_Static_assert(sizeof names / sizeof names[0] == FM_TK_CATEGORY_COUNT, "all categories");

uint32_t fm_tk_categories(const char *name)
{
    const size_t len = strlen(name);
    uint32_t bits = 0;

    for (size_t i = 0; i < FM_TK_CATEGORY_COUNT && (len == 1 || len == 2); i++)
        bits |= (uint32_t)(strncmp(names[i], name, len) == 0) << i;
    return bits;
}

/* Planes 4 to 13 are unassigned, 15 and 16 for private use but for two noncharacters each. A test
 * over all characters would notice when that changes. */
static bool is_asked(uint32_t c)
{
    return (c >> 16 <= 3 || c >> 16 == 14) && !(c >= 0xd800 && c <= 0xdfff);
}

static uint8_t unasked(uint32_t c)
{
    return c >> 16 >= 15 && (c & 0xfffe) != 0xfffe ? CO : CN;
}

/* All characters that are asked for, in order. Returns the bytes. */
static size_t spell(uint8_t *out)
{
    size_t n = 0;

    for (uint32_t c = 0; c < 0x110000; c++)
        if (is_asked(c))
            n += fm_tk_encode(c, out + n);
    return n;
}

/* (\p{Cc}+)|(\p{Cf}+)|...: the number of the group is the category. */
static pcre2_code *compile(void)
{
    char pattern[12 * FM_TK_CATEGORY_COUNT + 1];
    PCRE2_SIZE offset;
    size_t n = 0;
    int code;
    pcre2_code *re;

    for (size_t i = 0; i < FM_TK_CATEGORY_COUNT; i++)
        n += (size_t)snprintf(pattern + n, sizeof pattern - n, "%s(\\p{%s}+)", i ? "|" : "",
                              names[i]);
    re = pcre2_compile((PCRE2_SPTR)pattern, n, PCRE2_UTF, &code, &offset, NULL);
    if (re)
        (void)pcre2_jit_compile(re, PCRE2_JIT_COMPLETE); /* without it: slower */
    return re;
}

static fm_status ask(const uint8_t *text, size_t n, fm_tk_properties *flat)
{
    pcre2_code *re = compile();
    pcre2_match_data *m = pcre2_match_data_create(FM_TK_CATEGORY_COUNT + 1, NULL);
    const PCRE2_SIZE *range = m ? pcre2_get_ovector_pointer(m) : NULL;
    size_t at = 0, len;
    int group;

    while (re && m && at < n &&
           (group = pcre2_match(re, text, n, at, PCRE2_NO_UTF_CHECK, m, NULL)) > 1)
        for (; at < range[1]; at += len)
            flat[fm_tk_decode(text + at, &len)].category = (uint8_t)(group - 2);
    pcre2_match_data_free(m);
    pcre2_code_free(re);
    return at == n ? FM_OK : fm_fail(FM_ENOMEM, "cannot look up the categories of characters");
}

/* Alphabetic is L, Nl, marks, and these circled and squared letters. */
static bool is_alphabetic_symbol(uint32_t c)
{
    return (c >= 0x24b6 && c <= 0x24e9) || (c >= 0x1f130 && c <= 0x1f149) ||
           (c >= 0x1f150 && c <= 0x1f169) || (c >= 0x1f170 && c <= 0x1f189);
}

static uint8_t classify(uint32_t c, uint8_t category)
{
    const uint32_t bit = 1u << category;
    uint8_t class = 0;

    if (bit & fm_tk_categories("L"))
        class |= FM_TK_LETTER | FM_TK_WORD;
    if (bit & fm_tk_categories("N"))
        class |= FM_TK_NUMBER;
    if ((bit & fm_tk_categories("Z")) || (c >= 9 && c <= 13) || c == 0x85)
        class |= FM_TK_SPACE;
    if ((bit & (fm_tk_categories("M") | fm_tk_categories("Nd") | fm_tk_categories("Nl") |
                fm_tk_categories("Pc"))) ||
        is_alphabetic_symbol(c) || c == 0x200c || c == 0x200d)
        class |= FM_TK_WORD;
    /* Of ASCII all that prints and is no letter or digit. */
    if ((bit & fm_tk_categories("P")) || (c < 0x80 && (bit & fm_tk_categories("S"))))
        class |= FM_TK_PUNCT;
    return class;
}

/* Blocks of 256 characters, the same ones once. */
static fm_status fold(const fm_tk_properties *flat, fm_tk_classes *c)
{
    size_t count = 0;
    fm_status st = fm_alloc(BLOCKS, sizeof *c->blocks, (void **)&c->blocks);

    for (size_t b = 0; b < BLOCKS && !st; b++) {
        size_t same = 0;

        while (same < count && memcmp(c->blocks[same], flat + (b << 8), sizeof *c->blocks) != 0)
            same++;
        if (same == count)
            memcpy(c->blocks[count++], flat + (b << 8), sizeof *c->blocks);
        c->block[b] = (uint16_t)same;
    }
    for (size_t i = 0; i < sizeof c->ascii; i++)
        c->ascii[i] = flat[i].class;
    return st;
}

static fm_status make(fm_tk_classes *c)
{
    uint8_t *text = NULL;
    fm_tk_properties *flat = NULL;
    uint8_t known[FM_TK_CATEGORY_COUNT];
    fm_status st = fm_alloc(PLANES << 16, 4, (void **)&text);

    if (!st)
        st = fm_alloc(0x110000, sizeof *flat, (void **)&flat);
    for (uint32_t i = 0; i < FM_TK_CATEGORY_COUNT; i++)
        known[i] = classify(0x3fffff, (uint8_t)i); /* a character without exceptions */
    for (uint32_t ch = 0; ch < 0x110000 && !st; ch++)
        flat[ch].category = unasked(ch);
    if (!st)
        st = ask(text, spell(text), flat);
    for (uint32_t ch = 0; ch < 0x110000 && !st; ch++)
        flat[ch].class = ch < 0x1f190 ? classify(ch, flat[ch].category) : known[flat[ch].category];
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
        fm_tk_classes fresh = { .blocks = NULL };

        if ((st = make(&fresh)) == FM_OK) {
            known = fresh;
            made = true;
        } else {
            free(fresh.blocks);
        }
    }
    (void)pthread_mutex_unlock(&lock);
    if (!st)
        *out = &known;
    return st;
}
