/*
 * The plan: everything that a node approves before the first round. Its hash is taken over the
 * bytes as they travel, so that two parties who agree on the hash agree on every figure.
 */
#ifndef FEDMOE_PROTO_PLAN_H
#define FEDMOE_PROTO_PLAN_H

#include "fedmoe/base/hash.h"
#include "fedmoe/base/memory.h"
#include "fedmoe/certs/identity.h"
#include "fedmoe/proto/limits.h"

/** SUM adds the decoded sum of each round to the coordinates it updates: statistics, evaluation. */
typedef enum {
    FM_OPTIMIZER_SGD = 1,
    FM_OPTIMIZER_ADAM = 2,
    FM_OPTIMIZER_SUM = 3,
    FM_OPTIMIZER_YOGI = 4
} fm_optimizer_kind;

/** What a round's sum is of: clipped gradients, or what dp/query.h makes of a unit. */
typedef enum { FM_TASK_TRAINING = 1, FM_TASK_STATISTICS = 2, FM_TASK_EVALUATION = 3 } fm_task;

/** Whose noise the guarantee counts on: docs/privacy.md, section 3. */
typedef enum { FM_NOISE_DISTRIBUTED = 1, FM_NOISE_LOCAL = 2 } fm_noise_mode;

/** How units become integers: docs/privacy.md, section 2. */
typedef enum { FM_ENCODING_EXACT = 1, FM_ENCODING_FAST = 2 } fm_encoding;

/** The learning rate over the rounds, after the warmup. */
typedef enum {
    FM_SCHEDULE_CONSTANT = 1,
    FM_SCHEDULE_LINEAR = 2,
    FM_SCHEDULE_COSINE = 3
} fm_schedule;

/** What a local step adds to its gradient: docs/model.md, "Local steps". */
typedef enum { FM_CORRECTION_NONE = 0, FM_CORRECTION_SCAFFOLD = 1 } fm_correction;
/** What is made of the groups' sums. */
typedef enum {
    FM_ROBUST_NONE = 0, /* there are no groups */
    FM_ROBUST_MEDIAN = 1,
    FM_ROBUST_TRIMMED = 2,
    FM_ROBUST_GEOMETRIC = 3
} fm_robust_mean;

#define FM_MAX_GROUPS 64u
/** A sum is of this many honest nodes at least. */
#define FM_PLAN_HONEST_IN_SUM 2u

#define FM_UNIT_RECORD "record"
/** Most local steps of a round; dp has the same bound. */
#define FM_PLAN_LOCAL_STEPS_MAX 64u

/** Bins of a class's scores, a power of two (train/scores.h). */
#define FM_PLAN_HELD_BINS_MIN 4u
#define FM_PLAN_HELD_BINS_MAX 64u

#define FM_PURPOSE_MAX 255
#define FM_PLAN_DENSITY_ALL 256u
#define FM_PLAN_DENSE_NODES 32u

/** Fields as in fedmoe.proto, message Plan. The three texts are owned (fm_plan_fini). */
typedef struct {
    char federation[FM_NAME_MAX + 1];
    char purpose[FM_PURPOSE_MAX + 1]; /* printable UTF-8 */
    char privacy_unit[64];            /* "record", or the name of a column: all its rows of one
                                         value are one unit */
    uint32_t max_unit_rows;           /* 1..FM_MAX_UNIT_ROWS; 1 with "record" */
    double epsilon;                   /* (0, 1000] */
    double delta;                     /* (0, 1) */
    double clip_norm;                 /* [1e-6, 1e6] */
    double sampling_rate;             /* (0, 1] */
    double noise_multiplier;          /* [0, 1e6]; 0 has no privacy: only with epsilon 1000 */
    uint32_t rounds;                  /* 1..FM_MAX_ROUNDS */
    uint32_t max_units;               /* 1..2^24 */
    double expected_units;            /* [1, 2^24] */
    uint32_t min_cohort;              /* 2..max_nodes */
    uint32_t quorum;                  /* > (max_nodes + colluders) / 2, <= max_nodes */
    uint32_t colluders;               /* < quorum */
    uint32_t max_nodes;               /* 2..FM_MAX_NODES */
    fm_task task;
    fm_noise_mode noise;
    uint32_t parameters;            /* 1..FM_MAX_PARAMETERS: length of the state vector */
    fm_encoding encoding;           /* exact for statistics and evaluation */
    uint32_t frozen;                /* 0..parameters - 1; 0 for training and statistics */
    char *model_text, *schema_text; /* 1..FM_MAX_TEXT_BYTES each; no model_text (NULL, on the wire
                                         empty) for statistics */
    char *query_text;               /* 1..FM_MAX_QUERY_BYTES for statistics and evaluation; NULL for
                                         training */
    fm_hash initial_model;
    fm_optimizer_kind optimizer;
    double learning_rate;   /* (0, 1e6] */
    double momentum, beta2; /* [0, 1) */
    double averaging;       /* [0, 1): weights after the last averaging * rounds rounds
                                         are averaged uniformly; 0: the last weights */
    double adam_epsilon;    /* (0, 1], in units of the mean gradient */
    fm_schedule schedule;
    double warmup;     /* [0, 1): share of the rounds in which the rate rises linearly */
    double final_rate; /* [0, 1]: rate at the end over learning_rate */
    /* The state vector ends in its tail: load_groups * load_experts load biases, then, when
     * clip_quantile > 0, the natural logarithm of the clip norm in use over clip_norm, then, when
     * patience > 0, what is known of units held out, then, when start_scale > 0, the phase. In an update these places hold noised counts: docs/privacy.md, section 2. */
    uint32_t load_groups;  /* 0..16: MoE blocks whose experts are counted */
    uint32_t load_experts; /* 2..256 when load_groups > 0, else 0 */
    double load_share;     /* (0, 0.5] when load_groups > 0, else 0 */
    double balance_rate;   /* [0, 1] */
    double clip_quantile;  /* [0, 1); 0: the clip norm is fixed */
    double clip_rate;      /* [0, 2]; 0 when the clip norm is fixed */
    double clip_share;     /* (0, 0.5] when clip_quantile > 0, else 0 */
    /* What no gradient moves; and with start_scale > 0 the first round is a statistics round, which
     * sets it, and the last word of the tail is the phase, 0 before it and 1 after it:
     * docs/privacy.md, section 2. */
    uint32_t start_center; /* first of the coordinates that center the features */
    uint32_t start_count;  /* so many; none in the tail. 0: there are none, and all four are 0 */
    uint32_t start_bias;   /* neither one of those, nor in the tail; 0 without a statistics round */
    double start_scale;    /* 0: no statistics round; else [1e-6, 1000] */
    double
        model_clip_norm;   /* evaluation: [0, 1e6]; what the model was trained with, 0: not known */
    uint32_t word_bits;    /* 16, 24 or 32: of a word of an update; dp says which of them serve */
    uint32_t mask_density; /* 1..256: of 256 pairs so many share a mask, by chance; 256 up to
                              FM_PLAN_DENSE_NODES max_nodes. dp says how many are enough */
    /* Units that only judge the model (docs/privacy.md, section 2), and two more words of the tail,
     * before the phase: the mean of their loss in the window of `patience` rounds under way, and in
     * the one before. Training ends when a window has ended whose loss is not below. */
    double held_share; /* (0, 0.5] of the units; 0: none, and all three are 0 */
    double held_bound; /* largest loss that counts, [1e-3, 1e6], in the loss's own unit */
    uint32_t patience; /* rounds of a window, 1..FM_MAX_ROUNDS */
    /* Secure sums by groups, drawn anew in each round (groups.h), and a robust mean over them: docs/privacy.md,
     * section 9. All four 0: one sum of all. */
    uint32_t robust_groups; /* 3..FM_MAX_GROUPS; training, with a mask_density of 256 */
    uint32_t
        robust_quorum; /* fewest survivors of each group: colluders + 2 at least, and groups of as
                                   many fit into min_cohort */
    fm_robust_mean robust_mean;    /* MEDIAN, TRIMMED or GEOMETRIC */
    uint32_t robust_trim;          /* TRIMMED: 1..(robust_groups - 1) / 2, else 0 */
    uint8_t run[FM_SESSION_BYTES]; /* random: two runs of the same figures are two plans */
    /* Local steps: an update is the sum of so many noised sums, between which a node moves its own
     * model. All four are 0 in a plan without, whose rounds have one step. */
    uint32_t local_steps;     /* 0, or for training with noise LOCAL 2..FM_PLAN_LOCAL_STEPS_MAX */
    double local_rate;        /* (0, 1e6] with local steps */
    double proximal;          /* [0, 1e6]; times local_rate at most 1 */
    fm_correction correction; /* SCAFFOLD: with SGD without momentum at a constant rate, and a fixed
                                 clip norm */
    /* With patience: behind the two words of the loss 2 held_bins more, in which bins the scores of
     * class 0 and then of class 1 are (optim/auc.h). 0: none. */
    uint32_t held_bins; /* FM_PLAN_HELD_BINS_MIN..FM_PLAN_HELD_BINS_MAX, a power of two */
} fm_plan;

/** Every range above, and the relations between fields. FM_EINVAL naming field and bound. */
FM_NODISCARD fm_status fm_plan_check(const fm_plan *p);
/** fm_plan_check, then encode (deterministic) and append to `out`. */
FM_NODISCARD fm_status fm_plan_encode(const fm_plan *p, fm_buf *out);
/** Decode and fm_plan_check; FM_EPROTO. On FM_OK the caller ends *out with fm_plan_fini. */
FM_NODISCARD fm_status fm_plan_decode(const uint8_t *data, size_t len, fm_plan *out);
void fm_plan_fini(fm_plan *p);
/**
 * How much of a model or an update may be under way from or to one node: so little that all nodes
 * together hold 16 MiB in the aggregator, but 64 KiB to 4 MiB; and what one piece of it is.
 */
uint32_t fm_plan_window_bytes(const fm_plan *p);
uint32_t fm_plan_piece_bytes(const fm_plan *p);
/** Coordinates of one update: parameters - frozen. */
static inline uint32_t fm_plan_update_words(const fm_plan *p)
{
    return p->parameters - p->frozen;
}
/** Noised sums of one round: what the ledger is charged for. */
static inline uint32_t fm_plan_steps(const fm_plan *p)
{
    return p->local_steps > 1 ? p->local_steps : 1;
}
/** Units that one node is taken to sum in a step: its part of those that are expected, whatever its
 *  own number is, which nothing may depend on that is not noised (docs/privacy.md, "Local steps"). */
static inline double fm_plan_local_units(const fm_plan *p)
{
    return p->sampling_rate * p->expected_units / p->max_nodes;
}
/** Bytes of one update. */
static inline size_t fm_plan_update_bytes(const fm_plan *p)
{
    return (size_t)fm_plan_update_words(p) * (p->word_bits / 8);
}
/** Trailing coordinates of the state that are not weights of the model. */
static inline uint32_t fm_plan_tail(const fm_plan *p)
{
    return p->load_groups * p->load_experts + (p->clip_quantile > 0.0 ? 1u : 0u) +
           (p->patience > 0 ? 2u : 0u) + 2u * p->held_bins + (p->start_scale > 0.0 ? 1u : 0u);
}
/** Sums that a round is read as: 1 without groups. */
static inline uint32_t fm_plan_groups(const fm_plan *p)
{
    return p->robust_groups > 0 ? p->robust_groups : 1;
}
/** Most nodes, and fewest survivors, of one sum. */
static inline uint32_t fm_plan_group_nodes(const fm_plan *p)
{
    return (p->max_nodes + fm_plan_groups(p) - 1) / fm_plan_groups(p);
}
static inline uint32_t fm_plan_group_quorum(const fm_plan *p)
{
    return p->robust_groups > 0 ? p->robust_quorum : p->quorum;
}
/** So many groups may hold anything at all, and the robust mean is still bounded by the others; 0
 *  without groups. */
static inline uint32_t fm_plan_groups_spoiled(const fm_plan *p)
{
    return p->robust_mean == FM_ROBUST_TRIMMED ? p->robust_trim : (fm_plan_groups(p) - 1) / 2;
}
/** Label "fedmoe plan v1", over the encoded bytes. */
fm_hash fm_plan_hash(const void *bytes, size_t len);

/**
 * The smallest quorum that is safe for n participants: floor((n + colluders) / 2) + 1.
 * With it no two disjoint sets of survivors can both be released, whoever of the colluders
 * commits twice.
 */
uint32_t fm_plan_min_quorum(uint32_t n, uint32_t colluders);

#endif
