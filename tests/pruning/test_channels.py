"""Channels and heads out of PyTorch modules: what stays answers as the whole did where what went was nothing."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optkit.errors import ModelError, NothingPaid, UsageError

torch = pytest.importorskip("torch")
pytest.importorskip("torch_pruning")

from optkit.pruning.channels import Asked, prune_channels  # noqa: E402
from optkit.pruning.cost import cost_of  # noqa: E402
from optkit.pruning.units import take_units, units_of  # noqa: E402

IMAGE = {"image": torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(1))}
IDS = {"ids": torch.arange(14).reshape(2, 7)}


def net(name: str, **arguments: Any) -> Any:
    return getattr(importlib.import_module("optkit_pruned_nets"), name)(**arguments).eval()


def asked(ratio: float = 0.5, **other: Any) -> Asked:
    return Asked(**{"ratio": ratio, "target": None, "scope": "global", "importance": "magnitude", "round_to": 4, "exclude": (), **other})


@pytest.mark.parametrize(
    ("name", "arguments", "inputs"),
    [
        ("Net", {}, IMAGE),
        ("Tokens", {"fused": True}, IDS),
        ("Tokens", {"fused": False}, IDS),
        ("Encoder", {}, IDS),
    ],
    ids=["residual", "fused heads", "heads", "torch's encoder"],
)
def test_units_whose_readers_ignore_them_are_missed_by_nobody(nets: Path, name: str, arguments: dict[str, Any], inputs: Any) -> None:
    """The weights that read a unit are set to 0 by hand; taking the unit out must then change no answer."""
    module = net(name, **arguments)
    found = units_of(module, inputs, 1, ())
    readers = {
        "Net": {
            "stem": ["blocks.0.first", "blocks.1.first", "head"],
            "blocks.0.first": ["blocks.0.second"],
            "blocks.1.first": ["blocks.1.second"],
        }
    }
    gone = {}
    with torch.no_grad():
        for each in found.units:
            known = {reader for reader, _, side in each.joined.members if side == "in"}
            assert known == set(readers.get(name, {}).get(each.joined.name, known))
            numbers = np.array([0, len(each.parts) - 1])
            channels = [channel for number in numbers for channel in each.parts[number]]
            for reader in known:
                module.get_submodule(reader).weight[:, channels] = 0
            gone[each] = numbers
        wanted = module(**inputs)
        take_units(module, inputs, gone)
        torch.testing.assert_close(module(**inputs), wanted)
    assert {"Net": 3, "Tokens": 2, "Encoder": 2}[name] == len(gone)


def test_heads_go_as_a_whole_and_the_module_knows(nets: Path) -> None:
    module = net("Tokens")
    outcome = prune_channels(module, IDS, asked(scope="layer"))
    assert outcome.kept == {"up": (64, 32, "channels"), "attention.proj": (4, 2, "heads")}
    assert (module.attention.num_heads, module.attention.qkv.out_features, module.attention.proj.in_features) == (2, 48, 16)
    assert module.table.embedding_dim == 32, "the width of the residual stream stays"


@pytest.mark.parametrize("importance", ["magnitude", "batch_norm_scale"])
def test_the_least_important_go(nets: Path, importance: str) -> None:
    module = net("Net")
    weak = [1, 5, 9, 20]
    with torch.no_grad():
        module.blocks[0].norm.weight[weak] = 1e-3
        module.blocks[0].first.weight[weak] *= 1e-3
        module.blocks[0].second.weight[:, weak] *= 1e-3
        kept = np.setdiff1d(np.arange(32), weak)
        wanted = module.blocks[0].first.weight[torch.from_numpy(kept)].clone()
    prune_channels(module, IMAGE, asked(4 / 32, importance=importance, scope="layer", exclude=("stem", "blocks.1.*")))
    torch.testing.assert_close(module.blocks[0].first.weight, wanted)


def test_what_stays_is_rounded_and_outputs_never_shrink(nets: Path) -> None:
    module = net("Net", classes=12)
    prune_channels(module, IMAGE, asked(0.4, round_to=8))
    widths = [part.out_channels for part in module.modules() if isinstance(part, torch.nn.Conv2d)]
    assert all(width % 8 == 0 for width in widths)
    assert module(**IMAGE).shape == (2, 12)


@pytest.mark.parametrize("what", ["macs", "parameters"])
def test_a_target_is_reached_by_the_mildest_ratio(nets: Path, what: str) -> None:
    module, before = net("Net"), cost_of(net("Net"), IMAGE)
    outcome = prune_channels(module, IMAGE, asked(target=(what, 0.5), round_to=1))
    share = getattr(cost_of(module, IMAGE), what) / getattr(before, what)
    assert 0.4 < share <= 0.5
    assert 0 < outcome.ratio < 0.5, "cost falls with the product of two widths"


def test_a_measured_target_asks_the_measure(nets: Path) -> None:
    seen = []

    def latency(module: Any) -> float:
        seen.append(sum(each.numel() for each in module.parameters()))
        return float(seen[-1]) / 12_000

    module = net("Net")
    prune_channels(module, IMAGE, asked(target=("latency", 0.5), round_to=1), latency)
    assert sum(each.numel() for each in module.parameters()) <= 6_000
    assert len(seen) == 6


def test_sizes_that_the_code_fixes_and_outputs_inside_stay(nets: Path) -> None:
    module = net("Fixed")
    outcome = prune_channels(module, {"x": torch.randn(2, 4)}, asked())
    assert outcome.kept == {"c": (16, 8, "channels")}
    assert set(outcome.whole) == {"a", "b"}


def test_macs_are_those_of_one_example(nets: Path) -> None:
    linear = torch.nn.Linear(5, 7)
    assert cost_of(linear, (torch.zeros(3, 5),)).macs == 35
    assert cost_of(linear, (torch.zeros(3, 5),)).parameters == 42


@pytest.mark.parametrize(
    ("wish", "error", "says"),
    [
        ({"exclude": ("stemm",)}, UsageError, "'stemm' matches no layer"),
        ({"ratio": 0.99, "scope": "layer"}, UsageError, "leaves blocks.1.second none of its 16 units"),
        ({"target": ("macs", 0.001)}, UsageError, r"macs: 0.001 .*is left"),
        ({"exclude": ("Conv2d",)}, NothingPaid, "no channels can be taken out"),
        ({"round_to": 64}, NothingPaid, "takes nothing out"),
    ],
)
def test_wishes_that_cannot_be_met_are_told(nets: Path, wish: dict[str, Any], error: type[Exception], says: str) -> None:
    module = net("Net")
    before = cost_of(module, IMAGE)
    with pytest.raises(error, match=says) as caught:
        prune_channels(module, IMAGE, asked(**wish))
    assert getattr(caught.value, "hint", None)
    assert cost_of(module, IMAGE) == before, "nothing is half pruned"


def test_what_cannot_be_traced_is_told(nets: Path) -> None:
    with pytest.raises(ModelError, match="torch-pruning cannot trace it"):
        prune_channels(net("Untraceable"), {"x": torch.randn(2, 4)}, asked())


def test_batch_norm_scales_need_batch_norms(nets: Path) -> None:
    with pytest.raises(UsageError, match="no batch normalization follows"):
        prune_channels(net("Tokens"), IDS, asked(importance="batch_norm_scale"))
