from pathlib import Path

import numpy as np
import pytest

from optkit.arrays import Array
from optkit.errors import DataError, UsageError
from optkit.metrics import Metric, default_metrics, find_metric
from optkit.registry import members

WORDS = members("metrics")
MODULE = """
import numpy as np
from optkit.errors import DataError

def first_letter(outputs, labels):
    return outputs["y"].argmax(1) == labels

def loss(outputs, labels):
    return [1.0] * len(labels)

loss.better, loss.unit = "lower", "s"

def names(outputs, labels):
    return [len(outputs)] * len(labels)

def total(outputs, labels):
    return 3.0

def broken(outputs, labels):
    return outputs["z"]

def refuses(outputs, labels):
    raise DataError("not these labels")

def odd(outputs, labels):
    return labels

odd.better = "bigger"
number = 3
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "my_metrics.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "my_metrics", raising=False)
    return "my_metrics"


OUTPUTS: dict[str, Array] = {"y": np.eye(3, dtype=np.float32), "h": np.zeros((3, 2), np.float32)}
LABELS = np.array([0, 1, 0])


@pytest.mark.parametrize("word", WORDS)
def test_every_file_is_a_metric_called_as_its_file(word: str) -> None:
    metric = find_metric(word, "y")
    assert isinstance(metric, Metric)
    assert (metric.name, metric.output) == (word, "y")
    assert metric.needs in ("labels", "reference")
    assert type(metric).__doc__


def test_an_unknown_word_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no metric is called 'top_1'\nhint: did you mean 'top1'"):
        find_metric("top_1")


@pytest.mark.parametrize(("word", "ours"), [("accuracy", "top1"), ("mse", "mean_squared_error"), ("auc", "auroc")])
def test_other_names_lead_to_ours(word: str, ours: str) -> None:
    with pytest.raises(UsageError) as caught:
        find_metric(word)
    assert str(caught.value.hint).startswith(f"did you mean {ours!r}? known: agreement, auroc, ")


def test_a_function_scores(module: str) -> None:
    metric = find_metric(f"{module}:first_letter")
    assert metric.score(OUTPUTS, LABELS).tolist() == [1, 1, 0]
    assert (metric.name, metric.unit, metric.better, metric.needs) == (f"{module}:first_letter", "", "higher", "labels")


def test_a_function_says_more_of_itself(module: str) -> None:
    metric = find_metric(f"{module}:loss")
    assert (metric.unit, metric.better) == ("s", "lower")


def test_a_function_gets_the_output_asked_for(module: str) -> None:
    assert find_metric(f"{module}:names").score(OUTPUTS, LABELS).tolist() == [2, 2, 2]
    assert find_metric(f"{module}:names", "h").score(OUTPUTS, LABELS).tolist() == [1, 1, 1]
    with pytest.raises(UsageError, match="the model has no output 'x'"):
        find_metric(f"{module}:names", "x").score(OUTPUTS, LABELS)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("total", "it gave an array [] for 3 examples"),
        ("broken", "it raised KeyError: 'z'"),
        ("odd", "its attribute better is 'bigger'"),
        ("number", "it is int, not a function"),
        ("los", "module 'my_metrics' has nothing called 'los'"),
    ],
)
def test_functions_that_cannot_be_used(module: str, name: str, what: str) -> None:
    with pytest.raises(UsageError) as caught:
        find_metric(f"{module}:{name}").score(OUTPUTS, LABELS)
    assert (caught.value.where, caught.value.what) == (f"{module}:{name}", what)
    assert caught.value.hint


def test_errors_meant_for_the_user_pass_through(module: str) -> None:
    with pytest.raises(DataError, match=r"^not these labels$"):
        find_metric(f"{module}:refuses").score(OUTPUTS, LABELS)


def test_a_function_needs_labels(module: str) -> None:
    with pytest.raises(DataError, match="needs labels"):
        find_metric(f"{module}:loss").score(OUTPUTS)


ROWS, SCORES = np.zeros((4, 3), np.float32), np.zeros((4, 1), np.float32)


@pytest.mark.parametrize(
    ("labels", "answer", "chosen"),
    [
        (None, ROWS, []),
        (np.array([0, 1, 2, 0]), ROWS, ["top1"]),
        (np.array([0, 1, 1, 0]), ROWS, ["top1"]),
        (np.array([0, 1, 2, 0]), np.zeros(4, np.int64), ["top1"]),
        (np.array([0, 1, 1, 0]), SCORES, ["auroc"]),
        (np.array([False, True, True, False]), SCORES, ["auroc"]),
        (np.array([3, 1, 2, 9]), SCORES, ["mean_absolute_error"]),
        (np.array([0.5, 1, 2, 0]), SCORES, ["mean_absolute_error"]),
        (np.zeros((4, 3)), ROWS, ["mean_absolute_error"]),
        (np.zeros((4, 2)), ROWS, []),
        (np.zeros((4, 3), np.int64), ROWS, []),
        (np.zeros((4, 3), np.int64), np.zeros((4, 3, 9), np.float32), []),
        (np.array([0, 1, 2, 0]), np.zeros((4, 5, 9), np.float32), []),
        (np.array(["a", "b", "c", "d"]), ROWS, []),
        (np.array([0.5, 1, np.nan, 0]), SCORES, []),
    ],
)
def test_what_is_measured_when_nothing_is_asked_for(labels: Array | None, answer: Array, chosen: list[str]) -> None:
    angle = ["cosine"] if answer[0].size > 1 else []  # of a single number it would be 1 whatever the number
    assert [metric.name for metric in default_metrics(labels, {"y": answer})] == [*chosen, "agreement", *angle, "sqnr"]


def test_answers_that_are_text_are_right_or_wrong_and_have_no_angle() -> None:
    text, truth = np.array(["cat", "dog", "cow", "cat"], object), np.array(["cat", "cow", "cow", "cat"])
    metrics = default_metrics(truth, {"y": text})
    assert [metric.name for metric in metrics] == ["exact_match", "agreement"]
    assert metrics[0].score({"y": text}, truth).tolist() == [1, 0, 1, 1]
    assert [metric.name for metric in default_metrics(np.array([0, 1, 1, 0]), {"y": text})] == ["agreement"]


def test_the_output_asked_for_decides_what_is_measured() -> None:
    outputs = {"y": ROWS, "p": SCORES}
    labels = np.array([0, 1, 1, 0])
    assert default_metrics(labels, outputs)[0].name == "top1"
    assert next((metric.name, metric.output) for metric in default_metrics(labels, outputs, "p")) == ("auroc", "p")


def test_more_labels_than_answers_decide_what_is_measured() -> None:
    """The answers are those of the first examples only; a class that comes later counts."""
    assert default_metrics(np.array([0, 1, 1, 0, 2]), {"y": SCORES})[0].name == "mean_absolute_error"
