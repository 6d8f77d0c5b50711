"""The map in CONTRIBUTING.md is that of the package as it is."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from tools.map import PICTURE, draw
from tools.rooms import read_rooms

ELEMENTS = list(ET.fromstring(draw()).iter())  # noqa: S314 - drawn here
BOXES = [element for element in ELEMENTS if element.tag.endswith("rect")]
TEXTS = [element for element in ELEMENTS if element.tag.endswith("text") and element.get("class") != "title"]


def test_the_picture_is_fresh() -> None:
    assert PICTURE.read_text(encoding="utf-8") == draw(), "run python -m tools.map"


def test_every_room_is_on_the_map() -> None:
    names = [(text.text or "").removesuffix("/") for text in TEXTS if text.get("class") == "name"]
    assert sorted(names) == sorted(name.removeprefix("backends.tvm.") for name in read_rooms())


@pytest.mark.parametrize("axis", ["x", "y"])
def test_every_line_begins_in_a_box(axis: str) -> None:
    extent = {"x": "width", "y": "height"}[axis]
    spans = [(float(box.attrib[axis]), float(box.attrib[extent])) for box in BOXES]
    places = [float(text.attrib[axis]) for text in TEXTS]
    assert all(any(start < place < start + size for start, size in spans) for place in places)
