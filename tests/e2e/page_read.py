"""What a one-time link's page shows, as HTML: page_read.py LINK (http://)"""
import http.cookiejar
import sys
import urllib.request

link = sys.argv[1]
opener = urllib.request.build_opener(
    urllib.request.ProxyHandler({}),
    urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
press = urllib.request.Request(link, b"", {"Origin": link.split("/link/")[0]})
print(opener.open(press, timeout=10).read().decode())
