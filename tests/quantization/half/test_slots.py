import onnx_ir as ir
import pytest
from onnx import parser

from optkit.quantization.half.slots import slots_of


def node(line: str, domain: str = "", opset: int = 17) -> tuple[ir.Node, dict[str, int]]:
    imports = f'"" : {opset}' + (f', "{domain}" : 1' if domain else "")
    proto = parser.parse_model(f"<ir_version: 8, opset_import: [{imports}]> g (float[N,4] x) => (float[N,4] y) {{ {line} }}")
    model = ir.from_proto(proto)
    return next(iter(model.graph)), dict(model.opset_imports)


@pytest.mark.parametrize(
    ("line", "inputs", "outputs"),
    [
        ("y = MatMul(x, w)", (True, True), (True,)),
        ("y = Resize(x, roi, scales)", (True, False, False), (True,)),
        ("y, mean, deviation = LayerNormalization(x, gain, shift)", (True, True, True), (True, False, False)),
        ("y = Concat<axis = 0>(x, x, x)", (True, True, True), (True,)),
        ("y, i = TopK(x, k)", (True, False), (True, False)),
        ("y = Where(c, x, x)", (False, True, True), (True,)),
        ("y = Gather(x, i)", (True, False), (True,)),
        ("a, b, c = Split(x)", (True,), (True, True, True)),
    ],
)
def test_the_schema_says_what_may_be_float16(line: str, inputs: tuple[bool, ...], outputs: tuple[bool, ...]) -> None:
    slots = slots_of(*node(line))
    assert slots is not None
    assert (slots.inputs, slots.outputs) == (inputs, outputs)


@pytest.mark.parametrize(
    ("line", "domain"),
    [
        ("y = Range(a, b, c)", ""),
        ("y = Cast<to = 1>(x)", ""),
        ("y = Shape(x)", ""),
        ("y = QuantizeLinear(x, s, z)", ""),
        ("y = their.Magic(x)", "their"),
        ("y = ai.onnx.ml.Normalizer(x)", "ai.onnx.ml"),
        ("y = NoSuchOperator(x)", ""),
        ("y = If (c) < then_branch = t () => (p) { p = Relu(x) }, else_branch = e () => (q) { q = Neg(x) } >", ""),
    ],
)
def test_what_has_no_float16_form_is_left_alone(line: str, domain: str) -> None:
    assert slots_of(*node(line, domain)) is None


def test_operators_of_onnx_runtime_are_known() -> None:
    slots = slots_of(*node("y = com.microsoft.SkipLayerNormalization(x, x, gain)", "com.microsoft"))
    assert slots is not None
    assert slots.inputs == (True, True, True)


def test_each_opset_has_its_own_answer() -> None:
    """Clip and its bounds are of one type from opset 11 on; QuantizeLinear takes float16 from opset 19 on."""
    assert slots_of(*node("y = Clip<min = 0.0>(x)", opset=7)) is not None
    assert slots_of(*node("y = QuantizeLinear(x, s, z)", opset=18)) is None
    assert slots_of(*node("y = QuantizeLinear(x, s)", opset=8)) is None
