/* What the files of generate share. */
#ifndef FEDMOE_MODEL_CMD_GENERATE_H
#define FEDMOE_MODEL_CMD_GENERATE_H

#include "cmd.h"
#include "fedmoe/edge/sample.h"
#include "fedmoe/edge/session.h"

#define FM_GENERATE_NO_SEED UINT64_MAX

typedef struct {
    const char *model, *prompt, *prompt_file, *tokens, *end_token, *memory, *cache, *watermark_key;
    const char *acknowledge, *purpose, *log;
    uint64_t most, context, top_k, seed;
    double temperature, top_p;
    bool float_inputs, json;
} fm_cmd_generate_request;

typedef struct {
    fm_edge_model *model;
    fm_watermark *mark;            /* or NULL */
    const fm_tokenizer *tokenizer; /* of the model; NULL: it has none */
    fm_token_list text;            /* the prompt, then what was written */
    size_t prompt;                 /* tokens of it */
    bool ends;                     /* there is an end token */
    uint32_t end;
} fm_cmd_generation;

/* cmd_generate_policy.c: what the model's card asks for. */
typedef struct fm_cmd_policy fm_cmd_policy;
/* Before the model is even read: FM_EPERM unless its policy was acknowledged and the purpose is
 * allowed; the log is open then. A model without a card asks for nothing. */
FM_NODISCARD fm_status fm_cmd_policy_begin(const fm_cmd_generate_request *r, fm_cmd_policy **out);
/* The prompt's tokens are known. */
FM_NODISCARD fm_status fm_cmd_policy_prompt(fm_cmd_policy *p, const fm_cmd_generation *g);
/* The line of audit, whether or not the answer came to its end. */
FM_NODISCARD fm_status fm_cmd_policy_end(fm_cmd_policy *p, const fm_cmd_generate_request *r,
                                         const fm_cmd_generation *g);
void fm_cmd_policy_free(fm_cmd_policy **p);

/* cmd_generate_prompt.c: the end token and the prompt's tokens. */
FM_NODISCARD fm_status fm_cmd_generate_prompt(const fm_cmd_generate_request *r,
                                              fm_cmd_generation *g);
/* cmd_generate_run.c: read the prompt, write what follows. */
FM_NODISCARD fm_status fm_cmd_generate_run(const fm_cmd_generate_request *r, fm_cmd_generation *g);
/* cmd_generate_memory.c: "500M" or NULL; the model keeps to what a session leaves of it. */
FM_NODISCARD fm_status fm_cmd_generate_limit(const char *memory, fm_edge_model *m,
                                             const fm_edge_session *s);
/* The most that was in memory so far, and what is now but for mapped files: bytes, 0: not known. */
uint64_t fm_cmd_generate_peak(void);

#endif
