/*
 * node.yaml: who this node is, where its records are, and the policy that it enforces itself.
 *
 *   name: cleveland                       # as in the certificate
 *   aggregator:
 *     door: tcp://127.0.0.1:7300
 *     door_key: "Z85, 40 characters"      # printed by fedmoe-aggregator init
 *   identity: .                           # directory of identity.key, identity.crt, ca.crt
 *   data:
 *     name: cleveland-cardiology          # the ledger adds up what was spent on this data set
 *     records: records.csv              # of texts also a list: [2024.csv, 2025.csv]
 *                 # or {sqlite: clinic.db, query: "SELECT ..."}, {odbc: "DSN=clinic", query: ...}
 *                 # or {fhir: export, query_file: features.sql}: a folder of a FHIR bulk export; with
 *                 # shifted_dates: true its dates may lie in the future
 *     csv: {delimiter: ";", decimal: ","} # this node's own way (model/dialect.h); default: the schema's
 *     memory_mib: 256                     # default; what records may take of memory, more go to a
 *                                         # scratch file beside node.yaml, without a name and encrypted
 *     scratch: /var/tmp                   # or in this folder
 *     query_s: 600                        # default; seconds that a query's next row is waited for
 *     schema: schema.yaml                 # optional, and better: only this schema is accepted
 *   model: base                           # a language model's folder, for plans that adapt it; then
 *                                         # records are texts, and schema is of texts
 *   ledger: ledger.db                     # may be shared by several federations
 *   threads: 4                            # of training; default all processors, at most 16
 *   page: {listen: "127.0.0.1:7391"}      # a page for browsers of this machine; default: none
 *   policy:
 *     epsilon: 1.0                        # budget of the data set, over everything
 *     delta: 1.0e-4
 *     purposes: ["heart disease risk"]    # a plan's purpose must be one of these
 *     unit: record                        # or a column, such as patient_nbr: what one budget protects
 *     tasks: [training]                   # default; also statistics, evaluation
 *     min_cohort: 3                       # fewest participants in any round, and in any sum
 *     min_colluders: 1                    # a plan must count on at least so many colluding nodes
 *     masks: sparse                       # default; or all: every two nodes must share a mask
 *     max_rows: 100000                    # more records in the file are an error (memory)
 *     approval: changes                   # default; or asked, or policy: fm_node_approval
 *     approvers: [dpo.pub]                # only decisions that these keys signed count
 *
 * Relative paths are relative to the file.
 */
#ifndef FEDMOE_NODE_CONFIG_H
#define FEDMOE_NODE_CONFIG_H

#include "fedmoe/dp/ledger.h"
#include "fedmoe/model/dialect.h"
#include "fedmoe/proto/link/link.h"
#include "fedmoe/proto/plan.h"

#define FM_NODE_MAX_PURPOSES 32u
#define FM_NODE_MAX_FILES 256u /* of records, where they are texts */

#define FM_NODE_MAX_APPROVERS 8u

/** Whether people are asked of a plan that keeps within the policy's limits. */
typedef enum {
    FM_APPROVAL_CHANGES, /* of each but the first of a federation: that one's limits they set */
    FM_APPROVAL_ASKED,   /* of each */
    FM_APPROVAL_POLICY,  /* of none */
} fm_node_approval;

#define FM_NODE_TASK(task) (1u << (unsigned)(task))

typedef struct {
    double epsilon, delta;
    char *purposes[FM_NODE_MAX_PURPOSES]; /* owned */
    size_t purpose_count;
    char unit[64];          /* a plan's privacy_unit must be this one; "" means "record" */
    uint32_t tasks;         /* bits FM_NODE_TASK(fm_task); 0: training alone */
    uint32_t min_cohort;    /* 2.. */
    uint32_t min_colluders; /* 0.. */
    uint64_t max_rows;
    bool all_masks; /* only plans in which every two nodes share a mask */
    fm_node_approval approval;
    char *approvers[FM_NODE_MAX_APPROVERS]; /* files of public keys, owned; none: the node's own */
    size_t approver_count;
} fm_node_policy;

/** Records of a database: the first four are alternatives. All owned. */
typedef struct {
    char *sqlite;          /* its file */
    char *odbc;            /* a connection's text, "DSN=clinic" */
    char *connection_file; /* a private file that holds it */
    char *fhir;            /* a folder of a FHIR bulk export, */
    bool shifted_dates;    /* whose dates were moved for de-identification */
    char *query;           /* NULL: records are files */
} fm_node_database;

typedef struct {
    char name[FM_NAME_MAX + 1];
    char data_set[64];
    char *door, *identity_dir, *records, *ledger, *dir; /* owned, absolute or relative to cwd */
    bool records_commented; /* a "#x" behind the path begins a comment: see fm_yaml_is_commented */
    char *more_records[FM_NODE_MAX_FILES - 1]; /* likewise; of texts: files after the first */
    size_t more_count;
    fm_dialect dialect; /* how the file of records is written; zero: as the schema says */
    bool has_dialect;
    fm_node_database database; /* in the place of records, which is NULL then */
    char *schema;              /* likewise; NULL: none is pinned */
    uint64_t memory;           /* bytes that records may take before they go to a scratch file */
    uint32_t query_s;          /* seconds that a query's next row is waited for */
    char *scratch;             /* that file's folder; NULL: dir */
    char *model;               /* likewise, a folder; NULL: no language model */
    uint8_t door_public[FM_CURVE_KEY_BYTES];
    char *page;       /* where the node's own page listens, a loopback address; NULL: nowhere */
    unsigned threads; /* 0: the default */
    fm_node_policy policy;
} fm_node_config;

/** policy.unit as an option of fm_table_load: the column, or NULL when the unit is a record. */
const char *fm_node_policy_unit_column(const fm_node_policy *p);

/** All files of records, borrowed. @return how many: 1 to FM_NODE_MAX_FILES; 0 of a database. */
size_t fm_node_config_files(const fm_node_config *c, const char *out[FM_NODE_MAX_FILES]);
/** FM_EINVAL when there are several: a table is one file. */
FM_NODISCARD fm_status fm_node_config_one_file(const fm_node_config *c);
/** "records.csv", "clinic.db", "the database over ODBC": borrowed. */
const char *fm_node_config_records_name(const fm_node_config *c);

FM_NODISCARD fm_status fm_node_config_load(const char *path, fm_node_config *out);
void fm_node_config_fini(fm_node_config *c);

/**
 * Whether the policy allows the plan: purpose, task, privacy unit, delta, price of the whole run against what the
 * ledger has left, cohort, colluders, quorum, enough masks, the noise really calibrated for the stated epsilon,
 * the lattice possible. FM_EPERM or FM_EBUDGET with the sentence to show.
 */
FM_NODISCARD fm_status fm_node_policy_check(const fm_node_policy *p, const fm_plan *plan,
                                            fm_ledger *ledger, const char *data_set);

#endif
