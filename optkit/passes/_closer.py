"""Passes that decide a quantized model's numbers anew, with the float model that the chain started from as the reference."""

from pathlib import Path

from optkit.artifact import Artifact
from optkit.errors import DataError, ModelError, NothingPaid
from optkit.passes import Job
from optkit.passes._judging import HELD_OUT, split


def reconstruct_closer(source: Artifact, target: Path, job: Job, *, weights: bool, samples: int, max_memory: int | None) -> None:
    """Write the reconstructed model if on held-back examples its outputs are closer to the original's, else the model as it was.

    Raises NothingPaid where no layer can be decided anew; ModelError where there is no float model to hold it against.
    """
    from optkit.formats.onnx import load_model, save_model
    from optkit.quantization.calibration.watcher import Watcher
    from optkit.quantization.fidelity.reference import Reference
    from optkit.quantization.float_graph.prepare import prepare
    from optkit.quantization.recognise import already_quantized
    from optkit.quantization.rounding.reconstruct import reconstruct
    from optkit.runtimes import full_feeds, open_session

    if job.examples is None or job.examples.synthetic:
        raise DataError(
            "what layers should give is learned from real examples", hint="pass --data examples.npz: one array for each model input"
        )
    original = load_model(job.original.path) if job.original.format == "onnx" else None
    if original is None or already_quantized(original):
        raise ModelError(
            "there is no float ONNX model to hold the layers against",
            where=str(job.original.path),
            hint="start the recipe from the float model, with quantize_static or quantize_dynamic before this step",
        )
    calibration, judging = split(job.examples, samples, 2 * HELD_OUT)
    model = load_model(source.path)
    watcher = Watcher(calibration, job.threads, max_memory, job.progress)
    changed = reconstruct(model, prepare(original).model, watcher, weights=weights)
    if not changed:
        raise NothingPaid("no layer in integers has numbers of its own to decide anew", where=str(source.path), hint="leave this step out")
    save_model(model, target)
    first = open_session(job.original.path, job.device, job.threads)
    reference = Reference(original, first, list(full_feeds(first, judging)))
    before, after = (reference.compare(open_session(path, job.device, job.threads)).sqnr for path in (source.path, target))
    job.note("layers", changed)
    job.note("measured_sqnr", [before, after])
    if after <= before:
        job.note("left as it was", f"on held-back examples the outputs came no closer to the original's ({before:.1f} to {after:.1f} dB)")
        save_model(load_model(source.path), target)
