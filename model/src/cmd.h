/* The commands of fedmoe-model, one file each. */
#ifndef FEDMOE_MODEL_CMD_H
#define FEDMOE_MODEL_CMD_H

#include "fedmoe/base/cli.h"

#define FM_EXIT_FAILED 1
#define FM_EXIT_USAGE 2
#define FM_CMD_BATCH ((size_t)1024) /* records at a time */
#define FM_CMD_COUNT(a) (sizeof(a) / sizeof((a)[0]))

int fm_cmd_new(int argc, char **argv);
int fm_cmd_train(int argc, char **argv);
int fm_cmd_finetune(int argc, char **argv);
int fm_cmd_fingerprint_key(int argc, char **argv);
int fm_cmd_fingerprint_mark(int argc, char **argv);
int fm_cmd_fingerprint_identify(int argc, char **argv);
int fm_cmd_distill(int argc, char **argv);
int fm_cmd_adapter(int argc, char **argv);
int fm_cmd_inspect(int argc, char **argv);
int fm_cmd_evaluate(int argc, char **argv);
int fm_cmd_predict(int argc, char **argv);
int fm_cmd_generate(int argc, char **argv);
int fm_cmd_logits(int argc, char **argv);
int fm_cmd_quantize(int argc, char **argv);
int fm_cmd_check(int argc, char **argv);
int fm_cmd_corpus(int argc, char **argv);
int fm_cmd_tokenize(int argc, char **argv);
int fm_cmd_detokenize(int argc, char **argv);
int fm_cmd_watermark_keygen(int argc, char **argv);
int fm_cmd_watermark_detect(int argc, char **argv);

#endif
