"""Quantized sample models, and products with weights in groups, on this CPU and on an emulated ARM."""

from collections.abc import Callable

import numpy as np
import pytest

from optkit.arrays import Array
from optkit.formats import read_artifact
from optkit.passes.quantize_dynamic import QuantizeDynamic
from optkit.passes.quantize_static import QuantizeStatic

from . import test_portable_weights as weights
from .emulated import needs_arm64, on_arm64, run_all
from .test_portable import SAME, SAMPLES, likeness, quantized

pytestmark = needs_arm64


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Callable[[str], Array], Callable[[str], Array]]:
    folder = tmp_path_factory.mktemp("models")
    assert "arm64" in quantized("fashion_cnn", QuantizeStatic(), folder)
    assert "arm64" in quantized("trec_transformer", QuantizeDynamic(), folder)
    for bits in (4, 8):
        weights.quantized(read_artifact(SAMPLES / "trec_transformer/model.onnx"), folder / f"trec_{bits}.onnx", bits)
    for bits, size in weights.EXTREMES:
        weights.extreme(folder / f"extreme_{bits}_{size}.onnx", bits, size)
    return run_all(folder), on_arm64(folder)


@pytest.mark.parametrize("name", ["fashion_cnn_portable", "trec_transformer_portable"])
def test_a_portable_file_answers_the_same_on_both(name: str, both: tuple[Callable[[str], Array], Callable[[str], Array]]) -> None:
    here, arm64 = both
    assert likeness(here(name), arm64(name)) > SAME


@pytest.mark.parametrize("bits", [4, 8])
def test_weights_in_groups_answer_nearly_the_same(bits: int, both: tuple[Callable[[str], Array], Callable[[str], Array]]) -> None:
    here, arm64 = both
    assert likeness(here(f"trec_{bits}"), arm64(f"trec_{bits}")) > SAME


@pytest.mark.parametrize(("bits", "size"), weights.EXTREMES)
def test_nothing_saturates(bits: int, size: int, both: tuple[Callable[[str], Array], Callable[[str], Array]]) -> None:
    top = 2**bits - 1
    found = both[1](f"extreme_{bits}_{size}")
    np.testing.assert_allclose(found[0], np.where(np.arange(8) % 2, -top, top) * 0.01 * 3 * 256, rtol=1e-4)
