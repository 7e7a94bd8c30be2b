"""Losses against labels: PyTorch's own formulas, and what does not fit."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optkit.errors import DataError, UsageError

torch = pytest.importorskip("torch")

from optkit.training import Batch  # noqa: E402
from optkit.training.losses import binary_cross_entropy, cross_entropy, label_loss, mean_squared_error  # noqa: E402

functional = torch.nn.functional


def batch(labels: Any) -> Batch:
    return Batch({}, labels, np.arange(0 if labels is None else len(labels)))


def test_cross_entropy_is_the_mean_of_minus_log_softmax() -> None:
    scores = torch.tensor([[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]])
    by_hand = -np.mean([np.log(np.exp(2.0) / np.exp([1.0, 2.0, 0.5]).sum()), np.log(np.exp(0.0) / np.exp([0.0, -1.0, 3.0]).sum())])
    assert float(cross_entropy(scores, torch.tensor([1, 0]))) == pytest.approx(by_hand, rel=1e-6)


@pytest.mark.parametrize("kind", [torch.uint8, torch.int32, torch.int64])
def test_labels_of_any_whole_type_give_pytorchs_value_and_gradient(kind: Any) -> None:
    torch.manual_seed(0)
    scores, labels = torch.randn(7, 4, requires_grad=True), torch.randint(0, 4, (7,))
    wanted = torch.autograd.grad(functional.cross_entropy(scores, labels), scores)[0]
    torch.testing.assert_close(torch.autograd.grad(cross_entropy(scores, labels.to(kind)), scores)[0], wanted)


def test_sequences_and_images_count_each_position_and_padding_counts_nothing() -> None:
    torch.manual_seed(0)
    scores, labels = torch.randn(3, 5, 4), torch.randint(0, 4, (3, 5))
    labels[0, 3:] = -1
    wanted = functional.cross_entropy(scores.movedim(-1, 1), labels, ignore_index=-1)
    torch.testing.assert_close(cross_entropy(scores, labels), wanted)
    images, classes = torch.randn(2, 4, 6, 7), torch.randint(0, 4, (2, 6, 7))
    torch.testing.assert_close(cross_entropy(images, classes), functional.cross_entropy(images, classes))


def test_shares_of_classes_are_labels_too() -> None:
    scores, shares = torch.randn(3, 4), torch.softmax(torch.randn(3, 4), 1)
    torch.testing.assert_close(cross_entropy(scores, shares), functional.cross_entropy(scores, shares))


def test_values_are_met_whatever_axis_of_length_one_they_have() -> None:
    answer, labels = torch.randn(6, 1), torch.randn(6)
    torch.testing.assert_close(mean_squared_error(answer, labels), functional.mse_loss(answer[:, 0], labels))
    yes = torch.tensor([0, 1, 1, 0, 1, 0])
    wanted = functional.binary_cross_entropy_with_logits(answer[:, 0], yes.float())
    torch.testing.assert_close(binary_cross_entropy(answer, yes), wanted)


def test_the_loss_follows_from_the_labels() -> None:
    scores, one = torch.randn(4, 3), torch.randn(4, 1)
    classes, values = torch.tensor([0, 1, 2, 0]), torch.randn(4)
    loss = label_loss(None, None)
    torch.testing.assert_close(loss({"a": scores}, batch(classes)), cross_entropy(scores, classes))
    torch.testing.assert_close(loss({"a": one}, batch(values)), mean_squared_error(one, values))
    with pytest.raises(UsageError, match="are they classes or values"):
        loss({"a": one}, batch(classes))


def test_the_output_that_is_asked_for_is_learned() -> None:
    answers = {"state": torch.randn(4, 9), "scores": torch.randn(4, 3)}
    labels = torch.tensor([0, 1, 2, 0])
    torch.testing.assert_close(label_loss("cross_entropy", "scores")(answers, batch(labels)), cross_entropy(answers["scores"], labels))
    with pytest.raises(UsageError, match="no output 'score'") as caught:
        label_loss(None, "score")(answers, batch(labels))
    assert "did you mean 'scores'" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("answer", "labels", "says"),
    [
        (torch.zeros(3, 4), torch.tensor([0, 4, 1]), "label 4 is no class of the model, which has 4"),
        (torch.zeros(3, 4), torch.tensor([0, -2, 1]), "label -2 is no class"),
        (torch.zeros(3, 4), torch.zeros(3, 2, dtype=torch.int64), "the labels are \\[3, 2\\]"),
    ],
)
def test_labels_that_do_not_fit_are_told(answer: Any, labels: Any, says: str) -> None:
    with pytest.raises(DataError, match=says):
        cross_entropy(answer, labels)


def test_no_labels_and_unknown_words_are_told() -> None:
    with pytest.raises(DataError, match="training needs labels"):
        label_loss(None, None)({"a": torch.zeros(1, 2)}, batch(None))
    with pytest.raises(UsageError, match="no loss is called 'crossentropy'") as caught:
        label_loss("crossentropy", None)
    assert "did you mean 'cross_entropy'" in str(caught.value.hint)


def test_a_function_of_the_user_is_called_with_outputs_and_labels(tmp_path: Path) -> None:
    (tmp_path / "optkit_own_loss.py").write_text(
        "def hinge(outputs, labels): return (1 - outputs['a'] * labels).clamp(min=0)\n"
        "def silent(outputs, labels): return 3.0\n"
        "def broken(outputs, labels): return outputs['b']\n"
    )
    answer, labels = torch.tensor([0.5, -2.0], requires_grad=True), torch.tensor([1.0, -1.0])
    loss = label_loss("optkit_own_loss:hinge", None, str(tmp_path))
    assert float(loss({"a": answer}, batch(labels)).detach()) == pytest.approx(0.25)
    for name, says in (("silent", "nothing that weights could be learned from"), ("broken", "raised KeyError")):
        with pytest.raises(UsageError, match=says):
            label_loss(f"optkit_own_loss:{name}", None, str(tmp_path))({"a": answer}, batch(labels))
