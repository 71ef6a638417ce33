/* One line a party, redrawn on a terminal; elsewhere a line now and then. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "demo_internal.h"
#include "fedmoe/base/cli.h"
#include "fedmoe/base/file.h"

#define BAR 10
#define DEFAULT_COLUMNS 80u

static bool drawn;

static uint64_t number(const json_t *j, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(j, key));
}

/* A line that wraps would take two rows, and the redraw would miss one. */
static size_t columns(void)
{
    struct winsize size = { 0 };

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return DEFAULT_COLUMNS;
    return size.ws_col;
}

/* Normal lines fit 80 columns. @param text  out: one line, without its end. */
static void write_line(const demo *d, size_t i, const json_t *j, char *text, size_t cap)
{
    const char *state = j ? json_string_value(json_object_get(j, "state")) : NULL;
    uint64_t round = j ? number(j, "round") : 0;
    int full = d->o.rounds ? (int)(round * BAR / d->o.rounds) : 0;
    int n = snprintf(text, cap, "  %-11s [%-*.*s] %3llu/%llu %-9s", d->parties[i].name, BAR,
                     full < BAR ? full : BAR, "==========", (unsigned long long)round,
                     (unsigned long long)d->o.rounds, state ? state : "starting");

    if (j && i != PARTY_AGGREGATOR && n > 0 && (size_t)n < cap)
        (void)snprintf(text + n, cap - (size_t)n, " epsilon %.3f of %.3g, %llu KB sent",
                       json_number_value(json_object_get(j, "epsilon_spent")), d->o.epsilon,
                       (unsigned long long)number(j, "bytes_sent") / 1000);
}

static void draw_line(const demo *d, size_t i, const json_t *j, bool terminal)
{
    char text[256] = "";

    write_line(d, i, j, text, sizeof text);
    if (terminal)
        fprintf(stderr, "\r\033[2K%.*s\n", (int)columns(), text);
    else
        fprintf(stderr, "%s\n", text);
}

void demo_show(demo *d)
{
    bool terminal = fm_cli_is_terminal(STDERR_FILENO);

    if (terminal && drawn)
        fprintf(stderr, "\033[%uA", PARTIES);
    for (size_t i = 0; i < PARTIES; i++) {
        char *path = NULL;
        json_t *j = NULL;
        const char *state;
        uint64_t step;

        if (fm_path_join(d->parties[i].dir, "status.json", &path) == FM_OK &&
            fm_json_read(path, &j) != FM_OK)
            fm_error_clear(); /* not written yet */
        state = j ? json_string_value(json_object_get(j, "state")) : NULL;
        step = j && d->o.rounds ? number(j, "round") * 10 / d->o.rounds : 0;
        step += state && strcmp(state, "finished") == 0;
        if (terminal || step > d->parties[i].shown)
            draw_line(d, i, j, terminal);
        d->parties[i].shown = step;
        json_decref(j);
        free(path);
    }
    drawn = true;
}
