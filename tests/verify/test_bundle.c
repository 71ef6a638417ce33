/* An honest bundle holds; and every byte of it counts. */
#include <stdio.h>
#include <string.h>

#include "desk.h"
#include "fedmoe/base/file.h"

static void check_honest(uint32_t rounds, uint32_t lost, bool with_updates)
{
    fm_verify_report r = { 0 };
    desk d;

    desk_make(&d, rounds, lost, with_updates);
    desk_write(&d, &d.all);
    CU_ASSERT_EQUAL_FATAL(desk_verify(&d, &r), FM_OK);
    CU_ASSERT_EQUAL(r.entries, rounds);
    CU_ASSERT_EQUAL(r.rosters, 1);
    CU_ASSERT_EQUAL(r.updates, with_updates ? rounds : 0);
    CU_ASSERT_EQUAL(r.recomputed, with_updates ? rounds : 0);
    CU_ASSERT(fm_hash_equal(&r.head, &d.f->head));
    CU_ASSERT_EQUAL(r.member_count, 4);
    CU_ASSERT_STRING_EQUAL(r.aggregator, "hub");
    CU_ASSERT(r.same_ca && !r.journal);
    for (uint32_t i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(r.members[i].took_part, rounds);
        CU_ASSERT_EQUAL(r.members[i].signed_,
                        strcmp(r.members[i].name, d.f->nodes[3].name) == 0 && lost == 3 ? rounds - 1
                                                                                        : rounds);
    }
    fm_verify_report_fini(&r);
    desk_end(&d);
}

static void an_honest_run_holds_and_is_recomputed(void)
{
    check_honest(3, UINT32_MAX, true);
}

static void a_run_that_lost_a_node_holds_and_is_recomputed(void)
{
    check_honest(2, 3, true);
}

/* 40 nodes, one of them lost, with masks between nineteen of twenty pairs. */
static void a_run_of_some_masks_is_recomputed(void)
{
    fm_verify_report r;
    desk d;

    desk_make_sparse(&d, 245);
    desk_write(&d, &d.all);
    CU_ASSERT_EQUAL_FATAL(desk_verify(&d, &r), FM_OK);
    CU_ASSERT_EQUAL(r.recomputed, 1);
    fm_verify_report_fini(&r);
    desk_end(&d);
}

/* Parts of its sums may have been read. */
static void a_run_of_too_few_masks_is_named(void)
{
    desk d;

    desk_make_sparse(&d, 100);
    desk_write(&d, &d.all);
    CU_ASSERT_NOT_EQUAL(desk_verify(&d, NULL), FM_OK);
    CU_ASSERT(says("too sparse"));
    desk_end(&d);
}

static void without_updates_all_but_the_sums_is_checked(void)
{
    check_honest(2, UINT32_MAX, false);
}

static void that_sums_must_be_recomputed_can_be_demanded(void)
{
    fm_verify_options o = { .need_updates = true };
    fm_verify_report r;
    desk d;

    desk_make(&d, 2, UINT32_MAX, true);
    desk_write(&d, &d.all);
    o.bundle = d.bundle;
    o.trust = fed_ca();
    CU_ASSERT_EQUAL(fm_verify_bundle(&o, &r), FM_OK);
    fm_verify_report_fini(&r);
    /* The updates of the second round go, then those of the first: later ones are of no use. */
    for (int round = 1; round >= 0; round--) {
        const size_t at = piece_at(&d.all, FM_BUNDLE_ENTRY, (size_t)round) + 1;

        for (int i = 0; i < 8; i++)
            piece_remove(&d.all, at);
        forge_seal(&d.all);
        desk_write(&d, &d.all);
        CU_ASSERT_EQUAL(fm_verify_bundle(&o, &r), FM_EPROTO);
        CU_ASSERT(says(round ? "only 1 of 2 rounds" : "only 0 of 2 rounds"));
        CU_ASSERT_EQUAL(desk_verify(&d, &r), FM_OK);
        CU_ASSERT_EQUAL(r.recomputed, (uint64_t)round);
        fm_verify_report_fini(&r);
    }
    desk_end(&d);
}

/* ---- every byte ---- */

static void load(const desk *d, fm_buf *b)
{
    fm_hash unused;

    fm_buf_init(b, 1 << 20);
    pieces_encode(&d->all, b, &unused);
}

/* Without the disk: the reader finds what was altered, at the section where it is. */
static fm_status read_through(const uint8_t *data, size_t len, uint64_t *at)
{
    FILE *f = fmemopen((void *)(uintptr_t)data, len, "rb");
    fm_bundle_section s = { .number = 0 };
    fm_bundle_reader *r = NULL;
    fm_status st;

    *at = 0;
    need(f != NULL, "fmemopen");
    if ((st = fm_bundle_open_stream(f, "it", &r)) != FM_OK)
        return st;
    do {
        *at = s.number + 1;
        st = fm_bundle_next(r, &s);
    } while (st == FM_OK && s.kind != FM_BUNDLE_END);
    fm_bundle_close(&r);
    return st;
}

/* Number of the section that byte `at` belongs to; 0: the first line. */
static uint64_t section_of(const pieces *p, size_t at)
{
    size_t end = strlen(FM_BUNDLE_MAGIC);
    uint64_t n = 0;

    while (at >= end)
        end += 12 + p->pieces[n++].data.len + FM_HASH_BYTES;
    return n;
}

static void every_altered_byte_is_found_where_it_is(void)
{
    uint64_t at = 0, wrong = 0;
    fm_buf b;
    desk d;

    desk_make(&d, 2, 3, true);
    load(&d, &b);
    CU_ASSERT_EQUAL_FATAL(read_through(b.data, b.len, &at), FM_OK);
    for (size_t i = 0; i < b.len; i++) {
        b.data[i] ^= (uint8_t)(1u << (i % 8));
        if (read_through(b.data, b.len, &at) != FM_EPROTO || at != section_of(&d.all, i)) {
            wrong++;
            printf("\n    byte %zu of section %llu: found at %llu\n", i,
                   (unsigned long long)section_of(&d.all, i), (unsigned long long)at);
        }
        b.data[i] ^= (uint8_t)(1u << (i % 8));
    }
    CU_ASSERT_EQUAL(wrong, 0);
    printf("\n    %zu bytes", b.len);
    fm_buf_fini(&b);
    desk_end(&d);
}

static void every_truncation_and_every_byte_behind_is_found(void)
{
    uint64_t at = 0;
    fm_buf b;
    desk d;

    desk_make(&d, 1, UINT32_MAX, true);
    load(&d, &b);
    for (size_t len = 1; len < b.len; len++)
        CU_ASSERT_EQUAL(read_through(b.data, len, &at), FM_EPROTO);
    CU_ASSERT_EQUAL(fm_buf_append(&b, "x", 1), FM_OK);
    CU_ASSERT_EQUAL(read_through(b.data, b.len, &at), FM_EPROTO);
    CU_ASSERT(says("bytes behind the seal"));
    /* And the command says the same of the file. */
    desk_store(&d, b.data, b.len);
    CU_ASSERT_EQUAL(desk_verify(&d, NULL), FM_EPROTO);
    CU_ASSERT(says("bytes behind the seal"));
    desk_store(&d, b.data, b.len / 2);
    CU_ASSERT_EQUAL(desk_verify(&d, NULL), FM_EPROTO);
    CU_ASSERT(says("cut off"));
    desk_store(&d, b.data, 0);
    CU_ASSERT_EQUAL(desk_verify(&d, NULL), FM_EPROTO);
    CU_ASSERT(says("does not begin with the line of an audit bundle"));
    fm_buf_fini(&b);
    desk_end(&d);
}

/* A length that claims gigabytes, with nothing behind it. */
static void a_claimed_length_takes_no_memory(void)
{
    uint8_t file[sizeof FM_BUNDLE_MAGIC - 1 + 12];
    uint64_t at = 0;

    memcpy(file, FM_BUNDLE_MAGIC, sizeof FM_BUNDLE_MAGIC - 1);
    memcpy(file + sizeof FM_BUNDLE_MAGIC - 1, "plan", 4);
    fm_put_u64le(file + sizeof FM_BUNDLE_MAGIC + 3, UINT64_MAX);
    CU_ASSERT_EQUAL(read_through(file, sizeof file, &at), FM_EPROTO);
    CU_ASSERT(says("its length is out of range"));
    fm_put_u64le(file + sizeof FM_BUNDLE_MAGIC + 3, FM_MAX_PLAN_BYTES);
    CU_ASSERT_EQUAL(read_through(file, sizeof file, &at), FM_EPROTO);
    CU_ASSERT(says("ends in the middle of it"));
}

static const fm_test tests[] = {
    { "an honest run holds and is recomputed", an_honest_run_holds_and_is_recomputed },
    { "a run that lost a node holds and is recomputed",
      a_run_that_lost_a_node_holds_and_is_recomputed },
    { "without updates all but the sums is checked", without_updates_all_but_the_sums_is_checked },
    { "a run of some masks is recomputed", a_run_of_some_masks_is_recomputed },
    { "a run of too few masks is named", a_run_of_too_few_masks_is_named },
    { "that sums must be recomputed can be demanded",
      that_sums_must_be_recomputed_can_be_demanded },
    { "every altered byte is found where it is", every_altered_byte_is_found_where_it_is },
    { "every truncation, and every byte behind, is found",
      every_truncation_and_every_byte_behind_is_found },
    { "a claimed length takes no memory", a_claimed_length_takes_no_memory },
};
const fm_test_suite suite_bundle = { "verify.bundle", tests, FM_TEST_COUNT(tests) };
