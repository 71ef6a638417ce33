/*
 * What the aggregator knows of its finished rounds, as figures over the rounds, for other programs'
 * plots. figures.c gathers (a new figure is one fm_figures_add there), figures_mlflow.c and
 * figures_tensorboard.c write.
 */
#ifndef FEDMOE_AGGREGATOR_FIGURES_H
#define FEDMOE_AGGREGATOR_FIGURES_H

#include "fedmoe/aggregator/config.h"

typedef struct {
    const char *name; /* static; a-z and _ */
    uint64_t round;
    int64_t time_s; /* when the round was finished, by the aggregator's clock */
    double value;   /* finite */
} fm_figure;

typedef struct {
    fm_figure *at; /* [count], by round */
    size_t count, room;
    fm_aggregator_config config;
    fm_hash plan, head;
    uint64_t finished; /* rounds, a count */
    bool over;         /* all of the plan's rounds, or an early stop */
    int64_t first_s, last_s;
} fm_figures;

/**
 * Read the directory. @param out  fm_figures_fini, also after a failure.
 * @return FM_OK; FM_EEXIST while an aggregator runs there; FM_ENOTFOUND no round is finished, or none
 *         has a record; what the readers return.
 */
FM_NODISCARD fm_status fm_figures_read(const char *dir, fm_figures *out);
void fm_figures_fini(fm_figures *f);
FM_NODISCARD fm_status fm_figures_add(fm_figures *f, const char *name, uint64_t round,
                                      int64_t time_s, double value);

#endif
