/*
 * What people decided on plans: one text a decision, each signed, each holding the hash of the one
 * before. The file is for reading with one's eyes, too:
 *
 *   fedmoe decision v1
 *   number 1
 *   before 0000...                 # hash of the decision before, whole; zeros: it is the first
 *   plan 3f2a...                   # hash of the plan, over its bytes as they travelled
 *   words 91c0...                  # hash of what `fedmoe-node plan` said of it then
 *   federation heart
 *   purpose heart disease risk
 *   plan-epsilon 1
 *   plan-delta 0.0001
 *   plan-rounds 60
 *   verdict approve                # or refuse
 *   by Anna Muster
 *   role dpo
 *   at 2026-11-26T18:00:00Z
 *   epsilon 0.5                    # conditions; "-": none
 *   rounds -
 *   until 2026-12-31T23:59:59Z
 *   min-cohort -
 *   members northgate,lakeside
 *   note -                         # of a refusal: the reason, which the coordinator is told
 *   key MCowBQ...                  # who signed: public key, base64 of its DER
 *   signature 6Kd3...              # over all lines above, label "fedmoe decision v1"
 *
 * and an empty line. There is one way to write a decision: every other is refused.
 */
#ifndef FEDMOE_NODE_DECISION_H
#define FEDMOE_NODE_DECISION_H

#include "fedmoe/certs/public_key.h"
#include "fedmoe/node/config.h"

#define FM_LABEL_DECISION "fedmoe decision v1"
#define FM_DECISIONS_FILE "decisions"
#define FM_DECISION_BY_MAX 127
#define FM_DECISION_NOTE_MAX 255
#define FM_DECISION_MEMBERS_MAX 4095
#define FM_DECISIONS_MAX_BYTES ((size_t)8 << 20)
/** Role of who decided nothing: the node, by the limits that stand in node.yaml. */
#define FM_DECISION_BY_POLICY "policy"

typedef enum { FM_VERDICT_APPROVE = 1, FM_VERDICT_REFUSE = 2 } fm_verdict;

typedef struct {
    uint64_t number; /* 1.. */
    fm_hash before, plan, words;
    char federation[FM_NAME_MAX + 1];
    char purpose[FM_PURPOSE_MAX + 1];
    double plan_epsilon, plan_delta; /* as the plan states them, for who reads */
    uint32_t plan_rounds;
    fm_verdict verdict;
    char by[FM_DECISION_BY_MAX + 1], role[FM_DECISION_BY_MAX + 1];
    int64_t at_s;
    /* conditions; 0 or "": none */
    double epsilon;      /* most that this plan may cost here, at the policy's delta */
    uint32_t rounds;     /* most rounds of this plan that are released */
    int64_t until_s;     /* no round after that */
    uint32_t min_cohort; /* fewest participants of a round, and fewest in its sum */
    char members[FM_DECISION_MEMBERS_MAX + 1]; /* names with commas: nobody else in a round */
    char note[FM_DECISION_NOTE_MAX + 1];
} fm_decision;

/** Signed and chained. */
typedef struct {
    fm_decision d;
    fm_public_key key;
    fm_hash hash; /* of all its lines */
} fm_decision_entry;

typedef struct {
    fm_decision_entry *entries; /* [count], owned */
    size_t count;
} fm_decisions;

/** The lines from the first to the key, which are signed. FM_EINVAL naming what is out of range. */
FM_NODISCARD fm_status fm_decision_encode(const fm_decision *d, const fm_public_key *key,
                                          fm_buf *out);
/**
 * A file's text: form, numbers, hashes, and each signature by the key that the decision names.
 * Whether that key may decide is another question (fm_decision_counts).
 * @param name  for error texts.
 * @return FM_OK; FM_EAUTH with what is wrong with which decision; FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_decisions_read(const char *name, const void *text, size_t len,
                                         fm_decisions *out);
/** Of a private file; none there: no decisions. FM_EPERM when others may read it; FM_EIO. */
FM_NODISCARD fm_status fm_decisions_load(const char *path, fm_decisions *out);
void fm_decisions_fini(fm_decisions *d);
/** Whether any is of a plan of this federation. */
bool fm_decisions_know(const fm_decisions *d, const char *federation);

/** Whose key: the node's own, or, with key_file, the approver's. */
typedef struct {
    const fm_identity *identity; /* borrowed; not used with key_file */
    const char *key_file;        /* NULL: the identity signs */
} fm_decision_signer;

/**
 * Sign `d` and put it behind what the file holds (atomically, synced, one process at a time).
 * @param d  number and before are set here.
 * @param kept  out: as it stands there.
 * @return FM_OK; as fm_decisions_load of a file that is not in order: nothing is added to it then;
 *         FM_EINVAL; FM_EIO; what signing returns.
 */
FM_NODISCARD fm_status fm_decisions_append(const char *path, const fm_decision_signer *signer,
                                           fm_decision *d, fm_decision_entry *kept);

/** Keys whose decisions count: policy.approvers, or else the node's own. */
#define FM_DECISION_KEYS_MAX FM_NODE_MAX_APPROVERS
typedef struct {
    fm_public_key keys[FM_DECISION_KEYS_MAX];
    size_t count;
} fm_decision_keys;
FM_NODISCARD fm_status fm_decision_keys_of(const fm_node_config *c, fm_decision_keys *out);
bool fm_decision_counts(const fm_decision_entry *e, const fm_decision_keys *k);
/** The last one on a plan that counts; NULL: there is none. Borrowed. */
const fm_decision_entry *fm_decisions_on(const fm_decisions *d, const fm_hash *plan,
                                         const fm_decision_keys *k);
/**
 * All of a node's folder, as fm_decisions_load, and compared with its journal if there is one.
 * Nothing is changed.
 */
FM_NODISCARD fm_status fm_decisions_of_node(const fm_node_config *c, fm_decisions *out);
/** Whether the chain goes on from what the journal knows of it. FM_EAUTH with what to do: it was
 *  cut short, replaced, or is older than the journal. */
FM_NODISCARD fm_status fm_decisions_check_known(const fm_decisions *d, const char *path,
                                                uint64_t count, const fm_hash *head);
/** Whether they began after the others were declared void (fm_journal_voided; 0: never). FM_EAUTH:
 *  the old ones were put back. */
FM_NODISCARD fm_status fm_decisions_check_void(const fm_decisions *d, const char *path,
                                               int64_t voided_s);

/* ---- conditions ---- */

/** The next round of a plan, as far as conditions ask. */
typedef struct {
    int64_t now_s;
    uint64_t rounds; /* of this plan that are released, with it */
    double epsilon;  /* that they cost together, at the policy's delta */
} fm_decision_round;
/** FM_EPERM with the sentence for this house's log: no further round under this decision. */
FM_NODISCARD fm_status fm_decision_check(const fm_decision *d, const fm_decision_round *r);
/** FM_ESTATE: not with so few; FM_EPERM: not with somebody of them. */
FM_NODISCARD fm_status fm_decision_check_company(const fm_decision *d, const char *const *names,
                                                 size_t count);
/** "approved, if at most 4 rounds ...": what it says, as a sentence without a full stop. */
FM_NODISCARD fm_status fm_decision_words(const fm_decision *d, fm_buf *out);

/** "2026-12-31" (the end of that day) or "2026-12-31T12:00:00Z". FM_EINVAL. */
FM_NODISCARD fm_status fm_decision_date(const char *text, int64_t *out);
/** Names with commas: each once, sorted. FM_EINVAL naming what is none. */
FM_NODISCARD fm_status fm_decision_set_members(fm_decision *d, const char *names);

#endif
