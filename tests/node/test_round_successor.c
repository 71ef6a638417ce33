/* A successor of the CA, as the aggregator brings it with a revocation list. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "fedmoe/certs/succession.h"
#include "suites.h"

/** The CA's folder, or that of the other one, as it is after a rotation; the world's stays. */
static fm_trust *rotated(const char *ca)
{
    char copy[PATH_CAP], line[4 * PATH_CAP];
    fm_trust *t = NULL;

    make_path(copy, the_world()->root, "rotated");
    (void)snprintf(line, sizeof line, "rm -rf '%s' && cp -r '%s/%s' '%s'", copy, the_world()->root,
                   ca, copy);
    need(system(line) == 0, "a copy of the CA");
    need(fm_ca_rotate(copy, FM_KEY_P256, 4000) == FM_OK && fm_trust_load(copy, &t) == FM_OK,
         "a successor");
    return t;
}

/** The successor, with the list of the CA i. */
static fm_status hear_successor(bench *b, const fm_trust *from, size_t i)
{
    bench_message *o = calloc(1, sizeof *o);
    const fm_succession s = fm_trust_succession(from);
    fm_crl_view list;
    fm_status st;

    need(o != NULL, "memory");
    fm_trust_list(from, i, &list);
    o->m.type = FM_MSG_REVOCATIONS;
    o->m.revocations.list = (fm_bytes){ list.der, list.len };
    o->m.revocations.successor.authority = (fm_bytes){ s.ca, s.ca_len };
    o->m.revocations.successor.signature = (fm_bytes){ s.signature, s.signature_len };
    st = hear(b, VICTIM, o);
    free(o);
    return st;
}

static bench *begin(void)
{
    bench *b = calloc(1, sizeof *b);

    need(b != NULL, "memory");
    bench_init(b);
    reach(b, FM_NODE_WAIT_ROSTER);
    return b;
}

static void end(bench *b)
{
    bench_fini(b);
    free(b);
}

static void refused(bench *b, const char *why)
{
    CU_ASSERT_EQUAL(times(victim_ports(b), DID_KEEP), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(victim_ports(b)->why, why));
    CU_ASSERT_PTR_NULL(victim_ports(b)->kept);
}

static void it_is_kept_with_its_list(void)
{
    fm_trust *from = rotated("ca");
    bench *b = begin();

    CU_ASSERT_EQUAL(hear_successor(b, from, 1), FM_OK);
    CU_ASSERT_EQUAL(times(victim_ports(b), DID_KEEP), 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(victim_ports(b)->kept);
    CU_ASSERT_EQUAL(fm_trust_ca_count(victim_ports(b)->kept), 2);
    CU_ASSERT_EQUAL(hear_successor(b, from, 1), FM_OK); /* again: nothing to keep */
    CU_ASSERT_EQUAL(times(victim_ports(b), DID_KEEP), 1);
    /* The session goes on with the certificates of before. */
    CU_ASSERT_EQUAL(victim_ports(b)->refusals, 0);
    end(b);
    fm_trust_free(&from);
}

static void it_is_refused_with_the_list_of_another(void)
{
    fm_trust *from = rotated("ca");
    bench *b = begin();

    CU_ASSERT_EQUAL(hear_successor(b, from, 0), FM_OK);
    CU_ASSERT_EQUAL(victim_ports(b)->refusals, 1);
    refused(b, "the list of another");
    end(b);
    fm_trust_free(&from);
}

static void a_strangers_is_refused(void)
{
    fm_trust *from = rotated("other-ca");
    bench *b = begin();

    for (size_t i = 0; i < 2; i++)
        CU_ASSERT_EQUAL(hear_successor(b, from, i), FM_OK);
    CU_ASSERT_EQUAL(victim_ports(b)->refusals, 2);
    refused(b, "no pinned CA has named its successor");
    end(b);
    fm_trust_free(&from);
}

static const fm_test tests[] = {
    { "it is kept with its list", it_is_kept_with_its_list },
    { "it is refused with the list of another", it_is_refused_with_the_list_of_another },
    { "a stranger's is refused", a_strangers_is_refused },
};
const fm_test_suite suite_round_successor = { "node.round_successor", tests, FM_TEST_COUNT(tests) };
