/* A plan's text about adapters of a language model, whatever stands in it. */
#include <string.h>

#include "fedmoe/model/adapter_terms.h"
#include "fuzz.h"

static bool same(const fm_adapter_terms *a, const fm_adapter_terms *b)
{
    return strcmp(a->base, b->base) == 0 && strcmp(a->tokenizer, b->tokenizer) == 0 &&
           strcmp(a->modules, b->modules) == 0 && strcmp(a->end_token, b->end_token) == 0 &&
           a->maps == b->maps && a->rank == b->rank && a->context == b->context &&
           a->alpha == b->alpha && a->seed == b->seed;
}

/* What was taken is in its bounds, can be written, and reads back as the same. */
static void examine(const fm_adapter_terms *t)
{
    fm_adapter_terms again;
    fm_buf text = { 0 };
    unsigned maps = 0;

    FUZZ_REQUIRE(strlen(t->base) == 2 * FM_HASH_BYTES && strlen(t->tokenizer) == strlen(t->base));
    FUZZ_REQUIRE(t->rank >= 1 && t->rank <= 1024 && t->context >= 2 && t->alpha > 0.0);
    FUZZ_REQUIRE(t->seed <= (uint64_t)1 << 53);
    FUZZ_REQUIRE(fm_adapter_modules(t->modules, &maps) == FM_OK && maps == t->maps && maps);
    FUZZ_REQUIRE(fm_adapter_terms_write(t, &text) == FM_OK);
    FUZZ_REQUIRE(fm_adapter_terms_parse("again", (const char *)text.data, &again) == FM_OK);
    FUZZ_REQUIRE(same(t, &again));
    fm_buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    fm_adapter_terms t = { .rank = 0 };
    char *text = malloc(len + 1);

    FUZZ_REQUIRE(text);
    if (len > 0)
        memcpy(text, data, len);
    text[len] = '\0';
    if (fm_adapter_terms_parse("fuzz", text, &t) == FM_OK)
        examine(&t);
    else
        FUZZ_REQUIRE(t.rank == 0);
    free(text);
    return 0;
}
