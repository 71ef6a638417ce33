/* Token ids on a command line: what logits and generate share. */
#ifndef FEDMOE_MODEL_CMD_TOKENS_H
#define FEDMOE_MODEL_CMD_TOKENS_H

#include "fedmoe/model/tokenizer.h"

/** "1,2,3". What stands there is not repeated: it may be a text that was given by mistake.
 *  @param out {0}; fm_token_list_fini, also after a failure. @return FM_OK; FM_EINVAL; FM_ENOMEM. */
FM_NODISCARD fm_status fm_cmd_tokens_parse(const char *text, size_t vocabulary, fm_token_list *out);

#endif
