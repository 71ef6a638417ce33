#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "fedmoe/base/json.h"
#include "fedmoe/model/metrics.h"
#include "fedmoe/model/tabular.h"

typedef struct {
    const char *name;
    fm_metrics metrics;
} row;

static fm_status measure(fm_tabular *m, const fm_table *t, fm_metrics *out)
{
    float *logits = NULL;
    fm_status st = fm_alloc(t->rows, sizeof *logits, (void **)&logits);

    if (!st && !(st = fm_tabular_predict(m, t->x, t->rows, logits)))
        st = fm_metrics_compute(logits, t->y, t->rows, out);
    free(logits);
    return st;
}

/* rows[count + 1]: each file, then all together. */
static fm_status measure_all(const char *model, char **files, size_t count, row *rows)
{
    const fm_table_options options = { .labels = true };
    fm_schema *schema = NULL;
    fm_tabular *m = NULL;
    fm_table all = { 0 };
    fm_status st = fm_tabular_load(model, FM_CMD_BATCH, &schema, &m);

    for (size_t i = 0; !st && i < count; i++) {
        fm_table t = { 0 };

        rows[i].name = files[i];
        if (!(st = fm_table_load(files[i], schema, &options, &t)) &&
            (st = measure(m, &t, &rows[i].metrics)))
            st = fm_fail_context(st, "%s: ", files[i]);
        if (!st)
            st = fm_table_append(&all, &t);
        fm_table_fini(&t);
    }
    rows[count].name = "all together";
    if (!st)
        st = measure(m, &all, &rows[count].metrics);
    fm_table_fini(&all);
    fm_tabular_free(&m);
    fm_schema_free(&schema);
    return st;
}

static void print_table(const row *rows, size_t count)
{
    size_t width = strlen("file");

    for (size_t i = 0; i < count; i++)
        width = strlen(rows[i].name) > width ? strlen(rows[i].name) : width;
    printf("%-*s %7s %9s %6s %8s %8s\n", (int)width, "file", "rows", "positives", "AUC", "accuracy",
           "log loss");
    for (size_t i = 0; i < count; i++) {
        const fm_metrics *m = &rows[i].metrics;
        char auc[16] = "-"; /* one class only */

        if (!isnan(m->auc))
            (void)snprintf(auc, sizeof auc, "%.4f", m->auc);
        printf("%-*s %7zu %9zu %6s %8.4f %8.4f\n", (int)width, rows[i].name, m->rows, m->positives,
               auc, m->accuracy, m->log_loss);
    }
}

static json_t *to_json(const row *r)
{
    const fm_metrics *m = &r->metrics;

    return json_pack("{s:s, s:I, s:I, s:o, s:f, s:f}", "name", r->name, "rows", (json_int_t)m->rows,
                     "positives", (json_int_t)m->positives, "auc",
                     isnan(m->auc) ? json_null() : json_real(m->auc), "accuracy", m->accuracy,
                     "log_loss", m->log_loss);
}

static fm_status print_json(const row *rows, size_t count)
{
    json_t *files = json_array(), *root = json_object();
    fm_status st = FM_ENOMEM;

    for (size_t i = 0; i < count; i++)
        if (json_array_append_new(files, to_json(&rows[i])) != 0) {
            (void)fm_fail(st, "a file's name is not UTF-8, or memory is short");
            goto done;
        }
    if (json_object_set(root, "files", files) == 0 &&
        json_object_set_new(root, "all", to_json(&rows[count])) == 0)
        st = fm_json_print(root);
done:
    json_decref(files);
    json_decref(root);
    return st;
}

int fm_cmd_evaluate(int argc, char **argv)
{
    static const char program[] = "fedmoe-model evaluate";
    const char *model = NULL;
    bool json = false;
    const fm_cli_option options[] = {
        { "model", FM_CLI_STRING, &model, "FILE", "the model", true, 0, 0 },
        { "json", FM_CLI_FLAG, &json, NULL, "as JSON", false, 0, 0 },
    };
    const fm_cli_spec spec = {
        .program = program,
        .summary = "Measure a model on labelled records: each file, and all of them together.",
        .examples = "fedmoe-model evaluate --model final.safetensors processed.*.data\n"
                    "fedmoe-model evaluate --model final.safetensors --json test.csv",
        .options = options,
        .option_count = FM_CMD_COUNT(options),
        .operands = "CSV...",
        .operands_min = 1,
        .operands_max = SIZE_MAX,
    };
    row *rows = NULL;
    int first, code;
    fm_status st;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    const size_t count = (size_t)(argc - first);

    if (!(st = fm_alloc(count + 1, sizeof *rows, (void **)&rows)) &&
        !(st = measure_all(model, argv + first, count, rows))) {
        if (json)
            st = print_json(rows, count);
        else
            print_table(rows, count > 1 ? count + 1 : 1);
    }
    free(rows);
    return st ? fm_cli_failed(program) : 0;
}
