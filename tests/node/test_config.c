#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/file.h"
#include "fedmoe/node/config.h"
#include "suites.h"
#include "world.h"

static const char good[] = "name: cleveland\n"
                           "aggregator:\n"
                           "  door: tcp://127.0.0.1:7300\n"
                           "  door_key: \"rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7\"\n"
                           "identity: .\n"
                           "data:\n"
                           "  name: cleveland-cardiology\n"
                           "  records: records.csv\n"
                           "ledger: /var/lib/ledger.db\n"
                           "policy:\n"
                           "  epsilon: 1.5\n"
                           "  delta: 1.0e-4\n"
                           "  purposes: [\"heart disease risk\", \"audit\"]\n"
                           "  unit: patient_nbr\n"
                           "  min_cohort: 4\n"
                           "  min_colluders: 2\n"
                           "  max_rows: 500\n";

/** Load `text` as node.yaml of a fresh folder (in path). */
static fm_status load(const char *text, char path[PATH_CAP], fm_node_config *c)
{
    char dir[PATH_CAP];

    fm_test_tmpdir(dir, sizeof dir);
    make_path(path, dir, "node.yaml");
    need(fm_file_create(path, text, strlen(text), 0600) == FM_OK, "a file");
    return fm_node_config_load(path, c);
}

static void every_key_is_read(void)
{
    fm_node_config c = { 0 };
    char path[PATH_CAP], want[PATH_CAP], key[41];

    CU_ASSERT_EQUAL_FATAL(load(good, path, &c), FM_OK);
    CU_ASSERT_STRING_EQUAL(c.name, "cleveland");
    CU_ASSERT_STRING_EQUAL(c.door, "tcp://127.0.0.1:7300");
    fm_curve_text(c.door_public, key);
    CU_ASSERT_STRING_EQUAL(key, "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7");
    CU_ASSERT_STRING_EQUAL(c.data_set, "cleveland-cardiology");
    CU_ASSERT_STRING_EQUAL(c.ledger, "/var/lib/ledger.db");
    *strrchr(path, '/') = '\0';
    make_path(want, path, "records.csv");
    CU_ASSERT_STRING_EQUAL(c.records, want);
    CU_ASSERT_STRING_EQUAL(c.dir, path);
    CU_ASSERT_EQUAL(c.policy.epsilon, 1.5);
    CU_ASSERT_EQUAL(c.policy.delta, 1e-4);
    CU_ASSERT_EQUAL_FATAL(c.policy.purpose_count, 2);
    CU_ASSERT_STRING_EQUAL(c.policy.purposes[1], "audit");
    CU_ASSERT_STRING_EQUAL(c.policy.unit, "patient_nbr");
    CU_ASSERT_STRING_EQUAL(fm_node_policy_unit_column(&c.policy), "patient_nbr");
    CU_ASSERT_EQUAL(c.policy.min_cohort, 4);
    CU_ASSERT_EQUAL(c.policy.min_colluders, 2);
    CU_ASSERT_EQUAL(c.policy.max_rows, 500);
    fm_node_config_fini(&c);
    fm_node_config_fini(&c); /* twice is fine */
}

/** `good` with the first `from` replaced by `to`. */
static char *edited(const char *from, const char *to)
{
    const char *at = strstr(good, from);
    size_t len = sizeof good + strlen(to), head;
    char *out = malloc(len);

    need(at && out, "an edit");
    head = (size_t)(at - good);
    (void)snprintf(out, len, "%.*s%s%s", (int)head, good, to, at + strlen(from));
    return out;
}

/** The edit is refused, in that line, with that word. */
static void check_edit(const char *from, const char *to, unsigned line, const char *word)
{
    fm_node_config c = { 0 };
    char path[PATH_CAP], where[PATH_CAP + 16];
    char *text = edited(from, to);

    CU_ASSERT_EQUAL(load(text, path, &c), FM_EPARSE);
    (void)snprintf(where, sizeof where, "%s:%u:", path, line);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), where));
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), word));
    if (!strstr(fm_error_text(), where) || !strstr(fm_error_text(), word))
        printf("\n    not %s ... %s: %s\n", where, word, fm_error_text());
    CU_ASSERT_PTR_NULL(c.door);
    free(text);
}

static void an_unknown_key_is_named_with_its_line(void)
{
    check_edit("identity: .", "identity: .\nidentty: .", 6, "identty");
    check_edit("  door_key", "  port: 1\n  door_key", 4, "port");
    check_edit("  epsilon: 1.5", "  epsilon: 1.5\n  epsilonn: 1", 12, "epsilonn");
    check_edit("  records: ", "  record: ", 8, "record");
}

static void a_wrong_value_is_named_with_its_line(void)
{
    check_edit("cleveland\n", "Cleveland Clinic\n", 1, "Cleveland Clinic");
    check_edit("tcp://127.0.0.1:7300", "127.0.0.1:7300", 3, "tcp://");
    check_edit("tcp://127.0.0.1:7300", "tcp://127.0.0.1", 3, "tcp://");
    check_edit("rq:rM", "rq", 4, "40 characters");
    check_edit("1.5", "lots", 11, "epsilon");
    check_edit("1.5", "0", 11, "epsilon");
    check_edit("1.5", "1001", 11, "epsilon");
    check_edit("1.0e-4", "0.5", 12, "delta");
    check_edit("min_cohort: 4", "min_cohort: 1", 15, "min_cohort");
    check_edit("min_colluders: 2", "min_colluders: -1", 16, "min_colluders");
    check_edit("max_rows: 500", "max_rows: 0", 17, "max_rows");
    check_edit("[\"heart disease risk\", \"audit\"]", "[]", 13, "purposes");
    check_edit("[\"heart disease risk\", \"audit\"]", "heart", 13, "purposes");
    check_edit("cleveland-cardiology", "\"a\\tb\"", 7, "control");
    check_edit("patient_nbr", "\"\"", 14, "unit");
    check_edit("patient_nbr", "\"a\\tb\"", 14, "control");
    check_edit("patient_nbr", "a234567890123456789012345678901234567890123456789012345678901234",
               14, "63 bytes");
}

static void a_page_is_for_this_machine_alone(void)
{
    static const char *const bad[] = {
        "0.0.0.0:7391",     "192.168.1.5:7391", "localhost:7391",      "[::]:7391",
        "127.0.0.1",        "127.0.0.1:70000",  "127.0.0.1:http",      ":7391",
        "127.0.0.1.x:7391", "128.0.0.1:7391",   "[::ffff:7f00:1]:7391"
    };
    static const char *const fine[] = { "127.0.0.1:7391", "127.8.9.10:0", "[::1]:7391" };
    fm_node_config c = { 0 };
    char path[PATH_CAP], edit[128], *text;

    for (unsigned i = 0; i < FM_TEST_COUNT(bad); i++) {
        (void)snprintf(edit, sizeof edit, "identity: .\npage: {listen: \"%s\"}", bad[i]);
        check_edit("identity: .", edit, 6, "address of this machine alone");
    }
    check_edit("identity: .", "identity: .\npage: {port: 1}", 6, "port");
    for (unsigned i = 0; i < FM_TEST_COUNT(fine); i++) {
        (void)snprintf(edit, sizeof edit, "identity: .\npage: {listen: \"%s\"}", fine[i]);
        text = edited("identity: .", edit);
        CU_ASSERT_EQUAL_FATAL(load(text, path, &c), FM_OK);
        CU_ASSERT_STRING_EQUAL(c.page, fine[i]);
        fm_node_config_fini(&c);
        free(text);
    }
    CU_ASSERT_EQUAL_FATAL(load(good, path, &c), FM_OK);
    CU_ASSERT_PTR_NULL(c.page);
    fm_node_config_fini(&c);
}

static void a_missing_key_is_named(void)
{
    static const char *const lines[] = { "name: cleveland\n", "identity: .\n", "  delta: 1.0e-4\n",
                                         "  door: tcp://127.0.0.1:7300\n",
                                         "  purposes: [\"heart disease risk\", \"audit\"]\n" };
    static const char *const keys[] = { "name", "identity", "delta", "door", "purposes" };

    for (unsigned i = 0; i < 5; i++) {
        fm_node_config c = { 0 };
        char path[PATH_CAP], *text = edited(lines[i], "");

        CU_ASSERT_EQUAL(load(text, path, &c), FM_EPARSE);
        CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), keys[i]));
        free(text);
    }
}

static void keys_with_a_default_may_be_left_out(void)
{
    char path[PATH_CAP],
        *text = edited("  min_cohort: 4\n  min_colluders: 2\n  max_rows: 500\n", "");
    fm_node_config c = { 0 };

    CU_ASSERT_EQUAL_FATAL(load(text, path, &c), FM_OK);
    CU_ASSERT_EQUAL(c.policy.min_cohort, 3);
    CU_ASSERT_EQUAL(c.policy.min_colluders, 1);
    CU_ASSERT_EQUAL(c.policy.max_rows, 100000);
    fm_node_config_fini(&c);
    free(text);
}

#define TASK(name) FM_NODE_TASK(FM_TASK_##name)

/** `good` with policy.tasks as its last line. */
static char *with_tasks(const char *list)
{
    char to[256];

    (void)snprintf(to, sizeof to, "  max_rows: 500\n  tasks: %s\n", list);
    return edited("  max_rows: 500\n", to);
}

static void tasks_are_read_and_are_training_alone_by_default(void)
{
    static const struct {
        const char *list;
        uint32_t tasks;
    } cases[] = {
        { "[training]", TASK(TRAINING) },
        { "[statistics]", TASK(STATISTICS) },
        { "[evaluation, statistics]", TASK(STATISTICS) | TASK(EVALUATION) },
        { "[evaluation, evaluation]", TASK(EVALUATION) },
        { "[training, statistics, evaluation]",
          TASK(TRAINING) | TASK(STATISTICS) | TASK(EVALUATION) },
    };
    fm_node_config c = { 0 };
    char path[PATH_CAP];

    CU_ASSERT_EQUAL_FATAL(load(good, path, &c), FM_OK);
    CU_ASSERT_EQUAL(c.policy.tasks, TASK(TRAINING));
    fm_node_config_fini(&c);
    for (size_t i = 0; i < FM_TEST_COUNT(cases); i++) {
        char *text = with_tasks(cases[i].list);

        CU_ASSERT_EQUAL_FATAL(load(text, path, &c), FM_OK);
        CU_ASSERT_EQUAL(c.policy.tasks, cases[i].tasks);
        fm_node_config_fini(&c);
        free(text);
    }
}

static void masks_are_read_and_may_be_sparse_by_default(void)
{
    static const char *const lines[] = { "", "  masks: sparse\n", "  masks: all\n" };
    fm_node_config c = { 0 };
    char path[PATH_CAP], to[64];

    for (size_t i = 0; i < 3; i++) {
        char *text;

        (void)snprintf(to, sizeof to, "  max_rows: 500\n%s", lines[i]);
        text = edited("  max_rows: 500\n", to);
        CU_ASSERT_EQUAL_FATAL(load(text, path, &c), FM_OK);
        CU_ASSERT_EQUAL(c.policy.all_masks, i == 2);
        fm_node_config_fini(&c);
        free(text);
    }
    check_edit("  max_rows: 500\n", "  max_rows: 500\n  masks: some\n", 18, "sparse");
}

/** A wrong word must not be read as another task, nor leave the default in place unsaid. */
static void a_wrong_task_is_named_with_its_line(void)
{
    static const struct {
        const char *list, *word;
    } cases[] = {
        { "[]", "tasks must list" },
        { "training", "tasks" },
        { "[trainin]", "'trainin' is not known" },
        { "[training, Statistics]", "'Statistics' is not known" },
        { "[statistics, \"\"]", "'' is not known" },
        { "[{statistics: true}]", "" },
        { "{statistics: true}", "tasks" },
    };

    for (size_t i = 0; i < FM_TEST_COUNT(cases); i++) {
        char to[256];

        (void)snprintf(to, sizeof to, "  max_rows: 500\n  tasks: %s\n", cases[i].list);
        check_edit("  max_rows: 500\n", to, 18, cases[i].word);
    }
    check_edit("  max_rows", "  task: [statistics]\n  max_rows", 17, "task");
}

static void a_missing_file_is_named(void)
{
    fm_node_config c = { 0 };

    CU_ASSERT_EQUAL(fm_node_config_load("/nowhere/node.yaml", &c), FM_ENOTFOUND);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "/nowhere/node.yaml"));
}

/* Of texts: several files, each once. */
static void texts_may_lie_in_several_files(void)
{
    static const struct {
        const char *records, *model, *want; /* NULL: it is taken */
    } cases[] = {
        { "[a.csv, b.csv, c.csv]", "model: base\n", NULL },
        { "[a.csv]", "", NULL },
        { "[a.csv, b.csv]", "", "no model is named" },
        { "[a.csv, b.csv, a.csv]", "model: base\n", "'a.csv' twice" },
        { "[a.csv, [b.csv]]", "model: base\n", "node.yaml:8:20" },
        { "{a: b.csv}", "model: base\n", "'a'" },
        { "{sqlite: a.db, query: select 1}", "model: base\n", "must be files" },
        { "[]", "model: base\n", "records" },
    };
    const char *files[FM_NODE_MAX_FILES];
    char path[PATH_CAP], text[4096];

    for (size_t i = 0; i < FM_TEST_COUNT(cases); i++) {
        const char *at = strstr(good, "records.csv");
        fm_node_config c = { 0 };
        fm_status st;

        (void)snprintf(text, sizeof text, "%.*s%s%s%s", (int)(at - good), good, cases[i].records,
                       at + strlen("records.csv"), cases[i].model);
        st = load(text, path, &c);
        CU_ASSERT_EQUAL(st == FM_OK, cases[i].want == NULL);
        if (st != FM_OK && !strstr(fm_error_text(), cases[i].want))
            CU_FAIL(cases[i].want);
        if (st == FM_OK) {
            const size_t count = fm_node_config_files(&c, files);

            CU_ASSERT_EQUAL(count, i == 0 ? 3 : 1);
            CU_ASSERT_STRING_EQUAL(strrchr(files[count - 1], '/'), i == 0 ? "/c.csv" : "/a.csv");
            CU_ASSERT_EQUAL(fm_node_config_one_file(&c), i == 0 ? FM_EINVAL : FM_OK);
        }
        fm_node_config_fini(&c);
    }
}

/* In the place of a file: one database, and one query. */
static void records_may_be_a_query(void)
{
    static const struct {
        const char *records, *want; /* NULL: it is taken */
    } cases[] = {
        { "{sqlite: a.db, query: select 1}", NULL },
        { "{odbc: \"DSN=clinic\", query: select 1}", NULL },
        { "{connection_file: c, query: select 1}", NULL },
        { "{sqlite: a.db, odbc: b, query: select 1}", "one of sqlite, odbc" },
        { "{query: select 1}", "one of sqlite, odbc" },
        { "{sqlite: a.db}", "a query or a query_file" },
        { "{sqlite: a.db, query: a, query_file: b}", "a query or a query_file" },
        { "{sqlite: a.db, query_file: no-such-file}", "no-such-file" },
        { "{sqlite: a.db, query: a, password: b}", "password" },
    };
    const char *at = strstr(good, "records.csv"), *files[FM_NODE_MAX_FILES];
    char path[PATH_CAP], text[4096];

    for (size_t i = 0; i < FM_TEST_COUNT(cases); i++) {
        fm_node_config c = { 0 };
        fm_status st;

        (void)snprintf(text, sizeof text, "%.*s%s%s", (int)(at - good), good, cases[i].records,
                       at + strlen("records.csv"));
        st = load(text, path, &c);
        CU_ASSERT_EQUAL(st == FM_OK, cases[i].want == NULL);
        if (st != FM_OK && (!cases[i].want || !strstr(fm_error_text(), cases[i].want)))
            CU_FAIL(cases[i].records);
        if (st == FM_OK) {
            CU_ASSERT_EQUAL(fm_node_config_files(&c, files), 0);
            CU_ASSERT_STRING_EQUAL(c.database.query, "select 1");
            CU_ASSERT_PTR_NOT_NULL(
                strstr(fm_node_config_records_name(&c), i == 0 ? "/a.db" : "over ODBC"));
        }
        fm_node_config_fini(&c);
    }
}

static const fm_test tests[] = {
    { "texts may lie in several files", texts_may_lie_in_several_files },
    { "records may be a query", records_may_be_a_query },
    { "every key is read", every_key_is_read },
    { "an unknown key is named with file and line", an_unknown_key_is_named_with_its_line },
    { "a wrong value is named with file and line", a_wrong_value_is_named_with_its_line },
    { "a page is for this machine alone", a_page_is_for_this_machine_alone },
    { "a missing key is named", a_missing_key_is_named },
    { "keys with a default may be left out", keys_with_a_default_may_be_left_out },
    { "masks are read, and may be sparse by default", masks_are_read_and_may_be_sparse_by_default },
    { "tasks are read, and are training alone by default",
      tasks_are_read_and_are_training_alone_by_default },
    { "a wrong task is named with file and line", a_wrong_task_is_named_with_its_line },
    { "a missing file is named", a_missing_file_is_named },
};

const fm_test_suite suite_config = { "node.config", tests, FM_TEST_COUNT(tests) };
