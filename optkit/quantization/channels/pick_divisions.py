"""Which tensors to divide: always the one that takes the most noise out of the answers for its time, until it is no longer worth it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log

from optkit.quantization.channels.divide import Division

ENOUGH = 10 ** (-3.6)
"""Noise at the outputs, relative to what varies in them, below which nothing shows: 36 dB."""
WORTH = 8.0
"""A hundredth more time must lower the noise by so many hundredths, compounded: half the noise is worth 9 % of the time."""

NODE = 3e-6
ELEMENT = 0.2e-9
BYTE_PRODUCT = 6e-12
THIN_PRODUCT = 0.5e-9
FLOAT_PRODUCT = 25e-12
"""Seconds that a CPU core takes for a node, to read and write an element, to multiply and add bytes, for an element of a product with a
few channels, and to multiply and add floats; only their proportions count.
"""
REST = 1.8
"""Time of a model by that of its matrix products in INT8."""


@dataclass(frozen=True)
class Option:
    """One thing to do with a tensor; None leaves it alone."""

    division: Division | None
    error: float
    """Of its products, relative to their energy."""
    seconds: float


def pick(options: Mapping[str, Sequence[Option]], echoes: Mapping[str, float], seconds: float) -> dict[str, Division]:
    """The divisions that are worth their time, by tensor. The first option of each tensor leaves it alone.

    `echoes` is noise at the outputs per error of each tensor's products; `seconds` what all products take.
    """
    now = {name: each[0] for name, each in options.items()}
    while True:
        noise = sum(echoes[name] * option.error for name, option in now.items())
        steps = [
            (echoes[name] * (now[name].error - option.error), max(option.seconds - now[name].seconds, NODE), name, option)
            for name, each in options.items()
            for option in each
            if option.error < now[name].error
        ]
        if not steps or noise <= ENOUGH:
            break
        less, time, name, option = max(steps, key=lambda step: step[0] / step[1])
        if -log(max(1 - less / noise, 1e-12)) < WORTH * time / (REST * seconds):
            break
        now[name] = option
    return {name: option.division for name, option in now.items() if option.division is not None}


def pick_within(options: Mapping[str, Sequence[Option]], seconds: float) -> dict[str, Option]:
    """What leaves the least error in all and takes no more than so many seconds in all, step by step from what takes the least of each
    tensor; here errors are noise at the outputs.
    """
    now = {name: min(each, key=lambda option: (option.seconds, option.error)) for name, each in options.items()}
    left = seconds - sum(option.seconds for option in now.values())
    while True:
        steps = [
            ((now[name].error - option.error) / max(option.seconds - now[name].seconds, 1e-12), name, option)
            for name, each in options.items()
            for option in each
            if option.error < now[name].error and option.seconds - now[name].seconds <= left
        ]
        if not steps:
            return now
        _, name, option = max(steps, key=lambda step: step[:2])
        left -= option.seconds - now[name].seconds
        now[name] = option


def time_of_product(rows: float, shape: Sequence[int]) -> float:
    """Seconds for an integer product of `rows` rows with a weight [channels, outputs]."""
    return NODE + rows * (ELEMENT * shape[0] + BYTE_PRODUCT * shape[0] * shape[1])


def time_of_division(division: Division, rows: float, shapes: Sequence[Sequence[int]]) -> float:
    """Seconds that it adds to products with weights of these shapes, which read one tensor."""
    apart, channels = len(division.apart), shapes[0][0]
    seconds = NODE + rows * ELEMENT * channels
    if apart:
        seconds += NODE + rows * ELEMENT * apart
        product = max(THIN_PRODUCT, FLOAT_PRODUCT * apart)
        seconds += sum(2 * NODE + rows * outputs * (ELEMENT + product) for _, outputs in shapes)
    return seconds
