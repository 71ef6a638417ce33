/*
 * Checks an audit bundle (proto/bundle.h) without the aggregator: what a member, or anyone who has
 * the consortium's CA certificate, can know of a run that is over. docs/protocol.md, section 16.
 */
#ifndef FEDMOE_NODE_VERIFY_H
#define FEDMOE_NODE_VERIFY_H

#include <stdbool.h>

#include "fedmoe/base/hash.h"
#include "fedmoe/certs/identity.h"
#include "fedmoe/proto/plan.h"

typedef struct {
    const char *bundle; /* path */
    const char *trust;  /* directory with ca.crt and, when there is one, crl.pem */
    /* A member's own books; journal NULL: an outsider has none. */
    const char *journal, *name;
    const uint64_t *abandoned; /* [abandoned_count] rounds that its log shows as abandoned, though
                                  its journal does not */
    size_t abandoned_count;
    const uint64_t *released; /* [released_count] rounds that its log shows as released, though its
                                 journal does not: a power cut took the line back */
    size_t released_count;
    bool need_updates; /* a round that cannot be recomputed is a failure */
} fm_verify_options;

typedef struct {
    char name[FM_NAME_MAX + 1];
    uint64_t took_part; /* rounds as a participant */
    uint64_t signed_;   /* and as a survivor: update and commit bear its signature */
    int64_t revoked_s;  /* its certificate was, after its statement; 0: it is not */
    uint64_t too_late;  /* rounds, of those above, that finished after that: within a day */
} fm_verify_member;

typedef struct {
    fm_plan plan; /* owned */
    fm_hash plan_hash, head, model;
    fm_hash ca;   /* fingerprint of the CA that everything was checked against */
    bool same_ca; /* the bundle's own, for information, is the same */
    char aggregator[FM_NAME_MAX + 1];
    int64_t aggregator_revoked_s; /* after what it signed; 0: it is not */
    uint64_t list_number;         /* of the CA's revocation list */
    bool list;                    /* there is one */
    uint64_t entries, rosters;
    uint64_t updates;    /* rounds whose update hashes were recomputed */
    uint64_t recomputed; /* and whose sum and step were */
    uint64_t first_round, last_round;
    int64_t first_s, last_s, made_s; /* by the aggregator's clock */
    fm_verify_member *members;       /* [member_count] owned */
    size_t member_count;
    bool journal;      /* it was compared with: */
    uint64_t released; /* rounds that this node released and that are in the bundle */
    uint64_t vouched;  /* of these, named in the options' `released` */
    uint64_t *missing; /* [missing_count] owned, by round: released, not in it, and abandoned by
                          the journal or, `waived` of them, by the options' word */
    size_t missing_count, waived;
    uint64_t later; /* released after the last round in it */
} fm_verify_report;

/**
 * @param out  fm_verify_report_fini, after FM_OK.
 * @return FM_OK: everything holds. Otherwise the text names file, section, round and field of the
 *         first thing that does not, and what it means: FM_EPROTO; FM_EAUTH a certificate or
 *         signature; FM_ESTATE not what the node's own journal says; FM_ENOTFOUND; FM_EIO.
 */
FM_NODISCARD fm_status fm_verify_bundle(const fm_verify_options *o, fm_verify_report *out);
void fm_verify_report_fini(fm_verify_report *r);

#endif
