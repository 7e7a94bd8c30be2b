"""A metric that is the user's own function."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from optkit.arrays import Array
from optkit.errors import DataError, OptkitError, UsageError
from optkit.metrics import Metric
from optkit.metrics._answer import answer_name, describe


class FunctionMetric(Metric):
    """`module:function`, called as `f(outputs, labels)` for a batch; gives one number per example, higher being better.

    `outputs` holds the outputs by name, or only the one that `--output` names; the first axis of each, and of `labels`, is the
    examples. The function may say more of itself: `f.better = "lower"`, `f.unit = "ratio"`.
    """

    needs = "labels"

    def __init__(self, word: str, function: Callable[..., Any], output: str | None = None) -> None:
        super().__init__(output)
        if not callable(function):
            raise UsageError(f"it is {type(function).__name__}, not a function", where=word, hint="it is called as f(outputs, labels)")
        self.name = word
        self.function = function
        self.unit = getattr(function, "unit", "")
        self.better = getattr(function, "better", "higher")
        if self.better not in ("higher", "lower"):
            raise UsageError(f"its attribute better is {self.better!r}", where=word, hint="say higher or lower")

    def score(self, outputs: Mapping[str, Array], labels: Array | None = None, reference: Mapping[str, Array] | None = None) -> Array:
        """What the function says of the batch. Raises UsageError when it fails, or gives other than one number per example."""
        if labels is None:
            raise DataError(
                f"{self.name} needs labels, and the data has none", hint="add an array 'labels' with the truth of every example"
            )
        given = dict(outputs) if self.output is None else {self.output: outputs[answer_name(outputs, self.output)]}
        try:
            scores = np.asarray(self.function(given, labels), np.float64)
        except OptkitError:
            raise
        except Exception as error:  # the user's function may raise anything
            what = f"it raised {type(error).__name__}: {error}"
            hint = f"it is called as f(outputs, labels), outputs being a dict of arrays: {describe(given)}"
            raise UsageError(what, where=self.name, hint=hint) from error
        if scores.shape != (len(labels),):
            what = f"it gave an array {list(scores.shape)} for {len(labels)} examples"
            raise UsageError(what, where=self.name, hint="return one number per example, such as (answers == labels)")
        return scores
