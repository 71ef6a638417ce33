/* Texts of CSV files. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "corpus_fixture.h"
#include "fm_test.h"
#include "suites.h"

#define HEAD "name: t\nsource: csv\n"

static void cells_of_any_dialect(void)
{
    const corpus_case plain = { .schema = HEAD "text: note\nunit: record\n" };
    const corpus_case semicolons = { .schema = HEAD
                                     "csv: {delimiter: \";\"}\ntext: note\nunit: record\n" };
    const corpus_case bare = { .schema = HEAD "csv: {header: false, columns: [who, note], "
                                              "delimiter: \"|\"}\ntext: note\nunit: who\n" };

    CORPUS_GIVES(&plain, "\xef\xbb\xbfid,note\r\n1,\"two\nlines, \"\"quoted\"\" \"\r\n2, b \r\n",
                 "two\nlines, \"quoted\" $|b$");
    CORPUS_GIVES(&semicolons, "note;id\na,b;1\n\"c;d\";2", "a,b$|c;d$");
    CORPUS_GIVES(&bare, "w|one\nv|two\nw|three\n", "one$/three$|two$");
}

static void a_template_joins_columns(void)
{
    const corpus_case c = { .schema =
                                HEAD "template: \"Q: {q}\\nA: {{{a}}} {q}.\"\nunit: record\n" };
    static const char data[] = "a,q\n1,x\n,y\n2,\n\" \",\n";
    fm_corpus *got;

    CORPUS_GIVES(&c, data, "Q: x\nA: {1} x.$|Q: y\nA: {} y.$|Q: \nA: {2} .$");
    got = corpus_read(&c, data, sizeof data - 1); /* where all cells are empty, the text is */
    CU_ASSERT_PTR_NOT_NULL_FATAL(got);
    CU_ASSERT_EQUAL(got->documents, 4);
    CU_ASSERT_EQUAL(got->empty, 1);
    fm_corpus_free(&got);
}

static void a_header_that_does_not_fit(void)
{
    const corpus_case c = { .schema = HEAD "text: note\nunit: who\n" };

    CORPUS_REFUSES(&c, "who,text\n1,SECRET\n", "data:1, column note: the header does not have it");
    CORPUS_REFUSES(&c, "note,NOTE,who,who\nSECRET,SECRET,1,1\n",
                   "data:1, column who: the header has it twice");
    CORPUS_REFUSES(&c, "note;who\nSECRET;1\n", "is csv.delimiter right?");
    CORPUS_REFUSES(&c, "", "there is no text among 0 records");
}

static void rows_that_are_wrong(void)
{
    const corpus_case c = { .schema = HEAD "text: note\nunit: who\n" };
    static const char nul[] = "who,note\n1,SECRET\n2,SEC\0RET\n";

    CORPUS_REFUSES(&c, "who,note\n1,a\n2,SECRET,\n\n3\n4,SECRET\n",
                   "data:3: 3 fields where 2 belong\ndata:5: 1 field where 2 belong");
    CORPUS_REFUSES(&c, "who,note\n1,\"a\nb\"\n,SECRET\n\" \t\",SECRET\n",
                   "data:4, column who: empty; every row needs its who: it says whose record it "
                   "is\ndata:5, column who: empty");
    CORPUS_REFUSES(&c, "who,note\n1,SECRET \"x\" SECRET\n", "data:2: a quote inside a cell");
    CORPUS_REFUSES(&c, "who,note\n1,\"SECRET\n", "data:2: the quote of the record that starts");
    CORPUS_REFUSES(&c, nul, "data:3: there is a NUL byte");
}

static void problems_are_listed_up_to_a_number(void)
{
    const corpus_case c = { .schema = HEAD "text: note\nunit: who\n" };
    fm_buf data = { 0 };

    CU_ASSERT_EQUAL(fm_buf_printf(&data, "who,note\n"), FM_OK);
    for (int i = 0; i < 30; i++)
        CU_ASSERT_EQUAL(fm_buf_printf(&data, ",SECRET\n"), FM_OK);
    corpus_refuses(&c, data.data, data.len, "data:2, column who");
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "fedmoe-model corpus lists all"));
    fm_buf_fini(&data);
}

/* 200 000 rows through blocks of a bit more than a megabyte. */
static void a_file_of_many_blocks(void)
{
    const corpus_case c = { .schema = HEAD "text: note\nunit: who\n", .context = 16 };
    enum { ROWS = 200000 };
    fm_buf data = { 0 };
    fm_corpus *got;

    CU_ASSERT_EQUAL(fm_buf_printf(&data, "who,note\n"), FM_OK);
    for (int i = 0; i < ROWS; i++)
        if (fm_buf_printf(&data, "%d,\"a\nb\"\n", i % 1000))
            CU_FAIL_FATAL("no memory");
    got = corpus_read(&c, data.data, data.len);
    CU_ASSERT_PTR_NOT_NULL_FATAL(got);
    CU_ASSERT_EQUAL(got->sequences, ROWS);
    CU_ASSERT_EQUAL(got->units, 1000);
    CU_ASSERT_EQUAL(got->starts[got->sequences], 4 * ROWS);
    fm_corpus_free(&got);
    fm_buf_fini(&data);
}

static const fm_test tests[] = {
    { "cells of any dialect", cells_of_any_dialect },
    { "a template joins columns", a_template_joins_columns },
    { "a header that does not fit", a_header_that_does_not_fit },
    { "rows that are wrong", rows_that_are_wrong },
    { "problems are listed up to a number", problems_are_listed_up_to_a_number },
    { "a file of many blocks", a_file_of_many_blocks },
};

const fm_test_suite suite_corpus_csv = { "model.corpus_csv", tests, FM_TEST_COUNT(tests) };
