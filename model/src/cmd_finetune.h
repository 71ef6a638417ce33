/* What finetune's files share. */
#ifndef FEDMOE_MODEL_CMD_FINETUNE_H
#define FEDMOE_MODEL_CMD_FINETUNE_H

#include "cmd_promise.h"
#include "cmd_texts.h"

typedef struct {
    fm_cmd_promise promise;
    fm_cmd_texts texts;
    const char *modules, *test, *output;
    const char *const *files; /* [file_count] */
    size_t file_count;
    uint64_t rank, unit_sequences, seed, threads, rounds;
    double alpha, rate, learning_rate, clip; /* 0: not given */
    bool full, train_a, square, merge, exact, json;
    /* what becomes of it */
    fm_corpus *corpus, *tested;
    fm_decoder *decoder;
    fm_decoder_options options;
    fm_training training;
    size_t trained;             /* values of the state */
    fm_text_loss before, after; /* on the tested texts */
} fm_cmd_finetuning;

/** "attention,shared" as a mask. FM_EINVAL naming the word. */
FM_NODISCARD fm_status fm_cmd_finetune_modules(const char *text, unsigned *maps);

/** All between the command line and what is said: reads, trains, measures, writes. */
FM_NODISCARD fm_status fm_cmd_finetune_run(fm_cmd_finetuning *f);
void fm_cmd_finetune_close(fm_cmd_finetuning *f);

#endif
