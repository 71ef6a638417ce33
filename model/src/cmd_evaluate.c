#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_evaluate.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/json.h"
#include "fedmoe/model/metrics.h"
#include "fedmoe/model/tabular.h"

typedef struct {
    const char *name;
    fm_metrics metrics;
} row;

static fm_status measure(fm_tabular *m, const fm_schema *s, const fm_table *t, fm_metrics *out)
{
    float *outputs = NULL;
    fm_status st = fm_alloc(t->rows, fm_schema_outputs(s) * sizeof *outputs, (void **)&outputs);

    if (!st && !(st = fm_tabular_predict(m, t->x, t->rows, outputs)))
        st = fm_metrics_of(s, outputs, t->y, t->rows, out);
    free(outputs);
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
            (st = measure(m, schema, &t, &rows[i].metrics)))
            st = fm_fail_context(st, "%s: ", files[i]);
        if (!st)
            st = fm_table_append(&all, &t);
        fm_table_fini(&t);
    }
    rows[count].name = "all together";
    if (!st)
        st = measure(m, schema, &all, &rows[count].metrics);
    fm_table_fini(&all);
    fm_tabular_free(&m);
    fm_schema_free(&schema);
    return st;
}

static void put_cell(double v)
{
    char text[FM_METRICS_FIGURE]; /* "-" with one class only, for one */

    fm_metrics_figure(v, text);
    printf(" %9s", text);
}

static void print_row(const row *r, int width)
{
    const fm_metrics *m = &r->metrics;

    printf("%-*s %9zu", width, r->name, m->rows);
    if (m->target == FM_TARGET_BINARY)
        printf(" %9zu", m->positives);
    put_cell(m->target == FM_TARGET_NUMBER ? m->rmse : m->auc);
    put_cell(m->target == FM_TARGET_NUMBER ? m->mae : m->accuracy);
    put_cell(m->target == FM_TARGET_NUMBER ? m->r2 : m->log_loss);
    if (m->target != FM_TARGET_NUMBER)
        put_cell(m->brier);
    putchar('\n');
}

/* A line for each file, then all that is known of all of them together. */
static fm_status print_table(const row *rows, size_t count)
{
    const fm_metrics *all = &rows[count].metrics;
    const bool number = all->target == FM_TARGET_NUMBER, binary = all->target == FM_TARGET_BINARY;
    size_t width = strlen(rows[count].name);
    fm_buf text = { 0 };
    fm_status st;

    for (size_t i = 0; i < count; i++)
        width = strlen(rows[i].name) > width ? strlen(rows[i].name) : width;
    if (count > 1) {
        printf("%-*s %9s%s %9s %9s %9s%s\n", (int)width, "file", "records",
               binary ? "  positive" : "", number ? "RMSE" : "AUC", number ? "MAE" : "accuracy",
               number ? "R2" : "log loss", number ? "" : "     Brier");
        for (size_t i = 0; i <= count; i++)
            print_row(&rows[i], (int)width);
        printf("\nall together\n");
    } else {
        printf("%s\n", rows[0].name);
    }
    if (!(st = fm_metrics_text(all, &text)))
        fputs((const char *)text.data, stdout);
    fm_buf_fini(&text);
    return st;
}

static fm_status write_diagram(const fm_metrics *m, const char *title, const char *path)
{
    fm_buf svg = { 0 };
    fm_status st = fm_metrics_svg(m, title, &svg);

    if (!st) /* counts of private records: private */
        st = fm_file_replace(path, svg.data, svg.len, 0600);
    fm_buf_fini(&svg);
    return st;
}

/* Before the work: it may replace a diagram, but nothing that is read. */
static fm_status check_diagram(const char *path, const char *model, char **files, size_t count)
{
    fm_status st = path ? fm_file_check_output(path, true, &model, 1) : FM_OK;

    for (size_t i = 0; path && !st && i < count; i++) {
        const char *const file = files[i];

        st = fm_file_check_apart(path, &file, 1);
    }
    return st;
}

static fm_status print_json(const row *rows, size_t count)
{
    json_t *files = json_array(), *root = json_object(), *one = NULL;
    fm_status st = FM_OK;

    for (size_t i = 0; !st && i < count; i++)
        if (!(st = fm_metrics_json(&rows[i].metrics, rows[i].name, &one)) &&
            json_array_append_new(files, one) != 0)
            st = fm_fail(FM_ENOMEM, "out of memory");
    if (!st && !(st = fm_metrics_json(&rows[count].metrics, rows[count].name, &one))) {
        if (json_object_set(root, "files", files) == 0 &&
            json_object_set_new(root, "all", one) == 0)
            st = fm_json_print(root);
        else
            st = fm_fail(FM_ENOMEM, "out of memory");
    }
    json_decref(files);
    json_decref(root);
    return st;
}

static fm_status evaluate_records(const char *model, const char *reliability, bool json,
                                  char **files, size_t count)
{
    row *rows = NULL;
    fm_status st;

    if (!(st = check_diagram(reliability, model, files, count)) &&
        !(st = fm_alloc(count + 1, sizeof *rows, (void **)&rows)) &&
        !(st = measure_all(model, files, count, rows))) {
        if (reliability)
            st = write_diagram(&rows[count].metrics, count > 1 ? "all together" : rows[0].name,
                               reliability);
        if (!st)
            st = json ? print_json(rows, count) : print_table(rows, count);
    }
    free(rows);
    return st;
}

/* Options of the other kind of model would be passed over in silence. */
static fm_status check_words(const fm_cmd_texts *t, const char *reliability)
{
    if (!fm_cmd_is_folder(t->model) && (t->schema || t->adapter || t->context || t->end_token))
        return fm_fail(FM_EINVAL,
                       "--schema, --adapter, --context and --end-token are of language "
                       "models; %s is no folder",
                       t->model);
    if (fm_cmd_is_folder(t->model) && reliability)
        return fm_fail(FM_EINVAL, "--reliability is of models for records; %s is a language model",
                       t->model);
    return FM_OK;
}

int fm_cmd_evaluate(int argc, char **argv)
{
    static const char program[] = "fedmoe-model evaluate";
    const char *reliability = NULL;
    fm_cmd_texts texts = { 0 };
    bool json = false;
    fm_cli_option options[8] = {
        { "model", FM_CLI_STRING, &texts.model, "FILE", "the model; of a language model its folder",
          true, 0, 0 },
        { "reliability", FM_CLI_STRING, &reliability, "SVG",
          "draw how predictions come true, of all files together", false, 0, 0 },
        { "json", FM_CLI_FLAG, &json, NULL, "as JSON", false, 0, 0 },
        { "schema", FM_CLI_STRING, &texts.schema, "FILE",
          "of a language model: what a record's text is", false, 0, 0 },
    };
    fm_cli_spec spec = {
        .program = program,
        .summary =
            "Measure a model on labelled records: each file, and all of them together; or a "
            "language model on texts, of all files together. Figures of private records are not "
            "private.",
        .examples = "fedmoe-model evaluate --model final.safetensors processed.*.data\n"
                    "fedmoe-model evaluate --model final.safetensors --json test.csv\n"
                    "fedmoe-model evaluate --model final.safetensors --reliability plot.svg "
                    "test.csv\n"
                    "fedmoe-model evaluate --model base --adapter notes --schema notes.yaml "
                    "test.ndjson",
        .options = options,
        .option_count = 4,
        .operands = "FILE...",
        .operands_min = 1,
        .operands_max = SIZE_MAX,
    };
    int first, code;
    fm_status st;

    spec.option_count += fm_cmd_texts_options(&texts, options + spec.option_count);
    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    if (check_words(&texts, reliability)) {
        (void)fm_cli_failed(program);
        return FM_EXIT_USAGE;
    }
    st = fm_cmd_is_folder(texts.model)
             ? fm_cmd_evaluate_texts(&texts, (const char *const *)argv + first,
                                     (size_t)(argc - first), json)
             : evaluate_records(texts.model, reliability, json, argv + first,
                                (size_t)(argc - first));
    return st ? fm_cli_failed(program) : 0;
}
