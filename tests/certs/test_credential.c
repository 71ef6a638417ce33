/* A credential as it travels: nothing of it may be changed, swapped, cut or kept too long. */
#include <stdlib.h>
#include <string.h>

#include "world.h"

static fm_statement statement_of(const world *w, const fm_identity *id)
{
    const fm_cert_info *info = fm_identity_info(id);
    fm_statement s;

    memset(&s, 0, sizeof s);
    s.role = info->role;
    memcpy(s.name, info->name, sizeof s.name);
    memcpy(s.federation, info->federation, sizeof s.federation);
    memset(s.curve_public, 0xc5, sizeof s.curve_public);
    if (info->role == FM_ROLE_NODE)
        memset(s.x25519_public, 0x1d, sizeof s.x25519_public);
    s.not_after_s = w->now_s + 3600;
    return s;
}

static fm_credential *credential_of(const world *w, const fm_identity *id)
{
    fm_statement s = statement_of(w, id);
    fm_credential *c = malloc(sizeof *c);

    need(c && fm_credential_make(id, &s, c) == FM_OK, "credential");
    return c;
}

/** Checks also that nothing is written on failure. */
static fm_status check(const world *w, const fm_credential *c, fm_role role)
{
    fm_statement s, before;
    fm_peer *p = NULL;
    fm_status st;

    memset(&s, 0x5a, sizeof s);
    before = s;
    st = fm_credential_verify(w->trust, c, role, w->now_s, &s, &p);
    CU_ASSERT_EQUAL(st == FM_OK, p != NULL);
    CU_ASSERT_EQUAL(st != FM_OK, memcmp(&s, &before, sizeof s) == 0);
    fm_peer_free(&p);
    return st;
}

static void verifies_for_both_roles_and_gives_the_keys(void)
{
    for (size_t i = 0; i < 2; i++) {
        world w;
        fm_credential *node, *hub;
        fm_statement s;

        world_make(&w, KEY_TYPES[i]);
        node = credential_of(&w, w.node_id);
        hub = credential_of(&w, w.aggregator_id);
        CU_ASSERT_EQUAL(check(&w, node, FM_ROLE_NODE), FM_OK);
        CU_ASSERT_EQUAL(check(&w, hub, FM_ROLE_AGGREGATOR), FM_OK);
        CU_ASSERT_EQUAL(check(&w, node, FM_ROLE_AGGREGATOR), FM_EAUTH);
        CU_ASSERT_EQUAL(check(&w, hub, FM_ROLE_NODE), FM_EAUTH);
        CU_ASSERT_EQUAL(fm_credential_verify(w.trust, node, FM_ROLE_NODE, w.now_s, &s, NULL),
                        FM_OK);
        CU_ASSERT_EQUAL(s.curve_public[31], 0xc5);
        CU_ASSERT_EQUAL(s.x25519_public[0], 0x1d);
        CU_ASSERT_EQUAL(s.not_after_s, w.now_s + 3600);
        free(node);
        free(hub);
        world_end(&w);
    }
}

static void flip_all(const world *w, fm_credential *c, uint8_t *bytes, size_t len)
{
    static const uint8_t flips[] = { 0x01, 0x80, 0xff };

    for (size_t k = 0; k < len; k++)
        for (size_t f = 0; f < sizeof flips; f++) {
            bytes[k] ^= flips[f];
            CU_ASSERT_EQUAL(check(w, c, FM_ROLE_NODE), FM_EAUTH);
            bytes[k] ^= flips[f];
        }
}

static void a_change_of_any_byte_is_refused(void)
{
    for (size_t i = 0; i < 2; i++) {
        world w;
        fm_credential *c;

        world_make(&w, KEY_TYPES[i]);
        c = credential_of(&w, w.node_id);
        flip_all(&w, c, c->cert, c->cert_len);
        flip_all(&w, c, c->statement, c->statement_len);
        flip_all(&w, c, c->signature, c->signature_len);
        CU_ASSERT_EQUAL(check(&w, c, FM_ROLE_NODE), FM_OK);
        free(c);
        world_end(&w);
    }
}

static void cut_all(const world *w, fm_credential *c, size_t *len, size_t cap)
{
    size_t whole = *len;

    for (*len = 0; *len < whole; ++*len)
        CU_ASSERT_EQUAL(check(w, c, FM_ROLE_NODE), FM_EAUTH);
    for (*len = whole + 1; *len <= whole + 3 && *len <= cap; ++*len)
        CU_ASSERT_EQUAL(check(w, c, FM_ROLE_NODE), FM_EAUTH);
    *len = cap;
    CU_ASSERT_EQUAL(check(w, c, FM_ROLE_NODE), FM_EAUTH);
    *len = cap + 1;
    CU_ASSERT_EQUAL(check(w, c, FM_ROLE_NODE), FM_EAUTH);
    *len = SIZE_MAX;
    CU_ASSERT_EQUAL(check(w, c, FM_ROLE_NODE), FM_EAUTH);
    *len = whole;
}

static void every_truncation_and_trailing_bytes_are_refused(void)
{
    for (size_t i = 0; i < 2; i++) {
        world w;
        fm_credential *c;

        world_make(&w, KEY_TYPES[i]);
        c = credential_of(&w, w.node_id);
        cut_all(&w, c, &c->cert_len, sizeof c->cert);
        cut_all(&w, c, &c->statement_len, sizeof c->statement);
        cut_all(&w, c, &c->signature_len, sizeof c->signature);
        CU_ASSERT_EQUAL(check(&w, c, FM_ROLE_NODE), FM_OK);
        free(c);
        world_end(&w);
    }
}

static void a_statement_under_another_certificate_is_refused(void)
{
    for (size_t i = 0; i < 2; i++) {
        world w;
        char out[PATH_CAP];
        fm_identity *beta = NULL;
        fm_credential *alpha_c, *beta_c, *mixed;

        world_make(&w, KEY_TYPES[i]);
        make_path(out, w.root, "beta");
        need(issue(w.ca, FM_ROLE_NODE, "beta", KEY_TYPES[i], 30, out) == FM_OK, "issue");
        need(fm_identity_load(out, &beta) == FM_OK, "load");
        alpha_c = credential_of(&w, w.node_id);
        beta_c = credential_of(&w, beta);
        need((mixed = malloc(sizeof *mixed)) != NULL, "malloc");

        *mixed = *alpha_c; /* alpha's statement and signature, beta's certificate */
        memcpy(mixed->cert, beta_c->cert, sizeof mixed->cert);
        mixed->cert_len = beta_c->cert_len;
        CU_ASSERT_EQUAL(check(&w, mixed, FM_ROLE_NODE), FM_EAUTH);

        /* beta signs alpha's statement: a good signature, another's name. */
        CU_ASSERT_EQUAL(fm_identity_sign(beta, "fedmoe statement v1", alpha_c->statement,
                                         alpha_c->statement_len, mixed->signature,
                                         &mixed->signature_len),
                        FM_OK);
        CU_ASSERT_EQUAL(check(&w, mixed, FM_ROLE_NODE), FM_EAUTH);
        CU_ASSERT_TRUE(says("'beta' signed a statement for node 'alpha'"));
        free(alpha_c);
        free(beta_c);
        free(mixed);
        fm_identity_free(&beta);
        world_end(&w);
    }
}

/** Sign any statement bytes with the node's key, as a dishonest member would. */
static fm_credential *sign_raw(const fm_identity *id, const char *label, const fm_credential *like,
                               const fm_statement *s)
{
    fm_credential *c = malloc(sizeof *c);

    need(c != NULL, "malloc");
    *c = *like;
    if (s)
        need(fm_statement_encode(s, c->statement, sizeof c->statement, &c->statement_len) == FM_OK,
             "encode");
    need(fm_identity_sign(id, label, c->statement, c->statement_len, c->signature,
                          &c->signature_len) == FM_OK,
         "sign");
    return c;
}

static void a_member_cannot_state_more_than_its_certificate(void)
{
    for (size_t i = 0; i < 2; i++) {
        world w;
        fm_credential *good, *c;
        fm_statement s;

        world_make(&w, KEY_TYPES[i]);
        good = credential_of(&w, w.node_id);
        s = statement_of(&w, w.node_id);
        s.role = FM_ROLE_AGGREGATOR;
        memset(s.x25519_public, 0, 32);
        c = sign_raw(w.node_id, "fedmoe statement v1", good, &s);
        CU_ASSERT_EQUAL(check(&w, c, FM_ROLE_NODE), FM_EAUTH);
        CU_ASSERT_EQUAL(check(&w, c, FM_ROLE_AGGREGATOR), FM_EAUTH);
        free(c);
        s = statement_of(&w, w.node_id);
        memcpy(s.federation, "lung", 5);
        c = sign_raw(w.node_id, "fedmoe statement v1", good, &s);
        CU_ASSERT_EQUAL(check(&w, c, FM_ROLE_NODE), FM_EAUTH);
        free(c);
        /* The same bytes under another label are another kind of message. */
        c = sign_raw(w.node_id, "fedmoe commit v1", good, NULL);
        CU_ASSERT_EQUAL(check(&w, c, FM_ROLE_NODE), FM_EAUTH);
        free(c);
        /* And a signed thing that is no statement is refused after its signature. */
        good->statement_len--;
        c = sign_raw(w.node_id, "fedmoe statement v1", good, NULL);
        CU_ASSERT_EQUAL(check(&w, c, FM_ROLE_NODE), FM_EAUTH);
        CU_ASSERT_TRUE(says("cut off"));
        free(c);
        free(good);
        world_end(&w);
    }
}

static void make_refuses_what_verify_would_refuse(void)
{
    world w;
    fm_statement s;
    fm_credential *c = malloc(sizeof *c);

    need(c != NULL, "malloc");
    world_make(&w, FM_KEY_ED25519);
    s = statement_of(&w, w.node_id);
    memcpy(s.name, "beta", 5);
    CU_ASSERT_EQUAL(fm_credential_make(w.node_id, &s, c), FM_EINVAL);
    s = statement_of(&w, w.aggregator_id);
    CU_ASSERT_EQUAL(fm_credential_make(w.node_id, &s, c), FM_EINVAL);
    s = statement_of(&w, w.node_id);
    memcpy(s.federation, "lung", 5);
    CU_ASSERT_EQUAL(fm_credential_make(w.node_id, &s, c), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_credential_make(NULL, &s, c), FM_EINVAL);
    free(c);
    world_end(&w);
}

/* Whatever there is of intermediate CAs; what lies behind a length comes back as zero. */
static void packed_and_unpacked_it_is_the_same(void)
{
    fm_credential *a = calloc(1, sizeof *a), *b = malloc(sizeof *b);

    need(a && b, "memory");
    for (size_t count = 0; count <= FM_INTERMEDIATES_MAX; count++) {
        fm_packed_credential *p = NULL;

        memset(a, 0, sizeof *a);
        memset(b, 0xa5, sizeof *b);
        memset(a->cert, 1, a->cert_len = count == 0 ? sizeof a->cert : 700);
        memset(a->statement, 2, a->statement_len = 90 + count);
        memset(a->signature, 3, a->signature_len = sizeof a->signature - count);
        a->intermediate_count = count;
        for (size_t i = 0; i < count; i++)
            memset(a->intermediates[i], 4, a->intermediate_len[i] = FM_INTERMEDIATE_MAX_BYTES - i);
        CU_ASSERT_EQUAL_FATAL(fm_credential_pack(a, &p), FM_OK);
        fm_credential_unpack(p, b);
        CU_ASSERT_EQUAL(memcmp(a, b, sizeof *a), 0);
        fm_credential_pack_free(&p);
        CU_ASSERT_PTR_NULL(p);
    }
    free(a);
    free(b);
}

static void lengths_that_cannot_be_are_not_packed(void)
{
    fm_credential *c = calloc(1, sizeof *c);
    fm_packed_credential *p = NULL;
    size_t *lengths[] = { &c->cert_len, &c->statement_len, &c->signature_len,
                          &c->intermediate_len[0], &c->intermediate_count };

    need(c != NULL, "memory");
    for (size_t i = 0; i < FM_TEST_COUNT(lengths); i++) {
        memset(c, 0, sizeof *c);
        c->intermediate_count = 1;
        *lengths[i] = FM_CERT_MAX_BYTES + 1;
        CU_ASSERT_EQUAL(fm_credential_pack(c, &p), FM_EINVAL);
        CU_ASSERT_PTR_NULL(p);
    }
    free(c);
}

static void counts_only_within_its_time(void)
{
    static const struct {
        int64_t ahead_s;
        fm_status st;
    } cases[] = {
        { -1, FM_EAUTH },
        { 0, FM_EAUTH },
        { 1, FM_OK },
        { FM_STATEMENT_VALID_S, FM_OK },
        { FM_STATEMENT_VALID_S + 3600, FM_OK },
        { FM_STATEMENT_VALID_S + 3601, FM_EAUTH },
        { INT64_C(1) << 40, FM_EAUTH },
    };

    for (size_t i = 0; i < 2; i++) {
        world w;

        world_make(&w, KEY_TYPES[i]);
        for (size_t k = 0; k < FM_TEST_COUNT(cases); k++) {
            fm_statement s = statement_of(&w, w.node_id);
            fm_credential *c = malloc(sizeof *c);

            s.not_after_s = w.now_s + cases[k].ahead_s;
            need(c && fm_credential_make(w.node_id, &s, c) == FM_OK, "make");
            CU_ASSERT_EQUAL(check(&w, c, FM_ROLE_NODE), cases[k].st);
            if (cases[k].st != FM_OK)
                CU_ASSERT_TRUE(says("clocks"));
            free(c);
        }
        world_end(&w);
    }
}

static void a_revoked_or_foreign_member_has_no_credential(void)
{
    for (size_t i = 0; i < 2; i++) {
        world w, other;
        fm_credential *c, *foreign;

        world_make(&w, KEY_TYPES[i]);
        world_make(&other, KEY_TYPES[i]);
        c = credential_of(&w, w.node_id);
        foreign = credential_of(&other, other.node_id);
        CU_ASSERT_EQUAL(check(&w, foreign, FM_ROLE_NODE), FM_EAUTH);
        need(fm_ca_revoke(w.ca, "alpha") == FM_OK, "revoke");
        fm_trust_free(&w.trust);
        need(fm_trust_load(w.ca, &w.trust) == FM_OK, "trust");
        CU_ASSERT_EQUAL(check(&w, c, FM_ROLE_NODE), FM_EAUTH);
        CU_ASSERT_TRUE(says("revoked"));
        free(c);
        free(foreign);
        world_end(&w);
        world_end(&other);
    }
}

static const fm_test tests[] = {
    { "verifies for both roles and gives the keys", verifies_for_both_roles_and_gives_the_keys },
    { "a change of any byte is refused", a_change_of_any_byte_is_refused },
    { "every truncation and trailing bytes are refused",
      every_truncation_and_trailing_bytes_are_refused },
    { "a statement under another certificate is refused",
      a_statement_under_another_certificate_is_refused },
    { "a member cannot state more than its certificate",
      a_member_cannot_state_more_than_its_certificate },
    { "make refuses what verify would refuse", make_refuses_what_verify_would_refuse },
    { "counts only within its time", counts_only_within_its_time },
    { "a revoked or foreign member has no credential",
      a_revoked_or_foreign_member_has_no_credential },
    { "packed and unpacked it is the same", packed_and_unpacked_it_is_the_same },
    { "lengths that cannot be are not packed", lengths_that_cannot_be_are_not_packed },
};

extern const fm_test_suite suite_credential;
const fm_test_suite suite_credential = { "certs.credential", tests, FM_TEST_COUNT(tests) };
