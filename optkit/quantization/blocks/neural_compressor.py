"""Neural Compressor's ways of rounding the weights of a PyTorch network, and the integers that they chose."""

import contextlib
import io
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from optkit.errors import MissingLibrary, ModelError
from optkit.needs import need
from optkit.quantization.blocks.absorbed import Calibrate, absorbing
from optkit.quantization.blocks.blocked import Blocked, Scheme, spread
from optkit.quantization.blocks.layers import SHORTEST, SMALLEST

if TYPE_CHECKING:
    import torch

Algorithm = Literal["rtn", "gptq", "awq", "auto_round"]

NAMES = {"rtn": "round to nearest", "gptq": "GPTQ", "awq": "AWQ", "auto_round": "AutoRound"}
IN_BLOCKS = ("gptq", "awq", "auto_round")
"""These go through a network block by block, and find the blocks as the entries of a torch.nn.ModuleList."""


@dataclass(frozen=True)
class Asked:
    """What the weights shall become."""

    algorithm: Algorithm = "gptq"
    bits: Literal[4, 8] = 4
    size: int = 32
    symmetric: bool = False
    exclude: tuple[str, ...] = ()
    """Patterns of names of layers."""
    rounds: int = 200
    """Of AutoRound's training, for each block."""


def load_library(algorithm: Algorithm, wanted_by: str) -> Any:
    """`neural_compressor.torch.quantization`, which must be there in whole. Raises MissingLibrary with what to install."""
    need("llm", wanted_by)
    if algorithm == "auto_round" and find_spec("auto_round") is None:
        raise MissingLibrary(
            f"{wanted_by} with algorithm: auto_round needs auto-round, which is not installed", hint="pip install auto-round"
        )
    try:
        with quiet():
            import transformers  # noqa: F401  # first: modules of the library take it from here only when they are loaded, and need it later
            from neural_compressor.torch import quantization

            if algorithm == "auto_round":
                from neural_compressor.torch.algorithms import autoround  # noqa: F401
    except ImportError as error:
        command = "pip install auto-round" if algorithm == "auto_round" else "pip install 'optkit[llm]'"
        raise MissingLibrary(f"{wanted_by} cannot load neural-compressor: {error}", hint=command) from error
    return quantization


def quantize_layers(module: "torch.nn.Module", asked: Asked, calibrate: Calibrate) -> tuple["torch.nn.Module", dict[str, Blocked]]:
    """The network with what its rounded weights stand for in place of its weights, and their integers by name of the layer.

    `module` is changed. The network that comes back computes in float and can be exported: AWQ leaves multiplications in it, and other
    norms. Raises ModelError where the algorithm does not find its way through the network.
    """
    library = load_library(asked.algorithm, "quantize_weights_torch")
    as_linear(module)
    chosen = _layers(module, asked.exclude)
    if not chosen:
        return module, {}
    if asked.algorithm in IN_BLOCKS:
        _check_blocks(module)
    biases = {name: chosen[name].bias for name in chosen}
    hidden = _hide(module, chosen)
    with quiet():
        try:
            made = _converted(library, module, asked, calibrate)
        except (Exception, SystemExit) as error:  # the library has no errors of its own, and auto-round exits
            told = " ".join(str(error).split()) or type(error).__name__
            hint = "it knows networks of repeated blocks, as transformers has them; exclude what it cannot take, or algorithm: rtn"
            raise ModelError(f"neural-compressor's {NAMES[asked.algorithm]} does not take this network: {told[:300]}", hint=hint) from error
    for name, linear in hidden.items():
        made.set_submodule(name, linear)
    return made, _read_back(made, asked, biases)


def _converted(library: Any, module: "torch.nn.Module", asked: Asked, calibrate: Calibrate) -> "torch.nn.Module":
    import torch

    wanted: dict[str, Any] = {"bits": asked.bits, "group_size": asked.size, "use_sym": asked.symmetric}
    if asked.algorithm == "awq":
        config = library.AWQConfig(**wanted, absorb_layer_dict=absorbing(module, calibrate))
    elif asked.algorithm == "gptq":
        config = library.GPTQConfig(**wanted, model_path=os.curdir)  # what is no folder it would look for on the network
    else:
        config = library.RTNConfig(**wanted)
    if asked.algorithm == "auto_round":
        return _auto_rounded(library, module, wanted, asked, calibrate)
    with torch.no_grad():
        prepared = library.prepare(module, config, example_inputs=torch.zeros(1))
        if asked.algorithm != "rtn":
            calibrate(prepared)
        made: torch.nn.Module = library.convert(prepared)
    return made


def _auto_rounded(
    library: Any, module: "torch.nn.Module", wanted: Mapping[str, Any], asked: Asked, calibrate: Calibrate
) -> "torch.nn.Module":
    """AutoRound trains, with gradients; it leaves float layers with their scales and zero points as attributes."""
    rows, length = _text_sizes(calibrate)
    with tempfile.TemporaryDirectory(prefix="optkit-") as folder:
        config = library.AutoRoundConfig(
            **wanted,
            seqlen=length,
            nsamples=rows,
            batch_size=min(rows, 8),
            iters=asked.rounds,
            export_format="fake",
            output_dir=folder,
            reloading=False,
            scale_dtype="fp32",
            amp=False,
            enable_torch_compile=False,
        )
        prepared = library.prepare(module, config)
        calibrate(prepared)
        made: torch.nn.Module = library.convert(prepared)
    return made


def _text_sizes(calibrate: Calibrate) -> tuple[int, int]:
    """How many texts the examples are, and of how many tokens: AutoRound leaves out shorter ones than it is told."""
    shapes: list[tuple[int, ...]] = []

    def note(*args: Any, **named: Any) -> None:
        shapes.append(tuple(next(iter((*args, *named.values()))).shape))

    calibrate(note)
    return sum(shape[0] for shape in shapes), shapes[0][1] if len(shapes[0]) > 1 else 1


def _read_back(made: "torch.nn.Module", asked: Asked, biases: Mapping[str, Any]) -> dict[str, Blocked]:
    """The integers of every layer that the library packed, which becomes a float layer again. Scales are float16 there."""
    import torch
    from neural_compressor.torch.algorithms.weight_only.modules import INCWeightOnlyLinear

    found: dict[str, Blocked] = {}
    for name, packed in list(made.named_modules()):
        if asked.algorithm == "auto_round" and isinstance(getattr(packed, "scale", None), torch.Tensor):
            blocked = _from_scales(packed, asked, name)
        elif isinstance(packed, INCWeightOnlyLinear):
            with quiet():
                blocked = _blocked(packed, asked)
        else:
            continue
        if not np.isfinite(blocked.scales).all():
            raise ModelError("a scale is too large for float16, in which neural-compressor keeps it", where=name, hint="exclude the layer")
        bias = biases.get(name, biases.get(name.removesuffix(".linear")))
        linear = torch.nn.Linear(packed.in_features, packed.out_features, bias=bias is not None)
        linear.weight = torch.nn.Parameter(torch.from_numpy(blocked.real()), requires_grad=False)
        linear.bias = bias
        made.set_submodule(name, linear)
        found[name] = blocked
    return found


def _blocked(packed: Any, asked: Asked) -> Blocked:
    held = packed.unpack()
    scheme = Scheme(asked.bits, asked.size, asked.symmetric)
    integers, zeros = (np.asarray(held[key].to("cpu")).astype(np.int64) & scheme.top for key in ("int_weight", "zp"))
    scales = np.asarray(held["scales"].to("cpu").float())
    if asked.symmetric and not (zeros == scheme.middle).all():
        raise ModelError("neural-compressor chose zero points where none were asked for", hint="set symmetric: false")
    return Blocked(integers.astype(np.uint8), np.ascontiguousarray(scales), zeros.astype(np.uint8), scheme)


def _from_scales(linear: Any, asked: Asked, name: str) -> Blocked:
    """The integers of a layer that holds what they stand for. Raises ModelError where it holds anything else."""
    scheme = Scheme(asked.bits, asked.size, asked.symmetric)
    weight = np.asarray(linear.weight.detach().cpu().float())
    scales = np.ascontiguousarray(np.asarray(linear.scale.detach().cpu().float()).reshape(len(weight), -1))
    points = linear.zp.detach().cpu().float().numpy() if hasattr(linear.zp, "detach") else np.float32(linear.zp)
    zeros = np.broadcast_to(points.reshape(len(weight), -1) if np.ndim(points) else points, scales.shape)
    wide, points = (spread(each, asked.size, weight.shape[1]) for each in (scales, zeros))
    integers = np.clip(np.rint(weight / wide + points), 0, scheme.top)
    held = Blocked(integers.astype(np.uint8), scales, zeros.astype(np.uint8), scheme)
    if not np.allclose(held.real(), weight, rtol=1e-5, atol=1e-3 * float(np.abs(scales).max())):
        raise ModelError("AutoRound left weights that its scales do not give", where=name, hint="exclude the layer")
    return held


def as_linear(module: "torch.nn.Module") -> None:
    """Replace the Conv1D layers of transformers' older networks, which are Linear layers turned: the library loses their integers."""
    import torch

    for name, part in list(module.named_modules()):
        if type(part).__name__ != "Conv1D" or not hasattr(part, "nf"):
            continue
        linear = torch.nn.Linear(*part.weight.shape, bias=part.bias is not None)
        linear.weight = torch.nn.Parameter(part.weight.detach().T.contiguous(), requires_grad=False)
        linear.bias = part.bias
        module.set_submodule(name, linear)


def _layers(module: "torch.nn.Module", exclude: Sequence[str]) -> dict[str, Any]:
    """Linear layers that can be held in groups: not small, not tied to another layer's weight, not excluded."""
    import torch

    owners: dict[int, int] = {}
    for part in module.modules():
        for parameter in part._parameters.values():
            owners[id(parameter)] = owners.get(id(parameter), 0) + 1
    return {
        name: part
        for name, part in module.named_modules()
        if isinstance(part, torch.nn.Linear)
        and part.weight.numel() >= SMALLEST
        and part.in_features >= SHORTEST
        and owners[id(part.weight)] == 1
        and not any(fnmatchcase(name, pattern) for pattern in exclude)
    }


def _hide(module: "torch.nn.Module", chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Put the other Linear layers out of the library's sight: it has no sure way of leaving one alone."""
    import torch

    class Kept(torch.nn.Module):  # type: ignore[misc]
        def __init__(self, linear: torch.nn.Linear) -> None:
            super().__init__()
            self.weight, self.bias = linear.weight, linear.bias

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.linear(x, self.weight, self.bias)

    hidden = {name: part for name, part in module.named_modules() if isinstance(part, torch.nn.Linear) and name not in chosen}
    for name, part in hidden.items():
        module.set_submodule(name, Kept(part))
    return hidden


def _check_blocks(module: "torch.nn.Module") -> None:
    import torch

    if not any(type(part) is torch.nn.ModuleList and len(part) for part in module.modules()):
        hint = "algorithm: rtn takes any network; quantize_weights on the exported model has GPTQ for any network"
        raise ModelError("it has no repeated blocks (torch.nn.ModuleList), which this algorithm goes through", hint=hint)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """The library and what it loads print and log their progress and warnings."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
