#include "suites.h"

int main(int argc, char **argv)
{
    const fm_test_suite suites[] = {
        suite_metrics,      suite_kernel, suite_schema, suite_table,         suite_config,
        suite_routing,      suite_file,   suite_heart,  suite_gradient,      suite_isolation,
        suite_program,      suite_docs,   suite_memory, suite_table_raw,     suite_table_unit,
        suite_units,        suite_mlp,    suite_csv,    suite_metrics_range, suite_predict,
        suite_schema_kinds,
    };

    return fm_test_main(suites, FM_TEST_COUNT(suites), argc, argv);
}
