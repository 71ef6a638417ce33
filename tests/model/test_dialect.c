/* One institution's way to write its files. */
#include <iconv.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/model/table.h"
#include "fm_test.h"
#include "suites.h"

#define SCHEMA                                                                   \
    "name: t\n"                                                                  \
    "columns:\n"                                                                 \
    "  - {name: size, kind: numeric, range: [-5000, 5000]}\n"                    \
    "  - {name: seen, kind: date, range: [2000-01-01, 2030-12-31]}\n"            \
    "  - {name: ward, kind: categorical, values: [nord, s\303\274d, \"1,5\"]}\n" \
    "  - {name: y, kind: label, negative: [0], positive: [1]}\n"
#define PLAIN                         \
    "size,seen,ward,y\n"              \
    "1234.5,2024-12-31,nord,0\n"      \
    "-0.25,2001-02-03,s\303\274d,1\n" \
    ",2010-10-10,\"1,5\",0\n"
#define HEADER "size;seen;ward;y\n"

static fm_status dialect_of(const char *yaml, fm_dialect *out)
{
    fm_yaml *doc = NULL;
    fm_status st = fm_yaml_parse("node.yaml", yaml, strlen(yaml), &doc);

    if (st == FM_OK)
        st = fm_dialect_read(fm_yaml_root(doc), out);
    fm_yaml_free(&doc);
    return st;
}

/* @return what loading says; *out must be freed when it is FM_OK. */
static fm_status load(const char *yaml, const char *csv, size_t len, fm_table *out)
{
    fm_dialect d = { 0 };
    fm_schema *schema = NULL;
    fm_table_options o = { .labels = true, .dialect = yaml ? &d : NULL };
    fm_status st;

    CU_ASSERT_EQUAL_FATAL(fm_schema_parse("s.yaml", SCHEMA, strlen(SCHEMA), &schema), FM_OK);
    if (yaml)
        CU_ASSERT_EQUAL_FATAL(dialect_of(yaml, &d), FM_OK);
    st = fm_table_parse("d.csv", csv, len, schema, &o, out);
    fm_schema_free(&schema);
    fm_dialect_fini(&d);
    return st;
}

/* The records of PLAIN, bit by bit; the first of them stands on line `line`. */
static void same_n(const char *yaml, const char *csv, size_t len, size_t line)
{
    fm_table a = { 0 }, b = { 0 };

    CU_ASSERT_EQUAL_FATAL(load(NULL, PLAIN, strlen(PLAIN), &a), FM_OK);
    if (load(yaml, csv, len, &b) != FM_OK) {
        CU_FAIL("the records were refused");
        printf("    %s: %s\n", yaml, fm_error_text());
    } else {
        CU_ASSERT_EQUAL_FATAL(b.rows, a.rows);
        CU_ASSERT_EQUAL(memcmp(a.x, b.x, a.rows * a.features * sizeof *a.x), 0);
        CU_ASSERT_EQUAL(memcmp(a.y, b.y, a.rows * sizeof *a.y), 0);
        CU_ASSERT_EQUAL(b.lines[0], line);
    }
    fm_table_fini(&a);
    fm_table_fini(&b);
}

static void same(const char *yaml, const char *csv, size_t line)
{
    same_n(yaml, csv, strlen(csv), line);
}

/* Refused, with this in the text. */
static void refused_n(const char *yaml, const char *csv, size_t len, const char *text)
{
    fm_table t = { 0 };

    CU_ASSERT_EQUAL(load(yaml, csv, len, &t), FM_EPARSE);
    if (!strstr(fm_error_text(), text)) {
        CU_FAIL("another text");
        printf("    wanted %s, said: %s\n", text, fm_error_text());
    }
    fm_table_fini(&t);
}

static void refused(const char *yaml, const char *csv, const char *text)
{
    refused_n(yaml, csv, strlen(csv), text);
}

static void a_german_spreadsheet_is_the_same_records(void)
{
    same("{delimiter: \";\", decimal: \",\", thousands: \".\", dates: DMY, encoding: windows-1252}",
         "size;seen;ward;y\r\n1.234,5;31.12.2024;nord;0\r\n-0,25;3.2.2001;s\374"
         "d;1\r\n;10.10.2010;1,5;0\r\n",
         2);
}

static void marks_of_thousands_may_be_any_space(void)
{
    same("{thousands: \" \", decimal: \",\", delimiter: \";\"}",
         HEADER "1\xc2\xa0"
                "234,5;2024-12-31;nord;0\n-0,25;2001-02-03;s\303\274d;1\n;2010-10-10;1,5;0\n",
         2);
    same("{thousands: \" \"}",
         "size,seen,ward,y\n1\xe2\x80\xaf"
         "234.5,2024-12-31,nord,0\n-0.25,2001-02-03,s\303\274d,1\n,2010-10-10,\"1,5\",0\n",
         2);
}

static void lines_that_are_passed_over_keep_their_numbers(void)
{
    same("{skip_lines: 2, comment: \"#\"}",
         "Clinic \"A, a quote left open\nexported 2024\n"
         "size,seen,ward,y\n# a \"remark\n1234.5,2024-12-31,nord,0\n"
         "-0.25,2001-02-03,s\303\274d,1\n,2010-10-10,\"1,5\",0\n#end",
         5);
    /* Within a quoted cell no line is a remark. */
    refused("{comment: \"#\"}", "size,seen,ward,y\n1,2024-12-31,\"nord\n#\",0\n",
            "d.csv:2, column ward");
}

static void without_a_header_the_order_is_the_schemas(void)
{
    same("{header: false}", strchr(PLAIN, '\n') + 1, 1);
}

static void further_texts_may_mean_missing(void)
{
    same("{missing: [NA, \"-9\"]}",
         "size,seen,ward,y\n1234.5,2024-12-31,nord,0\n-0.25,2001-02-03,s\303\274d,1\n"
         "-9,2010-10-10,\"1,5\",0\n",
         2);
    refused("{missing: [NA]}", "size,seen,ward,y\n1,2024-12-31,nord,NA\n",
            "column y: \"NA\" is neither");
}

static void days_may_have_a_time_and_another_order(void)
{
    same("{dates: MDY}",
         "size,seen,ward,y\n1234.5,12/31/2024 08:15,nord,0\n-0.25,2/3/2001,s\303\274d,1\n"
         ",10/10/2010,\"1,5\",0\n",
         2);
    same("{dates: YMD}",
         "size,seen,ward,y\n1234.5,2024-12-31 "
         "00:00:00.000,nord,0\n-0.25,2001-02-03T10:00:00Z,s\303\274"
         "d,1\n,2010/10/10,\"1,5\",0\n",
         2);
}

/* Text in another encoding. @return bytes. */
static size_t encoded(const char *encoding, const char *text, char *out, size_t room)
{
    iconv_t cd = iconv_open(encoding, "UTF-8");
    char *in = (char *)(uintptr_t)text, *to = out;
    size_t in_left = strlen(text), out_left = room;

    CU_ASSERT_FATAL(cd != (iconv_t)-1);
    CU_ASSERT_EQUAL_FATAL(iconv(cd, &in, &in_left, &to, &out_left), 0);
    (void)iconv_close(cd);
    return room - out_left;
}

static void encodings_are_read(void)
{
    char bytes[1024];

    same_n("{encoding: UTF-16}", bytes, encoded("UTF-16", PLAIN, bytes, sizeof bytes), 2);
    same_n("{encoding: UTF-16BE}", bytes, encoded("UTF-16BE", PLAIN, bytes, sizeof bytes), 2);
    refused("{encoding: UTF-16}", PLAIN, "d.csv:1: this is no UTF-16");
    same_n("{encoding: ISO-8859-1}", bytes, encoded("ISO-8859-1", PLAIN, bytes, sizeof bytes), 2);
    same("{encoding: UTF-8}", "\xef\xbb\xbf" PLAIN, 2);
}

/* CP1258 waits with a letter for what may combine with it, also with the file's last one. */
static void the_last_character_is_not_lost(void)
{
    fm_table t = { 0 };
    static const char csv[] = "ward,size,seen,y\nnord,1,2024-12-31,0\nnord,2,2024-12-31,A";

    CU_ASSERT_EQUAL(load("{encoding: CP1258}", csv, sizeof csv - 1, &t), FM_EPARSE);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "d.csv:3, column y: \"A\""));
    fm_table_fini(&t);
}

static void remarks_may_follow_a_byte_order_mark(void)
{
    same("{comment: \"#\"}", "\xef\xbb\xbf# remark\n" PLAIN, 3);
    same("{skip_lines: 1, encoding: UTF-8}", "\xef\xbb\xbfTitle\n" PLAIN, 3);
}

static void what_is_no_text_of_the_encoding_is_named(void)
{
    char bytes[1024];
    const size_t n = encoded("UTF-16LE", PLAIN, bytes, sizeof bytes);

    refused("{encoding: UTF-8}",
            "size,seen,ward,y\n1,2024-12-31,s\374"
            "d,0\n",
            "d.csv:2: byte 0xfc is no UTF-8 here; what it is encoded in is data.csv.encoding in "
            "node.yaml");
    refused_n("{encoding: UTF-16LE}", bytes, n - 1, "the file ends within a character");
    refused("{encoding: UTF-8}", "size,seen,ward,y\n1,2024-12-31,nord,0\n\xc3",
            "d.csv:3: the file ends within a character");
}

/* A file of more than one block, in pieces of which some end within a character. */
static void long_files_are_read_in_pieces(void)
{
    enum { ROWS = 60000 };
    fm_buf b = { 0 };
    fm_table t = { 0 };
    char *bytes;
    size_t n;

    CU_ASSERT_EQUAL_FATAL(fm_buf_printf(&b, HEADER), FM_OK);
    for (int i = 0; i < ROWS; i++)
        CU_ASSERT_EQUAL_FATAL(fm_buf_printf(&b,
                                            "%d,5;31.12.2024;s\303\274"
                                            "d;%d\n",
                                            i % 4000, i % 2),
                              FM_OK);
    bytes = malloc(2 * b.len);
    CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
    n = encoded("UTF-16LE", (const char *)b.data, bytes, 2 * b.len);
    CU_ASSERT_EQUAL(
        load("{encoding: UTF-16LE, delimiter: \";\", decimal: \",\", dates: DMY}", bytes, n, &t),
        FM_OK);
    CU_ASSERT_EQUAL_FATAL(t.rows, ROWS);
    CU_ASSERT_EQUAL(t.lines[ROWS - 1], ROWS + 1);
    fm_table_fini(&t);
    free(bytes);
    fm_buf_fini(&b);
}

/* What could be read in two ways is an error, never a guess. */
static void nothing_is_guessed(void)
{
#define ROW(size) HEADER size ";2024-12-31;nord;0\n"
    static const char *const numbers[] = { "1.5",    "1.50",   "12.34,5", "1234.567",
                                           "1.2345", "1.23",   "1,2,3",   "1.234.5",
                                           "1,5 mg", ".",      "1e",      "--1",
                                           ",",      "1.234,", "+",       "1 234" };
    char csv[128];

    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        (void)snprintf(csv, sizeof csv, HEADER "%s;2024-12-31;nord;0\n", numbers[i]);
        if (strcmp(numbers[i], "1.234,") != 0) /* as 1234. is a number */
            refused("{delimiter: \";\", decimal: \",\", thousands: \".\"}", csv,
                    "d.csv:2, column size: ");
    }
    refused("{delimiter: \";\", decimal: \",\", thousands: \".\"}", ROW("0.999"),
            "\"0.999 [decimal is ',']\" is not a number");
    refused("{delimiter: \";\", decimal: \",\", thousands: \".\"}", ROW("0.500,25"), "column size");
    refused("{delimiter: \";\", decimal: \",\"}", ROW("1.234"),
            "\"1.234 [decimal is ',']\" is not a number");
    refused("{dates: DMY}", PLAIN, "\"2024-12-31 [dates are DMY]\" is not a date");
    refused(
        "{dates: DMY}", "size,seen,ward,y\n1,12/31/2024,nord,0\n",
        "\"12/31/2024 [dates are DMY]\" is not a date (YYYY-MM-DD); day and month the other way "
        "round? Then say csv: {dates: MDY}");
    refused("{dates: MDY}", "size,seen,ward,y\n1,31/12/2024,nord,0\n", "{dates: DMY}");
    refused("{dates: DMY}", "size,seen,ward,y\n1,31.02.2024,nord,0\n", "no such day");
    refused("{dates: DMY}", "size,seen,ward,y\n1,1.2.24,nord,0\n", "\"1.2.24\" is not a date");
    refused("{dates: DMY}", "size,seen,ward,y\n1,1.2/2024,nord,0\n", "\"1.2/2024\" is not a date");
    refused("{}", "size,seen,ward,y\n1,2024-12-31 08:15,nord,0\n", "csv: {dates: YMD}");
    refused("{}", "size,seen,ward,y\n\"1,5\",2024-12-31,nord,0\n", "csv: {decimal: \",\"}");
    refused("{}", HEADER "1;2024-12-31;nord;0\n", "csv: {delimiter: \";\"}");
}

static void bad(const char *yaml, const char *text)
{
    fm_dialect d = { 0 };

    CU_ASSERT_EQUAL(dialect_of(yaml, &d), FM_EPARSE);
    if (!strstr(fm_error_text(), text)) {
        CU_FAIL("another text");
        printf("    %s said: %s\n", yaml, fm_error_text());
    }
    CU_ASSERT(!d.encoding && !d.missing);
}

static void what_cannot_be_is_refused(void)
{
    bad("[1]", "csv must be a mapping");
    bad("{delimeter: x}", "delimiter");
    bad("{delimiter: \",,\"}", "delimiter must be one of");
    bad("{decimal: \";\"}", "decimal must be one of");
    bad("{thousands: \".\"}", "thousands and decimal cannot both be \".\"");
    bad("{decimal: \",\", thousands: \",\"}", "cannot both be \",\"");
    bad("{dates: german}", "DMY (31.12.2024)");
    bad("{encoding: klingon}", "encoding \"klingon\" is not known here");
    bad("{encoding: UTF-8//IGNORE}", "is not known here");
    bad("{skip_lines: -1}", "skip_lines");
    bad("{comment: rem}", "comment must be one of");
    bad("{missing: NA, encoding: UTF-8}", "missing");
    bad("{header: maybe}", "header");
}

static const fm_test tests[] = {
    { "a German spreadsheet is the same records", a_german_spreadsheet_is_the_same_records },
    { "marks of thousands may be any space", marks_of_thousands_may_be_any_space },
    { "lines that are passed over keep their numbers",
      lines_that_are_passed_over_keep_their_numbers },
    { "without a header the order is the schema's", without_a_header_the_order_is_the_schemas },
    { "further texts may mean missing", further_texts_may_mean_missing },
    { "days may have a time and another order", days_may_have_a_time_and_another_order },
    { "encodings are read", encodings_are_read },
    { "the last character is not lost", the_last_character_is_not_lost },
    { "remarks may follow a byte order mark", remarks_may_follow_a_byte_order_mark },
    { "what is no text of the encoding is named", what_is_no_text_of_the_encoding_is_named },
    { "long files are read in pieces", long_files_are_read_in_pieces },
    { "nothing is guessed", nothing_is_guessed },
    { "what cannot be is refused", what_cannot_be_is_refused },
};

const fm_test_suite suite_dialect = { "model.dialect", tests, FM_TEST_COUNT(tests) };
