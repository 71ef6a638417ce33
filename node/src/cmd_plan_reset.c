/* The way on when the file of decisions is lost, or is not this node's any more: begun anew, on record. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "commands.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/text.h"
#include "fedmoe/node/decision.h"
#include "fedmoe/node/journal.h"
#include "house.h"

typedef struct {
    const char *config, *by, *reason;
    bool yes;
} wishes;

/** There must be something wrong with them: FM_ESTATE when not. *why: free. */
static fm_status find_fault(const fm_node_config *c, char **why)
{
    fm_decisions all = { 0 };
    const fm_status st = fm_decisions_of_node(c, &all);
    const size_t count = all.count;

    fm_decisions_fini(&all);
    if (st == FM_OK)
        return fm_fail(FM_ESTATE,
                       "%s/" FM_DECISIONS_FILE " is in order (%zu decision%s, none that this node "
                       "has seen is missing): there is nothing to begin anew; 'fedmoe-node plan "
                       "refuse' takes an approval back",
                       c->dir, count, count == 1 ? "" : "s");
    return st == FM_EAUTH ? fm_strdup(fm_error_text(), why) : st;
}

static fm_status take_text(char out[FM_JOURNAL_TEXT_MAX + 1], const char *option, const char *text)
{
    if (!*text || strlen(text) > FM_JOURNAL_TEXT_MAX || fm_text_has_control(text))
        return fm_fail(FM_EINVAL, "%s: a line of text, at most %d bytes", option,
                       FM_JOURNAL_TEXT_MAX);
    (void)snprintf(out, FM_JOURNAL_TEXT_MAX + 1, "%s", text);
    return FM_OK;
}

/** What is there is kept under another name. *kept: free; NULL: nothing was there. */
static fm_status move_away(const fm_node_config *c, int64_t now_s, char **kept)
{
    char *path = NULL, when[32];
    struct stat info;
    fm_status st = fm_path_join(c->dir, FM_DECISIONS_FILE, &path);

    fm_clock_format(now_s, when, sizeof when);
    if (st == FM_OK && lstat(path, &info) == 0) {
        if (asprintf(kept, "%s.void-%s", path, when) < 0) {
            *kept = NULL;
            st = fm_fail(FM_ENOMEM, "no memory for a name");
        } else if (rename(path, *kept) != 0) {
            st = fm_fail(FM_EIO, "%s: cannot be renamed: %s", path, strerror(errno));
        }
    }
    free(path);
    return st;
}

/** First the file, then the journal: stopped in between, the journal still misses what it knows, and
 *  the same command again does the rest. */
static fm_status begin_anew(const fm_node_config *c, const char *journal,
                            const fm_journal_voided *what)
{
    char *kept = NULL;
    fm_status st = move_away(c, what->at_s, &kept);

    if (st == FM_OK && (st = fm_journal_void_decisions(journal, what)) == FM_OK) {
        printf("All decisions that were made before are void; the journal says so for ever. Every "
               "plan is asked about again, the first one, too.\n");
        if (kept)
            printf("What was there is %s: keep it for who asks what became of it.\n", kept);
    }
    free(kept);
    return st;
}

static fm_status reset(const wishes *w)
{
    fm_journal_voided what = { .at_s = fm_clock_wall_s() };
    fm_node_config c = { 0 };
    char *journal = NULL, *why = NULL;
    uint64_t released = 0;
    int lock = -1;
    fm_status st;

    if ((st = take_text(what.by, "--by", w->by)) != FM_OK ||
        (st = take_text(what.why, "--reason", w->reason)) != FM_OK ||
        (st = fm_node_config_load(w->config, &c)) != FM_OK ||
        (st = fm_path_join(c.dir, "state.db", &journal)) != FM_OK ||
        (st = fm_dir_lock(c.dir, &lock)) != FM_OK ||
        (st = fm_house_journal(&c, &released)) != FM_OK || (st = find_fault(&c, &why)) != FM_OK)
        goto done;
    if (!w->yes)
        st =
            fm_fail(FM_EINVAL,
                    "%s. To begin anew makes every decision void that was made here, and stands in "
                    "the journal and in every report for ever: first look for a backup "
                    "of " FM_DECISIONS_FILE "; if there is none, give --yes",
                    why);
    else if (!fm_file_exists(journal))
        st = fm_fail(FM_ENOTFOUND,
                     "%s is not there, in which it would be noted: put the newest one back",
                     journal);
    else
        st = begin_anew(&c, journal, &what);
done:
    fm_dir_unlock(&lock);
    free(journal);
    free(why);
    fm_node_config_fini(&c);
    return st;
}

int fm_cmd_plan_reset(int argc, char **argv)
{
    wishes w = { .config = "node.yaml" };
    const fm_cli_option options[] = {
        FM_CMD_CONFIG_OPTION(w.config),
        { "by", FM_CLI_STRING, &w.by, "NAME", "who says so", true, 0, 0 },
        { "reason", FM_CLI_STRING, &w.reason, "TEXT", "what became of them; stays on record", true,
          0, 0 },
        { "yes", FM_CLI_FLAG, &w.yes, NULL, "do it: there is no way back", false, 0, 0 },
    };
    const fm_cli_spec spec = {
        .program = "fedmoe-node plan reset",
        .summary =
            "Begin the file of decisions anew when it is lost, or not as this node knows it, "
            "and no backup is left: all approvals are void and every plan is asked about "
            "again; journal and reports keep who did it, when and why.",
        .examples = "fedmoe-node plan reset --by 'Anna Muster' --reason 'disk failed, backup of "
                    "June lacks them' --yes",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    int first = 0, code = 0;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    return reset(&w) == FM_OK ? 0 : fm_cli_failed(spec.program);
}
