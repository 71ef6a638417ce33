/*
 * What was done to a model since its card was signed: a note that programs add, which nobody signs.
 * In the metadata under fedmoe.derivation, a line for each step, the first first:
 *
 *   quantize-int8 from 6f1c...   the step and the hash of the file that it began with
 *
 * The hash is the parent's fm_card digest of weights, so that the first line of an honest file names what
 * its card has signed.
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
 * @param step  "quantize-int8", "distil", "fingerprint".
 * @param out   appended: the value of FM_META_DERIVATION.
 * @return FM_OK; FM_EINVAL the name; FM_EPROTO the parent's record; FM_EIO; FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_derivation_extend(const fm_safetensors *parent, const char *step,
                                            fm_buf *out);
/**
 * Steps of a record, and the hash in its first line. FM_EPROTO for what is none.
 */
FM_NODISCARD fm_status fm_derivation_read(const char *text, fm_hash *first, size_t *steps);

#endif
