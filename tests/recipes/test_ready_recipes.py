"""Every ready recipe does what it says, on the sample model that it names."""

from pathlib import Path

import onnxruntime
import pytest

import optkit
from optkit.manifest import changes
from optkit.plan import make_plan
from optkit.plan.preview import preview
from optkit.recipe import read_recipe
from optkit.recipe.ready import Ready, ready_recipes

SMALLER = {"int8_cnn": 0.3, "int8_transformer": 0.4, "int8_without_data": 0.35, "fp16_gpu": 0.55, "smallest_file": 0.3}
"""Bytes after / before, at most."""
CHAINS = {"fashion_chain", "text_teacher", "text_chain"}
"""They train on data that is fetched: files of tests of their own run them in small."""
RECIPES = [ready for ready in ready_recipes() if ready.name not in CHAINS]
CUDA = "CUDAExecutionProvider" in onnxruntime.get_available_providers()


def changed(ready: Ready) -> list[str]:
    """Shorter, and on the CPU where there is no GPU."""
    here = ["measure.devices=cpu", "measure.batches=1"] if ready.name == "fp16_gpu" and not CUDA else []
    return ["measure.time=1s", *here]


def test_every_recipe_is_tried() -> None:
    assert {ready.name for ready in RECIPES} == set(SMALLER)


@pytest.mark.parametrize("ready", RECIPES, ids=lambda ready: ready.name)
def test_it_can_be_run(ready: Ready) -> None:
    seen = preview(make_plan(read_recipe(ready.path, changed(ready))), None)
    assert seen.steps
    assert not seen.remarks, "no example serves two purposes"


@pytest.mark.slow
@pytest.mark.usefixtures("no_cold_starts")
@pytest.mark.parametrize("ready", RECIPES, ids=lambda ready: ready.name)
def test_it_keeps_its_promise(ready: Ready, tmp_path: Path) -> None:
    result = optkit.run(ready.path, changes=changed(ready), output=tmp_path / "made")
    assert result.report.verdict is not None
    assert result.report.verdict.outcome == "passed"
    assert changes(result.model.path) == []
    deltas = {delta.metric: delta for delta in result.report.comparisons[0].deltas}
    assert deltas["size"].after <= SMALLER[ready.name] * deltas["size"].before
    if ready.name != "int8_without_data":
        assert deltas["top1"].gain >= -0.01
