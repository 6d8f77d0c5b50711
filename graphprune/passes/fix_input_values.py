"""Give inputs of a graph, which no caller changes, their values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphprune.diagnostics import Rewrite
from graphprune.errors import InputError
from graphprune.passes.base import Equivalence, Pass, PassOutcome
from graphprune.passes.rewriting import constant_of
from graphprune.stages.stage import Stage


@dataclass(frozen=True)
class FixInputValues(Pass):
    """Turn the named inputs into initializers that hold one number; callers do not give them any more.

    Run: fix-input-values{values=[["rate",16000]]}

    Before::

        g (float[2] x, int64 rate) => (float[2] y) {
            r = Cast <to = 1> (rate)
            y = Div (x, r)
        }

    After::

        g (float[2] x) => (float[2] y) <int64 rate = {16000}> {
            r = Cast <to = 1> (rate)
            y = Div (x, r)
        }

    Refuses, as errors because the user asked for it: GP440 no input has that name, GP441 the element type of the
        input does not hold the number, GP442 the shape of the input is open, GP443 it is an output too.

    Attributes:
        values: Pairs of an input's name and the number that all its elements are.
    """

    name: ClassVar[str] = "fix-input-values"
    consumes: ClassVar[frozenset[Stage]] = frozenset(Stage)
    equivalence: ClassVar[Equivalence] = Equivalence.EXACT
    changes_interface: ClassVar[bool] = True
    values: tuple[tuple[str, float], ...]

    def apply(self, model: ir.Model) -> PassOutcome:
        """Check all values, then replace the inputs.

        Raises:
            InputError: GP440 to GP443.
        """
        inputs = {str(value.name): value for value in model.graph.inputs}
        wanted = [(name, number) for name, number in self.values if not _is_fixed(model, name, number)]
        tensors = {name: self._tensor(inputs, name, number) for name, number in wanted}
        for name, tensor in tensors.items():
            model.graph.inputs.remove(inputs[name])
            inputs[name].const_value = tensor
            model.graph.register_initializer(inputs[name])
        return PassOutcome(tuple(Rewrite("input-value", name, f"is now {number:g}") for name, number in wanted))

    def _tensor(self, inputs: Mapping[str, ir.Value], name: str, number: float) -> ir.TensorProtocol:
        if name not in inputs:
            raise InputError(f"{self.name}: no input is named '{name}', expected one of {sorted(inputs)}", code="GP440")
        value = inputs[name]
        if value.is_graph_output():
            raise InputError(f"{self.name}: input '{name}' is an output of the graph too", code="GP443")
        if value.shape is None or not value.shape.is_static():
            raise InputError(f"{self.name}: input '{name}' has the open shape {value.shape}", code="GP442")
        held = None if value.dtype in {None, ir.DataType.STRING} else _held(number, value.dtype)
        if held is None:
            raise InputError(
                f"{self.name}: input '{name}' is of {value.dtype}, which cannot be {number:g}", code="GP441"
            )
        return ir.tensor(np.full(value.shape.numpy(), held), value.dtype, name=name)


def _is_fixed(model: ir.Model, name: str, number: float) -> bool:
    """Whether it is an initializer of that value already."""
    tensor = constant_of(model.graph.initializers.get(name))
    return tensor is not None and tensor.dtype != ir.DataType.STRING and bool(np.all(tensor.numpy() == number))


def _held(number: float, dtype: ir.DataType | None) -> npt.NDArray[Any] | None:
    """The number in an element type; None where that does not hold it: floating-point ones round it."""
    assert dtype is not None
    with np.errstate(all="ignore"):
        held: npt.NDArray[Any] = np.asarray(number).astype(dtype.numpy())
    return held if dtype.is_floating_point() or held == number else None
