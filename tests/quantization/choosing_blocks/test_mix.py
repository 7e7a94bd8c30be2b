"""8 bits where 4 cost the most: what is ranked, and how few get them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from optkit.quantization.blocks.algorithms import Rounded, round_all
from optkit.quantization.blocks.blocked import Scheme
from optkit.quantization.blocks.layers import find_weights
from optkit.quantization.blocks.round_to_nearest import round_to_nearest
from optkit.quantization.choosing_blocks.mix import MARGIN, mix, mixed, ranked
from optkit.quantization.choosing_blocks.sensitivity import output_noise
from optkit.quantization.choosing_blocks.trial import Trial
from optkit.quantization.fidelity.reference import Fidelity, Reference
from optkit.quantization.variants.wishes import Wishes
from optkit.runtimes.onnxruntime import open_onnx

from ..blocks.small import draw, feed_of, model_of, with_real_weights

SILENT = lambda *a: None  # noqa: E731


def by_bits(sizes: dict[str, int], bits: int) -> Rounded:
    return Rounded("rtn", {n: round_to_nearest(draw(size, 64), Scheme(bits)) for n, size in sizes.items()})


def test_most_noise_for_the_fewest_bytes_comes_first() -> None:
    sizes = {"small": 8, "large": 80, "quiet": 8, "exact": 8}
    four, eight = by_bits(sizes, 4), by_bits(sizes, 8)
    four.blocked["exact"] = eight.blocked["exact"]
    assert ranked(four, eight, {"small": 1.0, "large": 5.0, "quiet": 0.1, "exact": 9.0}) == ["small", "large", "quiet"]


def test_a_mixture_takes_the_named_from_eight() -> None:
    four, eight = by_bits({"a": 8, "b": 8}, 4), by_bits({"a": 8, "b": 8}, 8)
    assert {n: b.scheme.bits for n, b in mixed(four, eight, ["b"]).blocked.items()} == {"a": 4, "b": 8}


@dataclass
class PretendBench:
    """Every 8-bit weight of the first `needed` in the ranking adds a decibel."""

    needed: int
    wishes: Wishes = field(default_factory=lambda: Wishes(floor=20.0))
    asked: list[int] = field(default_factory=list)

    def attempt(self, rounded: Rounded) -> Trial:
        eights = sum(b.scheme.bits == 8 for b in rounded.blocked.values())
        self.asked.append(eights)
        fidelity = Fidelity(20.0 + MARGIN + 1e-3 * (eights - self.needed), None)
        return Trial(rounded, "packed", Path(), eights, fidelity, True)


@pytest.mark.parametrize("needed", [1, 2, 7, 16, 30, 31, 40])
def test_the_fewest_that_keep_the_floor_with_a_margin(needed: int) -> None:
    sizes = {f"w{i:02}": 8 for i in range(31)}
    four, eight = by_bits(sizes, 4), by_bits(sizes, 8)
    bench = PretendBench(needed)
    trials = mix(cast(Any, bench), four, eight, {n: float(100 - i) for i, n in enumerate(sizes)}, SILENT)
    good = [t.size for t in trials if t.good]
    assert min(good, default=None) == (needed if needed <= 31 else None)
    assert len(bench.asked) <= 2 + len(sizes).bit_length()


@pytest.mark.parametrize("kind", ["matmul", "scaled", "tied", "tied_copy", "table"])
def test_the_noise_of_a_weight_is_what_the_graph_with_it_rounded_says(kind: str) -> None:
    model = model_of(kind)
    weights = find_weights(model)
    session = open_onnx(_bytes(model))
    reference = Reference(model, session, [feed_of(model, seed=s) for s in range(3)])
    (rounded,) = round_all(model, weights, None, Scheme(), ("rtn",), SILENT)
    noise = output_noise(model, weights, rounded, reference, threads=1, progress=SILENT)
    expected = reference.compare(open_onnx(_bytes(with_real_weights(model, rounded.blocked)))).sqnr
    assert noise.keys() == {"w"}
    assert -10 * np.log10(noise["w"]) == pytest.approx(expected, abs=0.1)


def test_a_weight_in_a_branch_counts_by_its_own_layer() -> None:
    model = model_of("branches")
    weights = find_weights(model)
    reference = Reference(model, open_onnx(_bytes(model)), [feed_of(model)])
    (rounded,) = round_all(model, weights, None, Scheme(), ("rtn",), SILENT)
    assert output_noise(model, weights, rounded, reference, threads=1, progress=SILENT)["w"] > 0


def _bytes(model: Any) -> bytes:
    import onnx_ir as ir

    return bytes(ir.to_proto(model).SerializeToString())
