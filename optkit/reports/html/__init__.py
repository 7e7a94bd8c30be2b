"""A report as one HTML file: opens without a network, light and dark, on a phone and on paper."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optkit.report import Report


def render(report: "Report") -> str:
    """A whole page: verdict first, then every difference, then what it rests on. Far below 2 MB, whatever was measured."""
    from optkit.reports.html.page import fill

    return fill("page.html", report)


def render_notebook(report: "Report") -> str:
    """The same as a part of another page, as notebooks show it: styles that touch nothing else, no script."""
    from optkit.reports.html.page import fill

    return fill("notebook.html", report)
