"""Every `fedmoe-PROGRAM command --option` that a page names, in a block or a code span, exists.
usage: options.py FOLDER-OF-PROGRAMS PAGES"""
import functools
import pathlib
import re
import shlex
import subprocess
import sys

BIN = pathlib.Path(sys.argv[1])
BLOCK = re.compile(r"^```(?:sh|console)?\n(.*?)^```$", re.M | re.S)
SPAN = re.compile(r"`([^`\n]+)`")
END = {"|", "||", "&&", "&", ";", "|&", ">", ">>", "<", "2>", ")", "("}


def said(*words):
    done = subprocess.run([str(BIN / words[0]), *words[1:]], capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else ""


@functools.cache
def commands(program):
    text = said(program, "--help=all").split("\nOptions:")[0]
    return set(re.findall(r"^  ([a-z][a-z-]*(?: [a-z][a-z-]*)?)  ", text, re.M))


@functools.cache
def options(*words):
    return set(said(*words, "--options").split()) | {"--help=all"}


def uses(text):
    """The commands of a text, each as words."""
    for line in text.replace("\\\n", " ").splitlines():
        line = re.sub(r"^\s*(\$|sudo( -u \S+)?)\s+", "", line)
        try:
            lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>()")
            lexer.whitespace_split = True
            words = list(lexer)
        except ValueError:
            continue  # a quotation over several lines
        while words:
            end = next((i for i, w in enumerate(words) if w in END), len(words))
            for i, word in enumerate(words[:end]):
                if re.fullmatch(r"(\S*/)?fedmoe-(node|aggregator|model|certs|dp|demo)", word):
                    yield [word.split("/")[-1]] + words[i + 1:end]
                    break
            words = words[end + 1:]


def problems(words):
    program, rest = words[0], words[1:]
    known = commands(program)
    named = []
    for count in (2, 1):
        if known and " ".join(rest[:count]) in known:
            named = rest[:count]
            break
    groups = {c.split()[0] for c in known if " " in c}
    if known and not named:
        word = rest[0] if rest else ""
        second = rest[1] if word in groups and len(rest) > 1 else ""
        if re.fullmatch(r"[a-z]+", second or word) and (second or word not in groups):
            yield f"`{program} {word} {second}`: there is no such command"
        return
    for word in rest[len(named):]:
        option = word.split("=")[0]
        if re.fullmatch(r"--[a-z][a-z-]+", option) and option not in options(program, *named) \
                and word not in options(program, *named):
            yield f"`{' '.join([program, *named])} {option}`: there is no such option"


found, looked = [], 0
for name in sys.argv[2:]:
    text = pathlib.Path(name).read_text(encoding="utf-8")
    parts = [b for b in BLOCK.findall(text)] + SPAN.findall(BLOCK.sub("", text))
    for part in parts:
        for words in uses(part):
            looked += 1
            found += [f"{name}: {p}" for p in problems(words)]
for problem in dict.fromkeys(found):
    print(problem, file=sys.stderr)
print(f"{looked} commands")
sys.exit(1 if found else 0)
