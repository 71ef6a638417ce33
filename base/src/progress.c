#include <stdio.h>
#include <unistd.h>

#include "fedmoe/base/cli.h"
#include "fedmoe/base/clock.h"

#define BAR_WIDTH 30
#define REDRAW_MS 100

static unsigned percent(const fm_progress *p)
{
    if (p->total == 0 || p->done >= p->total)
        return 100;
    return (unsigned)((double)p->done * 100.0 / (double)p->total);
}

static void put_time_left(const fm_progress *p, uint64_t now_ms)
{
    uint64_t spent_s = (now_ms - p->started_ms) / 1000;
    double left_s;

    if (p->done == 0 || p->total == 0 || spent_s == 0)
        return;
    if (p->done >= p->total) {
        fprintf(stderr, "  %llu:%02llu", (unsigned long long)(spent_s / 60),
                (unsigned long long)(spent_s % 60));
        return;
    }
    left_s = (double)spent_s * (double)(p->total - p->done) / (double)p->done;
    if (left_s < 360000.0)
        fprintf(stderr, "  %u:%02u left", (unsigned)left_s / 60, (unsigned)left_s % 60);
}

static void draw(fm_progress *p, uint64_t now_ms)
{
    char bar[BAR_WIDTH + 1];
    unsigned filled = percent(p) * BAR_WIDTH / 100;

    for (unsigned i = 0; i < BAR_WIDTH; i++)
        bar[i] = i < filled ? '#' : '.';
    bar[BAR_WIDTH] = '\0';
    fprintf(stderr, "\r%s [%s] %3u%%", p->label, bar, percent(p));
    put_time_left(p, now_ms);
    fprintf(stderr, "\033[K"); /* clear what a longer line left behind */
    fflush(stderr);
    p->shown = now_ms;
}

static void print_line(fm_progress *p)
{
    fprintf(stderr, "%s: %u%% (%llu of %llu)\n", p->label, percent(p), (unsigned long long)p->done,
            (unsigned long long)p->total);
}

void fm_progress_start(fm_progress *p, const char *label, uint64_t total)
{
    *p = (fm_progress){ .label = label,
                        .total = total,
                        .started_ms = fm_clock_now_ms(),
                        .terminal = fm_cli_colour(STDERR_FILENO) };
    if (p->terminal)
        draw(p, p->started_ms);
}

void fm_progress_set(fm_progress *p, uint64_t done)
{
    p->done = done;
    if (p->terminal) {
        uint64_t now = fm_clock_now_ms();

        if (now - p->shown >= REDRAW_MS)
            draw(p, now);
    } else if (percent(p) / 10 > p->shown && p->total > 0) {
        p->shown = percent(p) / 10;
        print_line(p);
    }
}

void fm_progress_end(fm_progress *p)
{
    if (p->terminal) {
        draw(p, fm_clock_now_ms());
        fputc('\n', stderr);
    }
}
