/* Four hospitals' records for demonstrations and benchmarks: the UCI files, or synthetic ones. */
#ifndef FEDMOE_DEMO_HOSPITALS_H
#define FEDMOE_DEMO_HOSPITALS_H

#include "fedmoe/base/memory.h"

#define FM_DEMO_HOSPITALS 4u

/** examples/schemas/heart_disease.yaml. */
extern const char fm_demo_schema_text[];

typedef struct {
    char name[32];
    fm_buf train, test; /* CSV text without header, each record a line */
    size_t train_records, test_records;
} fm_demo_hospital;

/**
 * Read processed.{cleveland,hungarian,switzerland,va}.data of `dir` and split each: the first
 * round(2n/3) of a permutation drawn from `seed` train, the others test.
 * @return FM_OK; FM_ENOTFOUND naming the file and where it can be downloaded.
 */
FM_NODISCARD fm_status fm_demo_hospitals_load(const char *dir, uint64_t seed,
                                              fm_demo_hospital out[FM_DEMO_HOSPITALS]);

/** Four synthetic hospitals of different case mix, with the same columns; split as above. */
FM_NODISCARD fm_status fm_demo_hospitals_make(uint64_t seed,
                                              fm_demo_hospital out[FM_DEMO_HOSPITALS]);
void fm_demo_hospitals_fini(fm_demo_hospital h[FM_DEMO_HOSPITALS]);

/** Split one CSV text as above. */
FM_NODISCARD fm_status fm_demo_split(const void *text, size_t len, uint64_t seed,
                                     fm_demo_hospital *out);

/** A small generator for splits and synthetic records; has nothing to do with privacy. */
typedef struct {
    uint64_t state;
} fm_demo_random;
uint64_t fm_demo_random_next(fm_demo_random *r);
double fm_demo_random_unit(fm_demo_random *r);   /* [0, 1) */
double fm_demo_random_normal(fm_demo_random *r); /* mean 0, variance 1 */

#endif
