/*
 * The report for a data-protection officer: gathered into one plain struct from node.yaml, the
 * ledger and what the driver leaves beside node.yaml; rendered from that struct alone. One thread.
 */
#ifndef FEDMOE_NODE_REPORT_H
#define FEDMOE_NODE_REPORT_H

#include <jansson.h>

#include "fedmoe/node/config.h"
#include "fedmoe/node/decision.h"
#include "fedmoe/node/journal.h"
#include "html.h"

/* Every point of the plot, and every part, is an answer of the accountant, up to 0.1 s each. */
#define FM_REPORT_POINTS 60u
#define FM_REPORT_PARTS 40u
#define FM_REPORT_FILES 6u
#define FM_REPORT_VOIDED 16u /* of more the newest */

/** The data set's epsilon after so many releases. */
typedef struct {
    uint64_t releases, sequence;
    int64_t wall_s;
    double epsilon;
} fm_report_point;

/** Releases of one plan, for one purpose, with one mechanism. */
typedef struct {
    char federation[64], purpose[256];
    char unit[64]; /* "" when not known */
    fm_hash plan;
    fm_dp_mechanism mechanism; /* count: all its releases */
    uint64_t first_release;    /* of the data set, from 1 */
    int64_t first_s, last_s;
    double epsilon; /* of this part alone; negative: not computed */
} fm_report_part;

typedef struct {
    bool known;
    char why[256]; /* when not: the reason */
    fm_key_type type;
    fm_cert_info info;
} fm_report_certificate;

typedef struct {
    const char *what; /* constant */
    char *path;       /* owned */
    bool there;
    uint64_t bytes;
    char sha256[2 * FM_HASH_BYTES + 1];
} fm_report_file;

typedef struct {
    fm_node_config config; /* owned, as all below */
    char *config_path;
    int64_t made_s;

    /* the ledger, its chain verified */
    uint64_t entries;       /* of all data sets in the file */
    uint64_t other_entries; /* of other data sets */
    fm_hash head;
    uint64_t releases;      /* of this data set */
    fm_dp_mechanism *kinds; /* its releases by mechanism */
    size_t kind_count;
    fm_report_part *parts; /* in the order of their first releases */
    size_t part_count;
    fm_report_point points[FM_REPORT_POINTS]; /* ascending; the last is `spent` */
    size_t point_count;
    double spent, left;

    /* beside node.yaml; NULL or not known when absent */
    json_t *plan, *status;
    fm_journal_voided
        voided[FM_REPORT_VOIDED]; /* decisions that were declared lost, the last time first */
    size_t voided_count;
    fm_decisions decisions; /* chain and signatures checked */
    fm_decision_keys keys;  /* whose count */
    bool journal_known;
    uint64_t journal_released; /* rounds, under any plan */
    fm_report_certificate own, authority;
    fm_report_file files[FM_REPORT_FILES];
    size_t file_count;
    char model_plan[2 * FM_HASH_BYTES + 1], model_rounds[24]; /* of model.safetensors; "" */
} fm_report;

/**
 * Read everything. The ledger must be there and its chain whole; the rest may be missing.
 * @param now_s  wall time that the report states.
 * @return FM_OK; FM_EAUTH decisions that were altered or cut short; FM_ENOTFOUND no ledger; FM_EPROTO a ledger that was tampered with, or that holds
 *         fewer releases than the journal; FM_EPARSE, FM_EIO. On FM_OK end with fm_report_fini.
 */
FM_NODISCARD fm_status fm_report_gather(const char *config, int64_t now_s, fm_report *out);
void fm_report_fini(fm_report *r);

/** Whether the policy says that nothing is private (a budget for tests). */
bool fm_report_is_open(const fm_report *r);

/** The page, appended to out. Same struct, same bytes. */
FM_NODISCARD fm_status fm_report_html(const fm_report *r, fm_buf *out);
/** The same figures for programs; *out: json_decref. */
FM_NODISCARD fm_status fm_report_json(const fm_report *r, json_t **out);

/* ---- parts of it ---- */

/** report_html.c: the looks, also of the node's own page: <style>...</style>. */
void fm_report_style(fm_html *h);
/** A figure and its name, within <div class="tiles">. */
void fm_report_tile(fm_html *h, const char *figure, const char *name);

/** report_beside.c: what the journal knows; to be read before the ledger. */
FM_NODISCARD fm_status fm_report_read_journal(fm_report *r);
/** report_ledger.c: fill what comes from the ledger. */
FM_NODISCARD fm_status fm_report_read_ledger(fm_report *r);
/** report_beside.c: fill what comes from the files beside node.yaml. */
FM_NODISCARD fm_status fm_report_read_beside(fm_report *r);
/** report_plot.c: epsilon over releases, as inline SVG with title and description. */
void fm_report_plot(fm_html *h, const fm_report *r);
bool fm_report_plot_has_marks(const fm_report *r); /* numbers of the parts */
/** report_review.c: what a reviewer needs to recompute the figures. */
void fm_report_review(fm_html *h, const fm_report *r);
/** report_decisions.c: what people decided on plans. */
void fm_report_decisions(fm_html *h, const fm_report *r);
/** report_sections.c: everything between headline and reviewer. */
void fm_report_sections(fm_html *h, const fm_report *r);

/** "gaussian:z=1.5,q=0.25,steps=10", as fedmoe-dp epsilon takes it; out holds 160 bytes. */
void fm_report_mechanism(const fm_dp_mechanism *m, char out[160]);
/** Four decimals, or six digits when it is large. */
void fm_report_number(double v, char out[32]);
/** The date of a wall time; out holds 32 bytes. */
void fm_report_date(int64_t wall_s, char out[32]);
/** Text in single quotes for a shell, as text of the page. */
void fm_report_shell(fm_html *h, const char *text);

#endif
