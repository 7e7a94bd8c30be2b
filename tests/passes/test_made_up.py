import onnx
import pytest

from optkit.errors import DataError
from optkit.passes._made_up import made_up_for
from optkit.runtimes import Session, open_session


def session(ports: str, graph: str) -> Session:
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> g {ports} => (float[N, M] y) {{ {graph} }}')
    return open_session(model.SerializeToString())


def test_made_up_examples_fit_the_model() -> None:
    examples = made_up_for(session("(float[N, 3] x)", "y = Relu(x)"), 5, 0)
    assert (len(examples), examples.synthetic) == (5, True)


@pytest.mark.parametrize(
    ("ports", "graph", "says"),
    [
        ("(float[N, 3] x)", "y = Log(x)", "NaN"),
        ("(float[N, 3] x)", "y = Sub(x, x)", "alike"),
        ("(float[N, M] x)", "s = Constant<value_ints = [7, -1]>() y = Reshape(x, s)", "does not take"),
    ],
)
def test_where_answers_are_worth_nothing_data_is_asked_for(ports: str, graph: str, says: str) -> None:
    with pytest.raises(DataError, match=says) as caught:
        made_up_for(session(ports, graph), 4, 0)
    assert "--data" in str(caught.value.hint)
    assert "x float32[N, " in str(caught.value.hint)
