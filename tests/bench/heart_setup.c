#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fedmoe/base/file.h"
#include "fedmoe/demo/federation_file.h"
#include "fedmoe/replay/replay.h"
#include "heart.h"

/* The first weights as fedmoe-model new makes them. */
static fm_status write_model(const heart_setting *s, const fm_schema *schema, const char *path)
{
    fm_rng_seed seed;
    fm_rng rng = fm_rng_seeded(&seed, s->seed);
    fm_tabular_config config;
    fm_tabular *model = NULL;
    fm_buf buf = { 0 };
    fm_status st;

    fm_tabular_config_default(schema, &config);
    if ((st = fm_tabular_new(&config, 1, &model)) != FM_OK)
        return st;
    fm_tabular_init(model, &rng);
    if ((st = fm_tabular_encode(model, schema, NULL, 0, &buf)) == FM_OK)
        st = fm_file_replace(path, buf.data, buf.len, 0644);
    fm_buf_fini(&buf);
    fm_tabular_free(&model);
    return st;
}

static fm_status make_config(const heart_setting *s, heart_run *r)
{
    char dir[] = "/tmp/fedmoe-bench-XXXXXX", model[64], federation[64];
    fm_demo_federation f = {
        .name = "heart-bench",
        .door = "tcp://127.0.0.1:0",
        .epsilon = s->epsilon,
        .delta = s->delta,
        .rounds = s->rounds,
        .nodes = HOSPITALS,
        .quorum = s->quorum,
        .colluders = s->colluders,
        .records = s->records,
    };
    fm_dp_lattice_spec lattice;
    fm_status st;

    if (!mkdtemp(dir))
        return fm_fail(FM_EIO, "%s: no temporary directory", dir);
    snprintf(model, sizeof model, "%s/model.safetensors", dir);
    snprintf(federation, sizeof federation, "%s/federation.yaml", dir);
    if ((st = write_model(s, r->schema, model)) == FM_OK &&
        (st = fm_demo_federation_write(&f, federation)) == FM_OK)
        st = fm_aggregator_config_load(federation, &r->config);
    if (s->epsilon >= 1000.0)
        r->config.plan.noise_multiplier = 0.0;
    if (s->local_noise)
        r->config.plan.noise = FM_NOISE_LOCAL;
    lattice = fm_replay_lattice_spec(&r->config.plan);
    r->config.plan.word_bits = s->word_bits ? s->word_bits : fm_dp_least_word_bits(&lattice);
    unlink(model);
    unlink(federation);
    rmdir(dir);
    return st;
}

static fm_status load(const fm_schema *schema, const fm_buf *csv, const char *name, fm_table *out)
{
    const fm_table_options o = { .labels = true };

    return fm_table_parse(name, csv->data, csv->len, schema, &o, out);
}

fm_status heart_open(const heart_setting *s, const fm_demo_hospital h[HOSPITALS], heart_run *out)
{
    size_t n;
    fm_status st;

    memset(out, 0, sizeof *out);
    if ((st = fm_schema_parse("schema", s->schema, strlen(s->schema), &out->schema)) != FM_OK ||
        (st = make_config(s, out)) != FM_OK)
        goto done;
    for (size_t i = 0; st == FM_OK && i < HOSPITALS; i++)
        if ((st = load(out->schema, &h[i].train, h[i].name, &out->train[i])) == FM_OK)
            st = load(out->schema, &h[i].test, h[i].name, &out->test[i]);
    n = out->config.plan.parameters;
    if (st != FM_OK || (st = fm_alloc(n, sizeof(float), (void **)&out->first)) != FM_OK ||
        (st = fm_alloc(n, sizeof(float), (void **)&out->result)) != FM_OK)
        goto done;
    st = fm_safetensors_flat_read(out->config.model, out->first, n);
done:
    if (st != FM_OK)
        heart_close(out);
    return st;
}

void heart_close(heart_run *r)
{
    for (size_t i = 0; i < HOSPITALS; i++) {
        fm_table_fini(&r->train[i]);
        fm_table_fini(&r->test[i]);
    }
    free(r->first);
    free(r->result);
    fm_aggregator_config_fini(&r->config);
    fm_schema_free(&r->schema);
}
