#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd_inspect.h"
#include "fedmoe/model/tabular.h"
#include "fedmoe/provenance/card.h"

typedef struct {
    fm_schema *schema;
    fm_tabular *model;
    fm_safetensors *file; /* for the metadata */
    size_t parameters, active;
    bool measured;
    fm_compute_report compute;
} opened;

static fm_status open_model(const char *path, opened *o)
{
    fm_status st = fm_tabular_load(path, 1, &o->schema, &o->model);

    if (!st)
        st = fm_safetensors_load(path, 4 * FM_TABULAR_MAX_PARAMETERS + FM_SAFETENSORS_MAX_HEADER,
                                 &o->file);
    if (!st)
        st = fm_tabular_parameters(fm_tabular_get_config(o->model), &o->parameters);
    if (!st)
        st = fm_tabular_active_parameters(fm_tabular_get_config(o->model), &o->active);
    return st;
}

static bool is_long(const char *key)
{
    return strcmp(key, FM_META_SCHEMA) == 0 || strcmp(key, FM_META_MODEL) == 0 ||
           strncmp(key, FM_META_CARD, strlen(FM_META_CARD)) == 0;
}

/* The file is somebody else's: nothing in it may drive the terminal. */
void fm_inspect_print_clean(const char *text, size_t n, const char *end)
{
    for (size_t i = 0; i < n; i++)
        putchar((unsigned char)text[i] < 0x20 || text[i] == 0x7f ? '?' : text[i]);
    fputs(end, stdout);
}

void fm_inspect_print_compute(const fm_compute_report *r)
{
    char line[320];

    fm_compute_format(r, line, sizeof line);
    printf("compute     %s\n", line);
}

static void print_text(const opened *o)
{
    const char *name = fm_schema_name(o->schema);

    printf("schema      ");
    fm_inspect_print_clean(name, strlen(name), "");
    printf(" (%zu columns, %zu features)\n", fm_schema_columns(o->schema),
           fm_schema_features(o->schema));
    printf("parameters  %zu, of which one record touches %zu\n", o->parameters, o->active);
    if (o->measured)
        fm_inspect_print_compute(&o->compute);
    fm_inspect_mention_card(o->file);
    printf("\nmetadata\n");
    for (size_t i = 0; i < fm_safetensors_meta_count(o->file); i++) {
        const fm_safetensors_meta m = fm_safetensors_meta_at(o->file, i);

        if (is_long(m.key))
            continue;
        printf("  ");
        fm_inspect_print_clean(m.key, strlen(m.key), ": ");
        fm_inspect_print_clean(m.value, strlen(m.value), "\n");
    }
    printf("\nmodel.yaml\n");
    for (const char *p = fm_safetensors_meta_get(o->file, FM_META_MODEL); *p;) {
        const size_t n = strcspn(p, "\n");

        printf("  ");
        fm_inspect_print_clean(p, n, "\n");
        p += n + (p[n] == '\n');
    }
    printf("\ntensors\n");
    for (size_t i = 0; i < fm_tabular_tensors(o->model); i++) {
        const fm_tabular_tensor_info t = fm_tabular_tensor(o->model, i);

        if (t.dims > 1)
            printf("  %-36s [%zu, %zu]\n", t.name, t.shape[0], t.shape[1]);
        else
            printf("  %-36s [%zu]\n", t.name, t.shape[0]);
    }
}

static json_t *tensors_json(const opened *o)
{
    json_t *list = json_array();

    for (size_t i = 0; i < fm_tabular_tensors(o->model); i++) {
        const fm_tabular_tensor_info t = fm_tabular_tensor(o->model, i);
        json_t *shape = json_pack("[I]", (json_int_t)t.shape[0]);

        if (t.dims > 1)
            json_array_append_new(shape, json_integer((json_int_t)t.shape[1]));
        json_array_append_new(list, json_pack("{s:s, s:o}", "name", t.name, "shape", shape));
    }
    return list;
}

json_t *fm_inspect_compute_json(const fm_compute_report *r)
{
    return json_pack("{s:s, s:b, s:f, s:f, s:f}", "kernels", r->level, "portable", r->portable,
                     "float32_gflops", r->float_gflops, "integer_gops", r->integer_gops,
                     "peak_gflops", r->peak_gflops);
}

static fm_status print_json(const opened *o)
{
    json_t *meta = json_object(), *root;
    fm_status st;

    for (size_t i = 0; i < fm_safetensors_meta_count(o->file); i++) {
        const fm_safetensors_meta m = fm_safetensors_meta_at(o->file, i);

        json_object_set_new(meta, m.key, json_string(m.value));
    }
    root = json_pack("{s:s, s:I, s:I, s:I, s:o, s:o}", "schema", fm_schema_name(o->schema),
                     "features", (json_int_t)fm_schema_features(o->schema), "parameters",
                     (json_int_t)o->parameters, "active_parameters", (json_int_t)o->active,
                     "metadata", meta, "tensors", tensors_json(o));
    if (root && o->measured)
        json_object_set_new(root, "compute", fm_inspect_compute_json(&o->compute));
    st = root ? fm_json_print(root) : fm_fail(FM_ENOMEM, "out of memory");
    json_decref(root);
    return st;
}

/** A file of records' model. */
static fm_status show_file(const char *path, bool json, bool speed)
{
    opened o = { 0 };
    fm_status st = open_model(path, &o);

    if (!st && speed) {
        st = fm_compute_measure(&o.compute);
        o.measured = true;
    }
    if (!st && json)
        st = print_json(&o);
    else if (!st)
        print_text(&o);
    fm_safetensors_free(&o.file);
    fm_tabular_free(&o.model);
    fm_schema_free(&o.schema);
    return st;
}

int fm_cmd_inspect(int argc, char **argv)
{
    static const char program[] = "fedmoe-model inspect";
    bool json = false, speed = false, verify = false;
    fm_inspect_trust how = { 0 };
    const fm_cli_option options[] = {
        { "json", FM_CLI_FLAG, &json, NULL, "as JSON", false, 0, 0 },
        { "speed", FM_CLI_FLAG, &speed, NULL, "measure how fast this machine computes", false, 0,
          0 },
        { "verify", FM_CLI_FLAG, &verify, NULL,
          "check the model's signed card, and that the file is what was signed", false, 0, 0 },
        { "ca", FM_CLI_STRING, &how.ca, "FILE", "with --verify: the consortium's ca.crt", false, 0,
          0 },
        { "crl", FM_CLI_STRING, &how.crl, "FILE", "with --verify: its revocation lists, crl.pem",
          false, 0, 0 },
        { "derived", FM_CLI_FLAG, &how.derived, NULL,
          "with --verify: let a file pass that only says that it was made from a signed one", false,
          0, 0 },
    };
    const fm_cli_spec spec = {
        .program = program,
        .summary =
            "Show what a model file holds: schema, configuration, sizes, metadata, tensors; a "
            "language model's folder; or adapters for one, of a federation or as PEFT keeps them.",
        .examples = "fedmoe-model inspect final.safetensors\n"
                    "fedmoe-model inspect --json final.safetensors\n"
                    "fedmoe-model inspect --verify --ca ca.crt --crl crl.pem final.safetensors\n"
                    "fedmoe-model inspect OLMoE-1B-7B-0924",
        .options = options,
        .option_count = FM_CMD_COUNT(options),
        .operands = "FILE|FOLDER",
        .operands_min = 1,
        .operands_max = 1,
    };
    struct stat info;
    int first, code;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    if (verify != (how.ca != NULL) || (!verify && (how.crl || how.derived))) {
        fprintf(stderr, "%s: --verify needs --ca FILE, and they need it; try --help\n", program);
        return FM_EXIT_USAGE;
    }
    if (verify)
        return fm_inspect_card(argv[first], &how, json) ? fm_cli_failed(program) : 0;
    if (fm_inspect_is_peft(argv[first]))
        return fm_inspect_peft(argv[first], json) ? fm_cli_failed(program) : 0;
    if (stat(argv[first], &info) == 0 && S_ISDIR(info.st_mode))
        return fm_inspect_folder(argv[first], json, speed) ? fm_cli_failed(program) : 0;
    if (fm_inspect_is_adapter(argv[first]))
        return fm_inspect_adapter(argv[first], json) ? fm_cli_failed(program) : 0;
    if (fm_inspect_is_int8(argv[first]))
        return fm_inspect_int8(argv[first], json, speed) ? fm_cli_failed(program) : 0;
    return show_file(argv[first], json, speed) ? fm_cli_failed(program) : 0;
}
