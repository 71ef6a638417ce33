#include "suites.h"

int main(int argc, char **argv)
{
    const fm_test_suite suites[] = {
        suite_config,
        suite_csv,
        suite_docs,
        suite_file,
        suite_gradient,
        suite_heart,
        suite_isolation,
        suite_kernel,
        suite_kernel_elements,
        suite_memory,
        suite_metrics,
        suite_metrics_range,
        suite_mlp,
        suite_odds,
        suite_predict,
        suite_program,
        suite_routing,
        suite_schema,
        suite_schema_kinds,
        suite_table,
        suite_table_raw,
        suite_table_unit,
        suite_tokenizer,
        suite_tokenizer_file,
        suite_tokenizer_normal,
        suite_tokenizer_split,
        suite_units,
    };

    return fm_test_main(suites, FM_TEST_COUNT(suites), argc, argv);
}
