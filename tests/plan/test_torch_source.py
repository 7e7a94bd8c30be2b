"""A PyTorch model that a recipe describes, as one file."""

from pathlib import Path

import pytest

from optkit.formats.torch_origin import trusting
from optkit.plan.torch_source import assemble
from optkit.recipe import TorchSource

torch = pytest.importorskip("torch")

FACTORY = "optkit_drawn_nets:net"


def test_weights_drawn_by_chance_follow_from_the_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "optkit_drawn_nets.py").write_text("from torch import nn\n\ndef net():\n    return nn.Linear(4, 3)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    made = []
    with trusting(FACTORY):
        for number, seed in enumerate((0, 0, 1)):
            torch.manual_seed(number)  # whatever was drawn before
            state = torch.get_rng_state()
            assemble(TorchSource(FACTORY), tmp_path / f"{number}.safetensors", seed)
            assert torch.equal(torch.get_rng_state(), state), "nobody else's randomness is touched"
            made.append((tmp_path / f"{number}.safetensors").read_bytes())
    assert made[0] == made[1] != made[2]
