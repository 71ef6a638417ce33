/*
 * Four made-up hospitals with the columns of the UCI heart-disease files. Each patient is ill or
 * not by the hospital's case mix; the findings follow illness with overlapping distributions whose
 * means and spreads are rough textbook figures. Hospitals differ in prevalence, age, sex, and in
 * which examinations they do at all.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "fedmoe/demo/hospitals.h"

typedef struct {
    const char *name;
    size_t records;
    double ill, male, age;                   /* share, share, mean years */
    double no_chol, no_exercise, no_imaging; /* shares of missing examinations */
} case_mix;

static const case_mix mixes[FM_DEMO_HOSPITALS] = {
    { "northgate", 300, 0.46, 0.68, 54.0, 0.00, 0.00, 0.02 }, /* referral centre, examines all */
    { "lakeside", 290, 0.36, 0.72, 48.0, 0.08, 0.02, 0.90 },  /* screening of younger patients */
    { "hillcrest", 125, 0.85, 0.92, 55.0, 0.90, 0.05, 0.70 }, /* pre-surgical: most are ill */
    { "riverside", 200, 0.72, 0.96, 60.0, 0.28, 0.28, 0.85 }, /* older men, gaps in the files */
};

static bool happens(fm_demo_random *r, double p)
{
    return fm_demo_random_unit(r) < p;
}

static double between(fm_demo_random *r, double mean, double sd, double lo, double hi)
{
    double v = round(mean + sd * fm_demo_random_normal(r));

    return v < lo ? lo : v > hi ? hi : v;
}

/* An index drawn with the given probabilities (the last takes the rest). */
static int pick(fm_demo_random *r, const double *p, int n)
{
    double u = fm_demo_random_unit(r);

    for (int i = 0; i < n - 1; i++) {
        if (u < p[i])
            return i;
        u -= p[i];
    }
    return n - 1;
}

/* A cell: the number, or the missing mark. */
static fm_status cell(fm_buf *b, bool missing, double v)
{
    return missing ? fm_buf_printf(b, "?,") : fm_buf_printf(b, "%g,", v);
}

static fm_status at_rest(fm_buf *b, fm_demo_random *r, const case_mix *m, bool ill, double age)
{
    static const double pain_ill[] = { 0.05, 0.12, 0.22, 0.61 };
    static const double pain_well[] = { 0.07, 0.25, 0.30, 0.38 };
    static const double ecg_ill[] = { 0.50, 0.25, 0.25 }, ecg_well[] = { 0.62, 0.15, 0.23 };
    fm_status st;

    if ((st = cell(b, false, happens(r, ill ? fmin(m->male + 0.1, 1.0) : m->male - 0.1))) !=
            FM_OK ||
        (st = cell(b, false, 1 + pick(r, ill ? pain_ill : pain_well, 4))) != FM_OK ||
        (st = cell(b, happens(r, 0.02),
                   between(r, 118.0 + 0.25 * age + (ill ? 3.0 : 0.0), 17.0, 90, 200))) != FM_OK ||
        (st = cell(b, happens(r, m->no_chol),
                   between(r, 228.0 + (ill ? 14.0 : 0.0), 48.0, 110, 400))) != FM_OK ||
        (st = cell(b, happens(r, 0.03), happens(r, ill ? 0.19 : 0.12))) != FM_OK)
        return st;
    return cell(b, false, pick(r, ill ? ecg_ill : ecg_well, 3));
}

static fm_status exercise(fm_buf *b, fm_demo_random *r, const case_mix *m, bool ill, double age)
{
    static const double slope_ill[] = { 0.30, 0.58, 0.12 }, slope_well[] = { 0.55, 0.39, 0.06 };
    bool none = happens(r, m->no_exercise);
    double depression = fabs((ill ? 1.1 : 0.5) + (ill ? 1.0 : 0.8) * fm_demo_random_normal(r));
    fm_status st;

    if ((st = cell(b, none, between(r, 212.0 - age - (ill ? 18.0 : 6.0), 21.0, 65, 205))) !=
            FM_OK ||
        (st = cell(b, none, happens(r, ill ? 0.46 : 0.20))) != FM_OK ||
        (st = cell(b, none, round(10.0 * fmin(depression, 5.0)) / 10.0)) != FM_OK)
        return st;
    return cell(b, none || happens(r, 0.2), 1 + pick(r, ill ? slope_ill : slope_well, 3));
}

static fm_status imaging(fm_buf *b, fm_demo_random *r, const case_mix *m, bool ill)
{
    static const double vessels_ill[] = { 0.45, 0.28, 0.17, 0.10 };
    static const double vessels_well[] = { 0.73, 0.16, 0.07, 0.04 };
    static const double thal_ill[] = { 0.38, 0.08, 0.54 }, thal_well[] = { 0.72, 0.05, 0.23 };
    static const double thal_code[] = { 3, 6, 7 };
    fm_status st = cell(b, happens(r, m->no_imaging), pick(r, ill ? vessels_ill : vessels_well, 4));

    if (st != FM_OK)
        return st;
    return cell(b, happens(r, m->no_imaging * 0.8),
                thal_code[pick(r, ill ? thal_ill : thal_well, 3)]);
}

static fm_status record(fm_buf *b, fm_demo_random *r, const case_mix *m)
{
    bool ill = happens(r, m->ill);
    double age = between(r, m->age + (ill ? 2.0 : -2.0), 8.5, 28, 79);
    fm_status st;

    if ((st = cell(b, false, age)) != FM_OK || (st = at_rest(b, r, m, ill, age)) != FM_OK ||
        (st = exercise(b, r, m, ill, age)) != FM_OK || (st = imaging(b, r, m, ill)) != FM_OK)
        return st;
    return fm_buf_printf(b, "%d\n", ill ? 1 + (int)(fm_demo_random_unit(r) * 3.0) : 0);
}

fm_status fm_demo_hospitals_make(uint64_t seed, fm_demo_hospital out[FM_DEMO_HOSPITALS])
{
    fm_demo_random r = { seed };
    fm_status st = FM_OK;

    memset(out, 0, FM_DEMO_HOSPITALS * sizeof *out);
    for (size_t i = 0; st == FM_OK && i < FM_DEMO_HOSPITALS; i++) {
        fm_buf text = { 0 };

        snprintf(out[i].name, sizeof out[i].name, "%s", mixes[i].name);
        for (size_t n = 0; st == FM_OK && n < mixes[i].records; n++)
            st = record(&text, &r, &mixes[i]);
        if (st == FM_OK)
            st = fm_demo_split(text.data, text.len, seed * FM_DEMO_HOSPITALS + i, &out[i]);
        fm_buf_fini(&text);
    }
    if (st != FM_OK)
        fm_demo_hospitals_fini(out);
    return st;
}
