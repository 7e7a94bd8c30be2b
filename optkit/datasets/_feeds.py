"""Feeds that come one at a time, made into arrays whose first axis is the examples."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from optkit.arrays import Array
from optkit.datasets._fit import BESIDE
from optkit.errors import DataError


def stack_feeds(source: str, feeds: Iterable[Mapping[str, Any]], names: Iterable[str]) -> dict[str, Array]:
    """One array per input, an example being one feed.

    Feeds whose inputs all have a first axis of length 1 are batches of one: the examples are joined along it, so that they can be
    run in larger batches too. Any other feed is stacked along a new axis and stays whole. Raises DataError when feeds differ.
    """
    rows = [{name: np.asarray(value) for name, value in feed.items()} for feed in feeds]
    if not rows:
        raise DataError("it gave no feeds", where=source, hint="each example is one feed: the arrays of one run by input name")
    beside = set(BESIDE) - set(names)
    first = rows[0]
    for number, row in enumerate(rows):
        if row.keys() != first.keys():
            what = f"feed {number} has {', '.join(row) or 'nothing'}, feed 0 has {', '.join(first) or 'nothing'}"
            raise DataError(what, where=source, hint="every feed needs the same names")
        for name in row.keys() - beside:
            if row[name].shape != first[name].shape:
                what = f"{name!r} is {list(row[name].shape)} in feed {number}, {list(first[name].shape)} in feed 0"
                raise DataError(what, where=source, hint="bring all examples to one size, for instance by padding")
    batches = all(array.shape[:1] == (1,) for row in rows for name, array in row.items() if name not in beside)
    join = np.concatenate if batches else np.stack
    arrays = {name: join([row[name] for row in rows]) for name in first if name not in beside}
    return arrays | {name: _one_each(source, name, [row[name] for row in rows]) for name in first if name in beside}


def _one_each(source: str, name: str, values: list[Array]) -> Array:
    """Labels or groups: of equal shape, an axis of length 1 in front dropped."""
    if len({value.shape for value in values}) > 1:
        raise DataError(f"{name!r} has another shape in some feeds", where=source, hint="pad sequences of labels with -1")
    stacked = np.stack(values)
    return stacked[:, 0] if stacked.ndim > 1 and stacked.shape[1] == 1 else stacked
