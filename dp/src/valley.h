/* The least value of a function with one valley. */
#ifndef FEDMOE_DP_VALLEY_H
#define FEDMOE_DP_VALLEY_H

typedef double (*fm_valley_function)(const void *ctx, double x);

/**
 * Steps of `step` from `first` until the value rises or `last` is reached, then golden section
 * to `precision`.
 *
 * @param at  where the least value was seen, unless NULL.
 * @return the least value seen.
 */
double fm_valley(fm_valley_function f, const void *ctx, double first, double last, double step,
                 double precision, double *at);

#endif
