/* Keys in a token: SoftHSM's, in a private folder. */
#include <dlfcn.h>
#include <p11-kit/pkcs11.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/certs/enrol.h"
#include "fedmoe/certs/token_uri.h"
#include "pki.h"

#define PIN "4711"

/* SoftHSM 2.6.1 loses the curve's name at each use of an Ed25519 key; P-256 shows our own leaks. */
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
static void leaks(fm_key_type type, bool begin)
{
    if (type == FM_KEY_ED25519 && begin)
        __lsan_disable();
    else if (type == FM_KEY_ED25519)
        __lsan_enable();
}
#else
static void leaks(fm_key_type type, bool begin)
{
    (void)type;
    (void)begin;
}
#endif

static const char *find_module(void)
{
    static const char *const places[] = { "/usr/lib/softhsm/libsofthsm2.so",
                                          "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
                                          "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so" };

    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        if (access(places[i], R_OK) == 0)
            return places[i];
    return NULL;
}

typedef struct {
    char dir[PATH_CAP], folder[PATH_CAP];
    const char *module;
} token;

/** A token "fedmoe" with its PIN in alpha/pin; false: there is no SoftHSM here, and why is said. */
static bool token_make(token *t)
{
    char line[2048], path[PATH_CAP], config[PATH_CAP + 32];

    if (!(t->module = find_module())) {
        fprintf(stderr, "skipped: no SoftHSM here (package softhsm2)\n");
        return false;
    }
    fm_test_tmpdir(t->dir, sizeof t->dir);
    make_path(t->folder, t->dir, "alpha");
    make_path(path, t->dir, "tokens");
    need(fm_dir_make(path, 0700) == FM_OK && fm_dir_make(t->folder, 0700) == FM_OK, "folders");
    (void)snprintf(config, sizeof config, "directories.tokendir = %s\n", path);
    need(replace_file(t->dir, "softhsm2.conf", config, strlen(config), 0600) == FM_OK, "config");
    make_path(path, t->dir, "softhsm2.conf");
    need(setenv("SOFTHSM2_CONF", path, 1) == 0, "environment");
    (void)snprintf(line, sizeof line,
                   "softhsm2-util --init-token --free --label fedmoe --pin " PIN
                   " --so-pin 123456 >'%s/softhsm.log' 2>&1",
                   t->dir);
    need(system(line) == 0, "softhsm2-util");
    need(replace_file(t->folder, "pin", PIN "\n", 5, 0600) == FM_OK, "pin");
    return true;
}

static const char *uri_of(const token *t, const char *path, const char *query)
{
    static char uri[2048];

    (void)snprintf(uri, sizeof uri, "pkcs11:%s?module-path=%s%s", path, t->module, query);
    return uri;
}

static fm_status ask(const token *t, const char *uri, fm_key_type type)
{
    const fm_request_plan plan = { FM_ROLE_NODE, "heart", "alpha", type, uri };
    char *path = NULL;
    fm_status st = fm_request_write(t->folder, &plan, &path);

    free(path);
    return st;
}

/** Signed by the token, checked by the certificate. */
static void sign_and_check(const token *t)
{
    fm_identity *id = NULL;
    fm_trust *trust = NULL;
    fm_peer *self = NULL;
    uint8_t sig[FM_SIGNATURE_MAX];
    size_t len = 0;

    CU_ASSERT_EQUAL_FATAL(fm_identity_load(t->folder, &id), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_trust_load(t->folder, &trust), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_peer_verify_self(trust, id, FM_ROLE_NODE, fm_clock_wall_s(), &self),
                          FM_OK);
    for (int i = 0; i < 50; i++) { /* r and s with and without a leading zero */
        CU_ASSERT_EQUAL(fm_identity_sign(id, "fedmoe test", &i, sizeof i, sig, &len), FM_OK);
        CU_ASSERT_EQUAL(fm_peer_check_signature(self, "fedmoe test", &i, sizeof i, sig, len),
                        FM_OK);
        sig[len - 1] ^= 1;
        CU_ASSERT_EQUAL(fm_peer_check_signature(self, "fedmoe test", &i, sizeof i, sig, len),
                        FM_EAUTH);
    }
    fm_peer_free(&self);
    fm_trust_free(&trust);
    fm_identity_free(&id);
}

static bool is_there(const token *t, const char *name)
{
    char path[PATH_CAP];

    make_path(path, t->folder, name);
    return access(path, F_OK) == 0;
}

static void a_key_is_made_in_the_token_and_signs_there(void)
{
    for (size_t i = 0; i < 2; i++) {
        token t;
        const char *uri;

        if (!token_make(&t))
            return;
        leaks(KEY_TYPES[i], true);
        uri = uri_of(&t, "token=fedmoe;object=alpha;type=private", "&pin-source=file:pin");
        CU_ASSERT_EQUAL_FATAL(ask(&t, uri, KEY_TYPES[i]), FM_OK);
        CU_ASSERT_FALSE(is_there(&t, "identity.key"));
        CU_ASSERT_TRUE(is_there(&t, "identity.uri"));
        CU_ASSERT_EQUAL(ask(&t, uri, KEY_TYPES[i]), FM_OK); /* the same key again */
        pki(t.dir, "root top P-256");
        pki(t.dir, "sign top alpha/identity.csr alpha.pem");
        CU_ASSERT_EQUAL_FATAL(
            pki_install(t.dir, "alpha", "alpha.pem", "", "top/ca.pem", "top/crl.pem"), FM_OK);
        sign_and_check(&t);
        leaks(KEY_TYPES[i], false);
    }
}

/** The consortium's own CA signs such a request like any other, and renews it. */
static void our_own_ca_certifies_it(void)
{
    token t;
    char ca[PATH_CAP];
    fm_buf request = { 0 }, cert = { 0 };
    fm_request_plan plan = { FM_ROLE_NODE, "heart", "alpha", FM_KEY_P256, NULL };
    fm_request_info info;

    if (!token_make(&t))
        return;
    make_path(ca, t.dir, "ca");
    need(fm_ca_new(ca, "heart", FM_KEY_ED25519, 100) == FM_OK, "ca");
    plan.key_uri = uri_of(&t, "token=fedmoe;object=alpha", "&pin-source=file:pin");
    CU_ASSERT_EQUAL_FATAL(fm_request_begin(t.folder, &plan, &request), FM_OK);
    CU_ASSERT_EQUAL(fm_request_check(request.data, request.len, &info), FM_OK);
    CU_ASSERT_EQUAL(fm_ca_sign_request(ca, request.data, request.len, 30, &cert), FM_OK);
    fm_buf_fini(&cert);
    fm_buf_fini(&request);
}

typedef struct {
    const char *path, *query, *words;
    fm_status st;
} wrong;

static void what_is_wrong_is_said(void)
{
    static const wrong cases[] = {
        { "token=other;object=alpha", "&pin-source=file:pin", "0 tokens are named 'other'",
          FM_ENOTFOUND },
        { "token=fedmoe;object=alpha", "&pin-source=file:bad", "the PIN is wrong", FM_EAUTH },
        { "token=fedmoe;object=alpha", "&pin-source=file:open", "open", FM_EPERM },
        { "token=fedmoe;object=alpha", "&pin-source=file:none", "none", FM_ENOTFOUND },
        { "token=fedmoe;object=alpha", "&pin-source=file:empty", "no PIN in it", FM_EPARSE },
        { "token=fedmoe;object=alpha", "", "FEDMOE_PIN", FM_EAUTH },
        { "token=fedmoe;object=alpha", "&pin-value=4711", "a PIN does not belong", FM_EPARSE },
        { "token=fedmoe", "&pin-source=file:pin", "which key", FM_EPARSE },
        { "object=alpha", "&pin-source=file:pin", "which token", FM_EPARSE },
    };
    token t;
    char uri[PATH_CAP + 64];

    if (!token_make(&t))
        return;
    (void)unsetenv("FEDMOE_PIN");
    need(replace_file(t.folder, "bad", "0815", 4, 0600) == FM_OK &&
             replace_file(t.folder, "empty", "\n", 1, 0600) == FM_OK &&
             replace_file(t.folder, "open", PIN, 4, 0644) == FM_OK,
         "pins");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CU_ASSERT_EQUAL(ask(&t, uri_of(&t, cases[i].path, cases[i].query), FM_KEY_P256),
                        cases[i].st);
        CU_ASSERT_TRUE(says(cases[i].words));
        CU_ASSERT_FALSE(is_there(&t, "identity.uri") || is_there(&t, "identity.csr"));
    }
    (void)snprintf(uri, sizeof uri, "pkcs11:token=fedmoe;object=a?module-path=%s/none.so", t.dir);
    CU_ASSERT_EQUAL(ask(&t, uri, FM_KEY_P256), FM_EIO);
    CU_ASSERT_TRUE(says("cannot be loaded"));
    (void)snprintf(uri, sizeof uri,
                   "pkcs11:token=fedmoe;object=a?module-path=/lib64/ld-linux-x86-64"
                   ".so.2");
    CU_ASSERT_NOT_EQUAL(ask(&t, uri, FM_KEY_P256), FM_OK);
    /* The environment, where no file is named. */
    need(setenv("FEDMOE_PIN", PIN, 1) == 0, "environment");
    CU_ASSERT_EQUAL(ask(&t, uri_of(&t, "token=fedmoe;object=alpha", ""), FM_KEY_P256), FM_OK);
    (void)unsetenv("FEDMOE_PIN");
}

/** The folder was moved to a machine without the token, or holds two keys. */
static void a_key_that_is_gone_or_double_is_said(void)
{
    token t;
    fm_identity *id = NULL;
    char path[PATH_CAP];

    if (!token_make(&t))
        return;
    need(ask(&t, uri_of(&t, "token=fedmoe;object=alpha", "&pin-source=file:pin"), FM_KEY_P256) ==
             FM_OK,
         "ask");
    pki(t.dir, "root top P-256");
    pki(t.dir, "sign top alpha/identity.csr alpha.pem");
    need(pki_install(t.dir, "alpha", "alpha.pem", "", "top/ca.pem", "top/crl.pem") == FM_OK,
         "install");
    need(replace_file(t.folder, "identity.key", "x", 1, 0600) == FM_OK, "second");
    CU_ASSERT_EQUAL(fm_identity_load(t.folder, &id), FM_EEXIST);
    CU_ASSERT_TRUE(says("which of both"));
    make_path(path, t.folder, "identity.key");
    need(unlink(path) == 0, path);
    /* Another key under the certificate. */
    {
        const char *uri = uri_of(&t, "token=fedmoe;object=beta", "&pin-source=file:pin");
        token other = t;

        make_path(other.folder, t.dir, "beta");
        need(fm_dir_make(other.folder, 0700) == FM_OK, "beta");
        need(replace_file(other.folder, "pin", PIN, 4, 0600) == FM_OK, "pin");
        need(ask(&other, uri, FM_KEY_P256) == FM_OK, "ask");
        need(replace_file(t.folder, "identity.uri", uri, strlen(uri), 0644) == FM_OK, "uri");
        CU_ASSERT_EQUAL(fm_identity_load(t.folder, &id), FM_EAUTH);
        CU_ASSERT_TRUE(says("does not belong"));
    }
    need(system("d=${SOFTHSM2_CONF%/*}/tokens; rm -r \"$d\" && mkdir \"$d\"") == 0, "remove");
    CU_ASSERT_EQUAL(fm_identity_load(t.folder, &id), FM_ENOTFOUND);
    CU_ASSERT_TRUE(says("0 tokens are named"));
}

/** A session that the token ends is opened again, as after a restart of its service. */
static void an_ended_session_is_opened_again(void)
{
    token t;
    fm_identity *id = NULL;
    void *module, *symbol = NULL;
    CK_C_GetFunctionList list = NULL;
    CK_FUNCTION_LIST *f = NULL;
    CK_SLOT_ID slots[8];
    CK_ULONG count = 8;
    uint8_t sig[FM_SIGNATURE_MAX];
    size_t len = 0;

    if (!token_make(&t))
        return;
    need(ask(&t, uri_of(&t, "token=fedmoe;object=alpha", "&pin-source=file:pin"), FM_KEY_P256) ==
             FM_OK,
         "ask");
    pki(t.dir, "root top P-256");
    pki(t.dir, "sign top alpha/identity.csr alpha.pem");
    need(pki_install(t.dir, "alpha", "alpha.pem", "", "top/ca.pem", "") == FM_OK, "install");
    need(fm_identity_load(t.folder, &id) == FM_OK, "load");
    need((module = dlopen(t.module, RTLD_NOW)) != NULL &&
             (symbol = dlsym(module, "C_GetFunctionList")) != NULL,
         "module");
    memcpy(&list, &symbol, sizeof list);
    need(list(&f) == CKR_OK && f->C_GetSlotList(CK_TRUE, slots, &count) == CKR_OK, "slots");
    for (CK_ULONG i = 0; i < count; i++)
        (void)f->C_CloseAllSessions(slots[i]);
    CU_ASSERT_EQUAL(fm_identity_sign(id, "fedmoe test", "x", 1, sig, &len), FM_OK);
    /* With the PIN gone meanwhile it cannot, and says so. */
    for (CK_ULONG i = 0; i < count; i++)
        (void)f->C_CloseAllSessions(slots[i]);
    need(replace_file(t.folder, "pin", "0815", 4, 0600) == FM_OK, "pin");
    CU_ASSERT_EQUAL(fm_identity_sign(id, "fedmoe test", "x", 1, sig, &len), FM_EAUTH);
    fm_identity_free(&id);
    (void)dlclose(module);
}

static void a_uri_is_read_strictly(void)
{
    static const char *const good[] = {
        "pkcs11:token=a;object=b?module-path=/m",
        "pkcs11:token=a%20b;id=%00%ff;type=private?pin-source=file:p&module-path=/m",
        "pkcs11:serial=1;object=b?module-path=/m",
    };
    static const char *const bad[] = {
        "",
        "pkcs11:",
        "http://x",
        "pkcs11:token=a;object=b",
        "pkcs11:token=a;object=b?module-path=m",
        "pkcs11:token=a;token=a;object=b?module-path=/m",
        "pkcs11:token=;object=b?module-path=/m",
        "pkcs11:token=a%2;object=b?module-path=/m",
        "pkcs11:token=a%00;object=b?module-path=/m",
        "pkcs11:token=a%0a;object=b?module-path=/m",
        "pkcs11:token=a;object=b;type=public?module-path=/m",
        "pkcs11:token=a;object=b;color=red?module-path=/m",
        "pkcs11:token=a;object=b?module-path=/m&pin-value=1",
        "pkcs11:token=a;object=b?module-path=/m&pin-source=/etc/pin",
    };
    fm_token_uri u;
    char text[FM_TOKEN_URI_MAX + 8];

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        CU_ASSERT_EQUAL(fm_token_uri_parse(good[i], &u), FM_OK);
    CU_ASSERT_EQUAL(fm_token_uri_parse(good[1], &u), FM_OK);
    CU_ASSERT_STRING_EQUAL(u.token, "a b");
    CU_ASSERT_TRUE(u.id_len == 2 && u.id[0] == 0 && u.id[1] == 0xff);
    CU_ASSERT_STRING_EQUAL(u.pin_file, "p");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CU_ASSERT_EQUAL(fm_token_uri_parse(bad[i], &u), FM_EPARSE);
    (void)snprintf(text, sizeof text, "pkcs11:token=%0*d;object=b?module-path=/m", 256, 1);
    CU_ASSERT_EQUAL(fm_token_uri_parse(text, &u), FM_EPARSE);
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    CU_ASSERT_EQUAL(fm_token_uri_parse(text, &u), FM_EPARSE);
    CU_ASSERT_EQUAL(fm_token_uri_parse(NULL, &u), FM_EPARSE);
}

static const fm_test tests[] = {
    { "a key is made in the token and signs there", a_key_is_made_in_the_token_and_signs_there },
    { "our own CA certifies it", our_own_ca_certifies_it },
    { "what is wrong is said", what_is_wrong_is_said },
    { "a key that is gone or double is said", a_key_that_is_gone_or_double_is_said },
    { "an ended session is opened again", an_ended_session_is_opened_again },
    { "a URI is read strictly", a_uri_is_read_strictly },
};

extern const fm_test_suite suite_token;
const fm_test_suite suite_token = { "certs.token", tests, FM_TEST_COUNT(tests) };
