/*
 * Strict numbers, edit distance and clean text: for configuration, command lines and cells of
 * records. Pure; texts are borrowed.
 */
#ifndef FEDMOE_BASE_TEXT_H
#define FEDMOE_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Decimal notation only, all of `s`; finite. No hex, inf, nan, spaces. *out only on true. */
bool fm_text_double(const char *s, double *out);

/** Whether UTF-8 holds a character below U+0020, or of U+007F to U+009F. */
bool fm_text_has_control(const char *s);

/** Digits only, all of `s`, within 64 bits. *out only on true. */
bool fm_text_u64(const char *s, uint64_t *out);

/** Edit distance, two neighbours that are swapped counting once (optimal string alignment: Boytsov
 *  2011, ACM JEA 16); SIZE_MAX when either text is longer than 64 bytes. */
size_t fm_text_distance(const char *a, const char *b);

/** Whether `distance` is near enough to a word of this length to be suggested. */
bool fm_text_is_near(size_t distance, const char *word);

/** What printf's %.9g has of `v`, or the next such decimal: never below `v`. For what a privacy
 *  guarantee promises. @param v above 0, finite. @param out room for FM_TEXT_UP. */
#define FM_TEXT_UP ((size_t)24)
void fm_text_up(double v, char out[FM_TEXT_UP]);

/** The first character of UTF-8 that cannot be seen and is no plain space: "a no-break space (U+00A0)",
 *  a zero-width one, a byte order mark, ...; NULL: there is none. Static. */
const char *fm_text_invisible(const char *s);

/** The first character of a word (UTF-8) that is not what it looks like: one that cannot be seen, a dash that
 *  is not the keyboard's, an ellipsis, a wide form, a Cyrillic or Greek letter beside Latin ones. As in
 *  "character 3, "-" (U+2212), is not the keyboard's minus". @return out; NULL: there is none, or there are
 *  spaces, so that it is no word. */
#define FM_TEXT_ODD ((size_t)96)
const char *fm_text_odd(const char *s, char out[FM_TEXT_ODD]);

/** Characters of UTF-8; what is none counts by its bytes. */
size_t fm_text_length(const char *s);

/** A decimal number that is too large to be one (1e400); all of `s`. */
bool fm_text_is_too_large(const char *s);

/** The line is one of the marks that Git leaves where two versions were not merged to the end. */
bool fm_text_is_conflict(const char *line, size_t len);
#define FM_TEXT_CONFLICT                                                                       \
    "a mark of Git's: two versions were merged and not finished (<<<<<<<, =======, >>>>>>>); " \
    "choose one, and take the marks away"

/** It holds "Ã" or "Â" before what is no ASCII: the bytes of one character of UTF-8, taken for two of Latin-1. */
bool fm_text_is_encoded_twice(const char *s);

/** Control characters (C0, DEL, and C1 in UTF-8) become '?', in place. */
void fm_text_clean(char *s);

#endif
