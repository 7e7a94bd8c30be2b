"""The values of named tensors, one example at a time, in as many passes over the examples as memory asks for."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.errors import OptkitError
from optkit.quantization.calibration.feeds import Feeds
from optkit.quantization.calibration.lead_out import inner_values, lead_out
from optkit.quantization.calibration.memory_plan import groups_within
from optkit.quantization.calibration.watched import open_watched, with_outputs
from optkit.runtimes import full_feeds


class Watch:
    """Each example's values of `names`, as a dictionary that is emptied when the next is asked for.

    Values of branches and of loop bodies are among them where an example reaches them, those of all steps as if of one batch; what
    is empty or not reached is not there.
    `limit` is the most memory in bytes that this process may occupy meanwhile: where all values of one example do not fit, the
    names are divided among several passes over the examples, and every dictionary holds one pass's part.
    Raises UsageError before the first pass when `limit` is too little for a single tensor.
    """

    def __init__(self, model: ir.Model, names: Iterable[str], examples: Feeds, threads: int, limit: int | None = None) -> None:
        self.model, self.examples, self.threads = model, examples, threads
        self.limited = limit is not None
        self.inputs = {i.name for i in model.graph.inputs}
        wanted = list(dict.fromkeys(names))
        self.led: dict[str, tuple[str, int]] = {}
        if inner_values(model, wanted):
            self.model, self.led = _led_out(model, wanted, examples, threads)
            reached = {str(v.name) for n in model.graph for v in n.outputs} | self.inputs | set(self.led)
            wanted = [name for name in wanted if name in reached]
        places = {self.led.get(name, (name, 0))[0]: name for name in wanted}
        groups = [list(places)] if limit is None else groups_within(self.model, list(places), examples, threads, limit)
        self.groups = [[places[place] for place in group] for group in groups]

    def __len__(self) -> int:
        """How many dictionaries there will be."""
        rows = next((v.shape[0] for v in self.model.graph.inputs if v.shape), None)
        batch = rows if isinstance(rows, int) and rows > 0 and not self.examples.whole else 1
        return len(self.groups) * -(-len(self.examples) // batch)

    def __iter__(self) -> Iterator[dict[str, Array]]:
        for group in self.groups:
            yield from self._pass(group)

    def whole(self) -> Iterator[dict[str, Array]]:
        """Each example's values from all passes together: what is held until the last pass are the tensors asked for."""
        if len(self.groups) == 1:
            return iter(self)
        parts: list[dict[str, Array]] = [{} for _ in range(len(self) // len(self.groups))]
        for place, values in enumerate(self):
            parts[place % len(parts)] |= values
        return iter(parts)

    def _pass(self, group: Sequence[str]) -> Iterator[dict[str, Array]]:
        ours = {self.led.get(name, (name, 0))[0]: name for name in group if name not in self.inputs}
        # what an arena has once taken it keeps, and it takes twice what it needs
        session = open_watched(with_outputs(self.model, ours), self.threads, arena=not self.limited) if ours else None
        for feed in full_feeds(session, self.examples) if session is not None else self.examples.feeds(1):
            found = session.run(feed, list(ours)) if session is not None else {}
            values = {name: _as_one_batch(found[place], self.led.get(name, (place, 0))[1]) for place, name in ours.items()}
            values |= {name: np.asarray(feed[name]) for name in group if name in self.inputs}
            values = {name: value for name, value in values.items() if value.size}
            found.clear()
            yield values
            values.clear()


def _led_out(model: ir.Model, names: Sequence[str], examples: Feeds, threads: int) -> tuple[ir.Model, dict[str, tuple[str, int]]]:
    """The model with inner values led out; those of loop bodies only where they can be stacked: steps may differ in shape."""
    for bodies in (True, False):
        made = model.clone()
        led = lead_out(made, names, bodies=bodies)
        if bodies and any(steps for _, steps in led.values()):
            with suppress(OptkitError):
                session = open_watched(with_outputs(made, [place for place, _ in led.values()]), threads)
                session.run(next(iter(full_feeds(session, examples))))
                return made, led
        elif not any(steps for _, steps in led.values()):
            return made, led
    return made, led


def _as_one_batch(value: Array, steps: int) -> Array:
    """Axes of steps merged into the first axis of what is computed in each."""
    return value.reshape(-1, *value.shape[steps + 1 :]) if steps and value.ndim > steps + 1 else value
