/* A file of texts against fixed schemas; the first byte says which. */
#include <string.h>

#include "corpus_internal.h"
#include "fuzz.h"

#define CONTEXT 8

/* Four bytes have a token; the others, of which a text may have some, are lost. */
static const char tokenizer_json[] =
    "{\"version\": \"1.0\", \"added_tokens\": [{\"id\": 4, \"content\": \"<e>\", \"special\": "
    "true, "
    "\"single_word\": false, \"lstrip\": false, \"rstrip\": false, \"normalized\": false}], "
    "\"normalizer\": null, \"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": "
    "false, "
    "\"trim_offsets\": true, \"use_regex\": true}, \"post_processor\": null, \"decoder\": "
    "{\"type\": \"ByteLevel\"}, \"model\": {\"type\": \"BPE\", \"unk_token\": null, \"merges\": "
    "[], "
    "\"vocab\": {\"a\": 0, \"e\": 1, \"<\": 2, \">\": 3}}}";

#define BARE                                                                                    \
    "name: t\nsource: csv\ncsv: {header: false, columns: [a, b], delimiter: \";\"}\ntemplate: " \
    "\"{b}{a}\"\nunit: record\n"

static const char *const texts[] = {
    "name: t\nsource: ndjson\ntext: note.text\nunit: who\n",
    "name: t\nsource: ndjson\ntemplate: \"{a}: {b.c}\"\nunit: record\nempty: error\n",
    "name: t\nsource: fhir\nunit: patient\n",
    "name: t\nsource: fhir\nunit: record\n",
    "name: t\nsource: csv\ntext: a\nunit: b\n",
    BARE,
};
#define SCHEMAS (sizeof texts / sizeof *texts)

static fm_text_schema *schemas[SCHEMAS];
static fm_tokenizer *tokenizer;
static fm_tokenizer_worker *worker; /* one: making it takes longer than an input */

static void prepare(void)
{
    if (tokenizer)
        return;
    FUZZ_REQUIRE(!fm_tokenizer_parse("t", tokenizer_json, strlen(tokenizer_json), &tokenizer));
    FUZZ_REQUIRE(!fm_tokenizer_worker_new(tokenizer, &worker));
    for (size_t i = 0; i < SCHEMAS; i++)
        FUZZ_REQUIRE(!fm_text_schema_parse("s", texts[i], strlen(texts[i]), &schemas[i]));
}

/* Whatever the bytes: sequences of 2 to CONTEXT known tokens, the end only behind a document, every
 * sequence in a unit, every document seen once. */
static void examine(const fm_corpus *c, bool records)
{
    size_t ends = 0;

    FUZZ_REQUIRE(c->sequences && c->units && c->unit_start[0] == 0 && c->starts[0] == 0);
    FUZZ_REQUIRE(c->unit_start[c->units] == c->sequences);
    for (size_t u = 0; u < c->units; u++)
        FUZZ_REQUIRE(c->unit_start[u] < c->unit_start[u + 1]);
    for (size_t i = 0; i < c->sequences; i++) {
        const uint64_t len = c->starts[i + 1] - c->starts[i];

        FUZZ_REQUIRE(len >= 2 && len <= CONTEXT && len <= c->longest);
        for (uint64_t k = c->starts[i]; k < c->starts[i + 1]; k++)
            FUZZ_REQUIRE(c->tokens[k] < 4 || (c->tokens[k] == 4 && k + 1 == c->starts[i + 1]));
        ends += c->tokens[c->starts[i + 1] - 1] == 4;
    }
    FUZZ_REQUIRE(ends <= c->documents - c->empty && c->empty < c->documents);
    FUZZ_REQUIRE(c->documents + c->facts.passed_over + c->facts.without_text == c->facts.records);
    FUZZ_REQUIRE(c->units <= c->documents - c->empty);
    FUZZ_REQUIRE(!records || c->units == c->documents - c->empty);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const fm_corpus_options o = { .context = CONTEXT, .end_token = "<e>", .max_problems = 3 };
    fm_corpus *c = NULL;

    if (size < 1)
        return 0;
    prepare();
    const fm_text_schema *s = schemas[data[0] % SCHEMAS];

    if (!fm_corpus_parse_with(s, tokenizer, worker, &o, "fuzz", data + 1, size - 1, &c))
        examine(c, !fm_text_schema_unit(s));
    fm_corpus_free(&c);
    return 0;
}
