/*
 * A teacher of decoders: what another model, of the same vocabulary, holds likely after each token
 * of a corpus. A student learns from it with the loss of fm_decoder_soft (fm_learner_taught).
 *
 * What it says of a sequence is a function of its own weights and of that sequence alone: a
 * student's gradient of a unit still depends on that unit's texts alone.
 */
#ifndef FEDMOE_TRAIN_TEACHER_H
#define FEDMOE_TRAIN_TEACHER_H

#include "fedmoe/model/corpus.h"
#include "fedmoe/model/decoder.h"

typedef struct {
    double share;       /* 0 to 1: of the teacher in the loss */
    double temperature; /* 0.1 to 100 */
    size_t most;        /* tokens named, 1 to FM_SOFT_MOST; no more than there are is taken */
    size_t kept_bytes;  /* what may be kept in memory, for as long as the teacher; where all of the
                           corpus does not fit it is computed again each time */
} fm_teaching;

typedef struct fm_teacher fm_teacher;

/**
 * @param model, c  borrowed; of the model only weights and adapters are used.
 * @return FM_OK; FM_EINVAL: settings, or texts that are not of its vocabulary or context;
 * FM_ENOMEM.
 * @thread several learners' threads may share one, each sequence in one at a time.
 */
FM_NODISCARD fm_status fm_teacher_new(const fm_decoder *model, const fm_corpus *c,
                                      const fm_teaching *t, fm_teacher **out);
/** Wipes what was kept. */
void fm_teacher_free(fm_teacher **t);

#endif
