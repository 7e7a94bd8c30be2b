"""A metric that is the user's own function."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from optkit.errors import OptkitError, UsageError
from optkit.metrics import Metric
from optkit.metrics._answer import Array


class FunctionMetric(Metric):
    """`module:function`, called as `f(outputs, labels)`; gives one score per example, higher being better.

    `outputs` holds all outputs of a batch by name, `labels` the labels of the batch or None. The function may say otherwise about
    itself in attributes: `f.better = "lower"`, `f.unit = "ratio"`, `f.needs_labels = False`.
    """

    def __init__(self, word: str, function: Callable[..., Any], output: str | None = None) -> None:
        super().__init__(output)
        if not callable(function):
            raise UsageError(f"it is {type(function).__name__}, not a function", where=word, hint="it is called as f(outputs, labels)")
        self.name = word.rpartition(":")[2]
        self.word = word
        self.function = function
        self.unit = getattr(function, "unit", "")
        self.better = getattr(function, "better", "higher")
        self.needs = "labels"

    def score(self, outputs: Mapping[str, Array], labels: Array | None = None, reference: Mapping[str, Array] | None = None) -> Array:
        """What the function says of the batch. Raises UsageError when it fails, or gives other than one number per example."""
        given = dict(outputs) if self.output is None else {self.output: outputs[self.output]}
        try:
            scores = np.asarray(self.function(given, labels), np.float64)
        except OptkitError:
            raise
        except Exception as error:  # the user's function may raise anything
            what = f"it raised {type(error).__name__}: {error}"
            raise UsageError(what, where=self.word, hint="it is called as f(outputs, labels) with arrays") from error
        rows = len(next(iter(outputs.values()))) if labels is None else len(labels)
        if scores.shape != (rows,):
            what = f"it gave {list(scores.shape)} for {rows} examples"
            raise UsageError(what, where=self.word, hint="return one number per example, such as (answers == labels)")
        return scores
