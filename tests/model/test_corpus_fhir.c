/* Notes of FHIR: which text is taken, and whose it is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "corpus_fixture.h"
#include "fm_test.h"
#include "suites.h"

#define HEAD "name: t\nsource: fhir\n"
#define PATIENT HEAD "unit: patient\n"

/* Lines of notes: base64 of "one" is b25l, of "two" dHdv, of "SECRET" U0VDUkVU. */
#define NOTE(SUBJECT, ATTACHMENTS)                                                              \
    "{\"resourceType\": \"DocumentReference\", \"subject\": {\"reference\": \"" SUBJECT "\"}, " \
    "\"content\": [" ATTACHMENTS "]}\n"
#define REPORT(SUBJECT, ATTACHMENTS)                                                           \
    "{\"resourceType\": \"DiagnosticReport\", \"subject\": {\"reference\": \"" SUBJECT "\"}, " \
    "\"presentedForm\": [" ATTACHMENTS "]}\n"
#define FORM(TYPE, DATA) "{\"contentType\": \"" TYPE "\", \"data\": \"" DATA "\"}"
#define IN(ATTACHMENT) "{\"attachment\": " ATTACHMENT "}"
#define ONE IN(FORM("text/plain", "b25l"))

static void notes_of_both_resources(void)
{
    const corpus_case c = { .schema = PATIENT };
    const corpus_case records = { .schema = HEAD "unit: record\n" };
    const corpus_case reports = { .schema = PATIENT "resources: [DiagnosticReport]\n" };
    static const char data[] = NOTE("Patient/a", ONE)
        REPORT("Patient/b", FORM("text/plain", "dHdv")) NOTE("Patient/a", ONE);

    CORPUS_GIVES(&c, data, "one$/one$|two$");
    CORPUS_GIVES(&records, data, "one$|two$|one$");
    CORPUS_GIVES(&reports, data, "two$");
}

static void attachments_of_many_kinds(void)
{
    const corpus_case c = { .schema = PATIENT };

    CORPUS_GIVES(
        &c,
        NOTE("Patient/a",
             IN(FORM("Text/Plain ; Charset=\\\"UTF-8\\\"", "b25l")) ", " IN(FORM(
                 "text/html", "dHdv")) ", " IN("{\"contentType\": \"text/plain\", \"url\": "
                                               "\"http://x/y\"}") ", " IN(FORM("text/plain; "
                                                                               "format=flowed; "
                                                                               "charset=us-ascii",
                                                                               "d\\nHd v"))),
        "one\n\ntwo$");
}

static void what_is_passed_over_is_counted(void)
{
    const corpus_case c = { .schema = PATIENT };
    static const char data[] =
        "{\"resourceType\": \"Patient\", \"id\": \"a\"}\n"
        "{\"resourceType\": \"DocumentReference\", \"status\": \"entered-in-error\", \"content\": "
        "7}\n"
        "{\"resourceType\": \"DocumentReference\", \"docStatus\": \"entered-in-error\"}\n" NOTE(
            "Patient/a", IN("{\"url\": \"Binary/1\"}"))
            NOTE("", "") "{\"resourceType\": \"DiagnosticReport\"}\n" NOTE(
                "Patient/a", IN(FORM("text/rtf", "??")))
                NOTE("Patient/a", IN(FORM("text/plain", ""))) NOTE("Patient/a", ONE);
    fm_corpus *got;

    CORPUS_GIVES(&c, data, "one$");
    got = corpus_read(&c, data, sizeof data - 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(got);
    CU_ASSERT_EQUAL(got->facts.records, 9);
    CU_ASSERT_EQUAL(got->facts.passed_over, 3);
    CU_ASSERT_EQUAL(got->facts.without_text, 4);
    CU_ASSERT_EQUAL(got->documents, 2);
    CU_ASSERT_EQUAL(got->empty, 1);
    fm_corpus_free(&got);
}

/* However a reference is written, a patient is one unit. */
static void one_patient_is_one_unit(void)
{
    const corpus_case c = { .schema = PATIENT };

    CORPUS_GIVES(&c,
                 NOTE("Patient/a1", ONE) NOTE("https://h.example/fhir/Patient/a1", ONE)
                     NOTE("Patient/b", ONE) NOTE("Patient/a1/_history/3", ONE)
                         NOTE("urn:uuid:a1", ONE) NOTE("http://Patient/Patient/a1", ONE),
                 "one$/one$/one$/one$/one$|one$");
}

static void who_cannot_be_told_is_refused(void)
{
    static const char *const subjects[] = {
        "",
        "Patient/",
        "Patient",
        "Group/SECRET",
        "#SECRET",
        "xPatient/SECRET",
        "Patient?identifier=http://x|SECRET",
        "Patient/SECRET/Observation/1",
        "Patient/SECRET SECRET",
        "Patient/SECRET\\u0000",
        "Patient/SECRET23456789012345678901234567890123456789012345678901234567890",
        "urn:uuid:",
        "urn:oid:1.2",
    };
    const corpus_case c = { .schema = PATIENT };
    fm_buf data = { 0 };

    for (size_t i = 0; i < FM_TEST_COUNT(subjects); i++) {
        fm_buf_clear(&data);
        CU_ASSERT_EQUAL(fm_buf_printf(&data,
                                      "\n{\"resourceType\": \"DocumentReference\", \"subject\": "
                                      "{\"reference\": \"%s\"}, \"content\": [" ONE "]}\n",
                                      subjects[i]),
                        FM_OK);
        corpus_refuses(&c, data.data, data.len,
                       "data:2, key subject.reference: it names no patient; it must be Patient/ID");
    }
    fm_buf_fini(&data);
    CORPUS_REFUSES(&c, "{\"resourceType\": \"DocumentReference\", \"content\": [" ONE "]}",
                   "key subject.reference: not there");
    CORPUS_REFUSES(&c, "{\"resourceType\": \"Bundle\", \"entry\": []}",
                   "no text among 1 records; 1 are other resources");
    CORPUS_REFUSES(&c,
                   "{\"resourceType\": \"DocumentReference\", \"content\": [" ONE "], "
                   "\"subject\": {\"reference\": 7}}",
                   "key subject.reference: a number");
}

static void attachments_that_are_wrong(void)
{
    const corpus_case c = { .schema = PATIENT };
    static const char *const data[] = { "U0VDUkV",    "U0VDUkVU=", "U0VDUkVU!",       "U0VD-_VU",
                                        "U0VDUkVU==", "=",         "U0VD\\u0000UkVU", "U0VDUk=VU" };
    fm_buf line = { 0 };

    for (size_t i = 0; i < FM_TEST_COUNT(data); i++) {
        fm_buf_clear(&line);
        CU_ASSERT_EQUAL(
            fm_buf_printf(&line, NOTE("Patient/a", ONE ", " IN(FORM("text/plain", "%s"))), data[i]),
            FM_OK);
        corpus_refuses(&c, line.data, line.len, "data:1, key content[1].attachment.data: ");
        CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "characters that are no base64"));
    }
    fm_buf_fini(&line);
    CORPUS_REFUSES(&c, REPORT("Patient/a", FORM("text/plain; charset=utf-16", "U0VDUkVU")),
                   "key presentedForm[0].contentType: a charset that is not UTF-8");
    CORPUS_REFUSES(&c, REPORT("Patient/a", "{\"data\": \"U0VDUkVU\"}"),
                   "key presentedForm[0].contentType: not there; it must be a text");
    CORPUS_REFUSES(&c, REPORT("Patient/a", "{\"contentType\": \"text/plain\", \"data\": [7]}"),
                   "key presentedForm[0].data: a list; it must be a text");
    CORPUS_REFUSES(&c, REPORT("Patient/a", "\"SECRET\""),
                   "presentedForm[0]: a text; it must be an");
    CORPUS_REFUSES(&c, NOTE("Patient/a", "{}"), "content[0].attachment: not there");
    CORPUS_REFUSES(&c, "{\"resourceType\": \"DocumentReference\", \"content\": \"SECRET\"}",
                   "data:1, key content: a text; it must be a list");
    CORPUS_REFUSES(&c, "{\"SECRET\": \"SECRET\"}",
                   "data:1, key resourceType: not there; every line must be a resource of FHIR");
    CORPUS_REFUSES(&c, "{\"resourceType\": [\"SECRET\"]}", "key resourceType: a list");
}

static void a_note_cannot_spell_the_end_and_may_be_no_utf8(void)
{
    const corpus_case c = { .schema = PATIENT };
    /* "x<|endoftext|>y", then the bytes 41 ff 00 */
    static const char data[] = NOTE("Patient/a", IN(FORM("text/plain", "eDx8ZW5kb2Z0ZXh0fD55")))
        NOTE("Patient/b", IN(FORM("text/plain", "Qf8A")));
    fm_corpus *got = corpus_read(&c, data, sizeof data - 1);

    CU_ASSERT_PTR_NOT_NULL_FATAL(got);
    CU_ASSERT_EQUAL(got->starts[1], 16);
    for (size_t i = 0; i < 15; i++)
        CU_ASSERT_TRUE(got->tokens[i] < CORPUS_END);
    CU_ASSERT_EQUAL(got->tokens[15], CORPUS_END);
    CU_ASSERT_EQUAL(got->tokens[16], 0x41);
    CU_ASSERT_EQUAL(got->tokens[17], 0xff);
    CU_ASSERT_EQUAL(got->tokens[18], 0);
    CU_ASSERT_EQUAL(got->facts.ill_formed, 1);
    fm_corpus_free(&got);
}

static const fm_test tests[] = {
    { "notes of both resources", notes_of_both_resources },
    { "attachments of many kinds", attachments_of_many_kinds },
    { "what is passed over is counted", what_is_passed_over_is_counted },
    { "one patient is one unit", one_patient_is_one_unit },
    { "who cannot be told is refused", who_cannot_be_told_is_refused },
    { "attachments that are wrong", attachments_that_are_wrong },
    { "a note cannot spell the end, and may be no UTF-8",
      a_note_cannot_spell_the_end_and_may_be_no_utf8 },
};

const fm_test_suite suite_corpus_fhir = { "model.corpus_fhir", tests, FM_TEST_COUNT(tests) };
