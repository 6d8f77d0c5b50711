"""Elements of pictures, well-formed and escaped whatever names they are given."""

from __future__ import annotations

from typing import NamedTuple

from markupsafe import Markup, escape


class Names(NamedTuple):
    """What a picture is called: its id on the page, a title in a few words, and what it shows in sentences."""

    ident: str
    title: str
    description: str


def tag(name: str, *content: str, **attributes: str | float) -> Markup:
    """An element; text is escaped, numbers are rounded, `text_anchor` is written `text-anchor` and `class_` `class`."""
    written = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _value(value)) for key, value in attributes.items()
    )
    inner = Markup("").join(escape(each) for each in content)
    return Markup("<{0}{1}>{2}</{0}>").format(name, written, inner)


def line(x1: float, y1: float, x2: float, y2: float, **attributes: str | float) -> Markup:
    """A straight line."""
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, **attributes)


def picture(names: Names, width: float, height: float, *content: str) -> Markup:
    """A whole picture, which tells those who do not see it what is in it."""
    title, description = f"{names.ident}-title", f"{names.ident}-desc"
    return tag(
        "svg",
        tag("title", names.title, id=title),
        tag("desc", names.description, id=description),
        *content,
        id=names.ident,
        role="img",
        aria_labelledby=f"{title} {description}",
        viewBox=f"0 0 {_value(width)} {_value(height)}",
        width=width,
        height=height,
    )


def _value(value: str | float) -> str:
    return value if isinstance(value, str) else f"{round(value, 2):.10g}"
