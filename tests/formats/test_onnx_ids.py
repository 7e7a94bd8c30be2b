"""How many ids a model takes, found on its graph: onnxruntime accepts the last of them, and refuses the next."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

from optkit.formats.onnx_ids import id_limits
from optkit.runtimes import open_session

TABLE = np.zeros((23, 4), np.float32)


def written(folder: Path, graph: str, **weights: np.ndarray) -> Path:
    proto = parser.parse_model(f'<ir_version: 10, opset_import: ["" : 17, "com.microsoft" : 1]> g {graph}')
    for name, array in weights.items():
        proto.graph.initializer.append(numpy_helper.from_array(array, name))
    onnx.save(proto, folder / "model.onnx")
    return folder / "model.onnx"


@pytest.mark.parametrize(
    "graph",
    [
        "(int64[N,S] ids) => (float[N,S,4] y) { y = Gather(t, ids) }",
        "(int64[N,S] ids) => (float[N,S,4] y) { i = Cast<to=6>(ids) y = Gather<axis=0>(t, i) }",
        "(int64[N,S] ids) => (float[N,S,4] y) { a = Identity(t) i = Identity(ids) y = Gather(a, i) }",
        "(int64[N,S] ids) => (float[N,S,4] y) { y = Gather(t, ids) z = Gather(larger, ids) }",
    ],
)
def test_the_smallest_table_decides(graph: str, tmp_path: Path) -> None:
    path = written(tmp_path, graph, t=TABLE, larger=np.zeros((40, 2), np.float32))
    assert id_limits(path) == {"ids": 23}
    session = open_session(path)
    session.run({"ids": np.full((1, 2), 22)})
    with pytest.raises(Exception, match="indices element out of data bounds"):
        session.run({"ids": np.full((1, 2), 23)})


def test_tables_in_eight_bits(tmp_path: Path) -> None:
    graph = "(int64[N,S] ids) => (float[N,S,4] y) { f = DequantizeLinear(t, s) y = Gather(f, ids) }"
    assert id_limits(written(tmp_path, graph, t=TABLE.astype(np.int8), s=np.array(0.1, np.float32))) == {"ids": 23}


def test_fused_embeddings(tmp_path: Path) -> None:
    graph = """(int32[N,S] ids, int32[N,S] kinds) => (float[N,S,4] y) {
        y, m = com.microsoft.EmbedLayerNormalization(ids, kinds, t, places, two, g, g) }"""
    weights = {"t": TABLE, "places": np.zeros((9, 4), np.float32), "two": TABLE[:2], "g": TABLE[0]}
    assert id_limits(written(tmp_path, graph, **weights)) == {"ids": 23, "kinds": 2}


@pytest.mark.parametrize(
    "graph",
    [
        "(float[N,23,4] x, int64 i) => (float[N,4] y) { y = Gather<axis=1>(x, i) }",
        "(float[N,4] x) => (int64[2] y) { s = Shape(x) y = Gather(s, t) }",
        "(int64[N] i) => (float[23,N] y) { y = Gather<axis=1>(t, i) }",
    ],
)
def test_other_picking_says_nothing(graph: str, tmp_path: Path) -> None:
    assert id_limits(written(tmp_path, graph, t=np.zeros((23, 4), np.float32 if "axis=1>(t" in graph else np.int64))) == {}


def test_other_formats_say_nothing(tmp_path: Path) -> None:
    assert id_limits(tmp_path / "there_is.pt2") == {}
