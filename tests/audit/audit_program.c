/* fedmoe-node audit and fedmoe-dp audit as people run them, with the system's randomness. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "fedmoe/base/file.h"
#include "fm_test.h"

extern const fm_test_suite suite_audit_program;

/* Of a good build's being called violated; the delta is as small as such a confidence asks for. */
#define SURE "--confidence 0.999999 --delta 1e-10"

static const char g_node[] =
    "name: alpha\naggregator:\n  door: tcp://127.0.0.1:7300\n"
    "  door_key: \"rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7\"\nidentity: .\n"
    "data: {name: alpha-data, records: records.csv, schema: schema.yaml}\nledger: ledger.db\n"
    "policy: {epsilon: 1.0, delta: 1.0e-5, purposes: [\"x\"]}\n";
static const char g_schema[] =
    "name: tiny\ncsv: {header: false, delimiter: \",\", missing: [\"?\"]}\ncolumns:\n"
    "  - {name: a, kind: numeric, range: [-10, 10], center: 0, scale: 1}\n"
    "  - {name: y, kind: label, negative: [\"0\"], positive: [\"1\"]}\n";
static const char g_records[] = "1,0\n2,1\n-3,0\n4,1\n";

typedef struct {
    char dir[512];
    char said[8192];
} desk;

static void put(const desk *d, const char *name, const char *text)
{
    char path[1024];

    snprintf(path, sizeof path, "%s/%s", d->dir, name);
    CU_ASSERT_EQUAL_FATAL(fm_file_replace(path, text, strlen(text), 0600), FM_OK);
}

static void open_desk(desk *d)
{
    fm_test_tmpdir(d->dir, sizeof d->dir);
    put(d, "node.yaml", g_node);
    put(d, "schema.yaml", g_schema);
    put(d, "records.csv", g_records);
}

/* Exit code of "PROGRAM audit ARGS" in the folder; both streams in d->said. */
static int run(desk *d, const char *program, const char *args)
{
    char command[4096];
    size_t len;
    FILE *f;
    int status;

    snprintf(command, sizeof command, "cd '%s' && '%s' audit %s 2>&1", d->dir, program, args);
    if (!(f = popen(command, "r")))
        return -1;
    len = fread(d->said, 1, sizeof d->said - 1, f);
    d->said[len] = '\0';
    status = pclose(f);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool says(const desk *d, const char *text)
{
    bool found = strstr(d->said, text) != NULL;

    if (!found)
        printf("\n'%s' is not in:\n%s\n", text, d->said);
    return found;
}

static void a_node_audits_itself_and_anyone_judges_the_file(void)
{
    char path[1024];
    struct stat info;
    desk d;

    open_desk(&d);
    CU_ASSERT_EQUAL(run(&d, FEDMOE_NODE, "--rounds 5 --canaries 300 --output audit.json " SURE), 0);
    CU_ASSERT(says(&d, "300 canaries among the records, 5 rounds"));
    CU_ASSERT(says(&d, ": consistent"));
    snprintf(path, sizeof path, "%s/audit.json", d.dir);
    CU_ASSERT_EQUAL_FATAL(stat(path, &info), 0);
    CU_ASSERT_EQUAL(info.st_mode & 0777, 0600);
    CU_ASSERT_EQUAL(run(&d, FEDMOE_DP, "audit.json " SURE), 0);
    CU_ASSERT(says(&d, "consistent: the lower bound is not above the claim"));
    CU_ASSERT(says(&d, "claimed      epsilon 1.0000 at delta 1e-10"));
    CU_ASSERT_EQUAL(run(&d, FEDMOE_DP, "audit.json --json"), 0);
    CU_ASSERT(says(&d, "\"consistent\": true"));
    snprintf(path, sizeof path, "%s/ledger.db", d.dir);
    CU_ASSERT_FALSE(fm_file_exists(path)); /* nothing was charged */
}

/* Rows of one patient are one unit, from the policy or from the plan that was offered. */
static void a_unit_may_be_a_column(void)
{
    static const char node[] =
        "name: alpha\naggregator:\n  door: tcp://127.0.0.1:7300\n"
        "  door_key: \"rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7\"\nidentity: .\n"
        "data: {name: alpha-data, records: records.csv, schema: schema.yaml}\nledger: ledger.db\n"
        "policy: {epsilon: 1.0, delta: 1.0e-5, purposes: [\"x\"], unit: patient}\n";
    static const char schema[] =
        "name: tiny\ncsv: {header: false, delimiter: \",\", missing: [\"?\"]}\ncolumns:\n"
        "  - {name: patient, kind: ignore}\n"
        "  - {name: a, kind: numeric, range: [-10, 10], center: 0, scale: 1}\n"
        "  - {name: y, kind: label, negative: [\"0\"], positive: [\"1\"]}\n";
    desk d;

    open_desk(&d);
    put(&d, "node.yaml", node);
    put(&d, "schema.yaml", schema);
    put(&d, "records.csv", "p1,1,0\np2,2,1\np1,-3,0\np3,4,1\n");
    CU_ASSERT_EQUAL(run(&d, FEDMOE_NODE, "--rounds 3 --canaries 100 " SURE), 0);
    CU_ASSERT(says(&d, ": consistent"));
    put(&d, "plan.json",
        "{\"task\": \"training\", \"noise_multiplier\": 9, \"rounds\": 3, \"sampling_rate\": 0.5, "
        "\"clip_norm\": 1, \"delta\": 1e-5, \"privacy_unit\": \"patient\", \"max_unit_rows\": 2, "
        "\"model\": \"width: 16\\n\"}");
    CU_ASSERT_EQUAL(run(&d, FEDMOE_NODE, "--canaries 100 --schema schema.yaml " SURE), 0);
    CU_ASSERT(says(&d, "3 rounds at noise multiplier 9"));
}

/* As a build would leave it whose canaries can all be told. */
static void a_file_that_shows_too_much_is_exit_code_1(void)
{
    fm_buf b = { 0 };
    desk d;

    open_desk(&d);
    CU_ASSERT_EQUAL_FATAL(
        fm_buf_printf(&b, "{\"format\": \"fedmoe audit 1\", \"noise_multiplier\": 9.0, "
                          "\"sampling_rate\": 0.5, \"rounds\": 20, \"delta\": 1e-5, "
                          "\"included\": \""),
        FM_OK);
    for (int i = 0; i < 400; i++)
        CU_ASSERT_EQUAL_FATAL(fm_buf_printf(&b, "%d", i % 3 == 0), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_buf_printf(&b, "\", \"scores\": [0"), FM_OK);
    for (int i = 0; i < 399; i++)
        CU_ASSERT_EQUAL_FATAL(fm_buf_printf(&b, ", %d", i % 3 == 2), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_buf_printf(&b, "]}"), FM_OK);
    b.data[strcspn((char *)b.data, "[") + 1] = '1';
    put(&d, "audit.json", (const char *)b.data);
    CU_ASSERT_EQUAL(run(&d, FEDMOE_DP, "audit.json"), 1);
    CU_ASSERT(says(&d, "VIOLATED: epsilon is at least"));
    CU_ASSERT_EQUAL(run(&d, FEDMOE_DP, "audit.json --json"), 1);
    CU_ASSERT(says(&d, "\"consistent\": false"));
    fm_buf_fini(&b);
}

static void a_program_audits_its_own_noise(void)
{
    desk d;

    open_desk(&d);
    CU_ASSERT_EQUAL(run(&d, FEDMOE_DP,
                        "--noise-multiplier 4 --sampling-rate 0.5 --steps 10 --canaries 500 "
                        "--confidence 0.999999 --delta 1e-10"),
                    0);
    CU_ASSERT(says(&d, "500 canaries, 10 rounds at noise multiplier 4 and sampling rate 0.5"));
    CU_ASSERT(says(&d, "consistent"));
    /* Twenty canaries can show next to nothing, and it is said. */
    CU_ASSERT_EQUAL(
        run(&d, FEDMOE_DP, "--noise-multiplier 1 --canaries 20 --delta 1e-10 --confidence 0.99"),
        0);
    CU_ASSERT(says(&d, "this audit shows nothing"));
}

static void wrong_usage_and_bad_files_are_told(void)
{
    desk d;

    open_desk(&d);
    CU_ASSERT_EQUAL(run(&d, FEDMOE_DP, ""), 2);
    CU_ASSERT(says(&d, "give a FILE, or --noise-multiplier"));
    CU_ASSERT_EQUAL(run(&d, FEDMOE_DP, "--noise-multiplier 1"), 2);
    CU_ASSERT_EQUAL(run(&d, FEDMOE_DP, "records.csv --noise-multiplier 1 --delta 1e-5"), 2);
    CU_ASSERT_EQUAL(run(&d, FEDMOE_DP, "records.csv"), 1);
    CU_ASSERT(says(&d, "records.csv"));
    CU_ASSERT_EQUAL(run(&d, FEDMOE_NODE, "--epsilon 1 --noise-multiplier 2"), 2);
    CU_ASSERT_EQUAL(run(&d, FEDMOE_NODE, "--rounds 0"), 2);
    CU_ASSERT_EQUAL(run(&d, FEDMOE_NODE, "--canaries 90000"), 1);
    CU_ASSERT(says(&d, "need as many parameters"));
    put(&d, "plan.json",
        "{\"task\": \"training\", \"noise_multiplier\": 0, \"rounds\": 3, "
        "\"sampling_rate\": 0.5, \"clip_norm\": 1, \"delta\": 1e-5}");
    CU_ASSERT_EQUAL(run(&d, FEDMOE_NODE, ""), 1);
    CU_ASSERT(says(&d, "no noise"));
}

static const fm_test tests[] = {
    { "a node audits itself, and anyone judges the file (false alarm: below 3e-6)",
      a_node_audits_itself_and_anyone_judges_the_file },
    { "a unit may be a column (false alarm: below 2e-6)", a_unit_may_be_a_column },
    { "a file that shows too much is exit code 1", a_file_that_shows_too_much_is_exit_code_1 },
    { "a program audits its own noise (false alarm: below 1e-6)", a_program_audits_its_own_noise },
    { "wrong usage and bad files are told", wrong_usage_and_bad_files_are_told },
};

const fm_test_suite suite_audit_program = { "audit.program", tests, FM_TEST_COUNT(tests) };
