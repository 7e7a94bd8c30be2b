"""`optkit inspect`: what is in a model, what it costs to run, where its time goes, and what would pay."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from optkit.commands._options import MODEL, data_option, device_option, json_option, threads_option
from optkit.commands._screen import show_drawing

if TYPE_CHECKING:
    from optkit.inspection import Inspection
    from optkit.inspection.under_roof import Roofline


@click.command(name="inspect")
@click.argument("model", type=MODEL)
@click.option("--profile", is_flag=True, help="Run it, and show where time goes, by operator.")
@click.option("--roofline", is_flag=True, help="Measure this machine's peaks, place the model under them, and predict what would pay.")
@click.option(
    "--shape", "shapes", multiple=True, metavar="NAME=SIZE", help="Size of an open dimension, or INPUT=1x3x224x224. Repeat it for several."
)
@data_option
@device_option
@threads_option
@json_option
def command(
    model: Path, profile: bool, roofline: bool, shapes: tuple[str, ...], data: str | None, device: str, threads: int, as_json: bool
) -> None:
    """Show what is inside MODEL, what it costs to run, and what would pay.

    Work is counted for one example: of the sizes in --data or --shape, else of sizes that are assumed and shown. With --profile the
    model runs on the examples in --data, or on made-up ones; without it nothing is run. --roofline says how much of what this machine
    can do is reached, and what INT8, fewer bits, pruning or batches can be expected to gain.
    """
    from dataclasses import replace

    from optkit.inspection.advice import as_estimated, naming_data, naming_device
    from optkit.inspection.show import show_inspection
    from optkit.inspection.show_roofline import show_roofline
    from optkit.inspection.sizes import parse_sizes
    from optkit.records import write_record

    found, feed = _inspect(model, parse_sizes(shapes), data, (device, threads) if profile or roofline else None, to_place=roofline)
    if roofline:
        placed = _place(model, found, data, feed)
        found = replace(found, roofline=placed, advice=as_estimated(found.advice, placed.predictions))
    found = naming_device(found, device)
    if data is not None:
        found = naming_data(found, data)
    if as_json:
        click.echo(write_record(found))
    else:
        show_drawing(lambda console: show_inspection(found, console))
        if found.roofline is not None:
            under = found.roofline
            show_drawing(lambda console: show_roofline(under, device, console))


def _place(model: Path, found: "Inspection", data: str | None, feed: "Mapping[str, Any] | None") -> "Roofline":
    from optkit.commands._progress import progress_display
    from optkit.datasets import read_examples
    from optkit.inspection.drafts import try_batch, try_drafts, try_half
    from optkit.inspection.peaks import measure_peaks
    from optkit.inspection.profile import made_up_examples
    from optkit.inspection.roofline import roofline as place

    assert found.profile is not None, "the roofline needs it"
    device, threads = found.profile.device, found.profile.threads
    examples = read_examples(data, found.inputs) if data else made_up_examples(found.inputs, found.work.sizes)
    with progress_display() as progress:
        progress("the machine's peaks", 0, 0)
        peaks = measure_peaks(device, threads)
        drafts = try_drafts(model, examples, device, threads, progress)
        progress("FP16 and batches", 0, 0)
        halved, batched = (each(model, examples, device, threads) for each in (try_half, try_batch))
        return place(found, peaks, feed, drafts=drafts, batched=batched, halved=halved)


def _inspect(
    model: Path, sizes: dict[str, tuple[int, ...]], data: str | None, run_on: tuple[str, int] | None, *, to_place: bool
) -> "tuple[Inspection, Mapping[str, Any] | None]":
    from dataclasses import replace

    from optkit.commands._progress import progress_display
    from optkit.datasets import read_examples
    from optkit.errors import ModelError, UsageError
    from optkit.formats import format_of
    from optkit.inspection.inspect_model import inputs_of, inspect_model
    from optkit.inspection.profile import SLOWEST, made_up_examples, profile_model

    if format_of(model) != "onnx":
        raise UsageError("this is a PyTorch model, and ONNX models are inspected", where=str(model), hint="optkit export makes one of it")
    examples = read_examples(data, inputs_of(model)) if data else None
    feed = next(examples.feeds(1)) if examples else None
    found = inspect_model(model, sizes, feed)
    if run_on is None:
        return found, feed
    given = made_up_examples(found.inputs, found.work.sizes) if examples is None else examples
    try:
        with progress_display() as progress:
            progress("a profile of the model", 0, 0)
            named = None if to_place else SLOWEST
            return replace(found, profile=profile_model(model, given, *run_on, fastest=to_place, named=named)), feed
    except ModelError as error:
        if examples is not None:
            raise
        hint = "its inputs were made up; give real ones with --data, or other sizes with --shape"
        raise ModelError(error.what, where=error.where, hint=hint) from error
