#include "fedmoe/demo/federation_file.h"

#include "fedmoe/base/file.h"

fm_status fm_demo_federation_write(const fm_demo_federation *f, const char *path)
{
    /* A public round figure, not the exact count: the plan is seen by everyone. */
    size_t expected = (f->records + 5) / 10 * 10;
    fm_buf b = { 0 };
    fm_status st;

    if (expected == 0)
        expected = 10;
    st = fm_buf_printf(&b,
                       "# The coordinator's description of the federation; every key is in "
                       "docs/guide-coordinator.md.\n"
                       "name: %s\n"
                       "purpose: " FM_DEMO_PURPOSE "\n"
                       "listen:\n"
                       "  door: \"%s\"\n"
                       "model: model.safetensors\n"
                       "privacy:\n"
                       "  unit: record\n"
                       "  epsilon: %.10g\n"
                       "  delta: %.10g\n"
                       "  expected_units: %zu    # all nodes together, a public round figure\n"
                       "  max_units: %zu        # no round may ever sum more\n",
                       f->name, f->door, f->epsilon, f->delta, expected, 2 * expected);
    if (st == FM_OK)
        st = fm_buf_printf(&b,
                           "cohort:\n"
                           "  nodes: %u\n"
                           "  min: %u\n"
                           "  quorum: %u      # rounds go on while so many nodes answer\n"
                           "  colluders: %u   # nodes that may subtract their noise and still "
                           "learn no more than epsilon\n"
                           "training:\n"
                           "  rounds: %llu\n"
                           "timeouts:\n"
                           "  join_s: 30\n"
                           "  round_s: 10\n",
                           f->nodes, f->quorum, f->quorum, f->colluders,
                           (unsigned long long)f->rounds);
    if (st == FM_OK)
        st = fm_file_replace(path, b.data, b.len, 0644);
    fm_buf_fini(&b);
    return st;
}
