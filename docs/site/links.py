"""What pages point to: other pages, anchors, files of the tree. Problems are collected, each with
the page it is on."""
import glob
import html
import pathlib
import posixpath
import re
import urllib.parse

DEBIAN = "https://manpages.debian.org/bookworm"  # man pages that are not ours
HREF = re.compile(r"<(a|img)( [^>]*?)?(href|src)=\"([^\"]*)\"")
CODE = re.compile(r"(<pre.*?</pre>)|<code>([^<]*)</code>", re.S)
# A path with variable parts: NAME, or three dots.
VARIABLE = re.compile(r"\b[A-Z][A-Z0-9]+\b|\.\.\.|[<>$ ]")


class Links:
    def __init__(self, root, pages):
        self.root, self.pages = root, pages
        self.problems, self.files, self.pictures = [], set(), set()
        self.count = self.paths = 0
        self.folders = {p.name for p in root.iterdir()
                        if p.is_dir() and p.name not in ("build", "run") and p.name[0] != "."}

    def problem(self, page, text):
        self.problems.append(f"docs/{page.source}: {text}")

    def resolve(self, page):
        """The page's body with links as the site has them."""
        self.paths_in_code(page)

        def one(match):
            picture = posixpath.normpath(page.source.parent / match[4])
            if match[3] == "src" and (self.root / "docs" / picture).is_file():
                self.pictures.add(picture)
            return f"<{match[1]}{match[2] or ' '}{match[3]}=\"{self.target(page, match[4])}\""
        return HREF.sub(one, page.body)

    def target(self, page, href):
        """Where a link leads in the site; the same link when that is elsewhere."""
        self.count += 1
        if re.match(r"(https?|mailto):", href):
            return href
        path, _, anchor = urllib.parse.unquote(html.unescape(href)).partition("#")
        found = posixpath.normpath(posixpath.join(str(page.source.parent), path)) if path \
            else str(page.source)
        if found.startswith("../docs/"):
            found = found.removeprefix("../docs/")
        up = "../" * len(page.source.parent.parts)
        if page.source.suffix != ".md":
            found = re.sub(r"\.html$", "", found)
            if path and found not in self.pages:
                return f"{DEBIAN}/{posixpath.basename(found)}.en.html"
        if found in self.pages:
            other = self.pages[found]
            if anchor and anchor not in other.anchors:
                self.problem(page, f"{href}: no heading #{anchor} in docs/{found}")
            return f"{up}{other.target}" + (f"#{anchor}" if anchor else "")
        outside = posixpath.normpath(posixpath.join("docs", found))
        if outside.startswith("..") or not (self.root / outside).exists():
            self.problem(page, f"{href}: {outside} is not there")
            return href
        if (self.root / outside).is_dir():
            return f"{up}index.html"
        if outside.startswith("docs/") and found in self.pictures:
            return f"{up}{found}"
        self.files.add(outside)
        return f"{up}files/{outside}.html"

    def paths_in_code(self, page):
        """Code spans that look like paths of the tree."""
        for block, span in CODE.findall(page.body):
            if block:
                continue
            text = html.unescape(span).strip()
            if text.startswith("./dev "):
                self.paths += 1
                if f"cmd_{text.split()[1]}()" not in (self.root / "dev").read_text():
                    self.problem(page, f"`{text}`: dev has no such command")
                continue
            first, slash, _ = text.removeprefix("./").partition("/")
            if not slash or first not in self.folders or VARIABLE.search(text):
                continue
            self.paths += 1
            if not self.exists(text.removeprefix("./")):
                self.problem(page, f"`{text}`: no such file")

    def exists(self, path):
        """`dp/clip.h` is short for the header's whole path; `node/` is also what guides call the
        folder of a node."""
        folder, _, name = path.partition("/")
        if folder == "node" and not name.startswith(("src", "include")):
            return True
        if name.endswith(".h") and "/" not in name:
            path = f"{folder}/include/fedmoe/{folder}/{name}"
        alternatives = re.search(r"\{([^{}]*)\}", path)
        if alternatives:
            return all(self.exists(path[:alternatives.start()] + a + path[alternatives.end():])
                       for a in alternatives[1].split(","))
        return bool(glob.glob(str(self.root / path)))

    def listed(self, nav):
        """Every page is on the start page."""
        named = {posixpath.normpath(href.partition("#")[0]) for _, links in nav for _, href in links}
        for name, page in self.pages.items():
            if name not in named and name != "index.md":
                self.problem(page, "docs/index.md does not list it")

    def no_foreign_hosts(self, out):
        """Nothing that a browser loads by itself comes from elsewhere."""
        loads = re.compile(r"(?:<(?:script|img|link|iframe|source|object|embed)\b[^>]*"
                           r"(?:src|href|data)=[\"']?|@import\s+[\"']?|url\([\"']?)(?:https?:)?//",
                           re.I)
        for path in out.rglob("*"):
            if path.suffix in (".html", ".css") and loads.search(path.read_text(encoding="utf-8")):
                self.problems.append(f"{path.relative_to(out)}: loads something from another host")
        for path in out.rglob("*.svg"):
            if re.search(r"(?:href|src)=\"https?:|url\(\s*[\"']?https?:", path.read_text()):
                self.problems.append(f"{path.relative_to(out)}: loads something from another host")
