/*
 * The page's frame, its first lines and its one button. Everything works without scripts; the
 * script only puts newer contents in place of older ones, section by section.
 */
#include "page.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "fedmoe/web/server.h"
#include "words.h"

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\" data-version=\"" FM_WEB_VERSION
    "\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";

static const char style_more[] =
    "<style>\n"
    "meter{display:block;width:100%;height:1.2rem}\n"
    ".now{border-left:4px solid var(--blue);padding:.5rem .9rem;background:var(--wash)}\n"
    ".now.off{border-color:var(--red)}\n"
    ".pause{margin:1rem 0;border:1px solid var(--rule);border-radius:.4rem;padding:.6rem .9rem}\n"
    ".pause summary{cursor:pointer;font-weight:600}\n"
    "label{display:block;margin:.8rem 0}\n"
    "input[type=checkbox]{width:1.2rem;height:1.2rem;vertical-align:-.2rem}\n"
    "button{font:inherit;padding:.6rem 1.2rem;border-radius:.4rem;border:1px solid var(--blue);"
    "background:var(--blue);color:var(--paper);cursor:pointer}\n"
    "button.quiet{background:none;color:var(--blue);padding:.3rem .8rem;font-size:.88rem}\n"
    ":focus-visible{outline:3px solid var(--blue);outline-offset:2px}\n"
    "td code{white-space:normal}\n"
    ".t{white-space:nowrap;font-variant-numeric:tabular-nums}\n"
    "@media print{.pause,.screen{display:none}}\n"
    "</style>\n";

/* Waits for a newer page, and takes its sections over; what a visitor has opened or typed into
 * stays, unless it has changed itself. */
static const char script[] =
    "<script>\n"
    "(function(){\n"
    "var "
    "version=document.documentElement.dataset.version,note=document.getElementById('link'),shown={}"
    ";\n"
    "document.querySelectorAll('[data-live]').forEach(function(e){shown[e.id]=e.className+"
    "e.innerHTML;});\n"
    "function say(t){if(note.textContent!==t){note.textContent=t;note.hidden=!t;}}\n"
    "function take(html){\n"
    "var fresh=new DOMParser().parseFromString(html,'text/html');\n"
    "fresh.querySelectorAll('[data-live]').forEach(function(f){\n"
    "var old=document.getElementById(f.id),now=f.className+f.innerHTML;\n"
    "if(!old||shown[f.id]===now)return;\n"
    "shown[f.id]=now;\n"
    "var open=Array.prototype.map.call(old.querySelectorAll('details'),"
    "function(d){return d.open;});\n"
    "old.innerHTML=f.innerHTML;old.className=f.className;\n"
    "old.querySelectorAll('details').forEach(function(d,i){if(open[i])d.open=true;});\n"
    "});}\n"
    "function next(){\n"
    "fetch('/?after='+encodeURIComponent(version),{cache:'no-store',credentials:'same-origin'})"
    ".then(function(r){\n"
    "if(r.status===404||r.status===403){say('This session is over: fedmoe-node status --link "
    "opens another.');return;}\n"
    "if(r.status===204){say('');return next();}\n"
    "if(!r.ok)throw new Error(r.status);\n"
    "version=r.headers.get('X-Version')||'0';\n"
    "return r.text().then(function(t){take(t);say('');setTimeout(next,250);});\n"
    "}).catch(function(){say('The node does not answer: what follows is as it was last "
    "known.');setTimeout(next,3000);});}\n"
    "next();\n"
    "})();\n"
    "</script>\n";

static void write_meter(fm_html *h, const fm_page *p)
{
    char spent[32];

    if (p->open) {
        fm_html_element(h, "p", "warn",
                        "The policy of this node sets epsilon %g: that says that nothing of data "
                        "set %s is private, and is for tests.",
                        p->policy->epsilon, p->data_set);
        return;
    }
    fm_report_number(p->spent, spent);
    fm_html_rawf(h, "<meter min=\"0\" max=\"%.6g\" value=\"%.6g\" aria-label=\"",
                 p->policy->epsilon, fmin(p->spent, p->policy->epsilon));
    fm_html_textf(h, "epsilon %s of %g is spent", spent, p->policy->epsilon);
    fm_html_raw(h, "\">");
    fm_html_textf(h, "%s of %g", spent, p->policy->epsilon);
    fm_html_raw(h, "</meter>\n");
}

static void write_tiles(fm_html *h, const fm_page *p)
{
    uint64_t rounds = 0;
    char text[32];

    fm_html_raw(h, "<div id=\"tiles\" data-live>\n");
    write_meter(h, p);
    fm_html_raw(h, "<div class=\"tiles\">\n");
    fm_report_number(p->spent, text);
    fm_report_tile(h, text, "epsilon spent");
    fm_report_number(fm_words_down(fmax(p->policy->epsilon - p->spent, 0.0)), text);
    fm_report_tile(h, p->open ? "none" : text, p->open ? "budget" : "epsilon left");
    if (fm_history_affordable(p->history, p->charged, &rounds)) {
        (void)snprintf(text, sizeof text, "%llu", (unsigned long long)rounds);
        fm_report_tile(h, text, "more rounds of this plan that it suffices for");
    }
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)p->history->updates);
    fm_report_tile(h, text, p->history->updates == 1 ? "update sent" : "updates sent");
    fm_html_raw(h, "</div>\n</div>\n");
}

static void write_pause(fm_html *h)
{
    fm_html_raw(h, "<details>\n<summary>Pause this node</summary>\n");
    fm_html_element(h, "p", NULL,
                    "No update leaves any more, from the next one on, until somebody resumes the "
                    "node here or with fedmoe-node resume; also after a restart. A round whose "
                    "update is out already is done to its end: the others' sum depends on it, and "
                    "it costs what a round costs. Records, model and books stay as they are.");
    fm_html_element(h, "p", NULL,
                    "The aggregator and the other members see that this node is paused by its "
                    "owner, and nothing else. They go on if they are enough for a round, and wait "
                    "otherwise. Nothing is held against this node.");
    fm_html_raw(h, "<label><input type=\"checkbox\" name=\"understood\" value=\"yes\" form=\"act\" "
                   "required> I have read what this means, and want to pause this node.</label>\n"
                   "<button type=\"submit\" form=\"act\" formaction=\"/pause\" id=\"pause\">Pause "
                   "now</button>\n</details>\n");
}

static void write_resume(fm_html *h)
{
    fm_html_raw(h, "<details open>\n<summary>Resume</summary>\n");
    fm_html_element(h, "p", NULL,
                    "Resumed, the node connects, judges the plan by its policy as ever, and takes "
                    "part again from the next round on; each round costs budget again.");
    fm_html_raw(h, "<label><input type=\"checkbox\" name=\"understood\" value=\"yes\" form=\"act\" "
                   "required> I have read what this means, and want the node to take part "
                   "again.</label>\n"
                   "<button type=\"submit\" form=\"act\" formaction=\"/resume\" id=\"resume\">"
                   "Resume now</button>\n</details>\n");
}

static void write_button(fm_html *h, const fm_page *p)
{
    fm_html_raw(h, "<section class=\"pause\" id=\"button\" data-live aria-label=\"Pause\">\n");
    if (p->paused)
        write_resume(h);
    else
        write_pause(h);
    fm_html_raw(h, "</section>\n");
}

/** One form for all buttons: its token is put in once. */
static void write_form(fm_html *h)
{
    fm_html_raw(h, "<form id=\"act\" method=\"post\" action=\"/pause\">\n"
                   "<input type=\"hidden\" name=\"token\" value=\"" FM_WEB_FORM_TOKEN "\">\n"
                   "</form>\n");
}

static void write_header(fm_html *h, const fm_page *p)
{
    char now[40];

    fm_page_time(p->now_s, now);
    fm_html_raw(h, "<header>\n<p class=\"kicker\">Node of federation ");
    fm_html_textf(h, "%s", p->federation);
    fm_html_raw(h, "</p>\n");
    fm_html_element(h, "h1", NULL, "%s", p->name);
    fm_html_raw(h, "<p class=\"soft\" id=\"time\" data-live>");
    fm_html_textf(h, "Data set %s, as of %s.", p->data_set, now);
    fm_html_raw(h, "</p>\n</header>\n<p class=\"warn screen\" id=\"link\" role=\"alert\" "
                   "hidden></p>\n");
}

static void write_footer(fm_html *h)
{
    fm_html_raw(h, "<footer class=\"soft small\">\n<p>");
    fm_html_text(h, "This page is served to this machine alone, and holds no record and no key. "
                    "The privacy officer's report, with the checked ledger: fedmoe-node report.");
    fm_html_raw(h,
                "</p>\n<p class=\"screen\"><button class=\"quiet\" type=\"submit\" "
                "form=\"act\" formaction=\"/leave\" formnovalidate>Leave this page</button></p>\n"
                "<noscript><p class=\"screen\">Without scripts this page does not follow by "
                "itself: <a href=\"/\">read it again</a>.</p></noscript>\n</footer>\n");
}

fm_status fm_page_html(const fm_page *p, fm_buf *out)
{
    fm_html h = { .out = out };

    if (!p || !out)
        return fm_fail(FM_EINVAL, "fm_page_html: NULL argument");
    fm_html_raw(&h, head);
    fm_html_element(&h, "title", NULL, "%s: node of federation %s", p->name, p->federation);
    fm_report_style(&h);
    fm_html_raw(&h, style_more);
    fm_html_raw(&h, "</head>\n<body>\n<main>\n");
    write_header(&h, p);
    fm_page_now(&h, p);
    write_button(&h, p);
    write_tiles(&h, p);
    fm_page_sections(&h, p);
    write_footer(&h);
    write_form(&h);
    fm_html_raw(&h, "</main>\n");
    fm_html_raw(&h, script);
    fm_html_raw(&h, "</body>\n</html>\n");
    return h.st;
}
