"""What models come to on the examples that nothing was learned from, as ONNX Runtime runs them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from optkit.datasets import Array, Examples
from optkit.errors import ModelError
from optkit.metrics import find_metric
from optkit.passes._onnx_teacher import OnnxTeacher
from optkit.training.answering import answer_with
from optkit.training.batches import Batch, make_batch
from optkit.training.holding_out import hold_out
from optkit.training.teachers import Teacher
from optkit.training.validating import Judge, Loss, choose_metric

if TYPE_CHECKING:
    import torch

Numbers = dict[str, float]
COMPARED = 16
"""Examples that both are asked."""
ALIKE = 20.0
"""dB between what PyTorch and ONNX Runtime answer: a number at the edge of two integers may go either way, and little more."""


@dataclass(frozen=True)
class HeldOut:
    """The examples that a training with this share and seed holds out."""

    examples: Examples
    share: float
    seed: int
    metric: str | None
    """A metric's name, `loss`, or None: what suits the labels. It is told; epochs may be chosen by the loss all the same."""
    output: str | None
    batch: int

    @cached_property
    def learned(self) -> Examples:
        """The others."""
        return self.examples.take(hold_out(self.examples, self.share, self.seed)[0])

    @cached_property
    def rows(self) -> Array:
        return hold_out(self.examples, self.share, self.seed)[1]

    def compare(self, models: Mapping[str, Teacher], loss: Loss) -> dict[str, Numbers]:
        """Loss, and score where there is one, of each; nothing where nothing is held out."""
        if not len(self.rows):
            return {}
        return {name: self._numbers(model, loss) for name, model in models.items()}

    def better(self, found: Mapping[str, Numbers]) -> bool:
        """Whether `trained` is better than `static`: by the metric where one was asked for, then by the loss."""
        before, after = found["static"], found["trained"]
        name = next((each for each in after if each != "loss"), None) if self.metric not in (None, "loss") else None
        if name is not None and before[name] != after[name]:
            return (after[name] > before[name]) == (find_metric(str(self.metric), self.output).better == "higher")
        return after["loss"] < before["loss"]

    def _numbers(self, model: Teacher, loss: Loss) -> Numbers:
        few = make_batch(self.examples, self.rows[: 1 if self.examples.whole else 2], "cpu")
        metric = choose_metric(self.metric, self.output, self.examples, model(few).outputs)
        judge = Judge(self.examples, self.rows, metric)
        total, score = judge.of(lambda batch: model(batch).outputs, loss, self.batch, "cpu")
        return {"loss": _short(total)} | ({} if metric is None or score is None else {metric.name: _short(score)})


def check_alike(module: "torch.nn.Module", path: Path, examples: Examples) -> float:
    """Signal to noise between what a module and a file answer, in dB, 200 at the most. Raises ModelError where they are not alike."""
    few = examples.spread(COMPARED)
    asked = OnnxTeacher(path, 1)
    signal = noise = 0.0
    for rows in np.arange(len(few)).reshape(-1, 1) if few.whole else [np.arange(len(few))]:
        batch = make_batch(few, rows, "cpu")
        wanted, answers = asked(batch).outputs, _answers(module, batch, asked.fixed)
        for name, value in wanted.items():
            if answers[name].shape != value.shape:
                raise _unlike(f"{name!r} is {list(answers[name].shape)} in PyTorch, {list(value.shape)} in ONNX Runtime", asked.fixed)
            if value.is_floating_point():
                a, b = value.double().numpy(), answers[name].double().numpy()
                signal, noise = signal + float((a**2).sum()), noise + float(((a - b) ** 2).sum())
    found = min(200.0, 10 * float(np.log10(max(signal, 1e-30) / max(noise, 1e-30))))
    if not found >= ALIKE:
        raise _unlike(f"PyTorch computes it otherwise than ONNX Runtime: {found:.1f} dB apart", asked.fixed)
    return round(found, 1)


def _answers(module: "torch.nn.Module", batch: Batch, fixed: int | None) -> "Mapping[str, torch.Tensor]":
    try:
        return answer_with(module.eval(), batch, learning=False)
    except ModelError as error:
        raise error if fixed is None else _unlike(error.what, fixed) from error


def _unlike(what: str, fixed: int | None) -> ModelError:
    made_for = f"it is made for batches of {fixed}: export it with a batch that varies"
    return ModelError(what, hint="use quantize_static instead, and report the model" if fixed is None else made_for)


def _short(number: float) -> float:
    return float(f"{number:.5g}")
