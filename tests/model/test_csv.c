/* The scanner against libcsv's strict mode, fed a line at a time: the same records, lines, faults. */
#include <csv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/random.h"
#include "fm_test.h"
#include "suites.h"
#include "table_csv.h"

/* What a reader made of a file: "line:cell|cell|\n" for each record, then what stopped it. */
typedef struct {
    fm_buf said;
    size_t line, start, count;
    size_t whole; /* bytes said when the last whole record was */
    bool failed;
} reading;

static void say(reading *r, const char *text, size_t len)
{
    if (fm_buf_append(&r->said, text, len))
        CU_FAIL_FATAL("no memory");
}

static void say_number(reading *r, size_t n)
{
    if (fm_buf_printf(&r->said, "%zu:", n))
        CU_FAIL_FATAL("no memory");
}

static void on_cell(void *text, size_t len, void *state)
{
    reading *r = state;

    if (!r->count++)
        say_number(r, r->start);
    if (len)
        say(r, text, len);
    say(r, "|", 1);
}

static void on_record(int end, void *state)
{
    reading *r = state;

    (void)end;
    say(r, "\n", 1);
    r->count = 0;
    r->whole = r->said.len;
}

/* libcsv tells cells before it finds a fault: those of the record at fault are dropped. */
static void fault(reading *r, const char *kind, size_t line)
{
    r->failed = true;
    r->said.len = r->whole;
    CU_ASSERT_EQUAL_FATAL(fm_buf_printf(&r->said, "%s %zu", kind, line), FM_OK);
}

static size_t line_length(const char *p, size_t left)
{
    size_t n = 0;

    while (n < left && p[n] != '\n' && p[n] != '\r')
        n++;
    if (n == left)
        return n;
    return n + (p[n] == '\r' && n + 1 < left && p[n + 1] == '\n' ? 2 : 1);
}

static void read_libcsv(reading *r, const char *text, size_t len, char delimiter)
{
    struct csv_parser p;
    bool open = false;

    CU_ASSERT_EQUAL_FATAL(csv_init(&p, CSV_STRICT | CSV_STRICT_FINI), 0);
    csv_set_delim(&p, (unsigned char)delimiter);
    while (len && !r->failed) {
        const size_t n = line_length(text, len);

        r->line++;
        if (!open)
            r->start = r->line;
        if (memchr(text, '\0', n))
            fault(r, "nul", r->line);
        else if (csv_parse(&p, text, n, on_cell, on_record, r) != n)
            fault(r, "quote", r->line);
        open = r->count || p.quoted;
        text += n;
        len -= n;
    }
    if (!r->failed && csv_fini(&p, on_cell, on_record, r) != 0)
        fault(r, "open", r->start);
    csv_free(&p);
}

/* The same words for the scanner's error texts. */
static void say_fault(reading *r)
{
    size_t line = 0;
    const char *kind = strstr(fm_error_text(), "NUL")             ? "nul"
                       : strstr(fm_error_text(), "inside a cell") ? "quote"
                       : strstr(fm_error_text(), "left open")     ? "open"
                                                                  : "?";

    CU_ASSERT_EQUAL(sscanf(fm_error_text(), "t:%zu:", &line), 1);
    fault(r, kind, line);
}

static fm_status read_block(reading *r, fm_csv_scan *scan)
{
    fm_csv_record record;
    bool got = true;
    fm_status st;

    while (!(st = fm_csv_next(scan, &record, &got)) && got) {
        r->start = record.line;
        for (size_t i = 0; i < record.count; i++) {
            if (record.cells[i].at[record.cells[i].len] != '\0')
                CU_FAIL("a cell is not terminated");
            on_cell((void *)(uintptr_t)record.cells[i].at, record.cells[i].len, r);
        }
        on_record(0, r);
    }
    return st;
}

static void read_ours(reading *r, const char *text, size_t len, char delimiter)
{
    fm_csv_source source = { 0 };
    fm_csv_scan scan = { 0 };
    fm_csv_block block;
    bool got;
    fm_status st;

    CU_ASSERT_EQUAL_FATAL(fm_csv_memory("t", text, len, &source), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_csv_block_new(&source, &block), FM_OK);
    while (!(st = fm_csv_take(&source, &block, &got)) && got) {
        fm_csv_begin(&scan, "t", delimiter, &block);
        if ((st = read_block(r, &scan)))
            break;
    }
    if (st)
        say_fault(r);
    fm_csv_scan_fini(&scan);
    fm_csv_close(&source);
    fm_csv_block_free(&block);
}

static bool agree(const char *text, size_t len, char delimiter)
{
    reading theirs = { 0 }, ours = { 0 };
    bool same;

    read_libcsv(&theirs, text, len, delimiter);
    read_ours(&ours, text, len, delimiter);
    same = theirs.said.len == ours.said.len &&
           (!ours.said.len || memcmp(theirs.said.data, ours.said.data, ours.said.len) == 0);
    if (!same)
        printf("    of %.*s\n    libcsv: %s\n    ours: %s\n", (int)len, text,
               theirs.said.len ? (const char *)theirs.said.data : "",
               ours.said.len ? (const char *)ours.said.data : "");
    fm_buf_fini(&theirs.said);
    fm_buf_fini(&ours.said);
    return same;
}

static void small_random_texts_read_as_libcsv_reads_them(void)
{
    static const char letters[] = "ab,,;\"\"\"  \t\n\n\r1\0";
    static const char delimiters[] = ",;\t:";
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 11);
    size_t differ = 0;

    for (int t = 0; t < 3000 && differ < 3; t++) {
        char text[160];
        const size_t len = fm_rng_below(&rng, sizeof text), kinds = 3 + fm_rng_below(&rng, 13);

        for (size_t i = 0; i < len; i++)
            text[i] = letters[fm_rng_below(&rng, kinds < sizeof letters ? kinds : sizeof letters)];
        differ += !agree(text, len, delimiters[fm_rng_below(&rng, 4)]);
    }
    CU_ASSERT_EQUAL(differ, 0);
}

/* Mostly right: cells, quoted or not, of any length, so that whole files are read. */
static size_t write_file(fm_rng *rng, char *text, size_t cap)
{
    static const char *const ends[] = { "\n", "\r\n", "\r", "\n\n" };
    static const char *const inside[] = { "x", "\"\"", ",", "\n", "\r\n", " ", "y" };
    const size_t end = fm_rng_below(rng, 4);
    size_t n = 0;

    while (n + 700 < cap) {
        const size_t cells = 1 + fm_rng_below(rng, 5);

        for (size_t c = 0; c < cells; c++) {
            const bool quotes = fm_rng_below(rng, 3) == 0;
            const size_t len = fm_rng_below(rng, fm_rng_below(rng, 20) ? 8 : 60);

            n += (size_t)snprintf(text + n, cap - n, "%s%s", c ? "," : "", quotes ? "\"" : "");
            for (size_t i = 0; i < len; i++)
                n += (size_t)snprintf(text + n, cap - n, "%s",
                                      inside[quotes ? fm_rng_below(rng, 7) : 5 * (i % 2)]);
            n += (size_t)snprintf(text + n, cap - n, "%s", quotes ? "\" " : "");
        }
        n += (size_t)snprintf(text + n, cap - n, "%s", ends[end]);
    }
    return n;
}

static void whole_files_read_as_libcsv_reads_them(void)
{
    enum { SMALL = 6000, LARGE = 3 << 20 }; /* several blocks */
    char *text = malloc(LARGE);
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 12);
    size_t differ = 0;

    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    for (int t = 0; t < 60 && !differ; t++) {
        const size_t n = write_file(&rng, text, t < 59 ? SMALL : LARGE);

        if (t % 3 == 1) /* a fault somewhere */
            text[fm_rng_below(&rng, n)] = "\"\0,\n"[fm_rng_below(&rng, 4)];
        differ += !agree(text, t % 2 ? n : n - 1, ',');
    }
    CU_ASSERT_EQUAL(differ, 0);
    free(text);
}

static void a_record_that_is_too_long_is_named_wherever_the_blocks_end(void)
{
    const size_t most = FM_TABLE_MAX_RECORD, cap = most + 100;
    char *text = malloc(cap);

    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    for (size_t more = 0; more < 2; more++) {
        reading r = { 0 };

        memset(text, 'x', cap);
        memcpy(text, "a,b\n", 4);
        text[4 + most + more - 1] = '\n';
        read_ours(&r, text, cap, ',');
        CU_ASSERT_EQUAL(strncmp((const char *)r.said.data, "1:a|b|\n", 7), 0);
        CU_ASSERT_EQUAL(strstr(fm_error_text(), "t:2: the record that starts here is longer") !=
                            NULL,
                        more == 1);
        CU_ASSERT_EQUAL(r.said.data[r.said.len - 1] == '\n', more == 0);
        fm_buf_fini(&r.said);
        fm_error_clear();
    }
    free(text);
}

static const fm_test tests[] = {
    { "small random texts read as libcsv reads them",
      small_random_texts_read_as_libcsv_reads_them },
    { "whole files read as libcsv reads them", whole_files_read_as_libcsv_reads_them },
    { "a record that is too long is named wherever the blocks end",
      a_record_that_is_too_long_is_named_wherever_the_blocks_end },
};
const fm_test_suite suite_csv = { "model.csv", tests, FM_TEST_COUNT(tests) };
