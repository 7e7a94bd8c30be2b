"""A page out of the report's sections: which there are, and the templates that lay them out."""

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from optkit import __version__
from optkit.reports.html import classes, differences, footprint, headline, latency, layers, lineage, providers, times, tradeoff
from optkit.reports.html.palette import DARK, LIGHT, variables
from optkit.reports.html.series import series_of

if TYPE_CHECKING:
    from optkit.report import Report


@dataclass(frozen=True)
class Section:
    """A part of the page: its anchor is also the name of its template."""

    anchor: str
    title: str
    short: str
    """For the navigation."""
    view: Callable[["Report"], Any]


def _limits(report: "Report") -> Any:
    return report.verdict.checks if report.verdict is not None else ()


def _machine(report: "Report") -> Any:
    return report.measurements[0].machine if report.measurements else None


SECTIONS = (
    Section("limits", "Limits", "Limits", _limits),
    Section("tradeoff", "Quality against speed", "Trade-off", tradeoff.view),
    Section("differences", "Before and after", "Before and after", differences.view),
    Section("latency", "Latency", "Latency", latency.view),
    Section("classes", "Who paid, part by part", "Who paid", classes.view),
    Section("footprint", "Size and memory", "Size and memory", footprint.view),
    Section("layers", "Error by layer", "Layers", layers.view),
    Section("times", "Time by operator", "Time", times.view),
    Section("providers", "Where nodes run", "Providers", providers.view),
    Section("lineage", "Where the models come from", "Lineage", lineage.view),
    Section("machine", "Machine and method", "Machine", _machine),
)


NOTEBOOK = "notebook.html"
STRONGER = ".optkit.notebook.notebook"
"""Notebooks have rules of their own for tables and lists in what cells put out, and ours must weigh more than those."""


def fill(template: str, report: "Report", **more: Any) -> str:
    """A template of a whole page or fragment, with everything that the report has."""
    environment = _environment()
    shown = [(each, found) for each in SECTIONS if (found := each.view(report))]
    return environment.get_template(template).render(
        report=report,
        sections=shown,
        banner=headline.banner(report),
        tiles=headline.tiles(report),
        glance=headline.glance(report),
        overview=tuple(headline.overview(report)),
        series=series_of(report),
        warnings=headline.warnings(report),
        methods=lineage.methods(report),
        style=Markup(_style() if template != NOTEBOOK else _style().replace(".optkit", STRONGER)),
        script=Markup(_text("report.js")),
        policy=_policy(),
        version=__version__,
        **more,
    )


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("optkit.reports.html"), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )


@cache
def _text(name: str) -> str:
    environment = _environment()
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


@cache
def _style() -> str:
    return _text("report.css").replace("/*light*/", variables(LIGHT)).replace("/*dark*/", variables(DARK))


def _policy() -> str:
    """Nothing is loaded from anywhere, and no script runs but ours, whatever models are called."""
    digest = b64encode(sha256(_text("report.js").encode()).digest()).decode()
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
