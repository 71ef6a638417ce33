/* A document is refused, or can be walked to its last leaf. */
#include <string.h>

#include "fedmoe/base/yaml.h"
#include "fuzz.h"

static void walk(const fm_yaml_node *n, int depth)
{
    static const char *const known[] = { "name", "columns", NULL };
    const char *text;
    double v;
    uint64_t u;

    FUZZ_REQUIRE(depth <= FM_YAML_MAX_DEPTH + 1);
    FUZZ_REQUIRE(fm_yaml_line(n) >= 1 && fm_yaml_column(n) >= 1);
    if (fm_yaml_node_kind(n) == FM_YAML_SCALAR) {
        FUZZ_REQUIRE(fm_yaml_scalar(n, &text) == FM_OK);
        (void)!fm_yaml_number(n, &v);
        return;
    }
    if (fm_yaml_node_kind(n) == FM_YAML_MAP) {
        (void)!fm_yaml_check_keys(n, known);
        (void)!fm_yaml_get_u64(n, "name", 1, 10, &u);
    }
    for (size_t i = 0; i < fm_yaml_size(n); i++) {
        if (fm_yaml_node_kind(n) == FM_YAML_LIST) {
            walk(fm_yaml_item(n, i), depth + 1);
            continue;
        }
        FUZZ_REQUIRE(fm_yaml_find(n, fm_yaml_key(n, i)) == fm_yaml_value(n, i));
        walk(fm_yaml_value(n, i), depth + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    fm_yaml *y = NULL;

    if (fm_yaml_parse("fuzz", data, len, &y) != FM_OK) {
        FUZZ_REQUIRE(y == NULL);
        return 0;
    }
    walk(fm_yaml_root(y), 0);
    fm_yaml_free(&y);
    return 0;
}
