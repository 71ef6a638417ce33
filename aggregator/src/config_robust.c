/* federation.yaml: `robust`, secure sums by groups and what is made of them. */
#include <string.h>

#include "config_internal.h"

static fm_status read_mean(const fm_yaml_node *m, fm_plan *p)
{
    static const char *const names[] = { "median", "trimmed", "geometric" };
    const char *mean = NULL;
    uint64_t trim = 0;
    fm_status st = fm_yaml_get_string_or(m, "mean", names[0], &mean);

    for (size_t i = 0; st == FM_OK && i < sizeof names / sizeof names[0]; i++)
        if (strcmp(mean, names[i]) == 0)
            p->robust_mean = (fm_robust_mean)(i + 1);
    if (st == FM_OK && p->robust_mean == FM_ROBUST_NONE)
        return fm_yaml_fail(fm_yaml_find(m, "mean"),
                            "mean '%.100s' is not known; use median, trimmed or geometric", mean);
    if (st == FM_OK && p->robust_mean != FM_ROBUST_TRIMMED && fm_yaml_find(m, "trim"))
        return fm_yaml_fail(fm_yaml_find(m, "trim"), "trim goes with mean: trimmed");
    if (st != FM_OK || p->robust_mean != FM_ROBUST_TRIMMED)
        return st;
    st = fm_yaml_get_u64_or(m, "trim", 1, (p->robust_groups - 1) / 2, 1, &trim);
    p->robust_trim = (uint32_t)trim;
    return st;
}

/* The least that serves: two honest nodes beside all colluders, and more than half of a group. */
static uint32_t least_quorum(const fm_plan *p)
{
    const uint32_t honest = p->colluders + FM_PLAN_HONEST_IN_SUM;
    const uint32_t half = fm_plan_group_nodes(p) / 2 + 1;

    return honest > half ? honest : half;
}

static fm_status check_room(const fm_yaml_node *m, const fm_plan *p)
{
    const uint64_t needed = (uint64_t)p->robust_groups * p->robust_quorum;

    if (needed <= p->min_cohort)
        return FM_OK;
    return fm_yaml_fail(
        fm_yaml_find(m, "groups"),
        "%u groups of at least %u nodes (two honest ones beside %u colluders, and more "
        "than half of a group) need rounds of %llu nodes or more; cohort.min is %u: "
        "raise it, or take fewer groups",
        p->robust_groups, p->robust_quorum, p->colluders, (unsigned long long)needed,
        p->min_cohort);
}

fm_status fm_config_read_robust(const fm_yaml_node *root, fm_plan *p)
{
    static const char *const keys[] = { "groups", "mean", "trim", "quorum", NULL };
    const fm_yaml_node *m = fm_yaml_find(root, "robust");
    uint64_t groups = 0, quorum = 0;
    fm_status st;

    if (!m)
        return FM_OK;
    if ((st = fm_yaml_get_map(root, "robust", &m)) != FM_OK ||
        (st = fm_yaml_check_keys(m, keys)) != FM_OK ||
        (st = fm_yaml_get_u64(m, "groups", 3, FM_MAX_GROUPS, &groups)) != FM_OK)
        return st;
    p->robust_groups = (uint32_t)groups;
    if ((st = read_mean(m, p)) != FM_OK ||
        (st = fm_yaml_get_u64_or(m, "quorum", least_quorum(p), FM_MAX_NODES, least_quorum(p),
                                 &quorum)) != FM_OK)
        return st;
    p->robust_quorum = (uint32_t)quorum;
    p->mask_density = FM_PLAN_DENSITY_ALL; /* within a group every pair shares a mask */
    return check_room(m, p);
}
