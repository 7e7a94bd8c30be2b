"""Elements of SVG as text. Names of models are escaped; what an element says is its title, which browsers show on pointing at it."""

from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

Point = tuple[float, float]


def element(name: str, *inside: str, **attributes: object) -> Markup:
    """`element("circle", cx=1.0, class_="dot")`; attributes that are None are left out, `_` in names stands for `-`."""
    written = "".join(f' {key.rstrip("_").replace("_", "-")}="{_value(value)}"' for key, value in attributes.items() if value is not None)
    if not inside:
        return Markup(f"<{name}{written}/>")
    return Markup(f"<{name}{written}>{''.join(map(escape, inside))}</{name}>")


def group(*inside: str, says: str | None = None, **attributes: object) -> Markup:
    """Elements that mean one thing, said in words to whoever points at it or has it read aloud."""
    told = () if says is None else (element("title", says),)
    return element("g", *told, *inside, **attributes)


def drawing(width: float, height: float, label: str, *inside: str, class_: str = "") -> Markup:
    """A whole picture of these sizes, which shrinks with the page."""
    return element(
        "svg",
        *inside,
        viewBox=f"0 0 {width:g} {height:g}",
        width=width,
        height=height,
        class_=class_ or None,
        role="img",
        aria_label=label,
    )


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def text(x: float, y: float, words: str, class_: str = "", anchor: str | None = None) -> Markup:
    return element("text", words, x=x, y=y, class_=class_ or None, text_anchor=anchor)


def polyline(points: Iterable[Point], class_: str) -> Markup:
    return element("path", d=_path(list(points)), class_=class_)


def area(points: Sequence[Point], floor: float, class_: str) -> Markup:
    """What is between a curve and its floor."""
    closed = [(points[0][0], floor), *points, (points[-1][0], floor)]
    return element("path", d=f"{_path(closed)}Z", class_=class_)


MARKS = ("circle", "square", "diamond", "triangle")


def mark(shape: int, x: float, y: float, size: float, class_: str) -> Markup:
    """A point of a series; shapes tell series apart where colours do not."""
    match MARKS[shape % len(MARKS)]:
        case "circle":
            return element("circle", cx=x, cy=y, r=size, class_=class_)
        case "square":
            return element("rect", x=x - size * 0.9, y=y - size * 0.9, width=size * 1.8, height=size * 1.8, class_=class_)
        case "diamond":
            corners = [(x, y - size * 1.3), (x + size * 1.3, y), (x, y + size * 1.3), (x - size * 1.3, y)]
        case _:
            corners = [(x, y - size * 1.25), (x + size * 1.2, y + size), (x - size * 1.2, y + size)]
    return element("path", d=f"{_path(corners)}Z", class_=class_)


def _path(points: Sequence[Point]) -> str:
    return "M" + "L".join(f"{_number(x)} {_number(y)}" for x, y in points)


def _value(value: object) -> str:
    return _number(value) if isinstance(value, float) else str(escape(str(value)))


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
