#include "fm_test.h"

extern const fm_test_suite fm_suite_dp_accountant, fm_suite_dp_accountant_vectors,
    fm_suite_dp_audit, fm_suite_dp_encode, fm_suite_dp_lattice, fm_suite_dp_ledger,
    fm_suite_dp_ledger_crash, fm_suite_dp_ledger_import, fm_suite_dp_ledger_tamper,
    fm_suite_dp_local, fm_suite_dp_mask, fm_suite_dp_mask_attacks, fm_suite_dp_mask_graph,
    fm_suite_dp_mask_graph_attacks, fm_suite_dp_mask_kernels, fm_suite_dp_mask_keys,
    fm_suite_dp_noise, fm_suite_dp_noise_exact, fm_suite_dp_noise_seed, fm_suite_dp_pld,
    fm_suite_dp_program, fm_suite_dp_query, fm_suite_dp_query_noise, fm_suite_dp_rounding,
    fm_suite_dp_shares, fm_suite_dp_sum, fm_suite_dp_surplus, fm_suite_dp_uniform,
    fm_suite_dp_tradeoff, fm_suite_dp_width, fm_suite_dp_mask_groups;

int main(int argc, char **argv)
{
    const fm_test_suite suites[] = {
        fm_suite_dp_accountant,
        fm_suite_dp_accountant_vectors,
        fm_suite_dp_audit,
        fm_suite_dp_encode,
        fm_suite_dp_lattice,
        fm_suite_dp_ledger,
        fm_suite_dp_ledger_crash,
        fm_suite_dp_ledger_import,
        fm_suite_dp_ledger_tamper,
        fm_suite_dp_mask,
        fm_suite_dp_mask_attacks,
        fm_suite_dp_mask_graph,
        fm_suite_dp_mask_graph_attacks,
        fm_suite_dp_mask_groups,
        fm_suite_dp_mask_kernels,
        fm_suite_dp_mask_keys,
        fm_suite_dp_noise,
        fm_suite_dp_noise_exact,
        fm_suite_dp_noise_seed,
        fm_suite_dp_pld,
        fm_suite_dp_program,
        fm_suite_dp_query,
        fm_suite_dp_query_noise,
        fm_suite_dp_rounding,
        fm_suite_dp_shares,
        fm_suite_dp_sum,
        fm_suite_dp_surplus,
        fm_suite_dp_uniform,
        fm_suite_dp_tradeoff,
        fm_suite_dp_local,
        fm_suite_dp_width,
    };

    return fm_test_main(suites, FM_TEST_COUNT(suites), argc, argv);
}
