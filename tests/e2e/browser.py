"""A headless Chromium, driven over WebDriver (W3C) with nothing but Python's own library.

    from browser import Browser
    with Browser() as b:
        b.go("https://127.0.0.1:7390/")
        b.click("button")
        b.wait("document.title.includes('round')")

As a program: `browser.py --check` ends with 0 when a browser can be started, else 77 and why.
"""
import base64
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class NoBrowser(Exception):
    pass


class Browser:
    """Its profile, cookies and all, is gone with it. Certificates that no CA vouches for are taken."""

    def __init__(self, width=1100, height=900):
        binary = shutil.which("chromium") or shutil.which("google-chrome")
        driver = shutil.which("chromedriver")
        if not binary or not driver:
            raise NoBrowser("chromium and chromium-driver are not installed")
        self.folder = tempfile.mkdtemp(prefix="fedmoe-browser-")
        environment = dict(os.environ, HOME=self.folder, TMPDIR=self.folder)
        self.driver = subprocess.Popen([driver, "--port=0"], stdout=subprocess.PIPE,
                                       stderr=subprocess.DEVNULL, text=True, env=environment,
                                       start_new_session=True)
        self.session = None
        try:
            self.base = "http://127.0.0.1:%s" % self._port()
            self._begin(binary, width, height)
        except Exception:
            self.close()
            raise

    def _port(self):
        for line in self.driver.stdout:
            found = re.search(r"successfully on port (\d+)", line)
            if found:
                return found.group(1)
        raise NoBrowser("chromedriver ended at once")

    def _begin(self, binary, width, height):
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                     "--no-first-run", "--disable-background-networking", "--hide-scrollbars",
                     "--force-color-profile=srgb", "--user-data-dir=" + self.folder + "/profile",
                     "--window-size=%d,%d" % (width, height)]
        wanted = {"browserName": "chrome", "acceptInsecureCerts": True,
                  "goog:chromeOptions": {"binary": binary, "args": arguments},
                  "timeouts": {"pageLoad": 20000, "script": 20000}}
        answer = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}}, 60)
        self.session = answer["sessionId"]

    def _ask(self, method, path, body=None, seconds=40):
        if self.session:
            path = "/session/" + self.session + path
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, method=method,
                                         headers={"Content-Type": "application/json"})
        try:
            with DIRECT.open(request, timeout=seconds) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            value = json.load(error)["value"]
            raise RuntimeError("%s: %s" % (value["error"], value["message"].split("\n")[0])) from None

    # ---- what a person does ----

    def go(self, url):
        self._ask("POST", "/url", {"url": url})

    def reload(self):
        self._ask("POST", "/refresh", {})

    def element(self, css):
        return self._ask("POST", "/element", {"using": "css selector", "value": css})[ELEMENT]

    def click(self, css):
        self._ask("POST", "/element/" + self.element(css) + "/click", {})

    def type(self, css, text):
        self._ask("POST", "/element/" + self.element(css) + "/value", {"text": text})

    def text(self, css):
        """As it is shown; in one step, as a live page may change between two."""
        return self.js("return document.querySelector(arguments[0]).innerText", css)

    def title(self):
        return self._ask("GET", "/title")

    def url(self):
        return self._ask("GET", "/url")

    def source(self):
        return self._ask("GET", "/source")

    def has(self, css):
        return self.js("return document.querySelector(arguments[0]) !== null", css)

    # ---- what a test looks at ----

    def js(self, script, *arguments):
        return self._ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def cdp(self, command, **parameters):
        """A command of the Chrome DevTools Protocol."""
        return self._ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def wait(self, condition, seconds=15):
        """Until the JavaScript expression is true; its value."""
        end = time.monotonic() + seconds
        while True:
            value = self.js("return " + condition)
            if value:
                return value
            if time.monotonic() > end:
                raise AssertionError("not within %s s: %s" % (seconds, condition))
            time.sleep(0.05)

    def name(self, css):
        """The accessible name that a screen reader says."""
        return self._ask("GET", "/element/" + self.element(css) + "/computedlabel")

    def role(self, css):
        return self._ask("GET", "/element/" + self.element(css) + "/computedrole")

    def viewport(self, width, height, scale=1):
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height,
                 deviceScaleFactor=scale, mobile=False)

    def media(self, kind="", scheme="light"):
        """kind: "" or "print"; scheme: "light" or "dark"."""
        self.cdp("Emulation.setEmulatedMedia", media=kind,
                 features=[{"name": "prefers-color-scheme", "value": scheme}])

    def scripts(self, on):
        self.cdp("Emulation.setScriptExecutionDisabled", value=not on)

    def picture(self, path, whole=True):
        if whole:
            size = self.cdp("Page.getLayoutMetrics")["cssContentSize"]
            shot = self.cdp("Page.captureScreenshot", format="png", captureBeyondViewport=True,
                            clip=dict(x=0, y=0, width=size["width"], height=size["height"],
                                      scale=1))["data"]
        else:
            shot = self._ask("GET", "/screenshot")
        with open(path, "wb") as f:
            f.write(base64.b64decode(shot))

    # ---- what holds for every page of ours ----

    def too_wide(self):
        """Elements that stick out to the right; those within a part that scrolls do not count."""
        return self.js("""
            const wide = document.documentElement.clientWidth, found = [];
            for (const e of document.body.querySelectorAll('*')) {
                const box = e.getBoundingClientRect();
                let a = e.parentElement, scrolls = false;
                for (; a; a = a.parentElement)
                    if (/auto|scroll/.test(getComputedStyle(a).overflowX)) scrolls = true;
                if (!scrolls && box.width > 0 && box.right > wide + 1)
                    found.push(e.tagName + '#' + e.id + ' ' + Math.round(box.right));
            }
            if (document.documentElement.scrollWidth > wide) found.push('the page itself');
            return found""")

    def faint(self, least=4.5):
        """Texts whose contrast with their ground (WCAG 2.1, 1.4.3) is below."""
        return self.js("""
            const least = arguments[0];
            const parts = c => { const m = c.match(/[\\d.]+/g).map(Number);
                                 return m.length < 4 ? [...m, 1] : m; };
            const lin = v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
            const light = c => 0.2126 * lin(c[0]) + 0.7152 * lin(c[1]) + 0.0722 * lin(c[2]);
            const ground = e => { for (; e; e = e.parentElement) {
                const c = parts(getComputedStyle(e).backgroundColor); if (c[3] > 0) return c; }
                return [255, 255, 255, 1]; };
            const found = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
            for (let t; t = walk.nextNode();) {
                const e = t.parentElement;
                if (!t.data.trim() || /SCRIPT|STYLE/.test(e.tagName)) continue;
                if (!e.getClientRects().length) continue;
                const a = light(parts(getComputedStyle(e).color)), b = light(ground(e));
                const r = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
                if (r < least) found.push(t.data.trim().slice(0, 40) + ' ' + r.toFixed(2));
            }
            return found""", least)

    def unsound(self):
        """What a screen reader would stumble on: landmarks, headings, tables, pictures, controls."""
        return self.js("""
            const found = [], all = s => [...document.querySelectorAll(s)];
            if (!document.documentElement.lang) found.push('no language');
            if (!document.title) found.push('no title');
            if (all('main').length !== 1) found.push('main: ' + all('main').length);
            if (all('h1').length !== 1) found.push('h1: ' + all('h1').length);
            let level = 0;
            for (const h of all('h1,h2,h3,h4')) {
                if (+h.tagName[1] > level + 1) found.push('heading skips: ' + h.textContent);
                level = +h.tagName[1];
            }
            for (const t of all('table')) {
                if (!t.caption) found.push('table without caption');
                if (!t.querySelector('thead th[scope=col]')) found.push('table without headers');
                for (const r of t.tBodies[0] ? t.tBodies[0].rows : [])
                    if (!r.querySelector('th[scope=row]')) found.push('row without header');
            }
            for (const s of all('svg'))
                if (s.getAttribute('role') !== 'img' || !s.querySelector('title') ||
                    !s.querySelector('desc')) found.push('picture without words');
            for (const i of all('input:not([type=hidden]),select,textarea'))
                if (!i.labels.length && !i.getAttribute('aria-label')) found.push('field: ' + i.name);
            for (const b of all('button,a,summary'))
                if (!b.textContent.trim() && !b.getAttribute('aria-label')) found.push('nameless ' + b.tagName);
            const ids = all('[id]').map(e => e.id);
            for (const i of ids) if (ids.indexOf(i) !== ids.lastIndexOf(i)) found.push('twice: ' + i);
            for (const e of all('[aria-labelledby],[aria-describedby]'))
                for (const i of (e.getAttribute('aria-labelledby') || '').split(' '))
                    if (i && !document.getElementById(i)) found.push('no such id: ' + i);
            return found""")

    def weight(self):
        """Bytes of all that was fetched for the page, and how many things that were."""
        return self.js("""
            const e = [...performance.getEntriesByType('navigation'),
                       ...performance.getEntriesByType('resource').filter(
                           r => !r.name.includes('?after='))];
            return [e.reduce((n, r) => n + r.transferSize, 0), e.length]""")

    def first_paint(self):
        """Milliseconds from the start of the navigation; 0: nothing was painted."""
        return self.js("""
            const e = performance.getEntriesByName('first-contentful-paint');
            return e.length ? e[0].startTime : 0""")

    # ---- its end ----

    def close(self):
        if self.session:
            try:
                self._ask("DELETE", "", seconds=10)
            except (OSError, RuntimeError):
                pass
            self.session = None
        self.driver.terminate()
        try:
            self.driver.wait(5)
        except subprocess.TimeoutExpired:
            self.driver.kill()
            self.driver.wait()
        self.driver.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Checks:
    """Like check of lib.sh: says each, ends with 1 when one failed."""

    def __init__(self):
        self.passed = self.failed = 0

    def __call__(self, what, good, found=""):
        if good:
            self.passed += 1
            print("ok: " + what)
        else:
            self.failed += 1
            print("FAILED: %s %s" % (what, found), file=sys.stderr)

    def end(self):
        print("%d passed, %d failed" % (self.passed, self.failed))
        sys.exit(1 if self.failed else 0)


if __name__ == "__main__" and sys.argv[1:] == ["--check"]:
    try:
        with Browser() as browser:
            browser.go("about:blank")
    except (NoBrowser, RuntimeError) as why:
        print(why)
        sys.exit(77)
