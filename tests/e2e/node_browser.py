#!/usr/bin/env python3
"""A headless Chromium over WebDriver (https://www.w3.org/TR/webdriver2/), and requests by hand.

Reads a command a line, its words parted by U+001F; answers each with one line: "+" or "-", and its
text with newlines as U+001F. Commands: begin WIDTH HEIGHT [noscript] · end · open URL · title ·
text CSS · click CSS · wait CSS TEXT SECONDS · moves CSS SECONDS · run SCRIPT · shot FILE ·
code URL [HEADER: VALUE]... (the status of a request without a session; "Method" is one) ·
body URL [HEADER: VALUE]...
"""
import base64
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request


class Failed(Exception):
    pass


def ask(method, url, body=None):
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as e:
        raise Failed(json.load(e)["value"]["message"].split("\n")[0]) from e


class Browser:
    def __init__(self):
        self.driver = self.port = self.url = None

    def start(self):
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE,
                                       stderr=subprocess.DEVNULL, text=True)
        for line in self.driver.stdout:
            if "started successfully on port" in line:
                self.port = int(line.rsplit("port", 1)[1].strip(" .\n"))
                return
        raise Failed("chromedriver does not start")

    def begin(self, width, height, scripts=""):
        if not self.driver:
            self.start()
        options = {"args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                            "--disable-dev-shm-usage", f"--window-size={width},{height}",
                            "--user-data-dir=" + tempfile.mkdtemp(dir=os.environ["WORK"])]}
        if scripts == "noscript":
            options["prefs"] = {"profile.managed_default_content_settings.javascript": 2}
        base = f"http://127.0.0.1:{self.port}/session"
        value = ask("POST", base, {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}})
        self.url = f"{base}/{value['sessionId']}"

    def end(self):
        url, self.url = self.url, None
        if url:
            ask("DELETE", url)

    def stop(self):
        try:
            self.end()
        finally:
            if self.driver:
                self.driver.terminate()

    def open(self, url):
        ask("POST", self.url + "/url", {"url": url})

    def title(self):
        return ask("GET", self.url + "/title")

    def find(self, css):
        found = ask("POST", self.url + "/element", {"using": "css selector", "value": css})
        return f"{self.url}/element/{next(iter(found.values()))}"

    def text(self, css):
        return ask("GET", self.find(css) + "/text")

    def click(self, css):
        ask("POST", self.find(css) + "/click", {})

    def until(self, css, seconds, good):
        ends = time.monotonic() + float(seconds)
        while True:
            try:
                last = self.text(css)
                if good(last):
                    return
            except Failed as e:
                last = str(e)
            if time.monotonic() > ends:
                raise Failed(f"{css} says '{last}' after {seconds} s")
            time.sleep(0.1)

    def wait(self, css, words, seconds):
        self.until(css, seconds, lambda text: words in text)

    def moves(self, css, seconds):
        was = self.text(css)
        self.until(css, seconds, lambda text: text != was)

    def run(self, script):
        return str(ask("POST", self.url + "/execute/sync", {"script": script, "args": []}))

    def shot(self, path):
        with open(path, "wb") as f:
            f.write(base64.b64decode(ask("GET", self.url + "/screenshot")))

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
    browser = Browser()
    try:
        for line in sys.stdin:
            name, *words = line.rstrip("\n").split("\x1f")
            try:
                answer = "+" + (getattr(browser, name)(*words) or "")
            except Exception as e:  # whatever it is, the next command may work
                answer = "-" + str(e)
            print(answer.replace("\n", "\x1f"), flush=True)
    finally:
        browser.stop()


main()
