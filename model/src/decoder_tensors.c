/* The tensors of a decoder one by one, under the names of transformers. */
#include <stdio.h>
#include <string.h>

#include "decoder_folder_internal.h"

typedef struct {
    fm_status (*visit)(void *context, const fm_decoder_tensor *t);
    void *context;
} splitter;

static size_t layer_of(const char *name)
{
    unsigned long layer;

    return sscanf(name, "model.layers.%lu.", &layer) == 1 ? (size_t)layer : FM_DECODER_ABSENT;
}

/* "...experts.gate_up_proj" [E, 2H, D] and "...experts.down_proj" [E, D, H] hold all experts; those
 * of one are called as where each is by itself. */
static fm_status split(const splitter *s, const fm_tensor_wanted *w)
{
    static const char *const parts[2][2] = { { "down" }, { "gate", "up" } };
    const fm_tensor_place *p = &w->place;
    const size_t stem = (size_t)(strrchr(w->name, '.') - w->name);
    char name[FM_FOLDER_NAME + 40];
    fm_status st = FM_OK;

    for (size_t k = 0; k < p->groups * p->parts && st == FM_OK; k++) {
        const size_t expert = k / p->parts, part = k % p->parts;
        const fm_decoder_tensor t = {
            .name = name,
            .layer = layer_of(w->name),
            .offset = p->part[part] + expert * p->stride,
            .rows = w->shape[1] / p->parts,
            .columns = w->shape[2],
        };

        (void)snprintf(name, sizeof name, "%.*s.%zu.%s_proj.weight", (int)stem, w->name, expert,
                       parts[p->parts - 1][part]);
        st = s->visit(s->context, &t);
    }
    return st;
}

static fm_status visit(void *context, const fm_tensor_wanted *w)
{
    const splitter *s = context;
    const fm_decoder_tensor t = {
        .name = w->name,
        .layer = layer_of(w->name),
        .offset = w->place.part[0],
        .rows = w->shape[0],
        .columns = w->dims > 1 ? w->shape[1] : 0,
    };

    return w->dims > 2 ? split(s, w) : s->visit(s->context, &t);
}

fm_status fm_decoder_tensors(const fm_decoder_config *c, const fm_decoder_layout *l,
                             fm_status (*each)(void *context, const fm_decoder_tensor *t),
                             void *context)
{
    splitter s = { each, context };
    const fm_name_visitor v = { NULL, visit, &s };

    return fm_decoder_names(c, l, &v);
}
