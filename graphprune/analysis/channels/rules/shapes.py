"""Operators that ask for a shape."""

from __future__ import annotations

from graphprune.analysis.channels.rules.elementwise import Rule
from graphprune.analysis.channels.site import Site
from graphprune.analysis.channels.state import State


def shape(site: Site) -> list[State]:
    """`Shape`: whatever is computed with the number of channels goes on with the old one when some are taken out."""
    return [State(site.output())]


RULES: dict[str, Rule] = {"Shape": shape}
