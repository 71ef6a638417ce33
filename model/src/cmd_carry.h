/* The card of a signed model goes along into what is made of it. */
#ifndef FEDMOE_MODEL_CMD_CARRY_H
#define FEDMOE_MODEL_CMD_CARRY_H

#include "fedmoe/base/status.h"

/**
 * Of two parents the adapter's card is carried where it has one (what a federation trained last), else the model's.
 * @param adapter  or NULL.
 * @param step     as in fedmoe/provenance/derivation.h.
 * @param output   a file, or a folder: of PEFT's adapters the card is within their file.
 * @return FM_OK, also where neither has a card; else what fm_card_carry says: a file is taken away then; a folder is there, without.
 */
FM_NODISCARD fm_status fm_cmd_carry_card(const char *model, const char *adapter, const char *step,
                                         const char *output);

#endif
