/* The CA's directory: what is made, what is refused, what stays as it was. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "world.h"

static unsigned mode_of(const char *dir, const char *name)
{
    char path[PATH_CAP];
    struct stat s;

    make_path(path, dir, name);
    return stat(path, &s) == 0 ? (unsigned)s.st_mode & 0777u : 0;
}

static void a_new_ca_has_its_files_with_private_modes(void)
{
    for (size_t i = 0; i < 2; i++) {
        world w;

        world_make(&w, KEY_TYPES[i]);
        CU_ASSERT_EQUAL(mode_of(w.ca, "ca.key"), 0600);
        CU_ASSERT_EQUAL(mode_of(w.ca, "ca.crt"), 0644);
        CU_ASSERT_EQUAL(mode_of(w.ca, "crl.pem"), 0644);
        CU_ASSERT_EQUAL(mode_of(w.ca, "."), 0700);
        CU_ASSERT_EQUAL(mode_of(w.node, "identity.key"), 0600);
        CU_ASSERT_EQUAL(mode_of(w.node, "."), 0700);
        CU_ASSERT_EQUAL(count_files(w.node), 4);
        CU_ASSERT_EQUAL(count_files(w.ca), 4);
        world_end(&w);
    }
}

static void a_second_ca_in_the_same_directory_is_refused(void)
{
    char ca[PATH_CAP], file[PATH_CAP];
    fm_buf before, after;

    fm_test_tmpdir(ca, sizeof ca);
    make_path(file, ca, "ca.key");
    need(fm_ca_new(ca, "heart", FM_KEY_ED25519, 10) == FM_OK, "ca");
    need(fm_file_read(file, 10000, &before) == FM_OK, "read");
    CU_ASSERT_EQUAL(fm_ca_new(ca, "heart", FM_KEY_ED25519, 10), FM_EEXIST);
    CU_ASSERT_TRUE(says(ca));
    need(fm_file_read(file, 10000, &after) == FM_OK, "read");
    CU_ASSERT_TRUE(before.len == after.len && memcmp(before.data, after.data, after.len) == 0);
    fm_buf_fini(&before);
    fm_buf_fini(&after);
}

static void a_ca_interrupted_after_its_key_is_refused_with_a_hint(void)
{
    char ca[PATH_CAP];

    fm_test_tmpdir(ca, sizeof ca);
    need(replace_file(ca, "ca.key", "x", 1, 0600) == FM_OK, "file");
    CU_ASSERT_EQUAL(fm_ca_new(ca, "heart", FM_KEY_ED25519, 10), FM_EEXIST);
    CU_ASSERT_TRUE(says("interrupted"));
    CU_ASSERT_EQUAL(count_files(ca), 1);
}

static void bad_names_and_lifetimes_are_refused(void)
{
    static const char *const names[] = {
        "",
        "-a",
        "a-",
        "A",
        "a b",
        "a/b",
        "a:b",
        "..",
        "\xc3\xa4",
        "a\n",
        "0123456789012345678901234567890123456789012345678901234567890123"
    };
    char dir[PATH_CAP], ca[PATH_CAP];
    fm_ca_request r = { .role = FM_ROLE_NODE, .name = "a", .days = 1 };

    fm_test_tmpdir(dir, sizeof dir - 8);
    make_path(ca, dir, "ca");
    for (size_t i = 0; i < FM_TEST_COUNT(names); i++) {
        CU_ASSERT_EQUAL(fm_name_check(names[i]), FM_EINVAL);
        CU_ASSERT_EQUAL(fm_ca_new(ca, names[i], FM_KEY_ED25519, 10), FM_EINVAL);
    }
    CU_ASSERT_EQUAL(fm_name_check(NULL), FM_EINVAL);
    CU_ASSERT_EQUAL(
        fm_name_check("012345678901234567890123456789012345678901234567890123456789012"), FM_OK);
    CU_ASSERT_EQUAL(fm_ca_new(ca, "heart", FM_KEY_ED25519, 0), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_ca_new(ca, "heart", FM_KEY_ED25519, 36501), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_ca_new(ca, "heart", (fm_key_type)9, 10), FM_EINVAL);
    CU_ASSERT_EQUAL(count_files(dir), 0);

    need(fm_ca_new(ca, "heart", FM_KEY_ED25519, 10) == FM_OK, "ca");
    make_path(dir, dir, "out");
    r.name = "a/../b";
    CU_ASSERT_EQUAL(fm_ca_issue(ca, &r, dir), FM_EINVAL);
    r.name = "a";
    r.days = 0;
    CU_ASSERT_EQUAL(fm_ca_issue(ca, &r, dir), FM_EINVAL);
    r.days = 1;
    r.role = (fm_role)3;
    CU_ASSERT_EQUAL(fm_ca_issue(ca, &r, dir), FM_EINVAL);
    r.role = FM_ROLE_NODE;
    r.type = (fm_key_type)9;
    CU_ASSERT_EQUAL(fm_ca_issue(ca, &r, dir), FM_EINVAL);
    CU_ASSERT_EQUAL(count_files(dir), 0);
}

static void parses_roles_and_key_types_by_their_exact_names(void)
{
    fm_role r = FM_ROLE_NODE;
    fm_key_type t = FM_KEY_ED25519;

    CU_ASSERT_EQUAL(fm_role_parse("aggregator", &r), FM_OK);
    CU_ASSERT_EQUAL(r, FM_ROLE_AGGREGATOR);
    CU_ASSERT_EQUAL(fm_role_parse("Node", &r), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_role_parse("", &r), FM_EINVAL);
    CU_ASSERT_EQUAL(r, FM_ROLE_AGGREGATOR);
    CU_ASSERT_EQUAL(fm_key_type_parse("p256", &t), FM_OK);
    CU_ASSERT_EQUAL(t, FM_KEY_P256);
    CU_ASSERT_EQUAL(fm_key_type_parse("rsa", &t), FM_EINVAL);
    CU_ASSERT_STRING_EQUAL(fm_role_name(FM_ROLE_NODE), "node");
    CU_ASSERT_STRING_EQUAL(fm_key_type_name(FM_KEY_ED25519), "ed25519");
}

static void an_existing_identity_is_never_overwritten(void)
{
    world w;
    char issued[PATH_CAP];
    fm_buf before, after;
    char file[PATH_CAP];

    world_make(&w, FM_KEY_ED25519);
    make_path(issued, w.ca, "issued");
    make_path(file, w.node, "identity.key");
    need(fm_file_read(file, 10000, &before) == FM_OK, "read");
    CU_ASSERT_EQUAL(issue(w.ca, FM_ROLE_NODE, "beta", FM_KEY_ED25519, 30, w.node), FM_EEXIST);
    CU_ASSERT_TRUE(says("identity.key"));
    CU_ASSERT_EQUAL(count_files(issued), 2);
    CU_ASSERT_EQUAL(count_files(w.node), 4);
    need(fm_file_read(file, 10000, &after) == FM_OK, "read");
    CU_ASSERT_TRUE(before.len == after.len && memcmp(before.data, after.data, after.len) == 0);
    fm_buf_fini(&before);
    fm_buf_fini(&after);
    world_end(&w);
}

static void a_directory_that_pins_another_ca_is_refused(void)
{
    world w, other;
    char out[PATH_CAP];

    world_make(&w, FM_KEY_ED25519);
    world_make(&other, FM_KEY_ED25519);
    make_path(out, w.root, "beta");
    copy_file(other.ca, out, "ca.crt");
    CU_ASSERT_EQUAL(issue(w.ca, FM_ROLE_NODE, "beta", FM_KEY_ED25519, 30, out), FM_EEXIST);
    CU_ASSERT_EQUAL(count_files(out), 1);
    copy_file(w.ca, out, "ca.crt");
    CU_ASSERT_EQUAL(issue(w.ca, FM_ROLE_NODE, "beta", FM_KEY_ED25519, 30, out), FM_OK);
    CU_ASSERT_EQUAL(count_files(out), 4);
    world_end(&w);
    world_end(&other);
}

static void one_name_has_one_certificate_at_any_instant(void)
{
    world w;
    char out[PATH_CAP];
    fm_ca_request r = { .role = FM_ROLE_NODE, .name = "alpha" };

    world_make(&w, FM_KEY_ED25519);
    make_path(out, w.root, "again");
    CU_ASSERT_EQUAL(issue(w.ca, FM_ROLE_NODE, "alpha", FM_KEY_ED25519, 30, out), FM_EEXIST);
    CU_ASSERT_TRUE(says("a second run under this CA needs no other one"));
    CU_ASSERT_TRUE(says("revoke"));
    CU_ASSERT_EQUAL(issue(w.ca, FM_ROLE_AGGREGATOR, "alpha", FM_KEY_ED25519, 30, out), FM_EEXIST);
    CU_ASSERT_EQUAL(count_files(out), 0);
    /* A name of which "alpha" is a part is another name. */
    make_path(out, w.root, "longer");
    CU_ASSERT_EQUAL(issue(w.ca, FM_ROLE_NODE, "alpha-2", FM_KEY_ED25519, 30, out), FM_OK);
    /* The successor begins when the present one has ended. */
    r.not_before_s = w.now_s + 31 * DAY_S;
    r.not_after_s = w.now_s + 61 * DAY_S;
    make_path(out, w.root, "next");
    CU_ASSERT_EQUAL(fm_ca_issue(w.ca, &r, out), FM_OK);
    /* And a revoked one makes way. */
    need(fm_ca_revoke(w.ca, "alpha") == FM_OK, "revoke");
    make_path(out, w.root, "third");
    CU_ASSERT_EQUAL(issue(w.ca, FM_ROLE_NODE, "alpha", FM_KEY_ED25519, 30, out), FM_OK);
    world_end(&w);
}

static void a_certificate_never_outlives_its_ca(void)
{
    char dir[PATH_CAP], ca[PATH_CAP], out[PATH_CAP];
    fm_identity *id = NULL;
    fm_cert_info info;
    fm_key_type type;
    bool is_ca;
    fm_ca_request r = { .role = FM_ROLE_NODE, .name = "b" };

    fm_test_tmpdir(dir, sizeof dir - 16);
    make_path(ca, dir, "ca");
    make_path(out, dir, "a");
    need(fm_ca_new(ca, "heart", FM_KEY_P256, 10) == FM_OK, "ca");
    CU_ASSERT_EQUAL(issue(ca, FM_ROLE_NODE, "a", FM_KEY_P256, 100, out), FM_OK);
    need(fm_identity_load(out, &id) == FM_OK, "load");
    make_path(out, ca, "ca.crt");
    need(fm_cert_describe(out, &info, &type, &is_ca) == FM_OK, "describe");
    CU_ASSERT_EQUAL(fm_identity_info(id)->not_after_s, info.not_after_s);
    r.not_before_s = info.not_before_s;
    r.not_after_s = info.not_after_s + 1;
    make_path(out, dir, "b");
    CU_ASSERT_EQUAL(fm_ca_issue(ca, &r, out), FM_EINVAL);
    CU_ASSERT_TRUE(says("outlive"));
    r.not_after_s = r.not_before_s;
    CU_ASSERT_EQUAL(fm_ca_issue(ca, &r, out), FM_EINVAL);
    r.not_before_s = -5;
    CU_ASSERT_EQUAL(fm_ca_issue(ca, &r, out), FM_EINVAL);
    CU_ASSERT_EQUAL(count_files(out), 0);
    fm_identity_free(&id);
}

static void a_failed_issue_takes_its_files_back(void)
{
    world w;
    char out[PATH_CAP], blocked[PATH_CAP], issued[PATH_CAP];

    world_make(&w, FM_KEY_ED25519);
    make_path(out, w.root, "beta");
    make_path(blocked, out, "crl.pem");
    make_path(issued, w.ca, "issued");
    /* A directory where a file must go: the step fails after ca.crt was written. */
    need(fm_dir_make(blocked, 0700) == FM_OK, "mkdir");
    CU_ASSERT_EQUAL(issue(w.ca, FM_ROLE_NODE, "beta", FM_KEY_ED25519, 30, out), FM_EIO);
    CU_ASSERT_EQUAL(count_files(out), 1);
    CU_ASSERT_EQUAL(count_files(issued), 2);
    need(rmdir(blocked) == 0, "rmdir");
    CU_ASSERT_EQUAL(issue(w.ca, FM_ROLE_NODE, "beta", FM_KEY_ED25519, 30, out), FM_OK);
    world_end(&w);
}

static void a_missing_or_damaged_ca_is_explained(void)
{
    world w, other;
    char out[PATH_CAP], path[PATH_CAP];

    world_make(&w, FM_KEY_ED25519);
    world_make(&other, FM_KEY_ED25519);
    make_path(out, w.root, "beta");
    make_path(path, w.root, "nowhere");
    CU_ASSERT_EQUAL(issue(path, FM_ROLE_NODE, "beta", FM_KEY_ED25519, 30, out), FM_ENOTFOUND);
    CU_ASSERT_TRUE(says("ca new"));
    CU_ASSERT_EQUAL(fm_ca_revoke(path, "alpha"), FM_ENOTFOUND);

    make_path(path, w.ca, "ca.key");
    need(chmod(path, 0640) == 0, "chmod");
    CU_ASSERT_EQUAL(issue(w.ca, FM_ROLE_NODE, "beta", FM_KEY_ED25519, 30, out), FM_EPERM);
    CU_ASSERT_TRUE(says("ca.key"));
    copy_file(other.ca, w.ca, "ca.key");
    CU_ASSERT_EQUAL(issue(w.ca, FM_ROLE_NODE, "beta", FM_KEY_ED25519, 30, out), FM_EAUTH);
    CU_ASSERT_TRUE(says("belong"));
    copy_file(w.node, w.ca, "identity.crt");
    need(unlink(path) == 0, "unlink");
    CU_ASSERT_EQUAL(issue(w.ca, FM_ROLE_NODE, "beta", FM_KEY_ED25519, 30, out), FM_ENOTFOUND);
    CU_ASSERT_EQUAL(count_files(out), 0);
    world_end(&w);
    world_end(&other);
}

/** Eight processes issue and revoke at once: no revocation may be lost. */
static void concurrent_changes_of_one_ca_lose_nothing(void)
{
    enum { WORKERS = 8 };
    char dir[PATH_CAP], ca[PATH_CAP];
    pid_t pid[WORKERS];
    fm_trust *t = NULL;

    fm_test_tmpdir(dir, sizeof dir - 16);
    make_path(ca, dir, "ca");
    need(fm_ca_new(ca, "heart", FM_KEY_ED25519, 100) == FM_OK, "ca");
    for (int i = 0; i < WORKERS; i++) {
        need((pid[i] = fork()) >= 0, "fork");
        if (pid[i] == 0) {
            char name[2] = { (char)('a' + i), '\0' }, out[PATH_CAP];

            make_path(out, dir, name);
            _exit(issue(ca, FM_ROLE_NODE, name, FM_KEY_ED25519, 30, out) == FM_OK &&
                          fm_ca_revoke(ca, name) == FM_OK
                      ? 0
                      : 1);
        }
    }
    for (int i = 0; i < WORKERS; i++) {
        int status = 1;

        CU_ASSERT_EQUAL(waitpid(pid[i], &status, 0), pid[i]);
        CU_ASSERT_EQUAL(status, 0);
    }
    need(fm_trust_load(ca, &t) == FM_OK, "trust");
    for (int i = 0; i < WORKERS; i++) {
        char name[2] = { (char)('a' + i), '\0' }, out[PATH_CAP];
        fm_identity *id = NULL;

        make_path(out, dir, name);
        need(fm_identity_load(out, &id) == FM_OK, "load");
        CU_ASSERT_EQUAL(verify(t, id, FM_ROLE_NODE, fm_clock_wall_s()), FM_EAUTH);
        CU_ASSERT_TRUE(says("revoked"));
        fm_identity_free(&id);
    }
    fm_trust_free(&t);
}

static const fm_test tests[] = {
    { "a new CA has its files with private modes", a_new_ca_has_its_files_with_private_modes },
    { "a second CA in the same directory is refused",
      a_second_ca_in_the_same_directory_is_refused },
    { "a CA interrupted after its key is refused with a hint",
      a_ca_interrupted_after_its_key_is_refused_with_a_hint },
    { "bad names and lifetimes are refused", bad_names_and_lifetimes_are_refused },
    { "parses roles and key types by their exact names",
      parses_roles_and_key_types_by_their_exact_names },
    { "an existing identity is never overwritten", an_existing_identity_is_never_overwritten },
    { "a directory that pins another CA is refused", a_directory_that_pins_another_ca_is_refused },
    { "one name has one certificate at any instant", one_name_has_one_certificate_at_any_instant },
    { "a certificate never outlives its CA", a_certificate_never_outlives_its_ca },
    { "a failed issue takes its files back", a_failed_issue_takes_its_files_back },
    { "a missing or damaged CA is explained", a_missing_or_damaged_ca_is_explained },
    { "concurrent changes of one CA lose nothing", concurrent_changes_of_one_ca_lose_nothing },
};

extern const fm_test_suite suite_ca;
const fm_test_suite suite_ca = { "certs.ca", tests, FM_TEST_COUNT(tests) };
