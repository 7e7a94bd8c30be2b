"""Fold what is constant, fold batch norms into convolutions, drop what does nothing."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from optkit.artifact import Artifact
from optkit.errors import NothingPaid
from optkit.passes import Job, Pass

RACED, SECONDS = 2, 0.1
"""Inputs on which both are timed, and for how long: enough to tell what is slower by far."""
FASTER = 0.95
"""Share of the time from which as many nodes are worth having as before."""


class SimplifyGraph(Pass):
    """Says the same with fewer nodes, in standard operators, so the file runs everywhere; the answers are compared with the source's."""

    draws: ClassVar[str | None] = "calibration"
    draws_if_given: ClassVar[bool] = True
    revision: ClassVar[int] = 8

    opset: int | None = Field(
        None, ge=13, le=21, description="Convert a model of an earlier opset to this one first; by default it keeps its own."
    )

    def run(self, source: Artifact, target: Path, job: Job) -> None:
        """Raises NothingPaid when the simpler model answers otherwise or takes longer, and ModelError when the opset cannot be raised."""
        from optkit.formats.onnx import load_model, save_model
        from optkit.formats.onnx_opset import raise_opset
        from optkit.formats.onnx_simplify import simplify

        model = load_model(source.path)
        raised, converted = raise_opset(model, self.opset or 1)
        simple = simplify(raised)
        if converted:
            job.note("opset", converted)
        job.note("nodes before", len(list(model.graph.all_nodes())))
        job.note("nodes after", len(list(simple.graph.all_nodes())))
        save_model(simple, target)
        self._check(source, target, job)

    def _check(self, source: Artifact, target: Path, job: Job) -> None:
        from optkit.quantization.fidelity.likeness import try_both

        found = try_both(source.path, target, job.examples, threads=job.threads, seed=job.seed)
        if found.difference:
            raise NothingPaid(
                f"the simplified model answers otherwise: {found.difference}", where=str(source.path), hint="leave simplify_graph out"
            )
        job.note("checked on", found.on)
        self._check_time(source, target, job)

    def _check_time(self, source: Artifact, target: Path, job: Job) -> None:
        """Sizes that are known let ONNX Runtime fuse what it had better left alone, such as a Pad into a convolution of one column."""
        from optkit.passes._slower import refuse_slower, timed_on
        from optkit.quantization.fidelity.likeness import trial_feeds
        from optkit.quantization.variants.race import race
        from optkit.runtimes import open_session

        feeds = trial_feeds(open_session(source.path, "cpu", job.threads), job.examples, RACED, job.seed)
        if feeds:
            times = race([source.path, target], feeds, seconds=SECONDS, threads=job.threads, device=timed_on(job), seed=job.seed)
            refuse_slower("simplified", source, times[1], "use it as it is: leave simplify_graph out")
            if job.notes["nodes after"] >= job.notes["nodes before"] and times[1].high < FASTER:
                job.note("measured time", [times[1].low, times[1].high])
