#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "commands.h"
#include "fedmoe/base/cli.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/json.h"
#include "fedmoe/base/text.h"
#include "page.h"

#define MOST_SECONDS (365u * 86400u)

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
        bool deciding = in && strcmp(text_of(m, "state"), "deciding") == 0;

        printf("  %-24s %-9s %14lld bytes received%s%s", text_of(m, "name"),
               deciding ? "deciding"
               : in     ? "connected"
                        : "away",
               number_of(m, "bytes_received"), in ? "" : "  ", in ? "" : text_of(m, "state"));
        if (running)
            print_bar(m);
        print_suspicion(m);
        printf("\n");
    }
}

/* Of units held out, under noise. */
static void print_held(const json_t *held)
{
    if (!held)
        return;
    printf("  held out: loss %.4g", json_number_value(json_object_get(held, "loss")));
    if (json_object_get(held, "auc"))
        printf(", AUC %.3f \xc2\xb1 %.2g (one standard deviation of the noise on it)",
               json_number_value(json_object_get(held, "auc")),
               json_number_value(json_object_get(held, "auc_deviation")));
    printf("\n");
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
    print_held(json_object_get(j, "held_out"));
    print_members(json_object_get(j, "members"), running);
}

/* start holds the directory as long as it runs; after a kill status.json alone would not say. */
static fm_status probe(const char *dir, bool *running)
{
    const fm_status st = fm_dir_is_held(dir, running);

    return st == FM_ENOTFOUND ? fm_fail(st, "%s is not there: fedmoe-aggregator init makes it", dir)
                              : st;
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

/* "90", "10m", "12h", "7d". */
static fm_status read_time(const char *s, uint32_t *seconds)
{
    static const char letters[] = "smhd";
    static const uint64_t factors[] = { 1, 60, 3600, 86400 };
    const size_t n = strlen(s);
    const char *unit = n > 1 ? strchr(letters, s[n - 1]) : NULL;
    char digits[16] = "";
    uint64_t v = 0;

    if (n > 0 && n < sizeof digits)
        memcpy(digits, s, unit ? n - 1 : n);
    if (!fm_text_u64(digits, &v) || v == 0 || v > MOST_SECONDS)
        v = 0;
    v *= unit ? factors[unit - letters] : 1;
    if (v == 0 || v > MOST_SECONDS)
        return fm_fail(FM_EINVAL, "--for reads like 90s, 10m, 12h or 7d, at most 365d, not '%.40s'",
                       s);
    *seconds = (uint32_t)v;
    return FM_OK;
}

typedef struct {
    const char *dir, *member, *scraper, *time;
    bool json, link;
} status_options;

/* Whether the run's status has a member of that name; a typo would hand out somebody's page. */
static bool is_known(const char *dir, const char *name)
{
    char *path = NULL;
    json_t *j = NULL;
    const json_t *members = NULL;
    bool found = false;

    if (fm_path_join(dir, "status.json", &path) == FM_OK && fm_json_read(path, &j) == FM_OK)
        members = json_object_get(j, "members");
    for (size_t i = 0; !found && i < json_array_size(members); i++)
        found = strcmp(text_of(json_array_get(members, i), "name"), name) == 0;
    json_decref(j);
    free(path);
    return found;
}

static fm_status make_link(const status_options *o)
{
    char *url = NULL, fingerprint[FM_PAGE_FINGERPRINT_SIZE] = "";
    uint32_t seconds = 0;
    bool running = false;
    fm_status st;

    if ((st = read_time(o->time ? o->time : "10m", &seconds)) != FM_OK ||
        (st = probe(o->dir, &running)) != FM_OK)
        return st;
    if (!running)
        return fm_fail(FM_ESTATE, "%s is not running, and so its page is not there: start it first",
                       o->dir);
    if (o->member && !is_known(o->dir, o->member))
        fprintf(stderr,
                "nobody of the name '%s' has joined yet; is it written so? It shows nothing before "
                "that\n",
                o->member);
    if ((st = fm_page_link(o->dir, o->member, seconds, &url, fingerprint)) == FM_OK) {
        printf("%s\n", url);
        if (*fingerprint)
            fprintf(stderr,
                    "the browser warns of the page's own certificate; go on if it shows "
                    "SHA-256\n  %s\n",
                    fingerprint);
        sodium_memzero(url, strlen(url));
    }
    free(url);
    return st;
}

static fm_status make_scraper(const status_options *o)
{
    uint32_t seconds = 0;
    fm_status st = read_time(o->time ? o->time : "365d", &seconds);

    return st == FM_OK ? fm_page_scraper(o->dir, o->scraper, seconds) : st;
}

static fm_status run(const status_options *o)
{
    if (o->member && !o->link)
        return fm_fail(FM_EINVAL, "--member goes with --link");
    if (o->time && !o->link && !o->scraper)
        return fm_fail(FM_EINVAL, "--for goes with --link or --scraper");
    if (o->link && o->scraper)
        return fm_fail(FM_EINVAL, "--link and --scraper are two things: make one at a time");
    if (o->link)
        return make_link(o);
    return o->scraper ? make_scraper(o) : show(o->dir, o->json);
}

int fm_cmd_status(int argc, char **argv)
{
    status_options o = { .dir = "." };
    const fm_cli_option options[] = {
        { "directory", FM_CLI_STRING, &o.dir, "DIR", "made by init; default: here", false, 0, 0 },
        { "json", FM_CLI_FLAG, &o.json, NULL, "print JSON", false, 0, 0 },
        { "link", FM_CLI_FLAG, &o.link, NULL,
          "print a link that opens the status page once, in one browser", false, 0, 0 },
        { "member", FM_CLI_STRING, &o.member, "NAME",
          "with --link: what that member may see, not what the coordinator may", false, 0, 0 },
        { "scraper", FM_CLI_STRING, &o.scraper, "FILE",
          "write a token with which a program may collect /metrics; ends the one before", false, 0,
          0 },
        { "for", FM_CLI_STRING, &o.time, "TIME",
          "how long the link waits to be used (default 10m), or the token is good (default 365d)",
          false, 0, 0 },
    };
    const fm_cli_spec spec = {
        .program = "fedmoe-aggregator status",
        .summary = "Show how far a federation is, and who takes part; or open its status page.",
        .examples = "fedmoe-aggregator status --directory agg --json\n"
                    "fedmoe-aggregator status --directory agg --link --for 10m",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    int first = 0, code = 0;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    return run(&o) == FM_OK ? 0 : fm_cli_failed(spec.program);
}
