"""Options that several subcommands share, said once, and people's units as types of values."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import click

from optkit.errors import UsageError
from optkit.units import parse_bytes, parse_ratio, parse_seconds

T = TypeVar("T")
Decorated = TypeVar("Decorated", bound=Callable[..., Any])


class _Words(click.ParamType, Generic[T]):  # type: ignore[type-arg]  # click's class takes arguments since 8.4 only
    """Text that `parse` turns into a value; its UsageError becomes click's."""

    def __init__(self, name: str, parse: Callable[[str], T]) -> None:
        self.name = name
        self.parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> T:
        if not isinstance(value, str):
            return value  # type: ignore[no-any-return]  # a default, which has the right type already
        try:
            return self.parse(value)
        except UsageError as error:
            self.fail(str(error), param, ctx)


def _parse_counts(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise UsageError(f"{text!r} is not a list of whole numbers above 0", hint="write 1,8 or just 1")
    return tuple(int(part) for part in parts)


def _parse_threads(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise UsageError(f"{text!r} is not a list of whole numbers", hint="write 1,2,4 or just 1")
    return tuple(int(part) for part in parts)


SECONDS = _Words("time", parse_seconds)
BYTES = _Words("size", parse_bytes)
RATIO = _Words("share", parse_ratio)
INTS = _Words("counts", _parse_counts)
THREADS = _Words("counts", _parse_threads)


def share_between(least: float, most: float) -> Callable[[click.Context, click.Parameter, float | None], float | None]:
    """Refuses what is no such share, above all percentages written without their sign."""

    def check(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
        if value is None or least <= value <= most:
            return value
        what = f"{value:g} is not between {least:g} and {most:g}"
        hint = f"\nhint: for {value:g} percent write {value:g}%" if value > most else ""
        raise click.BadParameter(f"{what}{hint}", ctx, param)

    return check


MODEL = click.Path(readable=False, path_type=Path)
"""A model to read: whether it is there, may be read and is a model is for `read_artifact` to say."""
FILE = click.Path(dir_okay=False, path_type=Path)
"""A file to write."""

quiet_option = click.option("--quiet", "-q", is_flag=True, help="No progress, no remarks: only results and errors.")
verbose_option = click.option("--verbose", "-v", is_flag=True, help="Say more about what is being done, and why.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
threads_option = click.option(
    "--threads", type=click.IntRange(0), default=1, show_default=True, help="Threads a model may use; 0 leaves it to the runtime."
)
thread_counts_option = click.option(
    "--threads", type=THREADS, default="1", show_default=True, help="Threads to measure with, such as 1,2,4; 0 leaves it to the runtime."
)
device_option = click.option(
    "--device", default="cpu", show_default=True, help="cpu, cuda, openvino, or the name of any ONNX Runtime provider."
)
devices_option = click.option(
    "--device",
    "devices",
    multiple=True,
    default=("cpu",),
    show_default=True,
    help="cpu, cuda, openvino, or the name of any ONNX Runtime provider. Repeat it for several.",
)
data_option = click.option(
    "--data", metavar="DATA", help="Examples: an .npz file, a folder of images, a table, module:callable. data.npz[:512] takes a part."
)
synthetic_option = click.option(
    "--synthetic", is_flag=True, help="Make inputs up where there is no data; the result is called fidelity, never accuracy."
)
metrics_option = click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME",
    help="What to score answers with: a name or module:function. Repeat it for several.",
)
batches_option = click.option("--batch", "batches", type=INTS, default="1", show_default=True, help="Batch sizes to measure, such as 1,8.")
seed_option = click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Where randomness starts.")
no_cache_option = click.option("--no-cache", is_flag=True, help="Do not take or keep results in the cache.")
force_option = click.option("--force", "-f", is_flag=True, help="Replace the output if it exists.")


def choice_option(name: str, words: Sequence[str], says: str, default: str | None = None) -> Callable[[Decorated], Decorated]:
    """An option that takes one of these words; the first where nothing is said, unless another is the default."""
    return click.option(name, type=click.Choice(words), default=default or words[0], show_default=True, help=says)


def together(*options: Callable[[Any], Any]) -> Callable[[Decorated], Decorated]:
    """Several options as one, shown in this order."""

    def decorate(command: Decorated) -> Decorated:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


talk_options = together(quiet_option, verbose_option)
made_options = together(force_option, json_option, talk_options)
"""Of every command that writes a model."""
cached_options = together(force_option, no_cache_option, json_option, talk_options)
"""Of those among them whose work the cache keeps."""
