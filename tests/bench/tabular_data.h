/* The data sets of the quality table: their files, schemas and splits. */
#ifndef FEDMOE_BENCH_TABULAR_DATA_H
#define FEDMOE_BENCH_TABULAR_DATA_H

#include "fedmoe/model/schema.h"
#include "fedmoe/model/table.h"

typedef struct {
    const char *name;
    const char *schema;    /* file under examples/schemas */
    const char *files[4];  /* of the shared data; compressed ones end in .xz or .gz */
    const char *test_file; /* NULL: a third of the units is held out, drawn by the seed */
    const char *unit;      /* column that says whose row it is; NULL: each row is a unit */
    size_t unit_field;     /* its place in a line */
    size_t unit_rows;      /* most rows of a unit that count in a round */
    /* AUC that the issue names: logistic regression and boosted trees without privacy, at least and
     * aim at epsilon 1, aim at epsilon 4. 0: none. */
    double logistic, trees, least_1, aim_1, aim_4;
} tabular_set;

extern const tabular_set tabular_sets[];
extern const size_t tabular_set_count;

typedef struct {
    fm_schema *schema;
    fm_table train, test;
} tabular_split;

/** False, with the reason in *why, when the shared data is not there. Stops the program when the
 *  files are there and cannot be read. @param seed of the split. */
bool tabular_load(const tabular_set *s, uint64_t seed, tabular_split *out, const char **why);
void tabular_fini(tabular_split *s);
/** Privacy units of a table. */
size_t tabular_units(const fm_table *t);

#endif
