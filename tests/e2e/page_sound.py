"""Whether everybody can read a saved page, and a picture in it has its name: page_sound.py FILE SELECTOR NAME"""
import sys

from browser import Browser

file, selector, name = sys.argv[1:]
failed = 0


def check(what, ok, seen=""):
    global failed
    if not ok:
        print(f"  {what}: {seen}", file=sys.stderr)
        failed += 1


with Browser() as b:
    b.go("file://" + file)
    check("the picture has its name", b.name(selector) == name, b.name(selector))
    check("and is one", b.role(selector) in ("img", "image"), b.role(selector))
    check("landmarks, headings, tables and pictures are sound", not b.unsound(), b.unsound())
    b.click("summary")
    for width in (1100, 320):
        b.viewport(width, 700)
        for scheme in ("light", "dark"):
            b.media("", scheme)
            check(f"contrast, {scheme}, {width} px", not b.faint(), b.faint())
        check(f"nothing sticks out at {width} px", not b.too_wide(), b.too_wide())
    b.media("print")
    check("print: black on white", not b.faint(7), b.faint(7))
sys.exit(failed > 0)
