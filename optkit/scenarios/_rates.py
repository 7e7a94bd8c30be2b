"""Which rate to try next, between the highest that held and the lowest that did not."""

from dataclasses import dataclass

NEAR = 1.05
"""Times as high as the highest rate that held, that the lowest which did not may be at the end."""
ROUNDING = 1.001


@dataclass
class Rates:
    """Steps double until there is a rate that holds and one that does not; then what lies between them is halved.

    A rate has failed when it failed twice, in two tries or in three: one stall of a busy machine makes enough queries late for once.
    """

    rate: float
    """What to try next."""
    held: float = 0.0
    failed: float = float("inf")
    step: float = NEAR
    failures: int = 0
    """Of `rate`, one of which is not enough."""
    doubted: bool = False
    """`rate` failed once and held once."""

    @property
    def is_found(self) -> bool:
        return self.failed <= self.held * NEAR * ROUNDING

    def note(self, holds: bool, answered: float = float("inf")) -> None:
        """What became of `rate`; where it did not hold, the queries a second that were answered are more than could hold."""
        if holds and self.failures and not self.doubted:
            self.doubted = True
        elif holds:
            self.held = self.rate
            self._go_on(float("inf"))
        else:
            self.failures += 1
            if self.failures == 2:
                self.failed = self.rate
                self._go_on(answered)

    def _go_on(self, answered: float) -> None:
        self.failures, self.doubted = 0, False
        if self.held == 0:
            self.rate = min(self.failed, answered) / self.step
        elif self.failed == float("inf"):
            self.rate = self.held * self.step
        else:
            self.rate = (self.held * self.failed) ** 0.5
            return
        self.step **= 2
