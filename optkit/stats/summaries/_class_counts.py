"""Right and wrong answers counted by class."""

from abc import abstractmethod

import numpy as np

from optkit.arrays import Array
from optkit.stats.summaries import Additive, Rows


class ClassCounts(Additive):
    """Made of how often each class was found rightly, found wrongly, and missed, over all examples.

    A row of `parts` holds four numbers for each class that occurs in the example, in its truth or in its answer: the class, true
    positives, false positives, false negatives. Classes that occur in no example of a draw do not count in it.
    """

    def __init__(self, values: Array, parts: Rows, labels: Array) -> None:
        from scipy.sparse import csr_array

        rows = [np.asarray(row, np.float64).reshape(-1, 4) for row in parts]
        every = np.concatenate(rows) if rows else np.zeros((0, 4))
        names, numbers = np.unique(every[:, 0], return_inverse=True)
        example = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
        places = (np.tile(example, 3), np.concatenate([numbers + len(names) * i for i in range(3)]))
        self.moments = csr_array((every[:, 1:].T.ravel(), places), shape=(len(rows), 3 * len(names)))

    def of(self, sums: Array) -> Array:
        counts = sums.reshape(len(sums), 3, -1)
        return self.made_of(counts[:, 0], counts[:, 1], counts[:, 2])

    @abstractmethod
    def made_of(self, right: Array, wrong: Array, missed: Array) -> Array:
        """[draws], of counts [draws, classes]."""


def mean_where_known(values: Array) -> Array:
    """The mean over the last axis of what is not NaN; NaN where nothing is."""
    known = ~np.isnan(values)
    count = known.sum(axis=-1)
    total = np.where(known, values, 0).sum(axis=-1)
    found: Array = np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)
    return found
