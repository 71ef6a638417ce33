/* What evaluate's files share. */
#ifndef FEDMOE_MODEL_CMD_EVALUATE_H
#define FEDMOE_MODEL_CMD_EVALUATE_H

#include "cmd_texts.h"

/** A language model is a folder, a tabular one is a file. */
bool fm_cmd_is_folder(const char *path);
FM_NODISCARD fm_status fm_cmd_evaluate_texts(fm_cmd_texts *t, const char *const *paths,
                                             size_t count, bool json);

#endif
