"""What the kernel of a recurrent layer computes: its cell, its extents, and its buffers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphprune.backends.tvm.kernels.builder import Flat
from graphprune.backends.tvm.kernels.cells import Activation, Cell
from graphprune.backends.tvm.kernels.row_product import RowProduct

STATE_PITCH = 32
"""A row of the state is padded with zeros to a multiple of so many elements: products may read whole groups."""


@dataclass(frozen=True)
class RecurrenceProblem:
    """A recurrent node, the products of its inputs aside.

    Attributes:
        cell: What a step does.
        steps: Of the sequences.
        batch: How many sequences there are.
        hidden: Elements of a state.
        activations: Of each direction.
        products: With the recurrence weights, for each of the cell's stages, of the sequences of one thread.
        operands: Which of `bias`, `lengths`, `peepholes` and the initial states `initial0` and `initial1` it has.
        results: Which of `y`, `final0` and `final1` it computes.
        is_reverse: Whether the first direction begins with the last step, as the second one does.
        clip: The largest magnitude of what goes into the activation of a gate, or None.
        shares_sequences: Whether threads share the directions and the sequences.
        shares_products: Whether threads share the products of each step.
    """

    cell: Cell
    steps: int
    batch: int
    hidden: int
    activations: Sequence[Sequence[Activation]]
    products: Sequence[RowProduct]
    operands: frozenset[str]
    results: Sequence[str]
    is_reverse: bool
    clip: float | None
    shares_sequences: bool = False
    shares_products: bool = False

    @property
    def directions(self) -> int:
        """One or two."""
        return len(self.activations)

    @property
    def rows(self) -> int:
        """Sequences of one thread."""
        return self.products[0].rows

    @property
    def width(self) -> int:
        """Elements of all gates."""
        return self.cell.gates * self.hidden

    @property
    def pitch(self) -> int:
        """From one row of a state to the next."""
        return -(-self.hidden // STATE_PITCH) * STATE_PITCH

    @property
    def dtype(self) -> str:
        """Of all floats."""
        return self.products[0].dtype

    def arguments(self) -> list[Flat]:
        """All buffers, in order: those of the weights are before the operands."""
        state = self.directions * self.batch * self.hidden
        optional = [
            Flat("bias", self.directions * 2 * self.width, self.dtype),
            Flat("lengths", self.batch, "int32"),
            *(Flat(f"initial{i}", state, self.dtype) for i in range(self.cell.states)),
            Flat("peepholes", self.directions * 3 * self.hidden, self.dtype),
        ]
        sizes = {"y": self.steps * state}
        return [
            Flat("x", self.steps * self.batch * self.directions * self.width, self.dtype),
            *(flat for product in self.products for flat in product.arguments()),
            *(flat for flat in optional if flat.name in self.operands),
            *(Flat(name, sizes.get(name, state), self.dtype) for name in self.results),
        ]
