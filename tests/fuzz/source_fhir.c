/* A line of a FHIR export into the tables. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/json.h"
#include "fhir_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static fm_fhir_place p = { .name = "fuzz", .line = 1 };
    json_error_t error;
    json_t *resource = NULL;

    if (!p.db &&
        (sqlite3_open(":memory:", &p.db) != SQLITE_OK ||
         sqlite3_exec(p.db,
                      "CREATE TABLE patient(a, b, c, d); CREATE TABLE event(a, b, c, d, e, "
                      "f, g, h, i, j, k, l, m)",
                      NULL, NULL, NULL) != SQLITE_OK ||
         sqlite3_prepare_v2(p.db, "INSERT INTO patient VALUES(?,?,?,?)", -1, &p.patient, NULL) ||
         sqlite3_prepare_v2(p.db, "INSERT INTO event VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?)", -1,
                            &p.event, NULL)))
        abort();
    if (fm_json_parse(data, size, JSON_REJECT_DUPLICATES, &resource, &error) == FM_OK) {
        /* A refusal says where. */
        if (fm_fhir_take(&p, resource) != FM_OK && strncmp(fm_error_text(), "fuzz:1", 6) != 0)
            abort();
    }
    json_decref(resource);
    (void)sqlite3_exec(p.db, "DELETE FROM patient; DELETE FROM event", NULL, NULL, NULL);
    return 0;
}
