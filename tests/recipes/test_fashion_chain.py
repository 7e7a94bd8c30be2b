"""The whole chain on few examples: from the PyTorch teacher to an INT8 file, each step as the recipe has it, only shorter."""

from pathlib import Path

import onnxruntime
import pytest

import optkit
from optkit.plan import make_plan
from optkit.recipe import read_recipe
from optkit.recipe.ready import ready_recipe

pytest.importorskip("torch")
pytest.importorskip("torch_pruning")

ROOT = Path(__file__).parents[2]
SAMPLE = "sample_models/fashion_cnn"
SHORT = [
    f"data.training={SAMPLE}/calibration.npz",
    f"data.calibration={SAMPLE}/calibration.npz",
    f"data.evaluation={SAMPLE}/evaluation.npz[:500]",
    "passes.1.epochs=8",
    "passes.1.batch_size=32",
    "passes.1.training_threads=1",
    "passes.4.training_threads=1",
    "measure.time=1s",
    # a twentieth of the epochs on a hundredth of the examples: it cannot learn more
    "gate.max_drop=45%",
]


@pytest.fixture
def there(no_cold_starts: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the repository's folder, where the code of the sample models is found."""
    monkeypatch.chdir(ROOT)


def test_its_steps_fit_together() -> None:
    plan = make_plan(read_recipe(ready_recipe("fashion_chain").path))
    assert plan.formats == ("torch", "torch", "torch", "onnx", "onnx", "onnx")
    assert plan.extras == ("torch",)


@pytest.mark.slow
@pytest.mark.usefixtures("there")
def test_teacher_to_int8(tmp_path: Path) -> None:
    result = optkit.run(ready_recipe("fashion_chain").path, changes=SHORT, output=tmp_path / "made")

    assert [step.by for step in result.model.lineage] == ["prune_channels", "distill", "export_onnx", "simplify_graph", "quantize_aware"]
    deltas = {delta.metric: delta for delta in result.report.comparisons[0].deltas}
    assert deltas["top1"].before > 0.9, "the teacher is the trained one"
    assert deltas["top1"].after > 0.5, "chance is 0.1"
    assert deltas["size"].after < deltas["size"].before / 12
    assert result.report.verdict is not None
    assert [check.outcome for check in result.report.verdict.checks] == ["passed"] * 3

    session = onnxruntime.InferenceSession(result.model.path)
    assert [port.name for port in session.get_outputs()] == ["logits"]
    assert session.get_inputs()[0].type == "tensor(uint8)"
