"""The runner gives a pass that trains a place for its checkpoints, and what it left is found again."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optkit.datasets import Examples
from optkit.errors import OptkitError
from optkit.formats import read_artifact
from optkit.formats.torch_origin import Origin, trusting
from optkit.optimize import optimize
from optkit.store import Store

torch = pytest.importorskip("torch")

from optkit.formats.torch import TorchModel, save_torch  # noqa: E402
from optkit.passes.finetune import Finetune  # noqa: E402
from optkit.training import loop  # noqa: E402

CODE = """
import torch
calls = 0

def net():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(6, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))

def loss(outputs, labels):
    global calls
    calls += torch.is_grad_enabled()
    found = torch.nn.functional.cross_entropy(outputs["output"], labels)
    return found * float("nan") if calls == {lost} else found
"""


@pytest.mark.slow
def test_a_step_that_broke_off_goes_on_from_the_store_and_clears_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(loop, "KEPT_EVERY", -1.0)
    name = "optkit_trains_code"
    (tmp_path / f"{name}.py").write_text(CODE.replace("{lost}", "7"))
    dice = np.random.default_rng(0)
    x = dice.standard_normal((100, 6)).astype(np.float32)
    data = {"training": Examples("made", {"x": x}, (x @ dice.standard_normal((6, 3))).argmax(1))}
    step = Finetune(epochs=3, batch_size=30, learning_rate=0.02, training_threads=1, loss=f"{name}:loss")

    def trained(target: str, store: Store | None) -> Any:
        return optimize(read_artifact(tmp_path / "net.safetensors"), [step], target=tmp_path / target, examples=data, cache=store)

    with trusting(f"{name}:net"):
        from optkit_trains_code import net  # type: ignore[import-not-found]

        save_torch(TorchModel(net(), Origin(f"{name}:net")), tmp_path / "net.safetensors")
        store = Store(tmp_path / "store")
        with pytest.raises(OptkitError, match="the loss became nan in epoch 3, step 1 of 3") as caught:
            trained("out.safetensors", store)
        [left] = (tmp_path / "store").rglob("*.pt")
        assert str(left) in str(caught.value.hint)
        assert not (tmp_path / "out.safetensors").exists()
        resumed = trained("out.safetensors", store)  # the loss counts on, and is lost no more
        whole = trained("whole.safetensors", None)
    assert resumed.digest == whole.digest, "the same bytes as without a break"
    assert list((tmp_path / "store").rglob("*.pt")) == []
    assert resumed.lineage[0].notes["epochs"] == 3
