"""What a variant loses on examples that nothing was learned from: the only ones that tell whether what was learned holds for others.

Examples are compared one by one: the energy of all the noise is that of the few hardest examples, and to lower it there may cost all the
others. And what holds for others is known only as far as the examples agree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from time import thread_time

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.quantization.calibration.feeds import Divisible, Feeds
from optkit.quantization.calibration.watcher import Watcher
from optkit.quantization.fidelity.reference import MOST_DECIBELS, Reference, decibels
from optkit.quantization.variants.race import judged_feeds
from optkit.quantization.variants.trial import Bench
from optkit.quantization.variants.wishes import Setting
from optkit.runtimes import Session, full_feeds, open_session

SHARE, MOST = 4, 32
"""Of the examples to learn from every fourth is held out, as many as this at most."""
FEWEST = 8
"""Examples held out: what fewer say is chance."""
SAFER = 0.85
"""Of the answers lost."""
UNLIKELY = 1e-15
"""A class less likely than this is as unlikely as any: all above tells of the logits that a Softmax was given."""


class HeldOut:
    """Such examples, and the noise that each variant's file makes on each of them."""

    def __init__(self, model: ir.Model, original: Session, feeds: Sequence[Mapping[str, Array]], device: str, threads: int) -> None:
        self.feeds = feeds
        self._reference = Reference(model, original, feeds, least=UNLIKELY)
        self._places = (device, threads)
        self._known: dict[Path, Array] = {}
        self._costs: dict[Path, float | None] = {}

    @property
    def enough(self) -> bool:
        """Whether they tell more than chance."""
        return len(self.feeds) >= FEWEST

    def signal_to_noise(self, path: Path) -> Array:
        """dB of each example, of what varies between all of them, in the worst output; within MOST_DECIBELS of 0."""
        if path not in self._known:
            worst = self._reference.relative_noise_of_each(open_session(path, *self._places))
            self._known[path] = np.array([float(np.clip(decibels(noise), -MOST_DECIBELS, MOST_DECIBELS)) for noise in worst])
        return self._known[path]

    def cost(self, path: Path) -> float | None:
        """Share of answers lost by the float model's own confidence (answer_cost.py); None where there are none."""
        if path not in self._costs:
            self._costs[path] = self._reference.compare(open_session(path, *self._places)).cost
        return self._costs[path]

    def closer(self, before: Sequence[Path], after: Sequence[Path]) -> bool:
        """Whether the files of `after` are closer to the float model than those of `before`, taken together: on the hardest examples,
        and on most of them beyond chance; or not only by chance further off on them, where answers are safer for it.
        """
        if not before or not self.enough:
            return False
        old, new = (np.mean([self.signal_to_noise(path) for path in paths], axis=0) for paths in (before, after))
        gain = new - old
        chance = gain.std(ddof=1) / sqrt(len(gain))
        if _noise(new) >= _noise(old) or gain.mean() <= -chance:
            return False
        return bool(gain.mean() > chance or self._safer(before, after))

    def _safer(self, before: Sequence[Path], after: Sequence[Path]) -> bool:
        """Whether fewer answers are lost, beyond doubt: all noise is held against all margins, so few examples say much."""
        costs = [[self.cost(path) for path in paths] for paths in (before, after)]
        known = [[c for c in each if c is not None] for each in costs]
        return all(known) and bool(np.mean(known[1]) < SAFER * np.mean(known[0]))


def _noise(decibels: Array) -> float:
    """The mean of relative noise, which the hardest examples decide."""
    return float(np.mean(10 ** (-decibels / 10)))


@dataclass(frozen=True)
class Lesson:
    """What effort high learns from, and what tells whether it learned something."""

    watcher: Watcher
    held_out: HeldOut
    seconds: float = 0.0
    """That the float model computes for one answer."""

    @property
    def remarks(self) -> list[str]:
        """What the user should know of it."""
        if self.held_out.enough:
            return []
        return [
            f"too few examples for effort high to learn from: {SHARE * FEWEST} or more are divided to learn from some and judge by others"
        ]


def lesson_of(bench: Bench, calibration: Divisible, unseen: Feeds, setting: Setting) -> Lesson:
    """`unseen` are examples that are not among those to calibrate on; of these some more are held out, evenly spaced."""
    every = np.arange(len(calibration))
    held = every[np.linspace(0, len(every) - 1, min(len(every) // SHARE, MOST)).round().astype(np.int64)]
    session = open_session(bench.original, bench.device, bench.workers)
    feeds = [feed for part in (unseen, calibration.take(held)) if len(part) for feed in full_feeds(session, part)]
    chosen = judged_feeds(session, feeds, bench.device, bench.workers) if feeds else []
    start = thread_time()
    held_out = HeldOut(bench.model, session, chosen, bench.device, bench.workers)
    seconds = (thread_time() - start) / max(len(chosen), 1)
    return Lesson(setting.watcher(calibration.take(np.setdiff1d(every, held))), held_out, seconds)
