#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capture.h"
#include "fedmoe/base/cli.h"
#include "fedmoe/base/file.h"
#include "suites.h"

static char g_ran[64];
static int g_argc;
static char g_first[64], g_second[64];
static const char *g_printed, *g_complained;

static int note(const char *name, int argc, char **argv)
{
    (void)snprintf(g_ran, sizeof g_ran, "%s", name);
    (void)snprintf(g_first, sizeof g_first, "%s", argv[0]);
    (void)snprintf(g_second, sizeof g_second, "%s", argc > 1 ? argv[1] : "");
    g_argc = argc;
    return 42;
}

static int run_ledger(int argc, char **argv)
{
    return note("ledger", argc, argv);
}

static int run_ca_new(int argc, char **argv)
{
    return note("ca new", argc, argv);
}

static int run_ca_show(int argc, char **argv)
{
    return note("ca show", argc, argv);
}

static const fm_cli_command commands[] = {
    { "ca new", "make a CA", run_ca_new },
    { "ca show", "show the CA", run_ca_show },
    { "ledger", "show what left", run_ledger },
};
static const fm_cli_program program = {
    .program = "fedmoe-test",
    .summary = "Tests itself.",
    .examples = "fedmoe-test ca new\nfedmoe-test ledger",
    .commands = commands,
    .command_count = FM_TEST_COUNT(commands),
};

static int run(const char *a, const char *b, const char *c)
{
    const char *argv[] = { "/usr/bin/fedmoe-test", a, b, c, NULL };
    int argc = 1, code;

    while (argv[argc])
        argc++;
    g_ran[0] = '\0';
    capture_begin(stdout);
    capture_begin(stderr);
    code = fm_cli_main(&program, argc, (char **)(uintptr_t)argv);
    g_complained = capture_end(stderr);
    g_printed = capture_end(stdout);
    return code;
}

static void runs_commands_of_one_and_two_words(void)
{
    CU_ASSERT_EQUAL(run("ledger", "--json", NULL), 42);
    CU_ASSERT_STRING_EQUAL(g_ran, "ledger");
    CU_ASSERT_STRING_EQUAL(g_first, "ledger");
    CU_ASSERT_STRING_EQUAL(g_second, "--json");
    CU_ASSERT_EQUAL(g_argc, 2);
    CU_ASSERT_EQUAL(run("ca", "show", "x"), 42);
    CU_ASSERT_STRING_EQUAL(g_ran, "ca show");
    CU_ASSERT_STRING_EQUAL(g_first, "show");
    CU_ASSERT_STRING_EQUAL(g_second, "x");
    CU_ASSERT_EQUAL(g_argc, 2);
    CU_ASSERT_EQUAL(run("ledger", "--help", NULL), 42); /* the command answers it */
}

static void wrong_words_are_usage_errors(void)
{
    CU_ASSERT_EQUAL(run("ledgr", NULL, NULL), 2);
    assert_has(g_complained, "fedmoe-test: unknown command 'ledgr'; did you mean 'ledger'?\n");
    CU_ASSERT_EQUAL(run("ca", "nwe", NULL), 2);
    assert_has(g_complained, "unknown command 'ca nwe'; did you mean 'ca new'?");
    CU_ASSERT_EQUAL(run("ca", NULL, NULL), 2);
    assert_has(g_complained, "'ca' needs a second word");
    assert_has(g_complained, "  ca new   make a CA\n");
    assert_lacks(g_complained, "ledger");
    CU_ASSERT_EQUAL(run("xyzzy", NULL, NULL), 2);
    CU_ASSERT_STRING_EQUAL(g_complained, "fedmoe-test: unknown command 'xyzzy'\n"
                                         "Try 'fedmoe-test --help'.\n");
    CU_ASSERT_EQUAL(run("--json", NULL, NULL), 2);
    assert_has(g_complained, "unknown option '--json'");
    CU_ASSERT_EQUAL(run("\x1b[2J", NULL, NULL), 2);
    assert_has(g_complained, "'?[2J'");
    CU_ASSERT_EQUAL(run("", NULL, NULL), 2);
    CU_ASSERT_EQUAL(run("ca new", NULL, NULL), 2); /* two words are two arguments */
    CU_ASSERT_STRING_EQUAL(g_ran, "");
    CU_ASSERT_STRING_EQUAL(g_printed, "");
}

static void without_a_command_it_shows_help_and_fails(void)
{
    CU_ASSERT_EQUAL(run(NULL, NULL, NULL), 2);
    assert_has(g_complained, "Usage: fedmoe-test COMMAND [OPTION]...\n");
    CU_ASSERT_STRING_EQUAL(g_printed, "");
}

static void help_lists_commands_and_examples(void)
{
    CU_ASSERT_EQUAL(run("--help", NULL, NULL), 0);
    CU_ASSERT_STRING_EQUAL(g_complained, "");
    assert_has(g_printed, "Usage: fedmoe-test COMMAND [OPTION]...\n\nTests itself.\n\nCommands:\n"
                          "  ca new   make a CA\n"
                          "  ca show  show the CA\n"
                          "  ledger   show what left\n");
    assert_has(g_printed, "Examples:\n  fedmoe-test ca new\n  fedmoe-test ledger\n");
    CU_ASSERT_EQUAL(run("ca", "--help", NULL), 0);
    assert_has(g_printed, "Usage: fedmoe-test ca COMMAND [OPTION]...\n");
    assert_has(g_printed, "ca show");
    assert_lacks(g_printed, "ledger");
    CU_ASSERT_EQUAL(run("-h", NULL, NULL), 0);
}

static void version_is_name_and_number(void)
{
    CU_ASSERT_EQUAL(run("--version", NULL, NULL), 0);
    CU_ASSERT_STRING_EQUAL(g_printed, "fedmoe-test " FM_VERSION "\n");
}

/* What bash offers after `words`, the last of which is being typed. */
static void complete(const char *dir, const char *words, char *out, size_t cap)
{
    char command[1200];
    FILE *pipe;
    size_t n;

    (void)snprintf(command, sizeof command,
                   "bash -c 'PATH=%s:$PATH; source %s/script; COMP_WORDS=(%s); "
                   "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _fedmoe_test; "
                   "echo \"${COMPREPLY[*]}\"' 2>&1",
                   dir, dir, words);
    fflush(NULL);
    pipe = popen(command, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(pipe);
    n = fread(out, 1, cap - 1, pipe);
    out[n] = '\0';
    CU_ASSERT_EQUAL(pclose(pipe), 0);
}

static void completion_works_in_bash(void)
{
    static const char fake[] = "#!/bin/sh\n"
                               "[ \"$*\" = 'ca new --options' ] && echo --out --name\n"
                               "[ \"$*\" = 'ledger --options' ] && echo --json\n"
                               "exit 0\n";
    char dir[256], path[300], out[1000];

    if (access("/bin/bash", X_OK) != 0) {
        fm_test_skip("there is no bash");
        return;
    }
    fm_test_tmpdir(dir, sizeof dir);
    CU_ASSERT_EQUAL(run("--completion", NULL, NULL), 0);
    (void)snprintf(path, sizeof path, "%s/script", dir);
    CU_ASSERT_EQUAL_FATAL(fm_file_replace(path, g_printed, strlen(g_printed), 0644), FM_OK);
    (void)snprintf(path, sizeof path, "%s/fedmoe-test", dir);
    CU_ASSERT_EQUAL_FATAL(fm_file_replace(path, fake, sizeof fake - 1, 0755), FM_OK);
    complete(dir, "fedmoe-test \"\"", out, sizeof out);
    CU_ASSERT_STRING_EQUAL(out, "ca ledger --help --version --completion\n");
    complete(dir, "fedmoe-test l", out, sizeof out);
    CU_ASSERT_STRING_EQUAL(out, "ledger\n");
    complete(dir, "fedmoe-test ca \"\"", out, sizeof out);
    CU_ASSERT_STRING_EQUAL(out, "new show\n");
    complete(dir, "fedmoe-test ca new --", out, sizeof out);
    CU_ASSERT_STRING_EQUAL(out, "--out --name\n");
    complete(dir, "fedmoe-test ledger --j", out, sizeof out);
    CU_ASSERT_STRING_EQUAL(out, "--json\n");
    complete(dir, "fedmoe-test ledger x", out, sizeof out); /* left to file names */
    CU_ASSERT_STRING_EQUAL(out, "\n");
}

/* A child whose standard output is `to`; what it says on standard error is in g_complained. */
static int run_into(const char *to, size_t bytes, int code)
{
    int status = -1;
    pid_t pid;

    capture_begin(stderr);
    fflush(NULL);
    if ((pid = fork()) == 0) {
        if (!freopen(to, "w", stdout))
            _exit(9);
        for (size_t i = 0; i < bytes; i++)
            (void)putchar('x');
        code = fm_cli_end("fedmoe-test", code);
        fflush(stderr);
        _exit(code);
    }
    CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
    g_complained = capture_end(stderr);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void output_that_does_not_arrive_is_a_failure(void)
{
    CU_ASSERT_EQUAL(run_into("/dev/null", 10, 0), 0);
    CU_ASSERT_EQUAL(run_into("/dev/full", 0, 0), 0); /* nothing to say, nothing lost */
    CU_ASSERT_STRING_EQUAL(g_complained, "");
    CU_ASSERT_EQUAL(run_into("/dev/full", 10, 0), 1);
    CU_ASSERT_STRING_EQUAL(g_complained,
                           "fedmoe-test: cannot write to standard output: No space left on "
                           "device\n");
    CU_ASSERT_EQUAL(run_into("/dev/full", 1000000, 0), 1); /* more than is held back */
    assert_has(g_complained, "fedmoe-test: cannot write to standard output");
    CU_ASSERT_EQUAL(run_into("/dev/full", 10, 2), 2); /* it has failed, and said why */
    CU_ASSERT_STRING_EQUAL(g_complained, "");
}

static const fm_test tests[] = {
    { "runs commands of one and two words", runs_commands_of_one_and_two_words },
    { "wrong words are usage errors", wrong_words_are_usage_errors },
    { "without a command it shows help and fails", without_a_command_it_shows_help_and_fails },
    { "help lists commands and examples", help_lists_commands_and_examples },
    { "version is name and number", version_is_name_and_number },
    { "output that does not arrive is a failure", output_that_does_not_arrive_is_a_failure },
    { "completion works in bash", completion_works_in_bash },
};
const fm_test_suite suite_cli_program = { "base.cli_program", tests, FM_TEST_COUNT(tests) };
