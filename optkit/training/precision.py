"""Computing in 16 bits while training: where, in which format, and how small gradients survive it."""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Literal

from optkit.errors import UsageError

if TYPE_CHECKING:
    pass

Words = Literal["auto", "no", "bf16", "fp16"]


class Precision:
    """Autocast in the chosen format; in fp16 losses are scaled, so that small gradients do not vanish (Micikevicius et al., 2018)."""

    def __init__(self, word: Words, device: str) -> None:
        import torch

        self.kind = "cpu" if device == "cpu" else "cuda"
        self.word = self._chosen(word)
        self._format = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.word)
        self.scaler = torch.amp.GradScaler(self.kind, enabled=self.word == "fp16")

    def _chosen(self, word: Words) -> str:
        import torch

        if word == "auto":
            return "no" if self.kind == "cpu" else "bf16" if torch.cuda.is_bf16_supported() else "fp16"
        if word == "fp16" and self.kind == "cpu":
            raise UsageError("mixed_precision: CPUs do not train in fp16", hint="bf16 is possible, and faster on CPUs with AMX only")
        return word

    def computing(self) -> AbstractContextManager[Any]:
        """Within it, what is safe in 16 bits is computed so."""
        import torch

        made: AbstractContextManager[Any] = torch.autocast(self.kind, dtype=self._format, enabled=self._format is not None)
        return made
