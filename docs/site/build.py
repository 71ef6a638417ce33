"""docs/ as a site that needs no network: pages, man pages, search. Says what does not hold: links,
anchors and paths that lead nowhere, pages that the start page does not list, foreign hosts.
usage: build.py SOURCE-TREE OUTPUT-FOLDER"""
import html
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

from links import Links
from page import frame, wrap_tables

SECTION = re.compile(r"<(h[1-4])\b[^>]* id=\"([^\"]*)\"[^>]*>(.*?)</h[1-4]>", re.S)


def run(*words):
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{words[0]}: {done.stderr.strip()}")
    return done.stdout


def plain(fragment):
    return html.unescape(re.sub(r"<[^>]*>", "", fragment)).strip()


def slug(heading, taken):
    """The anchor that forges give a heading, so that one link serves both."""
    name = re.sub(r"[^\w\- ]", "", plain(heading).lower()).replace(" ", "-")
    count = taken.get(name, 0)
    taken[name] = count + 1
    return f"{name}-{count}" if count else name


def with_anchors(body):
    taken = {}
    return re.sub(r"<(h[1-6])>(.*?)</\1>",
                  lambda m: f'<{m[1]} id="{slug(m[2], taken)}">{m[2]}</{m[1]}>', body, flags=re.S)


class Page:
    """One page: where it comes from (below docs/), where it goes, what it says."""

    def __init__(self, source, root):
        self.source = source
        if source.suffix == ".md":
            self.target = source.with_suffix(".html")
            self.body = with_anchors(run("cmark-gfm", "-e", "table", "-e", "strikethrough",
                                         str(root / "docs" / source)))
        else:
            self.target = pathlib.PurePosixPath(f"{source}.html")
            text = run("mandoc", "-T", "html", "-O", "fragment,man=%N.%S.html",
                       str(root / "docs" / source))
            # The program writes its own list of anchors; headings are enough here.
            self.body = re.sub(r"<(/?)h1\b", r"<\1h2", text)
            self.body = f"<h1 id=\"top\">{source.stem}({source.suffix[1:]})</h1>\n" + self.body
        found = re.search(r"<h1[^>]*>(.*?)</h1>", self.body, re.S)
        self.title = plain(found[1]) if found else str(source)
        self.anchors = set(re.findall(r"\bid=\"([^\"]*)\"", self.body))

    def sections(self):
        """(anchor, heading, text) for the search; the first has no heading of its own."""
        parts = SECTION.split(self.body)
        yield "", self.title, plain(parts[0])
        for i in range(1, len(parts), 4):
            yield parts[i + 1], plain(parts[i + 2]), plain(parts[i + 3])


def pages_of(root):
    docs = root / "docs"
    found = sorted(p.relative_to(docs) for p in docs.rglob("*.md"))
    found += sorted(p.relative_to(docs) for p in (docs / "man").glob("*.[1-8]"))
    return {str(s): Page(pathlib.PurePosixPath(s), root) for s in found}


def navigation(start):
    """[(section, [(text, target)])] of the start page: its headings and the links below them."""
    sections = []
    parts = SECTION.split(start.body)[1:]
    for i in range(0, len(parts), 4):
        if parts[i] != "h2":
            continue
        links = [(plain(t), h) for h, t in re.findall(r"<a href=\"([^\":]*)\">(.*?)</a>",
                                                      parts[i + 3], re.S)]
        sections.append((plain(parts[i + 2]), links))
    return sections


def main():
    root, out = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    pages = pages_of(root)
    links = Links(root, pages)
    if "index.md" not in pages:
        sys.exit("docs/index.md: not there; it is the start page and the navigation")
    nav = navigation(pages["index.md"])
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    index = []
    links.listed(nav)
    for page in pages.values():
        body = wrap_tables(links.resolve(page))
        target = out / page.target
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(frame(page, body, nav), encoding="utf-8")
        for anchor, heading, text in page.sections():
            if not text:
                continue
            index.append([str(page.target) + (f"#{anchor}" if anchor else ""), page.title, heading,
                          re.sub(r"\s+", " ", text)])
    for path in links.files:
        target = out / "files" / f"{path}.html"
        target.parent.mkdir(parents=True, exist_ok=True)
        text = html.escape((root / path).read_text(encoding="utf-8", errors="replace"))
        target.write_text(frame(FilePage(path), f"<h1>{html.escape(path)}</h1>\n<pre tabindex=\"0\">"
                                f"<code>{text}</code></pre>", nav), encoding="utf-8")
    for path in links.pictures:
        target = out / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / "docs" / path, target)
    here = pathlib.Path(__file__).parent
    for name in ("style.css", "search.js"):
        shutil.copyfile(here / name, out / name)
    (out / "search-index.js").write_text("fedmoeIndex=" + json.dumps(index, ensure_ascii=False)
                                         + ";\n", encoding="utf-8")
    for name in ("README.md", "python/README.md"):
        if (root / name).exists():
            links.resolve(Page(pathlib.PurePosixPath("..") / name, root))  # looked at, no page here
    links.no_foreign_hosts(out)
    for problem in links.problems:
        print(problem, file=sys.stderr)
    size = sum(p.stat().st_size for p in out.rglob("*") if p.is_file())
    print(f"{len(pages)} pages, {links.count} links and {links.paths} paths looked at, "
          f"{size // 1024} KB in {os.path.relpath(out)}")
    sys.exit(1 if links.problems else 0)


class FilePage:
    """A file of the tree that a page links to."""

    def __init__(self, path):
        self.title, self.source = path, None
        self.target = pathlib.PurePosixPath("files") / f"{path}.html"
        self.body = ""


if __name__ == "__main__":
    main()
