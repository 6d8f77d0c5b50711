"""Give channels an order in which a pattern keeps more of the weights that read them, or zeros lie in runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphprune.analysis.channels import ChannelGroup, ChannelLayout, ChannelSlice, channel_layout
from graphprune.analysis.channels.layout import IntArray, Kept
from graphprune.analysis.channels.values import constant_values, read, taken
from graphprune.analysis.constants import derive_constant
from graphprune.analysis.weights import LinearWeight, linear_weights
from graphprune.diagnostics import Rewrite, Skip
from graphprune.errors import InputError
from graphprune.masks.criteria import Magnitude, WeightValues
from graphprune.masks.patterns import NM, Block, parse_pattern
from graphprune.masks.permutation import Permutation, find_permutation, find_runs
from graphprune.masks.selection import Scores
from graphprune.passes.base import Equivalence, Pass, PassOutcome
from graphprune.passes.shape_inference import infer_shapes
from graphprune.stages.stage import Stage


@dataclass(frozen=True)
class PermuteChannels(Pass):
    """Reorder the channels of each group in all that makes, carries and reads them, so that the function stays.

    An N:M pattern keeps the largest of every few neighbouring input channels. In another order of these it keeps more
    (`graphprune.masks.permutation`), and as the outputs before them are in that order too, nothing is left to do at run
    time. Run it before the weights are pruned. The map of channels says, for each weight that makes some, where they
    were.

    Of a pattern of runs, as `block 1x4`, the same with the share of runs that is to go; without a share the zeros that
    are there are gathered in whole runs, which kernels for integers skip.

    Run: permute-channels{pattern="1:2"}

    Before::

        g (float[N,2] x) => (float[N,2] y) <
            float[2,4] w = {1, 2, 3, 4, 5, 6, 7, 8}, float[4] b = {1, 2, 3, 4},
            float[4,2] v = {9, 8, 7, 9, 1, 1, 2, 1}
        > {
            h = MatMul (x, w)
            a = Add (h, b)
            y = MatMul (a, v)
        }

    After::

        g (float[N,2] x) => (float[N,2] y) <
            float[2,4] w = {3, 2, 1, 4, 7, 6, 5, 8}, float[4] b = {3, 2, 1, 4},
            float[4,2] v = {1, 1, 7, 9, 9, 8, 2, 1}
        > {
            h = MatMul (x, w)
            a = Add (h, b)
            y = MatMul (a, v)
        }

    Refuses: GP383 somewhere the channels are not one whole axis in order, GP384 no weight that takes the pattern reads
        them, GP385 no order is found that keeps more; and groups that cannot be removed (GP370 to GP378).

    Raises: GP386 the pattern is neither N:M nor one of runs, or the sparsity is not in [0, 1), GP323 a weight holds NaN
        or an infinity.

    Attributes:
        pattern: Which weights are pruned with afterwards, as `2:4` or `block 1x4`.
        sparsity: The share of runs that is to go afterwards.
    """

    name: ClassVar[str] = "permute-channels"
    consumes: ClassVar[frozenset[Stage]] = frozenset({Stage.DENSE, Stage.SPARSE})
    equivalence: ClassVar[Equivalence] = Equivalence.REASSOCIATED
    pattern: str
    sparsity: float = 0.0

    def __post_init__(self) -> None:
        self._parsed()
        if not 0 <= self.sparsity < 1:
            raise InputError(f"{self.name}: sparsity is {self.sparsity}, expected 0 to below 1", code="GP386")

    def _parsed(self) -> NM | Block:
        found = parse_pattern(self.pattern)
        if isinstance(found, NM) or (isinstance(found, Block) and found.rows == 1 < found.columns):
            return found
        expected = "expected N:M such as 2:4, or runs such as block 1x4"
        raise InputError(f"{self.name}: pattern is '{found}', {expected}", code="GP386")

    def apply(self, model: ir.Model) -> PassOutcome:
        """Find an order for each group, then replace the constants."""
        infer_shapes(model)  # channels are followed through them
        layout, values = channel_layout(model), constant_values(model)
        search = _Search(layout, model, self._parsed(), self.sparsity)
        found = [(group, search.order(group)) for group in layout.groups]
        orders = [(group, each) for group, each in found if isinstance(each, Permutation)]
        axes = _axes(orders, values)
        for value, cuts in axes.items():
            derive_constant(value, partial(taken, cuts=cuts), read(value).shape)
        return PassOutcome(
            tuple(self._rewrite(group, each) for group, each in orders),
            (*layout.skips, *(each for _, each in found if isinstance(each, Skip))),
            layout.channel_map(axes),
        )

    def _rewrite(self, group: ChannelGroup, found: Permutation) -> Rewrite:
        return Rewrite("order", group.name, f"{group.size} channels reordered: {self._gain(found)}")

    def _gain(self, found: Permutation) -> str:
        pattern = self._parsed()
        if isinstance(pattern, NM):
            return f"{pattern} keeps {found.after / found.before - 1:.1%} more"
        if not self.sparsity:
            return f"{found.after - found.before:.0f} more runs of {pattern.columns} are zero"
        share = f"{found.after / found.before - 1:.1%} " if found.before else ""
        return f"the runs that {pattern} keeps are worth {share}more"


class _Search:
    """Finds orders of the groups of a model.

    Attributes:
        weights: Those that the pattern fits, by name.
        out_of_order: See `ChannelLayout.out_of_order`.
    """

    def __init__(self, layout: ChannelLayout, model: ir.Model, pattern: NM | Block, sparsity: float) -> None:
        self.pattern, self.sparsity = pattern, sparsity
        self.weights = {
            each.name: each for each in linear_weights(model)[0] if pattern.defect(each.shape, each.axes) is None
        }
        self.out_of_order = layout.out_of_order()

    def order(self, group: ChannelGroup) -> Permutation | Skip:
        """Return the order of a group, or why it keeps its own."""
        if group.name in self.out_of_order:
            value = self.out_of_order[group.name].name
            return Skip("GP383", group.name, f"its {group.size} channels are not one whole axis in order in '{value}'")
        read_by = [self.weights[each.name] for each in group.readers if self._takes(each)]
        if not read_by:
            return Skip("GP384", group.name, f"no weight that takes pattern '{self.pattern}' reads its channels")
        found = self._permutation(read_by)
        if found.after > found.before:
            return found
        return Skip("GP385", group.name, f"no order is found in which '{self.pattern}' keeps more of what reads it")

    def _permutation(self, read_by: list[LinearWeight]) -> Permutation:
        if isinstance(self.pattern, NM):
            return find_permutation(np.concatenate([_scores(each, self.pattern) for each in read_by]), self.pattern)
        length = self.pattern.columns
        return find_runs(np.concatenate([_priced(each, length, self.sparsity) for each in read_by]), length)

    def _takes(self, each: ChannelSlice) -> bool:
        return each.name in self.weights and self.weights[each.name].axes.input == each.axis


def _scores(weight: LinearWeight, pattern: NM) -> Scores:
    """Return magnitudes, [outputs (or those that share a mask) and positions, inputs]."""
    scores = pattern.unit_scores(Magnitude().score(WeightValues(weight.name, weight.real_values())), weight.axes)
    return scores.reshape(-1, scores.shape[-1])


def _priced(weight: LinearWeight, length: int, sparsity: float) -> Scores:
    """Return squares over what the least run that stays holds of them, [outputs and positions, inputs].

    That is said of the channels sorted by size, so that it is the same in whatever order they come. Where as many runs
    as are to go are zero already: 1 for what is not zero.
    """
    magnitudes = weight.axes.rows(Magnitude().score(WeightValues(weight.name, weight.real_values())))
    squares = np.square(magnitudes.reshape(-1, magnitudes.shape[-1]), dtype=np.float32)
    by_size = squares[:, np.argsort(squares.sum(axis=0), kind="stable")]
    sums = np.sort(np.add.reduceat(by_size, range(0, squares.shape[1], length), axis=1), axis=None)
    price = sums[int(sparsity * sums.size)] if sparsity else 0
    priced: Scores = squares / price if price > 0 else (squares > 0).astype(np.float32)
    return priced


def _axes(orders: Iterable[tuple[ChannelGroup, Permutation]], values: Mapping[str, ir.Value]) -> Kept:
    """Return the order of each axis of each constant that the groups have."""
    found: dict[ir.Value, dict[int, IntArray]] = {}
    for group, permutation in orders:
        for each in (*group.producers, *group.carriers, *group.readers, *group.companions):
            found.setdefault(values[each.name], {})[each.axis] = permutation.order
    return found
