/* federation.yaml: how long the words of an update are, and with how many a node shares masks. */
#include <stdio.h>
#include <string.h>

#include "fedmoe/aggregator/config.h"
#include "suites.h"
#include "yaml.h"

static char dir[PATH_CAP - 64], path[PATH_CAP];

static fm_status load(const char *from, const char *to, fm_aggregator_config *c)
{
    if (!dir[0]) {
        fm_test_tmpdir(dir, sizeof dir);
        yaml_path(path, dir, "federation.yaml");
        yaml_write_model(dir, "model.safetensors");
    }
    yaml_write(dir, from, to);
    memset(c, 0, sizeof *c);
    return fm_aggregator_config_load(path, c);
}

static uint32_t word_bits_with(const char *privacy)
{
    fm_aggregator_config c;
    uint32_t bits;

    CU_ASSERT_EQUAL_FATAL(load("unit: record", privacy, &c), FM_OK);
    bits = c.plan.word_bits;
    fm_aggregator_config_fini(&c);
    return bits;
}

static void words_are_as_short_as_they_can_be_unless_longer_ones_are_asked_for(void)
{
    fm_aggregator_config c;

    CU_ASSERT_EQUAL(word_bits_with("unit: record"), 16);
    CU_ASSERT_EQUAL(word_bits_with("unit: record\n  word_bits: 24"), 24);
    CU_ASSERT_EQUAL(word_bits_with("unit: record\n  word_bits: 32"), 32);
    CU_ASSERT_EQUAL(load("unit: record", "unit: record\n  word_bits: 20", &c), FM_EPARSE);
    CU_ASSERT(says("word_bits must be 16, 24 or 32"));
    CU_ASSERT_EQUAL_FATAL(load("max_units: 2000", "max_units: 200000", &c), FM_OK);
    CU_ASSERT_EQUAL(c.plan.word_bits, 24);
    fm_aggregator_config_fini(&c);
    CU_ASSERT_EQUAL(load("max_units: 2000", "max_units: 200000\n  word_bits: 16", &c), FM_EINVAL);
    CU_ASSERT(says("24 would do"));
}

/* A cohort of so many, of which half and one are enough. @param masks  a line of privacy, or "". */
static fm_status load_cohort(uint32_t nodes, const char *masks, fm_aggregator_config *c)
{
    char to[128];

    (void)snprintf(to, sizeof to, "%scohort: {nodes: %u, min: 2, quorum: %u, colluders: 0}", masks,
                   (unsigned)nodes, (unsigned)nodes / 2 + 1);
    return load("cohort: {nodes: 4, min: 3, quorum: 3, colluders: 1}", to, c);
}

static uint32_t density_of(uint32_t nodes, const char *masks)
{
    fm_aggregator_config c;
    uint32_t density;

    CU_ASSERT_EQUAL_FATAL(load_cohort(nodes, masks, &c), FM_OK);
    density = c.plan.mask_density;
    fm_aggregator_config_fini(&c);
    return density;
}

static void masks_are_as_many_as_are_needed_unless_all_are_asked_for(void)
{
    fm_aggregator_config c;

    CU_ASSERT_EQUAL(density_of(32, ""), 256);
    CU_ASSERT_EQUAL(density_of(200, ""), 122);
    CU_ASSERT_EQUAL(density_of(200, "  masks: sparse\n"), 122);
    CU_ASSERT_EQUAL(density_of(200, "  masks: all\n"), 256);
    CU_ASSERT_EQUAL(load_cohort(200, "  masks: 10\n", &c), FM_EPARSE);
    CU_ASSERT(says("use sparse"));
}

#define COHORT "cohort: {nodes: 4, min: 3, quorum: 3, colluders: 1}\n"
#define UNITS "clip_norm: 1.0\n  sampling_rate: 1.0\n  expected_units: 600\n  max_units: 2000\n"
#define MANY(quorum) "cohort: {nodes: 200, min: 2, quorum: " quorum ", colluders: 0}\n"

/* What a plan's quorum, rounds and delta have to do with it: dp/mask_graph.h. */
static void masks_are_more_where_fewer_would_not_hold(void)
{
    static const struct {
        const char *from, *to;
        uint32_t least, most;
    } cases[] = {
        { COHORT, MANY("121"), 1, 120 },
        { COHORT, MANY("160"), 121, 255 },
        { COHORT, MANY("195"), 256, 256 },
        { COHORT "training: {rounds: 40", MANY("121") "training: {rounds: 16384", 1, 120 },
        { "delta: 1.0e-4\n  " UNITS COHORT, "delta: 1.0e-12\n  " UNITS MANY("101"), 123, 255 },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fm_aggregator_config c;

        CU_ASSERT_EQUAL_FATAL(load(cases[i].from, cases[i].to, &c), FM_OK);
        CU_ASSERT(c.plan.mask_density >= cases[i].least && c.plan.mask_density <= cases[i].most);
        fm_aggregator_config_fini(&c);
    }
}

static const fm_test tests[] = {
    { "masks are as many as are needed, unless all are asked for",
      masks_are_as_many_as_are_needed_unless_all_are_asked_for },
    { "masks are more where fewer would not hold", masks_are_more_where_fewer_would_not_hold },
    { "words are as short as they can be, unless longer ones are asked for",
      words_are_as_short_as_they_can_be_unless_longer_ones_are_asked_for },
};
const fm_test_suite suite_config_words = { "aggregator.config_words", tests, FM_TEST_COUNT(tests) };
