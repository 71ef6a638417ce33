#!/usr/bin/env python3
"""browser.py for a shell, and requests by hand.

Reads a command a line, its words parted by U+001F; answers each with one line: "+" or "-", and its
text with newlines as U+001F. Commands: begin WIDTH HEIGHT [noscript] · end · go URL · title ·
text CSS · click CSS · says CSS TEXT SECONDS · moves CSS SECONDS · js SCRIPT · reads (what a phone,
a dark room, paper or a screen reader makes unreadable) · unnamed CSS · picture FILE · code URL [HEADER: VALUE]...
(the status of a request without a session; "Method" is one) · body URL [HEADER: VALUE]...
"""
import http.client
import sys
import time
import urllib.parse

from browser import Browser


class Shell:
    def __init__(self):
        self.b = None

    def begin(self, width, height, scripts=""):
        self.b = Browser(int(width), int(height))
        if scripts == "noscript":
            self.b.scripts(False)

    def end(self):
        b, self.b = self.b, None
        if b:
            b.close()

    def go(self, url):
        self.b.go(url)

    def title(self):
        return self.b.title()

    def text(self, css):
        return self.b.text(css)

    def click(self, css):
        self.b.click(css)

    def until(self, css, seconds, good):
        ends = time.monotonic() + float(seconds)
        while True:
            try:
                last = self.b.text(css)
                if good(last):
                    return
            except RuntimeError as e:
                last = str(e)
            if time.monotonic() > ends:
                raise AssertionError(f"{css} says '{last}' after {seconds} s")
            time.sleep(0.1)

    def says(self, css, words, seconds):
        self.until(css, seconds, lambda text: words in text)

    def moves(self, css, seconds):
        was = self.b.text(css)
        self.until(css, seconds, lambda text: text != was)

    def js(self, script):
        return str(self.b.js(script))

    def reads(self):
        found = []
        for kind, scheme, width in (("", "light", 1000), ("", "dark", 1000), ("", "light", 360),
                                    ("print", "light", 700)):
            self.b.viewport(width, 900)
            self.b.media(kind, scheme)
            found += [f"{kind or scheme} {width}: {x}" for x in self.b.too_wide() + self.b.faint()]
        self.b.media()
        self.b.viewport(1000, 900)
        found += self.b.unsound()
        return "\n".join(found)

    def unnamed(self, css):
        return "" if self.b.name(css) else css

    def picture(self, path):
        self.b.picture(path)

    @staticmethod
    def request(url, *headers):
        u = urllib.parse.urlsplit(url)
        given = dict(h.split(": ", 1) for h in headers)
        method = given.pop("Method", "GET")
        c = http.client.HTTPConnection(u.hostname, u.port, timeout=20)
        c.putrequest(method, u.path, skip_host="Host" in given)
        for name, value in given.items():
            c.putheader(name, value)
        if method == "POST":
            c.putheader("Content-Length", "0")
        c.endheaders()
        return c.getresponse()

    def code(self, url, *headers):
        return str(self.request(url, *headers).status)

    def body(self, url, *headers):
        return self.request(url, *headers).read().decode()


def main():
    shell = Shell()
    try:
        for line in sys.stdin:
            name, *words = line.rstrip("\n").split("\x1f")
            try:
                answer = "+" + (getattr(shell, name)(*words) or "")
            except Exception as e:  # whatever it is, the next command may work
                answer = "-" + str(e)
            print(answer.replace("\n", "\x1f"), flush=True)
    finally:
        shell.end()


main()
