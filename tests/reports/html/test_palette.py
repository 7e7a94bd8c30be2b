"""Contrast as WCAG 2 defines it: 4.5 for text, 3 for marks and lines that mean something."""

import pytest

from optkit.reports.html.palette import DARK, LIGHT, SERIES, variables

PALETTES = {"light": LIGHT, "dark": DARK}


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, bright = sorted((luminance(one), luminance(other)))
    return (bright + 0.05) / (dark + 0.05)


def test_contrast_is_what_it_should_be() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("palette", PALETTES)
@pytest.mark.parametrize(
    ("text", "grounds"),
    [
        ("text", ("ground", "surface", "sunken", "better-tint", "worse-tint", "doubt-tint")),
        ("muted", ("ground", "surface", "sunken", "better-tint", "worse-tint", "doubt-tint")),
        ("accent", ("ground", "surface")),
        ("better", ("surface", "better-tint")),
        ("worse", ("surface", "worse-tint")),
        ("doubt", ("surface", "doubt-tint")),
        *((f"s{i}", ("surface",)) for i in range(SERIES)),  # names of models are written in their colours
        ("surface", ("text",)),  # the note beside the pointer
    ],
)
def test_text_can_be_read(palette: str, text: str, grounds: tuple[str, ...]) -> None:
    colours = PALETTES[palette]
    assert {
        ground: round(contrast(colours[text], colours[ground]), 2) for ground in grounds if contrast(colours[text], colours[ground]) < 4.5
    } == {}


@pytest.mark.parametrize("palette", PALETTES)
def test_marks_and_axes_can_be_seen(palette: str) -> None:
    colours = PALETTES[palette]
    marks = ["axis", *(f"s{i}" for i in range(SERIES))]
    grounds = ("surface", "sunken")
    assert [(mark, ground) for mark in marks for ground in grounds if contrast(colours[mark], colours[ground]) < 3] == []


def test_both_palettes_name_the_same_colours() -> None:
    assert list(LIGHT) == list(DARK)
    assert variables({"a": "#fff", "b": "#000"}) == "--a: #fff; --b: #000;"
