"""--help of every program and command, found in their own listings: it fits a screen of 24 lines of
80 columns, shows an example, and says where the rest is when it leaves something out.
usage: help.py FOLDER-OF-PROGRAMS"""
import concurrent.futures
import pathlib
import re
import subprocess
import sys

problems = []
pages = 0


def said(words, option):
    return subprocess.run(words + [option], check=True, capture_output=True, text=True).stdout


def must(what, name, text):
    if not what:
        problems.append(f"{name} {text}")


def look(words, group=False):
    """Of one page: its size and its example. Returns it, and all of it."""
    global pages
    pages += 1
    name = " ".join([pathlib.Path(words[0]).name] + words[1:])
    page = said(words, "--help")
    all_of_it = said(words, "--help=all") if "--help=all" in page else page
    lines = page.splitlines()
    must(len(lines) <= 24, name, f"--help has {len(lines)} lines")
    for line in lines:
        must(len(line) <= 80, name, f"--help has a line of {len(line)} columns: {line}")
    must("\nExamples:\n  " in page, name, "--help shows no example")
    return name, page, all_of_it


def options_of(page):
    return set(re.findall(r"^ +(--[a-z0-9-]+)(?= |$)", page.split("\nExamples:")[0], re.M))


def commands_of(page):
    listed = page.split("Commands:\n")[1].split("\n\n")[0]
    return re.findall(r"^  ([a-z][a-z-]*(?: [a-z][a-z-]*)?)  ", listed, re.M)


def look_at_command(words):
    name, page, all_of_it = look(words)
    options = set(said(words, "--options").split())
    must(options <= options_of(all_of_it), name,
         f"--help=all lacks {options - options_of(all_of_it)}")
    must(options <= options_of(page) or "--help=all" in page, name,
         "--help leaves out options without a word")


def look_at_program(path):
    name, page, all_of_it = look([path])
    if "Commands:\n" not in page:
        look_at_command([path])
        return
    commands = commands_of(all_of_it)
    must(commands, name, "lists no commands")
    must(commands_of(page) == commands or "--help=all" in page, name,
         "--help leaves out commands without a word")
    groups = {c.split()[0] for c in commands if " " in c} - set(commands)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        done = [pool.submit(look_at_command, [path] + c.split()) for c in commands]
        done += [pool.submit(look, [path, g], True) for g in groups]
        for one in done:
            one.result()


programs = [str(p) for p in sorted(pathlib.Path(sys.argv[1]).glob("fedmoe-*"))]
must(len(programs) >= 6, "there", "are six programs")
for program in programs:
    look_at_program(program)
for problem in problems:
    print(problem, file=sys.stderr)
print(f"{pages} pages of {len(programs)} programs")
sys.exit(1 if problems else 0)
