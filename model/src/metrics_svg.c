/* The reliability diagram: nothing in it is loaded, linked or run. */
#include <math.h>
#include <stdio.h>

#include "metrics_internal.h"

/* In user units; the reader scales it. */
#define WIDTH 560.0
#define LEFT 70.0
#define SIDE 440.0 /* of the square */
#define TOP 48.0
#define BARS_TOP 556.0 /* of the bars below it */
#define BARS 70.0
#define HEIGHT 676.0

static const char style[] =
    "<style>\n"
    "svg{font:14px sans-serif}.small{font-size:12px}.title{font-size:17px;font-weight:600}\n"
    ".paper{fill:#fff}.ink{fill:#1b1b1b}.grid{stroke:#c9c9c9;fill:none}\n"
    ".ideal{stroke:#1b1b1b;stroke-dasharray:5 5;fill:none}\n"
    ".line{stroke:#0b5fa5;stroke-width:2;fill:none}.dot{fill:#0b5fa5}\n"
    "@media screen and (prefers-color-scheme:dark){.paper{fill:#141414}.ink{fill:#e8e8e8}"
    ".grid{stroke:#4a4a4a}.ideal{stroke:#e8e8e8}.line{stroke:#7cc0ff}.dot{fill:#7cc0ff}}\n"
    "</style>\n";

static double px(double share)
{
    return LEFT + SIDE * share;
}

static double py(double share)
{
    return TOP + SIDE * (1.0 - share);
}

static fm_status put_text(fm_buf *out, const char *text)
{
    fm_status st = FM_OK;

    for (; !st && *text; text++) {
        if (*text == '&')
            st = fm_buf_printf(out, "&amp;");
        else if (*text == '<')
            st = fm_buf_printf(out, "&lt;");
        else if (*text == '>')
            st = fm_buf_printf(out, "&gt;");
        else if ((unsigned char)*text < 0x20 || *text == 0x7f)
            st = fm_buf_printf(out, " ");
        else
            st = fm_buf_append(out, text, 1);
    }
    return st;
}

/* What a reader hears instead of the picture: every bin in words. */
static fm_status describe(const fm_metrics *m, fm_buf *out)
{
    fm_status st = fm_buf_printf(out,
                                 "<desc id=\"d\">Observed share against predicted probability "
                                 "in ten bins of %zu records. ",
                                 m->rows);

    for (size_t i = 0; !st && i < FM_RELIABILITY_BINS; i++) {
        const fm_reliability_bin *b = &m->bins[i];

        if (b->rows)
            st =
                fm_buf_printf(out,
                              "Predicted %.1f to %.1f: %zu records, mean prediction %.3f, observed "
                              "%.3f (95 %% interval %.3f to %.3f). ",
                              (double)i / 10.0, (double)(i + 1) / 10.0, b->rows, b->predicted,
                              b->observed, b->observed_ci.lo, b->observed_ci.hi);
    }
    return st ? st : fm_buf_printf(out, "</desc>\n");
}

static fm_status put_axes(const fm_metrics *m, fm_buf *out)
{
    const char *what = m->target == FM_TARGET_CLASSES ? "share of right predictions"
                                                      : "observed share of positive records";
    fm_status st = FM_OK;

    for (int i = 0; !st && i <= 10; i += 2) {
        const double at = i / 10.0;

        st = fm_buf_printf(out,
                           "<path class=\"grid\" d=\"M%.1f %.1fH%.1fM%.1f %.1fV%.1f\"/>"
                           "<text class=\"ink\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%.1f"
                           "</text><text class=\"ink\" x=\"%.1f\" y=\"%.1f\" "
                           "text-anchor=\"middle\">%.1f</text>\n",
                           px(0.0), py(at), px(1.0), px(at), py(0.0), py(1.0), LEFT - 8.0,
                           py(at) + 5.0, at, px(at), py(0.0) + 20.0, at);
    }
    if (!st)
        st = fm_buf_printf(out,
                           "<path class=\"ideal\" d=\"M%.1f %.1fL%.1f %.1f\"/>\n"
                           "<text class=\"ink\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">"
                           "predicted probability</text>\n"
                           "<text class=\"ink\" transform=\"translate(22 %.1f) rotate(-90)\" "
                           "text-anchor=\"middle\">%s</text>\n",
                           px(0.0), py(0.0), px(1.0), py(1.0), px(0.5), py(0.0) + 42.0, py(0.5),
                           what);
    return st;
}

static fm_status put_points(const fm_metrics *m, fm_buf *out)
{
    bool first = true;
    fm_status st = fm_buf_printf(out, "<path class=\"line\" d=\"");

    for (size_t i = 0; !st && i < FM_RELIABILITY_BINS; i++)
        if (m->bins[i].rows) {
            st = fm_buf_printf(out, "%s%.1f %.1f", first ? "M" : "L", px(m->bins[i].predicted),
                               py(m->bins[i].observed));
            first = false;
        }
    if (!st)
        st = fm_buf_printf(out, "\"/>\n");
    for (size_t i = 0; !st && i < FM_RELIABILITY_BINS; i++) {
        const fm_reliability_bin *b = &m->bins[i];

        if (b->rows)
            st = fm_buf_printf(out,
                               "<path class=\"line\" d=\"M%.1f %.1fV%.1f\"/>"
                               "<circle class=\"dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"5\"/>\n",
                               px(b->predicted), py(b->observed_ci.lo), py(b->observed_ci.hi),
                               px(b->predicted), py(b->observed));
    }
    return st;
}

static fm_status put_bars(const fm_metrics *m, fm_buf *out)
{
    const double wide = SIDE / FM_RELIABILITY_BINS;
    double most = 1.0;
    fm_status st = FM_OK;

    for (size_t i = 0; i < FM_RELIABILITY_BINS; i++)
        most = fmax(most, (double)m->bins[i].rows);
    for (size_t i = 0; !st && i < FM_RELIABILITY_BINS; i++) {
        const double tall = BARS * (double)m->bins[i].rows / most, x = LEFT + wide * (double)i;

        st = fm_buf_printf(out,
                           "<rect class=\"dot\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
                           "height=\"%.1f\"/><text class=\"ink small\" x=\"%.1f\" y=\"%.1f\" "
                           "text-anchor=\"middle\">%zu</text>\n",
                           x + 3.0, BARS_TOP + BARS - tall, wide - 6.0, tall, x + wide / 2.0,
                           BARS_TOP + BARS - tall - 5.0, m->bins[i].rows);
    }
    if (!st)
        st = fm_buf_printf(out,
                           "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/><text class=\"ink\" "
                           "x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">records in each bin"
                           "</text>\n",
                           LEFT, BARS_TOP + BARS, px(1.0), px(0.5), BARS_TOP + BARS + 22.0);
    return st;
}

static fm_status put_title(const char *title, fm_buf *out)
{
    fm_status st = fm_buf_printf(out, "<title id=\"t\">Reliability of ");

    if (!st && !(st = put_text(out, title)))
        st = fm_buf_printf(out, "</title>\n");
    return st;
}

fm_status fm_metrics_svg(const fm_metrics *m, const char *title, fm_buf *out)
{
    fm_status st;

    if (!m || !title || !out || m->target == FM_TARGET_NUMBER)
        return fm_fail(FM_EINVAL, "a reliability diagram is of probabilities; this model predicts "
                                  "a number");
    if ((st = fm_buf_printf(out,
                            "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" "
                            "aria-labelledby=\"t d\" viewBox=\"0 0 %.0f %.0f\">\n",
                            WIDTH, HEIGHT)) ||
        (st = put_title(title, out)) || (st = describe(m, out)) ||
        (st = fm_buf_append(out, style, sizeof style - 1)) ||
        (st = fm_buf_printf(out,
                            "<rect class=\"paper\" width=\"%.0f\" height=\"%.0f\"/>\n"
                            "<text class=\"ink title\" x=\"%.0f\" y=\"28\">",
                            WIDTH, HEIGHT, LEFT)) ||
        (st = put_text(out, title)) || (st = fm_buf_printf(out, "</text>\n")) ||
        (st = put_axes(m, out)) || (st = put_points(m, out)) || (st = put_bars(m, out)))
        return st;
    return fm_buf_printf(out, "</svg>\n");
}
