/* Whether words look like uniform ones: each test raises a false alarm with probability 1e-7. */
#ifndef FEDMOE_TESTS_DP_UNIFORM_H
#define FEDMOE_TESTS_DP_UNIFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FM_UNIFORM_MIN_WORDS ((size_t)40960) /* ten for each of 4096 cells */

/**
 * Chi-square on the bytes, at each of the four places of a word and together, and on the upper and
 * the lower twelve bits of the words; serial correlation of words at several lags.
 *
 * @param w    [n], n at least FM_UNIFORM_MIN_WORDS.
 * @param why  out: the test that failed, static; NULL when none did.
 */
bool fm_uniform_words(const uint32_t *w, size_t n, const char **why);
/** Correlation of two sequences of words as signed numbers, in standard deviations from none. */
double fm_uniform_correlation(const uint32_t *a, const uint32_t *b, size_t n);
/** Whether two samples can be of one distribution: chi-square on bytes and on twelve bits. */
bool fm_uniform_alike(const uint32_t *a, const uint32_t *b, size_t n);

#endif
