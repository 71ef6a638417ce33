/* The record of what was done to a model since. */
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/file.h"
#include "fedmoe/provenance/derivation.h"
#include "model.h"

static void steps_add_up_and_the_first_names_the_card(void)
{
    fm_hash first = { { 0 } };
    fm_safetensors *s;
    fm_buf one = { 0 }, two = { 0 };
    fm_card c = { 0 };
    size_t steps = 0;
    model m;
    world w;

    world_make(&w, KEY_TYPES[0]);
    model_make(&m);
    model_sign(&m, w.aggregator_id, w.now_s);
    s = model_file(&m);
    CU_ASSERT_EQUAL_FATAL(fm_card_read("model", s, &c), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_derivation_extend(s, "fingerprint", &one), FM_OK);
    fm_safetensors_free(&s);
    m.meta[m.meta_count++] = (fm_safetensors_meta){ FM_META_DERIVATION, (const char *)one.data };
    m.weights[0] = 2.0f;
    s = model_file(&m);
    CU_ASSERT_EQUAL_FATAL(fm_derivation_extend(s, "quantize-int8", &two), FM_OK);
    CU_ASSERT_EQUAL(fm_derivation_read((const char *)two.data, &first, &steps), FM_OK);
    CU_ASSERT_EQUAL(steps, 2);
    CU_ASSERT(fm_hash_equal(&first, &c.weights));
    CU_ASSERT(strstr((const char *)two.data, "\nquantize-int8 from ") != NULL);
    CU_ASSERT_EQUAL(fm_derivation_extend(s, "No name", &two), FM_EINVAL);
    fm_safetensors_free(&s);
    fm_card_fini(&c);
    fm_buf_fini(&one);
    fm_buf_fini(&two);
    model_end(&m);
    world_end(&w);
}

/* From a signed file into a file, from that into a folder, and from the folder into a file again. */
static void a_card_goes_along_into_files_and_folders(void)
{
    char parent[PATH_CAP], child[PATH_CAP], dir[PATH_CAP], weights[PATH_CAP], last[PATH_CAP];
    fm_safetensors *s = NULL;
    fm_card_verdict v = { .expired = false };
    fm_hash first;
    size_t steps = 0;
    model m, plain;
    world w;

    world_make(&w, KEY_TYPES[0]);
    model_make(&m);
    model_make(&plain);
    model_sign(&m, w.aggregator_id, w.now_s);
    make_path(parent, w.root, "parent");
    make_path(child, w.root, "child");
    make_path(dir, w.root, "folder");
    make_path(weights, dir, "model.safetensors");
    make_path(last, w.root, "last");
    need(fm_dir_make(dir, 0700) == FM_OK && model_save(&m, parent) && model_save(&plain, child) &&
             model_save(&plain, weights) && model_save(&plain, last),
         "files");
    CU_ASSERT_EQUAL(fm_card_carry(child, "distil", last), FM_OK); /* there is no card to carry */
    CU_ASSERT_EQUAL(fm_card_open(last, &s), FM_ENOTFOUND);
    CU_ASSERT_EQUAL_FATAL(fm_card_carry(parent, "quantize-int8", child), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_card_carry(child, "merge", dir), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_card_carry(dir, "distil", last), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_card_open(last, &s), FM_OK);
    CU_ASSERT_EQUAL(fm_safetensors_count(s), 2);
    CU_ASSERT_STRING_EQUAL(fm_safetensors_meta_get(s, "author"), "the tests");
    CU_ASSERT_EQUAL(
        fm_derivation_read(fm_safetensors_meta_get(s, FM_META_DERIVATION), &first, &steps), FM_OK);
    CU_ASSERT_EQUAL(steps, 3);
    CU_ASSERT_EQUAL_FATAL(fm_card_verify("last", s, w.trust, w.now_s, &v), FM_OK);
    CU_ASSERT_EQUAL(v.standing, FM_CARD_DERIVED);
    CU_ASSERT(fm_hash_equal(&first, &v.card.weights));
    fm_card_verdict_fini(&v);
    fm_safetensors_free(&s);
    model_end(&m);
    world_end(&w);
}

static void what_is_no_record_is_refused(void)
{
#define HASH "abababababababababababababababababababababababababababababababab"
    static const char *const bad[] = {
        "",
        "step",
        "step from ",
        " from " HASH,
        "step from " HASH "0",
        "step from " HASH "\n\n",
        "step from AB" HASH,
        "Step from " HASH,
        "step from " HASH " ",
        "step  from " HASH,
    };
    fm_hash first = { { 0 } };
    size_t steps = 9;

    for (size_t i = 0; i < FM_TEST_COUNT(bad); i++)
        CU_ASSERT_EQUAL(fm_derivation_read(bad[i], &first, &steps), FM_EPROTO);
    CU_ASSERT_EQUAL(steps, 9);
    CU_ASSERT_EQUAL(fm_derivation_read("step from " HASH, &first, &steps), FM_OK);
    CU_ASSERT_EQUAL(steps, 1);
}

static const fm_test tests[] = {
    { "steps add up and the first names the card", steps_add_up_and_the_first_names_the_card },
    { "a card goes along into files and folders", a_card_goes_along_into_files_and_folders },
    { "what is no record is refused", what_is_no_record_is_refused },
};
const fm_test_suite suite_derivation = { "provenance.derivation", tests, FM_TEST_COUNT(tests) };
