#!/usr/bin/env python3
"""Static analysis: cppcheck, clang-tidy and gcc -fanalyzer over the programs' sources.

  run.py --build DIR [--only TOOL] [--since COMMIT] [--self-test] [FILE...]

DIR has compile_commands.json. Every finding is printed once, as file:line: tool check: text; those in
known.txt, which says why each is none, are not. Exit 1: a finding that is not known, or, when all files
were read by all tools, a known one that is not found any more. Standard library only.
"""
import argparse
import concurrent.futures
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TOOLS = ("cppcheck", "clang-tidy", "gcc")
LINE = re.compile(r"^(.*?):(\d+):(?:\d+:)? (?:warning|error): (.*) \[([^\]]+)\]$")
# gcc takes the lanes of a vector for the bits of a number.
GCC_OFF = ["-Wno-analyzer-shift-count-overflow", "-Wno-analyzer-too-complex"]


def commands(build, wanted):
    """(file, folder, arguments) of the programs' own sources."""
    out = {}
    for entry in json.load(open(os.path.join(build, "compile_commands.json"))):
        path = os.path.relpath(entry["file"], ROOT)
        if path.startswith(("tests" + os.sep, "build" + os.sep, "..")) or (wanted and path not in wanted):
            continue
        arguments = shlex.split(entry["command"])
        while not os.path.basename(arguments[0]).startswith(("cc", "gcc", "clang")) or "ccache" in os.path.basename(arguments[0]):
            arguments = arguments[1:]
        out[path] = (path, entry["directory"], arguments)
    return [out[path] for path in sorted(out)]


def said_by(command, folder=ROOT):
    done = subprocess.run(["nice", "-n", "10"] + command, cwd=folder, capture_output=True, text=True, errors="replace")
    return done.stdout + done.stderr


def by_gcc(one, build):
    path, folder, arguments = one
    at = arguments.index("-o")
    rest = [a for a in arguments[1:at] + arguments[at + 2:] if a != "-Werror"]
    return said_by(["gcc"] + rest + ["-o", os.devnull, "-fanalyzer", "-fdiagnostics-plain-output"] + GCC_OFF, folder)


def by_tidy(one, build):
    return said_by(["clang-tidy", "-p", build, "--quiet", os.path.join(ROOT, one[0])])


def by_cppcheck(one, build):
    path, folder, arguments = one
    flags = [a for a in arguments if a.startswith(("-D", "-I"))]
    return said_by(["cppcheck", "--quiet", "--std=c11", "--enable=warning,performance,portability",
                    "--suppress=preprocessorErrorDirective", "--template={file}:{line}: warning: {message} [{id}]",
                    os.path.join(ROOT, path)] + flags, folder)


RUN = {"gcc": by_gcc, "clang-tidy": by_tidy, "cppcheck": by_cppcheck}


def findings(tool, one, build):
    """(file, line, check, text), each once."""
    out = set()
    for line in RUN[tool](one, build).splitlines():
        found = LINE.match(line)
        if not found:
            continue
        path, number, text, check = found.groups()
        if not os.path.isabs(path):
            path = os.path.normpath(os.path.join(one[1], path))
        path = os.path.relpath(path, ROOT)
        if path.startswith(("build" + os.sep, "..")):
            continue
        out.add((path, int(number), check.split(",")[0], text))
    return out


def read_known(path):
    """(tool, file, check) -> why."""
    known = {}
    for number, line in enumerate(open(path), 1):
        text = line.split("#", 1)
        words = text[0].split()
        if not words:
            continue
        if len(words) != 3 or len(text) != 2 or not text[1].strip() or words[0] not in TOOLS:
            sys.exit("%s:%d: a line is TOOL FILE CHECK # REASON" % (path, number))
        known[tuple(words)] = text[1].strip()
    return known


def look(tools, files, build, known):
    """Prints what is new. Returns (how many, the known ones that were seen)."""
    seen, new = set(), set()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        jobs = {pool.submit(findings, tool, one, build): tool for tool in tools for one in files}
        for job in concurrent.futures.as_completed(jobs):
            tool = jobs[job]
            for path, line, check, text in job.result():
                if (tool, path, check) in known:
                    seen.add((tool, path, check))
                else:
                    new.add((path, line, tool, check, text))
    for path, line, tool, check, text in sorted(new):
        print("%s:%d: %s %s: %s" % (path, line, tool, check, text))
    return len(new), seen


BAD = """#include <stdlib.h>
int f(int n)
{
    int *p = malloc(sizeof *p), a[2] = { 0, 1 };
    if (n > 3)
        free(p);
    *p = a[n > 0 ? 2 : 0];
    free(p);
    return n / (n - n);
}
"""


def self_test():
    """Each tool must find what is wrong with BAD."""
    with tempfile.TemporaryDirectory(dir=HERE) as folder:
        path = os.path.join(folder, "bad.c")
        open(path, "w").write(BAD)
        entry = {"directory": folder, "file": path, "command": "cc -std=c17 -O1 -o bad.o -c " + path}
        json.dump([entry], open(os.path.join(folder, "compile_commands.json"), "w"))
        one = (os.path.relpath(path, ROOT), folder, shlex.split(entry["command"]))
        blind = [tool for tool in TOOLS if not findings(tool, one, folder)]
    for tool in blind:
        print("%s finds nothing in a file full of faults; is it installed?" % tool)
    return 1 if blind else 0


def changed_since(commit):
    said = subprocess.run(["git", "diff", "--name-only", commit, "--", "*.c", "*.h"], cwd=ROOT, capture_output=True, text=True)
    if said.returncode:
        sys.exit(said.stderr.strip())
    return set(said.stdout.split())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "release"))
    parser.add_argument("--only", choices=TOOLS)
    parser.add_argument("--since", metavar="COMMIT", help="only sources that changed since then")
    parser.add_argument("--self-test", action="store_true")
    parser.add_argument("files", nargs="*")
    options = parser.parse_args()
    if options.self_test:
        return self_test()
    wanted = set(options.files) | (changed_since(options.since) if options.since else set())
    if (options.since or options.files) and not wanted:
        return 0
    tools = [options.only] if options.only else list(TOOLS)
    known = read_known(os.path.join(HERE, "known.txt"))
    files = commands(os.path.abspath(options.build), wanted)
    count, seen = look(tools, files, os.path.abspath(options.build), known)
    stale = [] if wanted else [k for k in known if k[0] in tools and k not in seen]
    for tool, path, check in stale:
        print("tests/lint/known.txt: %s finds no %s in %s any more: take the line out" % (tool, check, path))
    print("%d files, %s: %d findings, %d known" % (len(files), ", ".join(tools), count, len(seen)), file=sys.stderr)
    return 1 if count or stale else 0


if __name__ == "__main__":
    sys.exit(main())
