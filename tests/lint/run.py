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
# cppcheck does not read the system's headers, and generated ones ask theirs for a version.
PROTOBUF = ["-DPROTOBUF_C_VERSION_NUMBER=1004001", "-DPROTOBUF_C_MIN_COMPILER_VERSION=1000000"]
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


def said_by(command, path, folder=ROOT):
    """What the tool says; that it could not read the file is a finding, too."""
    done = subprocess.run(["nice", "-n", "10"] + command, cwd=folder, capture_output=True, text=True, errors="replace")
    text = done.stdout + done.stderr
    if done.returncode:
        why = [line for line in text.splitlines() if "error" in line] or [text[-200:]]
        text += "\n%s:1: warning: not read: %s [exit-%d]" % (os.path.join(ROOT, path), why[0], done.returncode)
    return text


def by_gcc(one, build):
    path, folder, arguments = one
    at = arguments.index("-o")
    rest = [a for a in arguments[1:at] + arguments[at + 2:] if a != "-Werror"]
    return said_by(["gcc"] + rest + ["-o", os.devnull, "-fanalyzer", "-fdiagnostics-plain-output"] + GCC_OFF,
                   path, folder)


def by_tidy(one, build):
    return said_by(["clang-tidy", "-p", build, "--quiet", "--header-filter=" + re.escape(ROOT) + "/[a-z]+/(link/)?(src|include)/",
                    os.path.join(ROOT, one[0])], one[0])


def by_cppcheck(one, build):
    path, folder, arguments = one
    flags = [a for a in arguments if a.startswith(("-D", "-I"))]
    return said_by(["cppcheck", "--quiet", "--std=c11", "--enable=warning,performance,portability",
                    "--template={file}:{line}: warning: {message} [{id}]", os.path.join(ROOT, path)]
                   + flags + PROTOBUF, path, folder)


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
    """(tool, file, check) -> how many there are."""
    known = {}
    for number, line in enumerate(open(path), 1):
        text = line.split("#", 1)
        words = text[0].split()
        if not words:
            continue
        if len(words) != 4 or len(text) != 2 or not text[1].strip() or words[0] not in TOOLS or not words[3].isdigit():
            sys.exit("%s:%d: a line is TOOL FILE CHECK LINES # REASON" % (path, number))
        known[tuple(words[:3])] = int(words[3])
    return known


def look(tools, files, build, known):
    """Prints what is new. Returns (how many, the known ones that were seen). Of a known one as many lines
    are known as its entry says: of more, all are printed."""
    found = {}
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        jobs = {pool.submit(findings, tool, one, build): tool for tool in tools for one in files}
        for job in concurrent.futures.as_completed(jobs):
            for path, line, check, text in job.result():
                found.setdefault((jobs[job], path, check), {})[line] = text
    new = 0
    for (tool, path, check), lines in sorted(found.items(), key=lambda f: (f[0][1], f[0][0], f[0][2])):
        if len(lines) <= known.get((tool, path, check), 0):
            continue
        new += len(lines)
        for line in sorted(lines):
            print("%s:%d: %s %s: %s" % (path, line, tool, check, lines[line]))
    return new, set(found)


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
    """Each tool must find what is wrong with BAD, and say so of a file that it cannot read."""
    with tempfile.TemporaryDirectory(dir=HERE) as folder:
        path = os.path.join(folder, "bad.c")
        open(path, "w").write(BAD)
        entry = {"directory": folder, "file": path, "command": "cc -std=c17 -O1 -o bad.o -c " + path}
        json.dump([entry], open(os.path.join(folder, "compile_commands.json"), "w"))
        one = (os.path.relpath(path, ROOT), folder, shlex.split(entry["command"]))
        blind = [tool for tool in TOOLS if not findings(tool, one, folder)]
        open(path, "a").write('#include "nowhere.h"\n')
        blind += ["gcc"] if not any(f[2].startswith("exit") for f in findings("gcc", one, folder)) else []
    for tool in blind:
        print("%s finds nothing in a file full of faults; is it installed?" % tool)
    return 1 if blind else 0


def git(*arguments):
    said = subprocess.run(["git"] + list(arguments), cwd=ROOT, capture_output=True, text=True)
    if said.returncode:
        sys.exit(said.stderr.strip())
    return set(said.stdout.split())


def changed_since(commit, build):
    """Sources that changed, are new, or include a header of which this is so."""
    changed = git("diff", "--name-only", commit, "--", "*.c", "*.h") | git(
        "ls-files", "--others", "--exclude-standard", "--", "*.c", "*.h")
    headers = {path for path in changed if path.endswith(".h")}
    if not headers:
        return changed
    for path, folder, arguments in commands(build, None):
        at = arguments.index("-o")
        rest = arguments[1:at] + arguments[at + 2:]
        rest = [a for i, a in enumerate(rest) if a not in ("-MD", "-MT", "-MF") and (i == 0 or rest[i - 1] not in ("-MT", "-MF"))]
        needs = subprocess.run(["gcc", "-MM"] + rest, cwd=folder, capture_output=True, text=True).stdout.split()
        if headers & {os.path.relpath(os.path.join(folder, need), ROOT) for need in needs}:
            changed.add(path)
    return changed


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
    wanted = set(options.files) | (
        changed_since(options.since, os.path.abspath(options.build)) if options.since else set())
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
