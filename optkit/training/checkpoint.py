"""How far a training has come, as one file: written aside and renamed, so that whatever kills the process leaves a whole one."""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEMA = 1


@dataclass(frozen=True)
class Checkpoint:
    """A file that a training is taken up again from. `place` None keeps nothing.

    It holds tensors, numbers and text, read with `weights_only`; the weights stand under `model`, so that a recipe can start from it.
    """

    place: Path | None

    def read(self) -> Mapping[str, Any] | None:
        """What was kept; None where there is nothing that can be read."""
        import torch

        if self.place is None or not self.place.is_file():
            return None
        try:
            found = torch.load(self.place, map_location="cpu", weights_only=True)
        except Exception:  # pickle, zip and torch raise whatever damaged bytes make them do; training then starts anew
            return None
        return found if isinstance(found, dict) and found.get("schema") == SCHEMA else None

    def keep(self, state: Mapping[str, Any]) -> None:
        """Replace what was kept. A disk that is full fails no training."""
        import torch

        if self.place is None:
            return
        draft = self.place.with_suffix(f".{os.getpid()}.draft")
        with suppress(OSError, RuntimeError):  # torch has no error of its own for a full disk
            self.place.parent.mkdir(parents=True, exist_ok=True)
            torch.save({"schema": SCHEMA, **state}, draft)
            os.replace(draft, self.place)
        draft.unlink(missing_ok=True)

    def drop(self) -> None:
        """The training is done."""
        if self.place is not None:
            self.place.unlink(missing_ok=True)
            with suppress(OSError):  # something else is in there
                self.place.parent.rmdir()
