#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/file.h"
#include "fedmoe/demo/hospitals.h"
#include "fm_test.h"
#include "local_steps.h"
#include "tabular_data.h"

#define SKEWED 6u

static _Noreturn void stop(void)
{
    fprintf(stderr, "bench-local_steps: %s\n", fm_error_text());
    exit(1);
}

static void *must(size_t n, size_t size)
{
    void *p = NULL;

    if (fm_alloc(n, size, &p) != FM_OK)
        stop();
    return p;
}

static void read_schema(const char *file, split *out)
{
    char path[4096];
    fm_buf text = { 0 };

    (void)snprintf(path, sizeof path, "%s/%s", BENCH_SCHEMAS, file);
    if (fm_file_read(path, 1 << 20, &text) != FM_OK ||
        fm_strdup((const char *)text.data, &out->schema_text) != FM_OK ||
        fm_schema_parse(file, text.data, text.len, &out->schema) != FM_OK)
        stop();
    fm_buf_fini(&text);
}

static void parse(const split *s, const fm_buf *csv, fm_table *out)
{
    const fm_table_options o = { .labels = true };

    if (fm_table_parse("records", csv->data, csv->len, s->schema, &o, out) != FM_OK)
        stop();
}

static bool load_hospitals(uint64_t seed, split *out, const char **why)
{
    fm_demo_hospital h[FM_DEMO_HOSPITALS];
    char dir[4096];

    *why = "the shared data is not there";
    if (!fm_test_shared("data/heart_disease", dir, sizeof dir))
        return false;
    if (fm_demo_hospitals_load(dir, seed, h) != FM_OK)
        stop();
    read_schema("heart_disease.yaml", out);
    out->nodes = FM_DEMO_HOSPITALS;
    for (size_t i = 0; i < FM_DEMO_HOSPITALS; i++) {
        fm_table test = { 0 };

        parse(out, &h[i].train, &out->train[i]);
        parse(out, &h[i].test, &test);
        if (fm_table_append(&out->test, &test) != FM_OK)
            stop();
        fm_table_fini(&test);
    }
    fm_demo_hospitals_fini(h);
    return true;
}

/* Node k of n gets of the positive rows a part as (k + 1)^2, of the others as (n - k)^2. */
static uint32_t node_of(bool positive, double u, uint32_t nodes)
{
    double all = 0.0, at = 0.0;

    for (uint32_t k = 0; k < nodes; k++)
        all += (double)((k + 1) * (k + 1));
    for (uint32_t k = 0; k < nodes; k++) {
        const uint32_t w = positive ? k + 1 : nodes - k;

        if (u < (at += (double)(w * w) / all))
            return k;
    }
    return nodes - 1;
}

static void add_row(fm_table *to, const fm_table *from, size_t row)
{
    memcpy(to->x + to->rows * to->features, from->x + row * from->features,
           to->features * sizeof *to->x);
    to->y[to->rows++] = from->y[row];
}

static bool load_skewed(const char *name, uint64_t seed, size_t rows, split *out, const char **why)
{
    fm_demo_random random = { seed + 1 };
    const tabular_set *set = tabular_sets;
    tabular_split all;

    while (strcmp(set->name, name) != 0)
        if (++set == tabular_sets + tabular_set_count) {
            (void)fm_fail(FM_EINVAL, "no data set %s", name);
            stop();
        }
    if (!tabular_load(set, seed, &all, why))
        return false;
    read_schema(set->schema, out);
    out->nodes = SKEWED;
    out->test = all.test;
    all.test = (fm_table){ 0 };
    rows = rows < all.train.rows ? rows : all.train.rows;
    for (uint32_t k = 0; k < SKEWED; k++) {
        out->train[k].features = all.train.features;
        out->train[k].x = must(rows * all.train.features, sizeof(float));
        out->train[k].y = must(rows, sizeof(float));
    }
    for (size_t i = 0; i < rows; i++)
        add_row(&out->train[node_of(all.train.y[i] > 0.5f, fm_demo_random_unit(&random), SKEWED)],
                &all.train, i);
    tabular_fini(&all);
    return true;
}

bool split_load(const char *set, uint64_t seed, size_t rows, split *out, const char **why)
{
    size_t units = 0;

    memset(out, 0, sizeof *out);
    if (!(strcmp(set, "heart_disease") == 0 ? load_hospitals(seed, out, why)
                                            : load_skewed(set, seed, rows, out, why)))
        return false;
    for (uint32_t k = 0; k < out->nodes; k++)
        units += out->train[k].rows;
    out->units = (double)((units + 5) / 10 * 10);
    return true;
}

void split_fini(split *s)
{
    for (uint32_t k = 0; k < s->nodes; k++)
        fm_table_fini(&s->train[k]);
    fm_table_fini(&s->test);
    fm_schema_free(&s->schema);
    free(s->schema_text);
}
