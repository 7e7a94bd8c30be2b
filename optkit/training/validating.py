"""How a module does on examples that it does not learn from: its loss, and a metric."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from optkit.datasets import Array, Examples
from optkit.metrics import Metric, SetMetric, default_metrics, find_metric
from optkit.stats.summaries import summarize
from optkit.training.batches import Batch, make_batch

if TYPE_CHECKING:
    import torch

Answer = Callable[[Batch], Mapping[str, "torch.Tensor"]]
Loss = Callable[[Mapping[str, "torch.Tensor"], Batch], "torch.Tensor"]


@dataclass(frozen=True)
class Judge:
    """Scores answers on examples held out."""

    examples: Examples
    """All that were given to train on."""
    rows: Array
    """Which of them are held out."""
    metric: Metric | None
    """None where the loss is what counts."""

    @property
    def higher_is_better(self) -> bool:
        return self.metric is not None and self.metric.better == "higher"

    def of(self, answer: Answer, loss: Loss, size: int, device: str) -> tuple[float, float | None]:
        """Mean loss and metric. Raises DataError or UsageError where the metric does not fit answers and labels."""
        import torch

        total, outputs = 0.0, []
        with torch.no_grad():
            for rows in _in_order(self.rows, 1 if self.examples.whole else size):
                batch = make_batch(self.examples, rows, device)
                answers = answer(batch)
                total += float(loss(answers, batch)) * len(rows)
                if self.metric is not None:
                    outputs.append({name: value.float().cpu().numpy() if value.is_floating_point() else value.cpu().numpy()
                                    for name, value in answers.items()})  # fmt: skip
        return total / len(self.rows), self._score(outputs)

    def _score(self, outputs: list[dict[str, Array]]) -> float | None:
        if self.metric is None or self.examples.labels is None:
            return None
        labels = self.examples.labels[self.rows]
        join = np.stack if self.examples.whole else np.concatenate
        joined = {name: join([each[name] for each in outputs]) for name in outputs[0]}
        if isinstance(self.metric, SetMetric):
            return summarize(self.metric.summary, np.zeros(len(labels)), self.metric.parts(joined, labels))
        return summarize(self.metric.summary, self.metric.score(joined, labels), (), labels)


def choose_metric(word: str | None, output: str | None, examples: Examples, answers: Mapping[str, "torch.Tensor"]) -> Metric | None:
    """The metric asked for; else what suits labels and answers; None, which is the loss, where nothing does. Raises UsageError."""
    if word == "loss":
        return None
    if word is not None:
        return find_metric(word, output)
    if examples.labels is None or examples.whole:
        return None
    named = {name: value.float().cpu().numpy() if value.is_floating_point() else value.cpu().numpy() for name, value in answers.items()}
    return next((each for each in default_metrics(examples.labels, named, output) if each.needs == "labels"), None)


def _in_order(rows: Array, size: int) -> Iterable[Array]:
    return (rows[i : i + size] for i in range(0, len(rows), size))
