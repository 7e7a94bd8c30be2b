import onnx
import onnx_ir as ir
import pytest
from onnx import parser

from optkit.errors import ModelError
from optkit.formats import onnx_fuse


def model(body: str) -> ir.Model:
    return ir.from_proto(onnx.shape_inference.infer_shapes(parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> g {body}')))


@pytest.mark.parametrize(
    ("shape", "found"),
    [("{0, 0, 12, 32}", (12, 384)), ("{2, 7, -1, 64}", (6, 384)), ("{0, 0, 1, 384}", (0, 0))],
)
def test_heads_are_read_from_the_reshape_that_splits_them(shape: str, found: tuple[int, int]) -> None:
    split = f"(float[2,7,384] x) => (float[a,b,c,d] y) {{ s = Constant<value = int64[4] {shape}>() y = Reshape(x, s) }}"
    assert onnx_fuse.attention_size(model(split)) == found


def test_a_model_without_heads_has_none() -> None:
    assert onnx_fuse.attention_size(model("(float[2,3] x) => (float[2,3] y) { y = Relu(x) }")) == (0, 0)


@pytest.mark.slow
def test_fusions_that_break_are_an_error_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_fuse, "attention_size", lambda model: ("many", 384))
    with pytest.raises(ModelError, match=r"the transformer fusions break on this model: ValueError: .*'many'"):
        onnx_fuse.fuse(model("(float[2,3] x) => (float[2,3] y) { y = Relu(x) }"))


def test_fusions_that_do_not_end_are_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_fuse, "LONGEST", 0.01)
    with pytest.raises(ModelError, match="did not end"):
        onnx_fuse.fuse(model("(float[2,3] x) => (float[2,3] y) { y = Relu(x) }"))
