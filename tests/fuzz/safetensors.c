/* A container is refused, or every tensor lies within it and has the bytes that its shape says. */
#include <string.h>

#include "fedmoe/base/safetensors.h"
#include "fuzz.h"

static uint8_t touch(const fm_tensor_view *t)
{
    uint8_t sum = 0;

    for (size_t i = 0; i < t->bytes; i++)
        sum = (uint8_t)(sum + t->data[i]);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    volatile uint8_t sink = 0;
    fm_safetensors *s = NULL;
    size_t elements;

    if (fm_safetensors_parse("fuzz", data, len, &s) != FM_OK) {
        FUZZ_REQUIRE(s == NULL);
        return 0;
    }
    for (size_t i = 0; i < fm_safetensors_count(s); i++) {
        const fm_tensor_view *t = fm_safetensors_at(s, i);

        FUZZ_REQUIRE(t->dims <= FM_SAFETENSORS_MAX_DIMS);
        FUZZ_REQUIRE(fm_safetensors_find(s, t->name) == t);
        sink = (uint8_t)(sink + touch(t));
    }
    for (size_t i = 0; i < fm_safetensors_meta_count(s); i++) {
        fm_safetensors_meta m = fm_safetensors_meta_at(s, i);

        sink = (uint8_t)(sink + strlen(m.key) + strlen(m.value));
    }
    if (fm_safetensors_flat_size(s, &elements) == FM_OK) {
        float *flat = malloc((elements + 1) * sizeof *flat);

        FUZZ_REQUIRE(flat && elements <= len / sizeof *flat);
        FUZZ_REQUIRE(fm_safetensors_flat_read(s, flat, elements) == FM_OK);
        free(flat);
    }
    fm_safetensors_free(&s);
    return 0;
}
