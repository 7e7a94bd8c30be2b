"""What float16 makes of constants."""

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from optkit.quantization.half import constants
from optkit.quantization.half.constants import Seen, let_go, look_at

RNG = np.random.default_rng(0)


def constant(array: np.ndarray) -> ir.Value:
    value = ir.Value(name="w", const_value=ir.tensor(array.astype(np.float32), name="w"))
    ir.Graph([], [], nodes=[], initializers=[value], name="g")
    return value


@pytest.mark.parametrize("pieces", [3, 1 << 20])
@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (RNG.normal(size=(4, 5)), Seen(False, False, False)),
        (np.array([[1, 2, 3, 7e4]]), Seen(True, False, False)),
        (np.array([[1, np.inf, -np.inf, np.nan]]), Seen(False, False, False)),
        (RNG.normal(size=20) * 1e-9, Seen(False, False, True)),
        (np.array(1e-12), Seen(False, True, False)),
        (np.array(0.0), Seen(False, False, False)),
        (np.zeros((0, 3)), Seen(False, False, False)),
    ],
)
def test_what_is_lost(array: np.ndarray, expected: Seen, pieces: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "AT_ONCE", pieces)
    assert look_at(constant(array)) == expected


def test_weights_beside_the_model_are_let_go_and_read_again(tmp_path: Path) -> None:
    array = RNG.normal(size=64).astype(np.float32)
    (tmp_path / "w.bin").write_bytes(array.tobytes())
    tensor = ir.ExternalTensor("w.bin", 0, array.nbytes, ir.DataType.FLOAT, shape=ir.Shape([64]), name="w", base_dir=tmp_path)
    value = ir.Value(name="w", const_value=tensor)
    ir.Graph([], [], nodes=[], initializers=[value], name="g")
    assert look_at(value) == Seen(False, False, False)
    assert tensor.raw is None
    held = tensor.numpy()
    let_go(value)  # somebody reads it yet
    np.testing.assert_array_equal(held, array)
