"""What `compare` and `gate` take alike: models, data and how to measure, and the report that comes of it."""

import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from optkit.commands._options import (
    FILE,
    RATIO,
    SECONDS,
    batches_option,
    data_option,
    devices_option,
    json_option,
    metrics_option,
    seed_option,
    share_between,
    synthetic_option,
    talk_options,
    thread_counts_option,
    together,
)
from optkit.commands._progress import progress_display, say
from optkit.errors import UsageError

if TYPE_CHECKING:
    from optkit.gate import Limits
    from optkit.measure import Measurement
    from optkit.report import Report

output_option = click.option("--output", metavar="NAME", help="The output that carries the answer, where a model has several.")
time_option = click.option(
    "--time",
    "seconds",
    type=SECONDS,
    default="10s",
    show_default=True,
    help="Time for timing, for each device, batch size and number of threads.",
)
precision_option = click.option(
    "--precision",
    type=RATIO,
    callback=share_between(0.0001, 0.99),
    metavar="SHARE",
    help="Stop timing as soon as the ratio of times is known to this, such as 1%.",
)
process_option = click.option(
    "--own-process/--one-process",
    default=None,
    help="Run each model in a process of its own, or all in one. Default: their own where PyTorch is among them.",
)
samples_option = click.option("--samples", type=click.IntRange(1), help="Use at most so many examples, evenly spaced.")
by_option = click.option(
    "--by", multiple=True, metavar="COLUMN", help="Also show which part of the data paid: by label, or by a column of it. Repeatable."
)
factories_option = click.option(
    "--factory",
    "factories",
    multiple=True,
    metavar="NAME",
    help="What makes the network of a .safetensors file: module:callable, code that you trust. Repeat it for several.",
)
compile_option = click.option("--compile", is_flag=True, help="Also time PyTorch models as torch.compile runs them.")
markdown_option = click.option("--markdown", type=FILE, help="Also write the report as Markdown, for a pull request.")
html_option = click.option("--html", type=FILE, help="Also write the report as one HTML file that opens offline.")


measuring_options = together(
    talk_options,
    data_option,
    metrics_option,
    output_option,
    devices_option,
    batches_option,
    thread_counts_option,
    time_option,
    precision_option,
    process_option,
    samples_option,
    by_option,
    synthetic_option,
    factories_option,
    compile_option,
    seed_option,
    json_option,
    markdown_option,
    html_option,
)
"""Everything that says what to measure on and how, and how to print it."""


def measure_report(
    models: Sequence[Path],
    *,
    data: str | None,
    samples: int | None,
    synthetic: bool,
    factories: Sequence[str],
    quiet: bool,
    verbose: bool,
    limits: "Limits | None" = None,
    layers: bool = False,
    **settings: Any,
) -> "Report":
    """Measure and compare, with progress on stderr; `settings` are the options that `Settings` has a field for."""
    from optkit.formats import read_artifact
    from optkit.formats.torch_origin import trusting
    from optkit.measure import Settings
    from optkit.prove import prove

    words = [word.strip() for device in settings.pop("devices") for word in device.split(",") if word.strip()]
    asked = Settings.of(devices=words, **settings)
    artifacts = [read_artifact(path) for path in models]
    import_module("optkit.reports.terminal")  # ahead of timing: after Ctrl-C nobody wants to wait
    with trusting(*factories), progress_display(quiet) as progress:
        report = prove(artifacts, data, asked, samples=samples, synthetic=synthetic, limits=limits, layers=layers, progress=progress)
    for each in report.measurements:
        say(_told(each), verbose)
    return report


def _told(each: "Measurement") -> str:
    nodes = ", ".join(f"{count:,} nodes on {provider}" for provider, count in each.nodes.items())
    values = ", ".join(f"{len(samples.values):,} {samples.metric}" for samples in each.samples)
    return f"{each.name} on {each.device} at batch {each.batch}: {nodes}; values: {values}; sha256 {each.model.digest[:12]}"


def check_outputs(outputs: Sequence[Path | None], inputs: Sequence[Path | str | None]) -> None:
    """Before anything is measured: every file to write can be written, and is none of those read. Raises UsageError."""
    read = {Path(str(each).partition("[")[0]).resolve() for each in inputs if each is not None}  # without the slice of DATA
    for path in outputs:
        if path is None:
            continue
        if path.resolve() in read:
            raise UsageError("this file is read, so it cannot be the one to write", where=str(path), hint="name another file")
        if not path.parent.is_dir():
            raise UsageError("there is no such folder", where=str(path.parent), hint=f"mkdir -p {path.parent}")
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise UsageError("no permission to write here", where=str(path), hint="write somewhere else")


def write_reports(report: "Report", **files: Path | None) -> None:
    """Write the report in each form (json, markdown, html, junit) that a file was named for."""
    for form, path in files.items():
        if path is not None:
            write_text(path, import_module(f"optkit.reports.{form}").render(report))


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all; pipes and devices as they come."""
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8")
        return
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
