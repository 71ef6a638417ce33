"""First paint and weight of the status page that the link in FILE opens."""
import statistics
import sys

from browser import Browser

with Browser() as b:
    b.go(open(sys.argv[1]).read().strip())
    b.click("button")
    b.wait("document.getElementById('state')")
    page = b.url()
    painted, answered = [], []
    for _ in range(16):
        b.go("about:blank")
        b.go(page)
        painted.append(b.wait("(performance.getEntriesByName('first-contentful-paint')[0] || {}).startTime"))
        answered.append(b.js("return performance.getEntriesByType('navigation')[0].responseEnd"))
    weight, parts = b.weight()
    painted, answered = painted[1:], answered[1:]
    print("first paint %.1f ms (%.1f to %.1f), of it the answer %.1f ms; %d bytes in %d answer(s)" % (
        statistics.median(painted), min(painted), max(painted), statistics.median(answered), weight, parts))
