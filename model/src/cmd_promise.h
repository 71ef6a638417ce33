/* What a training on one machine promises, and to how many: what train and finetune share. */
#ifndef FEDMOE_MODEL_CMD_PROMISE_H
#define FEDMOE_MODEL_CMD_PROMISE_H

#include "cmd.h"
#include "fedmoe/base/json.h"
#include "fedmoe/base/safetensors.h"
#include "fedmoe/train/run.h"

#define FM_CMD_RECORD "record"
#define FM_CMD_MAX_UNITS (1u << 24)

typedef struct {
    const char *program;
    const char *unit;             /* FM_CMD_RECORD, or what says whose a record is */
    double epsilon, delta, units; /* 0: not given */
    bool no_privacy;
    /* what becomes of it */
    size_t count; /* privacy units there are */
    uint32_t max_units;
    double noise, spent;
} fm_cmd_promise;

/** epsilon, delta, expected-units and no-privacy. @return how many. */
size_t fm_cmd_promise_options(fm_cmd_promise *p, fm_cli_option *to);
/** What contradicts itself, before anything is read. */
FM_NODISCARD fm_status fm_cmd_promise_check(const fm_cmd_promise *p);
/** p->count is known: how many units are expected, and delta. @param data for error texts. */
FM_NODISCARD fm_status fm_cmd_promise_settle(fm_cmd_promise *p, const char *data);
/** On standard error, when nothing is private. */
void fm_cmd_promise_warn(const fm_cmd_promise *p);

#define FM_CMD_PROMISE_META 4
/** As metadata of a file. */
typedef struct {
    char epsilon[32], delta[32], mechanism[192];
    fm_safetensors_meta meta[FM_CMD_PROMISE_META];
} fm_cmd_promise_meta;
void fm_cmd_promise_write(const fm_cmd_promise *p, const fm_training *t, fm_cmd_promise_meta *out);

/** The first lines of what is said of a training, and the last. */
void fm_cmd_promise_print(const fm_cmd_promise *p, const fm_training *t);
/** The same keys of both commands. @return NULL: no memory. */
json_t *fm_cmd_promise_json(const fm_cmd_promise *p, const fm_training *t);

#endif
