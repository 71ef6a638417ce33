"""First paint and weight of the status page that the link in FILE opens; and the first paint of a page
of two lines from the same server, which is what browser and machine take for themselves."""
import statistics
import sys

from browser import Browser

LINK = open(sys.argv[1]).read().strip()


def look(b, url):
    b.go("about:blank")
    b.go(url)
    return (b.wait("(performance.getEntriesByName('first-contentful-paint')[0] || {}).startTime"),
            b.js("return performance.getEntriesByType('navigation')[0].responseEnd"))


def work(b):
    """Processor milliseconds of the page's main thread so far."""
    return 1000 * {m["name"]: m["value"] for m in b.cdp("Performance.getMetrics")["metrics"]}["TaskDuration"]


def say(what, values):
    print("%-28s %7.1f ms (%.1f to %.1f)" % (what, statistics.median(values), min(values), max(values)))


with Browser() as b:
    b.go(LINK)
    b.click("button")
    b.wait("document.getElementById('state')")
    page = b.url()
    b.cdp("Performance.enable", timeDomain="threadTicks")
    painted, answered, least, worked = [], [], [], []
    for i in range(16):
        least.append(look(b, LINK)[0])
        before = work(b)
        one = look(b, page)
        worked.append(work(b) - before)
        painted.append(one[0])
        answered.append(one[1])
    weight, parts = b.weight()
    say("first paint", painted[1:])
    say("  of a page of two lines", least[1:])
    say("  the answer is here after", answered[1:])
    say("  the page's own work", worked[1:])
    print("weight %d bytes in %d answer" % (weight, parts))
