/* What distill's files share. */
#ifndef FEDMOE_MODEL_CMD_DISTILL_H
#define FEDMOE_MODEL_CMD_DISTILL_H

#include "cmd_promise.h"
#include "cmd_texts.h"
#include "fedmoe/base/hash.h"
#include "fedmoe/train/author.h"

typedef struct {
    fm_cmd_promise promise; /* of the student's texts, where they are private */
    fm_cmd_texts texts;     /* model: the teacher */
    const char *student, *output, *test;
    const char *const *files; /* [file_count] */
    size_t file_count;
    uint64_t most, written, begin, rounds, seed, threads;
    double share, temperature, rate, learning_rate; /* rates 0: not given */
    bool json;
    /* what becomes of it */
    fm_decoder_plan plan;    /* a student that is made here, ... */
    fm_decoder_folder *from; /* ... or the folder that it begins with */
    char *tokenizer;         /* the teacher's tokenizer.json */
    fm_corpus *corpus, *tested;
    fm_decoder *teacher, *pupil;
    fm_training training;
    size_t teacher_parameters, parameters;
    fm_text_loss taught, after; /* the teacher's and the student's on the tested texts */
} fm_cmd_distilling;

#define FM_CMD_DISTILL_META 9
/* What the student's weights say of where they are from. */
typedef struct {
    char teacher[2 * FM_HASH_BYTES + 1], adapter[2 * FM_HASH_BYTES + 1];
    char epsilon[64], delta[64]; /* of the teacher */
    char all_epsilon[64], all_delta[64];
    char source[160];
    fm_cmd_promise_meta promise;
    fm_safetensors_meta meta[FM_CMD_DISTILL_META];
    fm_decoder_about about;
} fm_cmd_distill_about;

FM_NODISCARD fm_status fm_cmd_distill_describe(const fm_cmd_distilling *d,
                                               fm_cmd_distill_about *out);

/** Whether the texts may be used as they were asked for: public, or charged. FM_EINVAL. */
FM_NODISCARD fm_status fm_cmd_distill_check_source(const fm_cmd_distilling *d);

/** All between the command line and what is said: reads, trains, measures, writes. */
FM_NODISCARD fm_status fm_cmd_distill_run(fm_cmd_distilling *d, fm_cmd_distill_about *about);
void fm_cmd_distill_close(fm_cmd_distilling *d);

#endif
