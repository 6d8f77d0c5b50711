"""`Attention`: queries, keys and values are combined head by head; query heads that share a key head go together."""

from __future__ import annotations

from graphprune.analysis.channels.equations import Role
from graphprune.analysis.channels.joining import join
from graphprune.analysis.channels.rules.elementwise import Rule, added
from graphprune.analysis.channels.rules.linear import contract, without_axes
from graphprune.analysis.channels.rules.moving import Block, regrouped
from graphprune.analysis.channels.site import CannotFollowError, Site
from graphprune.analysis.channels.state import UNKNOWN, State

_BATCH, _HEAD, _SHARER, _QUERY, _KEY, _WITHIN = range(6)
"""The axes of scores: several query heads may share a key head."""

_POSITIONS = "attends to positions that channels lie along"
_FLAT = 3  # the rank of operands that have heads and what is in them along one axis
_MASK, _CACHE = 3, (4, 5)
_Counts = tuple[int, int]


def attention(site: Site) -> list[State]:
    """`Attention`: without a `scale` the size of query and key heads stays, because the scale follows from it."""
    if any(site.has(index) for index in _CACHE):
        raise CannotFollowError("GP375", "has keys and values of earlier calls")
    if any(output.uses() or output.is_graph_output() for output in site.node.outputs[1:]):
        raise CannotFollowError("GP375", "gives its keys, values or scores to other nodes")
    heads, sharers = _counts(site)
    q = _by_head(site, 0, (heads, sharers), _QUERY)
    k, v = (_by_head(site, index, (heads, 1), _KEY) for index in (1, 2))
    if "scale" not in site.node.attributes:
        q, k = (site.held(state, [_WITHIN], "GP373", "scales by the size of its heads") for state in (q, k))
    scores = contract(site, [q, k], [_WITHIN])
    if site.has(_MASK):
        scores = join(site, [scores, _mask(site, (heads, sharers))], added)
    weights = scores.with_factors(factor.becomes(UNKNOWN, site.node) for factor in scores.factors)
    return [_output(site, without_axes(contract(site, [weights, v], [_KEY]), [_KEY]))]


def _counts(site: Site) -> _Counts:
    """Return the heads of the keys, and how many heads of the queries share one of them."""
    q, k = site.input(0), site.input(1)
    queries, keys = q.extents[1], k.extents[1]
    if q.rank == _FLAT:
        queries, keys = (site.node.attributes.get_int(name, 0) for name in ("q_num_heads", "kv_num_heads"))
    if not queries or not keys or queries % keys:
        raise CannotFollowError("GP372", f"has {queries} heads of queries for {keys} of keys")
    return keys, queries // keys


def _by_head(site: Site, index: int, counts: _Counts, position: int) -> State:
    """Return an operand with axes of their own for heads and what is in them."""
    state = site.input(index)
    if state.rank == _FLAT:
        batch, length, hidden = state.extents
        heads = counts[0] * counts[1]
        if hidden is None or hidden % heads:
            raise CannotFollowError("GP372", f"has {hidden} channels for {heads} heads")
        split = regrouped(site, state, (batch, length, *counts, hidden // heads), _blocks(1, 1, 3))
        places = [_BATCH, position, _HEAD, _SHARER, _WITHIN]
    else:
        batch, _, length, within = state.extents
        split = regrouped(site, state, (batch, *counts, length, within), _blocks(1, 2, 1, 1))
        places = [_BATCH, _HEAD, _SHARER, position, _WITHIN]
    return site.held(split.placed(places, 6), [_BATCH, position], "GP373", _POSITIONS)


def _mask(site: Site, counts: _Counts) -> State:
    """Return what is added to scores: a mask or a bias that heads may have one of each."""
    state = site.input(_MASK).aligned(4)
    site.mark(state, Role.COMPANION)
    held = site.held(state, [0, 2, 3], "GP373", _POSITIONS)
    batch, heads, length, keys = held.extents
    split = (1, 1) if heads == 1 else counts
    by_head = regrouped(site, held, (batch, *split, length, keys), _blocks(1, 2, 1, 1))
    return by_head.placed([_BATCH, _HEAD, _SHARER, _QUERY, _KEY], 6)


def _output(site: Site, state: State) -> State:
    """Return [batch, head, sharer, query, within] in the shape of the output."""
    target = site.output()
    if len(target) == _FLAT:
        return regrouped(site, state.placed([0, 2, 3, 1, 4], 5), target, _turned(_blocks(1, 1, 3)))
    return regrouped(site, state, target, _turned(_blocks(1, 2, 1, 1)))


def _blocks(*sizes: int) -> list[Block]:
    """Return a split of each axis into some."""
    ends = [sum(sizes[: place + 1]) for place in range(len(sizes))]
    return [(range(i, i + 1), range(end - size, end)) for i, (size, end) in enumerate(zip(sizes, ends, strict=True))]


def _turned(blocks: list[Block]) -> list[Block]:
    return [(after, before) for before, after in blocks]


RULES: dict[str, Rule] = {"Attention": attention}
