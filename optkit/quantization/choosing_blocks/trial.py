"""Graphs with blocked weights as files, held against the float model: how faithful, how large, how fast."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.errors import OptkitError
from optkit.formats.onnx import LARGEST_DRAFT, model_size, save_model
from optkit.quantization.blocks.algorithms import Rounded
from optkit.quantization.blocks.build import Form, build_counted
from optkit.quantization.fidelity.reference import Fidelity, Reference
from optkit.quantization.variants.race import race, raced_feeds
from optkit.quantization.variants.wishes import Setting, Wishes
from optkit.runtimes import open_session
from optkit.stats.interval import Interval


@dataclass(frozen=True)
class Trial:
    """One variant as a file, and what was measured of it; `ratio` is its time over the original's."""

    rounded: Rounded
    form: Form
    path: Path
    size: int
    fidelity: Fidelity
    good: bool = False
    """Whether it keeps the accuracy that is asked for."""
    drop: float | None = None
    """Loss relative to the original's score, where a limit was set on it."""
    ratio: Interval | None = None
    others: int = 0
    """Weights that are in no groups and stored in 8 bits."""

    @property
    def name(self) -> str:
        return f"{bits_text(self.rounded)}, {self.form}"


@dataclass
class Bench:
    """What the trials of one model share."""

    original: Path
    model: ir.Model
    feeds: Sequence[Mapping[str, Array]]
    folder: Path
    wishes: Wishes
    setting: Setting

    def __post_init__(self) -> None:
        self.size = model_size(self.original)
        session = open_session(self.original, self.setting.device, self.setting.threads)
        self.reference = Reference(self.model, session, self.feeds)
        self.raced = raced_feeds(session, self.feeds, self.setting.device, self.setting.threads)
        self.failures: dict[str, str] = {}
        self._count = 0

    def attempt(self, rounded: Rounded, form: Form = "packed", *, judge: bool = True) -> Trial | None:
        """Build, open and compare; None, with the reason kept, where ONNX Runtime refuses it or its answers are broken."""
        self._count += 1
        path = self.folder / f"{self._count}.onnx"
        model, others = build_counted(self.model, rounded.blocked, form)
        save_model(model, path, largest=LARGEST_DRAFT)
        made = Trial(rounded, form, path, model_size(path), Fidelity(-np.inf, None), others=others)
        try:
            session = open_session(path, self.setting.device, self.setting.threads)
            fidelity = self.reference.compare(session)
        except OptkitError as error:
            self.failures[made.name] = error.what
            return None
        if not fidelity.finite or not fidelity.varies:
            self.failures[made.name] = "its outputs are not finite" if not fidelity.finite else "its outputs do not depend on the input"
            return None
        good, drop = self.wishes.judge(session, fidelity) if judge else (False, None)
        return replace(made, fidelity=fidelity, good=good, drop=drop)

    def time(self, trials: Sequence[Trial], seconds: float) -> list[Trial]:
        """The same trials with their time ratios, all raced against the original in one measurement."""
        place = self.setting
        models = [self.original, *(t.path for t in trials)]
        found = race(models, self.raced, seconds=seconds, threads=place.threads, device=place.device, seed=place.seed)
        return [replace(t, ratio=ratio) for t, ratio in zip(trials, found[1:], strict=True)]


def bits_text(rounded: Rounded) -> str:
    """`4-bit weights`, or `4- and 8-bit weights`."""
    kinds = sorted({str(b.scheme.bits) for b in rounded.blocked.values()})
    return f"{'- and '.join(kinds)}-bit weights"
