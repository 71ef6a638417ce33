/* personalize: an institution's own head on the federation's model. Nothing leaves, nothing is
 * charged; what is made stays here. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/hash.h"
#include "fedmoe/base/json.h"
#include "fedmoe/base/log.h"
#include "fedmoe/train/personal.h"
#include "records.h"

#define BATCH_ROWS 256
#define MODEL_FILE_MAX ((size_t)4 * FM_TABULAR_MAX_PARAMETERS + FM_SAFETENSORS_MAX_HEADER)

static const char program[] = "fedmoe-node personalize";

typedef struct {
    const char *config_path, *model, *output;
    bool json, force;
    uint64_t seed;
    /* what becomes of it */
    fm_node_config config;
    char *path; /* of the model; owned */
    char digest[2 * FM_HASH_BYTES + 1];
    fm_schema *schema;
    fm_tabular *tabular;
    fm_table table;
    fm_personal_data *data;
    fm_personal_report report;
} request;

static void close_request(request *r)
{
    fm_personal_data_free(&r->data);
    fm_table_fini(&r->table);
    fm_tabular_free(&r->tabular);
    fm_schema_free(&r->schema);
    free(r->path);
    fm_node_config_fini(&r->config);
}

static fm_status find_model(request *r)
{
    char *dir = NULL;
    fm_status st;

    if (r->model)
        return fm_strdup(r->model, &r->path);
    if ((st = fm_path_dir(r->config_path, &dir)) == FM_OK)
        st = fm_path_join(dir, "model.safetensors", &r->path);
    free(dir);
    return st;
}

/* A head upon a head would be fitted to the same records twice. */
static fm_status check_mark(const char *path, const fm_buf *bytes)
{
    fm_safetensors *s = NULL;
    fm_status st = fm_safetensors_parse(path, bytes->data, bytes->len, &s);

    if (st == FM_OK && fm_safetensors_meta_get(s, FM_META_PERSONAL))
        st = fm_fail(FM_EINVAL,
                     "%s has a head of an institution's own already; give the "
                     "federation's model",
                     path);
    fm_safetensors_free(&s);
    return st;
}

static fm_status load_model(request *r)
{
    fm_buf bytes = { 0 };
    fm_status st = fm_file_read(r->path, MODEL_FILE_MAX, &bytes);

    if (st == FM_OK && (st = check_mark(r->path, &bytes)) == FM_OK &&
        (st = fm_tabular_decode(r->path, bytes.data, bytes.len, BATCH_ROWS, &r->schema,
                                &r->tabular)) == FM_OK)
        st = fm_hash_file_sha256(r->path, r->digest, NULL);
    fm_buf_fini(&bytes);
    return st;
}

static fm_status load_records(request *r)
{
    const fm_table_options o = { .labels = true,
                                 .max_rows = r->config.policy.max_rows,
                                 .unit = fm_node_policy_unit_column(&r->config.policy) };
    const fm_status st = fm_node_records_load(&r->config, r->schema, &o, &r->table);

    if (st == FM_OK && r->table.store)
        return fm_fail(FM_EINVAL,
                       "%s: the records take more than data.memory_mib allows, %llu MiB; here "
                       "they must be in memory: raise it",
                       fm_node_config_records_name(&r->config),
                       (unsigned long long)(r->config.memory >> 20));
    return st;
}

/* ---- what is written ---- */

static fm_status fit_all(request *r)
{
    const size_t n = r->table.rows;
    fm_personal head = { 0 };
    uint32_t *rows = NULL;
    fm_status st = fm_alloc(n, sizeof *rows, (void **)&rows);

    if (st != FM_OK)
        return st;
    for (size_t i = 0; i < n; i++)
        rows[i] = (uint32_t)i;
    if ((st = fm_personal_fit(r->data, rows, n, r->report.scores[r->report.best].pull, &head)) ==
        FM_OK)
        st = fm_personal_apply(r->data, &head, r->tabular);
    fm_personal_fini(&head);
    free(rows);
    return st;
}

static fm_status write_model(request *r)
{
    const double pull = r->report.scores[r->report.best].pull;
    char mark[512];
    const fm_safetensors_meta meta[] = { { FM_META_PERSONAL, mark } };
    fm_buf file;
    fm_status st;

    (void)snprintf(mark, sizeof mark,
                   "node %s: a head fitted to %zu units of its records, lambda %g, on the model of "
                   "SHA-256 %s; not private, must not leave the institution",
                   r->config.name, r->report.units, pull, r->digest);
    fm_buf_init(&file, SIZE_MAX);
    if ((st = fit_all(r)) == FM_OK &&
        (st = fm_tabular_encode(r->tabular, r->schema, meta, 1, &file)) == FM_OK)
        st = r->force ? fm_file_replace(r->output, file.data, file.len, 0600)
                      : fm_file_create(r->output, file.data, file.len, 0600);
    fm_buf_fini(&file);
    return st;
}

/* ---- what is said of it ---- */

static const char *pull_text(double pull, char out[32])
{
    if (isinf(pull))
        return "scale and shift alone";
    (void)snprintf(out, 32, "head, lambda %g", pull);
    return out;
}

static void print_line(const char *what, const fm_personal_score *s, const char *mark)
{
    printf("  %-24s %9.4f", what, s->loss);
    if (isnan(s->pull))
        printf("%20s", "");
    else
        printf("  %+.4f +- %.4f", -s->gain, s->gain_se);
    if (!isnan(s->auc))
        printf("  %.4f", s->auc);
    printf("%s\n", mark);
}

static void print_text(const request *r)
{
    const fm_personal_report *p = &r->report;
    const bool binary = fm_schema_target(r->schema) == FM_TARGET_BINARY;
    char text[32];

    printf("%zu %s, each predicted by a model that has not seen it (%u times %u folds):\n\n",
           p->units, r->table.unit_start ? "patients (or other units)" : "records",
           FM_PERSONAL_REPEATS, FM_PERSONAL_FOLDS);
    printf("  %-24s %9s  %-17s%s\n", "model", "loss", "against it", binary ? "  AUC" : "");
    print_line("the federation's", &p->federated, p->kept ? "  <- kept" : "");
    for (size_t i = 0; i < FM_PERSONAL_PULLS; i++)
        print_line(pull_text(p->scores[i].pull, text), &p->scores[i],
                   i != p->best ? ""
                   : p->kept    ? "  perhaps better"
                                : "  <- chosen");
    if (p->kept)
        printf("\nThe federation's model serves these records as well: nothing was written.\n");
    else
        printf("\n%s: with a head of your own (mode 0600). It says something of your records: "
               "it must not leave the house.\n",
               r->output);
}

static json_t *score_json(const fm_personal_score *s)
{
    json_t *o = json_pack("{s:f, s:o}", "loss", s->loss, "auc",
                          isnan(s->auc) ? json_null() : json_real(s->auc));

    if (o && !isnan(s->pull)) {
        (void)json_object_set_new(o, "lambda", isinf(s->pull) ? json_null() : json_real(s->pull));
        (void)json_object_set_new(o, "gain", json_real(s->gain));
        (void)json_object_set_new(o, "gain_standard_error", json_real(s->gain_se));
    }
    return o;
}

static fm_status print_json(const request *r)
{
    const fm_personal_report *p = &r->report;
    json_t *tried = json_array();
    json_t *j;
    fm_status st;

    for (size_t i = 0; i < FM_PERSONAL_PULLS; i++)
        (void)json_array_append_new(tried, score_json(&p->scores[i]));
    j = json_pack("{s:s, s:I, s:o, s:o, s:o, s:o}", "chosen", p->kept ? "federation" : "personal",
                  "units", (json_int_t)p->units, "federation", score_json(&p->federated), "best",
                  score_json(&p->scores[p->best]), "tried", tried, "output",
                  p->kept ? json_null() : json_string(r->output));
    st = j ? fm_json_print(j) : fm_fail(FM_ENOMEM, "no memory for the report");
    json_decref(j);
    return st;
}

static fm_status run(request *r)
{
    const char *inputs[2];
    fm_status st;

    if ((st = fm_node_config_load(r->config_path, &r->config)) != FM_OK ||
        (st = find_model(r)) != FM_OK)
        return st;
    inputs[0] = r->config_path;
    inputs[1] = r->path;
    if (r->config.model)
        return fm_fail(FM_EINVAL, "%s names a language model; heads are of models of records",
                       r->config_path);
    fm_log_set_level(FM_LOG_ERROR); /* folds protect nothing: no warning about their seed */
    if ((st = fm_file_check_output(r->output, r->force, inputs, 2)) != FM_OK ||
        (st = fm_cmd_check_apart(r->output, r->config_path, &r->config)) != FM_OK ||
        (st = load_model(r)) != FM_OK || (st = load_records(r)) != FM_OK ||
        (st = fm_personal_data_new(r->tabular, &r->table, &r->data)) != FM_OK ||
        (st = fm_personal_choose(r->data, r->seed, &r->report)) != FM_OK)
        return st;
    if (!r->report.kept && (st = write_model(r)) != FM_OK)
        return st;
    if (r->json)
        return print_json(r);
    print_text(r);
    return FM_OK;
}

int fm_cmd_personalize(int argc, char **argv)
{
    request r = { .config_path = "node.yaml" };
    const fm_cli_option options[] = {
        FM_CMD_CONFIG_OPTION(r.config_path),
        { "output", FM_CLI_STRING, &r.output, "FILE", "the model with a head of your own", true, 0,
          0 },
        { "force", FM_CLI_FLAG, &r.force, NULL, "replace the output if it is there", false, 0, 0 },
        { "model", FM_CLI_STRING, &r.model, "FILE",
          "the federation's (default: model.safetensors beside node.yaml)", false, 0, 0 },
        { "seed", FM_CLI_U64, &r.seed, "N", "of the folds (default 0)", false, 0, 0 },
        FM_CMD_JSON_OPTION(r.json),
    };
    const fm_cli_spec spec = {
        .program = program,
        .summary = "Fit a head of your own to the federation's model on this node's records, if "
                   "that predicts records it has not seen better. The result is not private and "
                   "stays here; the federation's model is not changed.",
        .examples = "fedmoe-node personalize --output personal.safetensors\n"
                    "fedmoe-node predict --model personal.safetensors --input new.csv --output "
                    "risk.csv",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    int first = 0, code = 0;

    if (fm_cli_begin(&spec, argc, argv, &first, &code))
        code = run(&r) == FM_OK ? 0 : fm_cli_failed(program);
    close_request(&r);
    return code;
}
