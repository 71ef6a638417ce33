/* Entries, seals and the file around them: codec, limits, known values. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/file.h"
#include "samples.h"
#include "suites.h"

static bool is_hex(fm_hash h, const char *want)
{
    char hex[2 * FM_HASH_BYTES + 1];

    fm_hash_hex(&h, hex);
    if (strcmp(hex, want) != 0)
        printf("\n  %s\n", hex);
    return strcmp(hex, want) == 0;
}

static bool says(const char *words)
{
    if (strstr(fm_error_text(), words))
        return true;
    printf("\n    not '%s' but: %s\n", words, fm_error_text());
    return false;
}

/* ---- the entry ---- */

static void an_entry_comes_back_as_it_was(void)
{
    const fm_entry e = sample_entry();
    fm_buf b = { 0 };
    fm_entry *out = NULL;

    CU_ASSERT_EQUAL_FATAL(sample_entry_bytes(&b), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_entry_decode(b.data, b.len, &out), FM_OK);
    CU_ASSERT(out->round == e.round && out->finished_s == e.finished_s);
    CU_ASSERT(memcmp(&out->session, &e.session, sizeof e.session) == 0);
    CU_ASSERT(fm_hash_equal(&out->roster, &e.roster) && fm_hash_equal(&out->plan, &e.plan));
    CU_ASSERT(fm_hash_equal(&out->model_before, &e.model_before));
    CU_ASSERT(fm_hash_equal(&out->head_before, &e.head_before));
    CU_ASSERT(fm_hash_equal(&out->model_after, &e.model_after));
    CU_ASSERT(out->participant_count == 3 && out->participants[2] == 5);
    CU_ASSERT(out->survivor_count == 2 && out->survivors[1] == 2);
    CU_ASSERT(fm_hash_equal(&out->updates[1], &e.updates[1]));
    CU_ASSERT_EQUAL(out->update_signatures[1].len, 63);
    CU_ASSERT(memcmp(out->commit_signatures[1].data, e.commit_signatures[1].data, 63) == 0);
    CU_ASSERT(out->certificate.len == 40 && out->signature.len == 64);
    CU_ASSERT_EQUAL(fm_entry_body_len(out, b.len), b.len - 65);
    free(out);
    fm_buf_fini(&b);
}

static void a_cut_or_longer_entry_is_refused(void)
{
    fm_buf b = { 0 };
    fm_entry *out = NULL;

    CU_ASSERT_EQUAL_FATAL(sample_entry_bytes(&b), FM_OK);
    for (size_t len = 0; len < b.len; len++) {
        /* Of its own: what reads past the end is then seen. */
        uint8_t *copy = malloc(len + 1);

        CU_ASSERT_FATAL(copy != NULL);
        memcpy(copy, b.data, len);
        CU_ASSERT_EQUAL(fm_entry_decode(copy, len, &out), FM_EPROTO);
        free(copy);
    }
    CU_ASSERT_EQUAL(fm_buf_append(&b, "", 1), FM_OK);
    CU_ASSERT_EQUAL(fm_entry_decode(b.data, b.len, &out), FM_EPROTO);
    CU_ASSERT(says("behind the aggregator's signature"));
    CU_ASSERT(out == NULL);
    fm_buf_fini(&b);
}

static void refuse_entry(size_t at, const void *bytes, size_t len, const char *words)
{
    fm_buf b = { 0 };
    fm_entry *out = NULL;

    CU_ASSERT_EQUAL_FATAL(sample_entry_bytes(&b), FM_OK);
    memcpy(b.data + at, bytes, len);
    CU_ASSERT_EQUAL(fm_entry_decode(b.data, b.len, &out), FM_EPROTO);
    CU_ASSERT(says(words) && !out);
    fm_buf_fini(&b);
}

/* Offsets by the layout: 33 bytes and five hashes come before the participants. */
static void what_an_entry_cannot_say_is_named(void)
{
    static const uint8_t zero[8], top[8] = { 0, 0, 0, 0, 0, 0, 0, 0x80 };
    static const uint8_t many[4] = { 1, 4, 0, 0 }, two = 2, six = 6, big = 97, none = 0;
    const size_t p = 33 + 5 * FM_HASH_BYTES, s = p + 16;

    refuse_entry(0, &two, 1, "version: 2, not 1");
    refuse_entry(1, zero, 8, "round: out of its range");
    refuse_entry(1, top, 8, "round: out of its range");
    refuse_entry(9, top, 8, "time: out of its range");
    refuse_entry(p, zero, 4, "participants: 0 of them");
    refuse_entry(p, many, 4, "participants: 1025 of them");
    refuse_entry(p + 4, &two, 1, "participants: not in order");
    refuse_entry(s, zero, 4, "survivors: 0 of 3");
    refuse_entry(s, many, 4, "survivors: 1025 of 3");
    refuse_entry(s + 4, &six, 1, "survivors: not in order, or not among the participants");
    refuse_entry(s + 4 + 4 + FM_HASH_BYTES, &big, 1, "update signature: a signature of 97 bytes");
    refuse_entry(s + 4 + 4 + FM_HASH_BYTES, &none, 1, "update signature: a signature of 0 bytes");
}

static void entries_out_of_range_are_not_encoded(void)
{
    fm_entry e = sample_entry();
    fm_buf b = { 0 };

    e.round = 0;
    CU_ASSERT_EQUAL(fm_entry_encode_body(&e, &b), FM_EINVAL);
    e = sample_entry();
    e.survivor_count = 4;
    CU_ASSERT_EQUAL(fm_entry_encode_body(&e, &b), FM_EINVAL);
    e = sample_entry();
    e.certificate.len = FM_CERT_MAX_BYTES + 1;
    CU_ASSERT_EQUAL(fm_entry_encode_body(&e, &b), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_entry_encode_signature((fm_bytes){ b.data, 0 }, &b), FM_EINVAL);
    fm_buf_fini(&b);
}

/* ---- the seal ---- */

static void a_seal_comes_back_and_nothing_else_does(void)
{
    const fm_bundle_seal s = sample_seal();
    fm_bundle_seal out;
    fm_buf b = { 0 };

    CU_ASSERT_EQUAL_FATAL(fm_bundle_seal_encode(&s, &b), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_bundle_seal_decode(b.data, b.len, &out), FM_OK);
    CU_ASSERT(out.entries == 1 && out.made_s == s.made_s && fm_hash_equal(&out.head, &s.head));
    CU_ASSERT(out.certificate.len == 40 && out.signature.len == 64);
    CU_ASSERT(memcmp(out.signature.data, s.signature.data, 64) == 0);
    for (size_t len = 0; len < b.len; len++)
        CU_ASSERT_EQUAL(fm_bundle_seal_decode(b.data, len, &out), FM_EPROTO);
    CU_ASSERT_EQUAL(fm_buf_append(&b, "", 1), FM_OK);
    CU_ASSERT_EQUAL(fm_bundle_seal_decode(b.data, b.len, &out), FM_EPROTO);
    fm_buf_fini(&b);
}

/* ---- known values: tests/client ---- */

static void digests_of_a_bundle_have_their_known_values(void)
{
    const fm_entry e = sample_entry();
    const fm_bundle_seal s = sample_seal();
    const fm_transcript_entry t = fm_entry_transcript("heart-2026", &e);
    const fm_hash head = fm_transcript_next(&e.head_before, &t), plan = sample_hash(2);
    char dir[256], path[300];
    fm_bundle_writer *w = NULL;
    fm_buf b = { 0 };
    fm_hash mark;

    CU_ASSERT_EQUAL_FATAL(fm_entry_encode_body(&e, &b), FM_OK);
    CU_ASSERT(is_hex(fm_entry_digest("heart-2026", &head, b.data, b.len),
                     "f8c8cf919c879597f29c611e982929ccd4c573fc623f7df3be3daf51891edfd0"));
    CU_ASSERT_EQUAL(fm_entry_encode_signature(e.signature, &b), FM_OK);
    fm_test_tmpdir(dir, sizeof dir);
    (void)snprintf(path, sizeof path, "%s/it", dir);
    CU_ASSERT_EQUAL_FATAL(fm_bundle_create(path, &w), FM_OK);
    CU_ASSERT_EQUAL(fm_bundle_put(w, FM_BUNDLE_PLAN, "abcd", 4), FM_OK);
    CU_ASSERT_EQUAL(fm_bundle_put(w, FM_BUNDLE_ENTRY, b.data, b.len), FM_OK);
    CU_ASSERT_EQUAL(fm_bundle_put(w, FM_BUNDLE_END, b.data, b.len), FM_EINVAL);
    mark = fm_bundle_mark(w);
    CU_ASSERT(is_hex(mark, "5b03a2b0345d935fccb8a1547067714087d652d9990813685cc907b4afa840de"));
    CU_ASSERT(is_hex(fm_bundle_seal_digest("heart-2026", &plan, &mark, &s),
                     "676c7953ed0fbffada2b7b0a204fe0ae9f66f9a8a51fdd42a8e99c64e0262baf"));
    CU_ASSERT_FALSE(fm_file_exists(path));
    fm_bundle_abort(&w);
    CU_ASSERT_FALSE(fm_file_exists(path));
    fm_buf_fini(&b);
}

static const fm_test tests[] = {
    { "an entry comes back as it was", an_entry_comes_back_as_it_was },
    { "a cut or longer entry is refused", a_cut_or_longer_entry_is_refused },
    { "what an entry cannot say is named", what_an_entry_cannot_say_is_named },
    { "entries out of range are not encoded", entries_out_of_range_are_not_encoded },
    { "a seal comes back, and nothing else does", a_seal_comes_back_and_nothing_else_does },
    { "digests of a bundle have their known values", digests_of_a_bundle_have_their_known_values },
};

const fm_test_suite suite_bundle = { "proto.bundle", tests, FM_TEST_COUNT(tests) };
