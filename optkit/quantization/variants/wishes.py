"""What the user asked of a quantization, and where it is decided."""

from collections.abc import Callable
from dataclasses import dataclass

from optkit.progress import Progress, silent
from optkit.quantization.calibration.feeds import Feeds
from optkit.quantization.calibration.watcher import Watcher
from optkit.quantization.fidelity.reference import Fidelity
from optkit.quantization.fidelity.room import room
from optkit.runtimes import Session

DropOf = Callable[[Session], float]
"""A variant's loss relative to the original's score on labelled examples; negative is a gain."""

HOPELESS = -6.0
"""dB of room."""
SETTLED = 18.0
"""dB of room. Ten are ample, and where a few examples hid a bad one, what it took was seven."""


@dataclass(frozen=True)
class Wishes:
    """What the user asked for."""

    method: str = "auto"
    ranges: str = "auto"
    exclude: tuple[str, ...] = ()
    floor: float | None = None
    """dB of signal to noise that a variant must keep at every output; None leaves it to the rules of room.py."""
    max_drop: float | None = None
    """Largest loss relative to the original's score; decides in place of `floor` where `drop_of` says what a variant loses."""
    drop_of: DropOf | None = None
    accept_size_only: bool = False
    seconds: float = 3.0
    """Of racing."""
    portable: bool = True
    """The same answers on CPUs that add products in 16 bits."""
    effort: str = "normal"
    """`high` learns how to round every weight."""
    real: bool = True
    """Whether it is judged on real examples."""

    @property
    def scored(self) -> bool:
        """Whether the score on labelled examples decides."""
        return self.max_drop is not None and self.drop_of is not None

    def judge_fidelity(self, session: Session, fidelity: Fidelity) -> tuple[bool, float | None]:
        """Whether a variant is faithful enough, whatever its score."""
        return room(fidelity, self.floor) >= 0, None

    def hopeless(self, fidelity: Fidelity) -> bool:
        """Whether a few examples tell that no more of them will make it good."""
        return not self.scored and room(fidelity, self.floor) < HOPELESS

    def settled(self, fidelity: Fidelity) -> bool:
        """Whether a few examples tell that no more of them will make it bad; what is polished afterwards is held against all."""
        return not self.scored and self.effort == "normal" and room(fidelity, self.floor) >= SETTLED

    def judge(self, session: Session, fidelity: Fidelity) -> tuple[bool, float | None]:
        """Whether a variant keeps the accuracy that is asked for, and its drop where that decides."""
        if self.max_drop is None or self.drop_of is None:
            return room(fidelity, self.floor) >= 0, None
        drop = self.drop_of(session)
        return drop <= self.max_drop, drop


@dataclass(frozen=True)
class Setting:
    """Where and on what it is decided."""

    device: str = "cpu"
    threads: int = 1
    seed: int = 0
    progress: Progress = silent
    max_memory: int | None = None
    """Bytes that the process may occupy while it calibrates."""
    spare: int = 0
    """Threads that help where nothing is timed."""

    def watcher(self, examples: Feeds) -> Watcher:
        """Who watches activations on these examples."""
        return Watcher(examples, self.threads + self.spare, self.max_memory, self.progress)
