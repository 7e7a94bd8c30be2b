"""A decoder of transformers as ONNX with its key-value cache as inputs and outputs: each step reads one token and all that came before."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.errors import ModelError
from optkit.formats.torch_export import exported_program, save_exported

if TYPE_CHECKING:
    import torch


TOKENS, MASK = "input_ids", "attention_mask"
BATCH, SEQUENCE, PAST = "batch", "sequence", "past_length"
TRACED = {BATCH: 2, SEQUENCE: 3, PAST: 4}
"""Sizes that are traced: all unlike, and none of them 0 or 1, which PyTorch takes for constants."""


def cache_names(layers: int, prefix: str) -> list[str]:
    """`PREFIX.0.key`, `PREFIX.0.value`, `PREFIX.1.key`, …"""
    return [f"{prefix}.{layer}.{part}" for layer in range(layers) for part in ("key", "value")]


def export_with_past(module: "torch.nn.Module", opset: int, target: Path) -> None:
    """Write a decoder as ONNX to `target`, see `decoder_inputs` for what it takes.

    Outputs: logits [batch, sequence, vocabulary], present.N.key and .value [batch, heads, past_length + sequence, size].
    Raises ModelError where the module keeps no such cache, or with what PyTorch says.
    """
    import torch

    past = _past(module)
    step = _decoder_class()(module)
    tokens = torch.ones((TRACED[BATCH], TRACED[SEQUENCE]), dtype=torch.int64)
    mask = torch.ones((TRACED[BATCH], TRACED[SEQUENCE] + TRACED[PAST]), dtype=torch.int64)
    free = torch.export.Dim.DYNAMIC
    layers = len(past) // 2
    model = exported_program(
        step,
        args=(tokens, mask, past),
        dynamic_shapes={"input_ids": {0: free, 1: free}, "attention_mask": {0: free, 1: free}, "past": [{0: free, 2: free} for _ in past]},
        input_names=[TOKENS, MASK, *cache_names(layers, "past_key_values")],
        output_names=["logits", *cache_names(layers, "present")],
        opset=opset,
    )
    _name_sizes(model)
    save_exported(model, target)


def empty_past(module: "torch.nn.Module", rows: int) -> dict[str, Array]:
    """The inputs past_key_values.N.key and .value before the first token."""
    past = _past(module)
    names = cache_names(len(past) // 2, "past_key_values")
    return {name: np.zeros((rows, each.shape[1], 0, each.shape[3]), np.float32) for name, each in zip(names, past, strict=True)}


def next_past(answers: Mapping[str, Array]) -> dict[str, Array]:
    """The cache that a step gave back, as the next one takes it."""
    return {name.replace("present", "past_key_values"): array for name, array in answers.items() if name.startswith("present.")}


def _past(module: "torch.nn.Module") -> "list[torch.Tensor]":
    """A cache as the module makes one, of the sizes that are traced. Raises ModelError where it makes none that is a pair a layer."""
    import torch

    tokens = torch.ones((TRACED[BATCH], TRACED[PAST]), dtype=torch.int64)
    try:
        with torch.no_grad():
            cache = module(input_ids=tokens, use_cache=True).past_key_values
        pairs = [tensor for layer in cache.layers for tensor in (layer.keys, layer.values)]
        right = all(tensor.dim() == 4 and tensor.shape[0] == TRACED[BATCH] and tensor.shape[2] == TRACED[PAST] for tensor in pairs)
    except Exception as error:  # whatever the module or its cache is
        raise _no_cache() from error
    if not pairs or not right:
        raise _no_cache()
    return [tensor.detach().clone() for tensor in pairs]


def _no_cache() -> ModelError:
    hint = "with_past takes decoders of transformers, such as transformers:FOLDER with the argument class: AutoModelForCausalLM"
    return ModelError("it keeps no key-value cache of a pair of tensors for each layer", hint=hint)


def _decoder_class() -> Any:
    import inspect

    import torch
    from transformers import DynamicCache

    class Decoder(torch.nn.Module):  # type: ignore[misc]
        """Takes and gives flat tensors; positions count what the mask keeps, so that shorter texts may be padded on their left."""

        def __init__(self, module: torch.nn.Module) -> None:
            super().__init__()
            self.module = module
            self.counts = "position_ids" in inspect.signature(module.forward).parameters

        def forward(self, input_ids: Any, attention_mask: Any, past: Any) -> tuple[Any, ...]:
            cache = DynamicCache(list(zip(past[0::2], past[1::2], strict=True)))
            given = {"input_ids": input_ids, "attention_mask": attention_mask, "past_key_values": cache, "use_cache": True}
            if self.counts:
                positions = (attention_mask.cumsum(-1) - 1).clamp(min=0)
                given["position_ids"] = positions[:, past[0].shape[2] :]
            answer = self.module(**given)
            return (answer.logits, *(tensor for layer in answer.past_key_values.layers for tensor in (layer.keys, layer.values)))

    return Decoder


def _name_sizes(model: ir.Model) -> None:
    """PyTorch's s25 and s70 become batch and sequence, wherever they stand."""
    tokens, mask, *past = model.graph.inputs
    sizes = {str(value.shape[axis]): name for value, axis, name in _sizes(tokens, past) if value.shape is not None}
    for value in _values(model):
        if value.shape is not None:
            named = [size if isinstance(size, int) else _named(str(size), sizes) for size in (_plain(each) for each in value.shape)]
            value.shape = ir.Shape(named)
    mask.shape = ir.Shape([BATCH, f"{PAST} + {SEQUENCE}"])


def _sizes(tokens: ir.Value, past: list[ir.Value]) -> "list[tuple[ir.Value, int, str]]":
    return [(tokens, 0, BATCH), (tokens, 1, SEQUENCE), *((value, 2, PAST) for value in past)]


def _plain(size: Any) -> int | str | None:
    return size if isinstance(size, int) else size.value


def _named(expression: str, sizes: Mapping[str, str]) -> str:
    named = re.sub(r"\bs\d+\b", lambda found: sizes.get(found[0], found[0]), expression)
    return f"{PAST} + {SEQUENCE}" if set(named.split(" + ")) == {PAST, SEQUENCE} and named.count("+") == 1 else named


def _values(model: ir.Model) -> Iterator[ir.Value]:
    for graph in model.graphs():
        yield from graph.inputs
        for node in graph:
            yield from node.outputs
