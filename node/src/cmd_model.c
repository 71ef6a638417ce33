/* evaluate and predict: a model file on records of this node. Nothing leaves, nothing is charged.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/json.h"
#include "fedmoe/model/metrics.h"
#include "fedmoe/model/predict.h"
#include "fedmoe/model/tabular.h"
#include "fedmoe/node/config.h"

#define BATCH_ROWS 256
#define DEFAULT_CONFIG "node.yaml"

typedef struct {
    const char *config, *model; /* model NULL: model.safetensors beside the configuration */
    fm_node_config node;        /* zero: there is no node.yaml */
    fm_schema *schema;
    fm_tabular *tabular;
} loaded;

/** *out: a path to be freed, or NULL when m->model says it. */
static fm_status model_path(const loaded *m, char **out)
{
    char *dir = NULL;
    fm_status st = FM_OK;

    if (!m->model && (st = fm_path_dir(m->config, &dir)) == FM_OK)
        st = fm_path_join(dir, "model.safetensors", out);
    free(dir);
    return st;
}

/** How this institution writes its files; in a folder that holds the model alone, as the schema says. */
static fm_status read_node(loaded *m)
{
    const bool asked = strcmp(m->config, DEFAULT_CONFIG) != 0 && !m->model;

    return !asked && !fm_file_exists(m->config) ? FM_OK : fm_node_config_load(m->config, &m->node);
}

static const fm_dialect *dialect_of(const loaded *m)
{
    return m->node.has_dialect ? &m->node.dialect : NULL;
}

static fm_status load_model(loaded *m)
{
    char *path = NULL;
    fm_status st = model_path(m, &path);

    if (st == FM_OK)
        st = fm_tabular_load(path ? path : m->model, BATCH_ROWS, &m->schema, &m->tabular);
    free(path);
    return st;
}

static void unload(loaded *m)
{
    fm_tabular_free(&m->tabular);
    fm_schema_free(&m->schema);
    fm_node_config_fini(&m->node);
}

/** float32[rows, outputs]; the caller frees. */
static fm_status predict(loaded *m, const fm_table *t, float **out)
{
    void *p = NULL;
    fm_status st = fm_alloc(t->rows ? t->rows : 1, fm_schema_outputs(m->schema) * sizeof **out, &p);

    if (st == FM_OK && (st = fm_tabular_predict(m->tabular, t->x, t->rows, p)) == FM_OK)
        *out = p;
    else
        free(p);
    return st;
}

/** All files as one table. */
static fm_status load_tables(const loaded *m, const char *const *files, size_t count, fm_table *out)
{
    const fm_table_options o = { .labels = true, .dialect = dialect_of(m) };
    fm_status st = FM_OK;

    for (size_t i = 0; st == FM_OK && i < count; i++) {
        fm_table t = { 0 };

        if ((st = fm_table_load(files[i], m->schema, &o, &t)) != FM_OK)
            return st;
        if (i == 0) {
            *out = t;
            continue;
        }
        st = fm_table_append(out, &t);
        fm_table_fini(&t);
    }
    return st;
}

static fm_status show_metrics(const fm_metrics *m, bool json)
{
    json_t *j = NULL;
    fm_buf text = { 0 };
    fm_status st;

    if (json) {
        if ((st = fm_metrics_json(m, NULL, &j)) == FM_OK)
            st = fm_json_print(j);
        json_decref(j);
        return st;
    }
    if ((st = fm_metrics_text(m, &text)) == FM_OK)
        fputs((const char *)text.data, stdout);
    fm_buf_fini(&text);
    return st;
}

static fm_status write_diagram(const fm_metrics *m, const char *path)
{
    fm_buf svg = { 0 };
    fm_status st = fm_metrics_svg(m, "the model on this node's records", &svg);

    if (st == FM_OK)
        st = fm_file_replace(path, svg.data, svg.len, 0600);
    fm_buf_fini(&svg);
    return st;
}

/** It may replace a diagram, but nothing that is read. */
static fm_status check_diagram(const loaded *m, const char *const *files, size_t count,
                               const char *path)
{
    char *model = NULL;
    const char *inputs[2] = { m->config, m->model };
    fm_status st = path ? model_path(m, &model) : FM_OK;

    if (st == FM_OK && model)
        inputs[1] = model;
    if (st == FM_OK && path && (st = fm_file_check_output(path, true, inputs, 2)) == FM_OK)
        st = fm_file_check_apart(path, files, count);
    free(model);
    return st;
}

static fm_status evaluate(loaded *m, const char *const *files, size_t count,
                          const char *reliability, bool json)
{
    fm_table t = { 0 };
    fm_metrics figures = { 0 };
    float *outputs = NULL;
    fm_status st;

    if ((st = check_diagram(m, files, count, reliability)) == FM_OK &&
        (st = read_node(m)) == FM_OK && (st = load_model(m)) == FM_OK &&
        (st = load_tables(m, files, count, &t)) == FM_OK &&
        (st = predict(m, &t, &outputs)) == FM_OK &&
        (st = fm_metrics_of(m->schema, outputs, t.y, t.rows, &figures)) == FM_OK &&
        (!reliability || (st = write_diagram(&figures, reliability)) == FM_OK))
        st = show_metrics(&figures, json);
    free(outputs);
    fm_table_fini(&t);
    unload(m);
    return st;
}

/** Files of --data, then the operands. */
static fm_status gather(const fm_cli_list *data, char **argv, int first, int argc,
                        const char ***out, size_t *count)
{
    size_t operands = argc > first ? (size_t)(argc - first) : 0;
    const char **files;
    void *p = NULL;
    fm_status st = fm_alloc(data->count + operands + 1, sizeof *files, &p);

    if (st != FM_OK)
        return st;
    files = p;
    for (size_t i = 0; i < data->count; i++)
        files[i] = data->items[i];
    for (size_t i = 0; i < operands; i++)
        files[data->count + i] = argv[first + (int)i];
    *out = files;
    *count = data->count + operands;
    return FM_OK;
}

int fm_cmd_evaluate(int argc, char **argv)
{
    loaded m = { .config = DEFAULT_CONFIG };
    fm_cli_list data = { 0 };
    const char *reliability = NULL;
    bool json = false;
    const fm_cli_option options[] = {
        FM_CMD_CONFIG_OPTION(m.config),
        { "data", FM_CLI_LIST, &data, "CSV", "labelled records; several are taken together", true,
          0, 0 },
        { "model", FM_CLI_STRING, &m.model, "FILE",
          "safetensors (default: model.safetensors beside node.yaml)", false, 0, 0 },
        { "reliability", FM_CLI_STRING, &reliability, "SVG", "draw how predictions come true",
          false, 0, 0 },
        FM_CMD_JSON_OPTION(json),
    };
    const fm_cli_spec spec = {
        .program = "fedmoe-node evaluate",
        .summary = "Measure a model on labelled records, written as data.csv of node.yaml says. "
                   "The figures are of your own records and "
                   "not private: publish them only as you would publish the records' statistics.",
        .examples = "fedmoe-node evaluate --config node.yaml --data holdout.csv --json",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .operands = "CSV...",
        .operands_max = 1024,
    };
    const char **files = NULL;
    size_t count = 0;
    int first = 0, code = 0;

    if (fm_cli_begin(&spec, argc, argv, &first, &code))
        code = gather(&data, argv, first, argc, &files, &count) == FM_OK &&
                       evaluate(&m, files, count, reliability, json) == FM_OK
                   ? 0
                   : fm_cli_failed(spec.program);
    free(files);
    free(data.items);
    return code;
}

static fm_status predict_file(loaded *m, fm_predict_options *o)
{
    uint64_t rows = 0;
    char *path = NULL;
    fm_status st = model_path(m, &path);

    if (st == FM_OK)
        st = read_node(m);
    o->model = path ? path : m->model;
    o->dialect = dialect_of(m);
    o->lines = true;
    if (st == FM_OK && (st = fm_predict_file(o, &rows)) == FM_OK)
        printf("%llu predictions are in %s\n", (unsigned long long)rows, o->output);
    free(path);
    unload(m);
    return st;
}

int fm_cmd_predict(int argc, char **argv)
{
    loaded m = { .config = DEFAULT_CONFIG };
    fm_predict_options o = { 0 };
    const fm_cli_option options[] = {
        FM_CMD_CONFIG_OPTION(m.config),
        { "input", FM_CLI_STRING, &o.input, "CSV", "records; labels are not needed", true, 0, 0 },
        { "output", FM_CLI_STRING, &o.output, "CSV", "line, logit, probability; mode 0600", true, 0,
          0 },
        { "force", FM_CLI_FLAG, &o.force, NULL, "replace the output if it is there", false, 0, 0 },
        { "model", FM_CLI_STRING, &m.model, "FILE",
          "safetensors (default: model.safetensors beside node.yaml)", false, 0, 0 },
        { "id", FM_CLI_STRING, &o.id, "COLUMN", "a column of the records to pass through", false, 0,
          0 },
    };
    const fm_cli_spec spec = {
        .program = "fedmoe-node predict",
        .summary = "Apply a model to records, written as data.csv of node.yaml says, and write one "
                   "line for each.",
        .examples = "fedmoe-node predict --input new.csv --output risk.csv",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    int first = 0, code = 0;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    return predict_file(&m, &o) == FM_OK ? 0 : fm_cli_failed(spec.program);
}
