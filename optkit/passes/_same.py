"""Passes that rewrite a float model for what comes after, without changing what it answers."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from optkit.artifact import Artifact
from optkit.errors import DataError, NothingPaid
from optkit.passes import Job

if TYPE_CHECKING:
    import onnx_ir as ir

    from optkit.datasets import Examples

CHECKED = 4
"""Examples on which the answers must be the same."""


def rewrite_same(
    source: Artifact, target: Path, job: Job, rewrite: "Callable[[ir.Model, Examples], tuple[ir.Model, int]]", nothing: str
) -> None:
    """Write what `rewrite` makes of the simplified model; it also says how many tensors it changed.

    Raises NothingPaid, saying `nothing`, where it changed none, and where the answers are not the same.
    """
    from optkit.formats.onnx import load_model, save_model
    from optkit.quantization.choosing.hopeless import refuse_hopeless
    from optkit.quantization.float_graph.checked import prepare_checked, same_answers
    from optkit.runtimes import full_feeds, open_session

    if job.examples is None or job.examples.synthetic:
        raise DataError("channels differ as real examples make them", hint="pass --data examples.npz: one array for each model input")
    model = load_model(source.path)
    refuse_hopeless(model)
    feeds = list(full_feeds(open_session(source.path, job.device, job.threads), job.examples.spread(CHECKED)))
    prepared = prepare_checked(source.path, model, feeds, job.device, job.threads)
    made, changed = rewrite(prepared.model, job.examples)
    if not changed:
        raise NothingPaid(nothing, where=str(source.path), hint="leave this step out")
    if not same_answers(prepared.model, made, feeds, job.threads):
        raise NothingPaid("the rewritten model would answer otherwise", where=str(source.path), hint="leave this step out")
    job.note("tensors", changed)
    job.note("remarks", list(prepared.remarks))
    save_model(made, target)
