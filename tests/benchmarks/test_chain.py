"""Intervals over seeds, and what is trained to be compared with what."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

pytest.importorskip("torch")

import chain

from optkit.passes.distill import Distill
from optkit.passes.finetune import Finetune
from optkit.plan import make_plan
from optkit.recipe import read_recipe


def test_intervals_are_students_over_seeds() -> None:
    values = [0.921, 0.930, 0.926]
    low, high = stats.t.interval(0.95, 2, loc=sum(values) / 3, scale=stats.sem(values))
    assert chain.percent(values) == f"92.57 ({100 * low:.2f} to {100 * high:.2f})"
    assert chain.percent([0.01, 0.01], signed=True) == "+1.00"
    assert chain.percent([0.5]) == "50.00"


def made(name: str, *changes: str) -> Mapping[str, Any]:
    kept = chain.CHAINS[name]
    return kept.made(make_plan(read_recipe(chain.RECIPES / f"{kept.recipe}.yaml", changes)))


SAME = ("batch_size", "optimizer", "learning_rate", "weight_decay", "validation", "mask")


def test_the_rival_of_distillation_is_trained_just_as_long_without_a_teacher() -> None:
    models = made("fashion")
    (pruned, plain), (same, distilled) = models[chain.PLAIN][1], models[chain.DISTILLED][1]
    assert pruned == same
    assert isinstance(plain, Finetune)
    assert isinstance(distilled, Distill)
    for name in ("epochs", *SAME):
        assert getattr(plain, name) == getattr(distilled, name)


def test_the_rival_of_text_starts_as_the_student_and_learns_from_labels(tmp_path: Path) -> None:
    (tmp_path / "teacher.safetensors").touch()  # it is trained first, by another recipe
    models = made("text", f"model.weights={tmp_path / 'teacher.safetensors'}")
    ((plain,), (distilled,)) = models[chain.PLAIN][1], models[chain.DISTILLED][1]
    for name in ("student", "start_from", "epochs", *SAME):
        assert getattr(plain, name) == getattr(distilled, name)
    assert plain.label_share > 0.999
    assert not plain.hidden


def test_sizes_are_relative_to_the_teacher() -> None:
    scores = [dict.fromkeys(chain.FILES, 0.9), dict.fromkeys(chain.FILES, 0.92)]
    sizes = {**dict.fromkeys(chain.FILES, 250_000), chain.TEACHER: 1_000_000}
    lines = chain.table(scores, sizes, {chain.AWARE: "3×"}, [(chain.DISTILLED, chain.PLAIN)])
    assert next(line for line in lines if line.startswith(f"| {chain.AWARE} |")).endswith("| 250 kB, 1/4.0 | 3× |")
    assert next(line for line in lines if line.startswith(f"| {chain.DISTILLED} − ")).endswith("| +0.00 |")
