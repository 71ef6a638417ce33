#include <string.h>

#include "tape.h"

void fm_dispatch_carve(fm_carver *c, size_t max_rows, size_t experts, size_t k, fm_dispatch *d)
{
    d->k = k;
    d->routes = fm_carve(c, max_rows, k, sizeof *d->routes);
    d->places = fm_carve(c, max_rows, k, sizeof *d->places);
    d->starts = fm_carve(c, experts + 1, 1, sizeof *d->starts);
    d->order = fm_carve(c, max_rows, k, sizeof *d->order);
}

/* Counting sort, stable. starts[e] is first the next free place of e, in the end e's last. */
void fm_dispatch_sort(fm_dispatch *d, size_t experts, size_t rows)
{
    memset(d->starts, 0, (experts + 1) * sizeof *d->starts);
    for (size_t p = 0; p < rows * d->k; p++)
        d->starts[d->routes[p] + 1]++;
    for (size_t e = 0; e < experts; e++)
        d->starts[e + 1] += d->starts[e];
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < d->k; j++) {
            const size_t place = d->starts[d->routes[i * d->k + j]]++;

            d->places[i * d->k + j] = (uint32_t)place;
            d->order[place] = (uint32_t)i;
        }
    memmove(d->starts + 1, d->starts, experts * sizeof *d->starts);
    d->starts[0] = 0;
}
