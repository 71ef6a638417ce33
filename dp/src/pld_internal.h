/*
 * Privacy loss distributions: the pieces that the pld*.c files share. docs/privacy.md, section 5,
 * has the mathematics and the proof that every step errs upwards.
 *
 * One mechanism is a pair of distributions on the line of v = log(Q1/Q0): "remove" compares
 * P = (1-q) Q0 + q Q1 with Q0, "add" compares Q0 with P. The loss of removing is
 * L(v) = log(1 - q + q e^v), rising in v; the loss of adding is -L(v).
 */
#ifndef FEDMOE_DP_PLD_INTERNAL_H
#define FEDMOE_DP_PLD_INTERNAL_H

#include <stdbool.h>

#include "fedmoe/dp/accountant.h"
#include "fft.h"

#define FM_PLD_MAX_ATOMS ((size_t)1 << 17) /* of one discrete mechanism */
#define FM_PLD_MAX_CELLS ((size_t)1 << 22)
#define FM_PLD_MAX_LOG2N 21u
#define FM_PLD_MIN_Z 5e-3 /* below, losses are too large for their rounding to be negligible */
#define FM_PLD_UNIT 1.1102230246251565e-16

enum { FM_PLD_REMOVE, FM_PLD_ADD, FM_PLD_WAYS };

/** One mechanism, with tails cut `tail` standard deviations beyond the centres. */
typedef struct {
    fm_dp_mechanism_kind kind;
    double z, q, omq, log_q, log_omq; /* omq is 1 - q */
    double v_lo, v_hi;                /* continuous part */
    double sigma, shift, log_norm;    /* discrete Gaussian, in lattice steps */
    int64_t x_lo, x_hi;
    double p_left, p_right, q_left, q_right; /* masses beyond, upper bounds */
} fm_pld_pair;

/** FM_ENOMEM when it has too many atoms (the text says so). */
FM_NODISCARD fm_status fm_pld_pair_init(fm_pld_pair *p, const fm_dp_mechanism *m, double tail);
/** L(v). */
double fm_pld_loss(const fm_pld_pair *p, double v);
/** e^x - (1 - q): q times the ratio at which the loss is x. */
double fm_pld_ratio(const fm_pld_pair *p, double x);
bool fm_pld_is_continuous(const fm_pld_pair *p);
/** Log density of Q0 over v, and a bound of how fast the integrands turn there (1/width). */
double fm_pld_log_density(const fm_pld_pair *p, double v);
double fm_pld_slope(const fm_pld_pair *p, double v);
/** Where Q0's density over v is largest within [a, b]. */
double fm_pld_mode(const fm_pld_pair *p, double a, double b);
/** Atoms: how many, and the log of Q0's mass and v of number i. */
size_t fm_pld_atoms(const fm_pld_pair *p);
void fm_pld_atom(const fm_pld_pair *p, size_t i, double *log_mass, double *v);

/** Nodes and weights of Gauss-Legendre rules on [0, 1]. */
typedef struct {
    int n;
    double x[5], w[5];
} fm_pld_rule;
/** The rule that is exact to 1e-15 for slope times width up to 0.25. */
const fm_pld_rule *fm_pld_rule_for(double slope_width);

/**
 * The pair on a grid by connecting the dots: cell i lies between grid points first + i and
 * first + i + 1; its P mass and its Q mass are both conserved by e^scale * lo and e^scale * hi.
 */
typedef struct {
    double h;
    int64_t first;
    size_t n;
    double *scale, *lo, *hi;
    double slop; /* bound of the error of one loss */
} fm_pld_cells;

FM_NODISCARD fm_status fm_pld_cells_init(fm_pld_cells *c, const fm_pld_pair *p, double h);
void fm_pld_cells_fini(fm_pld_cells *c);

/**
 * A light picture of the pair, for choosing the tilt, the window and the grid: no bound hangs
 * on it. P's log masses and the losses of removing; gap is the distance to the next node, or
 * 0 for an atom.
 */
typedef struct {
    size_t n;
    double *log_mass, *loss, *gap;
} fm_pld_sketch;

FM_NODISCARD fm_status fm_pld_sketch_init(fm_pld_sketch *s, const fm_pld_pair *p);
void fm_pld_sketch_fini(fm_pld_sketch *s);
/** log E_P[exp(e * loss)], and the mean and variance of the loss under that tilt unless NULL. */
double fm_pld_sketch_moment(const fm_pld_sketch *s, double e, double *mean, double *variance);
/** By how much a grid of width h raises that log moment, about. */
double fm_pld_sketch_error(const fm_pld_sketch *s, double e, double h);

/** The exponent on P's losses that tilts this way's distribution by lambda. */
static inline double fm_pld_exponent(int way, double lambda)
{
    return way == FM_PLD_REMOVE ? lambda : -1.0 - lambda;
}

/** What an answer is about: epsilon at delta, or delta at epsilon (the other is NaN). */
typedef struct {
    double epsilon, delta;
} fm_pld_question;

/** A kind of release within a composition. */
typedef struct {
    fm_dp_mechanism m; /* count: how many are composed */
    fm_pld_pair pair;
    fm_pld_sketch sketch;
    bool sketched;
    uint64_t in_base;              /* how many the engine has multiplied into its base */
    bool built;                    /* what follows is valid for the engine's plan */
    double *spectrum[FM_PLD_WAYS]; /* real parts, then imaginary parts; NULL: not kept */
    double log_moment[FM_PLD_WAYS], log_top[FM_PLD_WAYS], norm[FM_PLD_WAYS];
    double rise[FM_PLD_WAYS]; /* of the log moment, by the grid */
    double lost[FM_PLD_WAYS]; /* mass at infinity */
    double highest[FM_PLD_WAYS];
    double slop, rounding;
} fm_pld_kind;

void fm_pld_kind_fini(fm_pld_kind *k);

/** Tilts, windows and grid for one composition and one question. */
typedef struct {
    double tail;
    double lambda[FM_PLD_WAYS], s_top[FM_PLD_WAYS];
    double epsilon[FM_PLD_WAYS], log_delta[FM_PLD_WAYS]; /* about what the answer will be */
    double bottom[FM_PLD_WAYS], top[FM_PLD_WAYS];
    double h;
    unsigned log2n;
    int64_t start[FM_PLD_WAYS]; /* grid index of each window's lowest point */
    bool fine;                  /* the grid is as fine as the precision asks for */
} fm_pld_plan;

/**
 * @param kinds    of which those with count > 0 are composed; sketched as needed.
 * @param margin   counts are taken this much larger, >= 1.
 * @param stretch  windows reach this much further, >= 1.
 */
FM_NODISCARD fm_status fm_pld_plan_make(fm_pld_plan *p, fm_pld_kind *const *kinds, size_t count,
                                        const fm_pld_question *ask, double margin, double stretch);

/** What errors of epsilon are measured against: itself, or near 0 a little of the spread. */
static inline double fm_pld_scale(const fm_pld_plan *p, int way, double epsilon)
{
    double spread = 0.003 * (p->top[way] - p->bottom[way]);

    return epsilon > spread ? epsilon : spread;
}

/** Discretise, tilt and transform one kind; re and im are scratch of the transform's length. */
FM_NODISCARD fm_status fm_pld_kind_build(fm_pld_kind *k, const fm_pld_plan *plan, const fm_fft *fft,
                                         double *re, double *im);
/** product *= spectrum^count; real parts, then imaginary parts, n of each. */
void fm_pld_multiply(double *product, const double *spectrum, size_t n, uint64_t count);
/** Numbers that one way's half spectrum has for a transform of length n. */
static inline size_t fm_pld_half(size_t n)
{
    return n / 2 + 1;
}
/** Two real sequences' half spectra out of the transform of re + i im, and back. */
void fm_pld_unpack(const double *re, const double *im, size_t n, double *a, double *b);
void fm_pld_pack(const double *a, const double *b, size_t n, double *re, double *im);

/** A composed, still tilted distribution, and the bounds that are added to what it says. */
typedef struct {
    const double *p; /* n circular masses; index J of the grid is at J mod n */
    size_t n;
    int64_t start;
    double h, lambda, log_moment;
    double rounding; /* relative */
    double noise;    /* L2 norm of the transform's error */
    double fixed;    /* added to delta: mass at infinity and above the window */
    double slop;     /* added to epsilon */
} fm_pld_composed;

/** What came out: the bound, and how much of it the added terms are. */
typedef struct {
    double value;
    double added; /* all added terms over the delta at the answer */
    double fixed; /* of which: what a larger window would lessen */
    double slope; /* of -log delta over epsilon there */
    bool inside;  /* the answer lies within the window */
} fm_pld_reading;

fm_pld_reading fm_pld_read_epsilon(const fm_pld_composed *c, double delta);
fm_pld_reading fm_pld_read_delta(const fm_pld_composed *c, double epsilon);

#endif
