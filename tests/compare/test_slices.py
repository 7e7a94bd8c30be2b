"""Which part of the data paid."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optkit.artifact import Artifact
from optkit.compare import Slice, compare_all, sliced
from optkit.compare.slices import cut_into
from optkit.errors import DataError, UsageError
from optkit.measure import Machine, Measurement
from optkit.metrics import SetMetric, find_metric
from optkit.samples import Samples

MACHINE = Machine("Linux", "a CPU", 2, (), {})


def measured(name: str, *samples: Samples, device: str = "cpu") -> Measurement:
    return Measurement(Artifact(Path(name), "onnx", name), name, device, 1, 1, MACHINE, samples, {})


def right(values: Any, **more: Any) -> Samples:
    return Samples("top1", "ratio", "higher", tuple(np.asarray(values, float).tolist()), "example", **more)


def slices(before: Samples, *afters: Samples, by: dict[str, tuple[str, ...]]) -> tuple[Slice, ...]:
    rows = [measured("a", before), *(measured(f"b{i}", after) for i, after in enumerate(afters))]
    return sliced(compare_all(rows), rows, by)[-1].slices


NAMES = tuple(np.repeat(["cat", "dog", "owl"], 100).tolist())
BEFORE = np.ones(300)
AFTER = np.r_[np.ones(100), np.zeros(30), np.ones(70), np.zeros(1), np.ones(99)]


def test_the_class_that_paid_comes_first_and_only_it_is_beyond_chance() -> None:
    found = slices(right(BEFORE), right(AFTER), by={"label": NAMES})
    assert [(each.value, each.examples, each.delta.verdict) for each in found] == [
        ("dog", 100, "worse"),
        ("owl", 100, "undecided"),
        ("cat", 100, "same"),
    ]
    dog = found[0]
    assert (dog.by, dog.delta.metric, dog.delta.n) == ("label", "top1", 100)
    assert dog.delta.after == pytest.approx(0.7)
    assert dog.delta.p is not None
    assert dog.corrected == pytest.approx(3 * dog.delta.p)


def test_many_slices_need_more_to_be_sure_of_one() -> None:
    """Six of six lost in one slice: p = 1/32, beyond chance alone and not among twenty."""
    names = tuple(str(i // 10) for i in range(200))
    after = np.ones(200)
    after[:6] = 0
    alone = slices(right(np.ones(10)), right(after[:10]), by={"part": names[:10]})
    assert alone[0].delta.verdict == "worse"
    assert alone[0].corrected == pytest.approx(2 / 64)
    found = slices(right(np.ones(200)), right(after), by={"part": names})
    assert (found[0].value, found[0].delta.verdict) == ("0", "undecided")
    assert found[0].corrected == pytest.approx(20 / 32)


@pytest.mark.slow
def test_no_false_alarms_where_both_models_are_equally_good() -> None:
    rng = np.random.default_rng(4)
    alarms = 0
    for _ in range(100):
        found = slices(right(rng.random(400) < 0.85), right(rng.random(400) < 0.85), by={"c": tuple(str(i % 10) for i in range(400))})
        alarms += any(each.delta.verdict in ("worse", "better") for each in found)
    assert alarms <= 10


def test_groups_stay_together_and_scores_that_are_no_shares_are_bootstrapped() -> None:
    groups = tuple(np.arange(300) // 5)
    found = slices(right(BEFORE, groups=groups), right(AFTER, groups=groups), by={"label": NAMES})
    assert found[0].delta.method == "paired bootstrap over groups"
    assert found[0].delta.n == 20


def test_f1_by_label_is_that_of_each_class() -> None:
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 3, 90), rng.normal(size=(90, 3)).astype(np.float32)
    metric = find_metric("f1_macro")
    assert isinstance(metric, SetMetric)
    made = []
    for tilt in (2, 1):
        parts = metric.parts({"y": scores + tilt * np.eye(3, dtype=np.float32)[labels]}, labels)
        rows = tuple(tuple(row.tolist()) for row in parts)
        made.append(Samples("f1_macro", "ratio", "higher", (0.0,) * 90, "example", "f1_macro", parts=rows))
    found = {each.value: each.delta.after for each in slices(*made, by={"label": tuple(map(str, labels))})}
    from sklearn.metrics import f1_score

    expected = f1_score(labels, (scores + np.eye(3)[labels]).argmax(1), average=None)
    assert [found[str(i)] for i in range(3)] == pytest.approx(expected.tolist())


def test_average_precision_by_label_is_that_of_each_class() -> None:
    """Class 0 is found in the only image that has it, class 1 is not."""
    row = (2.0, 0.0, 1.0, 1.0, 2.0, 0.9, 0.0, 1023.0, 0.8, 1.0, 0.0)
    made = Samples("mean_average_precision", "ratio", "higher", (1.0, 1.0), "example", "average_precision", parts=(row, (0.0,)))
    found = {each.value: (each.examples, each.delta.after) for each in slices(made, made, by={"label": ()})}
    assert found == {"0": (1, 1.0), "1": (1, 0.0)}


def test_what_a_slice_cannot_have_is_left_out() -> None:
    auc = Samples("auroc", "ratio", "higher", tuple(np.linspace(0, 1, 40)), "example", "auroc", labels=(0.0, 1.0) * 20)
    assert slices(auc, auc, by={"label": ("0", "1") * 20}) == ()
    assert len(slices(auc, auc, by={"half": ("x",) * 20 + ("y",) * 20})) == 2


def test_without_accuracy_agreement_is_sliced() -> None:
    agreement = Samples("agreement", "ratio", "higher", tuple(AFTER.tolist()), "example")
    rows = [measured("a"), measured("b", agreement)]
    (found,) = sliced(compare_all(rows), rows, {"label": NAMES})
    assert [each.value for each in found.slices] == ["dog", "owl", "cat"]
    assert found.slices[0].corrected is None


def test_columns_become_slices() -> None:
    assert cut_into("c", np.array(["x", "y", "x"]), "d.npz") == ("x", "y", "x")
    assert cut_into("c", np.array([[1], [2], [1]]), "d.npz") == ("1", "2", "1")
    assert cut_into("c", np.array([0.5, 1.0, 0.5]), "d.npz") == ("0.5", "1", "0.5")
    many = cut_into("brightness", np.arange(100) / 100, "d.npz")
    assert list(dict.fromkeys(many)) == ["0 to 0.2475", "0.2475 to 0.495", "0.495 to 0.7425", "0.7425 to 0.99"]
    assert {many.count(name) for name in many} == {25}
    assert "unknown" in cut_into("brightness", np.r_[np.arange(99) / 100, np.nan], "d.npz")
    assert len(set(cut_into("label", np.arange(60) % 30, "d.npz"))) == 30
    assert cut_into("label", np.zeros((3, 2)), "d.npz") == ()


def test_columns_that_cannot_be_sliced_by() -> None:
    with pytest.raises(UsageError, match="5 different values"):
        cut_into("id", np.array(list("abcde")), "d.npz")
    with pytest.raises(DataError, match="2 values per example"):
        cut_into("c", np.zeros((3, 2)), "d.npz")
    with pytest.raises(DataError, match="no such thing in the data"):
        cut_into("label", None, "d.npz")
