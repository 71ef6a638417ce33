#ifndef FEDMOE_BASE_SAFETENSORS_INTERNAL_H
#define FEDMOE_BASE_SAFETENSORS_INTERNAL_H

#include "fedmoe/base/safetensors.h"

#define FM_SAFETENSORS_META "__metadata__"

/** Bytes of one element, or 0 for a dtype that is not known; *name: the constant name. */
size_t fm_safetensors_element(const char *dtype, const char **name);

#endif
