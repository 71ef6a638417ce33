/* report: a page for the data-protection officer. */
#include <stdio.h>
#include <stdlib.h>

#include "commands.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/json.h"
#include "report.h"
#include "words.h"

/* No record is in it, but what the data set has spent is the house's own business: who wants to
 * show it to others opens it for them. */
#define PAGE_MODE 0600

static fm_status write_page(const fm_report *r, const char *output)
{
    fm_buf page = { 0 };
    fm_status st = fm_report_html(r, &page);

    if (st == FM_OK && (st = fm_file_replace(output, page.data, page.len, PAGE_MODE)) == FM_OK &&
        printf("%s: epsilon %.4f of %.4f is spent; the ledger's %llu entries are whole.\n", output,
               fm_words_up(r->spent), r->config.policy.epsilon, (unsigned long long)r->entries) < 0)
        st = fm_fail(FM_EIO, "standard output cannot be written");
    fm_buf_fini(&page);
    return st;
}

static fm_status print_json(const fm_report *r)
{
    json_t *j = NULL;
    fm_status st = fm_report_json(r, &j);

    if (st == FM_OK)
        st = fm_json_print(j);
    json_decref(j);
    return st;
}

int fm_cmd_report(int argc, char **argv)
{
    const char *config = "node.yaml", *output = "report.html";
    bool json = false;
    const fm_cli_option options[] = {
        FM_CMD_CONFIG_OPTION(config),
        { "output", FM_CLI_STRING, &output, "FILE", "the page; default: report.html in this folder",
          false, 0, 0 },
        { "json", FM_CLI_FLAG, &json, NULL, "print the page's figures as JSON, and write no page",
          false, 0, 0 },
    };
    const fm_cli_spec spec = {
        .program = "fedmoe-node report",
        .summary = "Write a page for the data-protection officer: who used the data set, for what, "
                   "what left, what is spent and left, and how to recompute it.",
        .examples = "fedmoe-node report\n"
                    "fedmoe-node report --config node/node.yaml --output privacy-2026.html",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    fm_report r = { 0 };
    int first = 0, code = 0;
    fm_status st;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    if ((st = fm_report_gather(config, fm_clock_wall_s(), &r)) == FM_OK &&
        (json || (st = fm_cmd_check_apart(output, config, &r.config)) == FM_OK))
        st = json ? print_json(&r) : write_page(&r, output);
    fm_report_fini(&r);
    return st == FM_OK ? 0 : fm_cli_failed(spec.program);
}
