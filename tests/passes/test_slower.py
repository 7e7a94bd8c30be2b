"""Where a result is timed that may take longer than the original."""

import onnx
import pytest
from onnx import parser

from optkit.artifact import Artifact
from optkit.errors import NothingPaid
from optkit.formats import read_artifact
from optkit.passes import Job
from optkit.passes._device_speed import device_speed
from optkit.passes._slower import refuse_slower, timed_on
from optkit.passes.simplify_graph import SimplifyGraph
from optkit.stats.interval import Interval

ELSEWHERE = "migraphx"
"""A device that no package installed for tests offers."""


@pytest.fixture
def source(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    path = tmp_path_factory.mktemp("slower") / "model.onnx"
    text = '<ir_version: 8, opset_import: ["": 17]> g (float[N,4] x) => (float[N,4] y) { a = Identity(x) y = Relu(a) }'
    onnx.save(parser.parse_model(text), path)
    return read_artifact(path)


def test_a_device_of_pytorch_alone_does_not_stop_what_is_timed(source: Artifact) -> None:
    """Students may learn on a GPU that ONNX Runtime does not know."""
    assert timed_on(Job(source)) == "cpu"
    job = Job(source, device=ELSEWHERE)
    assert timed_on(job) == "cpu"
    assert device_speed(source.path, source.path, job) is None
    SimplifyGraph().run(source, source.path.with_name("simple.onnx"), job)
    assert job.notes["nodes after"] < job.notes["nodes before"]


def test_only_what_is_slower_beyond_doubt_is_refused(source: Artifact) -> None:
    refuse_slower("pruned", source, Interval(1.3, 1.15, 1.45), "hint")
    with pytest.raises(NothingPaid, match=r"takes 1\.30× the time"):
        refuse_slower("pruned", source, Interval(1.3, 1.25, 1.35), "hint")
