/* new --adapter-for: what a federation of a language model begins with. */
#ifndef FEDMOE_MODEL_CMD_NEW_H
#define FEDMOE_MODEL_CMD_NEW_H

#include "cmd.h"

typedef struct {
    const char *model, *schema, *modules, *end_token, *output;
    uint64_t rank, context, seed; /* 0: the default */
    double alpha;
    bool square, force;
} fm_cmd_new_adapter;

/** Writes the small file and says what travels. */
FM_NODISCARD fm_status fm_cmd_new_adapter_make(const fm_cmd_new_adapter *a);

#endif
