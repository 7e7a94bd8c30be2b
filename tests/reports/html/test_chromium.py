"""The page in a real browser: it renders without complaints, its plots hold the data, it fits a phone, it is dark where dark is wanted."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from html import escape, unescape
from pathlib import Path
from typing import Any

import pytest

from optkit.gate import Limits
from optkit.report import Report
from optkit.reports.html import render, render_notebook
from optkit.reports.html.bounds import axis_of, bounds_on
from optkit.reports.html.palette import DARK, LIGHT

FullReport = Callable[..., Report]
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
LIMITS = Limits(max_drop=0.003, min_speedup=1.3, max_size=0.2)
DARK_WANTED = "--blink-settings=preferredColorScheme=0"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="needs Chromium: apt install chromium-headless-shell"),
]

# Looks at the page inside a frame of any width, which is how narrow windows are had in every kind of Chromium.
LOOK = """
const frame = document.querySelector("iframe");
frame.onload = () => {
  const page = frame.contentDocument, seen = frame.contentWindow;
  const box = (each) => { const b = each.getBoundingClientRect(); return [b.left, b.top, b.width, b.height]; };
  const shown = (each) => each.getClientRects().length > 0;
  const scrolled = (each) => each.closest(".scroll, nav, pre, .hidden, thead");
  const rows = [...page.querySelectorAll("#differences tr")].filter((row) => row.querySelector("td.plot svg g"));
  const tip = page.querySelector(".tip"), mark = [...page.querySelectorAll("[data-says]")].find(shown);
  mark.dispatchEvent(new seen.PointerEvent("pointermove", { bubbles: true, clientX: 30, clientY: 30 }));
  const facts = {
    ground: seen.getComputedStyle(page.body).backgroundColor,
    width: page.documentElement.scrollWidth,
    beyond: [...page.querySelectorAll("main *")]
      .filter((e) => shown(e) && !scrolled(e) && e.getBoundingClientRect().right > frame.clientWidth + 1)
      .map((e) => e.outerHTML.slice(0, 120)),
    empty: [...page.querySelectorAll("svg[aria-label]")].filter((e) => shown(e) && !(box(e)[2] > 20 && box(e)[3] > 10)).length,
    pictures: [...page.querySelectorAll("svg[aria-label]")].filter(shown).length,
    titles: page.querySelectorAll("svg title").length,
    says: page.querySelectorAll("[data-says]").length,
    tip: [tip.classList.contains("shown"), tip.textContent === mark.dataset.says],
    axis: [...page.querySelectorAll("#differences tr.axis")].map((row) => [...row.querySelectorAll("text")].map((t) => {
      const b = box(t); return [t.textContent, b[0] + b[2] / 2]; })),
    dots: rows.map((row) => {
      const b = box(row.querySelector(".dot")); return [row.querySelector("th").textContent.trim(), b[0] + b[2] / 2]; }),
    small: [...page.querySelectorAll("svg text")].filter((t) => shown(t) && box(t)[3] < 8).length,
    open: page.querySelectorAll("details[open]").length,
  };
  seen.dispatchEvent(new seen.Event("beforeprint"));
  facts.opened = page.querySelectorAll("details[open]").length;
  document.querySelector("pre").textContent = JSON.stringify(facts);
};
"""

NOTEBOOK = (
    "getComputedStyle(document.body).backgroundColor",
    "getComputedStyle(document.querySelector('#own')).fontSize",
    "document.querySelectorAll('.notebook svg').length > 20",
)


def browse(address: str, folder: Path, *options: str) -> tuple[str, str]:
    """What Chromium writes on stdout, and what pages said on their console."""
    command = [
        str(BROWSER),
        *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-dev-shm-usage"),
        *("--enable-logging=stderr", "--v=0", "--virtual-time-budget=2000", "--timeout=20000"),
        f"--user-data-dir={folder / 'profile'}",
        *options,
        address,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, env={**os.environ, "HOME": str(folder)})
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


def look(text: str, width: int, folder: Path, *options: str) -> dict[str, Any]:
    """Facts of the page as it lies in a window of this width. Nothing may be said on the console."""
    outside = f'<pre></pre><iframe width="{width}" height="900" style="border:0" srcdoc="{escape(text)}"></iframe><script>{LOOK}</script>'
    file = folder / "frame.html"
    file.write_text(f'<!doctype html><meta charset="utf-8"><body style="margin:0">{outside}', encoding="utf-8")
    dumped, complaints = browse(file.as_uri(), folder, "--dump-dom")
    assert complaints == ""
    (facts,) = re.findall(r"<pre>(.*?)</pre>", dumped, re.DOTALL)[:1]
    found: dict[str, Any] = json.loads(unescape(facts))
    return found


def rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def number(said: str) -> float:
    """What is written beside an axis: 1/4×, 2×, −0.5."""
    whole, _, part = said.replace("−", "-").rstrip("×%").partition("/")
    return float(whole) / float(part or 1)


@pytest.fixture(scope="module")
def report(full_report: FullReport) -> Report:
    return full_report(1, (1, 8), limits=LIMITS)


@pytest.mark.parametrize("width", [1200, 820, 390, 320])
def test_it_renders_at_every_width(report: Report, width: int, tmp_path: Path) -> None:
    facts = look(render(report), width, tmp_path)
    assert facts["width"] <= width
    assert facts["beyond"] == []
    assert facts["pictures"] >= 20
    assert (facts["empty"], facts["small"]) == (0, 0)


def test_plots_hold_the_data(report: Report, tmp_path: Path) -> None:
    """Every dot of a difference is read off its axis, as a reader would, and is the value of the record."""
    facts = look(render(report), 1100, tmp_path)
    deltas = {delta.metric: delta for delta in report.comparisons[0].deltas if delta.batch == 1}
    axes = {"top1": facts["axis"][0], **dict.fromkeys(("latency, median", "latency, p90", "file size", "peak memory"), facts["axis"][1])}
    names = {"latency, median": "latency_median", "latency, p90": "latency_p90", "file size": "size", "peak memory": "memory"}
    read = {}
    for name, place in facts["dots"]:
        if name in axes and name not in read:
            (low, left), *_, (high, right) = [(number(said), x) for said, x in axes[name]]
            share = (place - left) / (right - left)
            read[name] = low + (high - low) * share if name == "top1" else low * (high / low) ** share
    assert read.keys() == axes.keys()
    for name, value in read.items():
        delta = deltas[names.get(name, name)]
        axis = axis_of(delta)
        assert axis is not None
        assert value == pytest.approx(bounds_on(axis, delta).value, rel=0.02, abs=0.01), name


def test_marks_say_what_they_are_when_pointed_at(report: Report, tmp_path: Path) -> None:
    facts = look(render(report), 1000, tmp_path)
    assert facts["titles"] == 0  # they became notes, which touch shows too
    assert facts["says"] > 60
    assert facts["tip"] == [True, True]


def test_paper_unfolds_what_is_short(report: Report, tmp_path: Path) -> None:
    facts = look(render(report), 1000, tmp_path)
    assert (facts["open"], facts["opened"] >= 3) == (0, True)
    (tmp_path / "report.html").write_text(render(report), encoding="utf-8")
    browse((tmp_path / "report.html").as_uri(), tmp_path, f"--print-to-pdf={tmp_path / 'report.pdf'}")
    pdf = (tmp_path / "report.pdf").read_bytes()
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 10


@pytest.mark.parametrize(("options", "palette"), [((), LIGHT), ((DARK_WANTED,), DARK)], ids=["light", "dark"])
def test_light_and_dark(full_report: FullReport, options: tuple[str, ...], palette: dict[str, str], tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="needs pillow")
    (tmp_path / "report.html").write_text(render(full_report(3, limits=LIMITS)), encoding="utf-8")
    picture = tmp_path / "page.png"
    _, complaints = browse((tmp_path / "report.html").as_uri(), tmp_path, "--window-size=1200,2000", f"--screenshot={picture}", *options)
    assert complaints == ""
    with image.open(picture) as opened:
        pixels = opened.convert("RGB")
        assert pixels.getpixel((2, 2)) == rgb(palette["ground"])
        colours = {colour for count, colour in pixels.getcolors(1 << 24)}
    wanted = [palette[name] for name in ("surface", "text", "s0", "s1", "s2", "s3")]
    assert [colour for colour in wanted if rgb(colour) not in colours] == []


def test_hostile_names_run_nothing(hostile: Report, tmp_path: Path) -> None:
    facts = look(render(hostile), 390, tmp_path)
    assert facts["beyond"] == []


def test_it_works_in_a_notebook(report: Report, tmp_path: Path) -> None:
    """As a part of a page whose own styles are kept."""
    around = f'<!doctype html><body style="background: rgb(1, 2, 3)"><p id="own">mine</p>{render_notebook(report)}'
    script = f"<script>document.title = [{', '.join(NOTEBOOK)}].join('|')</script>"
    (tmp_path / "notebook.html").write_text(around + script, encoding="utf-8")
    dumped, complaints = browse((tmp_path / "notebook.html").as_uri(), tmp_path, "--dump-dom")
    assert complaints == ""
    assert "<title>rgb(1, 2, 3)|16px|true</title>" in dumped
