#include "report_desk.h"

#include <stdio.h>
#include <string.h>

#include "fedmoe/base/file.h"

void write_file(const char *dir, const char *name, const char *text)
{
    char path[PATH_CAP];

    make_path(path, dir, name);
    need(fm_file_replace(path, text, strlen(text), 0600) == FM_OK, path);
}

void open_desk(desk *d, const char *data_set, const char *quoted, double epsilon)
{
    char text[2048];

    fm_test_tmpdir(d->dir, sizeof d->dir);
    make_path(d->config, d->dir, "node.yaml");
    make_path(d->ledger, d->dir, "ledger.db");
    d->data_set = data_set;
    (void)snprintf(text, sizeof text,
                   "name: alpha\n"
                   "aggregator:\n  door: tcp://127.0.0.1:9\n"
                   "  door_key: \"rq:rM>}U?@Lns47E1%%kR.o@n%%FcmmsL/@{H8]yf7\"\n"
                   "identity: %s\n"
                   "data:\n  name: %s\n  records: records.csv\n"
                   "ledger: ledger.db\n"
                   "policy:\n  epsilon: %g\n  delta: %g\n"
                   "  purposes: [\"heart disease risk\", \"<b>bold</b>\"]\n",
                   world_node_dir(), quoted, epsilon, DELTA);
    write_file(d->dir, "node.yaml", text);
}

void charge(const desk *d, const char *data_set, const char *federation, const char *purpose,
            uint8_t plan, double z, uint64_t rounds)
{
    const fm_ledger_budget budget = { 1e300, DELTA };
    fm_ledger_entry e = { .data_set = data_set,
                          .federation = federation,
                          .purpose = purpose,
                          .plan = { { plan } },
                          .mechanism = {
                              .noise_multiplier = z, .sampling_rate = 0.25, .count = 1 } };
    fm_ledger *l = NULL;

    need(fm_ledger_open(d->ledger, &l) == FM_OK, "a ledger");
    for (e.round = 1; e.round <= rounds; e.round++)
        need(fm_ledger_charge(l, &e, &budget) == FM_OK, "an entry");
    fm_ledger_close(&l);
}
