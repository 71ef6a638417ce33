/* A language model's folder with texts for it: what finetune and evaluate share. */
#ifndef FEDMOE_MODEL_CMD_TEXTS_H
#define FEDMOE_MODEL_CMD_TEXTS_H

#include "cmd.h"
#include "fedmoe/base/json.h"
#include "fedmoe/model/corpus.h"
#include "fedmoe/model/decoder_adapter.h"
#include "fedmoe/train/measure.h"

#define FM_CMD_CONTEXT 512 /* tokens of a sequence, or the model's context if that is less */

typedef struct {
    const char *model, *schema, *adapter, *end_token;
    uint64_t context; /* 0: the default */
    /* what becomes of it */
    fm_decoder_folder *folder;
    fm_adapter_file *adapters; /* NULL without --adapter */
    fm_text_schema *texts;
    fm_tokenizer *tokenizer;
} fm_cmd_texts;

/** adapter, context and end-token. @return how many. */
size_t fm_cmd_texts_options(fm_cmd_texts *t, fm_cli_option *to);
/** Opens all but the texts themselves. */
FM_NODISCARD fm_status fm_cmd_texts_open(fm_cmd_texts *t);
FM_NODISCARD fm_status fm_cmd_texts_load(const fm_cmd_texts *t, const char *const *paths,
                                         size_t count, fm_corpus **out);
void fm_cmd_texts_close(fm_cmd_texts *t);

/** "loss", "perplexity", "predictions"; NULL: no memory. */
json_t *fm_cmd_loss_json(const fm_text_loss *l);
/** The same, with another loss under `name`. */
json_t *fm_cmd_loss_json_beside(const fm_text_loss *l, const char *name, const fm_text_loss *other);
void fm_cmd_loss_print(const char *name, const fm_text_loss *l);

#endif
