/* The page's frame and its first lines. XML-shaped HTML: any parser can check it. */
#include <math.h>
#include <stdio.h>

#include "fedmoe/base/clock.h"
#include "report.h"
#include "words.h"

/* No assets, no scripts; and even if something slipped through, the browser may run none. */
static const char head[] =
    "<!DOCTYPE html>\n"
    "<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en\">\n<head>\n"
    "<meta charset=\"utf-8\"/>\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
    "<meta name=\"referrer\" content=\"no-referrer\"/>\n"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
    "'unsafe-inline'\"/>\n";

static const char style_base[] =
    "<style>\n"
    ":root{--ink:#1c2733;--soft:#566575;--rule:#d5dce3;--paper:#fff;--wash:#f3f6f8;"
    "--blue:#1f5f99;--fill:#cfe1f1;--red:#b3261e;color-scheme:light dark}\n"
    "@media (prefers-color-scheme:dark){:root{--ink:#e4eaf0;--soft:#9fb0c0;--rule:#38444f;"
    "--paper:#12181e;--wash:#1b232b;--blue:#7db8ea;--fill:#234260;--red:#ff8a80}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0;background:var(--paper);color:var(--ink);"
    "font:16px/1.55 system-ui,-apple-system,\"Segoe UI\",Roboto,\"Liberation Sans\",sans-serif}\n"
    "main{max-width:54rem;margin:0 auto;padding:2.2rem 1.4rem 4rem}\n"
    "h1{font-size:1.9rem;line-height:1.2;margin:.1rem 0 .3rem;overflow-wrap:anywhere}\n"
    "h2{font-size:1.22rem;margin:2.6rem 0 .6rem;padding-top:.9rem;"
    "border-top:1px solid var(--rule)}\n"
    "h3{font-size:1rem;margin:1.5rem 0 .3rem}\n"
    "p,ul{margin:.5rem 0 .8rem}\nli{margin:.25rem 0}\nul{padding-left:1.3rem}\n"
    ".kicker{margin:0;color:var(--blue);font-weight:600;letter-spacing:.04em}\n"
    ".soft{color:var(--soft)}\n.small{font-size:.88rem}\n"
    ".lead{font-size:1.22rem;line-height:1.45;margin:1.3rem 0 .9rem}\n"
    ".warn{border-left:4px solid var(--red);padding:.5rem .9rem;background:var(--wash)}\n";

static const char style_blocks[] =
    ".bar{height:1.1rem;border-radius:.3rem;background:var(--wash);border:1px solid var(--rule);"
    "overflow:hidden}\n.bar div{height:100%;background:var(--blue)}\n"
    ".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.8rem;"
    "margin:1.1rem 0}\n"
    ".tile{background:var(--wash);border:1px solid var(--rule);border-radius:.4rem;"
    "padding:.7rem .9rem}\n"
    ".tile b{display:block;font-size:1.35rem;font-variant-numeric:tabular-nums}\n"
    ".tile span{color:var(--soft);font-size:.88rem}\n"
    "dl{display:grid;grid-template-columns:11rem 1fr;gap:.35rem 1rem;margin:.6rem 0}\n"
    "dt{color:var(--soft)}\ndd{margin:0;overflow-wrap:anywhere}\n"
    ".scroll{overflow-x:auto}\n"
    "table{border-collapse:collapse;width:100%;font-size:.92rem;margin:.5rem 0}\n"
    "caption{text-align:left;color:var(--soft);font-size:.88rem;padding-bottom:.3rem}\n"
    "th,td{text-align:left;vertical-align:top;padding:.4rem .7rem .4rem 0;"
    "border-bottom:1px solid var(--rule)}\n"
    "th{color:var(--soft);font-weight:600}\n"
    ".n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}\n"
    "table.few{max-width:36rem}\n"
    "tr.sum td{font-weight:600;border-bottom:0}\n"
    "code,pre{font-family:ui-monospace,\"DejaVu Sans Mono\",\"Liberation Mono\",monospace;"
    "font-size:.84rem}\n"
    "code{overflow-wrap:anywhere}\n"
    "pre{background:var(--wash);border:1px solid var(--rule);border-radius:.4rem;"
    "padding:.7rem .9rem;white-space:pre-wrap;overflow-wrap:anywhere;margin:.4rem 0 1rem}\n"
    "@media screen{td code{white-space:nowrap}}\n"
    ".points{columns:14rem 3;column-gap:2rem}\n.points table{font-size:.84rem}\n";

static const char style_plot[] =
    "figure{margin:1rem 0}\nfigcaption{color:var(--soft);font-size:.88rem;margin-top:.3rem}\n"
    ".plot{display:block;width:100%;height:auto}\n"
    ".plot text{font:13px system-ui,\"Liberation Sans\",sans-serif;fill:var(--ink)}\n"
    ".plot .tick,.plot .name{fill:var(--soft)}\n"
    ".plot .limit{fill:var(--red);font-weight:600}\n"
    ".plot .spent{fill:var(--blue);font-weight:700;paint-order:stroke;stroke:var(--paper);"
    "stroke-width:4px}\n"
    ".grid{stroke:var(--rule);stroke-width:1}\n.axis{stroke:var(--soft);stroke-width:1.2}\n"
    ".mark{stroke:var(--soft);stroke-width:1;stroke-dasharray:2 4}\n"
    ".area{fill:var(--fill);opacity:.6}\n"
    ".line{fill:none;stroke:var(--blue);stroke-width:2}\n.dot{fill:var(--blue)}\n"
    ".budget{stroke:var(--red);stroke-width:1.6;stroke-dasharray:7 5}\n"
    "@media (max-width:34rem){main{padding:1.3rem 1rem 3rem}dl{grid-template-columns:1fr;gap:0}"
    "dd{margin:0 0 .6rem}h1{font-size:1.5rem}.lead{font-size:1.1rem}"
    ".plot text{font-size:22px}.plot .mark{stroke-width:2}}\n"
    "@media print{:root{--ink:#000;--soft:#444;--rule:#bbb;--paper:#fff;--wash:#fff;"
    "--blue:#1f5f99;--fill:#cfe1f1;--red:#b3261e}"
    "*{print-color-adjust:exact;-webkit-print-color-adjust:exact}"
    "body{font-size:10.5pt}main{max-width:none;padding:0}"
    "h2,h3{break-after:avoid}tr,figure,.tile,pre{break-inside:avoid}.scroll{overflow:visible}}\n"
    "@page{margin:18mm 16mm}\n"
    "</style>\n";

void fm_report_style(fm_html *h)
{
    fm_html_raw(h, style_base);
    fm_html_raw(h, style_blocks);
    fm_html_raw(h, style_plot);
}

static void write_headline(fm_html *h, const fm_report *r)
{
    const fm_node_policy *p = &r->config.policy;
    char spent[32], left[32];

    fm_report_number(r->spent, spent);
    fm_report_number(fm_words_down(r->left), left);
    if (fm_report_is_open(r)) {
        fm_html_element(h, "p", "lead warn",
                        "The policy of this node sets epsilon %g: that says that nothing of data "
                        "set %s is private, and is for tests. The ledger has booked %s.",
                        p->epsilon, r->config.data_set, spent);
        return;
    }
    fm_html_element(h, "p", "lead",
                    "Of its budget of epsilon %g at delta %g, data set %s has spent %s; %s is "
                    "left.",
                    p->epsilon, p->delta, r->config.data_set, spent, left);
    if (r->spent > p->epsilon)
        fm_html_element(h, "p", "warn",
                        "That is more than the budget: the budget was lowered after the releases "
                        "were made. The node makes no more releases.");
    fm_html_raw(h, "<div class=\"bar\" role=\"img\" aria-label=\"");
    fm_html_textf(h, "%s of %g spent", spent, p->epsilon);
    fm_html_rawf(h, "\"><div style=\"width:%.1f%%\"></div></div>\n",
                 fmin(100.0, 100.0 * r->spent / p->epsilon));
}

void fm_report_tile(fm_html *h, const char *figure, const char *name)
{
    fm_html_raw(h, "<div class=\"tile\">");
    fm_html_element(h, "b", NULL, "%s", figure);
    fm_html_element(h, "span", NULL, "%s", name);
    fm_html_raw(h, "</div>\n");
}

static void write_tiles(fm_html *h, const fm_report *r)
{
    char text[32];

    fm_html_raw(h, "<div class=\"tiles\">\n");
    fm_report_number(r->spent, text);
    fm_report_tile(h, text, "epsilon spent");
    fm_report_number(fm_words_down(r->left), text);
    fm_report_tile(h, fm_report_is_open(r) ? "none" : text,
                   fm_report_is_open(r) ? "budget" : "epsilon left");
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)r->releases);
    fm_report_tile(h, text, r->releases == 1 ? "release" : "releases");
    fm_report_date(r->point_count ? r->points[r->point_count - 1].wall_s : 0, text);
    fm_report_tile(h, r->point_count ? text : "none", "last release");
    fm_html_raw(h, "</div>\n");
}

static void write_checked(fm_html *h, const fm_report *r)
{
    fm_html_element(h, "p", NULL,
                    "The ledger was checked before this page was written: its %llu entries are "
                    "unaltered and in order, and the chain of hashes is whole.",
                    (unsigned long long)r->entries);
    if (r->journal_known)
        fm_html_element(h, "p", NULL,
                        "The node's journal, a second book, knows of %llu released rounds; the "
                        "ledger holds %llu releases of this data set, so none of those is missing.",
                        (unsigned long long)r->journal_released, (unsigned long long)r->releases);
}

fm_status fm_report_html(const fm_report *r, fm_buf *out)
{
    fm_html h = { .out = out };
    char made[32];

    if (!r || !out)
        return fm_fail(FM_EINVAL, "fm_report_html: NULL argument");
    fm_clock_format(r->made_s, made, sizeof made);
    fm_html_raw(&h, head);
    fm_html_element(&h, "title", NULL, "Privacy report: %s", r->config.data_set);
    fm_report_style(&h);
    fm_html_raw(&h, "</head>\n<body>\n<main>\n<header>\n<p class=\"kicker\">Privacy report</p>\n");
    fm_html_element(&h, "h1", NULL, "Data set %s", r->config.data_set);
    fm_html_element(&h, "p", "soft", "Node %s. Made %s by fedmoe-node %s.", r->config.name, made,
                    FM_VERSION);
    fm_html_raw(&h, "</header>\n");
    write_headline(&h, r);
    write_tiles(&h, r);
    write_checked(&h, r);
    fm_report_sections(&h, r);
    fm_report_review(&h, r);
    fm_html_raw(&h, "</main>\n</body>\n</html>\n");
    return h.st;
}
