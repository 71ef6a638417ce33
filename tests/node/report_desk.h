/* A folder with a node.yaml and a ledger, for what is shown to the data-protection officer. */
#ifndef FEDMOE_TESTS_NODE_REPORT_DESK_H
#define FEDMOE_TESTS_NODE_REPORT_DESK_H

#include "fedmoe/dp/ledger.h"
#include "world.h"

#define DELTA 1e-4

typedef struct {
    char dir[PATH_CAP], config[PATH_CAP], ledger[PATH_CAP];
    const char *data_set;
} desk;

/** @param quoted  the data set's name, as YAML writes it. */
void open_desk(desk *d, const char *data_set, const char *quoted, double epsilon);
void write_file(const char *dir, const char *name, const char *text);
/** `rounds` entries of a plan that is known by one byte, at the sampling rate 0.25. */
void charge(const desk *d, const char *data_set, const char *federation, const char *purpose,
            uint8_t plan, double z, uint64_t rounds);

#endif
