"""Do arrays fit the inputs of a model? Names, lengths, dimensions and types; casts that lose nothing are made silently."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from optkit.arrays import Array
from optkit.datasets._examples import Examples
from optkit.decoder import may_be_left_out
from optkit.errors import DataError
from optkit.inputs import Input

BESIDE = ("labels", "groups")
"""Names of arrays that are no inputs, unless the model has an input of that name."""


def fit_examples(
    source: str, arrays: Mapping[str, Any], inputs: Sequence[Input], *, needs_labels: bool = False, synthetic: bool = False
) -> Examples:
    """Examples out of arrays that fit `inputs`, in the order of the inputs. Raises DataError with two lines where they do not fit."""
    if not arrays:
        raise DataError("it holds no array", where=source, hint=f"give one array per model input: {_names(inputs)}")
    inputs = _to_be_given(arrays, inputs)
    found, labels, groups, columns = check_arrays(source, arrays, inputs)
    whole = _whole(source, found, inputs)
    fitted = {port.name: _cast(source, port, found[port.name]) for port in inputs}
    if needs_labels and labels is None:
        hint = "add an array 'labels' with the true answer of every example, or compare without --metric"
        raise DataError("it has no labels, and the metric needs them", where=source, hint=hint)
    return Examples(source, fitted, labels, None if groups is None else _numbered(source, groups), whole, synthetic, columns)


def check_arrays(
    source: str, arrays: Mapping[str, Any], inputs: Sequence[Input]
) -> tuple[dict[str, Array], Array | None, Array | None, dict[str, Array]]:
    """The arrays of the inputs, the labels, the groups and the columns, where names and lengths are right.

    Columns are arrays of one value per example whose names resemble nothing that is wanted. Raises DataError.
    """
    inputs = _to_be_given(arrays, inputs)
    found = {name: np.asarray(array) for name, array in arrays.items()}
    names = {port.name for port in inputs}
    labels, groups = (found.pop(name) if name in found and name not in names else None for name in BESIDE)
    columns = {name: found.pop(name) for name in _columns(found, names)}
    _check_names(source, found, inputs)
    _check_lengths(source, found | columns, labels, groups)
    return found, labels, groups, columns


def _to_be_given(arrays: Mapping[str, Any], inputs: Sequence[Input]) -> list[Input]:
    """All inputs but the parts of a decoder's cache that have no array: they are empty."""
    return [port for port in inputs if port.name in arrays or not may_be_left_out(port, inputs)]


def _columns(found: Mapping[str, Array], names: set[str]) -> list[str]:
    """No input is missing, so these are not inputs under a wrong name; and none is `labels` or `groups` misspelt."""
    if not names <= found.keys():
        return []
    return [name for name in found if name not in names and found[name].ndim == 1 and resembles_none(name, names)]


def resembles_none(name: str, inputs: Iterable[str]) -> bool:
    """Whether a name is clearly none of the inputs, nor labels or groups."""
    return not difflib.get_close_matches(name, [*inputs, *BESIDE], n=1)


def cut(source: str, arrays: Mapping[str, Any], inputs: Sequence[Input], rows: slice) -> dict[str, Array]:
    """The rows asked for, after the check that a slice would hide a difference from; copies, so that the rest can be forgotten."""
    if rows == slice(None):
        return {name: np.asarray(array) for name, array in arrays.items()}
    check_arrays(source, arrays, inputs)
    return {name: np.asarray(array)[rows].copy() for name, array in arrays.items()}


def _check_names(source: str, found: Mapping[str, Any], inputs: Sequence[Input]) -> None:
    """Every input has its array and every array its input."""
    names = [port.name for port in inputs]
    strange = [name for name in found if name not in names]
    for port in inputs:
        if port.name not in found:
            known = "" if port.dtype == "any" else f" ({_describe(port)})"
            wants = f"input {port.name!r}{known} has no array"
            has = f"the data has {', '.join(map(repr, found)) or 'no inputs'}"
            raise DataError(f"{wants}; {has}", where=source, hint=_rename(port.name, strange, alone=len(names) == 1 == len(strange)))
    for name in strange:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}? " if near else "leave it out; "
        raise DataError(f"array {name!r} is no input of the model", where=source, hint=f"{hint}inputs: {', '.join(names)}")


def _check_lengths(source: str, found: Mapping[str, Any], labels: Any, groups: Any) -> None:
    """All arrays have the same number of examples, and at least one."""
    sizes = {name: array.shape for name, array in found.items()}
    sizes |= {name: array.shape for name, array in zip(BESIDE, (labels, groups), strict=True) if array is not None}
    first = next(iter(sizes))
    for name, shape in sizes.items():
        if not shape:
            raise DataError(f"array {name!r} is a single value", where=source, hint="its first axis must be the examples")
        if shape[0] != sizes[first][0]:
            what = f"array {first!r} has {sizes[first][0]} examples, {name!r} has {shape[0]}"
            raise DataError(what, where=source, hint="the first axis is the examples: it must be equally long in every array")
    if sizes[first][0] == 0:
        raise DataError("it holds no examples", where=source, hint="the first axis of its arrays is the examples, and it is 0 long")


def _whole(source: str, found: Mapping[str, Array], inputs: Sequence[Input]) -> bool:
    """Whether each example is a whole feed: every array has one axis more than its input. Raises DataError for any other rank."""
    extra = {}
    for port in inputs:
        array = found[port.name]
        if not port.shape and array.ndim > 1:
            continue  # a runtime shows an unknown rank as a scalar: both ways fit
        extra[port.name] = array.ndim - len(port.shape)
        if extra[port.name] not in (0, 1):
            raise _misfit(source, port, array, "the first axis is the examples, the others are one example")
    whole = set(extra.values()) == {1}
    if not whole and 1 in extra.values():
        feed, batch = (next(name for name, more in extra.items() if more == each) for each in (1, 0))
        what = f"each example of {feed!r} is a whole feed (one axis more than the input), each of {batch!r} is a row of a batch"
        raise DataError(what, where=source, hint=f"give {batch!r} one axis more too, of length 1")
    for port in inputs:
        given = found[port.name].shape[1:]
        wanted = port.shape if whole else port.shape[1:]
        if port.shape and any(isinstance(w, int) and w != g for w, g in zip(wanted, given, strict=True)):
            raise _misfit(source, port, found[port.name], "a fixed dimension of the model cannot change: prepare the data to that size")
    return whole


def _cast(source: str, port: Input, array: Array) -> Array:
    """The array in the type of the input, when no value is lost: only rounding between float types is allowed."""
    if port.dtype == "str":
        if array.dtype.kind in "US":
            return array.astype(object) if array.dtype.kind == "U" else np.char.decode(array).astype(object)
        if array.dtype.kind == "O" and all(isinstance(value, str) for value in array.ravel()):
            return array
        raise _unsafe(source, port, array, "give text")
    try:
        wanted = dtype_of(port)
    except TypeError:
        return array  # a type that numpy has no name for: the runtime judges it
    if array.dtype == wanted:
        return array
    if not _is_number(array.dtype):
        raise _unsafe(source, port, array, f"convert it to {port.dtype}")
    if is_float(array.dtype) and not is_float(wanted):
        raise _unsafe(source, port, array, f"round it yourself: .astype(np.{port.dtype})")
    with np.errstate(over="ignore", invalid="ignore"):
        cast = array.astype(wanted)
        kept = np.isfinite(cast.astype(np.float64)) | ~np.isfinite(array) if is_float(array.dtype) else _same_numbers(array, cast)
    if not np.all(kept):
        worst = array[~kept].ravel()[0]
        raise _unsafe(source, port, array, f"values such as {worst} do not fit into {port.dtype}")
    return cast


def _same_numbers(array: Array, cast: Array) -> Array:
    """Where integers kept their value; a change of sign on the way there and back is a change too."""
    back = cast.astype(array.dtype)
    return np.asarray((back == array) & ((cast < 0) == (array < 0)))


def dtype_of(port: Input) -> np.dtype[Any]:
    """numpy's type of an input; text is an array of str objects. Raises TypeError where numpy has none."""
    if port.dtype == "bfloat16":
        from ml_dtypes import bfloat16

        narrow: np.dtype[Any] = np.dtype(bfloat16)
        return narrow
    return np.dtype(object if port.dtype == "str" else port.dtype)


def is_float(dtype: np.dtype[Any]) -> bool:
    return dtype.kind == "f" or dtype.name == "bfloat16"


def _is_number(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "biu" or is_float(dtype)


def _numbered(source: str, groups: Array) -> Array:
    """Names of groups as numbers, in the order in which they appear first."""
    if groups.ndim != 1:
        raise DataError(f"'groups' is {list(groups.shape)}", where=source, hint="give the name or number of one group per example")
    if groups.dtype.kind in "iu":
        return groups
    _, first, inverse = np.unique(groups.astype(str), return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


def _rename(wanted: str, strange: Sequence[str], alone: bool) -> str:
    near = strange if alone else difflib.get_close_matches(wanted, strange, n=1)
    if near:
        return f"if {near[0]!r} is meant, rename it: np.savez(FILE, {wanted}=…)" if wanted.isidentifier() else f"rename {near[0]!r}"
    return f"add an array {wanted!r} with the examples on its first axis"


def _misfit(source: str, port: Input, array: Array, hint: str) -> DataError:
    return DataError(f"input {port.name!r} wants {_describe(port)}, the data has {_show(array)}", where=source, hint=hint)


def _unsafe(source: str, port: Input, array: Array, hint: str) -> DataError:
    return DataError(f"input {port.name!r} wants {port.dtype}, the data has {_type_name(array)}", where=source, hint=hint)


def _describe(port: Input) -> str:
    return f"{port.dtype} [{', '.join('?' if size is None else str(size) for size in port.shape)}]"


def _show(array: Array) -> str:
    return f"{_type_name(array)} [{', '.join(map(str, array.shape))}]"


def _type_name(array: Array) -> str:
    return "text" if array.dtype.kind in "US" else array.dtype.name


def _names(inputs: Sequence[Input]) -> str:
    return ", ".join(port.name for port in inputs)
