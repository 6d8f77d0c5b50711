"""Solve the equations, and sort channels into parts that touch the same axes in the same roles."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from graphprune.analysis.channels.equations import Axis, Equations, Reason, Role
from graphprune.analysis.channels.index_map import IndexMap

IntArray = npt.NDArray[np.int64]

_MASKED = Role.PRODUCER | Role.CARRIER
_ROLES = 2 * Role.COMPANION  # the number of their combinations


@dataclass(frozen=True)
class Member:
    """Indices of one axis in one role: int64 [channels, indices of a channel]."""

    axis: Axis
    role: int
    indices: IntArray


@dataclass(frozen=True)
class Part:
    """Channels with the same members."""

    size: int
    members: tuple[Member, ...]
    blocked: Reason | None
    nonzero: Reason | None


def partition(equations: Equations, root: IntArray) -> list[Part]:
    """Return the channels that linear weights produce, those with equal members together, in the order of producers.

    Args:
        equations: All of them.
        root: Their solution.
    """
    roles = _roles(equations)
    _block_conflicts(equations, roles)
    kinds = _Kinds(equations.count, root[(roles & Role.PRODUCER) != 0])
    blocked = _first_reasons(equations.blocks, root, kinds)
    nonzero = _first_reasons(equations.nonzeros, root, kinds)
    indices = _Indices.of(equations, roles, root, kinds)
    indices.refine(kinds)
    parts = []
    for same in indices.members(equations.axes, kinds).values():
        component = int(root[same[0].axis.base + same[0].indices[0, 0]])
        parts.append(Part(len(same[0].indices), tuple(same), blocked.get(component), nonzero.get(component)))
    return sorted((piece for part in parts for piece in _regular(part)), key=_order)


class _Kinds:
    """A partition of components that is refined by what distinguishes them; -1 is left out."""

    def __init__(self, count: int, wanted: IntArray) -> None:
        self.of = np.full(count, -1)
        self.of[wanted] = 0
        self._next = 1

    def refine(self, roots: IntArray, keys: IntArray) -> None:
        """Separate those of `roots` that differ in kind or key (>= 0), from each other and from all others."""
        wanted = self.of[roots] >= 0
        if wanted.any():
            pairs = self.of[roots[wanted]] * (int(keys.max()) + 1) + keys[wanted]
            found, inverse = np.unique(pairs, return_inverse=True)
            self.of[roots[wanted]] = self._next + inverse
            self._next += found.size


def _roles(equations: Equations) -> IntArray:
    roles = np.zeros(equations.count, np.int64)
    for labels, role in equations.roles:
        roles[labels] |= int(role)
    return roles


def _block_conflicts(equations: Equations, roles: IntArray) -> None:
    """Block what one node needs masked and another one needs as it is."""
    wrong = ((roles & _MASKED) != 0) & ((roles & Role.COMPANION) != 0)
    for axis in equations.axes if wrong.any() else ():
        labels = np.arange(axis.base, axis.base + axis.extent)
        text = f"constant '{axis.constant.name}' has to be masked for one node and unchanged for another"
        equations.block(labels[wrong[labels]], Reason("GP378", text))


def _first_reasons(found: Sequence[tuple[IntArray, Reason]], root: IntArray, kinds: _Kinds) -> dict[int, Reason]:
    """Return the first reason of each component that has one, and separate components by it."""
    first = np.full(root.size, len(found))
    for number, (labels, _) in reversed(list(enumerate(found))):
        first[root[labels]] = number
    numbered = np.flatnonzero(first < len(found))
    kinds.refine(numbered, first[numbered])
    return {int(each): found[first[each]][1] for each in numbered}


@dataclass(frozen=True)
class _Indices:
    """All indices of constants that belong to wanted components; arrays of equal length.

    Attributes:
        label: The unknown.
        place: Which axis, and which role: the number of the axis, times the number of roles, plus the role.
        root: The component.
    """

    label: IntArray
    place: IntArray
    root: IntArray

    @classmethod
    def of(cls, equations: Equations, roles: IntArray, root: IntArray, kinds: _Kinds) -> _Indices:
        extents = [axis.extent for axis in equations.axes]
        label = _joined([np.arange(axis.base, axis.base + axis.extent) for axis in equations.axes])
        place = np.repeat(np.arange(len(extents)), extents) * _ROLES + roles[label]
        wanted = kinds.of[root[label]] >= 0
        return cls(label[wanted], place[wanted], root[label[wanted]])

    def refine(self, kinds: _Kinds) -> None:
        """Separate components that have other places, or another number of indices there."""
        order = np.lexsort((self.place, self.root))
        root, place = self.root[order], self.place[order]
        starts = _starts(root, place)
        counts = np.diff(starts, append=root.size)
        root, place = root[starts], place[starts]
        _, entry = np.unique(place * (int(counts.max(initial=0)) + 1) + counts, return_inverse=True)
        first = _starts(root)
        lengths = np.diff(first, append=root.size)
        for length in np.unique(lengths).tolist():
            same = first[lengths == length]
            rows = entry[same[:, None] + np.arange(length)]
            numbers: dict[bytes, int] = {}
            keys = [numbers.setdefault(row, len(numbers)) for row in map(bytes, rows)]
            kinds.refine(root[same], np.array(keys))

    def members(self, axes: Sequence[Axis], kinds: _Kinds) -> dict[int, list[Member]]:
        """Return the members of each kind; the channels of a kind are in the order of their components."""
        kind = kinds.of[self.root]
        order = np.lexsort((self.label, self.root, self.place, kind))
        label, place, root, kind = self.label[order], self.place[order], self.root[order], kind[order]
        starts = _starts(kind, place)
        members: dict[int, list[Member]] = {}
        for start, end in itertools.pairwise([*starts, label.size]):
            number, role = divmod(int(place[start]), _ROLES)
            size = _starts(root[start:end]).size
            indices = (label[start:end] - axes[number].base).reshape(size, -1)
            members.setdefault(int(kind[start]), []).append(Member(axes[number], role, indices))
        return members


def _joined(arrays: Sequence[IntArray]) -> IntArray:
    return np.concatenate([np.zeros(0, np.int64), *arrays])


def _starts(*keys: IntArray) -> IntArray:
    """Return where sorted keys change, and 0."""
    changes = np.zeros(keys[0].size, bool)
    changes[:1] = True
    for key in keys:
        changes[1:] |= key[1:] != key[:-1]
    return np.flatnonzero(changes)


def _regular(part: Part) -> Iterator[Part]:
    """Cut a part into runs of channels until strides describe all of its members."""
    irregular = [member for member in part.members if IndexMap.fit(member.indices) is None]
    if not irregular:
        yield part
    elif part.size == 1:
        yield replace(part, members=tuple(piece for member in part.members for piece in _columns(member)))
    else:
        end = min(_first_run(member.indices) for member in irregular)
        for channels in (slice(end), slice(end, None)):
            members = tuple(replace(member, indices=member.indices[channels]) for member in part.members)
            yield from _regular(replace(part, size=len(members[0].indices), members=members))


def _first_run(indices: IntArray) -> int:
    """The number of channels until the distance to the next one, or the indices within one, change."""
    steps = np.diff(indices, axis=0)
    inner = (indices - indices[:, :1] != indices[0] - indices[0, 0]).any(axis=1)[1:]
    ends = np.flatnonzero((steps != steps[0]).any(axis=1) | inner)
    return int(ends[0]) + 1 if ends.size else 1


def _columns(member: Member) -> list[Member]:
    """Take the indices of a single channel one by one where strides do not describe them together."""
    if IndexMap.fit(member.indices) is not None:
        return [member]
    return [replace(member, indices=member.indices[:, [column]]) for column in range(member.indices.shape[1])]


def is_whole(part: Part) -> bool:
    """Whether its first producer has no other channels."""
    first = producers(part)[0].axis
    return sum(member.indices.size for member in producers(part) if member.axis == first) == first.extent


def producers(part: Part) -> list[Member]:
    """The members that make the channels."""
    return [member for member in part.members if member.role & Role.PRODUCER]


def _order(part: Part) -> tuple[int, int]:
    first = producers(part)[0]
    return first.axis.base, int(first.indices[0, 0])
