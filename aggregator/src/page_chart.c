/* Rounds as pictures: SVG without text in it, so that it may shrink; the caption has the scale. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "page_internal.h"

#define WIDTH 600.0
#define HEIGHT 120.0

typedef double (*value_of)(const page_round *r);

static double seconds_of(const page_round *r)
{
    return r->seconds;
}

static double step_of(const page_round *r)
{
    return r->step;
}

static double loss_of(const page_round *r)
{
    return r->loss; /* noise may take it below 0 */
}

static double auc_of(const page_round *r)
{
    return r->auc.value;
}

static double greatest(const fm_page *p, value_of value)
{
    double most = 0.0;

    for (size_t i = 0; i < p->round_count; i++)
        if (value(&p->rounds[i]) > most)
            most = value(&p->rounds[i]);
    return most > 0.0 ? most : 1.0;
}

/* The middle of the i-th of so many places. */
static double x_of(const fm_page *p, size_t i)
{
    const double places = p->round_count < 20 ? 20.0 : (double)p->round_count;

    return ((double)i + 0.5) * WIDTH / places;
}

static double y_of(double value, double most)
{
    return HEIGHT - value / most * (HEIGHT - 4.0);
}

/* Whether the line is at this round: abandoned ones have no value, and some others none either. */
static bool has(const page_round *r, value_of value)
{
    return r->finished && !isnan(value(r));
}

/* One path for all bars of a kind: a tenth of the bytes of as many rectangles. */
static fm_status bars(const fm_page *p, bool finished, double most, fm_buf *out)
{
    fm_status st = fm_buf_printf(out, "<path class=%s d=\"", finished ? "bar" : "gone");

    for (size_t i = 0; st == FM_OK && i < p->round_count; i++)
        if (p->rounds[i].finished == finished)
            st = fm_buf_printf(out, "M%.1f %.0fV%.1f", x_of(p, i), HEIGHT,
                               y_of(p->rounds[i].seconds, most) - (finished ? 0.5 : 1.0));
    return st == FM_OK
               ? fm_buf_printf(out, "\" stroke-width=%.1f />",
                               WIDTH / (p->round_count < 20 ? 20.0 : (double)p->round_count) * 0.7)
               : st;
}

static fm_status line(const fm_page *p, value_of value, double most, fm_buf *out)
{
    fm_status st = fm_buf_printf(out, "<path class=line d=\"");
    char move = 'M';

    for (size_t i = 0; st == FM_OK && i < p->round_count; i++)
        if (has(&p->rounds[i], value)) {
            st = fm_buf_printf(out, "%c%.1f %.1f", move, x_of(p, i),
                               y_of(value(&p->rounds[i]), most));
            move = 'L';
        }
    return st == FM_OK ? fm_buf_printf(out, "\" />") : st;
}

static fm_status begin(const fm_page *p, const char *id, const char *title, const char *what,
                       const char *most, fm_buf *out)
{
    return fm_buf_printf(
        out,
        "<figure id=fig-%s data-live><figcaption><b>%s</b> from 0 to %s</figcaption>"
        "<svg viewBox=\"0 0 %.0f %.0f\" preserveAspectRatio=none role=img "
        "aria-labelledby=t-%s aria-describedby=d-%s><title id=t-%s>%s</title><desc id=d-%s>Rounds "
        "%" PRIu64 " to %" PRIu64 ", %s; between 0 and %s. The table below has every figure.</desc>"
        "<path class=axis d=\"M0 %.1fH%.0f\" />",
        id, title, most, WIDTH, HEIGHT, id, id, id, title, id, p->rounds[0].round,
        p->rounds[p->round_count - 1].round, what, most, HEIGHT - 0.5, WIDTH);
}

fm_status page_chart_seconds(const fm_page *p, fm_buf *out)
{
    const double most = greatest(p, seconds_of);
    char text[PAGE_TEXT];
    fm_status st;

    page_duration(most, text);
    if ((st = begin(p, "seconds", "Time of each round",
                    "a bar each, abandoned ones in another colour", text, out)) != FM_OK ||
        (st = bars(p, true, most, out)) != FM_OK || (st = bars(p, false, most, out)) != FM_OK)
        return st;
    return fm_buf_printf(out, "</svg></figure>\n");
}

fm_status page_chart_steps(const fm_page *p, fm_buf *out)
{
    const double most = greatest(p, step_of);
    char text[PAGE_TEXT];
    fm_status st;

    (void)snprintf(text, sizeof text, "%.3g", most);
    if ((st = begin(p, "steps", "Length of the model\xe2\x80\x99s step",
                    "a line through the finished ones", text, out)) != FM_OK ||
        (st = line(p, step_of, most, out)) != FM_OK)
        return st;
    return fm_buf_printf(out, "</svg></figure>\n");
}

fm_status page_chart_losses(const fm_page *p, fm_buf *out)
{
    const double most = greatest(p, loss_of);
    char text[PAGE_TEXT];
    fm_status st;

    (void)snprintf(text, sizeof text, "%.3g", most);
    if ((st = begin(p, "losses", "Loss on records held out", "a line through the finished ones",
                    text, out)) != FM_OK ||
        (st = line(p, loss_of, most, out)) != FM_OK)
        return st;
    return fm_buf_printf(out, "</svg></figure>\n");
}

static double within(double share)
{
    return fmin(fmax(share, 0.0), 1.0);
}

/* One deviation of the noise to each side: a stroke a round, as wide as its place. */
static fm_status band(const fm_page *p, fm_buf *out)
{
    fm_status st = fm_buf_printf(out, "<path class=band d=\"");

    for (size_t i = 0; st == FM_OK && i < p->round_count; i++) {
        const fm_auc *a = &p->rounds[i].auc;

        if (has(&p->rounds[i], auc_of))
            st = fm_buf_printf(out, "M%.1f %.1fV%.1f", x_of(p, i),
                               y_of(within(a->value - a->deviation), 1.0),
                               y_of(within(a->value + a->deviation), 1.0));
    }
    return st == FM_OK ? fm_buf_printf(out, "\" stroke-width=%.1f />", x_of(p, 1) - x_of(p, 0))
                       : st;
}

fm_status page_chart_aucs(const fm_page *p, fm_buf *out)
{
    fm_status st;

    if ((st = begin(p, "aucs", "AUC on records held out",
                    "a line through the finished ones, about it a band of one deviation of its "
                    "noise, and a line at a half, which is chance",
                    "1", out)) != FM_OK ||
        (st = band(p, out)) != FM_OK ||
        (st = fm_buf_printf(out, "<path class=axis d=\"M0 %.1fH%.0f\" />", y_of(0.5, 1.0),
                            WIDTH)) != FM_OK ||
        (st = line(p, auc_of, 1.0, out)) != FM_OK)
        return st;
    return fm_buf_printf(out, "</svg></figure>\n");
}
