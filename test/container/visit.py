"""In the container of the example: visits its pages at the address given, by the browser of its own tests."""

import sys
import time
import urllib.error

sys.path.insert(0, "/app/example")
from browse import SECRET, Browser, certificate_request  # noqa: E402

browser = Browser(sys.argv[1])
for _ in range(900):
    try:
        browser.load("")
        break
    except urllib.error.URLError:
        time.sleep(0.2)

page = browser.submit(browser.load("devices/new/"), name="router 1", serial_number="1", secret=SECRET)
assert SECRET in page.text, page.text
form = next(number for number, form in enumerate(page.forms) if "request" in form["fields"])
page = browser.submit(page, form, request=certificate_request("router 1")[1])
assert "signed with the CA" in page.text, page.text
page = browser.submit(browser.load("find/"), secret=SECRET)
assert "router 1" in page.text, page.text
