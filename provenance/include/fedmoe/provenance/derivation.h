/*
 * What was done to a model since its card was signed: a note that programs add, which nobody signs.
 * In the metadata under fedmoe.derivation, a line for each step, the first first:
 *
 *   quantize-int8 from 6f1c...   the step and the hash of the file that it began with
 *
 * The hash is the parent's digest of weights (fedmoe/provenance/card.h; of a folder over the tensors of all its files
 * in the order of their names), so that the first line of an honest file names what its card has signed.
 *
 * A folder has card and record in a file of its own, fedmoe.card: safetensors without tensors.
 */
#ifndef FEDMOE_PROVENANCE_DERIVATION_H
#define FEDMOE_PROVENANCE_DERIVATION_H

#include "fedmoe/base/hash.h"
#include "fedmoe/base/safetensors.h"

#define FM_META_DERIVATION "fedmoe.derivation"
#define FM_DERIVATION_STEPS_MAX 64u
#define FM_DERIVATION_STEP_MAX 63u /* bytes of a step's name: [a-z0-9-]+ */

/**
 * The record of a file that is made from `parent`: its own record and one line more.
 * @param step  "quantize-int8", "finetune", "distil", "fingerprint".
 * @param out   appended: the value of FM_META_DERIVATION.
 * @return FM_OK; FM_EINVAL the name; FM_EPROTO the parent's record; FM_EIO; FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_derivation_extend(const fm_safetensors *parent, const char *step,
                                            fm_buf *out);
#define FM_CARD_FILE "fedmoe.card"

/**
 * Give a model that was just made, a file or a folder, its parent's card and record with one line more.
 * A parent without a card: nothing to do. A file is written anew beside itself, then renamed.
 * @return FM_OK; FM_EINVAL, FM_EPROTO, FM_EIO, FM_ENOMEM as above. On error the child stays as it was.
 */
FM_NODISCARD fm_status fm_card_carry(const char *parent, const char *step, const char *child);

/**
 * What holds a model's card: its file; of a folder fedmoe.card, or else the first of its files with one.
 * @return FM_OK; FM_ENOTFOUND it has none; FM_EPROTO; FM_EIO; FM_ENOMEM. *out: fm_safetensors_free.
 */
FM_NODISCARD fm_status fm_card_open(const char *model, fm_safetensors **out);

/**
 * Steps of a record, and the hash in its first line. FM_EPROTO for what is none.
 */
FM_NODISCARD fm_status fm_derivation_read(const char *text, fm_hash *first, size_t *steps);

#endif
