"""Recipe of row kernels for ArgMax and ArgMin."""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from graphprune.backends.tvm.kernels.builder import Expr, constant
from graphprune.backends.tvm.kernels.rows import Place, RowBlock


@dataclass(frozen=True)
class Extremum:
    """The index, along the only reduced axis, of the largest or smallest element, the first or the last of equal ones.

    `limit` is what no element goes beyond on the other side. A row in which NaN hides the extremum gives index 0.
    """

    limit: float
    largest: bool = True
    last: bool = False

    def __call__(self, block: RowBlock) -> None:
        """Emit the code of one block: the extremum, then the first or last place that holds it."""
        (axis,) = block.problem.reduced
        length = block.problem.row_length
        best = block.fold(self.limit, tirx.max if self.largest else tirx.min, lambda x, _lane, _place: x)
        nowhere = constant(-1 if self.last else length, "int32")

        def index(x: Expr, lane: Expr, place: Place) -> Expr:
            return tirx.Select(x == best(lane), place[axis], nowhere)

        found = block.fold(nowhere.value, tirx.max if self.last else tirx.min, index, dtype="int32")

        def result(lane: Expr) -> Expr:
            value = tirx.Select(found(lane) == nowhere, constant(0, "int32"), found(lane))
            return value.astype(block.problem.output_dtype)

        block.write_rows(result)
