"""`module:function`: called with nothing, it gives arrays by input name, or feeds one after the other."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from optkit.arrays import Array
from optkit.datasets._feeds import stack_feeds
from optkit.datasets._fit import cut
from optkit.datasets._source import Source
from optkit.errors import DataError, OptkitError, UsageError
from optkit.inputs import Input
from optkit.registry import import_named


def read(source: Source, inputs: Sequence[Input]) -> dict[str, Array]:
    """What the function gives, cut to the rows asked for. A slice with an end stops an endless generator there."""
    function = import_named(source.place)
    if not callable(function):
        raise UsageError(f"it is {type(function).__name__}, not a function", where=source.text, hint="name a function without parameters")
    try:
        given = function()
        if isinstance(given, Mapping):
            return cut(source.text, given, inputs, source.rows)
        feeds = _take(source, given)
    except OptkitError:
        raise
    except Exception as error:  # the user's function may raise anything
        what = f"it raised {type(error).__name__}: {error}"
        raise DataError(what, where=source.text, hint="it is called with nothing and gives a dict of arrays or feeds") from error
    return stack_feeds(source.text, feeds, [port.name for port in inputs])


def _take(source: Source, given: Any) -> list[Mapping[str, Any]]:
    if not isinstance(given, Iterable):
        raise DataError(f"it gave {type(given).__name__}", where=source.text, hint="return a dict of arrays, or yield feeds")
    start, stop, step = source.rows.start, source.rows.stop, source.rows.step
    if any(part is not None and part < 0 for part in (start, stop)):
        feeds = list(given)[source.rows]
    else:
        feeds = list(islice(given, start, stop, step))
    for feed in feeds:
        if not isinstance(feed, Mapping):
            hint = "yield one dict per example: input name to array, and 'labels' if known"
            raise DataError(f"it yielded {type(feed).__name__}, not a dict", where=source.text, hint=hint)
    return feeds
