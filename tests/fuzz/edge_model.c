/* A model in 8 bits from any file: refused, or all that it points at can be read. */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fedmoe/edge/model.h"
#include "fuzz.h"

static volatile float g_sum;

static void read_map(const fm_edge_map *m)
{
    float *row = malloc((m->columns + 1) * sizeof *row);

    FUZZ_REQUIRE(row && !m->f32);
    for (size_t r = 0; r < m->rows; r++) {
        fm_int8_row(&m->i8, r, row);
        g_sum += row[0];
    }
    free(row);
}

static void read_layer(const fm_edge_model *m, size_t i)
{
    const fm_decoder_config *c = fm_edge_model_config(m);
    const fm_edge_layer *l = fm_edge_model_layer(m, i);
    const fm_edge_map *const maps[] = { &l->query,     &l->key,        &l->value,
                                        &l->query_a,   &l->query_b,    &l->latent,
                                        &l->latent_b,  &l->output,     &l->gate,
                                        &l->up,        &l->down,       &l->shared_gate,
                                        &l->shared_up, &l->shared_down };

    for (size_t k = 0; k < sizeof maps / sizeof *maps; k++)
        read_map(maps[k]);
    for (size_t k = 0; k < c->width; k++)
        g_sum += l->input_norm[k] + l->post_norm[k];
    for (size_t e = 0; i >= c->dense_layers && e < c->experts; e++) {
        const fm_edge_expert x = fm_edge_model_expert(m, i, e);

        fm_edge_model_touch(m, i, e);
        read_map(&x.gate);
        read_map(&x.up);
        read_map(&x.down);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const int fd = memfd_create("fuzz", MFD_CLOEXEC);
    fm_edge_model *m = NULL;
    char path[64];

    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    FUZZ_REQUIRE(fd >= 0 && write(fd, data, len) == (ssize_t)len);
    FUZZ_REQUIRE((fm_edge_model_open(path, &m) == FM_OK) == (m != NULL));
    if (m) {
        const fm_edge_map embedding = fm_edge_model_embedding(m), head = fm_edge_model_head(m);

        read_map(&embedding);
        read_map(&head);
        for (size_t i = 0; i < fm_edge_model_config(m)->layers; i++)
            read_layer(m, i);
    }
    fm_edge_model_free(&m);
    (void)close(fd);
    return 0;
}
