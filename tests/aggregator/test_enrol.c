/* Who is enrolled, and what a code is worth after its use. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>
#include <sqlite3.h>

#include "enrol_desk.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "suites.h"
#include "yaml.h"

static void a_code_is_good_for_one_key(void)
{
    fm_msg_enrolled out;
    fm_buf first = { 0 }, r, thief;
    desk d;

    desk_make(&d, true);
    r = desk_request(&d, "alpha", "heart", "alpha");
    thief = desk_request(&d, "thief", "heart", "alpha");
    CU_ASSERT_EQUAL_FATAL(desk_take(&d, &r, &out), FM_OK);
    CU_ASSERT_TRUE(out.certificate.len > 0 && out.authority.len > 0 && out.revocations.len > 0);
    need(fm_buf_append(&first, out.certificate.data, out.certificate.len) == FM_OK, "memory");
    /* An answer that was lost is given again, also after the code has ended. */
    CU_ASSERT_EQUAL(desk_take(&d, &r, &out), FM_OK);
    CU_ASSERT_TRUE(desk_same(out.certificate, &first));
    d.now_s += 2 * HOUR_S;
    CU_ASSERT_EQUAL(desk_take(&d, &r, &out), FM_OK);
    CU_ASSERT_TRUE(desk_same(out.certificate, &first));
    desk_refused(&d, &thief, "used already, with another key");
    CU_ASSERT_EQUAL(desk_issued(&d, "alpha"), 1);
    fm_buf_fini(&first);
    fm_buf_fini(&thief);
    fm_buf_fini(&r);
    desk_end(&d);
}

static void each_refusal_says_why(void)
{
    fm_msg_enrolled out;
    fm_invitations *s = NULL;
    uint32_t count = 0;
    fm_buf r, other, lung, garbage = { 0 };
    desk d;

    desk_make(&d, true);
    r = desk_request(&d, "alpha", "heart", "alpha");
    other = desk_request(&d, "alpha", "heart", "hub");
    lung = desk_request(&d, "alpha", "lung", "alpha");
    need(fm_buf_append(&garbage, "0123", 4) == FM_OK, "memory");
    desk_refused(&d, &other, "for node 'alpha', not for node 'hub'");
    desk_refused(&d, &lung, "'heart', not 'lung'");
    desk_refused(&d, &garbage, "not a DER request");
    d.now_s += HOUR_S + 1;
    desk_refused(&d, &r, "this join code ended on");
    d.now_s -= HOUR_S + 1;
    need(fm_invitations_open(d.agg, false, &s) == FM_OK, "store");
    CU_ASSERT_EQUAL(fm_invitations_withdraw(s, "alpha", &count), FM_OK);
    CU_ASSERT_EQUAL(count, 1);
    desk_refused(&d, &r, "withdrawn");
    memset(d.token, 77, sizeof d.token); /* a code that nobody has given out */
    desk_refused(&d, &r, "not known here");
    CU_ASSERT_EQUAL(desk_issued(&d, "alpha"), 0);
    desk_invite(&d, "hub", 3); /* a name that has a certificate */
    desk_refused(&d, &other, "must revoke it first");
    desk_invite(&d, "alpha", 4);
    CU_ASSERT_EQUAL(desk_take(&d, &r, &out), FM_OK);
    fm_invitations_close(&s);
    fm_buf_fini(&r);
    fm_buf_fini(&other);
    fm_buf_fini(&lung);
    fm_buf_fini(&garbage);
    desk_end(&d);
}

static fm_status order(const desk *d, const char *key)
{
    const fm_desk_order o = { .name = "alpha", .key = key, .days = 20 };
    fm_hash has;

    return fm_enroller_sign(d->agg, d->ca, &o, &has);
}

/* What the hospital reads out: the fingerprint of its request's key. */
static void read_out(const fm_buf *r, char key[2 * FM_HASH_BYTES + 1])
{
    fm_request_info info;

    need(fm_request_check(r->data, r->len, &info) == FM_OK, "request");
    fm_hash_hex(&info.key, key);
}

static void without_a_ca_a_request_waits_for_the_desk(void)
{
    char key[2 * FM_HASH_BYTES + 1];
    fm_msg_enrolled out;
    fm_buf r;
    desk d;

    desk_make(&d, false);
    r = desk_request(&d, "alpha", "heart", "alpha");
    read_out(&r, key);
    CU_ASSERT_EQUAL(order(&d, key), FM_ENOTFOUND);
    for (int i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL_FATAL(desk_take(&d, &r, &out), FM_OK);
        CU_ASSERT_EQUAL(out.certificate.len + out.authority.len + out.revocations.len, 0);
    }
    key[FM_DESK_KEY_MIN] = '\0'; /* half of it is enough */
    CU_ASSERT_EQUAL(order(&d, key), FM_OK);
    CU_ASSERT_EQUAL_FATAL(desk_take(&d, &r, &out), FM_OK);
    CU_ASSERT_TRUE(out.certificate.len > 0);
    CU_ASSERT_EQUAL(order(&d, key), FM_ENOTFOUND);
    CU_ASSERT_EQUAL(desk_issued(&d, "alpha"), 1);
    fm_buf_fini(&r);
    desk_end(&d);
}

static void change_store(const desk *d, const char *sql, const fm_hash *member, const fm_buf *r)
{
    char path[PATH_CAP];
    sqlite3 *db = NULL;
    sqlite3_stmt *q = NULL;

    yaml_path(path, d->agg, "invitations.db");
    need(sqlite3_open(path, &db) == SQLITE_OK &&
             sqlite3_prepare_v2(db, sql, -1, &q, NULL) == SQLITE_OK,
         sql);
    if (member)
        need(sqlite3_bind_blob(q, 1, member->bytes, FM_HASH_BYTES, SQLITE_STATIC) == SQLITE_OK &&
                 sqlite3_bind_blob(q, 2, r->data, (int)r->len, SQLITE_STATIC) == SQLITE_OK,
             sql);
    need(sqlite3_step(q) == SQLITE_DONE, sql);
    (void)sqlite3_finalize(q);
    (void)sqlite3_close(db);
}

/* Between the look and the signature: whoever owns the folder puts another request there, for the
 * same name, with a certificate for a lifetime. */
static void the_desk_signs_the_key_that_was_read_out_and_no_other(void)
{
    char key[2 * FM_HASH_BYTES + 1], theirs[2 * FM_HASH_BYTES + 1];
    fm_msg_enrolled out;
    fm_request_info info;
    fm_buf r, thief;
    desk d;

    desk_make(&d, false);
    r = desk_request(&d, "alpha", "heart", "alpha");
    thief = desk_request(&d, "thief", "heart", "alpha");
    read_out(&r, key);
    read_out(&thief, theirs);
    CU_ASSERT_EQUAL_FATAL(desk_take(&d, &r, &out), FM_OK);
    need(fm_request_check(thief.data, thief.len, &info) == FM_OK, "request");
    change_store(&d, "UPDATE invitation SET member = ?, request = ?, days = 36500", &info.key,
                 &thief);
    CU_ASSERT_EQUAL(order(&d, key), FM_EAUTH);
    CU_ASSERT_TRUE(says("not for the one that was read out") && says(theirs));
    CU_ASSERT_EQUAL(order(&d, "4"), FM_EINVAL);
    CU_ASSERT_EQUAL(order(&d, "not hex, but as long as thirty-two digits"), FM_EINVAL);
    CU_ASSERT_EQUAL(desk_issued(&d, "alpha"), 0);
    need(fm_request_check(r.data, r.len, &info) == FM_OK, "request");
    change_store(&d, "UPDATE invitation SET member = ?, request = ?", &info.key, &r);
    CU_ASSERT_EQUAL(order(&d, key), FM_OK);
    CU_ASSERT_EQUAL(desk_issued(&d, "alpha"), 1);
    /* The desk's own days, not the file's. */
    CU_ASSERT_EQUAL_FATAL(desk_take(&d, &r, &out), FM_OK);
    {
        fm_trust *t = NULL;
        fm_peer *p = NULL;

        need(fm_trust_load(d.ca, &t) == FM_OK, "trust");
        CU_ASSERT_EQUAL_FATAL(fm_peer_verify(t, out.certificate.data, out.certificate.len,
                                             FM_ROLE_NODE, fm_clock_wall_s(), &p),
                              FM_OK);
        CU_ASSERT_TRUE(fm_peer_info(p)->not_after_s < d.now_s + 21 * 24 * HOUR_S);
        fm_peer_free(&p);
        fm_trust_free(&t);
    }
    fm_buf_fini(&r);
    fm_buf_fini(&thief);
    desk_end(&d);
}

static fm_status see(void *ctx, const uint8_t key[FM_INVITATION_KEY_BYTES], const fm_invited *i)
{
    (void)key;
    *(unsigned *)ctx += i->bound;
    return FM_OK;
}

/* The file is not ours to trust: what it names is shown to people beside the key they compare. */
static void a_store_that_others_wrote_is_not_shown(void)
{
    char path[PATH_CAP], link[PATH_CAP], none[PATH_CAP];
    fm_invitations *s = NULL;
    unsigned count = 0;
    desk d;

    desk_make(&d, false);
    change_store(&d, "UPDATE invitation SET name = 'alpha' || char(27) || '[2K'", NULL, NULL);
    need(fm_invitations_open(d.agg, false, &s) == FM_OK, "store");
    CU_ASSERT_EQUAL(fm_invitations_each(s, see, &count), FM_EPROTO);
    fm_invitations_close(&s);
    yaml_path(path, d.agg, "invitations.db");
    need(chmod(path, 0640) == 0, path);
    CU_ASSERT_EQUAL(fm_invitations_open(d.agg, true, &s), FM_EPERM);
    need(chmod(path, 0600) == 0, path);
    /* In a folder that has none, only who invites makes one; and never through a link. */
    yaml_path(none, d.root, "none");
    need(fm_dir_make(none, 0700) == FM_OK, none);
    CU_ASSERT_EQUAL(fm_invitations_open(none, false, &s), FM_ENOTFOUND);
    yaml_path(link, none, "invitations.db");
    CU_ASSERT_FALSE(fm_file_exists(link));
    need(symlink(path, link) == 0, link);
    CU_ASSERT_EQUAL(fm_invitations_open(none, true, &s), FM_EPERM);
    CU_ASSERT_PTR_NULL(s);
    desk_end(&d);
}

static bool holds(const fm_buf *file, const void *what, size_t len)
{
    for (size_t i = 0; i + len <= file->len; i++)
        if (memcmp(file->data + i, what, len) == 0)
            return true;
    return false;
}

/* The token's 128 bits as a code's text has them, wherever in it they begin. */
static bool holds_text(const fm_buf *file, const uint8_t token[FM_TOKEN_BYTES])
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
    bool found = false;

    for (unsigned first = 0; first < 5; first++) {
        char text[25];

        for (unsigned i = 0; i < sizeof text; i++) {
            unsigned v = 0;

            for (unsigned bit = first + 5 * i; bit < first + 5 * i + 5 && bit < 128; bit++)
                v = v << 1 | (token[bit / 8] >> (7 - bit % 8) & 1);
            text[i] = alphabet[v & 31];
        }
        found = found || holds(file, text, 24);
    }
    return found;
}

/* Whoever reads or copies the folder cannot join: neither the token nor a key that signs is there. */
static void the_folder_keeps_no_code(void)
{
    static const char *const files[] = { "invitations.db", "invitations.db-journal" };
    uint8_t public[crypto_sign_PUBLICKEYBYTES], secret[crypto_sign_SECRETKEYBYTES];
    uint8_t key[FM_INVITATION_KEY_BYTES];
    unsigned keys = 0;
    fm_hash seed;
    desk d;

    desk_make(&d, true);
    for (size_t i = 0; i < sizeof d.token; i++)
        d.token[i] = (uint8_t)(37 * i + 11);
    {
        fm_invited i = { .name = "beta", .expires_s = d.now_s + HOUR_S, .days = 30 };
        fm_invitations *s = NULL;

        need(fm_enrol_public(d.token, key) == FM_OK &&
                 fm_invitations_open(d.agg, false, &s) == FM_OK &&
                 fm_invitations_add(s, key, &i, d.now_s) == FM_OK,
             "invitation");
        fm_invitations_close(&s);
    }
    /* From docs/protocol.md: the seed, and the pair of it. */
    seed = fm_hash_of("fedmoe invitation seed v1", d.token, sizeof d.token);
    need(crypto_sign_seed_keypair(public, secret, seed.bytes) == 0 &&
             memcmp(public, key, sizeof key) == 0,
         "the pair that the code gives");
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[PATH_CAP];
        fm_buf file = { 0 };
        struct stat st;

        yaml_path(path, d.agg, files[i]);
        if (stat(path, &st) != 0)
            continue;
        need(fm_file_read(path, 1 << 20, &file) == FM_OK, path);
        keys += holds(&file, public, sizeof public);
        CU_ASSERT_FALSE(holds(&file, d.token, sizeof d.token));
        CU_ASSERT_FALSE(holds(&file, seed.bytes, sizeof seed.bytes));
        CU_ASSERT_FALSE(holds(&file, secret, crypto_sign_SEEDBYTES));
        CU_ASSERT_FALSE(holds_text(&file, d.token));
        CU_ASSERT_EQUAL(st.st_mode & 07777, 0600);
        fm_buf_fini(&file);
    }
    CU_ASSERT_EQUAL(keys, 1); /* so that what is looked for would be found */
    desk_end(&d);
}

static void a_member_renews_its_own_certificate_and_no_other(void)
{
    fm_msg_enrolled out;
    fm_identity *id = NULL;
    fm_buf r, own, other;
    char dir[PATH_CAP];
    desk d;

    desk_make(&d, true);
    r = desk_request(&d, "alpha", "heart", "alpha");
    need(desk_take(&d, &r, &out) == FM_OK, "enrolled");
    yaml_path(dir, d.root, "beta");
    need(fm_ca_issue(d.ca,
                     &(fm_ca_request){ .role = FM_ROLE_NODE,
                                       .name = "beta",
                                       .not_before_s = d.now_s - 100 * HOUR_S,
                                       .not_after_s = d.now_s + HOUR_S },
                     dir) == FM_OK &&
             fm_identity_load(dir, &id) == FM_OK && fm_identity_request(id, &own) == FM_OK,
         "beta");
    CU_ASSERT_EQUAL_FATAL(fm_enroller_renew(d.e, "beta", (fm_bytes){ own.data, own.len }, &out),
                          FM_OK);
    CU_ASSERT_TRUE(out.certificate.len > 0 && out.authority.len > 0);
    CU_ASSERT_EQUAL(desk_issued(&d, "beta"), 2);
    /* beta's credential, alpha's request; and beta's name under a key that is not beta's. */
    CU_ASSERT_EQUAL(fm_enroller_renew(d.e, "beta", (fm_bytes){ r.data, r.len }, &out), FM_EPERM);
    other = desk_request(&d, "thief", "heart", "beta");
    CU_ASSERT_NOT_EQUAL(fm_enroller_renew(d.e, "beta", (fm_bytes){ other.data, other.len }, &out),
                        FM_OK);
    CU_ASSERT_EQUAL(desk_issued(&d, "beta"), 2);
    desk_open(&d, false);
    CU_ASSERT_EQUAL(fm_enroller_renew(d.e, "beta", (fm_bytes){ own.data, own.len }, &out),
                    FM_EPERM);
    CU_ASSERT_TRUE(says("revoke and invite 'beta'"));
    fm_identity_free(&id);
    fm_buf_fini(&own);
    fm_buf_fini(&other);
    fm_buf_fini(&r);
    desk_end(&d);
}

static const fm_test tests[] = {
    { "a code is good for one key", a_code_is_good_for_one_key },
    { "each refusal says why", each_refusal_says_why },
    { "without a CA a request waits for the desk", without_a_ca_a_request_waits_for_the_desk },
    { "the desk signs the key that was read out, and no other",
      the_desk_signs_the_key_that_was_read_out_and_no_other },
    { "a store that others wrote is not shown", a_store_that_others_wrote_is_not_shown },
    { "the folder keeps no code", the_folder_keeps_no_code },
    { "a member renews its own certificate, and no other",
      a_member_renews_its_own_certificate_and_no_other },
};
const fm_test_suite suite_enrol = { "aggregator.enrol", tests, FM_TEST_COUNT(tests) };
