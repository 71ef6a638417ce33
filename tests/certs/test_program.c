/* fedmoe-certs itself: exit codes, output, messages. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <jansson.h>

#include "world.h"

static char output[16384]; /* of the last run: standard output and error */

/** Run in `dir`; returns the exit code. */
static int run(const char *dir, const char *args, ...)
{
    char line[2048], words[1024];
    va_list list;
    size_t n;
    FILE *f;
    int status;

    va_start(list, args);
    (void)vsnprintf(words, sizeof words, args, list);
    va_end(list);
    (void)snprintf(line, sizeof line, "cd '%s' && '%s' %s 2>&1 </dev/null", dir, FEDMOE_CERTS,
                   words);
    need((f = popen(line, "r")) != NULL, "popen");
    n = fread(output, 1, sizeof output - 1, f);
    output[n] = '\0';
    status = pclose(f);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static bool printed(const char *word)
{
    if (strstr(output, word))
        return true;
    fprintf(stderr, "\n    output without '%s': %s\n", word, output);
    return false;
}

static void a_whole_life_of_a_member(void)
{
    char dir[PATH_CAP];

    for (size_t i = 0; i < 2; i++) {
        const char *type = fm_key_type_name(KEY_TYPES[i]);

        fm_test_tmpdir(dir, sizeof dir);
        CU_ASSERT_EQUAL(
            run(dir, "ca new --directory ca --federation heart --key-type %s --days 90", type), 0);
        CU_ASSERT_TRUE(printed("fingerprint"));
        CU_ASSERT_EQUAL(run(dir,
                            "issue --ca ca --role node --name alpha --output alpha "
                            "--key-type=%s --days 30",
                            type),
                        0);
        CU_ASSERT_EQUAL(run(dir, "show alpha/identity.crt alpha/ca.crt"), 0);
        CU_ASSERT_TRUE(printed("alpha") && printed("heart") && printed("node") &&
                       printed("valid now") && printed(type));
        CU_ASSERT_EQUAL(run(dir, "issue --ca ca --role node --name alpha --output beta"), 1);
        CU_ASSERT_TRUE(printed("revoke it first"));
        CU_ASSERT_EQUAL(run(dir, "revoke --ca ca --name alpha"), 0);
        CU_ASSERT_TRUE(printed("ca/crl.pem"));
        CU_ASSERT_EQUAL(run(dir, "issue --ca ca --role node --name alpha --output beta"), 0);
        CU_ASSERT_EQUAL(run(dir, "refresh --ca ca"), 0);
    }
}

static void show_prints_json(void)
{
    char dir[PATH_CAP];
    json_t *list, *one;

    fm_test_tmpdir(dir, sizeof dir);
    CU_ASSERT_EQUAL(run(dir, "ca new --directory ca --federation heart"), 0);
    CU_ASSERT_EQUAL(run(dir, "issue --ca ca --role aggregator --name hub --output hub"), 0);
    CU_ASSERT_EQUAL(run(dir, "show --json hub/identity.crt hub/ca.crt"), 0);
    list = json_loads(output, 0, NULL);
    CU_ASSERT_EQUAL(json_array_size(list), 2);
    one = json_array_get(list, 0);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(one, "role")), "aggregator");
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(one, "name")), "hub");
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(one, "key_type")), "ed25519");
    CU_ASSERT_EQUAL(strlen(json_string_value(json_object_get(one, "fingerprint"))), 64);
    one = json_array_get(list, 1);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(one, "role")), "ca");
    json_decref(list);
}

static void a_private_key_is_never_shown(void)
{
    char dir[PATH_CAP];

    fm_test_tmpdir(dir, sizeof dir);
    CU_ASSERT_EQUAL(run(dir, "ca new --directory ca --federation heart"), 0);
    CU_ASSERT_EQUAL(run(dir, "show ca/ca.key"), 1);
    CU_ASSERT_TRUE(printed("private key"));
    CU_ASSERT_PTR_NULL(strstr(output, "MC4C")); /* how such a key's base64 begins */
    CU_ASSERT_EQUAL(run(dir, "show nothing.crt"), 1);
    CU_ASSERT_TRUE(printed("nothing.crt"));
    CU_ASSERT_EQUAL(run(dir, "show ca/crl.pem"), 1);
    CU_ASSERT_TRUE(printed("ca/crl.pem"));
}

static void times_are_days_or_instants(void)
{
    char dir[PATH_CAP];

    fm_test_tmpdir(dir, sizeof dir);
    CU_ASSERT_EQUAL(run(dir, "ca new --directory ca --federation heart"), 0);
    CU_ASSERT_EQUAL(run(dir, "issue --ca ca --role node --name old --output old --not-before "
                             "2020-01-01 --not-after 2020-02-29"),
                    0);
    CU_ASSERT_EQUAL(run(dir, "show old/identity.crt"), 0);
    CU_ASSERT_TRUE(printed("2020-01-01T00:00:00Z to 2020-02-29T23:59:59Z (expired)"));
    CU_ASSERT_EQUAL(run(dir, "issue --ca ca --role node --name exact --output exact --not-before "
                             "2020-01-01T10:20:30Z --not-after 2020-01-01T10:20:31Z"),
                    0);
    CU_ASSERT_EQUAL(run(dir, "show exact/identity.crt"), 0);
    CU_ASSERT_TRUE(printed("2020-01-01T10:20:30Z to 2020-01-01T10:20:31Z (expired)"));
}

static void usage_errors_exit_2_and_leave_nothing(void)
{
    static const char *const bad[] = {
        "",
        "frobnicate",
        "ca",
        "ca new",
        "ca new --directory x",
        "ca new --directory x --federation Heart",
        "ca new --directory x --federation heart --key-type rsa",
        "ca new --directory x --federation heart --days 0",
        "ca new --directory x --federation heart --days ten",
        "ca new --directory x --federation heart extra",
        "issue --ca x --role king --name a --output y",
        "issue --ca x --role node --name A --output y",
        "issue --ca x --role node --name a --output y --not-before 2021-02-30",
        "issue --ca x --role node --name a --output y --not-before yesterday",
        "issue --ca x --role node --name a --output y --not-after '2021-01-01 '",
        "issue --ca x --role node --name a --output y --unknown",
        "revoke --ca x",
        "revoke --ca x --name ../a",
        "refresh",
        "show",
    };
    char dir[PATH_CAP];

    fm_test_tmpdir(dir, sizeof dir);
    for (size_t i = 0; i < FM_TEST_COUNT(bad); i++) {
        int code = run(dir, "%s", bad[i]);

        CU_ASSERT_EQUAL(code, 2);
        if (code != 2)
            fprintf(stderr, "\n    exit %d: fedmoe-certs %s\n", code, bad[i]);
        CU_ASSERT_TRUE(strlen(output) > 10);
    }
    CU_ASSERT_EQUAL(count_files(dir), 0);
}

static void help_has_examples(void)
{
    static const char *const commands[] = { "", "ca new", "issue", "revoke", "refresh", "show" };

    for (size_t i = 0; i < FM_TEST_COUNT(commands); i++) {
        CU_ASSERT_EQUAL(run("/", "%s --help", commands[i]), 0);
        CU_ASSERT_TRUE(printed("Examples:") && printed("fedmoe-certs"));
    }
}

static const fm_test tests[] = {
    { "a whole life of a member", a_whole_life_of_a_member },
    { "show prints JSON", show_prints_json },
    { "a private key is never shown", a_private_key_is_never_shown },
    { "times are days or instants", times_are_days_or_instants },
    { "usage errors exit 2 and leave nothing", usage_errors_exit_2_and_leave_nothing },
    { "help has examples", help_has_examples },
};

extern const fm_test_suite suite_program;
const fm_test_suite suite_program = { "certs.program", tests, FM_TEST_COUNT(tests) };
