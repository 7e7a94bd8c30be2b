"""A small model, its data, and passes for plans to name."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from pydantic import Field

from optkit.passes import Job, OnnxPass, Pass
from optkit.recipe import Recipe, read_recipe

TEXT = f"""
<ir_version: 9, opset_import: ["" : 17]>
small (float[N, 3] x) => (float[N, 40] y)
<float[3, 40] w = {{{", ".join(map(str, range(120)))}}}> {{ y = MatMul(x, w) }}
"""


class Scale(OnnxPass):
    """Multiplies the weights."""

    by: float = Field(2.0, gt=0, description="Factor.")

    def edit(self, model: ir.Model, job: Job) -> ir.Model:
        job.note("scaled_by", self.by)
        weights = model.graph.initializers["w"]
        assert weights.const_value is not None
        weights.const_value = ir.tensor(weights.const_value.numpy() * np.float32(self.by))
        return model


class Calibrated(Scale):
    """Needs examples."""

    draws: ClassVar[str | None] = "calibration"


class Melt(Pass):
    """Gives what no other pass takes."""

    gives: ClassVar[str] = "torch"


class NeedsLibrary(Scale):
    """Needs what is not there."""

    needs: ClassVar[tuple[str, ...]] = ("loadgen",)


@pytest.fixture(autouse=True)
def added_passes(add_passes: Callable[[Mapping[str, type[Pass]]], None], monkeypatch: pytest.MonkeyPatch) -> None:
    add_passes({"scale": Scale, "calibrated": Calibrated, "melt": Melt, "needs_library": NeedsLibrary})
    monkeypatch.setattr("optkit.plan.has", lambda extra: extra != "loadgen")


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[..., Recipe]:
    """A recipe from lines of YAML, beside a model and data with labels, without, and with labels of another kind."""
    onnx.save(onnx.parser.parse_model(TEXT), tmp_path / "m.onnx")
    x = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)
    np.savez(tmp_path / "d.npz", x=x, labels=np.arange(40) % 40)
    np.savez(tmp_path / "c.npz", x=x[:20] + 1)
    np.savez(tmp_path / "odd.npz", x=x, labels=np.zeros((40, 7), int))

    def read(*lines: str, overrides: tuple[str, ...] = ()) -> Recipe:
        file = tmp_path / "r.yaml"
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return read_recipe(file, overrides)

    return read
