/* The demonstration: programs started as a user would start them, watched, and summed up. */
#ifndef FEDMOE_DEMO_INTERNAL_H
#define FEDMOE_DEMO_INTERNAL_H

#include <stdbool.h>
#include <sys/types.h>

#include "fedmoe/aggregator/config.h"
#include "fedmoe/base/json.h"
#include "fedmoe/demo/hospitals.h"
#include "fedmoe/demo/simulate.h"

#define PARTY_AGGREGATOR FM_DEMO_HOSPITALS
#define PARTIES (FM_DEMO_HOSPITALS + 1u)

typedef struct {
    const char *data, *keep, *json;
    double epsilon, delta;
    uint64_t rounds, seed, quorum, colluders;
    bool trace, setup_only;
} demo_options;

typedef struct {
    const char *name;
    char *dir;      /* owned */
    pid_t pid;      /* 0: not running */
    uint64_t shown; /* progress printed so far: tenths, and one more when finished */
} party;

typedef struct {
    double auc_alone;
    double auc_federated;
    double epsilon_spent;
    uint64_t bytes_sent;
    size_t train_records, test_records;
} hospital_result;

typedef struct {
    demo_options o;
    char *root, *bin; /* run directory; where the programs are; owned */
    int lock;         /* on the run directory; -1: none */
    fm_demo_hospital hospitals[FM_DEMO_HOSPITALS];
    party parties[PARTIES]; /* nodes, then the aggregator */
    char door[64];
    fm_aggregator_config config; /* the plan, for training alone */
    hospital_result results[FM_DEMO_HOSPITALS];
    double auc, accuracy, seconds;
} demo;

/* process.c */
/** Run a program of ours to its end; its standard output into `out` (may be NULL), its standard
 *  error into `root`/setup.log. FM_EIO with its last words when it fails. */
FM_NODISCARD fm_status demo_run(demo *d, const char *program, const char *const *args, fm_buf *out);
/** Start a program in the background, both outputs into `log`. */
FM_NODISCARD fm_status demo_start(demo *d, const char *program, const char *const *args,
                                  const char *log, pid_t *pid);
/** FM_OK and *running while it runs; FM_EIO naming the log when it ended badly. */
FM_NODISCARD fm_status demo_poll(party *p, bool *running);
void demo_stop(party *p);
/** Directory of the running executable. */
FM_NODISCARD fm_status demo_bin_dir(char **out);
/** Two loopback endpoints that are free now. */
FM_NODISCARD fm_status demo_free_endpoint(char door[64]);

/* setup.c */
/** Lock the run directory, then empty it of an older run. FM_EEXIST when it is in use, or
 * another's. Nothing is removed before the lock is held and --json can be written. */
FM_NODISCARD fm_status demo_make_root(demo *d);
FM_NODISCARD fm_status demo_set_up(demo *d);
/* parties.c */
FM_NODISCARD fm_status demo_federate(demo *d);
FM_NODISCARD fm_status demo_measure(demo *d);
/* progress.c */
void demo_show(demo *d);
/* report.c */
/** The commands that start each party, one a line. */
void demo_print_start(const demo *d);
FM_NODISCARD fm_status demo_report(demo *d);
/** Whether --json, if given, can be written: better asked before training than after. */
FM_NODISCARD fm_status demo_check_json(const demo *d);

/** "root/a" or "root/a/b" in a new string. */
FM_NODISCARD fm_status demo_path(const demo *d, const char *a, const char *b, char **out);

#endif
