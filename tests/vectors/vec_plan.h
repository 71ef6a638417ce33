/* The plans that plans.json and round.json are about. */
#ifndef FEDMOE_TESTS_VECTORS_VEC_PLAN_H
#define FEDMOE_TESTS_VECTORS_VEC_PLAN_H

#include <jansson.h>

#include "fedmoe/dp/encode.h"
#include "fedmoe/proto/plan.h"

#define VEC_RUN_WORDS 11u

/** Training, exact; another one, fast, with all of the tail; statistics; evaluation. */
fm_plan vec_plan_exact(void);
fm_plan vec_plan_fast(void);
fm_plan vec_plan_statistics(void);
fm_plan vec_plan_evaluation(void);
/** As the first, for 200 nodes, with the masks that are enough. */
fm_plan vec_plan_many(void);
/** As the first, for 12 nodes in three groups. */
fm_plan vec_plan_groups(void);
/** As the first, fast, with units held out and their scores. */
fm_plan vec_plan_held(void);
/** That of round.json: three nodes, two rounds, VEC_RUN_WORDS parameters. @param model  its hash. */
fm_plan vec_plan_local(void);
fm_plan vec_plan_run(const fm_hash *model, unsigned word_bits);

/** e, how much finer the units' lattice is, and what goes with it. */
json_t *vec_lattice(const fm_dp_lattice *l);
/** Those of many figures, with each encoding and width; null where there is none. */
void vec_put_lattices(json_t *list);

/** All fields, by their names. */
json_t *vec_plan_fields(const fm_plan *p);

#endif
