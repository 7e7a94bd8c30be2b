"""Dynamic products so small that what ONNX Runtime does besides multiplying takes as long: with one scale for the whole weight, which it
need not spread over the columns, they take up to a third less.
"""

from collections.abc import Mapping
from dataclasses import replace

from optkit.quantization.variants.node_times import time_of_product
from optkit.quantization.variants.treatment import Treatment, Way

SMALL = 15e-6
"""Seconds of a product. One scale saves about one microsecond."""
SHARE = 0.2
"""Of a variant's time, that such products must take for another variant to be worth a race."""


def with_single_scales(start: Treatment, times: Mapping[str, float], outputs: Mapping[str, str]) -> Treatment | None:
    """The same with one scale for each weight of a small dynamic product; None where these take too little of the time.

    `times` is what each node of the variant takes (node_times), `outputs` what each layer writes.
    """
    taken = {name: time_of_product(outputs[name], times) for name, way in start.ways.items() if way is Way.DYNAMIC and name in outputs}
    small = {name: seconds for name, seconds in taken.items() if seconds is not None and seconds <= SMALL}
    if sum(small.values()) < SHARE * sum(times.values()) or not small:
        return None
    return replace(start, name=f"{start.name}, one scale for small weights", single=start.single | small.keys())
