"""Patterns: which sets of elements may be pruned. A pattern selects by score and knows no graph."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Protocol

import numpy as np

from graphprune.errors import RecipeError
from graphprune.masks.axes import WeightAxes
from graphprune.masks.selection import Mask, Scores, keep_mask

_NM_FORM = re.compile(r"([0-9]+):([0-9]+)(?:x([0-9]+))?")
_BLOCK_FORM = re.compile(r"block ([0-9]+)x([0-9]+)")
FORMS = (_NM_FORM, _BLOCK_FORM)
"""The text forms of patterns that have numbers."""

_BISECTIONS = 60  # all bits of a share

_EXPECTED = (
    "'unstructured', '2:4' (keep 2 of 4), '2:4x4' (the same for 4 outputs) or 'block 4x1' (4 outputs by 1 input)"
)


class Pattern(Protocol):
    """How zeros may be placed; its `str` is its text form, read by `parse_pattern`.

    Elements go in units: single ones, blocks, or groups. All methods take weights as they are stored.
    """

    @property
    def width(self) -> int:
        """The consecutive input channels that are chosen together."""

    def defect(self, shape: Sequence[int], axes: WeightAxes) -> str | None:
        """Return why the pattern does not fit a weight of that shape, or None."""

    def uneven(self, shape: Sequence[int], axes: WeightAxes) -> str | None:
        """Return which groups of a weight that it fits are shorter than others, or None; soft masks take none."""

    def pruned_count(self, shape: Sequence[int], axes: WeightAxes, sparsity: float) -> int:
        """Return how many elements of a weight of that shape go at `sparsity` (a share in [0, 1))."""

    def unit_scores(self, scores: Scores, axes: WeightAxes) -> Scores:
        """Return one score a unit: the root mean square of its elements' scores."""

    def keep_mask(self, scores: Scores, axes: WeightAxes, pruned: int) -> Mask:
        """Return what stays, of the shape of `scores`, with exactly `pruned` False entries."""


@dataclass(frozen=True)
class Unstructured:
    """Zeros anywhere: the lowest scores go; among equals, those of lower index first.

    Attributes:
        per_row: Whether each output loses as many, instead of all of them together.
    """

    per_row: bool = False

    @property
    def width(self) -> int:
        """Return 1: each element goes by itself."""
        return 1

    def defect(self, shape: Sequence[int], axes: WeightAxes) -> str | None:  # noqa: ARG002 - fits all
        """Return None: it fits any weight."""
        return None

    def uneven(self, shape: Sequence[int], axes: WeightAxes) -> str | None:  # noqa: ARG002 - has no groups
        """Return None: it has no groups."""
        return None

    def pruned_count(self, shape: Sequence[int], axes: WeightAxes, sparsity: float) -> int:
        """Return the share of the elements, of each row where that counts, rounded to the nearest whole number."""
        outputs = max(1, shape[axes.output]) if self.per_row else 1
        return outputs * round(math.prod(shape) // outputs * sparsity)

    def unit_scores(self, scores: Scores, axes: WeightAxes) -> Scores:  # noqa: ARG002
        """Return the scores themselves."""
        return scores

    def keep_mask(self, scores: Scores, axes: WeightAxes, pruned: int) -> Mask:
        """Return what stays, with exactly `pruned` False entries; per row, rounded to as many in each."""
        if not self.per_row:
            return keep_mask(scores, pruned)
        rows = axes.rows(scores)
        flat = rows.reshape(len(rows), -1)
        lowest = np.argsort(flat, axis=1, kind="stable")[:, : round(pruned / max(1, len(rows)))]
        keep = np.ones(flat.shape, np.bool_)
        np.put_along_axis(keep, lowest, values=False, axis=1)
        return axes.restore(keep.reshape(rows.shape), scores.shape)

    def __str__(self) -> str:
        return "unstructured rows" if self.per_row else "unstructured"


@dataclass(frozen=True)
class NM:
    """At most `keep` of every `of` consecutive input channels stay, at each output and kernel position.

    The last group of a row is shorter where `of` does not divide the input channels; it keeps `keep` too, if it has as
    many. The last outputs that share a mask are fewer where `outputs` does not divide them. Among equals, those of
    lower index go first.

    Attributes:
        keep: What stays of a group.
        of: The input channels of a group.
        outputs: Consecutive outputs that keep the same ones: vector-wise N:M. Kernels share what they load for these.
    """

    keep: int
    of: int
    outputs: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.keep < self.of:
            message = f"pattern '{self}' keeps {self.keep} of {self.of}, expected to keep at least 1 and not all"
            raise RecipeError(message, code="GP327")
        if self.outputs < 1:
            raise RecipeError(f"pattern '{self}' is shared by no outputs", code="GP327")

    @property
    def width(self) -> int:
        """A group of input channels."""
        return self.of

    @property
    def sparsity(self) -> float:
        """The share of zeros where `of` divides the input channels."""
        return 1 - self.keep / self.of

    def relaxed(self, ratio: float) -> NM | None:
        """Return the pattern with only that share, in [0, 1], of what goes; None where nothing does."""
        kept = self.of - round((self.of - self.keep) * ratio)
        return None if kept == self.of else NM(kept, self.of, self.outputs)

    def defect(self, shape: Sequence[int], axes: WeightAxes) -> str | None:
        """Return why there is not one whole group in a row, or None."""
        inputs = shape[axes.input]
        return f"{inputs} input channels, fewer than the {self.of} of one group" if inputs < self.of else None

    def uneven(self, shape: Sequence[int], axes: WeightAxes) -> str | None:
        """Return that fewer outputs share the last mask, or None; the last group of a row may always be shorter."""
        outputs = shape[axes.output]
        return f"{outputs} outputs, no multiple of {self.outputs}" if outputs % self.outputs else None

    def pruned_count(self, shape: Sequence[int], axes: WeightAxes, sparsity: float) -> int:  # noqa: ARG002
        """Return the number that the pattern itself fixes."""
        groups, rest = divmod(shape[axes.input], self.of)
        rows = math.prod(shape) // max(1, shape[axes.input])
        return rows * (groups * (self.of - self.keep) + max(0, rest - self.keep))

    def unit_scores(self, scores: Scores, axes: WeightAxes) -> Scores:
        """Return the root mean square over the outputs that share a mask, [such outputs, positions, inputs]."""
        rows = axes.rows(scores)
        return rows if self.outputs == 1 else _root_mean_squares(rows, self.outputs, 1)

    def keep_mask(self, scores: Scores, axes: WeightAxes, pruned: int) -> Mask:  # noqa: ARG002 - the groups fix it
        """Return what stays, with exactly `pruned_count` False entries."""
        rows = self.unit_scores(scores, axes)
        missing = -rows.shape[-1] % self.of
        padded = np.pad(rows, ((0, 0), (0, 0), (0, missing)), constant_values=-1)  # padding goes before all else
        groups = padded.reshape(*rows.shape[:2], -1, self.of)
        order = np.argsort(groups, axis=-1, kind="stable")
        keep = np.ones(groups.shape, np.bool_)
        np.put_along_axis(keep, order[..., : self.of - self.keep], values=False, axis=-1)
        sharing = _sizes(scores.shape[axes.output], self.outputs)
        chosen = keep.reshape(padded.shape)[..., : rows.shape[-1]].repeat(sharing, axis=0)
        return axes.restore(chosen, scores.shape)

    def __str__(self) -> str:
        return f"{self.keep}:{self.of}" + (f"x{self.outputs}" if self.outputs != 1 else "")


@dataclass(frozen=True)
class Block:
    """Whole blocks of `rows` consecutive outputs by `columns` consecutive input channels, at one kernel position.

    The last blocks are smaller where these do not divide the weight. Blocks of each size go in the same share.
    """

    rows: int
    columns: int

    def __post_init__(self) -> None:
        if min(self.rows, self.columns) < 1:
            raise RecipeError(f"pattern '{self}' has empty blocks", code="GP327")

    @property
    def width(self) -> int:
        """The columns of a block."""
        return self.columns

    def defect(self, shape: Sequence[int], axes: WeightAxes) -> str | None:
        """Return that all of the weight is one block, or None."""
        outputs, inputs = shape[axes.output], shape[axes.input]
        is_one = 0 < math.prod(shape) == outputs * inputs and outputs <= self.rows and inputs <= self.columns
        return f"{outputs} outputs by {inputs} inputs, a single block" if is_one else None

    def uneven(self, shape: Sequence[int], axes: WeightAxes) -> str | None:
        """Return that blocks do not divide the weight, or None."""
        outputs, inputs = shape[axes.output], shape[axes.input]
        if outputs % self.rows or inputs % self.columns:
            return f"{outputs} outputs by {inputs} inputs, no multiple of {self.rows} by {self.columns}"
        return None

    def pruned_count(self, shape: Sequence[int], axes: WeightAxes, sparsity: float) -> int:
        """Return the elements of the share of blocks of each size, rounded to a whole number of blocks."""
        outputs, inputs = shape[axes.output], shape[axes.input]
        positions = math.prod(shape) // max(1, outputs * inputs)
        parts = product(_parts(outputs, self.rows), _parts(inputs, self.columns))
        return sum(
            round(len(range(rows.start, rows.stop)) * positions * len(range(columns.start, columns.stop)) * sparsity)
            * (height * width)
            for (rows, height), (columns, width) in parts
        )

    def unit_scores(self, scores: Scores, axes: WeightAxes) -> Scores:
        """Return the root mean square of each block, [block rows, positions, block columns]."""
        return _root_mean_squares(axes.rows(scores), self.rows, self.columns)

    def keep_mask(self, scores: Scores, axes: WeightAxes, pruned: int) -> Mask:
        """Return what stays, with exactly `pruned` False entries, which is what `pruned_count` gives at some share."""
        outputs, inputs = scores.shape[axes.output], scores.shape[axes.input]
        units, share = self.unit_scores(scores, axes), self._share(scores.shape, axes, pruned)
        keep = np.ones(units.shape, np.bool_)
        for (rows, _), (columns, _) in product(_parts(outputs, self.rows), _parts(inputs, self.columns)):
            part = units[rows, :, columns]
            keep[rows, :, columns] = keep_mask(part, round(part.size * share))
        heights, widths = _sizes(outputs, self.rows), _sizes(inputs, self.columns)
        return axes.restore(keep.repeat(heights, axis=0).repeat(widths, axis=2), scores.shape)

    def _share(self, shape: Sequence[int], axes: WeightAxes, pruned: int) -> float:
        """The least share at which so many elements go."""
        low, high = 0.0, 1.0
        if pruned == 0:
            return low
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            low, high = (low, middle) if self.pruned_count(shape, axes, middle) >= pruned else (middle, high)
        return high

    def __str__(self) -> str:
        return f"block {self.rows}x{self.columns}"


def _parts(extent: int, size: int) -> list[tuple[slice, int]]:
    """The groups along an axis as at most two ranges of equally large ones, each with how large they are."""
    whole, rest = divmod(extent, size)
    ranges = [(slice(0, whole), size), (slice(whole, whole + 1), rest)]
    return [(groups, each) for groups, each in ranges if each]


def _sizes(extent: int, size: int) -> list[int]:
    """How large each group along an axis is: the last may be smaller."""
    return [min(size, extent - start) for start in range(0, extent, size)]


def _root_mean_squares(rows: Scores, height: int, width: int) -> Scores:
    """Return the root mean square of each block of `height` by `width` in [outputs, positions, inputs]."""
    outputs, positions, inputs = rows.shape
    heights, widths = _sizes(outputs, height), _sizes(inputs, width)
    if not rows.size:
        return np.zeros((len(heights), positions, len(widths)), np.float32)
    squares = np.add.reduceat(np.square(rows, dtype=np.float32), range(0, outputs, height), axis=0)
    sums = np.add.reduceat(squares, range(0, inputs, width), axis=2)
    norms: Scores = np.sqrt(sums / np.outer(heights, widths).astype(np.float32)[:, np.newaxis, :])
    return norms


def parse_pattern(text: str) -> Pattern:
    """Return the pattern whose text form is `text`.

    Raises:
        RecipeError: There is none (GP327).
    """
    for unstructured in (Unstructured(), Unstructured(per_row=True)):
        if text == str(unstructured):
            return unstructured
    if found := _NM_FORM.fullmatch(text):
        return NM(int(found[1]), int(found[2]), int(found[3] or 1))
    if found := _BLOCK_FORM.fullmatch(text):
        return Block(int(found[1]), int(found[2]))
    raise RecipeError(f"unknown pattern '{text}', expected {_EXPECTED}", code="GP327")
