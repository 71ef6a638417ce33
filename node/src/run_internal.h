/* The driver's state: what lives for the whole run, for one plan, for one session. */
#ifndef FEDMOE_NODE_RUN_INTERNAL_H
#define FEDMOE_NODE_RUN_INTERNAL_H

#include <sys/stat.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/json.h"
#include "fedmoe/dp/query.h"
#include "fedmoe/model/adapter_terms.h"
#include "fedmoe/model/corpus.h"
#include "fedmoe/node/decision.h"
#include "fedmoe/node/journal.h"
#include "fedmoe/node/pause.h"
#include "fedmoe/node/round.h"
#include "fedmoe/node/run.h"
#include "fedmoe/node/step.h"
#include "history.h"
#include "run_correction.h"

/** What was prepared for the plan that is approved; kept over reconnections. */
typedef struct {
    bool ready;
    fm_hash hash;
    char purpose[FM_PURPOSE_MAX + 1];
    char federation[FM_NAME_MAX + 1];
    fm_dp_mechanism mechanism; /* of one round */
    uint32_t mask_density;
    uint64_t charged; /* rounds of this plan that the ledger holds */
    char unit[FM_NAME_MAX + 1];
    uint32_t rounds, parameters;
    fm_task task;
    uint32_t frozen, max_nodes;
    double epsilon, delta;
    fm_query *query;         /* owned; NULL: training */
    fm_schema *schema;       /* owned */
    fm_tabular_config model; /* for the result's file */
    fm_train_tail tail;      /* of the state that the result is */
    double clip_norm;        /* that it began with */
    fm_table table;          /* owned */
    fm_adapter_terms terms;  /* of a language model's adapters; rank 0: a tabular model */
    char *schema_text;       /* likewise, for the result's file; owned */
    fm_decoder *decoder;     /* likewise, with the corpus; owned */
    fm_corpus *corpus;
    fm_node_step *step;             /* owned; borrows table, or decoder and corpus */
    fm_node_correction *correction; /* owned; NULL: the plan has none */
    uint64_t finished;              /* last round in the transcript; 0: none */
    fm_journal *journal;            /* owned */
    float *weights;                 /* [parameters] owned */
    uint64_t step_ms;               /* a local step took so long; 0: not measured */
} fm_node_prepared;

typedef struct {
    const char *state; /* static text */
    const char *phase; /* static text, of the machine */
    char reason[1024]; /* last refusal */
    int64_t reason_s;  /* when; 0: none */
    uint64_t refusals; /* since the start */
    char paused_since[FM_PAUSE_TIME];
    uint64_t round;
    double epsilon_spent;
    uint64_t bytes_sent, bytes_received; /* of sessions that are over */
    uint64_t written_ms;
    bool dirty;
} fm_node_status;

typedef struct {
    const fm_node_run_options *o;
    fm_node_config config;
    fm_identity *identity;
    fm_trust *trust;
    fm_ledger *ledger;
    struct fm_node_web *web; /* its page; NULL: none */
    int lock;                /* of the node's folder */
    fm_buf schema;           /* pinned text; empty when node.yaml pins none */
    fm_node_prepared plan;
    fm_node_status status;
    fm_node_history history;
    /* one session */
    fm_dp_keypair *keypair;
    fm_link_client *link;
    fm_node_round *machine;
    uint32_t refusals;
    bool link_lost, approved, refused, progressed, finished;
    fm_status result; /* of writing the finished model */
    uint64_t deadline_ms;
    fm_clock_seen started, clock; /* at the start; at the last turn */
    uint64_t renew_after_ms;      /* not before; 0: at once */
    bool renewed;                 /* identity.crt is newer than `identity` */
    int64_t revocations_seen;     /* change time of crl.pem, ns; 0: none */
    bool paused;                  /* as it was when last looked at */
    /* people's decisions: run_decide.c */
    fm_decision_keys approvers; /* whose count */
    char *decisions;            /* their file, owned */
    bool deciding;              /* the plan waits for one */
    struct stat decisions_seen; /* the file as it was when it was last asked */
    int64_t allowed_s;          /* when the round under way was allowed, */
    uint64_t allowed_round;     /* and which it is; 0: none yet of this plan */
    char left[800];             /* why it takes part in no further round of the plan; "": it does */
    uint64_t concluded;         /* rounds that the plan was concluded after */
} fm_node_driver;

/* run.c */
/** Change time of crl.pem, ns; 0: there is none. */
int64_t fm_node_driver_revocations_changed(const fm_node_driver *d);

/* run_renew.c */
/** Ask for the next certificate when less than a third of this one's life is left: between rounds,
 *  once an hour. Nothing of it ends the run; the next session begins with what came. */
void fm_node_driver_renew(fm_node_driver *d);
/** With the certificate that came meanwhile, if one did. */
FM_NODISCARD fm_status fm_node_driver_use_renewed(fm_node_driver *d);

/* run_history.c */
/** What left and what it cost before this start. */
FM_NODISCARD fm_status fm_node_driver_read_history(fm_node_driver *d);
/** How many rounds of the plan that is approved the budget allows. */
void fm_node_driver_weigh_plan(fm_node_driver *d);
FM_NODISCARD fm_status fm_node_driver_note_sent(fm_node_driver *d, uint64_t round,
                                                const fm_hash *update, size_t bytes);

/* run_pause.c */
/** Whether the owner has paused the node, now; a change goes to the log and to status.json. */
bool fm_node_driver_look_at_pause(fm_node_driver *d);
/** An update is out, or on its way, and what comes of it is not known yet. */
bool fm_node_driver_is_in_round(const fm_node_driver *d);
/** Its last state is written. */
bool fm_node_driver_has_ended(const fm_node_driver *d);
/** Of status.json: what the run is at, or "paused". */
const char *fm_node_driver_state(const fm_node_driver *d);

/* run_ports.c */
fm_node_ports fm_node_driver_ports(fm_node_driver *d);
fm_ledger_entry fm_node_driver_entry(const fm_node_driver *d, uint64_t round);

/* run_ports.c: the answer to a plan, as the rest of the driver sees it */
void fm_node_driver_approve(fm_node_driver *d, const fm_plan *plan);
void fm_node_driver_refuse(fm_node_driver *d);
/** This node takes part in no further round of the plan, for what the thread's text says. @return st */
fm_status fm_node_driver_left(fm_node_driver *d, fm_status st);

/* run_decide.c */
/** Whose decisions count, and that those that are there are in order: before anyone is called. */
FM_NODISCARD fm_status fm_node_driver_open_decisions(fm_node_driver *d);
fm_status fm_node_driver_decide(void *ctx, const fm_plan *plan, const fm_hash *hash, bool *wait);
fm_status fm_node_driver_allow(void *ctx, uint64_t round, const char *const *names, uint32_t count);
/** An array of all, "counts" by these keys. *out: json_decref. */
FM_NODISCARD fm_status fm_decisions_json(const fm_decisions *all, const fm_decision_keys *keys,
                                         json_t **out);
/** The plan waits, and the file of decisions has changed since it was last asked. */
bool fm_node_driver_may_be_decided(const fm_node_driver *d);

/* run_measure.c */
/** How long this node's part of a round takes on its records: one is done, and thrown away. 0: it
 *  could not be (the reason is logged). */
uint64_t fm_node_driver_measure(fm_node_driver *d, const fm_plan *plan);

/* run_plan.c */
/** Policy, records, step, journal. On FM_OK d->plan is ready for this plan. */
fm_status fm_node_driver_prepare(fm_node_driver *d, const fm_plan *plan, const fm_hash *hash);
/** Read the schema that node.yaml pins, and hold the records against it: before anyone is called. */
fm_status fm_node_driver_pin_schema(fm_node_driver *d);
void fm_node_prepared_fini(fm_node_prepared *p);

/* run_texts.c */
/** A plan for adapters of a language model: base and tokenizer as the plan says, then the texts. */
FM_NODISCARD fm_status fm_node_driver_prepare_texts(fm_node_driver *d, const fm_plan *plan,
                                                    fm_node_prepared *p);
/** After a failure to read records: places go to our own log, one sentence to the answer. */
FM_NODISCARD fm_status fm_node_driver_records_fail(fm_node_driver *d, fm_status st,
                                                   const fm_buf *problems, bool pinned);
/** model.safetensors: B, as fedmoe-model adapter reads it. */
FM_NODISCARD fm_status fm_node_driver_write_adapter(fm_node_driver *d,
                                                    const fm_safetensors_meta *meta,
                                                    size_t meta_count);

/* run_books.c */
/** Of a ledger that is not there: whether that is as it should be. FM_EPROTO, with what to do, when
 *  the journal knows of released rounds. */
fm_status fm_node_books_none_yet(const fm_node_config *c);
/** The failure of who wants to read it: FM_ENOTFOUND (nothing is spent yet), or as above. */
fm_status fm_node_books_missing(const fm_node_config *c);
/** FM_EPROTO, the text naming files and figures of this house, when ledger and journal of the
 *  plan that is being prepared cannot both be the newest. Notes what the ledger holds of the
 *  plan. */
fm_status fm_node_books_check(const fm_node_driver *d, fm_node_prepared *p);
/** FM_EIO likewise when the ledger lacks an entry that this node has signed a mark of. */
fm_status fm_node_books_check_mark(const fm_node_driver *d, const fm_ledger_mark *mark);
/** As fm_node_books_check, of all plans, and without a change to the journal: for who looks. */
fm_status fm_node_books_compare(const fm_node_config *c, fm_ledger *l);
/** After entries were added to the ledger: the journal (state.db in the node's folder) must not
 *  know less than the ledger of what is used; every round of the data set that was charged is. */
fm_status fm_node_books_follow(const fm_node_config *c, fm_ledger *l);

/* run_page.c */
#define FM_NODE_LINKS "page-links" /* beside node.yaml: hashes of one-time links */
/** The page of node.yaml's `page`; nothing without it. */
FM_NODISCARD fm_status fm_node_page_open(fm_node_driver *d);
/** Where it listens; "": nowhere. */
const char *fm_node_page_address(const fm_node_driver *d);
void fm_node_page_close(fm_node_driver *d);
/** As things stand, at most once a second. */
void fm_node_page_publish(fm_node_driver *d);
/** Do what visitors have asked for: pause, resume. */
void fm_node_page_act(fm_node_driver *d);

/* run_files.c */
/** Of the plan that is approved: sequences, or lines of a table. */
size_t fm_node_driver_records(const fm_node_driver *d);
/** Read status.json or plan.json of a node's folder; of a damaged one the text says that it may be
 *  deleted. @param out  the caller's. */
fm_status fm_node_read_json(const char *dir, const char *name, json_t **out);
/** NULL: no memory. */
json_t *fm_node_driver_status_json(const fm_node_driver *d);
/** Write status.json; without `force` at most a few times a second (see _flush). */
void fm_node_driver_status(fm_node_driver *d, bool force);
void fm_node_driver_status_flush(fm_node_driver *d);
fm_status fm_node_driver_trace(const fm_node_driver *d, uint64_t round, uint64_t compute_ns);
/** plan.json: what was offered, and the answer. @param answer  "approved", "refused" or "waiting".
 *  @param why  "": nothing to add. */
fm_status fm_node_driver_write_plan(const fm_node_driver *d, const fm_plan *plan,
                                    const fm_hash *hash, const char *answer, const char *why);
/** The plan's own figures and texts, as plan.json has them. NULL without memory. */
json_t *fm_node_plan_json(const fm_plan *plan, const fm_hash *hash);
/** What the run has led to: model.safetensors, or result.json for a query. */
fm_status fm_node_driver_write_result(fm_node_driver *d, const uint8_t *model, uint64_t rounds);
const char *fm_node_driver_result_name(const fm_node_driver *d);
void fm_node_floats(const uint8_t *le, float *out, size_t n);

#endif
