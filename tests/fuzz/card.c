/* A model's card and its record of derivation, whatever stands in them. */
#include <string.h>

#include "fedmoe/provenance/card.h"
#include "fedmoe/provenance/derivation.h"
#include "fuzz.h"

/* What was taken has one text: this one. */
static void examine_card(const fm_card *c, const uint8_t *data, size_t len)
{
    fm_buf text = { 0 };

    FUZZ_REQUIRE(fm_name_check(c->federation) == FM_OK && fm_name_check(c->signer) == FM_OK);
    FUZZ_REQUIRE(c->signed_s >= 0 && c->policy.allowed_count <= FM_USE_ALLOWED_MAX);
    FUZZ_REQUIRE(c->policy.prohibited_count <= FM_USE_PROHIBITED_MAX);
    FUZZ_REQUIRE(fm_card_write(c, &text) == FM_OK);
    FUZZ_REQUIRE(text.len == len && memcmp(text.data, data, len) == 0);
    fm_buf_fini(&text);
}

/* A policy alone: what was taken can be written, and reads back with the same hash. */
static void examine_policy(fm_use_policy *p)
{
    fm_use_policy again = { 0 };
    fm_hash a, b;
    fm_buf text = { 0 };

    FUZZ_REQUIRE(fm_use_policy_hash(p, &a) == FM_OK && fm_use_policy_write(p, &text) == FM_OK);
    FUZZ_REQUIRE(fm_use_policy_parse("again", text.data, text.len, &again) == FM_OK);
    FUZZ_REQUIRE(fm_use_policy_hash(&again, &b) == FM_OK && fm_hash_equal(&a, &b));
    fm_use_policy_fini(&again);
    fm_buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    fm_use_policy p = { 0 };
    fm_card c = { 0 };
    size_t steps = 0;
    fm_hash first;
    char *text = malloc(len + 1);

    FUZZ_REQUIRE(text);
    if (len > 0)
        memcpy(text, data, len);
    text[len] = '\0';
    if (fm_card_parse("fuzz", text, len, &c) == FM_OK)
        examine_card(&c, data, len);
    else
        FUZZ_REQUIRE(c.federation[0] == '\0');
    if (fm_use_policy_parse("fuzz", text, len, &p) == FM_OK)
        examine_policy(&p);
    if (fm_derivation_read(text, &first, &steps) == FM_OK)
        FUZZ_REQUIRE(steps >= 1 && steps <= FM_DERIVATION_STEPS_MAX);
    fm_use_policy_fini(&p);
    fm_card_fini(&c);
    free(text);
    return 0;
}
