/* Lies about who takes part. */
#include <string.h>

#include "lie.h"
#include "suites.h"

#define OTHER 2u

/** A credential in place of another node's. */
static void put(bench_message *o, unsigned at, const fm_identity *id)
{
    uint8_t x25519[FM_SESSION_KEY_BYTES], curve[FM_SESSION_KEY_BYTES];

    fm_random_bytes(x25519, sizeof x25519);
    x25519[31] &= 0x7f; /* canonical */
    fm_random_bytes(curve, sizeof curve);
    make_credential(id, x25519, curve, &o->members[at]);
}

/** Node OTHER signs a statement with these keys. */
static void put_keys(bench_message *o, const uint8_t *x25519, const uint8_t *curve)
{
    uint8_t fresh[FM_SESSION_KEY_BYTES];

    fm_random_bytes(fresh, sizeof fresh);
    fresh[31] &= 0x7f;
    make_credential(the_world()->node[OTHER], x25519 ? x25519 : fresh, curve ? curve : fresh,
                    &o->members[OTHER]);
}

static fm_statement statement_of(const fm_credential *c)
{
    fm_statement s = { 0 };

    need(fm_statement_decode(c->statement, c->statement_len, &s) == FM_OK, "a statement");
    return s;
}

LIE(a_substituted_key, FM_MSG_ROSTER, "signature", { o->members[0].statement[12] ^= 1; })
LIE(a_statement_of_another_member, FM_MSG_ROSTER, "signature", {
    memcpy(o->members[OTHER].cert, o->members[0].cert, o->members[0].cert_len);
    o->members[OTHER].cert_len = o->members[0].cert_len;
})
LIE(a_name_that_stands_twice, FM_MSG_ROSTER, "stands in it twice",
    { put(o, OTHER, the_world()->node[0]); })
LIE(a_member_of_another_consortium, FM_MSG_ROSTER, "member 2",
    { put(o, OTHER, the_world()->stranger); })
LIE(an_expired_certificate, FM_MSG_ROSTER, "expired", { put(o, OTHER, the_world()->expired); })
LIE(an_aggregator_as_a_member, FM_MSG_ROSTER, "member 2",
    { put(o, OTHER, the_world()->aggregator); })
LIE(self_missing, FM_MSG_ROSTER, "(0 times)", {
    o->members[VICTIM] = o->members[NODES - 1];
    o->m.roster.count = NODES - 1;
})
LIE(self_twice, FM_MSG_ROSTER, "2 times", { o->members[OTHER] = o->members[VICTIM]; })
LIE(self_with_another_key, FM_MSG_ROSTER, "(0 times)",
    { put(o, VICTIM, the_world()->node[VICTIM]); })
LIE(self_with_another_link_key, FM_MSG_ROSTER, "(0 times)", {
    fm_statement s = statement_of(&o->members[VICTIM]);
    s.curve_public[0] ^= 1;
    make_credential(the_world()->node[VICTIM], s.x25519_public, s.curve_public,
                    &o->members[VICTIM]);
})
LIE(too_few_members, FM_MSG_ROSTER, "at least 3", { o->m.roster.count = 2; })
LIE(too_many_members, FM_MSG_ROSTER, "allows 4", {
    o->members[NODES] = o->members[0];
    o->m.roster.count = NODES + 1;
})
LIE(a_mask_key_that_stands_twice, FM_MSG_ROSTER, "a key in common", {
    fm_statement s = statement_of(&o->members[0]);
    put_keys(o, s.x25519_public, NULL);
})
LIE(a_link_key_that_stands_twice, FM_MSG_ROSTER, "a key in common", {
    fm_statement s = statement_of(&o->members[0]);
    put_keys(o, NULL, s.curve_public);
})
LIE(a_key_of_low_order, FM_MSG_ROSTER, "low order", {
    uint8_t one[FM_SESSION_KEY_BYTES] = { 1 }; /* u = 1, a point of order 4 */
    put_keys(o, one, NULL);
})
LIE(a_signature_with_one_bit_changed, FM_MSG_ROSTER, "signature",
    { o->members[OTHER].signature[5] ^= 4; })
LIE(lengths_past_their_limits, FM_MSG_ROSTER, "lengths past",
    { o->members[OTHER].cert_len = SIZE_MAX; })

static void the_answer_names_the_roster_that_was_verified(void)
{
    bench b;

    bench_init(&b);
    reach(&b, FM_NODE_WAIT_START);
    CU_ASSERT(fm_hash_equal(
        &victim_ports(&b)->sent[FM_MSG_ROSTER_ANSWER]->roster_answer.roster_hash, &b.roster));
    bench_fini(&b);
}

static const fm_test tests[] = {
    { "a substituted key is refused (else: the aggregator takes a pair's masks off)",
      a_substituted_key },
    { "a certificate with the statement of another member is refused",
      a_statement_of_another_member },
    { "a name that stands twice is refused (else: one node counts as two)",
      a_name_that_stands_twice },
    { "a member of another consortium is refused (else: a cohort of puppets)",
      a_member_of_another_consortium },
    { "an expired certificate is refused", an_expired_certificate },
    { "an aggregator as a member is refused", an_aggregator_as_a_member },
    { "a roster without oneself is refused", self_missing },
    { "a roster with oneself twice is refused (else: masks with oneself cancel)", self_twice },
    { "oneself with another key is refused (else: masks with a key of the aggregator's)",
      self_with_another_key },
    { "oneself with another link key is refused (not what was sent in Hello)",
      self_with_another_link_key },
    { "fewer members than min_cohort are refused (else: a sum of two is read)", too_few_members },
    { "more members than the plan allows are refused (else: sums wrap)", too_many_members },
    { "a mask key that stands twice is refused", a_mask_key_that_stands_twice },
    { "a link key that stands twice is refused", a_link_key_that_stands_twice },
    { "a key of low order is refused (else: its masks are known to all)", a_key_of_low_order },
    { "a signature with one bit changed is refused", a_signature_with_one_bit_changed },
    { "lengths past their limits are refused, not read", lengths_past_their_limits },
    { "the answer names the roster that was verified",
      the_answer_names_the_roster_that_was_verified },
};

const fm_test_suite suite_round_roster = { "node.round-roster", tests, FM_TEST_COUNT(tests) };
