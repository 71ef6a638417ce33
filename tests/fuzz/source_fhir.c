/* A line of a FHIR export into the tables. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/json.h"
#include "fhir_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static fm_fhir_place p = {
        .name = "fuzz", .line = 1, .this_year = 2026, .today = "2026-12-31"
    };
    fm_buf problems;
    json_error_t error;
    json_t *resource = NULL;

    if (!p.db &&
        (sqlite3_open(":memory:", &p.db) != SQLITE_OK ||
         sqlite3_exec(p.db,
                      "CREATE TABLE patient(a, b, c, d); CREATE TABLE event(a, b, c, d, e, "
                      "f, g, h, i, j, k, l, m); CREATE TABLE place(a, b, c, d)",
                      NULL, NULL, NULL) != SQLITE_OK ||
         sqlite3_prepare_v2(p.db, "INSERT INTO patient VALUES(?,?,?,?)", -1, &p.patient, NULL) ||
         sqlite3_prepare_v2(p.db, "INSERT INTO place VALUES(?,?,?,?)", -1, &p.place, NULL) ||
         sqlite3_prepare_v2(p.db, "INSERT INTO event VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?)", -1,
                            &p.event, NULL)))
        abort();
    fm_buf_init(&problems, 2 * FM_FHIR_PROBLEMS * 1024);
    p.problems = &problems;
    p.problem_count = 0;
    p.type = p.id = NULL;
    p.hide_values = size > 0 && data[size - 1] % 2;
    if (fm_json_parse(data, size, JSON_REJECT_DUPLICATES, &resource, &error) == FM_OK) {
        const fm_status st = fm_fhir_take(&p, resource);

        if (st != FM_OK && (st != FM_EPARSE || p.problem_count < FM_FHIR_PROBLEMS))
            abort();
        /* Each says where, in a line of its own. */
        for (size_t i = 0; i < problems.len; i++)
            if (problems.data[i] != '\n' && (i == 0 || problems.data[i - 1] == '\n') &&
                strncmp((char *)problems.data + i, "fuzz:", 5) != 0)
                abort();
    }
    json_decref(resource);
    fm_buf_fini(&problems);
    (void)sqlite3_exec(p.db, "DELETE FROM patient; DELETE FROM event; DELETE FROM place", NULL,
                       NULL, NULL);
    return 0;
}
