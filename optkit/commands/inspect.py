"""`optkit inspect`: what is in a model, what it costs to run, where its time goes, and what would pay."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from optkit.commands._boundary import INTERRUPTED
from optkit.commands._options import MODEL, data_option, device_option, json_option, threads_option
from optkit.commands._screen import show_drawing

if TYPE_CHECKING:
    from optkit.datasets import Examples
    from optkit.inspection import Inspection


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
) -> int:
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

    found, examples = _inspect(model, parse_sizes(shapes), data)
    try:
        if profile or roofline:
            found = _profiled(found, examples, device, threads, to_place=roofline)
        if roofline and not found.interrupted:
            found = _placed(found, examples)
    except KeyboardInterrupt:
        found = replace(found, interrupted=True)
    if found.roofline is not None:
        found = replace(found, advice=as_estimated(found.advice, found.roofline.predictions))
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
    if found.interrupted:
        click.echo("interrupted: what was not measured by then is left out", err=True)
        return INTERRUPTED
    return 0


def _inspect(model: Path, sizes: dict[str, tuple[int, ...]], data: str | None) -> "tuple[Inspection, Examples | None]":
    from optkit.datasets import read_examples
    from optkit.errors import UsageError
    from optkit.formats import format_of
    from optkit.inspection.inspect_model import inputs_of, inspect_model

    if format_of(model) != "onnx":
        raise UsageError("this is a PyTorch model, and ONNX models are inspected", where=str(model), hint="optkit export makes one of it")
    examples = read_examples(data, inputs_of(model)) if data else None
    return inspect_model(model, sizes, _feed(examples)), examples


def _feed(examples: "Examples | None") -> "Mapping[str, Any] | None":
    return None if examples is None else next(examples.feeds(1))


def _profiled(found: "Inspection", examples: "Examples | None", device: str, threads: int, *, to_place: bool) -> "Inspection":
    from dataclasses import replace

    from optkit.commands._progress import progress_display
    from optkit.errors import ModelError
    from optkit.inspection.profile import SLOWEST, made_up_examples, profile_model

    given = made_up_examples(found.inputs, found.work.sizes) if examples is None else examples
    stopped: list[bool] = []
    try:
        with progress_display() as progress:
            progress("a profile of the model", 0, 0)
            named = None if to_place else SLOWEST
            stop = partial(stopped.append, True)
            profile = profile_model(Path(found.path), given, device, threads, fastest=to_place, named=named, interrupted=stop)
    except ModelError as error:
        if examples is not None:
            raise
        hint = "its inputs were made up; give real ones with --data, or other sizes with --shape"
        raise ModelError(error.what, where=error.where, hint=hint) from error
    return replace(found, profile=profile, interrupted=bool(stopped))


def _placed(found: "Inspection", examples: "Examples | None") -> "Inspection":
    """Under the roofline; Ctrl-C leaves out the gains that were not tried by then."""
    from dataclasses import replace

    from optkit.commands._progress import progress_display
    from optkit.inspection.drafts import takes_batches, try_batch, try_drafts, try_half
    from optkit.inspection.peaks import measure_peaks
    from optkit.inspection.profile import made_up_examples
    from optkit.inspection.roofline import Tried, roofline

    assert found.profile is not None, "the roofline needs it"
    place = (found.profile.device, found.profile.threads)
    model, given = Path(found.path), examples or made_up_examples(found.inputs, found.work.sizes)
    with progress_display() as progress:
        progress("the machine's peaks", 0, 0)
        peaks = measure_peaks(*place)
        tried = Tried(in_batches=takes_batches(model, given, *place), kernels=False)
        try:
            tried = replace(tried, drafts=try_drafts(model, given, *place, progress), kernels=True)
            progress("FP16 and batches", 0, 0)
            tried = replace(tried, halved=try_half(model, given, *place))
            tried = replace(tried, batched=try_batch(model, given, *place))
        except KeyboardInterrupt:
            found = replace(found, interrupted=True)
        return replace(found, roofline=roofline(found, peaks, _feed(examples), tried=tried))
