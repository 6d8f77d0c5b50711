"""`python -m tools.map` draws the rooms of the package and which imports which: docs/pictures/map.svg.

A room stands above all that it imports. An arrow is left out where a longer way through other rooms tells the same.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

import networkx as nx

from tools.rooms import PACKAGE, Room, read_rooms

PICTURE = PACKAGE.parent / "docs" / "pictures" / "map.svg"

INNER = "backends.tvm"
"""The room whose own rooms have a picture of their own below."""

_BOX_WIDTH, _BOX_HEIGHT = 212, 84
_GAP_X, _GAP_Y = 16, 34
_MARGIN = 20
_TOP = 44
_COLUMNS = 4
_PANEL = 2 * _MARGIN + _COLUMNS * (_BOX_WIDTH + _GAP_X) - _GAP_X
_LETTERS = 33
_STYLE = """
  rect { fill: #f6f8fb; stroke: #4a6078; rx: 6 }
  text { font: 11px sans-serif; fill: #28323c }
  .name { font-weight: bold; font-size: 13px; fill: #14365c }
  .title { font-weight: bold; font-size: 16px }
  path { fill: none; stroke: #9aabbd; stroke-width: 1.2 }
""".strip("\n")


@dataclass(frozen=True)
class Box:
    """A room's place: its upper left corner."""

    x: float
    y: float


def draw() -> str:
    """Return the map as the text of an SVG file."""
    rooms = read_rooms()
    outer = {name: room for name, room in rooms.items() if "." not in name}
    inner = {name: room for name, room in rooms.items() if name.startswith(INNER)}
    left, height = _panel("graphprune, where all may import errors, diagnostics, files", outer, 0, _PANEL)
    right, other = _panel(f"inside {INNER}", inner, _PANEL, _PANEL * 3 // 5)
    size = f'width="{_PANEL * 8 // 5}" height="{max(height, other)}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>'
    return "\n".join([head, f"<style>\n{_STYLE}\n</style>", *left, *right, "</svg>\n"])


def _panel(title: str, rooms: dict[str, Room], x: int, width: int) -> tuple[list[str], int]:
    """The lines of one picture that begins at `x`, and its height."""
    graph = _imports_among(rooms)
    rows = _rows(graph)
    boxes = dict(_places(rows, x, width))
    lines = [f'<text class="title" x="{x + _MARGIN}" y="28">{escape(title)}</text>']
    lines += [_arrow(above, below, boxes) for above, below in sorted(nx.transitive_reduction(graph).edges)]
    lines += [line for name in sorted(boxes) for line in _box(rooms[name], boxes[name])]
    return lines, _TOP + len(rows) * (_BOX_HEIGHT + _GAP_Y)


def _imports_among(rooms: dict[str, Room]) -> nx.DiGraph:
    """Who imports whom; the rooms within `backends.tvm` count as `backends` where they are no rooms of this picture."""
    graph = nx.DiGraph()
    graph.add_nodes_from(rooms)
    for name, room in read_rooms().items():
        owner = name if name in rooms else name.partition(".")[0]
        for other in room.may_import:
            used = other if other in rooms else other.partition(".")[0]
            if owner in rooms and used in rooms and owner != used:
                graph.add_edge(owner, used)
    return graph


def _rows(graph: nx.DiGraph) -> list[list[str]]:
    """The rooms from top to bottom: each row imports only what is below; wide rows are broken."""
    rows: list[list[str]] = []
    for generation in reversed(list(nx.topological_generations(graph.reverse()))):
        names = sorted(generation)
        rows += [names[start : start + _COLUMNS] for start in range(0, len(names), _COLUMNS)]
    return rows


def _places(rows: Sequence[Sequence[str]], x: int, width: int) -> Iterator[tuple[str, Box]]:
    for number, row in enumerate(rows):
        start = x + (width - len(row) * (_BOX_WIDTH + _GAP_X) + _GAP_X) / 2
        for column, name in enumerate(row):
            yield name, Box(start + column * (_BOX_WIDTH + _GAP_X), _TOP + number * (_BOX_HEIGHT + _GAP_Y))


def _arrow(above: str, below: str, boxes: dict[str, Box]) -> str:
    """From the lower edge to the next row; or, past rows between, out of the right side and around them."""
    upper, lower = boxes[above], boxes[below]
    between = [box.x + _BOX_WIDTH for box in boxes.values() if upper.y < box.y < lower.y]
    if between:
        x1, y1, x2, y2 = upper.x + _BOX_WIDTH, upper.y + _BOX_HEIGHT / 2, lower.x + _BOX_WIDTH / 2, lower.y
        lane = max([*between, x1, x2]) + 2 * _GAP_X
        end = y2 - _BOX_HEIGHT / 2
        bend = f"C {lane:g} {y1:g}, {lane:g} {y1:g}, {lane:g} {(y1 + end) / 2:g}"
        return f'<path d="M {x1:g} {y1:g} {bend} C {lane:g} {end:g}, {x2:g} {end:g}, {x2:g} {y2:g}"/>'
    x1, y1, x2, y2 = upper.x + _BOX_WIDTH / 2, upper.y + _BOX_HEIGHT, lower.x + _BOX_WIDTH / 2, lower.y
    middle = (y1 + y2) / 2
    return f'<path d="M {x1:g} {y1:g} C {x1:g} {middle:g}, {x2:g} {middle:g}, {x2:g} {y2:g}"/>'


def _box(room: Room, box: Box) -> Iterator[str]:
    yield f'<rect x="{box.x:g}" y="{box.y:g}" width="{_BOX_WIDTH}" height="{_BOX_HEIGHT}"/>'
    yield f'<text class="name" x="{box.x + 8:g}" y="{box.y + 17:g}">{room.name.removeprefix(INNER + ".")}/</text>'
    for number, line in enumerate(textwrap.wrap(room.sentence.replace("`", ""), _LETTERS)):
        yield f'<text x="{box.x + 8:g}" y="{box.y + 33 + 13 * number:g}">{escape(line)}</text>'


def main(path: Path = PICTURE) -> None:
    """Write the picture."""
    path.write_text(draw(), encoding="utf-8")


if __name__ == "__main__":
    main()
