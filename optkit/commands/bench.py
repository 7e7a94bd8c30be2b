"""`optkit bench`: models in service, scenario by scenario."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from optkit.commands._options import (
    INTS,
    MODEL,
    SECONDS,
    batches_option,
    data_option,
    devices_option,
    json_option,
    seed_option,
    synthetic_option,
    talk_options,
)

if TYPE_CHECKING:
    from optkit.bench import BenchReport

SCENARIOS = ("single_stream", "offline", "server", "streaming")


@click.command(name="bench")
@click.argument("models", type=MODEL, nargs=-1, required=True)
@click.option(
    "--scenario", "scenarios", multiple=True, type=click.Choice(SCENARIOS), default=("single_stream", "offline"), show_default=True,
    help="When queries are sent, in MLPerf's terms. Repeat it for several.",
)  # fmt: skip
@data_option
@synthetic_option
@devices_option
@click.option("--threads", type=INTS, default="1", show_default=True, help="Threads a model may use, such as 1,2,4.")
@batches_option
@click.option("--time", "seconds", type=SECONDS, default="5s", show_default=True, help="Time for each model, scenario and batch size.")
@click.option("--slo", type=SECONDS, help="server: 99 of 100 queries must be answered within this, such as 200ms.")
@click.option("--max-delay", type=SECONDS, default="0s", show_default=True, help="server: longest wait for others in the batch.")
@click.option("--chunk", type=SECONDS, help="streaming: how long the signal in one chunk lasts, such as 32ms.")
@click.option("--state", "states", multiple=True, metavar="OUT=IN", help="streaming: output that the next chunk takes as input.")
@click.option("--price", metavar="PRICE", help="What the machine costs, such as 0.40/h; gives the cost of a million inferences.")
@click.option("--loadgen", is_flag=True, help="Let MLCommons' LoadGen send the queries: its official scenarios, by its own clock.")
@seed_option
@json_option
@talk_options
def command(models: tuple[Path, ...], as_json: bool, quiet: bool, verbose: bool, **asked: Any) -> int:
    """Measure models as a service meets them: latency one by one, throughput in batches, the rate that keeps a promise, a live signal.

    single_stream gives latency percentiles, as far as enough queries were sent; offline the throughput at each batch size; server the
    highest rate of random queries of which 99 in 100 are answered within --slo; streaming the real-time factor.
    """
    report = _measured(models, quiet, asked)
    if as_json:
        from optkit.records import write_record

        click.echo(write_record(report))
    else:
        from optkit.commands._screen import show_drawing
        from optkit.reports.bench import draw

        show_drawing(lambda console: draw(console, report))
    if report.interrupted:
        from optkit.commands._boundary import INTERRUPTED

        click.echo("interrupted: what was not measured by then is left out", err=True)
        return INTERRUPTED
    return 0


def _measured(models: tuple[Path, ...], quiet: bool, asked: dict[str, Any]) -> "BenchReport":
    from optkit.bench import bench
    from optkit.commands._progress import progress_display
    from optkit.evidence import examples_for
    from optkit.formats import read_artifact
    from optkit.runtimes import open_session
    from optkit.scenarios import Traffic

    artifacts = [read_artifact(model) for model in models]
    price, states = _price(asked["price"]), _states(asked["states"])
    devices = [word.strip() for device in asked["devices"] for word in device.split(",") if word.strip()]
    ports = open_session(models[0], devices[0]).inputs
    examples = examples_for(asked["data"], ports, asked["synthetic"], artifacts[0], asked["seed"])
    for needed in ("optkit.reports.bench", "scipy.special"):  # ahead of timing: after Ctrl-C nobody wants to wait
        import_module(needed)
    traffic = Traffic(asked["seconds"], asked["batches"], asked["slo"], asked["max_delay"], asked["chunk"], states, asked["seed"])
    with progress_display(quiet) as progress:
        return bench(
            artifacts,
            examples,
            scenarios=asked["scenarios"],
            devices=devices,
            threads=asked["threads"],
            traffic=traffic,
            price=price,
            loadgen=asked["loadgen"],
            progress=progress,
        )


def _price(text: str | None) -> float | None:
    """`0.40/h`, or the bare number."""
    from optkit.errors import UsageError

    if text is None:
        return None
    number, slash, unit = text.strip().lstrip("$€£").partition("/")
    try:
        price = float(number)
    except ValueError:
        price = -1.0
    if price < 0 or (slash and unit.strip() not in ("h", "hour")):
        raise UsageError(f"--price {text}: this is no price for an hour", hint="write 0.40/h")
    return price


def _states(texts: tuple[str, ...]) -> dict[str, str]:
    from optkit.errors import UsageError

    found = {}
    for text in texts:
        output, equals, into = text.partition("=")
        if not (output and equals and into):
            raise UsageError(f"--state {text}: expected OUTPUT=INPUT", hint="such as --state stateN=state")
        found[output] = into
    return found
