"""Decoders with a key-value cache: inputs called past_key_values.N.key and .value, which are empty before the first token.

Examples need not hold them: without them a decoder reads each example from its beginning. Nor need they hold the mask: all tokens
count then.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from optkit.inputs import Input

CACHE = re.compile(r"past_key_values\.\d+\.(key|value)")
TOKENS, MASK = "input_ids", "attention_mask"
AXES = 4
"""Rows, heads, tokens of the past, size of a head."""


def is_cache(port: Input) -> bool:
    """Whether an input is a part of a key-value cache that may be empty: its rows and its past vary, nothing else does."""
    if not CACHE.fullmatch(port.name) or len(port.shape) != AXES:
        return False
    return [isinstance(size, int) for size in port.shape] == [False, True, False, True]


def may_be_left_out(port: Input, ports: Iterable[Input]) -> bool:
    """Whether examples need not hold an input: a part of a cache, or the mask beside one."""
    return is_cache(port) or (port.name == MASK and any(map(is_cache, ports)))


def with_empty_cache(ports: Sequence[Input], given: Mapping[str, Any]) -> "Mapping[str, Any]":
    """`given` arrays, with empty ones for those parts of a cache that have none, and a mask of ones; rows as the first array has."""
    lacking = [port for port in ports if port.name not in given and is_cache(port)]
    if not lacking or not given:
        return given
    import numpy as np

    rows = np.shape(next(iter(given.values())))[:1]
    masks = [port for port in ports if port.name == MASK and MASK not in given and TOKENS in given]
    made = {port.name: np.zeros((*rows, port.shape[1], 0, port.shape[3]), port.dtype) for port in lacking}
    return {**given, **made, **{port.name: np.ones(np.shape(given[TOKENS]), port.dtype) for port in masks}}
