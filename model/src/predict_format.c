/* Predictions as text. Numbers have printf's %.9g: enough digits for any float32. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "predict_internal.h"

#define DIGITS 9
#define POWER_MAX 22 /* 10^22 is a double, and the largest of its kind */

static const double powers[POWER_MAX + 1] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                              1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                              1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };

/*
 * v = digits * 10^(exponent - 8), rounded to nearest. v * 10^k is off by less than 2e-7 of a unit
 * of the last digit; where that could change the rounding the answer is false.
 */
static bool round_digits(double v, uint32_t *digits, int *exponent)
{
    double scaled, rest;
    int e;

    (void)frexp(v, &e);
    e = (int)floor((e - 1) * 0.30102999566398120); /* log10 2: right, or one too low */
    for (int tries = 0; tries < 2; tries++) {
        const int k = DIGITS - 1 - e;

        if (k > POWER_MAX || k < 0)
            return false;
        scaled = v * powers[k];
        rest = scaled - floor(scaled);
        if (fabs(rest - 0.5) < 1e-6)
            return false;
        scaled = floor(scaled) + (rest > 0.5 ? 1.0 : 0.0);
        if (scaled >= 1e8 && scaled < 1e9) {
            *digits = (uint32_t)scaled;
            *exponent = e;
            return true;
        }
        e += scaled >= 1e9 ? 1 : -1;
    }
    return false;
}

static size_t put_exponent(char *out, int exponent)
{
    const unsigned e = (unsigned)-exponent; /* below -4, above -22 */

    out[0] = 'e';
    out[1] = '-';
    out[2] = (char)('0' + e / 10);
    out[3] = (char)('0' + e % 10);
    return 4;
}

size_t fm_format_number(double v, char out[24])
{
    const bool minus = signbit(v);
    char text[DIGITS], *p = out;
    uint32_t digits;
    size_t n = DIGITS;
    int exponent;

    if (v == 0.0 || !isfinite(v) || !round_digits(fabs(v), &digits, &exponent) || exponent > 8)
        return (size_t)snprintf(out, 24, "%.9g", v);
    for (size_t i = DIGITS; i-- > 0; digits /= 10)
        text[i] = (char)('0' + digits % 10);
    while (n > 1 && text[n - 1] == '0')
        n--;
    if (minus)
        *p++ = '-';
    if (exponent < -4) {
        *p++ = text[0];
        if (n > 1) {
            *p++ = '.';
            memcpy(p, text + 1, n - 1);
            p += n - 1;
        }
        return (size_t)(p - out) + put_exponent(p, exponent);
    }
    if (exponent < 0) {
        memcpy(p, "0.000", (size_t)(1 - exponent));
        p += 1 - exponent;
        memcpy(p, text, n);
        return (size_t)(p - out) + n;
    }
    for (size_t i = 0; i < n || i <= (size_t)exponent; i++) {
        if (i == (size_t)exponent + 1)
            *p++ = '.';
        *p++ = i < n ? text[i] : '0';
    }
    return (size_t)(p - out);
}

fm_status fm_format_cell(fm_buf *out, const char *text, size_t len, char delimiter)
{
    bool plain = !len || (text[0] != ' ' && text[0] != '\t' && text[len - 1] != ' ' &&
                          text[len - 1] != '\t');
    fm_status st;

    for (size_t i = 0; plain && i < len; i++)
        plain = text[i] != delimiter && text[i] != '"' && text[i] != '\n' && text[i] != '\r';
    if (plain)
        return len ? fm_buf_append(out, text, len) : FM_OK;
    st = fm_buf_append(out, "\"", 1);
    for (size_t i = 0; !st && i < len; i++)
        if (!(st = fm_buf_append(out, text + i, 1)) && text[i] == '"')
            st = fm_buf_append(out, "\"", 1);
    return st ? st : fm_buf_append(out, "\"", 1);
}

fm_status fm_format_header(fm_buf *out, const fm_schema *s, const char *id, bool lines)
{
    const fm_target target = fm_schema_target(s);
    fm_buf name = { 0 };
    fm_status st = FM_OK;

    if (id && !(st = fm_format_cell(out, id, strlen(id), ',')))
        st = fm_buf_append(out, ",", 1);
    if (!st && lines)
        st = fm_buf_printf(out, "line,");
    if (!st && target == FM_TARGET_BINARY)
        st = fm_buf_printf(out, "%sprobability", lines ? "logit," : "");
    else if (!st)
        st = fm_buf_printf(out, target == FM_TARGET_NUMBER ? "prediction" : "class");
    for (size_t i = 0; !st && target == FM_TARGET_CLASSES && i < fm_schema_outputs(s); i++) {
        fm_buf_clear(&name);
        if (!(st = fm_buf_printf(&name, "probability_%s", fm_schema_class_name(s, i))) &&
            !(st = fm_buf_append(out, ",", 1)))
            st = fm_format_cell(out, (const char *)name.data, name.len, ',');
    }
    fm_buf_fini(&name);
    return st ? st : fm_buf_append(out, "\n", 1);
}

static fm_status append_number(fm_buf *out, double v, char after)
{
    char text[25];
    size_t n = fm_format_number(v, text);

    text[n++] = after;
    return fm_buf_append(out, text, n);
}

/* Softmax: the largest output is subtracted, so that nothing overflows. */
static fm_status put_classes(fm_buf *out, const fm_schema *s, const float *outputs, double *p)
{
    const size_t count = fm_schema_outputs(s);
    const char *name;
    double sum = 0.0;
    size_t best = 0;
    fm_status st;

    for (size_t i = 1; i < count; i++)
        best = outputs[i] > outputs[best] ? i : best;
    for (size_t i = 0; i < count; i++)
        sum += p[i] = exp((double)outputs[i] - (double)outputs[best]);
    name = fm_schema_class_name(s, best);
    if ((st = fm_format_cell(out, name, strlen(name), ',')) || (st = fm_buf_append(out, ",", 1)))
        return st;
    for (size_t i = 0; !st && i < count; i++)
        st = append_number(out, p[i] / sum, i + 1 < count ? ',' : '\n');
    return st;
}

fm_status fm_format_prediction(fm_buf *out, const fm_schema *s, const float *outputs, bool logits,
                               double *scratch)
{
    const fm_target target = fm_schema_target(s);
    const size_t count = fm_schema_outputs(s);
    fm_status st;

    for (size_t i = 0; i < count; i++)
        if (!isfinite(outputs[i]))
            return fm_fail(FM_ENONFINITE, "the prediction is no finite number");
    if (target == FM_TARGET_CLASSES)
        return put_classes(out, s, outputs, scratch);
    if (target == FM_TARGET_NUMBER)
        return append_number(out, fm_schema_number(s, (double)outputs[0]), '\n');
    if (logits && (st = append_number(out, (double)outputs[0], ',')))
        return st;
    return append_number(out, 1.0 / (1.0 + exp(-(double)outputs[0])), '\n');
}
