/*
 * Bundles by an aggregator that lies: it makes marks and seal anew, and signs entries anew where
 * that helps. What the members signed it cannot make, and what they did not is recomputed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "desk.h"
#include "fedmoe/base/file.h"

#define TIME_AT 9u /* the aggregator's own word, in an entry */
#define TIME_BYTES 8u

/* Whether the verifier refuses it with the seal made anew over it. */
static bool refused(const desk *d, pieces *p)
{
    forge_seal(p);
    desk_write(d, p);
    return desk_verify(d, NULL) != FM_OK;
}

/* Bytes of the section in turn, with marks, seal and (re_sign) the entry's signature made to fit.
 * Not each, which takes a minute: without this effort each is, in test_bundle.c.
 * @return how many were not refused. */
static size_t sweep(const desk *d, pieces *p, size_t at, bool re_sign)
{
    const piece *which = &p->pieces[at];
    const bool entry = which->kind == FM_BUNDLE_ENTRY;
    const size_t step = which->kind == FM_BUNDLE_ROSTER ? 31 : 5;
    fm_buf honest = { 0 };
    size_t missed = 0, end;

    need(fm_buf_append(&honest, which->data.data, which->data.len) == FM_OK, "copy");
    end = re_sign ? honest.len - 65 : honest.len; /* an Ed25519 signature and its length */
    for (size_t i = at % step; i < end; i += step) {
        if (entry && re_sign && i >= TIME_AT && i < TIME_AT + TIME_BYTES)
            continue;
        p->pieces[at].data.data[i] ^= (uint8_t)(1u << (i % 8));
        if ((!re_sign || forge_entry_signature(p, at)) && !refused(d, p)) {
            printf("\n    %s, byte %zu of %zu is not missed\n", fm_bundle_kind_name(which->kind), i,
                   honest.len);
            missed++;
        }
        fm_buf_clear(&p->pieces[at].data);
        need(fm_buf_append(&p->pieces[at].data, honest.data, honest.len) == FM_OK, "copy");
    }
    fm_buf_fini(&honest);
    return missed;
}

static void every_altered_byte_is_found_though_marks_and_seal_are_made_anew(void)
{
    desk d;
    pieces p;

    desk_make(&d, 1, 3, true);
    pieces_copy(&d.all, &p);
    for (size_t at = 0; at + 1 < p.count; at++)
        if (p.pieces[at].kind != FM_BUNDLE_CA) /* for information: nothing hangs on it */
            CU_ASSERT_EQUAL(sweep(&d, &p, at, false), 0);
    pieces_fini(&p);
    desk_end(&d);
}

/* All but the time: that is the aggregator's word. The model after the round is recomputed. */
static void every_altered_byte_of_an_entry_is_found_though_the_aggregator_signs_it(void)
{
    desk d;
    pieces p;

    desk_make(&d, 1, UINT32_MAX, true);
    pieces_copy(&d.all, &p);
    CU_ASSERT_EQUAL(sweep(&d, &p, piece_at(&p, FM_BUNDLE_ENTRY, 0), true), 0);
    pieces_fini(&p);
    desk_end(&d);
}

static void every_section_is_missed_when_it_is_gone_or_moved_or_doubled(void)
{
    desk d;

    desk_make(&d, 2, UINT32_MAX, true);
    for (size_t at = 0; at + 1 < d.all.count; at++)
        for (int how = 0; how < 3; how++) {
            pieces p;

            pieces_copy(&d.all, &p);
            if (how == 0)
                piece_remove(&p, at);
            else if (how == 1 && at + 2 < p.count)
                piece_swap(&p, at, at + 1);
            else
                piece_repeat(&p, at);
            /* Whose self seed it is nobody has signed, and the sum is the same. */
            CU_ASSERT(refused(&d, &p) || (how == 1 && p.pieces[at].kind == FM_BUNDLE_SEEDS &&
                                          p.pieces[at + 1].kind == FM_BUNDLE_SEEDS));
            pieces_fini(&p);
        }
    desk_end(&d);
}

static void an_entry_that_is_left_out_breaks_the_chain(void)
{
    desk d;
    pieces p;

    desk_make(&d, 3, UINT32_MAX, false);
    pieces_copy(&d.all, &p);
    piece_remove(&p, piece_at(&p, FM_BUNDLE_ENTRY, 1));
    forge_seal(&p);
    CU_ASSERT(desk_refuses(&d, &p,
                           "(entry of round 3), head before: it does not follow the entry "
                           "of round 1: an entry between them is missing"));
    /* Heads that fit: then the members have signed other ones. */
    forge_chain(&p);
    forge_seal(&p);
    CU_ASSERT(desk_refuses(&d, &p, "model before: it is not the model"));
    pieces_fini(&p);
    /* The last one: nothing follows, but the aggregator's seal is not over this. */
    pieces_copy(&d.all, &p);
    piece_remove(&p, piece_at(&p, FM_BUNDLE_ENTRY, 2));
    CU_ASSERT(desk_refuses(&d, &p, "it seals 3 entries, and there are 2"));
    pieces_fini(&p);
    desk_end(&d);
}

static void swapped_entries_are_named(void)
{
    desk d;
    pieces p;

    desk_make(&d, 3, UINT32_MAX, false);
    pieces_copy(&d.all, &p);
    piece_swap(&p, piece_at(&p, FM_BUNDLE_ENTRY, 1), piece_at(&p, FM_BUNDLE_ENTRY, 2));
    forge_seal(&p);
    CU_ASSERT(desk_refuses(&d, &p, "(entry of round 3), head before"));
    pieces_fini(&p);
    pieces_copy(&d.all, &p);
    piece_repeat(&p, piece_at(&p, FM_BUNDLE_ENTRY, 1));
    forge_seal(&p);
    CU_ASSERT(desk_refuses(&d, &p, "(entry of round 2), round: it stands behind round 2"));
    pieces_fini(&p);
    desk_end(&d);
}

static void replace(pieces *to, size_t at, const piece *with)
{
    fm_buf_clear(&to->pieces[at].data);
    need(fm_buf_append(&to->pieces[at].data, with->data.data, with->data.len) == FM_OK, "replace");
}

static void what_is_of_another_run_is_named(void)
{
    desk d, other;
    pieces p;
    size_t at;

    desk_make(&d, 2, UINT32_MAX, true);
    desk_make(&other, 3, UINT32_MAX, true);
    pieces_copy(&d.all, &p);
    at = piece_at(&p, FM_BUNDLE_ENTRY, 0);
    replace(&p, at, &other.all.pieces[at]);
    forge_seal(&p);
    CU_ASSERT(desk_refuses(&d, &p,
                           "plan: it is not the plan of this bundle: an entry of another "
                           "run"));
    pieces_fini(&p);
    pieces_copy(&d.all, &p);
    at = piece_at(&p, FM_BUNDLE_ROSTER, 0);
    replace(&p, at, &other.all.pieces[at]);
    forge_seal(&p);
    CU_ASSERT(desk_refuses(&d, &p, "roster: it is not of the session of the roster"));
    pieces_fini(&p);
    pieces_copy(&d.all, &p);
    at = piece_at(&p, FM_BUNDLE_UPDATE, 2);
    replace(&p, at, &other.all.pieces[at]);
    forge_seal(&p);
    CU_ASSERT(desk_refuses(&d, &p, "does not have the hash that the node signed"));
    pieces_fini(&p);
    desk_end(&d);
    desk_end(&other);
}

static void models_and_seeds_that_were_exchanged_are_named(void)
{
    const fm_hash wrong = { { 7 } };
    desk d;
    pieces p;
    size_t at;

    desk_make(&d, 2, 3, true);
    pieces_copy(&d.all, &p);
    p.pieces[piece_at(&p, FM_BUNDLE_MODEL, 0)].data.data[2] ^= 1;
    forge_seal(&p);
    CU_ASSERT(
        desk_refuses(&d, &p, "(first model), model: it is not the first model that the plan"));
    pieces_fini(&p);
    /* A self seed: the sum stays masked. */
    pieces_copy(&d.all, &p);
    p.pieces[piece_at(&p, FM_BUNDLE_SEEDS, 1)].data.data[0] ^= 1;
    forge_seal(&p);
    CU_ASSERT(desk_refuses(&d, &p, "(seeds of round 1), sum: round 1: the unmasked sum is longer"));
    pieces_fini(&p);
    /* The step: another model than the updates lead to, in both entries. */
    pieces_copy(&d.all, &p);
    at = piece_at(&p, FM_BUNDLE_ENTRY, 0);
    memcpy(p.pieces[at].data.data + 33 + 4 * FM_HASH_BYTES, wrong.bytes, FM_HASH_BYTES);
    need(forge_entry_signature(&p, at), "entry");
    forge_seal(&p);
    CU_ASSERT(
        desk_refuses(&d, &p, "model after: the updates and seeds that were kept do not lead"));
    pieces_fini(&p);
    desk_end(&d);
}

static void another_signer_is_named(void)
{
    desk d;
    pieces p;
    fm_buf *b;

    desk_make(&d, 1, UINT32_MAX, false);
    pieces_copy(&d.all, &p);
    b = &p.pieces[piece_at(&p, FM_BUNDLE_ENTRY, 0)].data;
    b->data[b->len - 1] ^= 1;
    forge_seal(&p);
    CU_ASSERT(desk_refuses(&d, &p,
                           "(entry of round 1), aggregator's signature: the signature by "
                           "'hub'"));
    pieces_fini(&p);
    /* The seal by nobody who may. */
    pieces_copy(&d.all, &p);
    b = &p.pieces[p.count - 1].data;
    b->data[b->len - 1] ^= 1;
    CU_ASSERT(desk_refuses(&d, &p, "(seal), aggregator's signature"));
    pieces_fini(&p);
    desk_end(&d);
}

/* Two members and the aggregator make a round of their own: all they sign is genuine. */
static void fewer_survivors_than_the_quorum_are_named(void)
{
    uint8_t signatures[2][FM_SIGNATURE_MAX];
    fm_bytes commits[2] = { { signatures[0], 0 }, { signatures[1], 0 } };
    fm_buf bytes = { 0 };
    fm_entry *e = NULL;
    fm_transcript_entry t;
    fm_buf *at;
    desk d;
    pieces p;

    desk_make(&d, 1, UINT32_MAX, false);
    pieces_copy(&d.all, &p);
    at = &p.pieces[piece_at(&p, FM_BUNDLE_ENTRY, 0)].data;
    need(fm_entry_decode(at->data, at->len, &e) == FM_OK, "entry");
    e->survivor_count = 2;
    t = fm_entry_transcript("heart", e);
    for (uint32_t i = 0; i < 2; i++)
        need(fm_identity_sign(d.f->nodes[e->survivors[i]].id, FM_LABEL_COMMIT,
                              t.commit_digest.bytes, FM_HASH_BYTES, signatures[i],
                              &commits[i].len) == FM_OK,
             "commit");
    e->commit_signatures = commits;
    need(fm_entry_encode_body(e, &bytes) == FM_OK &&
             fm_entry_encode_signature(commits[0], &bytes) == FM_OK,
         "entry");
    free(e);
    fm_buf_clear(at);
    need(fm_buf_append(at, bytes.data, bytes.len) == FM_OK &&
             forge_entry_signature(&p, piece_at(&p, FM_BUNDLE_ENTRY, 0)),
         "entry");
    forge_seal(&p);
    CU_ASSERT(desk_refuses(&d, &p,
                           "(entry of round 1), survivors: 2 of them, and the plan demands "
                           "3"));
    fm_buf_fini(&bytes);
    pieces_fini(&p);
    desk_end(&d);
}

/* ---- whose CA ---- */

static fm_status verify_with(const desk *d, const char *trust, fm_verify_report *r)
{
    const fm_verify_options o = { .bundle = d->bundle, .trust = trust };

    return fm_verify_bundle(&o, r);
}

static void members_of_an_unknown_ca_are_refused(void)
{
    char other[PATH_CAP];
    fm_verify_report r;
    desk d;

    desk_make(&d, 1, UINT32_MAX, false);
    desk_write(&d, &d.all);
    (void)snprintf(other, sizeof other, "%s/other-ca", d.dir);
    need(fm_ca_new(other, "heart", FM_KEY_ED25519, 365) == FM_OK, "ca");
    CU_ASSERT_EQUAL(verify_with(&d, other, &r), FM_EAUTH);
    CU_ASSERT(says("(roster), member 0: ") && says("not issued by the pinned CA"));
    (void)snprintf(other, sizeof other, "%s/lungs-ca", d.dir);
    need(fm_ca_new(other, "lungs", FM_KEY_ED25519, 365) == FM_OK, "ca");
    CU_ASSERT_EQUAL(verify_with(&d, other, &r), FM_EAUTH);
    CU_ASSERT(says("federation: the plan is of federation 'heart', and the CA in"));
    desk_end(&d);
}

static const fm_test tests[] = {
    { "every altered byte is found though marks and seal are made anew",
      every_altered_byte_is_found_though_marks_and_seal_are_made_anew },
    { "every altered byte of an entry is found though the aggregator signs it",
      every_altered_byte_of_an_entry_is_found_though_the_aggregator_signs_it },
    { "every section is missed when it is gone, moved or doubled",
      every_section_is_missed_when_it_is_gone_or_moved_or_doubled },
    { "an entry that is left out breaks the chain", an_entry_that_is_left_out_breaks_the_chain },
    { "swapped entries are named", swapped_entries_are_named },
    { "what is of another run is named", what_is_of_another_run_is_named },
    { "models and seeds that were exchanged are named",
      models_and_seeds_that_were_exchanged_are_named },
    { "another signer is named", another_signer_is_named },
    { "fewer survivors than the quorum are named", fewer_survivors_than_the_quorum_are_named },
    { "members of an unknown CA are refused", members_of_an_unknown_ca_are_refused },
};
const fm_test_suite suite_hostile = { "verify.hostile", tests, FM_TEST_COUNT(tests) };
