"""DynamicQuantizeLSTM on this CPU and on an emulated one without VNNI."""

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
from onnx import numpy_helper, parser

from optkit.quantization.variants.build import build
from optkit.quantization.variants.learned import Learned
from optkit.quantization.variants.treatment import Treatment, Way

from .emulated import needs_emulator, on_haswell, run_all

pytestmark = needs_emulator

GRAPH = """<ir_version: 8, opset_import: ["" : 17]> g (float[5,1,32] x) => (float[5,1,1,32] y) {
    y = LSTM<hidden_size=32>(x, w, r) }"""


def test_weights_of_one_sign_answer_alike_when_portable_and_not_when_native(tmp_path: Path) -> None:
    """All weights near their largest value: every pair of products leaves 16 bits, and gates stay open enough to show it."""
    random = np.random.default_rng(0)
    proto = parser.parse_model(GRAPH)
    for name in "wr":
        array = (random.uniform(0.7, 1, (1, 128, 32)) * 0.02).astype(np.float32)
        proto.graph.initializer.append(numpy_helper.from_array(array, name))
    proto.graph.node[0].name = "lstm"
    for name, portable in (("portable", True), ("native", False)):
        made = build(ir.from_proto(proto), Treatment("dynamic", {"lstm": Way.DYNAMIC}, portable=portable), Learned())
        onnx.save(ir.to_proto(made), tmp_path / f"{name}.onnx")
        np.savez(tmp_path / f"{name}.npz", x=random.uniform(0.5, 1, (5, 1, 32)).astype(np.float32))
    here, haswell = run_all(tmp_path), on_haswell(tmp_path)
    np.testing.assert_allclose(here("portable"), haswell("portable"), rtol=1e-4)
    assert np.abs(here("native") - haswell("native")).max() > 0.05 * np.abs(here("native")).max()
