#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "fedmoe/base/cli.h"
#include "suites.h"

/* One command with an option of every kind, and what a parse of it gave. */
static struct {
    bool json;
    const char *out;
    double epsilon, any;
    uint64_t rounds;
    fm_cli_list with;
    int operands, argc;
    char *argv[32];
    const char *printed, *complained;
} g;

static const fm_cli_option options[] = {
    { .name = "json", .kind = FM_CLI_FLAG, .out = &g.json, .help = "print JSON" },
    { .name = "out", .kind = FM_CLI_STRING, .out = &g.out, .value = "DIR", .help = "where to" },
    { .name = "epsilon",
      .kind = FM_CLI_DOUBLE,
      .out = &g.epsilon,
      .value = "EPS",
      .help = "the budget",
      .lo = 0.1,
      .hi = 10.0 },
    { .name = "any", .kind = FM_CLI_DOUBLE, .out = &g.any, .value = "X", .help = "any number" },
    { .name = "rounds",
      .kind = FM_CLI_U64,
      .out = &g.rounds,
      .value = "N",
      .help = "rounds",
      .lo = 1.0,
      .hi = 100.0 },
    { .name = "with", .kind = FM_CLI_LIST, .out = &g.with, .value = "NAME", .help = "members" },
};

static const fm_cli_spec spec = {
    .program = "fedmoe-test run",
    .summary = "Run a test.",
    .examples = "fedmoe-test run --json a.csv\nfedmoe-test run --epsilon 2 a.csv b.csv",
    .options = options,
    .option_count = FM_TEST_COUNT(options),
    .operands = "FILE...",
    .operands_min = 0,
    .operands_max = 3,
};

/* Parse `line`, split at single spaces; "~" stands for the empty argument. */
static fm_cli_result parse_with(const fm_cli_spec *s, const char *line)
{
    static char copy[1000];
    char *rest = copy;
    fm_cli_result r;

    free(g.with.items);
    memset(&g, 0, sizeof g);
    g.epsilon = -7.0;
    g.any = -7.0;
    g.rounds = 7;
    g.operands = -1;
    copy[0] = '\0';
    strncat(copy, line, sizeof copy - 1);
    g.argv[g.argc++] = (char *)(uintptr_t) "run";
    for (char *word; *copy && (word = strsep(&rest, " "));)
        g.argv[g.argc++] = strcmp(word, "~") == 0 ? word + 1 : word;
    capture_begin(stdout);
    capture_begin(stderr);
    r = fm_cli_parse(s, g.argc, g.argv, &g.operands);
    g.complained = capture_end(stderr);
    g.printed = capture_end(stdout);
    return r;
}

static fm_cli_result parse(const char *line)
{
    return parse_with(&spec, line);
}

static void assert_usage(const char *line, const char *needle)
{
    CU_ASSERT_EQUAL(parse(line), FM_CLI_USAGE);
    assert_has(g.complained, "fedmoe-test run: ");
    assert_has(g.complained, needle);
    assert_has(g.complained, "\nTry 'fedmoe-test run --help'.\n");
    CU_ASSERT_STRING_EQUAL(g.printed, "");
    CU_ASSERT_EQUAL(g.operands, -1);
    CU_ASSERT_PTR_NULL(g.with.items); /* nothing to free */
}

static void absent_options_keep_their_defaults(void)
{
    CU_ASSERT_EQUAL(parse(""), FM_CLI_RUN);
    CU_ASSERT_FALSE(g.json);
    CU_ASSERT_PTR_NULL(g.out);
    CU_ASSERT_EQUAL(g.epsilon, -7.0);
    CU_ASSERT_EQUAL(g.rounds, 7);
    CU_ASSERT_EQUAL(g.with.count, 0);
    CU_ASSERT_EQUAL(g.operands, 1);
}

static void parses_every_kind_in_both_spellings(void)
{
    CU_ASSERT_EQUAL(parse("--json --out d --epsilon 2.5 --rounds 40 --with a --with=b --any -1e3"),
                    FM_CLI_RUN);
    CU_ASSERT_TRUE(g.json);
    CU_ASSERT_STRING_EQUAL(g.out, "d");
    CU_ASSERT_EQUAL(g.epsilon, 2.5);
    CU_ASSERT_EQUAL(g.any, -1000.0);
    CU_ASSERT_EQUAL(g.rounds, 40);
    CU_ASSERT_EQUAL_FATAL(g.with.count, 2);
    CU_ASSERT_STRING_EQUAL(g.with.items[0], "a");
    CU_ASSERT_STRING_EQUAL(g.with.items[1], "b");
    CU_ASSERT_EQUAL(parse("--out=--json --epsilon=10 --rounds=1 --any=.5"), FM_CLI_RUN);
    CU_ASSERT_STRING_EQUAL(g.out, "--json");
    CU_ASSERT_EQUAL(g.epsilon, 10.0);
    CU_ASSERT_EQUAL(g.rounds, 1);
    CU_ASSERT_EQUAL(g.any, 0.5);
    CU_ASSERT_EQUAL(parse("--out=a=b"), FM_CLI_RUN);
    CU_ASSERT_STRING_EQUAL(g.out, "a=b");
    CU_ASSERT_EQUAL(parse("--out="), FM_CLI_RUN);
    CU_ASSERT_STRING_EQUAL(g.out, "");
    CU_ASSERT_EQUAL(parse("--out -x"), FM_CLI_RUN);
    CU_ASSERT_STRING_EQUAL(g.out, "-x");
}

static void operands_move_to_the_end_in_order(void)
{
    CU_ASSERT_EQUAL(parse("a --json b --rounds 3 - --out d"), FM_CLI_RUN);
    CU_ASSERT_EQUAL_FATAL(g.operands, g.argc - 3);
    CU_ASSERT_STRING_EQUAL(g.argv[g.operands], "a");
    CU_ASSERT_STRING_EQUAL(g.argv[g.operands + 1], "b");
    CU_ASSERT_STRING_EQUAL(g.argv[g.operands + 2], "-");
    CU_ASSERT_EQUAL(g.rounds, 3);
    CU_ASSERT_STRING_EQUAL(g.out, "d");
}

static void two_dashes_end_the_options(void)
{
    CU_ASSERT_EQUAL(parse("a --json -- --out --"), FM_CLI_RUN);
    CU_ASSERT_EQUAL_FATAL(g.operands, g.argc - 3);
    CU_ASSERT_STRING_EQUAL(g.argv[g.operands], "a");
    CU_ASSERT_STRING_EQUAL(g.argv[g.operands + 1], "--out");
    CU_ASSERT_STRING_EQUAL(g.argv[g.operands + 2], "--");
    CU_ASSERT_TRUE(g.json);
    CU_ASSERT_EQUAL(parse("--"), FM_CLI_RUN);
    CU_ASSERT_EQUAL(g.operands, g.argc);
    CU_ASSERT_EQUAL(parse("-- --help"), FM_CLI_RUN);
}

static void unknown_options_suggest_the_nearest(void)
{
    assert_usage("--epsilom 2", "unknown option '--epsilom'; did you mean --epsilon?");
    assert_usage("--Json", "did you mean --json?");
    assert_usage("--round=3", "unknown option '--round=3'; did you mean --rounds?");
    assert_usage("--verbose", "unknown option '--verbose'\n");
    assert_usage("-x", "unknown option '-x'\n");
    assert_usage("-json", "unknown option '-json'; did you mean --json?");
    assert_usage("--with a --\x1b[31m", "unknown option '--?[31m'\n");
    assert_usage("--=x", "unknown option");
    assert_usage("---json", "unknown option '---json'; did you mean --json?");
}

static void values_must_be_there_and_flags_have_none(void)
{
    assert_usage("--out", "--out needs a value (DIR)");
    assert_usage("--out --json", "--out needs a value (DIR)");
    assert_usage("--out --help", "--out needs a value (DIR)");
    assert_usage("--out --other", "given as --out=DIR");
    assert_usage("--with a --with", "--with needs a value (NAME)");
    assert_usage("--json=1", "--json takes no value");
    assert_usage("--json --json", "--json is given twice");
    assert_usage("--rounds 3 --rounds 4", "--rounds is given twice");
}

static void numbers_are_strict_and_bounded(void)
{
    static const char *const bad[] = { "x", "0x10", "inf", "nan", "1e999", "1,5", "5a",
                                       "~", "+",    "1e",  "1e+", ".",     "--5", "1.2.3" };
    static const char *const bad_whole[] = {
        "-3", "+3", "2.0", "1e1", "~", "99999999999999999999"
    };
    char line[64];

    for (size_t i = 0; i < FM_TEST_COUNT(bad); i++) {
        (void)snprintf(line, sizeof line, "--any %s", bad[i]);
        assert_usage(line, "--any needs a number, not '");
    }
    for (size_t i = 0; i < FM_TEST_COUNT(bad_whole); i++) {
        (void)snprintf(line, sizeof line, "--rounds %s", bad_whole[i]);
        assert_usage(line, "--rounds must be a whole number from 1 to 100, found '");
    }
    assert_usage("--epsilon 0.09", "--epsilon must be between 0.1 and 10, not '0.09'");
    assert_usage("--epsilon 10.1", "must be between 0.1 and 10");
    assert_usage("--rounds 0", "--rounds must be a whole number from 1 to 100, found '0'");
    assert_usage("--rounds 101", "--rounds must be a whole number from 1 to 100, found '101'");
    CU_ASSERT_EQUAL(g.rounds, 7);
}

static void a_whole_number_without_bounds_is_said_to_end_with_64_bits(void)
{
    uint64_t v = 0;
    const fm_cli_option o = { .name = "seed", .kind = FM_CLI_U64, .out = &v, .help = "h" };
    const fm_cli_spec s = { .program = "p", .summary = "s", .options = &o, .option_count = 1 };

    CU_ASSERT_EQUAL(parse_with(&s, "--seed 18446744073709551616"), FM_CLI_USAGE);
    assert_has(g.complained, "--seed must be a whole number from 0 to 18446744073709551615, found "
                             "'18446744073709551616'");
    CU_ASSERT_EQUAL(parse_with(&s, "--seed 18446744073709551615"), FM_CLI_RUN);
    CU_ASSERT_EQUAL(v, UINT64_MAX);
}

static void an_open_bound_is_said_as_at_least(void)
{
    double v = 0.0;
    const fm_cli_option o = {
        .name = "n", .kind = FM_CLI_DOUBLE, .out = &v, .help = "h", .lo = 1.0, .hi = INFINITY
    };
    const fm_cli_spec s = { .program = "p", .summary = "s", .options = &o, .option_count = 1 };

    CU_ASSERT_EQUAL(parse_with(&s, "--n 0.5"), FM_CLI_USAGE);
    assert_has(g.complained, "--n must be at least 1, not '0.5'");
    CU_ASSERT_EQUAL(parse_with(&s, "--n 1e300"), FM_CLI_RUN);
    CU_ASSERT_EQUAL(v, 1e300);
    CU_ASSERT_EQUAL(parse_with(&s, "--n"), FM_CLI_USAGE);
    assert_has(g.complained, "--n needs a value (VALUE)");
}

static void required_options_and_operands_are_checked(void)
{
    const char *out = NULL;
    const fm_cli_option o = { .name = "out",
                              .kind = FM_CLI_STRING,
                              .out = &out,
                              .value = "DIR",
                              .help = "h",
                              .required = true };
    fm_cli_spec s = { .program = "p", .summary = "s", .options = &o, .option_count = 1 };

    CU_ASSERT_EQUAL(parse_with(&s, ""), FM_CLI_USAGE);
    assert_has(g.complained, "p: --out DIR is required\n");
    CU_ASSERT_EQUAL(parse_with(&s, "--out d x"), FM_CLI_USAGE);
    assert_has(g.complained, "p: unexpected 'x'\n");
    s.operands = "FILE";
    s.operands_min = 1;
    s.operands_max = 1;
    CU_ASSERT_EQUAL(parse_with(&s, "--out d"), FM_CLI_USAGE);
    assert_has(g.complained, "p: FILE is missing\n");
    CU_ASSERT_EQUAL(parse_with(&s, "--out d x y z"), FM_CLI_USAGE);
    assert_has(g.complained, "p: unexpected 'y' after FILE\n");
    CU_ASSERT_EQUAL(parse_with(&s, "--out d x"), FM_CLI_RUN);
}

static void too_many_options_are_a_defect_not_an_overrun(void)
{
    static fm_cli_option many[65];
    const fm_cli_spec s = { .program = "p", .summary = "s", .options = many, .option_count = 65 };

    CU_ASSERT_EQUAL(parse_with(&s, ""), FM_CLI_USAGE);
    assert_has(g.complained, "defect");
}

static void help_shows_all_sections(void)
{
    static const char expected[] = "Usage: fedmoe-test run [OPTION]... FILE...\n"
                                   "\n"
                                   "Run a test.\n"
                                   "\n"
                                   "Options:\n"
                                   "  --json         print JSON\n"
                                   "  --out DIR      where to\n"
                                   "  --epsilon EPS  the budget\n"
                                   "  --any X        any number\n"
                                   "  --rounds N     rounds\n"
                                   "  --with NAME    members (may be given again)\n"
                                   "  --help         show this text\n"
                                   "\n"
                                   "Examples:\n"
                                   "  fedmoe-test run --json a.csv\n"
                                   "  fedmoe-test run --epsilon 2 a.csv b.csv\n";

    CU_ASSERT_EQUAL(parse("--with a --help"), FM_CLI_HELP_SHOWN);
    CU_ASSERT_STRING_EQUAL(g.printed, expected);
    CU_ASSERT_STRING_EQUAL(g.complained, "");
    CU_ASSERT_PTR_NULL(g.with.items);
    CU_ASSERT_EQUAL(parse("a b c d -h"), FM_CLI_HELP_SHOWN);
    CU_ASSERT_STRING_EQUAL(g.printed, expected);
}

static void help_of_a_bare_command_is_short(void)
{
    const fm_cli_spec s = { .program = "p do", .summary = "Do it." };

    CU_ASSERT_EQUAL(parse_with(&s, "--help"), FM_CLI_HELP_SHOWN);
    CU_ASSERT_STRING_EQUAL(g.printed,
                           "Usage: p do\n\nDo it.\n\nOptions:\n  --help  show this text\n");
    CU_ASSERT_EQUAL(parse_with(&s, "--version"), FM_CLI_USAGE);
}

static void a_program_without_commands_answers_for_itself(void)
{
    const fm_cli_spec s = { .program = "fedmoe-one", .summary = "Do it." };

    CU_ASSERT_EQUAL(parse_with(&s, "--help"), FM_CLI_HELP_SHOWN);
    assert_has(g.printed, "  --version     show the version\n"
                          "  --completion  print a completion script for bash\n");
    CU_ASSERT_EQUAL(parse_with(&s, "--version"), FM_CLI_HELP_SHOWN);
    CU_ASSERT_STRING_EQUAL(g.printed, "fedmoe-one " FM_VERSION "\n");
    CU_ASSERT_EQUAL(parse_with(&s, "--options"), FM_CLI_HELP_SHOWN);
    CU_ASSERT_STRING_EQUAL(g.printed, "--help\n--version\n--completion\n");
    CU_ASSERT_EQUAL(parse_with(&s, "--completion"), FM_CLI_HELP_SHOWN);
    assert_has(g.printed, "\ncomplete -o default -F _fedmoe_one fedmoe-one\n");
}

static void long_texts_are_broken_at_80_columns(void)
{
    bool flag = false;
    const fm_cli_option o[] = { { .name = "b",
                                  .kind = FM_CLI_FLAG,
                                  .out = &flag,
                                  .help = "one two three four five six seven eight nine ten eleven "
                                          "twelve thirteen" } };
    const fm_cli_spec s = { .program = "p q",
                            .summary = "a234567890123456789012345678901234567890"
                                       " b23456789012345678901234567890123456789 c",
                            .options = o,
                            .option_count = 1 };

    CU_ASSERT_EQUAL(parse_with(&s, "--help"), FM_CLI_HELP_SHOWN);
    assert_has(g.printed, "\na234567890123456789012345678901234567890"
                          " b23456789012345678901234567890123456789\nc\n");
    assert_has(g.printed,
               "  --b     one two three four five six seven eight nine ten eleven twelve\n"
               "          thirteen\n"
               "  --help  show this text\n");
}

static size_t lines(const char *text)
{
    size_t n = 0;

    for (; (text = strchr(text, '\n')); text++)
        n++;
    return n;
}

/* 30 options of one line each, the last one required. */
static fm_cli_spec of_many_options(fm_cli_option o[30], char names[30][16], bool *flag)
{
    for (int i = 0; i < 30; i++) {
        (void)snprintf(names[i], sizeof names[i], "o%02d", i);
        o[i] = (fm_cli_option){
            .name = names[i], .kind = FM_CLI_FLAG, .out = flag, .help = "h", .required = i == 29
        };
    }
    return (fm_cli_spec){ .program = "p do",
                          .summary = "Do it.",
                          .examples = "p do --o01\np do --o02 \\\n  --o03\np do --o04",
                          .options = o,
                          .option_count = 30 };
}

static void help_fits_a_screen_and_all_of_it_does_not(void)
{
    char names[30][16];
    fm_cli_option o[30];
    bool flag = false;
    fm_cli_spec s = of_many_options(o, names, &flag);

    CU_ASSERT_EQUAL(parse_with(&s, "--help"), FM_CLI_HELP_SHOWN);
    CU_ASSERT_EQUAL(lines(g.printed), 24);
    assert_has(g.printed, "--o13");
    assert_lacks(g.printed, "--o14");
    assert_has(g.printed, "--o29   h (required)\n"
                          "  --help  show this text; --help=all: 15 more options\n\n"
                          "Examples:\n  p do --o01\n");
    assert_lacks(g.printed, "--o02 --o03");
    s.rare = "o00, o02, o03,o04, o05, o06, o07, o08, o09, o10, o11, o12, o13, o14, o15, o16";
    CU_ASSERT_EQUAL(parse_with(&s, "--help"), FM_CLI_HELP_SHOWN);
    CU_ASSERT_EQUAL(lines(g.printed), 24); /* rare ones gave way to an example more */
    assert_has(g.printed, "--o01   h\n  --o17   h\n");
    assert_has(g.printed, "  p do --o02 --o03\n");
    CU_ASSERT_EQUAL(parse_with(&s, "--help=all"), FM_CLI_HELP_SHOWN);
    CU_ASSERT_EQUAL(lines(g.printed), 5 + 31 + 5);
    assert_has(g.printed, "  --o16   h\n");
    assert_has(g.printed, "\n  p do --o04\n");
    CU_ASSERT_EQUAL(parse_with(&s, "--help=some"), FM_CLI_USAGE);
}

static void long_examples_go_on_as_a_shell_reads_them(void)
{
    const fm_cli_spec s = {
        .program = "p do",
        .summary = "Do it.",
        .examples = "p do --one 'a b c d e f g h i j k l m n o p' --two 123456789012345678901 "
                    "--three 'x y z' file",
    };

    CU_ASSERT_EQUAL(parse_with(&s, "--help"), FM_CLI_HELP_SHOWN);
    assert_has(g.printed,
               "  p do --one 'a b c d e f g h i j k l m n o p' --two 123456789012345678901 "
               "\\\n    --three 'x y z' file\n");
}

static void begin_gives_the_exit_code(void)
{
    char a0[] = "p", help[] = "--help", wrong[] = "--wrong", *argv[] = { a0, help, NULL };
    const fm_cli_spec s = { .program = "p q", .summary = "Do it." };
    int operands = 0, code = -1;
    bool runs;

    capture_begin(stdout);
    capture_begin(stderr);
    runs = fm_cli_begin(&s, 2, argv, &operands, &code);
    CU_ASSERT(!runs && code == 0);
    argv[1] = wrong;
    runs = fm_cli_begin(&s, 2, argv, &operands, &code);
    CU_ASSERT(!runs && code == 2);
    code = -1;
    runs = fm_cli_begin(&s, 1, argv, &operands, &code);
    (void)capture_end(stdout);
    (void)capture_end(stderr);
    CU_ASSERT(runs && code == -1);
}

static void long_option_names_get_their_own_line(void)
{
    bool flag = false;
    const fm_cli_option o[] = {
        { .name = "a-name-so-long-that-it-fills-the-line",
          .kind = FM_CLI_FLAG,
          .out = &flag,
          .help = "first",
          .required = true },
        { .name = "b", .kind = FM_CLI_FLAG, .out = &flag, .help = "second" },
    };
    const fm_cli_spec s = { .program = "p", .summary = "s", .options = o, .option_count = 2 };

    CU_ASSERT_EQUAL(parse_with(&s, "--help"), FM_CLI_HELP_SHOWN);
    assert_has(g.printed, "fills-the-line\n                                  first (required)\n");
    assert_has(g.printed, "  --b                             second\n");
}

static void lists_its_options_for_completion(void)
{
    CU_ASSERT_EQUAL(parse("--options"), FM_CLI_HELP_SHOWN);
    CU_ASSERT_STRING_EQUAL(g.printed,
                           "--json\n--out\n--epsilon\n--any\n--rounds\n--with\n--help\n");
    CU_ASSERT_EQUAL(parse("--options x"), FM_CLI_USAGE);
}

static void failures_print_the_clean_error_text(void)
{
    const char *out;

    (void)fm_fail(FM_EIO, "a.csv:7: \x1b[2J bad");
    capture_begin(stderr);
    CU_ASSERT_EQUAL(fm_cli_failed("fedmoe-node"), 1);
    out = capture_end(stderr);
    CU_ASSERT_STRING_EQUAL(out, "fedmoe-node: a.csv:7: ?[2J bad\n");
    (void)fm_fail(FM_EPARSE, "a.csv:7: bad\na.csv:9:\tworse\n\nfedmoe-node: all is well\n");
    capture_begin(stderr);
    CU_ASSERT_EQUAL(fm_cli_failed("fedmoe-node"), 1);
    out = capture_end(stderr); /* one line each; none looks as if the program had begun anew */
    CU_ASSERT_STRING_EQUAL(out, "fedmoe-node: a.csv:7: bad\n  a.csv:9:?worse\n"
                                "  fedmoe-node: all is well\n");
    fm_error_clear();
    capture_begin(stderr);
    CU_ASSERT_EQUAL(fm_cli_failed("fedmoe-node"), 1);
    out = capture_end(stderr);
    CU_ASSERT_STRING_EQUAL(out, "fedmoe-node: failed\n");
    parse(""); /* frees the last list */
}

static const fm_test tests[] = {
    { "absent options keep their defaults", absent_options_keep_their_defaults },
    { "parses every kind in both spellings", parses_every_kind_in_both_spellings },
    { "operands move to the end in order", operands_move_to_the_end_in_order },
    { "two dashes end the options", two_dashes_end_the_options },
    { "unknown options suggest the nearest", unknown_options_suggest_the_nearest },
    { "values must be there and flags have none", values_must_be_there_and_flags_have_none },
    { "numbers are strict and bounded", numbers_are_strict_and_bounded },
    { "a whole number without bounds is said to end with 64 bits",
      a_whole_number_without_bounds_is_said_to_end_with_64_bits },
    { "an open bound is said as at least", an_open_bound_is_said_as_at_least },
    { "required options and operands are checked", required_options_and_operands_are_checked },
    { "too many options are a defect, not an overrun",
      too_many_options_are_a_defect_not_an_overrun },
    { "help shows all sections", help_shows_all_sections },
    { "help fits a screen, and all of it does not", help_fits_a_screen_and_all_of_it_does_not },
    { "long examples go on as a shell reads them", long_examples_go_on_as_a_shell_reads_them },
    { "help of a bare command is short", help_of_a_bare_command_is_short },
    { "a program without commands answers for itself",
      a_program_without_commands_answers_for_itself },
    { "long texts are broken at 80 columns", long_texts_are_broken_at_80_columns },
    { "begin gives the exit code", begin_gives_the_exit_code },
    { "long option names get their own line", long_option_names_get_their_own_line },
    { "lists its options for completion", lists_its_options_for_completion },
    { "failures print the clean error text", failures_print_the_clean_error_text },
};
const fm_test_suite suite_cli = { "base.cli", tests, FM_TEST_COUNT(tests) };
