#include <stdio.h>
#include <stdlib.h>

#include "cmd.h"
#include "fedmoe/base/json.h"
#include "fedmoe/model/corpus.h"

#define PROBLEMS_MAX 100000
#define CONTEXT_DEFAULT 512

typedef struct {
    const char *schema, *tokenizer, *end_token;
    uint64_t context, max_unit_sequences;
    bool json;
} options_of;

/* Sequences of a unit: of the smallest, of those that half and nine tenths do not pass, of the
 * largest. */
typedef struct {
    size_t least, half, most_of_them, most;
} spread;

static int compare(const void *a, const void *b)
{
    const size_t x = *(const size_t *)a, y = *(const size_t *)b;

    return (x > y) - (x < y);
}

static fm_status spread_of(const fm_corpus *c, spread *out)
{
    size_t *counts = NULL;
    const fm_status st = fm_alloc(c->units, sizeof *counts, (void **)&counts);

    if (st)
        return st;
    for (size_t u = 0; u < c->units; u++)
        counts[u] = c->unit_start[u + 1] - c->unit_start[u];
    qsort(counts, c->units, sizeof *counts, compare);
    *out = (spread){ counts[0], counts[(c->units - 1) / 2], counts[(c->units - 1) * 9 / 10],
                     counts[c->units - 1] };
    free(counts);
    return FM_OK;
}

static void print_if(size_t count, const char *what)
{
    if (count)
        printf("%12zu %s\n", count, what);
}

static fm_status print_text(const fm_corpus *c, const spread *of, const char *unit)
{
    const fm_corpus_facts *f = &c->facts;

    printf("%12zu records\n", f->records);
    print_if(f->passed_over, "passed over: not a note, or entered in error");
    print_if(f->without_text, "without plain text in them");
    printf("%12zu documents\n", c->documents);
    print_if(c->empty, "of them empty");
    printf("%12zu units of privacy (%s)\n", c->units, unit ? unit : "record");
    printf("%12llu tokens, the end tokens included; %zu of the longest document\n",
           (unsigned long long)c->starts[c->sequences], f->longest_tokens);
    printf("%12zu sequences; %zu tokens the longest\n", c->sequences, c->longest);
    printf("%12s of a unit: %zu to %zu, half have at most %zu, 90 %% at most %zu\n", "", of->least,
           of->most, of->half, of->most_of_them);
    print_if(f->cut, "sequences left out by --max-unit-sequences");
    print_if(f->ill_formed, "bytes are not UTF-8: they are encoded as they are");
    print_if(f->lost, "bytes for which the tokenizer has no token");
    return FM_OK;
}

static fm_status print_json(const fm_corpus *c, const spread *of, const char *unit)
{
    const fm_corpus_facts *f = &c->facts;
    fm_status st;
    json_t *j = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
        "s:{s:I, s:I, s:I, s:I}}",
        "records", (json_int_t)f->records, "passed_over", (json_int_t)f->passed_over,
        "without_text", (json_int_t)f->without_text, "documents", (json_int_t)c->documents, "empty",
        (json_int_t)c->empty, "unit", unit ? unit : "record", "units", (json_int_t)c->units,
        "tokens", (json_int_t)c->starts[c->sequences], "longest_document",
        (json_int_t)f->longest_tokens, "sequences", (json_int_t)c->sequences, "longest_sequence",
        (json_int_t)c->longest, "left_out", (json_int_t)f->cut, "ill_formed_bytes",
        (json_int_t)f->ill_formed, "lost_bytes", (json_int_t)f->lost, "unit_sequences", "least",
        (json_int_t)of->least, "half", (json_int_t)of->half, "nine_tenths",
        (json_int_t)of->most_of_them, "most", (json_int_t)of->most);

    st = j ? fm_json_print(j) : fm_fail(FM_ENOMEM, "no memory for the figures");
    json_decref(j);
    return st;
}

static fm_status load(const options_of *o, const fm_text_schema *s, const char *const *paths,
                      size_t count, fm_corpus **out)
{
    fm_buf problems = { 0 };
    const fm_corpus_options options = { .context = o->context,
                                        .end_token = o->end_token,
                                        .max_unit_sequences = o->max_unit_sequences,
                                        .max_problems = PROBLEMS_MAX,
                                        .problems = &problems };
    fm_tokenizer *t = NULL;
    fm_status st = fm_tokenizer_load(o->tokenizer, &t);

    if (!st)
        st = fm_corpus_load(s, t, &options, paths, count, out);
    if (problems.len)
        fputs((const char *)problems.data, stdout);
    if (problems.len && st == FM_EPARSE)
        st = fm_fail(FM_EPARSE, "the records are not as %s says", o->schema);
    fm_buf_fini(&problems);
    fm_tokenizer_free(&t);
    return st;
}

static fm_status show(const options_of *o, const char *const *paths, size_t count)
{
    fm_text_schema *s = NULL;
    fm_corpus *c = NULL;
    spread of;
    fm_status st = fm_text_schema_load(o->schema, &s);

    if (!st)
        st = load(o, s, paths, count, &c);
    if (!st)
        st = spread_of(c, &of);
    if (!st)
        st = (o->json ? print_json : print_text)(c, &of, fm_text_schema_unit(s));
    fm_corpus_free(&c);
    fm_text_schema_free(&s);
    return st;
}

int fm_cmd_corpus(int argc, char **argv)
{
    static const char program[] = "fedmoe-model corpus";
    options_of o = { .context = CONTEXT_DEFAULT };
    const fm_cli_option options[] = {
        { "schema", FM_CLI_STRING, &o.schema, "FILE", "what a record's text is, and whose", true, 0,
          0 },
        { "tokenizer", FM_CLI_STRING, &o.tokenizer, "FILE", "a tokenizer.json", true, 0, 0 },
        { "context", FM_CLI_U64, &o.context, "N", "most tokens of a sequence (default 512)", false,
          2, (double)FM_CORPUS_MAX_CONTEXT },
        { "max-unit-sequences", FM_CLI_U64, &o.max_unit_sequences, "N",
          "keep the first N sequences of a unit (default: all)", false, 1, 1e9 },
        { "end-token", FM_CLI_STRING, &o.end_token, "TOKEN",
          "what ends a text (default: the tokenizer's <|endoftext|> or its like)", false, 0, 0 },
        { "json", FM_CLI_FLAG, &o.json, NULL, "as JSON", false, 0, 0 },
    };
    const fm_cli_spec spec = {
        .program = program,
        .summary = "Read texts (CSV, NDJSON, FHIR) by a schema as training would, and count them.",
        .examples =
            "fedmoe-model corpus --schema notes.yaml --tokenizer olmoe/tokenizer.json notes.csv\n"
            "fedmoe-model corpus --schema fhir.yaml --tokenizer tokenizer.json --context 1024 "
            "DocumentReference.*.ndjson",
        .options = options,
        .option_count = FM_CMD_COUNT(options),
        .operands = "FILE...",
        .operands_min = 1,
        .operands_max = SIZE_MAX,
    };
    int first, code;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    return show(&o, (const char *const *)argv + first, (size_t)(argc - first))
               ? fm_cli_failed(program)
               : 0;
}
