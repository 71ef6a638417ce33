"""The frame around a page: navigation, what is on this page, search."""
import html
import posixpath
import re

FRAME = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="{up}style.css">
<script defer src="{up}search.js" data-up="{up}"></script>
</head>
<body>
<a class="skip" href="#content">To the text</a>
<header>
<a class="home" href="{up}index.html">fedmoe</a>
<form role="search" id="search" hidden>
<label for="query">Search</label>
<input type="search" id="query" autocomplete="off" aria-controls="hits">
</form>
</header>
<section id="hits" aria-live="polite" aria-label="Search results" hidden></section>
<div class="columns">
<nav aria-label="All pages">
<details><summary>All pages</summary>
{nav}</details>
</nav>
<main id="content" tabindex="-1">
{here}{body}
</main>
</div>
</body>
</html>
"""


def wrap_tables(body):
    """Wide tables scroll by themselves, with the keyboard too."""
    body = re.sub(r"<table>(.*?)</table>",
                  r'<div class="wide" role="region" aria-label="Table" tabindex="0">'
                  r"<table>\1</table></div>", body, flags=re.S)
    body = re.sub(r"<th(?=[ >])", '<th scope="col"', body)
    return body.replace("<pre>", '<pre tabindex="0">')


def listing(nav, up, target):
    text = ""
    for section, links in nav:
        text += f"<p>{html.escape(section)}</p>\n<ul>\n"
        for words, href in links:
            path, mark, anchor = href.partition("#")
            path = posixpath.normpath(re.sub(r"\.md$", ".html", re.sub(r"(\.[1-8])$", r"\1.html",
                                                                       path)))
            here = ' aria-current="page"' if path == str(target) and not mark else ""
            text += f'<li><a href="{up}{path}{mark}{anchor}"{here}>{html.escape(words)}</a></li>\n'
        text += "</ul>\n"
    return text


def on_this_page(body):
    found = re.findall(r"<h2[^>]* id=\"([^\"]*)\"[^>]*>(.*?)</h2>", body, re.S)
    if len(found) < 3:
        return ""
    items = "".join(f'<li><a href="#{a}">{re.sub("<[^>]*>", "", h)}</a></li>\n' for a, h in found)
    return f'<details class="here"><summary>On this page</summary>\n<ul>\n{items}</ul>\n</details>\n'


def frame(page, body, nav):
    up = "../" * len(page.target.parent.parts)
    title = page.title if page.title == "fedmoe" else f"{page.title} - fedmoe"
    start = str(page.target) == "index.html"
    return FRAME.format(title=html.escape(title), up=up, nav=listing(nav, up, page.target),
                        here="" if start else on_this_page(body), body=body)
