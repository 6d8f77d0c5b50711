"""A page taken apart: its elements in order, each with its text, and its pictures as XML."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

VOID = {"meta", "link", "img", "br", "hr", "input"}


@dataclass
class Element:
    """An element, the names of those that it lies in, and the text in it."""

    tag: str
    attributes: dict[str, str | None]
    inside: tuple[str, ...]
    words: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def get(self, name: str) -> str:
        return self.attributes.get(name) or ""


class Document(HTMLParser):
    """What is on a page; tags that do not close in their order are an error."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.source = text
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute of {tag} is there twice"
        self.elements.append(Element(tag, dict(attrs), tuple(each.tag for each in self._open)))
        if tag not in VOID:
            self._open.append(self.elements[-1])

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        for each in self._open:
            each.words.append(data)

    def all(self, tag: str, look: str | None = None) -> list[Element]:
        """The elements of a kind; those of a class where `look` says so."""
        found = [each for each in self.elements if each.tag == tag]
        return [each for each in found if look is None or look in each.get("class").split()]

    @property
    def text(self) -> str:
        """All that can be read."""
        return self.all("body")[0].text

    @property
    def numbers(self) -> set[str]:
        """The values of all numbers that are marked as such."""
        return {each.get("value") for each in self.all("data")}

    @property
    def pictures(self) -> list[ET.Element]:
        """The drawings that stand for themselves."""
        drawn = [parse(text) for text in re.findall(r"<svg\b.*?</svg>", self.source, re.DOTALL)]
        return [each for each in drawn if each.get("role") == "img"]


def parse(picture: str) -> ET.Element:
    """A drawing of ours."""
    return ET.fromstring(picture)  # noqa: S314 - drawn here


def by_class(picture: ET.Element, look: str) -> list[ET.Element]:
    """The elements of a drawing that have this class."""
    return [each for each in picture.iter() if look in each.get("class", "").split()]
