"""`optkit drift`: are a quantized model's ranges still right?"""

from pathlib import Path

import click

from optkit.commands._boundary import INTERRUPTED
from optkit.commands._options import MODEL, data_option, json_option, talk_options, threads_option

samples_option = click.option(
    "--samples", type=click.IntRange(1), default=256, show_default=True, help="Use at most so many examples, evenly spaced."
)


@click.command(name="drift")
@click.argument("model", type=MODEL)
@data_option
@samples_option
@threads_option
@json_option
@talk_options
def command(model: Path, data: str | None, samples: int, threads: int, as_json: bool, quiet: bool, verbose: bool) -> int:
    """Are the ranges that MODEL was calibrated with still right for today's inputs? Exit code 1 where it should be calibrated anew.

    The model runs on --data, which needs no labels, and every quantized activation is watched: what is clipped, and how much more error
    its range makes than the best one would, against what calibration saw. A model of another tool carries no such statistics: of its
    ranges only clipping is judged.
    """
    from optkit.commands._progress import progress_display
    from optkit.commands._screen import show_drawing
    from optkit.datasets import read_examples
    from optkit.drift import drift
    from optkit.drift.show import draw
    from optkit.errors import UsageError
    from optkit.formats import read_artifact
    from optkit.records import write_record
    from optkit.runtimes import open_session

    read_artifact(model)
    if data is None:
        raise UsageError(
            "no data to look at", where=str(model), hint="give --data with recent inputs, such as recent.npz; no labels needed"
        )
    examples = read_examples(data, open_session(model).inputs).spread(samples)
    with progress_display(quiet or as_json) as progress:
        found = drift(model, examples, threads=threads, progress=progress)
    if as_json:
        click.echo(write_record(found))
    else:
        show_drawing(lambda console: draw(found, console))
    if found.interrupted:
        click.echo("interrupted: it is judged by the examples seen by then", err=True)
        return INTERRUPTED
    return 0 if found.verdict == "fits" else 1
