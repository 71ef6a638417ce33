/* For the reviewer: the commands that recompute every figure, what they start from, and hashes. */
#include <stdio.h>

#include "fedmoe/base/clock.h"
#include "report.h"
#include "words.h"

/* More kinds than a command line should hold are recomputed from the ledger itself. */
#define KINDS_MAX 100u

/** A command of its own line, in which only the quoted texts are from outside. */
static void command_ledger(fm_html *h, const fm_report *r)
{
    char delta[32];

    fm_words_exact(r->config.policy.delta, delta);
    fm_html_raw(h, "<pre>fedmoe-node ledger --config ");
    fm_report_shell(h, r->config_path);
    fm_html_raw(h, "\nfedmoe-dp ledger ");
    fm_report_shell(h, r->config.ledger);
    fm_html_raw(h, " --data-set ");
    fm_report_shell(h, r->config.data_set);
    fm_html_textf(h, " --delta %s", delta);
    fm_html_raw(h, "</pre>\n");
}

static void command_epsilon(fm_html *h, const fm_report *r)
{
    char delta[32], mechanism[160];

    fm_words_exact(r->config.policy.delta, delta);
    fm_html_raw(h, "<pre id=\"recompute\">");
    fm_html_textf(h, "fedmoe-dp epsilon --delta %s", delta);
    for (size_t i = 0; i < r->kind_count; i++) {
        fm_report_mechanism(&r->kinds[i], mechanism);
        fm_html_textf(h, " --mechanism %s", mechanism);
    }
    fm_html_raw(h, "</pre>\n");
}

static void write_commands(fm_html *h, const fm_report *r)
{
    char spent[32];

    fm_html_element(h, "p", NULL,
                    "The chain of hashes, every entry, and the sum, with this software and with "
                    "its accountant alone:");
    command_ledger(h, r);
    if (r->kind_count > 0 && r->kind_count <= KINDS_MAX) {
        fm_words_exact(r->spent, spent);
        fm_html_element(
            h, "p", NULL,
            "The sum from its parts (z is the noise multiplier, q the sampling rate); the "
            "ledger's figure before rounding is %s:",
            spent);
        command_epsilon(h, r);
    }
    fm_html_element(h, "p", NULL,
                    "A tight accountant of other software for these mechanisms, with adjacency of "
                    "adding or removing one unit and with Poisson sampling, must come to no more "
                    "than that; fedmoe-node ledger --json prints the entries for it.");
}

static void row_of_code(fm_html *h, const char *name, const char *code, const char *more)
{
    fm_html_element(h, "dt", NULL, "%s", name);
    fm_html_raw(h, "<dd>");
    fm_html_element(h, "code", NULL, "%s", code);
    fm_html_textf(h, "%s", more);
    fm_html_raw(h, "</dd>\n");
}

static void write_facts(fm_html *h, const fm_report *r)
{
    char hex[2 * FM_HASH_BYTES + 1], text[96];

    fm_html_raw(h, "<dl>\n");
    fm_hash_hex(&r->head, hex);
    (void)snprintf(text, sizeof text, " after %llu entries, %llu of them of other data sets",
                   (unsigned long long)r->entries, (unsigned long long)r->other_entries);
    row_of_code(h, "Head of the ledger", hex, text);
    row_of_code(h, "Ledger", r->config.ledger, "");
    if (r->model_rounds[0]) {
        (void)snprintf(text, sizeof text, ", after %s rounds", r->model_rounds);
        row_of_code(h, "Plan of the result", r->model_plan, text);
    }
    fm_html_element(h, "dt", NULL, "Program");
    fm_html_element(h, "dd", NULL, "fedmoe %s; accountant: that of fedmoe-dp %s", FM_VERSION,
                    FM_VERSION);
    fm_html_raw(h, "</dl>\n");
}

static void write_files(fm_html *h, const fm_report *r)
{
    fm_html_raw(h,
                "<div class=\"scroll\">\n<table>\n<caption>Files as they were, by sha256sum"
                "</caption>\n<tr><th>File</th><th class=\"n\">Bytes</th><th>SHA-256</th></tr>\n");
    for (size_t i = 0; i < r->file_count; i++) {
        const fm_report_file *f = &r->files[i];

        fm_html_raw(h, "<tr><td>");
        fm_html_textf(h, "%s", f->what);
        fm_html_element(h, "div", "soft small", "%s", f->path);
        fm_html_raw(h, "</td>");
        if (f->there) {
            fm_html_element(h, "td", "n", "%llu", (unsigned long long)f->bytes);
            fm_html_raw(h, "<td>");
            fm_html_element(h, "code", NULL, "%s", f->sha256);
            fm_html_raw(h, "</td></tr>\n");
        } else
            fm_html_raw(h, "<td class=\"n\">none</td><td></td></tr>\n");
    }
    fm_html_raw(h, "</table>\n</div>\n");
}

static void write_points(fm_html *h, const fm_report *r)
{
    char day[32], epsilon[32];

    if (r->point_count == 0)
        return;
    fm_html_element(h, "h3", NULL, "The points of the plot");
    fm_html_raw(h, "<div class=\"points\">\n<table>\n<tr><th class=\"n\">Releases</th>"
                   "<th class=\"n\">Date</th><th class=\"n\">Epsilon</th></tr>\n");
    for (size_t i = 0; i < r->point_count; i++) {
        fm_report_date(r->points[i].wall_s, day);
        fm_report_number(r->points[i].epsilon, epsilon);
        fm_html_raw(h, "<tr>");
        fm_html_element(h, "td", "n", "%llu", (unsigned long long)r->points[i].releases);
        fm_html_element(h, "td", "n", "%s", day);
        fm_html_element(h, "td", "n", "%s", epsilon);
        fm_html_raw(h, "</tr>\n");
    }
    fm_html_raw(h, "</table>\n</div>\n");
}

void fm_report_review(fm_html *h, const fm_report *r)
{
    fm_html_raw(h, "<section>\n<h2>For the reviewer</h2>\n");
    write_commands(h, r);
    fm_html_element(h, "p", NULL,
                    "Write down the head of the ledger outside this machine. A later report must "
                    "hold this entry: that shows a ledger that was replaced as a whole by an older "
                    "copy, which no chain can show by itself.");
    write_facts(h, r);
    write_files(h, r);
    write_points(h, r);
    fm_html_raw(h, "</section>\n");
}
