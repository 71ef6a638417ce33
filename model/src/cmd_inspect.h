/* What the two halves of `fedmoe-model inspect` share: files of records, folders of decoders. */
#ifndef FEDMOE_MODEL_CMD_INSPECT_H
#define FEDMOE_MODEL_CMD_INSPECT_H

#include "cmd.h"
#include "fedmoe/base/json.h"
#include "fedmoe/base/safetensors.h"
#include "fedmoe/model/compute.h"

/** @param speed measure this machine, too. */
FM_NODISCARD fm_status fm_inspect_folder(const char *dir, bool json, bool speed);

/** The same of a language model's file in 8 bits. */
FM_NODISCARD fm_status fm_inspect_int8(const char *path, bool json, bool speed);
bool fm_inspect_is_int8(const char *path);

/** Whether a file says that it holds adapters of a federation (adapter_terms.h). */
bool fm_inspect_is_adapter(const char *path);
FM_NODISCARD fm_status fm_inspect_adapter(const char *path, bool json);

/** Whom to believe, and whether a file that was only derived from a signed one passes. */
typedef struct {
    const char *ca, *crl; /* files; crl NULL: none */
    bool derived;
} fm_inspect_trust;

/** The model's card, checked; FM_EAUTH and what does not fit. */
FM_NODISCARD fm_status fm_inspect_card(const char *path, const fm_inspect_trust *how, bool json);

/** Of a file that has a card: a line that says so, and that it was not checked. */
void fm_inspect_mention_card(const fm_safetensors *s);
/** Whether a folder holds adapters as PEFT keeps them (decoder_adapter.h). */
bool fm_inspect_is_peft(const char *dir);
FM_NODISCARD fm_status fm_inspect_peft(const char *dir, bool json);

/** A foreign text, and `end`: nothing in it may drive the terminal. */
void fm_inspect_print_clean(const char *text, size_t n, const char *end);
void fm_inspect_print_compute(const fm_compute_report *r);
json_t *fm_inspect_compute_json(const fm_compute_report *r);

#endif
