/*
 * One prediction for one record, with the default model for the adult census table: microseconds
 * from features to log odds, in float32 and from a file in 8 bits, beside the same model in
 * PyTorch, record by record, where it is installed (predict_one_peer.py). Then what 8 bits cost:
 * how far the log odds move, on the same records.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "fedmoe/base/cli.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/log.h"
#include "fedmoe/edge/file.h"
#include "fedmoe/model/tabular.h"
#include "fm_test.h"

enum { RECORDS = 256, FEATURES = 1024 }; /* at most */

static uint64_t now_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The fastest of many runs over all records, for each record. */
static double microseconds(fm_tabular *m, const float *x, size_t features, float *out)
{
    const uint64_t end = now_ns() + 500 * 1000000ull;
    double best = 1e9;

    do {
        const uint64_t start = now_ns();

        for (size_t i = 0; i < RECORDS; i++)
            if (fm_tabular_predict(m, x + i * features, 1, out + i) != FM_OK)
                exit(1);
        best = fmin(best, (double)(now_ns() - start) / RECORDS * 1e-3);
    } while (now_ns() < end);
    return best;
}

/* First weights have a linear part of zeros, which would make a dull model: all are drawn. */
static fm_status make_model(const char *schema, const char *path)
{
    fm_schema *s = NULL;
    fm_tabular_config c;
    fm_tabular *m = NULL;
    float *flat = NULL;
    fm_buf file = { 0 };
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 1);
    size_t n = 0;
    fm_status st = fm_schema_load(schema, &s);

    if (st == FM_OK) {
        fm_tabular_config_default(s, &c);
        if ((st = fm_tabular_parameters(&c, &n)) == FM_OK &&
            (st = fm_tabular_new(&c, 1, &m)) == FM_OK)
            st = fm_alloc(n, sizeof *flat, (void **)&flat);
    }
    if (st == FM_OK) {
        fm_tabular_init(m, &rng);
        fm_tabular_get(m, flat);
        for (size_t i = 0; i < n; i++)
            flat[i] += 0.02f * (float)fm_rng_normal(&rng);
        if ((st = fm_tabular_set(m, flat, n)) == FM_OK &&
            (st = fm_tabular_encode(m, s, NULL, 0, &file)) == FM_OK)
            st = fm_file_replace(path, file.data, file.len, 0644);
    }
    fm_buf_fini(&file);
    free(flat);
    fm_tabular_free(&m);
    fm_schema_free(&s);
    return st;
}

static fm_status measure(const char *path, const float *x, float *out, fm_tabular_config *c,
                         double *took)
{
    fm_schema *s = NULL;
    fm_tabular *m = NULL;
    const fm_status st = fm_tabular_load(path, 1, &s, &m);

    if (st == FM_OK) {
        *c = *fm_tabular_get_config(m);
        *took = microseconds(m, x, c->features, out);
    }
    fm_tabular_free(&m);
    fm_schema_free(&s);
    return st;
}

/* Not a number: there is no PyTorch. */
static double peer(const char *python, const fm_tabular_config *c)
{
    char command[512], line[64] = "";
    FILE *f;

    (void)snprintf(command, sizeof command,
                   "%s %s --features %zu --width %zu --experts %zu --top-k %zu --hidden %zu "
                   "--shared %zu",
                   python, BENCH_PEER, c->features, c->width, c->experts, c->top_k,
                   c->expert_hidden, c->shared_hidden);
    if (!(f = popen(command, "r")))
        return NAN;
    if (!fgets(line, sizeof line, f))
        line[0] = '\0';
    return pclose(f) == 0 && line[0] ? strtod(line, NULL) : NAN;
}

static void show(double plain, double small, double torch, const float *a, const float *b)
{
    double most = 0.0;

    for (size_t i = 0; i < RECORDS; i++)
        most = fmax(most, fabs((double)a[i] - (double)b[i]));
    printf("microseconds for one record, from features to log odds\n"
           "  float32     %8.2f\n  8 bits      %8.2f\n",
           plain, small);
    if (isnan(torch))
        printf("  PyTorch     is not installed: python3-torch\n");
    else
        printf("  PyTorch     %8.2f: %.0f times float32's, %.0f times that of 8 bits\n", torch,
               torch / plain, torch / small);
    printf("log odds differ by %.4f at most\n", most);
}

int main(int argc, char **argv)
{
    const char *python = "/usr/bin/python3";
    const fm_cli_option options[] = {
        { "python", FM_CLI_STRING, &python, "PROGRAM", "with PyTorch (/usr/bin/python3)", false, 0,
          0 },
    };
    const fm_cli_spec spec = { .program = "bench-predict_one",
                               .summary = "One prediction for one record.",
                               .options = options,
                               .option_count = 1 };
    static float x[RECORDS * FEATURES], plain[RECORDS], small[RECORDS];
    char dir[256], model[300], int8[300];
    double took = 0.0, took_int8 = 0.0;
    fm_tabular_config c;
    fm_rng_seed state;
    fm_rng rng;
    int first, code;

    if (fm_random_init() != FM_OK)
        return fm_cli_failed(spec.program);
    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    fm_log_set_level(FM_LOG_ERROR);
    rng = fm_rng_seeded(&state, 2);
    for (size_t i = 0; i < sizeof x / sizeof *x; i++)
        x[i] = fm_rng_below(&rng, 8) == 0 ? 1.0f : 0.0f;
    fm_test_tmpdir(dir, sizeof dir);
    (void)snprintf(model, sizeof model, "%s/model.safetensors", dir);
    (void)snprintf(int8, sizeof int8, "%s/int8.safetensors", dir);
    if (make_model(BENCH_SCHEMAS "/adult.yaml", model) != FM_OK ||
        fm_edge_write_tabular(model, 0644, int8, NULL) != FM_OK ||
        measure(model, x, plain, &c, &took) != FM_OK ||
        measure(int8, x, small, &c, &took_int8) != FM_OK)
        return fm_cli_failed(spec.program);
    show(took, took_int8, peer(python, &c), plain, small);
    return 0;
}
