#include "fedmoe/model/metrics.h"

#include <math.h>
#include <stdlib.h>

#include "fedmoe/base/memory.h"

typedef struct {
    float logit;
    bool positive;
} scored;

static int by_logit(const void *a, const void *b)
{
    const float u = ((const scored *)a)->logit, v = ((const scored *)b)->logit;

    return (u > v) - (u < v);
}

/* Pairs (positive, negative) in the right order, ties a half, over all pairs. Counts, and halves of
 * them, are exact in double up to 2^52. */
static double auc(const scored *s, size_t n, size_t positives)
{
    double right = 0.0, below = 0.0;

    for (size_t i = 0; i < n;) {
        double up = 0.0, down = 0.0;
        size_t j = i;

        for (; j < n && s[j].logit == s[i].logit; j++)
            *(s[j].positive ? &up : &down) += 1.0;
        right += up * (below + down / 2.0);
        below += down;
        i = j;
    }
    if (!positives || positives == n)
        return (double)NAN;
    return right / ((double)positives * (double)(n - positives));
}

fm_status fm_metrics_compute(const float *logits, const float *labels, size_t n, fm_metrics *out)
{
    scored *s = NULL;
    size_t positives = 0, right = 0;
    double loss = 0.0;
    fm_status st;

    if (!out || (n && (!logits || !labels)))
        return fm_fail(FM_EINVAL, "metrics: an argument is missing");
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(logits[i]))
            return fm_fail(FM_ENONFINITE, "metrics: a logit is not a finite number");
        if (labels[i] != 0.0f && labels[i] != 1.0f)
            return fm_fail(FM_EINVAL, "metrics: a label is neither 0 nor 1");
    }
    if ((st = fm_alloc(n ? n : 1, sizeof *s, (void **)&s)))
        return st;
    for (size_t i = 0; i < n; i++) {
        const bool positive = labels[i] == 1.0f;
        const double margin = positive ? (double)logits[i] : -(double)logits[i];

        s[i] = (scored){ logits[i], positive };
        positives += positive;
        right += positive == (logits[i] > 0.0f);
        loss += fmax(-margin, 0.0) + log1p(exp(-fabs(margin)));
    }
    qsort(s, n, sizeof *s, by_logit);
    *out = (fm_metrics){ .rows = n,
                         .positives = positives,
                         .auc = auc(s, n, positives),
                         .accuracy = n ? (double)right / (double)n : (double)NAN,
                         .log_loss = n ? loss / (double)n : (double)NAN };
    free(s);
    return FM_OK;
}
