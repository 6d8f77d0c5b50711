"""A few rows times a constant weight with zeros anywhere: each vector of outputs picks its own inputs of a group.

A group of inputs fills one or two vectors, and an instruction picks one of them for each lane. A group has as many
slots, each a weight and the place of its input for every output of a block, as the output with the most nonzeros in it
needs: the zeros that outputs with fewer have left are multiplied with what a dense product would multiply them with.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from tvm.tirx.op import call_llvm_pure_intrin
from tvm.tirx.script import builder as T

from graphprune.backends.tvm.kernels.builder import Expr, Flat, Kernel, Machine, bind, loop, store
from graphprune.backends.tvm.kernels.narrow import Narrowed, narrowed, widened
from graphprune.backends.tvm.kernels.row_product import Array, RowProduct


class Pick(NamedTuple):
    """An instruction that picks from `vectors` vectors for each of `lanes` lanes, and the set that has it."""

    feature: str
    lanes: int
    vectors: int
    intrinsic: str


PICKS = (
    Pick("avx512f", 16, 2, "llvm.x86.avx512.vpermi2var.ps.512"),
    Pick("avx2", 8, 1, "llvm.x86.avx2.permps"),
)
"""Of float32."""


def pick_of(machine: Machine) -> Pick | None:
    """The instruction for the machine's vectors, or None."""
    return next((p for p in PICKS if p.lanes == machine.lanes and p.feature in machine.features), None)


@dataclass(frozen=True)
class Slots:
    """Weights in slots.

    Attributes:
        values: [slot][output of the block], `narrowed` or not, the slots ordered by weight, block and group.
        places: Of the input of each value, within its group.
        starts: The first slot of each group of each block of each weight, and the end.
    """

    values: Narrowed
    places: npt.NDArray[np.uint8]
    starts: npt.NDArray[np.int32]


def pack_slots(blocks: npt.NDArray[np.float32], group: int) -> Slots:
    """Pack weights [blocks, outputs of a block, inputs], the inputs whole groups of `group`."""
    count, outputs, inputs = blocks.shape
    grouped = blocks.reshape(count, outputs, inputs // group, group).transpose(0, 2, 3, 1)
    order = np.argsort(grouped == 0, axis=2, kind="stable")
    needed = np.count_nonzero(grouped, axis=2).max(axis=2)
    kept = np.arange(group) < needed[..., None]
    starts = np.concatenate([[0], np.cumsum(needed.reshape(-1))])
    values = np.take_along_axis(grouped, order, axis=2)[kept]
    return Slots(values, order[kept].astype(np.uint8), starts.astype(np.int32))


@dataclass(frozen=True)
class SlotProduct(RowProduct):
    """On a machine that has an instruction for it; rows are read up to whole groups.

    Attributes:
        weights: [weight, output, input].
    """

    weights: Array = field(kw_only=True, compare=False)

    most_vectors = 4

    @classmethod
    def of(cls, machine: Machine, rows: int, weights: Array, name: str) -> SlotProduct:
        """The product with these weights."""
        return cls(machine, rows, weights.shape[2], weights.shape[1], name=name, weights=weights)

    @property
    def most_rows(self) -> int:
        """As many as leave registers for their inputs and sums."""
        return 4 if self.machine.registers > 16 else 2

    @property
    def _pick(self) -> Pick:
        pick = pick_of(self.machine)
        assert pick is not None
        return pick

    @property
    def group(self) -> int:
        """Inputs of a group."""
        return self._pick.lanes * self._pick.vectors

    @property
    def groups(self) -> int:
        """Groups of inputs; the last one is filled up with zeros."""
        return -(-self.inputs // self.group)

    @property
    def _wide(self) -> int:
        """Lanes of a slot: whole vectors."""
        return self.vectors * self.lanes

    @cached_property
    def slots(self) -> Slots:
        """The weights as the kernel reads them; values of 16 bits save time only where one weight does not fit L2."""
        places = self.block_starts()[:, None] + np.arange(self.block)
        blocks = self.weights[:, places].reshape(-1, self.block, self.inputs)
        missing = ((0, 0), (0, self._wide - self.block), (0, self.groups * self.group - self.inputs))
        slots = pack_slots(np.pad(blocks, missing), self.group)
        one = (slots.values.nbytes + slots.places.nbytes) // len(self.weights)
        return replace(slots, values=narrowed(slots.values.view(np.float32))) if one > self.machine.l2_bytes else slots

    @property
    def share(self) -> float:
        """Vectors of slots over those of dense weights."""
        return self.slots.values.size / self.weights.size

    @property
    def operations(self) -> int:
        """Of all slots."""
        return round(self.rows * self.share * self.outputs * self.inputs)

    @property
    def arrays(self) -> list[Array]:
        """The contents of the buffers."""
        return [self.slots.values.reshape(-1), self.slots.places.reshape(-1), self.slots.starts]

    def arguments(self) -> list[Flat]:
        """Values, places and starts."""
        names = (f"{self.name}_values", f"{self.name}_places", f"{self.name}_starts")
        return [Flat(name, a.size, str(a.dtype)) for name, a in zip(names, self.arrays, strict=True)]

    def _add(self, kernel: Kernel, block: Expr, starts: list[Expr], x: Expr, sums: list[Expr]) -> None:
        values, places, firsts = (kernel[each.name] for each in self.arguments())
        width = self.lanes
        with loop(self.groups) as group:
            number = bind(block * self.groups + group)
            first = bind(firsts[number])
            inputs = [self._inputs(x, start + group * self.group) for start in starts]
            with loop(bind(firsts[number + 1] - first)) as slot:
                at = bind((first + slot) * self._wide)
                for lane in range(0, self._wide, width):
                    lanes = T.ramp(lane, 1, width)
                    value = widened(values, at + lane, width)
                    place = places[T.ramp(at + lane, 1, width)].astype(f"int32x{width}")
                    for total, vectors in zip(sums, inputs, strict=True):
                        store(total, lanes, total[lanes] + value * self._picked(vectors, place))

    def _inputs(self, x: Expr, at: Expr) -> list[Expr]:
        return [x[T.ramp(at + v * self.lanes, 1, self.lanes)] for v in range(self._pick.vectors)]

    def _picked(self, vectors: list[Expr], place: Expr) -> Expr:
        one, *other = vectors
        return call_llvm_pure_intrin(f"float32x{self.lanes}", self._pick.intrinsic, one, place, *other)
