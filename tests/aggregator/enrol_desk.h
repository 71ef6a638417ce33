/* A CA, an aggregator's folder, a code, and newcomers that use it: for tests of enrolment. */
#ifndef FEDMOE_TESTS_AGGREGATOR_ENROL_DESK_H
#define FEDMOE_TESTS_AGGREGATOR_ENROL_DESK_H

#include "federation.h"
#include "fedmoe/aggregator/enrol.h"
#include "yaml.h"

#define HOUR_S 3600

/* The aggregator's folder has the CA's trust; `alpha` is invited. */
typedef struct {
    char root[PATH_CAP - 64], ca[PATH_CAP], agg[PATH_CAP];
    int64_t now_s;
    uint8_t token[FM_TOKEN_BYTES]; /* of the last code */
    fm_enroller *e;
} desk;

void desk_make(desk *d, bool with_ca);
/** The enroller anew. */
void desk_open(desk *d, bool with_ca);
void desk_end(desk *d);
/** A code for the name, whose token is that byte again and again. */
void desk_invite(desk *d, const char *name, uint8_t first);
/** A request of the key in root/folder, named as said. */
fm_buf desk_request(const desk *d, const char *folder, const char *of, const char *name);
/** The Enrol by who has the last code. */
fm_msg_enrol desk_message(const desk *d, const fm_buf *r);
fm_status desk_take(desk *d, const fm_buf *r, fm_msg_enrolled *out);
/** Refused with these words, and no path of this house in them. */
void desk_refused(desk *d, const fm_buf *r, const char *words);
/** Certificates of the name that the CA has on record. */
unsigned desk_issued(const desk *d, const char *name);
bool desk_same(fm_bytes a, const fm_buf *b);

#endif
