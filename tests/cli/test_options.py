"""People's units on the command line."""

import click
import pytest
from click.testing import CliRunner

from optkit.commands._options import BYTES, INTS, RATIO, SECONDS, batches_option, devices_option, talk_options


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (SECONDS, "50ms", 0.05),
        (SECONDS, "10", 10.0),
        (BYTES, "2GB", 2_000_000_000),
        (RATIO, "1%", 0.01),
        (RATIO, "0.5", 0.5),
        (INTS, "1,8", (1, 8)),
        (INTS, " 4 ", (4,)),
    ],
)
def test_reads(kind: "click.ParamType[object]", text: str, value: object) -> None:
    assert kind.convert(text, None, None) == value
    assert kind.convert(value, None, None) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (SECONDS, "3 parsecs"),
        (SECONDS, ""),
        (BYTES, "2XB"),
        (RATIO, "half"),
        (RATIO, "1s"),
        (INTS, "0"),
        (INTS, "1,,2"),
        (INTS, "-1"),
        (INTS, "²"),
    ],
)
def test_refuses_with_what_the_user_wrote(kind: "click.ParamType[object]", text: str) -> None:
    with pytest.raises(click.BadParameter) as refused:
        kind.convert(text, None, None)
    assert repr(text) in str(refused.value)


def test_shared_options_give_their_defaults_and_values() -> None:
    @click.command()
    @talk_options
    @batches_option
    @devices_option
    def command(quiet: bool, verbose: bool, batches: tuple[int, ...], devices: tuple[str, ...]) -> None:
        click.echo(f"{quiet} {verbose} {batches} {devices}")

    run = CliRunner().invoke
    assert run(command, []).output == "False False (1,) ('cpu',)\n"
    assert run(command, ["-q", "--batch", "1,8", "--device", "cpu", "--device", "cuda"]).output == "True False (1, 8) ('cpu', 'cuda')\n"
