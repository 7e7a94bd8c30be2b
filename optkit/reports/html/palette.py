"""The colours of the page, light and dark. Text passes WCAG AA (4.5:1) on every ground it stands on, marks and lines 3:1."""

from collections.abc import Mapping

LIGHT = {
    "ground": "#f6f7f9",
    "surface": "#ffffff",
    "sunken": "#eef1f4",
    "line": "#dfe4ea",
    "axis": "#818c99",
    "text": "#171d24",
    "muted": "#525d69",
    "accent": "#1a5fb4",
    "better": "#0b6b4b",
    "worse": "#b42318",
    "doubt": "#7a4f00",
    "better-tint": "#e6f4ed",
    "worse-tint": "#fcebe9",
    "doubt-tint": "#fbf1da",
    "s0": "#6a7684",
    "s1": "#1a66c9",
    "s2": "#bd4f05",
    "s3": "#0c7f74",
    "s4": "#8746bd",
    "s5": "#b03075",
    "s6": "#756500",
    "s7": "#41549f",
}
DARK = {
    "ground": "#0f1317",
    "surface": "#171c22",
    "sunken": "#212830",
    "line": "#2e3741",
    "axis": "#77838f",
    "text": "#e7ebef",
    "muted": "#a6b1bc",
    "accent": "#82b6ff",
    "better": "#63d2a6",
    "worse": "#ff968a",
    "doubt": "#f0c067",
    "better-tint": "#14291f",
    "worse-tint": "#331b19",
    "doubt-tint": "#2e2513",
    "s0": "#98a4b1",
    "s1": "#6aa9ff",
    "s2": "#f29b54",
    "s3": "#4cc3b5",
    "s4": "#c396f0",
    "s5": "#f088ba",
    "s6": "#d3bf4c",
    "s7": "#9dabff",
}
SERIES = 8
"""Colours for models: the original has the first, quiet one."""


def variables(colours: Mapping[str, str]) -> str:
    """As declarations of CSS."""
    return " ".join(f"--{name}: {colour};" for name, colour in colours.items())
