"""The page as text: whole, well-formed, self-contained, and safe whatever models are called."""

import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import pytest

from optkit.compare import Comparison, Delta, Warned
from optkit.gate import Limits
from optkit.report import Report, load_report, save_report
from optkit.reports._words import sentence
from optkit.reports.html import render, render_notebook

FullReport = Callable[..., Report]
LIMITS = Limits(max_drop=0.003, min_speedup=1.3, max_size=0.2)
VOID = {"meta", "link", "br", "wbr", "img", "hr", "input"}


class Page(HTMLParser):
    """Elements with their attributes and the text inside; complains where tags do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += "" if self.open and self.open[-1] in ("style", "script", "title") and "svg" not in self.open else data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def page(full_report: FullReport) -> Page:
    return Page(render(full_report(2, (1, 8), limits=LIMITS)))


def test_every_section_is_there_and_can_be_reached(page: Page) -> None:
    sections = [each["id"] for each in page.all("section")]
    assert sections == ["limits", "tradeoff", "differences", "latency", "classes", "footprint", "layers", "times", "lineage", "machine"]
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    targets = [str(each["href"]) for each in page.all("a")]
    assert [target for target in targets if target.removeprefix("#") not in ids] == []
    assert {f"#{name}" for name in sections} <= set(targets)


def test_ids_are_unique_and_labels_exist(page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {a["aria-labelledby"] for _, a in page.elements if "aria-labelledby" in a} <= set(ids)


def test_what_is_drawn_is_also_said(page: Page) -> None:
    pictures = [each for each in page.all("svg") if each.get("aria-hidden") != "true"]
    assert len(pictures) > 40
    assert [each for each in pictures if each.get("role") != "img" or not each.get("aria-label")] == []


def test_tables_have_headers_and_scroll_by_keyboard(page: Page) -> None:
    assert [each for each in page.all("th") if "scope" not in each] == []
    scrolled = [attributes for _, attributes in page.elements if attributes.get("class") == "scroll"]
    assert [each for each in scrolled if each.get("tabindex") != "0" or not each.get("aria-label")] == []


def test_every_difference_is_told_in_words_and_in_its_picture(full_report: FullReport) -> None:
    report = full_report(1, (1, 8))
    text = Page(render(report)).text
    flat = " ".join(text.split())
    for delta in report.comparisons[0].deltas:
        assert flat.count(sentence(delta)) >= 2, delta.metric  # in the table and in the title of its mark
        assert f"({delta.method}" in flat


def test_the_verdict_comes_first(full_report: FullReport) -> None:
    report = full_report(1, limits=LIMITS)
    text = " ".join(Page(render(report)).text.split())
    assert report.verdict is not None
    assert report.verdict.outcome == "failed"
    broken = next(check for check in report.verdict.checks if check.outcome == "failed")
    assert text.index("Failed") < text.index(f"{broken.limit} {broken.reason}") < text.index("file size")
    assert "<title>Failed: model.onnx → model.variant1.onnx – optkit</title>" in render(report)


def test_without_limits_nothing_is_judged(full_report: FullReport) -> None:
    found = Page(render(full_report(1)))
    assert "No limits were set" in found.text
    assert "limits" not in [each["id"] for each in found.all("section")]


@pytest.mark.slow
def test_nothing_is_loaded_from_anywhere(full_report: FullReport) -> None:
    text = render(full_report(3, (1, 8), limits=LIMITS))
    found = Page(text)
    assert [name for name, attributes in found.elements for key in attributes if key in ("src", "srcset", "data", "action")] == []
    assert found.all("link") == []
    assert "://" not in text
    assert "@import" not in text
    assert "url(" not in text
    policy = next(str(each["content"]) for each in found.all("meta") if each.get("http-equiv"))
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert policy.startswith("default-src 'none';")
    assert f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" in policy


def test_names_cannot_become_markup(hostile: Report) -> None:
    for text in (render(hostile), render_notebook(hostile)):
        found = Page(text)
        assert found.all("img") == []
        assert len(found.all("script")) == ("<!doctype" in text)
        assert not [key for _, attributes in found.elements for key in attributes if key.startswith("on")]
        assert "<script>alert(1)</script>.onnx" in found.text


def test_rare_differences_are_shown_too(make_report: Callable[..., Report], odd: tuple[Delta, ...]) -> None:
    text = " ".join(Page(render(make_report(1, None, odd))).text.split())
    assert "cannot be compared: 0 before" in text
    assert "NaN or infinite answers: do not use it" in text
    assert "nan" not in text.lower().replace("nan or infinite", "")


def test_a_report_of_nothing_but_differences(make_report: Callable[..., Report], limits: Limits) -> None:
    for models in (1, 3):
        assert Page(render(make_report(models, limits))).all("section")


@pytest.mark.slow
def test_it_is_small_however_much_was_measured(full_report: FullReport) -> None:
    report = full_report(7, (1, 8, 32), limits=LIMITS)
    layers = tuple(replace(each, layers=tuple(replace(layer) for layer in each.layers * 500)) for each in report.layers)
    parts = tuple(replace(each, slices=each.slices * 200) for each in report.comparisons)
    notes = {f"note {i}": [f"/a/layer/of/a/long/name/{n}" for n in range(500)] for i in range(20)}
    told = [
        replace(each, model=replace(each.model, lineage=tuple(replace(m, notes=notes) for m in each.model.lineage)))
        for each in report.measurements
    ]
    whole = render(replace(report, layers=layers, comparisons=parts, measurements=tuple(told)))
    assert 200_000 < len(whole.encode()) < 2_000_000


def test_a_stored_report_renders_alike(full_report: FullReport, tmp_path: Path) -> None:
    report = full_report(2, limits=LIMITS)
    save_report(report, tmp_path / "report.json")
    assert render(load_report(tmp_path / "report.json")) == render(report)


def test_warnings_of_one_hint_stand_together(make_report: Callable[..., Report]) -> None:
    report = make_report()
    two = tuple(Warned(f"reason {i}", "one hint") for i in range(2))
    text = render(replace(report, comparisons=(replace(report.comparisons[0], warnings=two),)))
    assert text.count("one hint") == 1
    assert "Reason 0" in text
    assert "Reason 1" in text


def test_limits_are_drawn_where_they_are(full_report: FullReport) -> None:
    judged, free = (render(full_report(1, limits=limits, layers=False)) for limits in (LIMITS, None))
    assert judged.count('class="limit"/>') == 3  # on top1, latency and size
    assert free.count('class="limit"/>') == 0


def test_everything_of_the_lineage_is_there(full_report: FullReport) -> None:
    text = Page(render(full_report(1))).text
    for fact in ("quantize", "samples", "128", "exclude", "none", "a" * 12, "b" * 12, "seed", "static", "numpy 2.4"):
        assert fact in text


def test_notebooks_get_a_part_of_a_page(full_report: FullReport) -> None:
    report = full_report(1)
    text = report._repr_html_()
    assert text == render_notebook(report)
    found = Page(text)
    assert [attributes for _, attributes in found.elements if "id" in attributes] == []
    assert {name for name, _ in found.elements} & {"html", "body", "head", "script", "section", "nav"} == set()


def test_styles_touch_nothing_else(full_report: FullReport) -> None:
    (style,) = re.findall(r"<style>(.*?)</style>", render_notebook(full_report(1)), re.DOTALL)
    rules = re.sub(r"/\*.*?\*/", "", style, flags=re.DOTALL)
    selectors = [
        part for found in re.findall(r"([^{}]+)\{", rules) if not found.strip().startswith("@") for part in re.split(r",(?![^(]*\))", found)
    ]
    assert len(selectors) > 150
    assert [each.strip() for each in selectors if ".optkit" not in each] == []


def test_one_comparison_has_tiles_and_several_a_table(full_report: FullReport) -> None:
    classes = [[str(a.get("class")) for _, a in Page(render(full_report(models))).elements] for models in (1, 3)]
    assert [sum(name.startswith("tile ") for name in found) for found in classes] == [4, 0]
    assert [found.count("glance") for found in classes] == [0, 1]


def test_models_that_were_not_measured_here_are_shown(full_report: FullReport) -> None:
    report = full_report(1)
    stored = replace(report.comparisons[0], before="stored.onnx")
    assert "stored.onnx: 68.0 MB" in render(replace(report, comparisons=(stored,)))
    assert Page(render(replace(report, measurements=(), comparisons=(Comparison("a", "b", ()),)))).all("main")


def test_rules_weigh_more_than_those_of_a_notebook_around_it(full_report: FullReport) -> None:
    """JupyterLab says `:not(.jp-RenderedMarkdown).jp-RenderedHTMLCommon td {text-align: right}`: two classes and an element."""
    style = render_notebook(full_report(1)).partition("<style>")[2].partition("</style>")[0]
    rules = [part.strip() for rule in re.findall(r"(?:^|[{}])\s*([^{}@]+)\{", style) for part in rule.split(",")]
    cells = [rule for rule in rules if re.search(r"\b(td|th|tr|ul)\b", rule)]
    assert len(cells) > 10
    assert all(rule.count(".") >= 3 for rule in cells)
