"""Which rows are worth showing."""

import pytest

from optkit.compare import Comparison, Delta
from optkit.reports._places import Place, rows_of


def delta(metric: str, before: float, after: float, threads: int | None = None) -> Delta:
    gain = 1 - after / before
    return Delta(metric, "cpu", 1, "bytes", "lower", before, after, gain, gain, gain, "better", "exact", 1, threads=threads)


@pytest.mark.parametrize(("packed", "shown"), [((90.0, 45.0), False), ((90.0, 20.0), True), ((50.0, 50.0), True)])
def test_a_compressed_size_has_a_row_where_it_says_more_than_the_size(packed: tuple[float, float], shown: bool) -> None:
    found = Comparison("a", "b", (delta("size", 100.0, 50.0), delta("compressed_size", *packed)))
    assert ("compressed_size" in rows_of(found, Place("cpu", 1, 1))) == shown


@pytest.mark.parametrize(("threads", "shown"), [(1, False), (2, True), (0, True)])
def test_cpu_time_has_a_row_with_several_threads(threads: int, shown: bool) -> None:
    found = Comparison("a", "b", (delta("cpu_time", 2.0, 1.0, threads),))
    assert ("cpu_time" in rows_of(found, Place("cpu", 1, threads))) == shown


def test_each_number_of_threads_has_rows_of_its_own() -> None:
    found = Comparison("a", "b", (delta("latency_median", 2.0, 1.0, 1), delta("latency_median", 3.0, 1.0, 2)))
    assert [rows_of(found, Place("cpu", 1, count))["latency_median"].before for count in (1, 2)] == [2.0, 3.0]
    assert rows_of(found, Place("cpu", 1, 3)) == {}
