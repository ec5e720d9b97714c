"""A person in front of report.html: look_at_report.py REPORT.html PICTURES [NEEDLE [TIMES]]

Opens the file in a headless Chromium by WebDriver, on a desk (1280 wide) and on a phone (360), in light and in dark, and
wants of each: no message of the console (an error of the script, something refused by the page's policy), no request for
anything but the file, nothing wider than the window. Then, as a keyboard does it: the list of removed paths is
searched, sorted, filtered and paged; a section is reached with Tab; the other way to draw the treemap is chosen.
NEEDLE is a text that the list must find, TIMES how often (at least once). Pictures go to the directory PICTURES.
Prints what it saw as JSON; ends with 1 and says what is wrong.
"""

import base64
import json
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

KEYS = {"tab": "\ue004", "enter": "\ue007", "right": "\ue014", "space": " "}


class Browser:
    """Just as much of WebDriver (w3.org/TR/webdriver2) as is needed here."""

    def __init__(self, home: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.driver = subprocess.Popen([shutil.which("chromedriver") or "chromedriver", f"--port={port}"],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.at = f"http://127.0.0.1:{port}"
        # --no-sandbox: Chromium refuses to run as root with it, and the page is ours.
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
                     f"--user-data-dir={home}", "--lang=en", "--force-device-scale-factor=1"]
        options = {"args": arguments, "binary": shutil.which("chromium") or "chromium"}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options,
                  "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
        for attempt in range(100):
            try:
                self.at += "/session/" + self.call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
                return
            except urllib.error.URLError as error:
                if isinstance(error, urllib.error.HTTPError) or attempt == 99:
                    raise
                time.sleep(0.2)

    def call(self, method: str, path: str, body: dict | None = None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.at + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{path}: {error.read().decode(errors='replace')[:600]}") from error

    def run(self, script: str, *arguments):
        return self.call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def devtools(self, command: str, **parameters):
        return self.call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def log(self, kind: str) -> list[dict]:
        return self.call("POST", "/se/log", {"type": kind})

    def type(self, text: str) -> None:
        """Into whatever has the focus."""
        keys = [{"type": kind, "value": key} for key in text for kind in ("keyDown", "keyUp")]
        self.call("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": keys}]})

    def picture(self, to: pathlib.Path) -> None:
        to.write_bytes(base64.b64decode(self.call("GET", "/screenshot")))

    def close(self) -> None:
        try:
            self.call("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait()


LIST = """
const box = [...document.querySelectorAll('.data')].find((box) => box.dataset.label === 'removed paths');
const rows = [...box.querySelectorAll('tbody tr')].map((row) => [...row.cells].map((cell) => cell.textContent));
const sorted = [...box.querySelectorAll('th')].map((head) => head.getAttribute('aria-sort'));
return { rows, sorted, said: box.querySelector('output')?.textContent ?? '' };
"""
FOCUS = """
const box = [...document.querySelectorAll('.data')].find((box) => box.dataset.label === 'removed paths');
const found = box.querySelectorAll(arguments[0])[arguments[1]];
found.focus(); if (found.select) found.select();
return document.activeElement === found;
"""


def look(browser: Browser, url: str, pictures: pathlib.Path, needle: str | None, times: int | None) -> tuple[dict, list[str]]:
    wrong: list[str] = []

    def want(right: bool, what: str) -> None:
        if not right:
            wrong.append(what)

    seen: dict = {}
    for place, width, height in (("desk", 1280, 900), ("phone", 360, 780)):
        for scheme in ("light", "dark"):
            name = f"{place}-{scheme}"
            browser.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                             mobile=place == "phone")
            browser.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            browser.call("POST", "/url", {"url": url})
            wide = browser.run("return [document.documentElement.scrollWidth, window.innerWidth]")
            want(wide[0] <= wide[1] == width, f"{name}: the page is {wide[0]} wide in a window of {wide[1]}")
            # Nothing is cut off inside of it either.
            cut = browser.run("return [...document.querySelectorAll('body *')].filter((e) => !e.closest('svg') && "
                              "e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.outerHTML.slice(0, 120))")
            want(not cut, f"{name}: beyond the edge: {cut[:3]}")
            want(browser.run("return document.querySelectorAll('svg.map rect.stay').length > 0"), f"{name}: no treemap")
            color = browser.run("return getComputedStyle(document.body).backgroundColor")
            light = sum(int(part) for part in color[color.index("(") + 1:-1].split(",")[:3]) > 384
            want(light == (scheme == "light"), f"{name}: the background is {color}")
            seen[name] = {"width": wide[0], "background": color}
            for number, anchor in enumerate(("", "map-0", "packages-0", "removed-0")):
                browser.run("document.getElementById(arguments[0])?.scrollIntoView(); if (!arguments[0]) scrollTo(0, 0)", anchor)
                browser.picture(pictures / f"{name}-{number}-{anchor or 'top'}.png")

    first = browser.run(LIST)
    total = len(first["rows"])
    want(total > 0, "no removed path is shown")
    if needle is not None:
        want(browser.run(FOCUS, "input[type=search]", 0), "the search field takes no focus")
        browser.type(needle)
        found = browser.run(LIST)
        seen["found"] = found["said"]
        want(found["rows"] and all(needle.lower() in "\n".join(row).lower() for row in found["rows"]), f"search: {found}"[:400])
        if times is not None:
            want(f" of {times} " in found["said"], f"search: {found['said']}, not {times}")
        browser.type(" no-such-path-anywhere")
        none = browser.run(LIST)
        want(not none["rows"] and none["said"].startswith("nothing found"), f"search for nothing: {none['said']}")
        browser.run("const e = document.activeElement; e.value = ''; e.dispatchEvent(new Event('input'))")
    # By size: largest first, then smallest.
    for way in ("descending", "ascending"):
        want(browser.run(FOCUS, "th button", 1), "the head of a column takes no focus")
        browser.type(KEYS["enter"])
        now = browser.run(LIST)
        want(now["sorted"][1] == way, f"aria-sort is {now['sorted']}, not {way}")
        seen[way] = now["rows"][0] if now["rows"] else None
    if browser.run("return document.querySelectorAll('.data[data-label=\"removed paths\"] .pages button:not([hidden])').length") == 4:
        before = browser.run(LIST)
        want(browser.run(FOCUS, ".pages button", 2), "the next page takes no focus")
        browser.type(KEYS["space"])
        after = browser.run(LIST)
        want(after["rows"][0] != before["rows"][0] and after["said"].startswith("51–"), f"the next page says {after['said']}")
        choices = browser.run("const list = document.querySelector('.data[data-label=\"removed paths\"] select'); if (!list) return null;"
                              "list.selectedIndex = 1; list.dispatchEvent(new Event('change')); return list.value")
        if choices is not None:
            now = browser.run(LIST)
            want(now["rows"] and all(row[2] == choices for row in now["rows"]), f"the filter {choices} shows others")
            seen["filter"] = [choices, now["said"]]
    # Tab goes from the first link of the navigation to the second, and Enter goes where it says.
    browser.run("document.querySelector('nav a').focus()")
    browser.type(KEYS["tab"] + KEYS["enter"])
    want(browser.run("return location.hash") == "#map-0", "Tab and Enter do not reach the second section")
    browser.run("document.getElementById('by-directory-0').focus()")
    browser.type(KEYS["right"])
    want(browser.run("return document.getElementById('by-package-0').checked && getComputedStyle("
                     "document.querySelectorAll('.maps')[1]).display === 'grid'"), "the arrow key does not change the treemap")
    browser.picture(pictures / "phone-dark-by-package.png")

    said = [f"{one['level']}: {one['message']}" for one in browser.log("browser")]
    want(not said, f"the console says {said[:5]}")
    asked = set()
    for one in browser.log("performance"):
        message = json.loads(one["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            asked.add(message["params"]["request"]["url"].split("#")[0])
    # Chromium's own pages, before ours was opened; data: URLs go nowhere.
    asked = {one for one in asked if not one.startswith(("chrome:", "chrome-", "data:"))}
    want(asked == {url}, f"it asks for {sorted(asked)[:5]}")
    # A hostile name that became markup would be here.
    strange = browser.run("return [...document.querySelectorAll('img,iframe,object,embed,base,form,[onerror],[onload],[style]')]"
                          ".map((e) => e.outerHTML.slice(0, 120))")
    want(not strange, f"markup that is not ours: {strange[:3]}")
    want(browser.run("return document.scripts.length") == browser.run(
        "return document.querySelectorAll('script[type=\"application/json\"]').length + 1"), "a script that is not ours")
    return seen, wrong


def main(arguments: list[str]) -> int:
    if not 2 <= len(arguments) <= 4:
        print(__doc__, file=sys.stderr)
        return 2
    report, pictures = pathlib.Path(arguments[0]).resolve(), pathlib.Path(arguments[1])
    pictures.mkdir(parents=True, exist_ok=True)
    needle = arguments[2] if len(arguments) > 2 else None
    times = int(arguments[3]) if len(arguments) > 3 else None
    with tempfile.TemporaryDirectory() as home:
        browser = Browser(home)
        try:
            seen, wrong = look(browser, report.as_uri(), pictures, needle, times)
        finally:
            browser.close()
    print(json.dumps(seen, ensure_ascii=False, indent=1))
    for one in wrong:
        print(one, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
