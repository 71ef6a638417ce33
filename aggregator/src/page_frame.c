/* What stands around the status page's sections: head, style, the script that keeps it fresh. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "page_internal.h"

#define BEGIN(attributes)                                                       \
    "<!doctype html>\n<html lang=en" attributes "><head><meta charset=utf-8>\n" \
    "<meta name=viewport content=\"width=device-width,initial-scale=1\">\n"     \
    "<meta name=color-scheme content=\"light dark\">\n"

/* Contrast of every text on its ground: 4.5 at least, light and dark (tests/e2e/status_page.sh). */
#define STYLE                                                                                    \
    "<style>\n"                                                                                  \
    ":root{--ground:#fbfbf9;--card:#fff;--ink:#1d2327;--soft:#56606b;--rule:#dcdfe2;"            \
    "--accent:#0b5d8a;--good:#17663a;--bad:#a3221c;--gone:#c77c1e}\n"                            \
    "@media(prefers-color-scheme:dark){:root{--ground:#14181c;--card:#1b2126;--ink:#e4e8eb;"     \
    "--soft:#a3afb9;--rule:#343d45;--accent:#7cc0ea;--good:#7fd1a0;--bad:#ff9d94;"               \
    "--gone:#f0b96a}}\n"                                                                         \
    "*{box-sizing:border-box}\n"                                                                 \
    "body{margin:0;background:var(--ground);color:var(--ink);font:1rem/1.55 system-ui,"          \
    "-apple-system,\"Segoe UI\",sans-serif;font-variant-numeric:tabular-nums}\n"                 \
    "header,main,footer{max-width:60rem;margin:auto;padding:0 1.25rem}\n"                        \
    "header{padding-top:2rem}h1{font-size:1.7rem;line-height:1.2;margin:0}\n"                    \
    "header p,footer,small,caption,figcaption,dt{color:var(--soft)}header p{margin:.3rem 0 0}\n" \
    "h2{font-size:1.15rem;margin:0 0 .8rem}section{margin:2.2rem 0;padding-top:1.2rem;"          \
    "border-top:1px solid var(--rule)}\n"                                                        \
    ".state{font-size:1.1rem;margin:1.6rem 0 0}\n"                                               \
    ".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(10.5rem,1fr));gap:.8rem;"  \
    "margin:0 0 1.2rem}.tiles div{background:var(--card);border:1px solid var(--rule);"          \
    "border-radius:.5rem;padding:.7rem .9rem}dt{font-size:.85rem}dd{margin:.15rem 0 0;"          \
    "font-size:1.1rem;overflow-wrap:anywhere}small{font-size:.85rem}\n"                          \
    "progress{display:block;width:100%;height:.45rem;margin-top:.45rem;accent-color:"            \
    "var(--accent)}\n"                                                                           \
    "figure{margin:0 0 1.2rem}figcaption{font-size:.9rem;margin-bottom:.3rem}"                   \
    "figcaption b{color:var(--ink);font-weight:600}svg{display:block;width:100%;height:7rem}"    \
    ".bar,.gone,.line,.axis,.band{fill:none}.bar{stroke:var(--accent)}.gone{stroke:var(--gone)}" \
    ".line{stroke:var(--accent);stroke-width:2;vector-effect:non-scaling-stroke}"                \
    ".axis{stroke:var(--rule)}.band{stroke:var(--accent);opacity:.2}\n"                          \
    "table{border-collapse:collapse;width:100%}caption{text-align:left;font-size:.9rem;"         \
    "padding-bottom:.4rem}th,td{text-align:left;vertical-align:top;padding:.45rem .9rem .45rem " \
    "0;border-bottom:1px solid var(--rule);overflow-wrap:anywhere}thead th{font-size:.85rem;"    \
    "font-weight:600;color:var(--soft)}tbody th{font-weight:600}\n"                              \
    ".wide{overflow-x:auto}.wide th,.wide td{white-space:nowrap}\n"                              \
    ".good{color:var(--good)}.bad{color:var(--bad)}.soft{color:var(--soft)}\n"                   \
    "summary{cursor:pointer;color:var(--accent)}details[open] summary{margin-bottom:.6rem}\n"    \
    ".hex code,pre{overflow-wrap:anywhere;white-space:pre-wrap;font-size:.9rem}\n"               \
    ".log{list-style:none;padding:0;margin:0}.log li{padding:.25rem 0}.log time{color:"          \
    "var(--soft);margin-right:.6rem}\n"                                                          \
    "footer{padding-bottom:3rem;font-size:.9rem}footer form{display:inline}"                     \
    "button{font:inherit;color:var(--accent);background:var(--card);border:1px solid "           \
    "var(--accent);border-radius:.4rem;padding:.35rem .8rem;cursor:pointer}\n"                   \
    "a{color:var(--accent)}:focus-visible{outline:3px solid var(--accent);outline-offset:2px}\n" \
    ".skip,.heard{position:absolute;left:-99rem}.skip:focus{left:1rem;top:.5rem}\n"              \
    "#lost{color:var(--bad)}\n"                                                                  \
    "@media print{:root{--ground:#fff;--card:#fff;--ink:#000;--soft:#444;--rule:#999;"           \
    "--accent:#000;--good:#000;--bad:#000;--gone:#777}footer form,.skip,.heard,summary{display:" \
    "none}section{break-inside:avoid}body{font-size:10pt}}\n"                                    \
    "</style>\n"

/*
 * Asks for the page after the version it shows; what has changed takes the old one's place. A screen
 * reader is told of the state at most each 15 s. Who is not known any more (its session is over) gets
 * the page for strangers.
 */
#define SCRIPT                                                                                \
    "<script>\n"                                                                              \
    "(async()=>{let v=document.documentElement.dataset.version,said=0;\n"                     \
    "const by=i=>document.getElementById(i),"                                                 \
    "say=(i,t)=>{if(by(i).textContent!=t)by(i).textContent=t},"                               \
    "heard=()=>{const t=by('state').textContent;if(by('heard').textContent!=t&&"              \
    "Date.now()-said>15e3){say('heard',t);said=Date.now()}};\n"                               \
    "for(;;){try{const r=await fetch('/?after='+v);\n"                                        \
    "if(r.status==200){v=r.headers.get('X-Version');const d=new DOMParser()"                  \
    ".parseFromString(await r.text(),'text/html');\n"                                         \
    "if(!d.getElementById('state'))return location.reload();\n"                               \
    "for(const n of d.querySelectorAll('[data-live]')){const o=by(n.id);"                     \
    "if(o&&o.innerHTML!=n.innerHTML)o.innerHTML=n.innerHTML}\n"                               \
    "document.title=d.title}else if(r.status!=204)return location.reload();\n"                \
    "heard();say('lost','')}catch{say('lost','Not connected: this is what was last known.');" \
    "await new Promise(r=>setTimeout(r,3e3))}}})()\n"                                         \
    "</script>\n"

const char page_html_stranger[] = BEGIN(
    "") "<title>fedmoe</title>\n" STYLE
        "</head><body><main><h1>A federation\xe2\x80\x99s status</h1>"
        "<p>This page shows itself to those who take part."
        "<p>The coordinator opens it with a link, made on the aggregator\xe2\x80\x99s machine: "
        "<code>fedmoe-aggregator status --link</code>."
        "<p>A member shows the certificate of its node, or has the coordinator make it a link: "
        "<code>status --link --member NAME</code>.</main></body></html>\n";

static fm_status write_head(const fm_run *r, fm_buf *out)
{
    const fm_plan *plan = &r->config.plan;
    fm_status st;

    if ((st = fm_buf_printf(out, "%s<title>%s: %llu of %u rounds</title>\n%s",
                            BEGIN(" data-version=" FM_WEB_VERSION), plan->federation,
                            (unsigned long long)fm_state_finished(r->state), plan->rounds,
                            STYLE)) != FM_OK)
        return st;
    return fm_buf_printf(out,
                         "</head>\n<body><a class=skip href=#main>To the content</a>\n"
                         "<header><h1>%s</h1><p>",
                         plan->federation);
}

fm_status page_html_wrap(const fm_run *r, bool all, const fm_buf *body, fm_buf *out)
{
    fm_status st = write_head(r, out);

    if (st == FM_OK)
        st = fm_web_escape(out, r->config.plan.purpose);
    if (st == FM_OK)
        st = fm_buf_printf(out, "</p></header>\n<main id=main>\n");
    if (st == FM_OK)
        st = fm_buf_append(out, body->data, body->len);
    if (st == FM_OK)
        st = fm_buf_printf(out, "</main>\n<p id=heard class=heard role=status></p>\n"
                                "<footer><p id=lost role=alert></p><p>As of <span id=as-of "
                                "data-live>");
    if (st == FM_OK)
        st = page_time(out, fm_clock_wall_s());
    if (st == FM_OK)
        st = fm_buf_printf(out, "</span>; you see what %s may see. ",
                           all ? "the coordinator" : "a member");
    if (st == FM_OK && all)
        st = fm_buf_printf(out, "<a href=/metrics>Metrics</a> ");
    if (st == FM_OK)
        st = fm_buf_printf(out, "<form method=post action=/leave><input type=hidden name=token "
                                "value=\"" FM_WEB_FORM_TOKEN "\"><button>Leave</button></form>"
                                "</footer>\n" SCRIPT "</body></html>\n");
    return st;
}
