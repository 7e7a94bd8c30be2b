"""What parts of a module answer while it runs, by their names."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from optkit.errors import ModelError, UsageError
from optkit.registry import suggestion

if TYPE_CHECKING:
    import torch

WHICH = "its modules are named as by named_modules(), such as blocks.0"


class Features:
    """The latest answers of named parts, kept until `take` asks for them.

    Of a part that answers with several tensors, such as attention with what it attends to and its map, the first one is the hidden state
    and the second the map. Raises UsageError for a name that there is not.
    """

    def __init__(self, module: "torch.nn.Module", hidden: Iterable[str], attention: Iterable[str], of: str) -> None:
        self.of, self.hidden, self.attention = of, tuple(hidden), tuple(attention)
        self.seen: dict[str, Any] = {}
        self.parts = dict(module.named_modules())
        for name in dict.fromkeys((*self.hidden, *self.attention)):
            if name not in self.parts or not name:
                known = suggestion(name, [each for each in self.parts if each])[:400]
                raise UsageError(f"the {of} has no part {name!r}", where="distill", hint=f"{known}; {WHICH}")
        self.hooks = [self.parts[name].register_forward_hook(self._keep(name)) for name in {*self.hidden, *self.attention}]

    def take(self) -> "tuple[Mapping[str, torch.Tensor], Mapping[str, torch.Tensor]]":
        """Hidden states and attention maps of the latest run, by name. Raises ModelError where a part did not run or has no map."""
        seen, self.seen = self.seen, {}
        return {name: self._one(seen, name, 0) for name in self.hidden}, {name: self._one(seen, name, 1) for name in self.attention}

    def stop(self) -> None:
        for hook in self.hooks:
            hook.remove()

    def _keep(self, name: str) -> Any:
        def hook(module: Any, given: Any, answer: Any) -> None:
            self.seen[name] = answer

        return hook

    def _one(self, seen: Mapping[str, Any], name: str, place: int) -> "torch.Tensor":
        import torch

        if name not in seen:
            raise ModelError(f"the part {name!r} of the {self.of} does not run by itself", where="distill", hint="name the part around it")
        answer = seen[name]
        if isinstance(answer, torch.Tensor):
            return answer
        found = list(answer.values() if isinstance(answer, Mapping) else answer)
        if len(found) > place and isinstance(found[place], torch.Tensor):
            return found[place]
        hint = "let it return its map (need_weights, output_attentions), or name the softmax inside it"
        raise ModelError(f"the part {name!r} of the {self.of} gives no attention map", where="distill", hint=hint)
