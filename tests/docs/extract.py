"""The commands of a page as a script: its `sh` blocks in order, each as it stands. Comments in the
page's source, which no reader sees, say what a machine needs beside them:

    <!-- test
    commands to run here: what is there before, what a person would wait for
    -->
    <!-- test: background NAME -->       the next block runs in the background
    <!-- test: not run: REASON -->       the next block is not run, and counted

usage: extract.py PAGE   writes the script, or `--count` PAGES: how many blocks, and those not run."""
import re
import sys

PIECES = re.compile(r"^<!-- test(?:: ([^\n]*?))?(?:\n(.*?)\n)?-->[ ]*$|^```(\w*)\n(.*?)^```$",
                    re.M | re.S)


def pieces(text):
    """(mark, what) in order: mark is "hidden", "run", "background NAME" or "not run: REASON"."""
    mark = ""
    for found in PIECES.finditer(text):
        said, hidden, language, block = (g or "" for g in found.groups())
        if found[0].startswith("<!--"):
            if hidden:
                yield "hidden", hidden + "\n"
            mark = said.strip() or mark
        elif language == "sh":
            yield mark or "run", block
            mark = ""
        else:
            mark = ""


def script(page):
    with open(page, encoding="utf-8") as file:
        text = file.read()
    for number, (mark, block) in enumerate(pieces(text)):
        if mark.startswith("not run"):
            continue
        if mark != "hidden":
            line = text[:text.index(block)].count("\n") + 1
            yield f"at {line}\n"
        if mark.startswith("background "):
            yield f"in_background {mark.split()[1]} <<'END_OF_BLOCK_{number}'\n{block}END_OF_BLOCK_{number}\n"
        else:
            yield block


if sys.argv[1] == "--count":
    blocks, left = 0, []
    for name in sys.argv[2:]:
        with open(name, encoding="utf-8") as file:
            for mark, block in pieces(file.read()):
                blocks += mark != "hidden"
                if mark.startswith("not run"):
                    reason = mark.removeprefix("not run").lstrip(": ")
                    if not reason:
                        sys.exit(f"{name}: a block is not run, and no reason is given")
                    left.append(f"{name.split('/docs/')[-1]}: {reason}")
    print(f"{blocks} blocks, {len(left)} of them not run")
    for one in left:
        print(f"  {one}")
else:
    sys.stdout.write("".join(script(sys.argv[1])))
