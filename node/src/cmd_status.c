#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "commands.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/json.h"
#include "fedmoe/node/pause.h"
#include "fedmoe/web/server.h"
#include "run_internal.h"
#include "words.h"

#define LINK_S 600u
#define TOKEN_S (365u * 24u * 3600u)

/* ---- whether it runs ---- */

/** A run holds its folder's lock to its end, however that comes; the file alone would not say. When
 *  that cannot be asked, nothing is known against it. */
static bool is_running(const char *dir)
{
    bool held = false;

    return fm_dir_is_held(dir, &held) != FM_OK || held;
}

/** Its last words: killed, it has none. */
static bool has_said_goodbye(const json_t *j)
{
    static const char *const last[] = { "finished", "stopped", "failed" };

    for (size_t i = 0; i < sizeof last / sizeof last[0]; i++)
        if (strcmp(fm_cmd_text(j, "state"), last[i]) == 0)
            return true;
    return false;
}

static void show_state(const json_t *j)
{
    const char *phase = fm_cmd_text(j, "phase");
    const bool running = json_is_true(json_object_get(j, "running"));

    if (running || has_said_goodbye(j))
        printf("node %s: %s%s%s (as of %s)%s\n", fm_cmd_text(j, "name"), fm_cmd_text(j, "state"),
               *phase ? ", " : "", phase, fm_cmd_text(j, "updated"),
               running ? "" : "; not running");
    else
        printf("node %s: NOT RUNNING: it was last heard of at %s (%s%s%s), and ended after that "
               "without a word: killed, crashed, or the machine went down\n",
               fm_cmd_text(j, "name"), fm_cmd_text(j, "updated"), fm_cmd_text(j, "state"),
               *phase ? ", " : "", phase);
}

static void show(const json_t *j)
{
    const char *reason = fm_cmd_text(j, "reason");

    if (json_is_true(json_object_get(j, "paused")))
        printf("PAUSED by the owner since %s; 'fedmoe-node resume' lifts it\n",
               fm_cmd_text(j, "paused_since"));
    show_state(j);
    printf("  round      %lld (the plan wants %lld finished rounds)\n", fm_cmd_whole(j, "round"),
           fm_cmd_whole(j, "rounds"));
    printf("  budget     epsilon %.4f of %.4f is spent, at delta %g\n",
           fm_words_up(fm_cmd_real(j, "epsilon_spent")), fm_cmd_real(j, "epsilon_budget"),
           fm_cmd_real(j, "delta"));
    if (json_is_integer(json_object_get(j, "rounds_affordable")))
        printf("             which suffices for %lld more round%s of the plan\n",
               fm_cmd_whole(j, "rounds_affordable"),
               fm_cmd_whole(j, "rounds_affordable") == 1 ? "" : "s");
    printf("  left       %lld masked update%s, %lld bytes\n", fm_cmd_whole(j, "updates_sent"),
           fm_cmd_whole(j, "updates_sent") == 1 ? "" : "s", fm_cmd_whole(j, "update_bytes_sent"));
    printf("  traffic    %lld bytes sent, %lld received\n", fm_cmd_whole(j, "bytes_sent"),
           fm_cmd_whole(j, "bytes_received"));
    printf("  records    %lld\n", fm_cmd_whole(j, "records"));
    if (*reason)
        printf("  last said  %s\n", reason);
}

/** What the folder says: whether it is paused, also while no node runs, and whether one does. */
static fm_status add_folder(const char *config, json_t *j)
{
    char since[FM_PAUSE_TIME], *dir = NULL;
    fm_status st = fm_path_dir(config, &dir);
    bool on, running;

    if (st != FM_OK)
        return st;
    on = fm_pause_is_on(dir, since);
    running = is_running(dir);
    free(dir);
    if (json_object_set_new(j, "running", json_boolean(running)) == 0 &&
        json_object_set_new(j, "paused", json_boolean(on)) == 0 &&
        json_object_set_new(j, "paused_since", json_string(since)) == 0)
        return FM_OK;
    return fm_fail(FM_EPARSE, "status.json beside %s is no status of fedmoe-node", config);
}

/* ---- the page ---- */

/** Where it listens: as the running node says; where only a file is written, or as node.yaml says.
 *  @param output  that file, which must be none of the node's own; NULL: none. */
static fm_status find_page(const char *config, const char *output, char **address, char **links)
{
    fm_node_config c = { 0 };
    json_t *j = NULL;
    const char *found = "";
    fm_status st = fm_node_config_load(config, &c);

    if (st != FM_OK)
        return st;
    if (!c.page)
        st =
            fm_fail(FM_ENOTFOUND,
                    "%s has no page; add the line\n  page: {listen: \"127.0.0.1:7391\"}\nand start "
                    "the node again",
                    config);
    if (st == FM_OK && fm_cmd_read_json(config, "status.json", &j) == FM_OK)
        found = fm_cmd_text(j, "page");
    if (st == FM_OK && output)
        st = fm_cmd_check_apart(output, config, &c);
    if (st == FM_OK && !output && !is_running(c.dir))
        st = fm_fail(FM_ESTATE, "the node is not running, and so its page is not there: start it "
                                "first");
    if (st == FM_OK && !output && !*found)
        st =
            fm_fail(FM_ESTATE, "no page is served: start the node (again, if node.yaml had no page "
                               "when it was started)");
    if (st == FM_OK)
        st = fm_strdup(*found ? found : c.page, address);
    if (st == FM_OK)
        st = fm_path_join(c.dir, FM_NODE_LINKS, links);
    json_decref(j);
    fm_node_config_fini(&c);
    return st;
}

static fm_status print_link(const char *config)
{
    char token[FM_WEB_TOKEN_SIZE], *address = NULL, *links = NULL;
    fm_status st = find_page(config, NULL, &address, &links);

    if (st == FM_OK &&
        (st = fm_web_link_new(links, FM_WEB_COORDINATOR, "owner", LINK_S, token)) == FM_OK) {
        printf("http://%s/link/%s\n", address, token);
        fprintf(stderr,
                "Open it in a browser of this machine, once, within %u minutes; the session "
                "lasts %d hours.\n",
                LINK_S / 60, FM_WEB_SESSION_S / 3600);
        sodium_memzero(token, sizeof token);
    }
    free(address);
    free(links);
    return st;
}

static fm_status write_scraper(const char *config, const char *file)
{
    char line[FM_WEB_TOKEN_SIZE + 1], *address = NULL, *links = NULL;
    fm_status st = find_page(config, file, &address, &links);

    if (st == FM_OK &&
        (st = fm_web_link_new(links, FM_WEB_SCRAPER, "scraper", TOKEN_S, line)) == FM_OK) {
        memcpy(line + FM_WEB_TOKEN_SIZE - 1, "\n", 2);
        st = fm_file_replace(file, line, FM_WEB_TOKEN_SIZE, 0600);
        sodium_memzero(line, sizeof line);
    }
    if (st == FM_OK)
        printf("%s is the bearer token of http://%s/metrics, for a year; the one before has "
               "ended\n",
               file, address);
    free(address);
    free(links);
    return st;
}

/* ---- the command ---- */

static fm_status print(const char *config, bool json)
{
    json_t *j = NULL;
    fm_status st = fm_cmd_read_json(config, "status.json", &j);

    if (st == FM_ENOTFOUND)
        (void)fm_fail(st, "there is no status.json beside %s; the node has not been started yet",
                      config);
    if (st == FM_OK)
        st = add_folder(config, j);
    if (st == FM_OK && json)
        st = fm_json_print(j);
    else if (st == FM_OK)
        show(j);
    json_decref(j);
    return st;
}

int fm_cmd_status(int argc, char **argv)
{
    const char *config = "node.yaml";
    const char *scraper = NULL;
    bool json = false, link = false;
    const fm_cli_option options[] = {
        FM_CMD_CONFIG_OPTION(config),
        FM_CMD_JSON_OPTION(json),
        { "link", FM_CLI_FLAG, &link, NULL, "print a link that opens the node's page, once", false,
          0, 0 },
        { "scraper", FM_CLI_STRING, &scraper, "FILE",
          "write a token with which a program may collect /metrics; ends the one before", false, 0,
          0 },
    };
    const fm_cli_spec spec = {
        .program = "fedmoe-node status",
        .summary = "Show how far the node is, from the status.json that it writes; or let somebody "
                   "in to its page (page.listen of node.yaml).",
        .examples = "fedmoe-node status\nfedmoe-node status --config hospital/node.yaml --json\n"
                    "fedmoe-node status --link",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    int first = 0, code = 0;
    fm_status st;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    if (link + json + (scraper != NULL) > 1) {
        fprintf(stderr, "%s: --json, --link and --scraper exclude each other\nTry '%s --help'.\n",
                spec.program, spec.program);
        return 2;
    }
    st = link ? print_link(config) : scraper ? write_scraper(config, scraper) : print(config, json);
    return st == FM_OK ? 0 : fm_cli_failed(spec.program);
}
