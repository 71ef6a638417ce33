/* Vectors of the compiler, LANES wide; operators work lane by lane. */
#ifndef FEDMOE_MODEL_KERNEL_VECTORS_H
#define FEDMOE_MODEL_KERNEL_VECTORS_H

#include <stdint.h>

typedef float vf __attribute__((vector_size(4 * LANES)));
typedef float vh __attribute__((vector_size(2 * LANES)));
typedef double vd __attribute__((vector_size(4 * LANES)));
typedef int32_t vi __attribute__((vector_size(4 * LANES)));
typedef uint32_t vu __attribute__((vector_size(4 * LANES)));

#endif
