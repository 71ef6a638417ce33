"""What status_page.sh looks at: BIN SOURCE RUN; the aggregator runs already, with a page."""
import json
import re
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request

from browser import Browser, Checks

BIN, SOURCE, RUN = sys.argv[1:4]
NODES = ["northgate", "lakeside", "hillcrest", "riverside"]
PAGE = json.load(open(RUN + "/aggregator/status.json"))["page"]
check = Checks()
nodes = {}
tokens = open(RUN + "/tokens", "w")


def aggregator(*arguments):
    done = subprocess.run([BIN + "/fedmoe-aggregator", *arguments, "--directory", RUN + "/aggregator"],
                          capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


def link(*more):
    url = aggregator("status", "--link", *more)
    tokens.write(url.split("/link/")[1] + "\n")
    tokens.flush()
    return url


def start(name):
    log = open("%s/%s/log" % (RUN, name), "a")
    nodes[name] = subprocess.Popen(["nice", "-n", "19", BIN + "/fedmoe-node", "start", "--config",
                                    "%s/%s/node.yaml" % (RUN, name)], stdout=log, stderr=log)


def ask(path, identity=None, token=None):
    """Code and text, over TLS, with an identity's certificate or a bearer token."""
    tls = ssl.create_default_context()
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    if identity:
        tls.load_cert_chain(identity + "/identity.crt", identity + "/identity.key")
    request = urllib.request.Request(PAGE + path.lstrip("/"))
    if token:
        request.add_header("Authorization", "Bearer " + token)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}),
                                         urllib.request.HTTPSHandler(context=tls))
    try:
        with opener.open(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def finished(b):
    return int(re.search(r"(\d+) of", b.text("#sums")).group(1))


def in_the_browser(b):
    first = link()
    b.go(PAGE)
    check("a stranger is told how to get in, and nothing else",
          "status --link" in b.source() and "heart" not in b.source())
    b.go(first)
    check("a link's page has one button with a name", b.name("button") == "Open", b.name("button"))
    check("the link's page is sound", not b.unsound() and not b.faint(), b.unsound() + b.faint())
    b.click("button")
    b.wait("document.getElementById('state')")
    check("it opens the page", b.url() == PAGE and "heart-demo" in b.title(), b.url())
    check("nobody is there yet", "Waiting for nodes" in b.text("#state"), b.text("#state"))
    b.js("window.same = 'yes'")
    for name in NODES:
        start(name)
    b.wait("/Training.* [1-9]\\d* of 4000/.test(document.getElementById('state').textContent)", 30)
    before = finished(b)
    b.wait("parseInt(document.querySelector('#sums dd').textContent) > %d" % before)
    check("rounds appear without reloading", b.js("return window.same") == "yes")
    check("and in the title", re.match(r"heart-demo: [1-9]\d* of 4000", b.title()), b.title())
    check("a screen reader is told", b.role("#heard") == "status" and
          b.wait("document.getElementById('heard').textContent.includes('rounds finished')", 20))
    check("every node stands in the table by name",
          sorted(b.js("return [...document.querySelectorAll('#nodes tbody th')].map(e => e.textContent)"))
          == sorted(NODES))
    b.wait("/at most 0\\.\\d/.test(document.getElementById('privacy').textContent)")
    check("the page says what epsilon it knows and what it does not",
          "own ledger" in b.source() and "\u03b5 1" in b.text("#privacy"))
    check("the transcript's head is there", re.fullmatch("[0-9a-f]{64}", b.text("#head")))


def who_is_slow(b):
    """One node stands still: the others have answered, and it is marked until it goes on."""
    nodes["lakeside"].send_signal(signal.SIGSTOP)
    row = "[...document.querySelectorAll('#nodes tbody tr')].find(e => e.textContent.startsWith('lakeside')).textContent"
    slow = b.wait(row + ".includes('slow: half of the others have answered')", 20)
    check("who keeps the others waiting is marked as slow", slow)
    check("and nobody else", b.wait("document.getElementById('nodes').textContent.split('slow:').length == 2"))
    nodes["lakeside"].send_signal(signal.SIGCONT)
    check("until it goes on", b.wait("!" + row + ".includes('slow')", 30))


def for_everybody(b):
    check("landmarks, headings, tables, pictures and controls are sound", not b.unsound(), b.unsound())
    check("the picture of rounds has a name", b.name("#fig-seconds svg") == "Time of each round" and
          b.role("#fig-seconds svg") in ("img", "image"), b.role("#fig-seconds svg"))
    check("the progress bar has a name", b.name("progress") == "Finished rounds", b.name("progress"))
    b.click("summary")
    check("the pictures have a table", b.js("return document.querySelectorAll('#round-table tbody tr').length") > 1)
    for width in (1100, 320):
        b.viewport(width, 700)
        for scheme in ("light", "dark"):
            b.media("", scheme)
            check("contrast, %s, %d px" % (scheme, width), not b.faint(), b.faint())
        check("nothing sticks out at %d px" % width, not b.too_wide(), b.too_wide())
    b.media("print")
    check("print: black on white, no buttons", not b.faint(7) and b.js(
        "return getComputedStyle(document.querySelector('footer form')).display") == "none", b.faint(7))
    b.media()
    b.viewport(1100, 900)
    b.reload()
    b.type("body", "\ue004")
    check("the first tab leads to the link to the content, which is seen then", b.js(
        "return document.activeElement.className") == "skip" and
          b.js("return document.querySelector('.skip').getBoundingClientRect().left") >= 0)
    check("and what has the focus has a ring",
          b.js("return getComputedStyle(document.activeElement).outlineStyle") != "none")
    weight, parts = b.weight()
    check("one answer, below 40 KB (%d)" % weight, 0 < weight < 40000 and parts == 1, parts)
    check("nothing comes from elsewhere",
          not re.search(r"(src|href)=[\"']?(https?:)?//", b.source()))
    b.scripts(False)
    b.reload()
    check("without scripts the page is as it was at that moment", finished(b) > 0)
    b.scripts(True)
    b.reload()


def a_link_is_spent_once(b):
    b.cdp("Network.clearBrowserCookies")
    url = link()
    b.go(url)
    b.click("button")
    b.wait("document.getElementById('state')")
    b.click("footer button")
    b.wait("document.body.textContent.includes('status --link')")
    check("who leaves is a stranger", not b.has("#state"))
    b.go(url)
    check("a second use of a link opens nothing", "opens nothing" in b.source() and not b.has("button"))


def as_a_member(b):
    b.go(link("--member", "northgate"))
    b.click("button")
    b.wait("document.getElementById('state')")
    text = b.source()
    check("a member sees its own node by name", "northgate" in b.text("#nodes"), b.text("#nodes"))
    check("and no other", not any(n in text for n in NODES[1:]))
    check("and not what is the coordinator's", not b.has("#lately") and "/metrics" not in text)
    check("a member's page is sound", not b.unsound() and not b.faint(), b.unsound() + b.faint())
    shown = b.text("#sums dd")
    b.wait("document.querySelector('#sums dd').textContent != %s" % json.dumps(shown))
    check("a member's page is live, too", True)
    b.go(PAGE + "metrics")
    check("and has no metrics", "There is no such page" in b.source())


def by_certificate(member):
    own = RUN + "/%s/identity"
    code, text = ask("/", own % "northgate")
    check("a member's certificate opens a member's page", code == 200 and "northgate" in text and
          "lakeside" not in text and "a member may see" in text, code)
    check("but no metrics", ask("/metrics", own % "northgate")[0] == 404)
    check("the aggregator's opens metrics", ask("/metrics", RUN + "/aggregator-identity")[0] == 200)
    check("without one there is nothing", ask("/metrics")[0] == 404 and "heart" not in ask("/")[1])
    check("riverside's is good", "riverside" in ask("/", own % "riverside")[1])
    issue = subprocess.run([BIN + "/fedmoe-certs", "issue", "--ca", RUN + "/ca", "--role", "node", "--name", "elsewhere",
                            "--output", RUN + "/elsewhere"], capture_output=True, text=True)
    check("another certificate of the CA", issue.returncode == 0, issue.stderr)
    check("is a stranger's: it is no member of this run",
          "a member may see" not in ask("/", RUN + "/elsewhere")[1] and "heart" not in ask("/", RUN + "/elsewhere")[1])
    member.go(link("--member", "riverside"))
    member.click("button")
    member.wait("document.getElementById('state')")
    aggregator("revoke", "riverside", "--ca", RUN + "/ca")
    end = time.monotonic() + 10
    while "riverside" in ask("/", own % "riverside")[1] and time.monotonic() < end:
        time.sleep(0.1)
    check("revoked, it is a stranger's", "riverside" not in ask("/", own % "riverside")[1])
    member.go(PAGE)
    check("and so is a session of its", not member.has("#state"))


def after_a_revocation(b):
    b.wait("/riverside.*(revoked|away)/s.test(document.getElementById('nodes').textContent)")
    check("the page says that it is away, and why, without reloading", b.has("#nodes .bad"))


def names_in(text):
    return set(re.findall(r"fedmoe_aggregator_[a-z_]+", text))


def of_metrics():
    file = RUN + "/scrape.token"
    aggregator("status", "--scraper", file)
    token = open(file).read()
    tokens.write(token + "\n")
    tokens.flush()
    code, text = ask("/metrics", token=token)
    check("a scraper's token opens metrics", code == 200)
    check("and nothing else", ask("/", token=token)[0] == 404)
    check("a wrong one opens nothing", ask("/metrics", token="A" * 43)[0] == 404)
    exported = set(re.findall(r"^# TYPE (\S+)", text, re.M))
    samples = [l for l in text.splitlines() if l and not l.startswith("#")]
    check("every line is one of the format",
          all(re.fullmatch(r"[a-z_]+(\{[a-z]+=\"[^\"\\]*\"(,[a-z]+=\"[^\"\\]*\")*\})? ([-+.e0-9]+|NaN)", l)
              for l in samples), samples[:3])
    documented = set(re.findall(r"^\| `(fedmoe_aggregator_[a-z_]+)", open(SOURCE + "/docs/metrics.md").read(), re.M))
    check("docs/metrics.md has each, and no other", documented == exported, documented ^ exported)
    parts = exported | {n + s for n in exported for s in ("_sum", "_count")}
    used = names_in(open(SOURCE + "/packaging/grafana/fedmoe-aggregator.json").read())
    check("the dashboard uses what there is", used and used <= parts, used - parts)
    aggregator("status", "--scraper", file)
    check("a new token ends the one before", ask("/metrics", token=token)[0] == 404)


try:
    with Browser() as browser:
        in_the_browser(browser)
        who_is_slow(browser)
        for_everybody(browser)
        a_link_is_spent_once(browser)
        as_a_member(browser)
        by_certificate(browser)
        browser.cdp("Network.clearBrowserCookies")
        browser.go(link())
        browser.click("button")
        after_a_revocation(browser)
        of_metrics()
finally:
    for process in nodes.values():
        process.kill()
        process.wait()
check.end()
