/*
 * Epsilon over releases as inline SVG: stairs over computed points, and the budget as a line.
 * Between two points the stairs stand at the later one's height, so they are never too low.
 */
#include <math.h>

#include "report.h"

/* In user units; the page scales it to its width. */
#define WIDTH 760.0
#define HEIGHT 360.0
#define LEFT 74.0
#define RIGHT 40.0
#define TOP 34.0
#define BOTTOM 62.0
#define DOTS_MAX 60u
#define MARKS_MAX 12u

typedef struct {
    double x_max, y_max;   /* of the axes */
    double x_step, y_step; /* of the ticks */
} scale;

static double px(const scale *s, double releases)
{
    return LEFT + releases / s->x_max * (WIDTH - LEFT - RIGHT);
}

static double py(const scale *s, double epsilon)
{
    return HEIGHT - BOTTOM - epsilon / s->y_max * (HEIGHT - TOP - BOTTOM);
}

/** 1, 2 or 5 times a power of ten: the smallest with which `range` has at most `most` steps. */
static double nice_step(double range, double most)
{
    double power = pow(10.0, floor(log10(range / most)));

    for (;; power *= 10.0)
        for (int i = 0; i < 3; i++) {
            double step = power * (i == 0 ? 1.0 : i == 1 ? 2.0 : 5.0);

            if (step * most >= range)
                return step;
        }
}

static scale make_scale(const fm_report *r)
{
    double top = r->spent;
    scale s;

    if (!fm_report_is_open(r))
        top = fmax(top, r->config.policy.epsilon);
    top = fmax(top, 1e-6);
    s.x_max = fmax((double)r->releases, 1.0);
    s.x_step = fmax(nice_step(s.x_max, 6.0), 1.0);
    s.y_step = nice_step(top * 1.08, 6.0);
    s.y_max = ceil(top * 1.08 / s.y_step) * s.y_step;
    return s;
}

static void draw_axes(fm_html *h, const fm_report *r, const scale *s)
{
    double bottom = HEIGHT - BOTTOM;

    for (int i = 0; i * s->y_step <= s->y_max * (1.0 + 1e-9); i++) {
        double y = py(s, i * s->y_step);

        fm_html_rawf(h, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>\n",
                     LEFT, WIDTH - RIGHT, y, y);
        fm_html_rawf(h,
                     "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%.6g</text>\n",
                     LEFT - 8.0, y + 4.5, i * s->y_step);
    }
    for (int i = 0; i * s->x_step <= s->x_max * (1.0 + 1e-9); i++) {
        double x = px(s, i * s->x_step);

        fm_html_rawf(h, "<line class=\"axis\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>\n",
                     x, x, bottom, bottom + 5.0);
        fm_html_rawf(
            h, "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%.8g</text>\n", x,
            bottom + 22.0, i * s->x_step);
    }
    fm_html_rawf(h, "<line class=\"axis\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>\n",
                 LEFT, WIDTH - RIGHT, bottom, bottom);
    fm_html_rawf(h, "<text class=\"name\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">", WIDTH / 2,
                 HEIGHT - 12.0);
    fm_html_text(h, "releases (rounds whose sum could be read)");
    fm_html_rawf(h, "</text>\n<text class=\"name\" x=\"%.1f\" y=\"%.1f\">", 6.0, 16.0);
    fm_html_textf(h, "epsilon, at delta %g", r->config.policy.delta);
    fm_html_raw(h, "</text>\n");
}

bool fm_report_plot_has_marks(const fm_report *r)
{
    return r->part_count > 1 && r->part_count <= MARKS_MAX;
}

/** Where a plan's releases begin, by its number in the table. */
static void draw_marks(fm_html *h, const fm_report *r, const scale *s)
{
    if (!fm_report_plot_has_marks(r))
        return;
    for (size_t i = 0; i < r->part_count; i++) {
        double x = px(s, (double)(r->parts[i].first_release - 1));

        fm_html_rawf(h, "<line class=\"mark\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>\n",
                     x, x, TOP - 4.0, HEIGHT - BOTTOM);
        fm_html_rawf(h, "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\">%zu</text>\n", x + 4.0,
                     TOP + 7.0, i + 1);
    }
}

static void draw_stairs(fm_html *h, const fm_report *r, const scale *s)
{
    const fm_report_point *p = r->points;

    fm_html_rawf(h, "<path class=\"area\" d=\"M%.1f %.1f", px(s, 0.0), py(s, 0.0));
    for (size_t i = 0; i < r->point_count; i++)
        fm_html_rawf(h, "V%.2fH%.2f", py(s, p[i].epsilon), px(s, (double)p[i].releases));
    fm_html_rawf(h, "V%.1fZ\"/>\n<path class=\"line\" d=\"M%.1f %.1f", py(s, 0.0), px(s, 0.0),
                 py(s, 0.0));
    for (size_t i = 0; i < r->point_count; i++)
        fm_html_rawf(h, "V%.2fH%.2f", py(s, p[i].epsilon), px(s, (double)p[i].releases));
    fm_html_raw(h, "\"/>\n");
    for (size_t i = 0; i < r->point_count && i < DOTS_MAX; i++)
        fm_html_rawf(h, "<circle class=\"dot\" cx=\"%.2f\" cy=\"%.2f\" r=\"%.1f\"/>\n",
                     px(s, (double)p[i].releases), py(s, p[i].epsilon),
                     i + 1 == r->point_count ? 4.5 : 2.5);
}

/** The budget's line and name, and the figure at the last point, kept apart from each other. */
static void draw_labels(fm_html *h, const fm_report *r, const scale *s)
{
    double y = py(s, r->spent), budget = r->config.policy.epsilon, line = py(s, budget);
    bool open = fm_report_is_open(r);
    char number[32];

    if (!open) {
        fm_html_rawf(h,
                     "<line class=\"budget\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>\n",
                     LEFT, WIDTH - RIGHT, line, line);
        fm_html_rawf(h, "<text class=\"limit\" x=\"%.1f\" y=\"%.1f\">budget %.6g</text>\n",
                     LEFT + 22.0, line - 7.0, budget);
    }
    if (r->point_count == 0)
        return;
    fm_report_number(r->spent, number);
    y = !open && fabs(y - line) < 26.0 ? fmax(y, line) + 38.0 : y - 10.0;
    fm_html_rawf(h, "<text class=\"spent\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">",
                 px(s, (double)r->releases) - 2.0, y);
    fm_html_textf(h, "%s spent", number);
    fm_html_raw(h, "</text>\n");
}

void fm_report_plot(fm_html *h, const fm_report *r)
{
    scale s = make_scale(r);
    char number[32];

    fm_report_number(r->spent, number);
    fm_html_rawf(h,
                 "<svg class=\"plot\" role=\"img\" aria-labelledby=\"plot-title plot-text\" "
                 "viewBox=\"0 0 %.0f %.0f\" xmlns=\"http://www.w3.org/2000/svg\">\n",
                 WIDTH, HEIGHT);
    fm_html_raw(h, "<title id=\"plot-title\">Epsilon spent, release by release</title>\n"
                   "<desc id=\"plot-text\">");
    fm_html_textf(h, "Epsilon of data set %s at delta %g rises from 0 to %s over %llu releases; ",
                  r->config.data_set, r->config.policy.delta, number,
                  (unsigned long long)r->releases);
    if (fm_report_is_open(r))
        fm_html_text(h, "the policy sets no real budget.");
    else
        fm_html_textf(h, "the budget, a dashed line, is %g.", r->config.policy.epsilon);
    fm_html_raw(h, " The figures of all points are in the table at the end of the page.</desc>\n");
    draw_axes(h, r, &s);
    draw_stairs(h, r, &s);
    draw_marks(h, r, &s);
    draw_labels(h, r, &s);
    fm_html_raw(h, "</svg>\n");
}
