/* Which file it is, by its uppermost keys: people name one of theirs in the place of another. */
#include <string.h>

#include "yaml_internal.h"

/* Both keys, or the one. */
static const struct {
    const char *keys[2], *is;
} kinds[] = {
    { { "aggregator", "identity" }, "a node's configuration (node.yaml)" },
    { { "aggregator", "policy" }, "a node's configuration (node.yaml)" },
    { { "listen", "cohort" }, "a federation's configuration (federation.yaml)" },
    { { "purpose", "cohort" }, "a federation's configuration (federation.yaml)" },
    { { "columns", "name" }, "a schema of records (schema.yaml)" },
    { { "text", "unit" }, "a schema of texts" },
    { { "resourceType", NULL }, "a resource of FHIR" },
    { { "$schema", NULL }, "a JSON Schema" },
    { { "services", NULL }, "a file of Docker Compose" },
    { { "architectures", NULL }, "a language model's config.json" },
    { { "added_tokens", NULL }, "a tokenizer.json" },
};

static bool is_known(const char *key, const char *const *known)
{
    while (*known && strcmp(*known, key) != 0)
        known++;
    return *known != NULL;
}

/* One key too many is a mistake in the right file. */
static bool is_mostly_foreign(const fm_yaml_node *root, const char *const *known)
{
    size_t foreign = 0;

    for (size_t i = 0; i < fm_yaml_size(root); i++)
        foreign += !is_known(fm_yaml_key(root, i), known);
    return 2 * foreign >= fm_yaml_size(root);
}

const char *fm_yaml_other_file(const fm_yaml_node *root, const char *const *known,
                               const fm_yaml_node **key)
{
    const bool foreign = is_mostly_foreign(root, known);

    for (size_t i = 0; foreign && i < sizeof kinds / sizeof *kinds; i++) {
        const char *const *k = kinds[i].keys;
        const char *by = is_known(k[0], known) ? k[1] : k[0];

        if (!by || is_known(by, known) || !fm_yaml_find(root, k[0]) ||
            (k[1] && !fm_yaml_find(root, k[1])))
            continue;
        for (size_t n = 0; n < root->count; n += 2)
            if (strcmp(root->at[n]->text, by) == 0)
                *key = root->at[n];
        return kinds[i].is;
    }
    return NULL;
}
