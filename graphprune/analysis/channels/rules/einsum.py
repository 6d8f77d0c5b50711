"""`Einsum`: a product of any number of operands, summed over the letters that the output lacks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain

from graphprune.analysis.channels.rules.elementwise import Rule
from graphprune.analysis.channels.rules.linear import contract, weighted, without_axes
from graphprune.analysis.channels.site import CannotFollowError, Site
from graphprune.analysis.channels.state import State

_ELLIPSIS = "..."
_Term = list[str]
"""The letters of an operand's axes; those of an ellipsis are numbers, counted from the last one."""


def einsum(site: Site) -> list[State]:
    """`Einsum`: a letter that several operands have ties them; one that the output lacks is read."""
    states = [site.input(index) for index in range(len(site.inputs))]
    terms, result = _parsed(site, states)
    if any(len(set(term)) < len(term) for term in (*terms, result)):
        raise CannotFollowError("GP375", "takes a diagonal")
    letters = [*result, *sorted(set(chain(*terms)) - set(result))]
    summed = range(len(result), len(letters))
    places = [[letters.index(letter) for letter in term] for term in terms]
    placed = [state.placed(own, len(letters)) for state, own in zip(states, places, strict=True)]
    given = {axis for state, own in zip(states, places, strict=True) if not state.is_constant for axis in own}
    operands = []
    for index, state in enumerate(placed):
        others = placed[:index] + placed[index + 1 :]
        makes = [axis for axis in range(len(result)) if axis not in given and state.covers(axis)]
        operands.append(weighted(site, state, others, inner=summed, outer=makes))
    return [without_axes(contract(site, operands, summed), summed)]


def _parsed(site: Site, states: Sequence[State]) -> tuple[list[_Term], _Term]:
    """Return the letters of all operands, and those of the output: by default those that occur once, sorted."""
    equation = site.node.attributes.get_string("equation", "").replace(" ", "")
    left, arrow, right = equation.partition("->")
    written = left.split(",")
    ranks = [
        state.rank - len(term.replace(_ELLIPSIS, "")) if _ELLIPSIS in term else 0
        for state, term in zip(states, written, strict=True)
    ]
    terms = [[*_letters(term, rank)] for term, rank in zip(written, ranks, strict=True)]
    if arrow:
        return terms, [*_letters(right, max(ranks))]
    counts = Counter(letter for letter in chain(*terms) if letter.isalpha())
    once = "".join(sorted(letter for letter, count in counts.items() if count == 1))
    return terms, [*_letters(_ELLIPSIS + once, max(ranks))]


def _letters(term: str, rank: int) -> Iterator[str]:
    """Write an ellipsis of `rank` axes out."""
    before, ellipsis, after = term.partition(_ELLIPSIS)
    yield from before
    yield from (str(place) for place in reversed(range(rank if ellipsis else 0)))
    yield from after


RULES: dict[str, Rule] = {"Einsum": einsum}
