/* schema suggest: a draft from what is public or paid for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "draft_charge.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/json.h"
#include "fedmoe/model/draft.h"
#include "fedmoe/model/schema.h"

typedef struct {
    const char *config_path, *dictionary, *answer, *label, *name, *records, *output;
    double epsilon; /* 0: not given */
    fm_cli_list columns, missing;
    bool force;
    fm_node_config config;
    bool configured;
    fm_draft draft;
} request;

static void close_request(request *r)
{
    fm_draft_fini(&r->draft);
    fm_node_config_fini(&r->config);
    free(r->columns.items);
    free(r->missing.items);
}

/* node.yaml is needed to charge; otherwise it only says where the records are. */
static fm_status take_config(request *r)
{
    fm_status st;

    if (r->epsilon == 0.0 && (r->records || !fm_file_exists(r->config_path)))
        return FM_OK;
    if ((st = fm_node_config_load(r->config_path, &r->config)))
        return st;
    r->configured = true;
    if (r->config.model)
        return fm_fail(FM_EINVAL,
                       "%s names a language model: a schema of texts has no columns, and "
                       "docs/text.md says how it is written",
                       r->config_path);
    return FM_OK;
}

static fm_status take_answer(request *r)
{
    json_t *answer = NULL;
    fm_status st = fm_json_read(r->answer, &answer);

    if (!st)
        st = fm_draft_answer(r->answer, answer, &r->draft);
    json_decref(answer);
    return st;
}

static fm_status take_header(request *r)
{
    const char *path = r->records ? r->records : r->configured ? r->config.records : NULL;

    if (path && (r->records || fm_file_exists(path)))
        return fm_draft_header(path, &r->draft);
    return FM_OK; /* of a database, a query names the columns; here the dictionary does */
}

/* In the records it is a column for each choice. */
static bool is_spread(const fm_draft *d, const char *name)
{
    const size_t len = strlen(name);

    for (size_t i = 0; i < d->count; i++)
        if (d->columns[i].in_file && strncmp(d->columns[i].name, name, len) == 0 &&
            strncmp(d->columns[i].name + len, "___", 3) == 0)
            return true;
    return false;
}

static void tell_left_out(const fm_draft *d, const fm_draft_column *c)
{
    const char *near = fm_draft_near(d, c->name);

    if (is_spread(d, c->name))
        return;
    fprintf(stderr,
            "fedmoe-node schema suggest: column %s%s%s%s is not in the header of the records; left "
            "out",
            c->name, c->source ? " (" : "", c->source ? c->source : "", c->source ? ")" : "");
    if (near && fm_draft_find(d, near)->in_file)
        fprintf(stderr, "; the header has %s: rename one of the two, letter for letter\n", near);
    else
        fprintf(stderr, "; a name must be the header's, letter for letter\n");
}

/* What is known of one outcome would give another away. */
static fm_status ignore_other_labels(const request *r, fm_draft *d)
{
    fm_status st = FM_OK;

    for (size_t i = 0; !st && r->label && i < d->count; i++) {
        fm_draft_column *c = &d->columns[i];

        if (!c->outcome || strcmp(c->name, r->label) == 0)
            continue;
        fprintf(stderr,
                "fedmoe-node schema suggest: column %s (%s) is of type label, too, and --label "
                "says %s: ignored; if it is known before what is predicted, give it the type "
                "category or number\n",
                c->name, c->source, r->label);
        c->kind = FM_DRAFT_IGNORE;
        st = fm_draft_set(&c->doubt, "of type label, as the one to be predicted: ignored, as one "
                                     "outcome may give the other away");
    }
    return st;
}

/* What the file lacks is left out; what nobody has described is ignored, and says so. */
static fm_status reconcile(request *r)
{
    fm_draft *d = &r->draft;
    size_t kept = 0;
    fm_status st = ignore_other_labels(r, d);

    for (size_t i = 0; !st && i < d->count; i++)
        if (d->header_known && !d->columns[i].in_file)
            tell_left_out(d, &d->columns[i]);
    for (size_t i = 0; !st && i < d->count; i++) {
        fm_draft_column *c = &d->columns[i], swap;

        if (!c->doubt && c->kind == FM_DRAFT_UNKNOWN)
            st = fm_draft_set(&c->doubt, "nothing describes it: ignored until a dictionary or an "
                                         "answer does");
        else if (!c->doubt && !c->lo && (c->kind == FM_DRAFT_NUMERIC || c->kind == FM_DRAFT_DATE))
            st = fm_draft_set(&c->doubt, "no range is known: ignored until min and max are in the "
                                         "dictionary, or an answer or --charge tells it");
        if (d->header_known && !c->in_file)
            continue;
        swap = d->columns[kept];
        d->columns[kept++] = *c;
        d->columns[i] = swap;
    }
    /* The rest is freed with the draft, but not written. */
    return st;
}

static size_t written(const fm_draft *d)
{
    size_t n = 0;

    while (n < d->count && (!d->header_known || d->columns[n].in_file))
        n++;
    return n;
}

static fm_status put(const request *r, const fm_buf *text)
{
    if (!r->output) {
        fputs((const char *)text->data, stdout);
        return FM_OK;
    }
    return r->force ? fm_file_replace(r->output, text->data, text->len, 0644)
                    : fm_file_create(r->output, text->data, text->len, 0644);
}

static void tell_open(const fm_draft *d, size_t count)
{
    size_t open = 0;

    for (size_t i = 0; i < count; i++)
        open += d->columns[i].doubt != NULL;
    if (open)
        fprintf(stderr,
                "fedmoe-node schema suggest: %zu of %zu columns are ignored for want of a range, "
                "values or a description; the draft says which\n",
                open, count);
}

static fm_status write_draft(request *r)
{
    fm_draft part = r->draft;
    fm_buf text = { 0 };
    fm_schema *schema = NULL;
    fm_status st;

    part.count = written(&r->draft);
    if ((st = fm_draft_write(&part, r->name ? r->name : "draft", r->label,
                             r->epsilon > 0.0 ? "Ranges marked \"charged estimate\" were paid for "
                                                "from this node's budget; see its ledger."
                                              : "Nothing in it was read from the records but the "
                                                "names in their header.",
                             &text)) == FM_OK) {
        /* A draft that is not accepted would be none. */
        st = fm_schema_parse("the draft", text.data, text.len, &schema);
        if (st)
            st = fm_fail_context(
                st, "too little is known for a schema (give a dictionary with ranges and "
                    "categories): ");
        else if (!(st = put(r, &text)))
            tell_open(&r->draft, part.count);
    }
    fm_schema_free(&schema);
    fm_buf_fini(&text);
    return st;
}

static fm_status suggest(request *r)
{
    const char *inputs[] = { r->dictionary, r->answer, r->records, r->config_path };
    fm_rng rng = fm_rng_system();
    fm_status st;

    if ((r->output && (st = fm_file_check_output(r->output, r->force, inputs, 4))) ||
        (st = take_config(r)) ||
        (r->dictionary && (st = fm_draft_dictionary(r->dictionary, &r->draft))) ||
        (st = take_header(r)) || (r->answer && (st = take_answer(r))))
        return st;
    if (r->epsilon > 0.0 && (st = fm_node_draft_charge(&r->config, r->epsilon, r->columns.items,
                                                       r->columns.count, &rng, &r->draft)))
        return st;
    if ((st = reconcile(r)))
        return st;
    return write_draft(r);
}

int fm_cmd_schema_suggest(int argc, char **argv)
{
    request r = { .config_path = "node.yaml" };
    const fm_cli_option options[] = {
        { "dictionary", FM_CLI_STRING, &r.dictionary, "FILE",
          "data dictionary: CSV with name, type, min, max, unit, categories, label, description; "
          "or "
          "REDCap's",
          false, 0, 0 },
        { "answer", FM_CLI_STRING, &r.answer, "FILE",
          "result.json of a finished statistics query: ranges and values that are not declared",
          false, 0, 0 },
        { "charge", FM_CLI_DOUBLE, &r.epsilon, "E",
          "estimate the ranges that are still open on this node's records, with noise, paid from "
          "the budget",
          false, 1e-3, 100 },
        { "column", FM_CLI_LIST, &r.columns, "NAME", "charge for this column only; may be repeated",
          false, 0, 0 },
        { "label", FM_CLI_STRING, &r.label, "NAME", "the column to be predicted", false, 0, 0 },
        { "missing", FM_CLI_LIST, &r.missing, "CELL",
          "what means \"not measured\" besides an empty cell, such as ?; may be repeated", false, 0,
          0 },
        { "name", FM_CLI_STRING, &r.name, "NAME", "of the schema", false, 0, 0 },
        FM_CMD_CONFIG_OPTION(r.config_path),
        { "records", FM_CLI_STRING, &r.records, "FILE",
          "whose header names the columns (default: node.yaml's)", false, 0, 0 },
        { "output", FM_CLI_STRING, &r.output, "FILE", "default: standard output", false, 0, 0 },
        { "force", FM_CLI_FLAG, &r.force, NULL, "overwrite it", false, 0, 0 },
    };
    const fm_cli_spec spec = {
        .program = "fedmoe-node schema suggest",
        .summary = "Draft a schema.yaml from a data dictionary, the answer of a query, or an "
                   "estimate that is charged to the budget; never silently from the records.",
        .examples = "fedmoe-node schema suggest --dictionary dictionary.csv --label outcome \\\n"
                    "    --output schema.yaml\n"
                    "fedmoe-node schema suggest --charge 0.1 --column age --column chol",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    int first = 0, code = 0;
    fm_status st;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code)) {
        close_request(&r);
        return code;
    }
    if (!r.dictionary && !r.answer && r.epsilon == 0.0) {
        fprintf(stderr,
                "%s: a schema is drafted from what is public or paid for, never silently from the "
                "records: give --dictionary FILE, --answer result.json, or --charge EPSILON\n"
                "Try '%s --help'.\n",
                spec.program, spec.program);
        close_request(&r);
        return 2;
    }
    if (r.columns.count > 0 && r.epsilon == 0.0) {
        fprintf(stderr,
                "%s: --column says what --charge estimates: give --charge EPSILON, too, or leave "
                "it out\nTry '%s --help'.\n",
                spec.program, spec.program);
        close_request(&r);
        return 2;
    }
    r.draft.missing = r.missing.items;
    r.draft.missing_count = r.missing.count;
    st = suggest(&r);
    close_request(&r);
    return st == FM_OK ? 0 : fm_cli_failed(spec.program);
}
