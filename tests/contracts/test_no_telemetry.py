"""Nothing is sent anywhere: neither by optkit nor by what it uses."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

OPENS_A_MODEL = """
import sys
import optkit
from onnx import TensorProto, helper
from optkit.runtimes import open_session
x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "g", [x], [y])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
open_session(model.SerializeToString())
"""


@pytest.mark.parametrize("given", [None, "0"])
def test_onnx_runtime_starts_no_telemetry_unless_told_to(given: str | None, tmp_path: Path) -> None:
    """Its telemetry leaves a session file in the temporary folder as soon as it is started."""
    unset = {"ORT_DISABLE_TELEMETRY", "CI", "GITHUB_ACTIONS", "ORT_RUNNING_UNIT_TESTS", *(k for k in os.environ if k.startswith("CI_"))}
    environment = {key: value for key, value in os.environ.items() if key not in unset}
    environment |= {"TMPDIR": str(tmp_path), "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    code = f"{OPENS_A_MODEL}\nimport os\nprint(os.environ['ORT_DISABLE_TELEMETRY'])"
    if given is not None:
        environment["ORT_DISABLE_TELEMETRY"] = given
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True).stdout
    assert said.strip() == (given or "1")
    if given is None:
        assert list(tmp_path.rglob("*")) == []
