/* One line a party, redrawn on a terminal; elsewhere a line now and then. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "demo_internal.h"
#include "fedmoe/base/cli.h"
#include "fedmoe/base/file.h"

#define BAR 24

static bool drawn;

static void draw_bar(uint64_t done, uint64_t total)
{
    uint64_t full = total ? done * BAR / total : 0;

    fputc('[', stderr);
    for (uint64_t i = 0; i < BAR; i++)
        fputs(i < full ? "=" : " ", stderr);
    fprintf(stderr, "] %3llu/%llu", (unsigned long long)done, (unsigned long long)total);
}

static uint64_t number(const json_t *j, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(j, key));
}

static void draw_line(demo *d, size_t i, const json_t *j, bool terminal)
{
    const char *state = j ? json_string_value(json_object_get(j, "state")) : NULL;
    uint64_t round = j ? number(j, "round") : 0;

    if (terminal)
        fprintf(stderr, "\033[2K");
    fprintf(stderr, "  %-12s ", d->parties[i].name);
    draw_bar(round, d->o.rounds);
    fprintf(stderr, "  %-10s", state ? state : "starting");
    if (j && i != PARTY_AGGREGATOR)
        fprintf(stderr, " epsilon %.3f of %.3g, %llu KB sent",
                json_number_value(json_object_get(j, "epsilon_spent")), d->o.epsilon,
                (unsigned long long)number(j, "bytes_sent") / 1000);
    fputc('\n', stderr);
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
