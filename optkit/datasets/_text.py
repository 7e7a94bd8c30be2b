"""Text to token ids with a `tokenizer.json` of the Hugging Face tokenizers library."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from optkit.arrays import Array
from optkit.datasets._sidecar import sidecar_path
from optkit.datasets._source import Source
from optkit.errors import DataError
from optkit.inputs import Input
from optkit.needs import need

PARTS = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
"""What a model calls its inputs, and what the tokenizer calls them."""


def tokenize(source: Source, texts: Sequence[str], tokenizer: str | None, length: int | None, inputs: Sequence[Input]) -> dict[str, Array]:
    """Arrays [texts, tokens] for those of the model's inputs that a tokenizer gives, cut and padded to `length`, or to the longest."""
    sidecar = sidecar_path(source)
    if tokenizer is None:
        raise DataError(
            "text needs a tokenizer", where=str(sidecar), hint="add `tokenizer: tokenizer.json`, the file that belongs to the model"
        )
    path = sidecar.parent / tokenizer
    if not path.is_file():
        raise DataError(f"tokenizer: there is no file {path}", where=str(sidecar), hint="its path starts at the folder of this file")
    library: Any = need("text", f"data {source.text}")
    try:
        split = library.Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises plain Exception
        raise DataError(
            f"tokenizer: {path} is not a tokenizer file", where=str(sidecar), hint="use the tokenizer.json of the model"
        ) from error
    if length is not None:
        split.enable_truncation(max_length=length)
    padding = split.padding or {}
    split.enable_padding(**{**padding, "length": length, "pad_to_multiple_of": None})
    encoded = split.encode_batch(list(texts))
    return {port.name: np.array([getattr(e, PARTS[port.name]) for e in encoded], np.int64) for port in inputs if port.name in PARTS}
