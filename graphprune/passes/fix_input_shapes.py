"""Give the inputs of a graph concrete shapes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphprune.diagnostics import Rewrite
from graphprune.errors import InputError, UnsupportedModelError
from graphprune.passes.base import Equivalence, Pass, PassOutcome
from graphprune.passes.shape_inference import infer_shapes
from graphprune.stages.stage import Stage


@dataclass(frozen=True)
class FixInputShapes(Pass):
    """Set the shapes of the named inputs; a symbol that gets an extent gets it in all inputs and outputs.

    Run: fix-input-shapes{shapes=[["x",[4,2]]]}

    Before::

        g (float[n,2] x, float[n,1] z) => (float[n,2] y) {
            y = Add (x, z)
        }

    After::

        g (float[4,2] x, float[4,1] z) => (float[4,2] y) {
            y = Add (x, z)
        }

    Refuses, as errors because the user asked for it: GP231 no input has that name, GP232 the rank differs, GP233 the
        extent contradicts a known one, GP234 an extent is not positive, GP235 an operator cannot have
        such operands.

    Attributes:
        shapes: Pairs of an input's name and its shape.
    """

    name: ClassVar[str] = "fix-input-shapes"
    consumes: ClassVar[frozenset[Stage]] = frozenset(Stage)
    equivalence: ClassVar[Equivalence] = Equivalence.EXACT
    shapes: tuple[tuple[str, tuple[int, ...]], ...]

    def apply(self, model: ir.Model) -> PassOutcome:
        """Check all shapes, then set them.

        Raises:
            InputError: GP231 to GP235.
        """
        inputs = {str(value.name): value for value in model.graph.inputs}
        extents: dict[str, int] = {}
        for name, shape in self.shapes:
            if name not in inputs:
                raise InputError(
                    f"{self.name}: no input is named '{name}', expected one of {sorted(inputs)}", code="GP231"
                )
            self._bind(inputs[name], shape, extents)
        before = {name: str(value.shape) for name, value in inputs.items()}
        for name, shape in self.shapes:
            inputs[name].shape = ir.Shape(shape)
        results = (value for node in model.graph for value in node.outputs)  # what is declared of opaque operators
        for value in (*model.graph.inputs, *model.graph.outputs, *results):
            _substitute(value, extents)
        try:
            infer_shapes(model)
        except UnsupportedModelError as error:
            raise InputError(f"{self.name}: the graph does not accept them: {error.message}", code="GP235") from error
        changed = [name for name, value in inputs.items() if before[name] != str(value.shape)]
        return PassOutcome(tuple(Rewrite("input-shape", name, f"is now {inputs[name].shape}") for name in changed))

    def _bind(self, value: ir.Value, shape: tuple[int, ...], extents: dict[str, int]) -> None:
        given = f"{self.name}: input '{value.name}' is given shape {list(shape)}"
        if any(extent < 1 for extent in shape):
            raise InputError(f"{given}, expected positive extents", code="GP234")
        if value.shape is None:
            return
        if value.shape.rank() != len(shape):
            raise InputError(f"{given}, expected rank {value.shape.rank()} as in {value.shape}", code="GP232")
        for axis, (dim, extent) in enumerate(zip(value.shape, shape, strict=True)):
            known = dim if isinstance(dim, int) else extents.setdefault(str(dim.value), extent) if dim.value else extent
            if known != extent:
                raise InputError(f"{given}, expected {known} at axis {axis}", code="GP233")


def unresolved_dims(model: ir.Model) -> list[tuple[str, int, str]]:
    """Return the dimensions of inputs that are not static: the input's name, the axis, and the symbol or `?`.

    An input of unknown rank counts with axis -1.
    """
    found = []
    for value in model.graph.inputs:
        if value.shape is None:
            found.append((str(value.name), -1, "?"))
        for axis, dim in enumerate(value.shape or ()):
            if not isinstance(dim, int):
                found.append((str(value.name), axis, dim.value or "?"))
    return found


def _substitute(value: ir.Value, extents: dict[str, int]) -> None:
    if value.shape is not None:
        dims = [dim if isinstance(dim, int) else extents.get(str(dim.value), dim) for dim in value.shape]
        value.shape = ir.Shape(dims)
