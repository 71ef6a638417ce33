/* One thread's lessons: a teacher's soft targets for the batch at hand. */
#ifndef FEDMOE_TRAIN_TEACHER_INTERNAL_H
#define FEDMOE_TRAIN_TEACHER_INTERNAL_H

#include "fedmoe/train/teacher.h"

typedef struct fm_lesson fm_lesson;

FM_NODISCARD fm_status fm_lesson_new(fm_teacher *t, size_t batch, fm_lesson **out);
void fm_lesson_free(fm_lesson **l);
/** Wipes what is of texts. */
void fm_lesson_forget(fm_lesson *l);
/**
 * @param rows [b->sequences] of the corpus, which b holds.
 * @param out  borrowed until the next call.
 */
FM_NODISCARD fm_status fm_lesson_take(fm_lesson *l, const uint32_t *rows, const fm_decoder_batch *b,
                                      fm_decoder_soft *out);
/** Whether it teaches this vocabulary and corpus. */
bool fm_teacher_fits(const fm_teacher *t, const fm_decoder *student, const fm_corpus *c);

#endif
