"""The page without a mouse, in a real browser with real keys: every number that pointing shows is reached, and what has focus is seen."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from optkit.gate import Limits
from optkit.report import Report
from optkit.reports.html import render

FullReport = Callable[..., Report]
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
CODES = {"Tab": 9, "End": 35, "Home": 36, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Escape": 27}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="needs Chromium: apt install chromium-headless-shell"),
]

FOCUSED = """(() => {
  const mark = document.activeElement, tip = document.querySelector(".tip"), box = mark.getBoundingClientRect();
  return {
    says: mark.dataset.says ?? null,
    label: mark.getAttribute("aria-label"),
    role: mark.getAttribute("role"),
    seen: getComputedStyle(mark).outlineStyle === "solid" && box.top > -1 && box.bottom < innerHeight + 1,
    tip: tip.classList.contains("shown") ? tip.firstChild.textContent : null,
    aside: tip.getBoundingClientRect().right <= document.documentElement.clientWidth,
    name: mark.closest("section")?.id ?? null,
    end: mark === document.body,
  };
})()"""
DRAWN = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(0))))"
ALL = """[...document.querySelectorAll("[data-says]")].filter((each) => each.getClientRects().length).map((each) => each.dataset.says)"""


class Page:
    """A page in Chromium, driven through its debugging pipe: messages are JSON that end in a zero byte."""

    def __init__(self, to: int, back: int) -> None:
        self.to, self.back, self.number, self.rest, self.session = to, back, 0, b"", None

    def open(self, address: str, width: int = 1000) -> None:
        target = self.ask("Target.createTarget", url=address)["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)
        self.ask("Emulation.setFocusEmulationEnabled", enabled=True)
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])  # scrolls at once
        self.ask("Page.bringToFront")
        while self.run("document.readyState") != "complete" or self.run("location.href") != address or not self.run("document.hasFocus()"):
            time.sleep(0.02)

    def ask(self, method: str, **parameters: object) -> Any:
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters, **({"sessionId": self.session} if self.session else {})}
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self.rest:
                self.rest += os.read(self.back, 1 << 20)
            first, self.rest = self.rest.split(b"\0", 1)
            answer = json.loads(first)
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]

    def run(self, script: str) -> Any:
        found = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def press(self, key: str) -> dict[str, Any]:
        """What has focus then."""
        for kind in ("rawKeyDown", "keyUp"):
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=CODES[key])
        self.run(DRAWN)  # what has focus is scrolled to when the page is drawn next
        found: dict[str, Any] = self.run(FOCUSED)
        return found


@contextmanager
def chromium(folder: Path) -> Iterator[Page]:
    (read, to), (back, write) = os.pipe(), os.pipe()
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage", "--remote-debugging-pipe")
    told = " ".join(f"'{each}'" for each in (str(BROWSER), *options, f"--user-data-dir={folder / 'profile'}"))
    done = subprocess.Popen(  # it reads messages from descriptor 3 and answers on 4
        ["/bin/bash", "-c", f"exec {told} 3<&{read} 4>&{write}"],
        pass_fds=(read, write),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "HOME": str(folder)},
    )
    os.close(read)
    os.close(write)
    page = Page(to, back)
    try:
        yield page
        page.session = None
        page.ask("Browser.close")
    finally:
        os.close(to)
        os.close(back)
        done.kill()
        done.wait()


@pytest.fixture(scope="module")
def page(full_report: FullReport, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("keyboard")
    (folder / "report.html").write_text(render(full_report(2, limits=Limits(max_drop=0.01))), encoding="utf-8")
    with chromium(folder) as opened:
        opened.open((folder / "report.html").as_uri())
        yield opened


def test_tab_and_arrow_keys_reach_every_number_that_pointing_shows(page: Page) -> None:
    page.run("document.querySelectorAll('details').forEach((each) => (each.open = true)); document.querySelector('.skip').focus()")
    wanted, reached, stops = page.run(ALL), [], 0
    found = page.press("Tab")
    while not found["end"] and stops < 200:
        stops += 1
        last = None
        while found["says"] is not None and found["says"] != last:
            assert found["seen"], found
            assert found["tip"] == found["says"]
            assert found["aside"]
            reached.append(last := found["says"])
            found = page.press("ArrowRight")
        found = page.press("Tab")
    assert sorted(reached) == sorted(wanted)
    assert len(wanted) > 60
    assert stops < 60  # a picture is one stop, not as many as it has marks


def test_screen_readers_are_told_the_same(page: Page) -> None:
    told = page.run("""[...document.querySelectorAll("svg[data-says], svg [data-says]")].map((each) =>
      [each.dataset.says, each.getAttribute("aria-label"), each.getAttribute("role"), each.parentNode.closest("[role=img]") !== null])""")
    assert len(told) > 40
    assert all(says == label and role == "img" and not within_a_picture for says, label, role, within_a_picture in told)
    bars = page.run("""[...document.querySelectorAll("li[data-says]")].map((each) => each.getAttribute("aria-describedby"))""")
    assert set(bars) == {"optkit-tip"}
    assert page.run("""document.querySelector("#optkit-tip").getAttribute("role")""") == "tooltip"


def test_up_and_down_go_from_model_to_model(page: Page) -> None:
    page.run("""[...document.querySelectorAll("#latency svg")].filter((each) => each.getClientRects().length)[1]
      .querySelector("[data-says]").focus({ focusVisible: true })""")
    assert page.press("ArrowRight")["says"].startswith("model.onnx, round 2: ")
    assert page.press("ArrowDown")["says"].startswith("model.variant1.onnx, round 2: ")
    assert page.press("End")["says"].startswith("model.variant2.onnx, round 12: ")
    assert page.press("ArrowRight")["says"].startswith("model.variant2.onnx, round 12: ")  # the last
    assert page.press("ArrowUp")["says"].startswith("model.variant1.onnx, round 12: ")
    assert page.press("Home")["says"].startswith("model.onnx, round 1: ")
    assert page.press("Escape")["tip"] is None
    assert page.press("ArrowLeft")["says"].startswith("model.onnx, round 1: ")


def test_the_note_stays_with_its_mark_and_goes_with_the_focus(page: Page) -> None:
    page.run("""document.querySelector("#differences svg[data-says]").focus({ focusVisible: true })""")
    assert page.press("ArrowDown")["tip"] is not None
    page.run("scrollBy(0, 40)")
    page.run(DRAWN)
    assert page.run(FOCUSED)["tip"] is not None
    page.run("document.activeElement.blur()")
    assert page.run(FOCUSED)["tip"] is None


def test_on_a_phone_the_note_stays_within_the_window(page: Page) -> None:
    page.ask("Emulation.setDeviceMetricsOverride", width=390, height=800, deviceScaleFactor=1, mobile=False)
    page.run("""document.querySelector("#differences svg[data-says]").focus({ focusVisible: true })""")
    for _ in range(3):
        found = page.press("ArrowDown")
        assert found["tip"] == found["says"]
        assert found["aside"], page.run("document.querySelector('.tip').getBoundingClientRect().right")
