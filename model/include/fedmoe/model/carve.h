/* One arena for all buffers of an object: the same list is run through twice, once to add up the
 * sizes, once to hand out the pieces. */
#ifndef FEDMOE_MODEL_CARVE_H
#define FEDMOE_MODEL_CARVE_H

#include "fedmoe/base/memory.h"

typedef struct {
    fm_arena *arena; /* NULL while planning */
    size_t total;
    fm_status st;
} fm_carver;

/* rows * columns elements, zeroed, 64-byte aligned; NULL while planning. */
void *fm_carve(fm_carver *c, size_t rows, size_t columns, size_t size);
float *fm_carve_floats(fm_carver *c, size_t rows, size_t columns);

/* Runs `list` twice. On failure *out is NULL. */
typedef void fm_carve_list(fm_carver *c, void *object);
FM_NODISCARD fm_status fm_carve_all(fm_carve_list *list, void *object, fm_arena **out);

#endif
