"""Export to ONNX, checked: what ONNX Runtime answers is held against PyTorch's answers, at several sizes."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from optkit.datasets import Array, Examples
from optkit.errors import DataError, ModelError
from optkit.formats.torch import TorchModel
from optkit.passes import Job

if TYPE_CHECKING:
    from optkit.runtimes import Session

Axes = Mapping[str, Mapping[int, str]]

BATCHES = (1, 2, 3)
"""Sizes of the batches they are asked in, where the batch may vary."""
CLOSE = 1e-3
"""Largest difference allowed, relative to the largest value of an output: float32 sums in another order differ by far less."""
STEPS = 4
"""Single tokens that a decoder reads after the first of a text, with its cache."""
TEXT = 12
"""Tokens of a made-up text."""


def axes_that_vary(model: TorchModel, examples: Examples, said: Axes | None) -> Axes:
    """As the user said, else those that the inputs name, else the first axis of each. Raises DataError for a name that is no input."""
    names = list(examples.arrays)
    if said is not None:
        for name in said:
            if name not in names:
                raise DataError(f"dynamic names {name!r}, which is no input", hint=f"inputs: {', '.join(names)}")
        return said
    known = {each.name: each.shape for each in model.origin.inputs}
    default = () if examples.whole else ("batch",)
    return {name: {i: size for i, size in enumerate(known.get(name) or default) if isinstance(size, str)} for name in names}


def write(model: TorchModel, examples: Examples, dynamic: Axes, opset: int, with_past: bool, target: Path, job: Job) -> None:
    """Export to `target`. Raises ModelError where PyTorch cannot."""
    job.progress("exporting", 0, 0)
    if with_past:
        from optkit.formats.torch_export_past import export_with_past

        export_with_past(model.module, opset, target)
        job.note("axes that vary", {"input_ids": ["batch", "sequence"], "past_key_values": ["batch", "past_length"]})
        return
    from optkit.formats.torch_export import export

    export(model, next(iter(examples.feeds(_rows(model)))), dynamic, opset, target)
    job.note("axes that vary", {name: list(axes.values()) for name, axes in dynamic.items() if axes})


def check(model: TorchModel, examples: Examples, dynamic: Axes, with_past: bool, target: Path, job: Job) -> dict[str, float | int]:
    """Ask both the same; how often, and the largest difference relative to the largest value. Raises ModelError where that is too much."""
    from optkit.runtimes import open_session
    from optkit.runtimes.torch import TorchSession

    exported = open_session(target, "cpu", job.threads)
    if with_past:
        differences = list(_steps(model.module, exported, examples))
    else:
        session = TorchSession(model.module, model.origin, "cpu", str(target))
        vary = not examples.whole and all(0 in axes for axes in dynamic.values()) and any(dynamic.values())
        feeds = [feed for batch in BATCHES for feed in examples.feeds(batch)] if vary else list(_full(examples, _rows(model)))
        differences = [difference(session.run(feed), exported.run(feed)) for feed in feeds]
    worst = max(differences)
    if not worst <= CLOSE:
        raise ModelError(
            f"the exported model answers otherwise than PyTorch: {worst:.2g} of the largest value",
            hint="look for code in `forward` that depends on values, on training mode, or on chance",
        )
    return {"feeds": len(differences), "largest difference": float(f"{worst:.2g}")}


def _rows(model: TorchModel) -> int:
    """Of the batch that it is traced with: as many as its inputs say, where they do."""
    return next((each.shape[0] for each in model.origin.inputs if each.shape and isinstance(each.shape[0], int)), BATCHES[-1])


def _full(examples: Examples, rows: int) -> Iterator[Mapping[str, Array]]:
    """The batches of that many rows: a model of a fixed batch takes no others."""
    return (feed for feed in examples.feeds(rows) if examples.whole or all(len(array) == rows for array in feed.values()))


def decoder_text(model: TorchModel, examples: Examples | None, seed: int) -> Examples:
    """Token ids to check a decoder with: those of the examples, or made-up ones. Raises DataError."""
    if examples is not None and "input_ids" not in examples.arrays:
        raise DataError("with_past needs token ids", hint=f"call the array `input_ids`; there is {', '.join(examples.arrays)}")
    if examples is not None:
        return Examples(examples.source, {"input_ids": examples.arrays["input_ids"]}, synthetic=examples.synthetic)
    words = int(getattr(getattr(model.module, "config", None), "vocab_size", 2))
    ids = np.random.default_rng(seed).integers(0, words, (2 * BATCHES[-1], TEXT))
    return Examples("made-up tokens", {"input_ids": ids}, synthetic=True)


def _steps(module: Any, exported: "Session", examples: Examples) -> Iterator[float]:
    """Texts read at once by PyTorch, and by ONNX Runtime in a first part and then token by token with the cache."""
    import torch

    from optkit.formats.torch_export_past import empty_past, next_past

    for batch in BATCHES:
        ids = next(iter(examples.feeds(batch)))["input_ids"].astype(np.int64)
        with torch.no_grad():
            wanted = module(input_ids=torch.from_numpy(np.ascontiguousarray(ids))).logits.numpy()
        first = max(1, ids.shape[1] - STEPS)
        past, done = empty_past(module, len(ids)), 0
        for end in range(first, ids.shape[1] + 1):
            mask = np.ones((len(ids), end), np.int64)
            answers = exported.run({"input_ids": ids[:, done:end], "attention_mask": mask, **past})
            yield difference({"logits": wanted[:, done:end]}, answers)
            past, done = next_past(answers), end


def difference(before: Mapping[str, Array], after: Mapping[str, Array]) -> float:
    """The largest difference relative to the largest value of an output; infinite where an output is missing or has another size."""
    found = 0.0
    for name, wanted in before.items():
        if name not in after or after[name].shape != wanted.shape:
            return float("inf")
        if wanted.size:
            a, b = np.asarray(wanted, np.float64), np.asarray(after[name], np.float64)
            with np.errstate(invalid="ignore"):
                apart = np.abs(a - b)[~(np.isnan(a) & np.isnan(b)) & (a != b)]
            found = max(found, float(np.max(apart, initial=0.0)) / max(float(np.abs(a[np.isfinite(a)]).max(initial=0.0)), 1e-12))
    return found
