"""Tables, `.csv` with a header line or `.jsonl`: columns become inputs and labels, as their names or `TABLE.yaml` say."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, PositiveInt

from optkit.arrays import Array
from optkit.datasets._fit import resembles_none
from optkit.datasets._sidecar import Sidecar, read_sidecar, sidecar_path
from optkit.datasets._source import Source
from optkit.errors import DataError
from optkit.inputs import Input

Row = dict[str, Any]


class Columns(Sidecar):
    """What `TABLE.yaml` may say."""

    inputs: dict[str, str | tuple[str, ...]] = Field({}, description="input name: a column, or a list of columns in the input's order")
    labels: str | None = Field(None, description="the column with the true answers; `labels` or `label` without it")
    groups: str | None = Field(None, description="the column that names examples which belong together; `groups` or `group` without it")
    classes: tuple[str, ...] = Field((), description="names of the classes in the model's order, where labels are names")
    text: str | None = Field(None, description="the column with the text to tokenize")
    tokenizer: str | None = Field(None, description="a tokenizer.json, its path starting at the folder of this file")
    max_length: PositiveInt | None = Field(None, description="tokens of an example; longer text is cut, shorter text padded")


def read(source: Source, inputs: Sequence[Input]) -> dict[str, Array]:
    """The rows asked for, a column or several for each input. Raises DataError naming the row of a cell that cannot be read."""
    rows = _rows(source)
    if not rows:
        raise DataError("the table has no rows", where=source.text, hint="each line after the header is one example")
    chosen = dict(list(enumerate(rows, 1))[source.rows])
    if not chosen:
        raise DataError("the slice selects no examples", where=source.text, hint=f"the table has {len(rows)} rows")
    table = _Table(source, chosen)
    columns = _settle(read_sidecar(source, Columns) or Columns(), table)
    arrays: dict[str, Array] = {}
    if columns.text is not None:
        from optkit.datasets._text import tokenize

        arrays |= tokenize(source, table.texts(columns.text), columns.tokenizer, columns.max_length, inputs)
    for port in inputs:
        if port.name not in arrays and (names := _columns_of(port, inputs, columns, table)):
            arrays[port.name] = table.numbers(names, port)
    if columns.labels is not None:
        arrays["labels"] = table.labels(columns.labels, _named_classes(source, [row[columns.labels] for row in rows], columns.classes))
    if columns.groups is not None:
        arrays["groups"] = np.array(table.texts(columns.groups))
    used = {columns.labels, columns.groups, columns.text, *arrays}
    for names in (_columns_of(port, inputs, columns, table) for port in inputs):
        used.update((names,) if isinstance(names, str) else names or ())
    wanted = [port.name for port in inputs]
    return arrays | {name: table.column(name) for name in table.columns if name not in used and resembles_none(name, wanted)}


class _Table:
    """The rows asked for, by their number in the file from 1."""

    def __init__(self, source: Source, rows: dict[int, Row]) -> None:
        self.source, self.rows = source, rows
        self.columns = tuple(next(iter(rows.values())))

    def values(self, column: str) -> list[Any]:
        return [row[column] for row in self.rows.values()]

    def texts(self, column: str) -> list[str]:
        return [str(value) for value in self.values(column)]

    def numbers(self, names: str | Sequence[str], port: Input) -> Array:
        """[rows] or [rows, 1] of one column, as the input wants it; [rows, columns] of several."""
        if not isinstance(names, str):
            return np.stack([self._column(name, port.dtype) for name in names], axis=1)
        column = self._column(names, port.dtype)
        return column[:, None] if column.ndim == 1 and len(port.shape) == 2 else column

    def labels(self, column: str, classes: Sequence[str] | None) -> Array:
        if classes is None:
            return self._column(column, None)
        return np.array([classes.index(str(value)) for value in self.values(column)], np.int64)

    def column(self, name: str) -> Array:
        """One value per row, as numbers where all are, else as text."""
        try:
            numbers = np.array([_number(value) for value in self.values(name)])
        except (TypeError, ValueError):
            return np.array(self.texts(name))
        return numbers if numbers.ndim == 1 else np.array(self.texts(name))

    def _column(self, name: str, dtype: str | None) -> Array:
        if dtype == "str":
            return np.array(self.texts(name), dtype=object)
        numbers = []
        for row, value in zip(self.rows, self.values(name), strict=True):
            try:
                numbers.append(_number(value))
            except (TypeError, ValueError) as error:
                what = f"row {row}, column {name!r}: {_shorten(value)} is not a number"
                hint = "name the columns to use under `inputs:`, or the text and its tokenizer, in"
                raise DataError(what, where=self.source.text, hint=f"{hint} {sidecar_path(self.source)}") from error
        try:
            return np.array(numbers)
        except ValueError as error:
            what = f"column {name!r} has lists of different lengths"
            raise DataError(what, where=self.source.text, hint="pad them to one length") from error


def _number(value: Any) -> Any:
    """A cell as int where it is one, else float; lists (jsonl) item by item."""
    if isinstance(value, list):
        return [_number(item) for item in value]
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            return float(value)
    if not isinstance(value, int | float):
        raise TypeError
    return value


def _columns_of(port: Input, inputs: Sequence[Input], columns: Columns, table: _Table) -> str | Sequence[str] | None:
    """Which columns fill an input: those the sidecar names, the one of its name, or for a single input all of them."""
    if port.name in columns.inputs:
        return columns.inputs[port.name]
    if port.name in table.columns:
        return port.name
    free = [name for name in table.columns if name not in (columns.labels, columns.groups, columns.text)]
    return free if len(inputs) == 1 and columns.text is None else None


def _named_classes(source: Source, values: Sequence[Any], classes: Sequence[str]) -> Sequence[str] | None:
    """Names of the classes in order, or None where labels are numbers already. All rows count, whatever the slice."""
    if classes:
        strange = [value for value in values if str(value) not in classes]
        if strange:
            what = f"label {_shorten(strange[0])} is not among the classes of {sidecar_path(source).name}"
            raise DataError(what, where=source.text, hint=f"known: {', '.join(classes)}")
        return classes
    try:
        for value in values:
            _number(value)
    except (TypeError, ValueError):
        if not all(isinstance(value, str) and value for value in values):
            raise DataError("some rows have no label", where=source.text, hint="fill the column of the labels in every row") from None
        return sorted(set(values))
    return None


def _settle(columns: Columns, table: _Table) -> Columns:
    """Find the columns of labels and groups by their usual names where the sidecar names none, and check those it names."""
    found = {}
    for key, given in (("labels", columns.labels), ("groups", columns.groups)):
        usual = [name for name in (key, key.removesuffix("s")) if name in table.columns]
        found[key] = given or next(iter(usual), None)
    named = [*found.values(), columns.text]
    for names in columns.inputs.values():
        named += [names] if isinstance(names, str) else names
    for name in named:
        if name is not None and name not in table.columns:
            raise DataError(f"there is no column {name!r}", where=table.source.text, hint=f"columns: {', '.join(table.columns)}")
    return columns.model_copy(update=found)


def _rows(source: Source) -> list[Row]:
    path = Path(source.place)
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            if path.suffix == ".csv":
                return _checked(source, list(csv.DictReader(stream, strict=True)))
            return _checked(source, [json.loads(line) for line in stream if line.strip()])
    except (OSError, UnicodeDecodeError, csv.Error, json.JSONDecodeError) as error:
        kind = path.suffix[1:]
        raise DataError(f"it is not {kind} in UTF-8: {error}", where=source.text, hint=f"save it as {kind} again") from error


def _checked(source: Source, rows: list[Any]) -> list[Row]:
    """Every row is a mapping with the same columns and a value in each."""
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict) or row.keys() != rows[0].keys() or None in row or None in row.values():
            hint = "every row needs the same columns, none of them missing"
            raise DataError(f"row {number} has other columns than the first", where=source.text, hint=hint)
    return rows


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}…{text[0]}"
