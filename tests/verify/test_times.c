/* When: certificates that were revoked, and an aggregator whose clock was wrong for a while. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "desk.h"

#define TIME_AT 9u /* the aggregator's own word, in an entry */
#define DAY_S 86400

static void revoke(uint32_t who)
{
    const struct timespec pause = { 1, 100 * 1000000L };
    fm_trust *t;

    (void)nanosleep(&pause, NULL);
    t = fed_trust_without(who);
    fm_trust_free(&t);
    (void)nanosleep(&pause, NULL);
}

static const fm_verify_member *member_of(const fm_verify_report *r, const char *name)
{
    for (size_t i = 0; i < r->member_count; i++)
        if (strcmp(r->members[i].name, name) == 0)
            return &r->members[i];
    need(false, name);
    return NULL;
}

/* Revoked before it made its statement: refused. Revoked later: what it signed before stays. */
static void a_revoked_member_counts_until_it_was_revoked(void)
{
    fm_verify_report r = { 0 };
    desk before, after;

    desk_make(&before, 1, UINT32_MAX, false);
    desk_write(&before, &before.all);
    revoke(2);
    CU_ASSERT_EQUAL_FATAL(desk_verify(&before, &r), FM_OK);
    for (size_t i = 0; i < r.member_count; i++) {
        CU_ASSERT_EQUAL(r.members[i].revoked_s != 0,
                        strcmp(r.members[i].name, before.f->nodes[2].name) == 0);
        CU_ASSERT_EQUAL(r.members[i].too_late, 0);
    }
    fm_verify_report_fini(&r);
    desk_end(&before);

    /* A coordinator that looks at no list; the statement is of now, and lasts as real ones do. */
    fed_statement_s = FM_STATEMENT_VALID_S + 60;
    desk_make(&after, 1, UINT32_MAX, false);
    fed_statement_s = 3600;
    CU_ASSERT(desk_refuses(&after, &after.all, "revoked by the CA on "));
    CU_ASSERT(says("(roster), member 2: the certificate that names node 'node-c'"));
    desk_end(&after);
}

static void set_time(pieces *p, int64_t plus_s)
{
    const size_t at = piece_at(p, FM_BUNDLE_ENTRY, 0);
    uint8_t *time_s = p->pieces[at].data.data + TIME_AT;

    fm_put_u64le(time_s, fm_get_u64le(time_s) + (uint64_t)plus_s);
    need(forge_entry_signature(p, at), "entry");
    forge_seal(p);
}

/* The statement is from before, and the list withheld: the member goes on taking part. */
static void rounds_after_the_revocation_are_told_from_those_before(void)
{
    fm_verify_report r = { 0 };
    const fm_verify_member *who;
    pieces p;
    desk d;

    revoke(3);
    fed_statement_s = FM_STATEMENT_VALID_S - 3600; /* of an hour ago */
    desk_make(&d, 1, UINT32_MAX, false);
    fed_statement_s = 3600;
    desk_write(&d, &d.all);
    CU_ASSERT_EQUAL_FATAL(desk_verify(&d, &r), FM_OK);
    who = member_of(&r, d.f->nodes[3].name);
    CU_ASSERT(who->revoked_s != 0 && who->revoked_s < r.first_s);
    CU_ASSERT(who->took_part == 1 && who->signed_ == 1 && who->too_late == 1);
    CU_ASSERT_EQUAL(member_of(&r, d.f->nodes[0].name)->too_late, 0);
    CU_ASSERT(r.list && r.list_number >= 2);
    fm_verify_report_fini(&r);
    /* More than a day of it is no list on its way. */
    pieces_copy(&d.all, &p);
    set_time(&p, DAY_S + 600);
    CU_ASSERT(desk_refuses(&d, &p, "(entry of round 1), participants: 'node-"));
    CU_ASSERT(says("is among them, more than a day after its certificate was revoked"));
    pieces_fini(&p);
    desk_end(&d);
}

/* Set right again, nothing of it may be left in the bundle: nothing can be left out of that. */
static void a_clock_that_was_wrong_for_a_while_costs_no_bundle(void)
{
    static const int64_t shifts_s[] = { -200, -86600, -400 * (int64_t)DAY_S, 2 * DAY_S,
                                        4000 * (int64_t)DAY_S };

    for (size_t i = 0; i < sizeof shifts_s / sizeof shifts_s[0]; i++) {
        desk d;

        desk_make_shifted(&d, shifts_s[i]);
        desk_write(&d, &d.all);
        CU_ASSERT_EQUAL(desk_verify(&d, NULL), FM_OK);
        desk_end(&d);
    }
}

static const fm_test tests[] = {
    { "a clock that was wrong for a while costs no bundle",
      a_clock_that_was_wrong_for_a_while_costs_no_bundle },
    { "a revoked member counts until it was revoked",
      a_revoked_member_counts_until_it_was_revoked },
    { "rounds after the revocation are told from those before",
      rounds_after_the_revocation_are_told_from_those_before },
};
const fm_test_suite suite_times = { "verify.times", tests, FM_TEST_COUNT(tests) };
