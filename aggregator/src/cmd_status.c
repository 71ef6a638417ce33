#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "fedmoe/base/cli.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/json.h"

static const char *text_of(const json_t *j, const char *key)
{
    const char *s = json_string_value(json_object_get(j, key));

    return s ? s : "?";
}

static long long number_of(const json_t *j, const char *key)
{
    return (long long)json_integer_value(json_object_get(j, key));
}

/* Times are all in one form, so that they compare as text. */
static void print_bar(const json_t *m)
{
    const char *until = json_string_value(json_object_get(m, "barred_until"));
    char now[32];

    fm_clock_format(fm_clock_wall_s(), now, sizeof now);
    if (until && strcmp(until, now) > 0)
        printf("; barred until %s for harm done %lld times", until, number_of(m, "harm"));
}

static void print_suspicion(const json_t *m)
{
    if (json_is_true(json_object_get(m, "suspect")))
        printf("; in outlying groups in %lld of %lld rounds: its updates may be poisoned (a "
               "suspicion)",
               number_of(m, "outlying"), number_of(m, "watched"));
}

static void print_members(const json_t *members, bool running)
{
    size_t i;
    json_t *m;

    json_array_foreach(members, i, m)
    {
        bool in = running && json_is_true(json_object_get(m, "connected"));

        printf("  %-24s %-9s %14lld bytes received%s%s", text_of(m, "name"),
               in ? "connected" : "away", number_of(m, "bytes_received"), in ? "" : "  ",
               in ? "" : text_of(m, "state"));
        if (running)
            print_bar(m);
        print_suspicion(m);
        printf("\n");
    }
}

static void print_status(const json_t *j, bool running)
{
    printf("federation %s: %s, %lld of %lld round%s finished, %lld abandoned since its last start "
           "(as of %s)%s\n",
           text_of(j, "federation"), text_of(j, "state"), number_of(j, "round"),
           number_of(j, "rounds"), number_of(j, "rounds") == 1 ? "" : "s",
           number_of(j, "abandoned"), text_of(j, "updated"), running ? "" : "; not running");
    if (json_object_get(j, "reason"))
        printf("  %s\n", text_of(j, "reason"));
    print_members(json_object_get(j, "members"), running);
}

/* start holds the directory as long as it runs; after a kill status.json alone would not say. */
static fm_status probe(const char *dir, bool *running)
{
    int lock = -1;
    fm_status st = fm_dir_lock(dir, &lock);

    fm_dir_unlock(&lock);
    if (st == FM_ENOTFOUND)
        return fm_fail(st, "%s is not there: fedmoe-aggregator init makes it", dir);
    if (st != FM_OK && st != FM_EEXIST)
        return st;
    fm_error_clear();
    *running = st == FM_EEXIST;
    return FM_OK;
}

static fm_status show(const char *dir, bool json)
{
    char *path = NULL;
    json_t *j = NULL;
    bool running = false;
    fm_status st;

    if ((st = probe(dir, &running)) != FM_OK ||
        (st = fm_path_join(dir, "status.json", &path)) != FM_OK)
        return st;
    if (!fm_file_exists(path))
        st = fm_fail(FM_ENOTFOUND, "%s is not there: the federation was never started", path);
    else if ((st = fm_json_read(path, &j)) == FM_EPARSE)
        st = fm_fail(st,
                     "%s: cut short or damaged; nothing of the run is in this file: delete it, it "
                     "comes again at the next start",
                     fm_error_text());
    if (st == FM_OK && json && json_object_set_new(j, "running", json_boolean(running)) != 0)
        st = fm_fail(FM_EPROTO, "%s is no status of fedmoe-aggregator", path);
    else if (st == FM_OK && json)
        st = fm_json_print(j);
    else if (st == FM_OK)
        print_status(j, running);
    json_decref(j);
    free(path);
    return st;
}

int fm_cmd_status(int argc, char **argv)
{
    const char *dir = ".";
    bool json = false;
    const fm_cli_option options[] = {
        { "directory", FM_CLI_STRING, &dir, "DIR", "made by init; default: here", false, 0, 0 },
        { "json", FM_CLI_FLAG, &json, NULL, "print JSON", false, 0, 0 },
    };
    const fm_cli_spec spec = {
        .program = "fedmoe-aggregator status",
        .summary = "Show how far a federation is, and who takes part.",
        .examples = "fedmoe-aggregator status --directory agg --json",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    int first = 0, code = 0;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    return show(dir, json) == FM_OK ? 0 : fm_cli_failed(spec.program);
}
