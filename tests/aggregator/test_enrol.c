/* Who is enrolled, what a code is worth after its use, and what a kill in between leaves. */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <sqlite3.h>

#include "federation.h"
#include "fedmoe/aggregator/enrol.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "suites.h"
#include "yaml.h"

#define HOUR_S 3600
#define KILLS 25

/* A CA, an aggregator's folder with its trust, and a code. */
typedef struct {
    char root[PATH_CAP - 64], ca[PATH_CAP], agg[PATH_CAP];
    int64_t now_s;
    uint8_t token[FM_TOKEN_BYTES];
    fm_enroller *e;
} desk;

static void invite(desk *d, const char *name, uint8_t first)
{
    fm_invited i = { .expires_s = d->now_s + HOUR_S, .days = 30 };
    uint8_t key[FM_INVITATION_KEY_BYTES];
    fm_invitations *s = NULL;

    memset(d->token, first, sizeof d->token);
    (void)snprintf(i.name, sizeof i.name, "%s", name);
    need(fm_enrol_public(d->token, key) == FM_OK &&
             fm_invitations_open(d->agg, true, &s) == FM_OK &&
             fm_invitations_add(s, key, &i, d->now_s) == FM_OK,
         "invitation");
    fm_invitations_close(&s);
}

static void desk_open(desk *d, bool with_ca)
{
    fm_enroller_free(&d->e);
    need(fm_enroller_new(d->agg, with_ca ? d->ca : NULL, &d->e) == FM_OK, "enroller");
}

static void desk_make(desk *d, bool with_ca)
{
    const fm_ca_request r = { .role = FM_ROLE_AGGREGATOR, .name = "hub", .days = 30 };

    memset(d, 0, sizeof *d);
    fm_test_tmpdir(d->root, sizeof d->root);
    yaml_path(d->ca, d->root, "ca");
    yaml_path(d->agg, d->root, "agg");
    d->now_s = fm_clock_wall_s();
    need(fm_ca_new(d->ca, "heart", FM_KEY_ED25519, 365) == FM_OK, "ca");
    need(fm_ca_issue(d->ca, &r, d->agg) == FM_OK, "aggregator");
    invite(d, "alpha", 1);
    desk_open(d, with_ca);
}

static void desk_end(desk *d)
{
    fm_enroller_free(&d->e);
}

/* A request of the key in root/folder, named as said. */
static fm_buf request(const desk *d, const char *folder, const char *of, const char *name)
{
    char dir[PATH_CAP];
    fm_buf b;

    yaml_path(dir, d->root, folder);
    need(fm_request_make(dir, FM_KEY_ED25519, of, name, &b) == FM_OK, "request");
    return b;
}

static fm_msg_enrol message(const desk *d, const fm_buf *r)
{
    static const uint8_t zero[32];
    const fm_enrol_channel channel = { zero, zero };
    fm_msg_enrol m;

    need(fm_enrol_prove(d->token, &channel, (fm_bytes){ r->data, r->len }, &m) == FM_OK, "proof");
    return m;
}

static fm_status take(desk *d, const fm_buf *r, fm_msg_enrolled *out)
{
    const fm_msg_enrol m = message(d, r);

    return fm_enroller_take(d->e, &m, d->now_s, out);
}

static void refused(desk *d, const fm_buf *r, const char *words)
{
    fm_msg_enrolled out;

    CU_ASSERT_NOT_EQUAL(take(d, r, &out), FM_OK);
    CU_ASSERT_TRUE(says(words));
    CU_ASSERT_PTR_NULL(strstr(fm_error_text(), d->root)); /* no path of this house is told */
}

/* Certificates of the name that the CA has on record. */
static unsigned issued(const desk *d, const char *name)
{
    char path[PATH_CAP];
    unsigned n = 0;
    DIR *dir;

    yaml_path(path, d->ca, "issued");
    need((dir = opendir(path)) != NULL, path);
    for (struct dirent *e; (e = readdir(dir));)
        n += strncmp(e->d_name, name, strlen(name)) == 0 && e->d_name[strlen(name)] == '-';
    (void)closedir(dir);
    return n;
}

static bool same(fm_bytes a, const fm_buf *b)
{
    return a.len == b->len && memcmp(a.data, b->data, a.len) == 0;
}

static void a_code_is_good_for_one_key(void)
{
    fm_msg_enrolled out;
    fm_buf first = { 0 }, r, thief;
    desk d;

    desk_make(&d, true);
    r = request(&d, "alpha", "heart", "alpha");
    thief = request(&d, "thief", "heart", "alpha");
    CU_ASSERT_EQUAL_FATAL(take(&d, &r, &out), FM_OK);
    CU_ASSERT_TRUE(out.certificate.len > 0 && out.authority.len > 0 && out.revocations.len > 0);
    need(fm_buf_append(&first, out.certificate.data, out.certificate.len) == FM_OK, "memory");
    /* An answer that was lost is given again, also after the code has ended. */
    CU_ASSERT_EQUAL(take(&d, &r, &out), FM_OK);
    CU_ASSERT_TRUE(same(out.certificate, &first));
    d.now_s += 2 * HOUR_S;
    CU_ASSERT_EQUAL(take(&d, &r, &out), FM_OK);
    CU_ASSERT_TRUE(same(out.certificate, &first));
    refused(&d, &thief, "used already, with another key");
    CU_ASSERT_EQUAL(issued(&d, "alpha"), 1);
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
    r = request(&d, "alpha", "heart", "alpha");
    other = request(&d, "alpha", "heart", "hub");
    lung = request(&d, "alpha", "lung", "alpha");
    need(fm_buf_append(&garbage, "0123", 4) == FM_OK, "memory");
    refused(&d, &other, "for node 'alpha', not for node 'hub'");
    refused(&d, &lung, "'heart', not 'lung'");
    refused(&d, &garbage, "not a DER request");
    d.now_s += HOUR_S + 1;
    refused(&d, &r, "this join code ended on");
    d.now_s -= HOUR_S + 1;
    need(fm_invitations_open(d.agg, false, &s) == FM_OK, "store");
    CU_ASSERT_EQUAL(fm_invitations_withdraw(s, "alpha", &count), FM_OK);
    CU_ASSERT_EQUAL(count, 1);
    refused(&d, &r, "withdrawn");
    memset(d.token, 77, sizeof d.token); /* a code that nobody has given out */
    refused(&d, &r, "not known here");
    CU_ASSERT_EQUAL(issued(&d, "alpha"), 0);
    invite(&d, "hub", 3); /* a name that has a certificate */
    refused(&d, &other, "must revoke it first");
    invite(&d, "alpha", 4);
    CU_ASSERT_EQUAL(take(&d, &r, &out), FM_OK);
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
    r = request(&d, "alpha", "heart", "alpha");
    read_out(&r, key);
    CU_ASSERT_EQUAL(order(&d, key), FM_ENOTFOUND);
    for (int i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL_FATAL(take(&d, &r, &out), FM_OK);
        CU_ASSERT_EQUAL(out.certificate.len + out.authority.len + out.revocations.len, 0);
    }
    key[FM_DESK_KEY_MIN] = '\0'; /* half of it is enough */
    CU_ASSERT_EQUAL(order(&d, key), FM_OK);
    CU_ASSERT_EQUAL_FATAL(take(&d, &r, &out), FM_OK);
    CU_ASSERT_TRUE(out.certificate.len > 0);
    CU_ASSERT_EQUAL(order(&d, key), FM_ENOTFOUND);
    CU_ASSERT_EQUAL(issued(&d, "alpha"), 1);
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
    r = request(&d, "alpha", "heart", "alpha");
    thief = request(&d, "thief", "heart", "alpha");
    read_out(&r, key);
    read_out(&thief, theirs);
    CU_ASSERT_EQUAL_FATAL(take(&d, &r, &out), FM_OK);
    need(fm_request_check(thief.data, thief.len, &info) == FM_OK, "request");
    change_store(&d, "UPDATE invitation SET member = ?, request = ?, days = 36500", &info.key,
                 &thief);
    CU_ASSERT_EQUAL(order(&d, key), FM_EAUTH);
    CU_ASSERT_TRUE(says("not for the one that was read out") && says(theirs));
    CU_ASSERT_EQUAL(order(&d, "4"), FM_EINVAL);
    CU_ASSERT_EQUAL(order(&d, "not hex, but as long as thirty-two digits"), FM_EINVAL);
    CU_ASSERT_EQUAL(issued(&d, "alpha"), 0);
    need(fm_request_check(r.data, r.len, &info) == FM_OK, "request");
    change_store(&d, "UPDATE invitation SET member = ?, request = ?", &info.key, &r);
    CU_ASSERT_EQUAL(order(&d, key), FM_OK);
    CU_ASSERT_EQUAL(issued(&d, "alpha"), 1);
    /* The desk's own days, not the file's. */
    CU_ASSERT_EQUAL_FATAL(take(&d, &r, &out), FM_OK);
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

/* Whoever reads or copies the folder cannot join: neither the token nor a key that signs is there. */
static void the_folder_keeps_no_code(void)
{
    char path[PATH_CAP];
    uint8_t seed[FM_TOKEN_BYTES];
    fm_buf file = { 0 };
    struct stat st;
    bool found = false;
    desk d;

    desk_make(&d, true);
    yaml_path(path, d.agg, "invitations.db");
    need(stat(path, &st) == 0 && fm_file_read(path, 1 << 20, &file) == FM_OK, path);
    CU_ASSERT_EQUAL(st.st_mode & 07777, 0600);
    memcpy(seed, d.token, sizeof seed);
    for (size_t i = 0; i + sizeof seed <= file.len; i++)
        found = found || memcmp(file.data + i, seed, sizeof seed) == 0;
    CU_ASSERT_FALSE(found);
    fm_buf_fini(&file);
    desk_end(&d);
}

/* Answers one request; killed somewhere in it. Never returns. */
static void work(const desk *d, const fm_buf *r)
{
    fm_enroller *e = NULL;
    fm_msg_enrolled out;
    const fm_msg_enrol m = message(d, r);

    if (fm_enroller_new(d->agg, d->ca, &e) != FM_OK ||
        fm_enroller_take(e, &m, d->now_s, &out) != FM_OK)
        _exit(1);
    _exit(0);
}

static void killed_anywhere_one_key_gets_one_certificate(void)
{
    for (int i = 0; i < KILLS; i++) {
        struct timespec t = { 0, (long)i * 400 * 1000 };
        fm_msg_enrolled out;
        fm_buf r, thief;
        int status = 0;
        pid_t pid;
        desk d;

        desk_make(&d, true);
        r = request(&d, "alpha", "heart", "alpha");
        thief = request(&d, "thief", "heart", "alpha");
        fm_enroller_free(&d.e);
        if ((pid = fork()) == 0)
            work(&d, &r);
        need(pid > 0, "fork");
        (void)nanosleep(&t, NULL);
        (void)kill(pid, SIGKILL);
        need(waitpid(pid, &status, 0) == pid, "wait");
        CU_ASSERT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
        desk_open(&d, true);
        /* The answer was lost with the process: the same request is answered. */
        CU_ASSERT_EQUAL(take(&d, &r, &out), FM_OK);
        CU_ASSERT_TRUE(out.certificate.len > 0);
        CU_ASSERT_EQUAL(issued(&d, "alpha"), 1);
        refused(&d, &thief, "used already, with another key");
        CU_ASSERT_EQUAL(issued(&d, "alpha"), 1);
        fm_buf_fini(&r);
        fm_buf_fini(&thief);
        desk_end(&d);
    }
}

/* The same at the one point that a random kill may miss: the CA has signed, the store not noted. */
static void what_the_ca_signed_before_a_kill_is_answered(void)
{
    uint8_t key[FM_INVITATION_KEY_BYTES];
    fm_msg_enrolled out;
    fm_invitations *s = NULL;
    fm_request_info info;
    fm_buf r, cert;
    desk d;

    desk_make(&d, true);
    r = request(&d, "alpha", "heart", "alpha");
    need(fm_request_check(r.data, r.len, &info) == FM_OK &&
             fm_enrol_public(d.token, key) == FM_OK &&
             fm_invitations_open(d.agg, false, &s) == FM_OK &&
             fm_invitations_bind(s, key, &info.key, r.data, r.len) == FM_OK &&
             fm_ca_sign_request(d.ca, r.data, r.len, 30, &cert) == FM_OK,
         "half of an enrolment");
    CU_ASSERT_EQUAL(fm_invitations_bind(s, key, &info.key, r.data, r.len), FM_EEXIST);
    fm_invitations_close(&s);
    CU_ASSERT_EQUAL_FATAL(take(&d, &r, &out), FM_OK);
    CU_ASSERT_TRUE(same(out.certificate, &cert));
    CU_ASSERT_EQUAL(issued(&d, "alpha"), 1);
    fm_buf_fini(&cert);
    fm_buf_fini(&r);
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
    r = request(&d, "alpha", "heart", "alpha");
    need(take(&d, &r, &out) == FM_OK, "enrolled");
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
    CU_ASSERT_EQUAL(issued(&d, "beta"), 2);
    /* beta's credential, alpha's request; and beta's name under a key that is not beta's. */
    CU_ASSERT_EQUAL(fm_enroller_renew(d.e, "beta", (fm_bytes){ r.data, r.len }, &out), FM_EPERM);
    other = request(&d, "thief", "heart", "beta");
    CU_ASSERT_NOT_EQUAL(fm_enroller_renew(d.e, "beta", (fm_bytes){ other.data, other.len }, &out),
                        FM_OK);
    CU_ASSERT_EQUAL(issued(&d, "beta"), 2);
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
    { "killed anywhere, one key gets one certificate",
      killed_anywhere_one_key_gets_one_certificate },
    { "what the CA signed before a kill is answered",
      what_the_ca_signed_before_a_kill_is_answered },
    { "a member renews its own certificate, and no other",
      a_member_renews_its_own_certificate_and_no_other },
};
const fm_test_suite suite_enrol = { "aggregator.enrol", tests, FM_TEST_COUNT(tests) };
