/*
 * A keyed fingerprint in a model's weights, another one for each recipient, so that a copy that leaks
 * names who had it.
 *
 * To each weight of a large matrix the owner adds strength * s * b: s is the root mean square of the
 * original's row, b = +1 or -1 a bit of a key stream that only the owner's key and the recipient's name
 * give. Whoever holds a copy sees weights that differ from the original, which he has not, by a
 * hundredth of their size. Later changes (training, rounding to 8 bits, pruning, noise) know nothing
 * of b.
 *
 * To identify, the owner needs the original (non-blind): for every name the signs are compared with the
 * difference d of leaked copy and original. In units of the mark u = d / (strength s), and
 *
 *     c = cut(u) / max(1, mean |u| of the row),    cut(u) = u between -3 and 3
 *     z = sum c b / sqrt(sum c^2),                 p <= exp(-z^2 / 2)  for z > 0
 *
 * by Hoeffding's inequality for sums of independent signs: whatever c is, as long as it was made without
 * the key's bits for that name. That holds for a name whose copy was not used, with the key secret and
 * the stream a pseudo-random function; it needs no assumption on what was done to the weights. The p of
 * a table is multiplied by the number of names that were tried (Bonferroni).
 *
 * What it does not do: it needs most matrices in their places under their names; who permutes a model's
 * hidden units, distils it, or averages many copies takes it off. Two who average theirs are both named.
 *
 * Models are single safetensors files, or folders of such (Hugging Face): matrices of F32 or BF16, of at least
 * FM_FINGERPRINT_LEAST values, and vectors as long as FM_FINGERPRINT_VECTOR (a federation's adapters). In
 * leaked files also I8 [rows, columns] with F32 [rows] under the name + "_scale".
 *
 * Source: spread-spectrum marks: Cox et al. 1997, IEEE Trans. Image Processing 6(12); the bound:
 * Hoeffding 1963, JASA 58, theorem 2.
 */
#ifndef FEDMOE_PROVENANCE_FINGERPRINT_H
#define FEDMOE_PROVENANCE_FINGERPRINT_H

#include <stddef.h>
#include <stdint.h>

#include "fedmoe/base/memory.h"

#define FM_FINGERPRINT_KEY_BYTES 32u
#define FM_FINGERPRINT_NAME_MAX 255u /* bytes of a recipient's name, printable UTF-8 */
#define FM_FINGERPRINT_NAMES_MAX ((size_t)100000)
#define FM_FINGERPRINT_STRENGTH 0.01 /* of the row's root mean square */
#define FM_FINGERPRINT_CUT 3.0 /* in units of the mark: what is pruned must not drown the rest */
#define FM_FINGERPRINT_LEAST ((size_t)256)
#define FM_FINGERPRINT_VECTOR ((size_t)4096)

/** In guarded memory. Constant once made; several threads may use one. */
typedef struct fm_fingerprint_key fm_fingerprint_key;

/** A new key in a new file: 64 hexadecimal digits and a newline, 0600. FM_EEXIST; FM_EIO. */
FM_NODISCARD fm_status fm_fingerprint_key_create(const char *path);
/** FM_EPERM others can read it; FM_EPARSE; FM_ENOTFOUND; FM_EIO; FM_ENOMEM. */
FM_NODISCARD fm_status fm_fingerprint_key_load(const char *path, fm_fingerprint_key **out);
void fm_fingerprint_key_free(fm_fingerprint_key **k);

typedef struct {
    size_t tensors, values; /* that carry the mark */
} fm_fingerprint_facts;

/**
 * A copy of the model that carries the recipient's mark. A model with a card gets a step "fingerprint"
 * in its record of derivation. The values of one file are in memory at a time.
 *
 * @param strength  (0, 0.1].
 * @param output    a new file, or a new folder with all that the model's has (no folders in it).
 * @return FM_OK; FM_EINVAL name or strength, or 8-bit weights, or nothing large enough; FM_EEXIST;
 *         FM_ENOTFOUND; FM_EPROTO; FM_ENONFINITE naming the tensor; FM_EIO; FM_ENOMEM. On error what was made of
 *         a folder stays and the text says so.
 */
FM_NODISCARD fm_status fm_fingerprint_mark(const fm_fingerprint_key *k, const char *recipient,
                                           double strength, const char *model, const char *output,
                                           fm_fingerprint_facts *facts);

typedef struct {
    double z;
    double p; /* bound, times the number of names; at most 1 */
} fm_fingerprint_match;

/**
 * How each of the names fits the leaked copy.
 *
 * @param strength  that the copies were marked with: only where to cut off depends on it.
 * @param matches   out, [count], in the order of the names.
 * @param facts     out: what could be compared; tensors that one of both lacks, or has in another
 *                  shape, are passed over.
 * @return FM_OK; FM_EINVAL a name, 0 or too many names, nothing to compare; FM_ENOTFOUND; FM_EPROTO; FM_EIO;
 *         FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_fingerprint_identify(const fm_fingerprint_key *k,
                                               const char *const *names, size_t count,
                                               double strength, const char *original,
                                               const char *leaked, fm_fingerprint_match *matches,
                                               fm_fingerprint_facts *facts);

/* ---- the list of recipients: KEY.recipients, a name on each line ---- */

typedef struct {
    char **names; /* owned */
    size_t count;
} fm_fingerprint_names;

/** FM_OK also when there is no file yet: no names. FM_EPARSE with the line. */
FM_NODISCARD fm_status fm_fingerprint_names_load(const char *key_path, fm_fingerprint_names *out);
/** Durable when FM_OK; a name that is there stays once. 0600. */
FM_NODISCARD fm_status fm_fingerprint_names_add(const char *key_path, const char *recipient);
void fm_fingerprint_names_fini(fm_fingerprint_names *n);

#endif
