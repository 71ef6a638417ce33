/* config.json: refused, or a configuration whose tensors have places that do not overlap the end. */
#include <math.h>

#include "decoder_folder_internal.h"
#include "fuzz.h"

typedef struct {
    const fm_decoder_layout *l;
    size_t values, tensors;
} seen;

static fm_status check_place(void *context, const fm_tensor_wanted *w)
{
    const fm_tensor_place *p = &w->place;
    seen *s = context;

    for (size_t k = 0; k < p->parts; k++)
        FUZZ_REQUIRE(p->part[k] + (p->groups - 1) * p->stride + p->piece <= s->l->parameters);
    s->values += p->groups * p->parts * p->piece;
    return ++s->tensors < 100000 ? FM_OK : FM_ESTATE; /* enough of them */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    fm_decoder_layout l;
    fm_decoder_json j;
    seen s = { .l = &l };
    const fm_name_visitor v = { NULL, check_place, &s };

    if (fm_decoder_json_parse("fuzz", data, len, &j) != FM_OK)
        return 0;
    FUZZ_REQUIRE(isfinite(j.config.attention_scale) && j.config.rope.factor >= 1.0);
    if (fm_decoder_layout_make(&j.config, &l) != FM_OK)
        return 0;
    if (fm_decoder_names(&j.config, &l, &v) == FM_OK)
        FUZZ_REQUIRE(s.values == l.parameters); /* every value has one tensor */
    FUZZ_REQUIRE(fm_decoder_active_parameters(&j.config, &l) <= l.parameters);
    fm_decoder_layout_free(&l);
    return 0;
}
