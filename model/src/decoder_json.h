/* What config.json says beyond the configuration, and how its values are read. */
#ifndef FEDMOE_MODEL_DECODER_JSON_H
#define FEDMOE_MODEL_DECODER_JSON_H

#include <jansson.h>

#include "fedmoe/model/decoder_config.h"

typedef struct {
    fm_decoder_config config;
    size_t passed_layers;     /* V3: so many layers after the last one predict further tokens */
    double initializer_range; /* of first weights */
} fm_decoder_json;

/** @param name of the file, for error texts. FM_EPARSE; FM_EINVAL naming the key and its value. */
FM_NODISCARD fm_status fm_decoder_json_parse(const char *name, const void *data, size_t len,
                                             fm_decoder_json *out);

/* ---- for decoder_json*.c ---- */

typedef struct {
    const char *name; /* of the file */
    json_t *root;
    fm_decoder_family family;
} fm_json_reader;

/** "NAME: KEY is VALUE: WHY" with FM_EINVAL; `value` NULL: "NAME: KEY: WHY". */
fm_status fm_json_fail(const fm_json_reader *r, const char *key, const json_t *value,
                       const char *why);
/** Each key of the file is one that is read, or has the one value that is supported, or does not
 *  change the result. */
FM_NODISCARD fm_status fm_json_check_keys(const fm_json_reader *r);

/* Values of an object; where the key is absent *out keeps its default. Null is refused, but by the
 * `maybe` ones, of which it gives `null`. */
FM_NODISCARD fm_status fm_json_size(const fm_json_reader *r, const char *key, size_t *out);
FM_NODISCARD fm_status fm_json_maybe_size(const fm_json_reader *r, const char *key, size_t null,
                                          size_t *out);
FM_NODISCARD fm_status fm_json_bool(const fm_json_reader *r, const char *key, bool *out);
FM_NODISCARD fm_status fm_json_number(const fm_json_reader *r, const json_t *object,
                                      const char *key, double *out);
FM_NODISCARD fm_status fm_json_maybe_number(const fm_json_reader *r, const json_t *object,
                                            const char *key, double null, double *out);

/** rope_parameters, or rope_theta and rope_scaling; needs the sizes of the heads and the context.
 *  Sets c->rope and multiplies YaRN's part into c->attention_scale. */
FM_NODISCARD fm_status fm_json_rope(const fm_json_reader *r, fm_decoder_config *c);

#endif
