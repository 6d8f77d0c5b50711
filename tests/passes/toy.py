"""Small passes that the tests of the pass infrastructure run; none is part of the package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphprune.diagnostics import Rewrite
from graphprune.passes.base import Equivalence, Pass, PassOutcome
from graphprune.stages.stage import Stage


@dataclass(frozen=True)
class ToyDouble(Pass):
    """Multiplies every initializer by `factor`."""

    name: ClassVar[str] = "toy-double"
    consumes: ClassVar[frozenset[Stage]] = frozenset({Stage.DENSE, Stage.SPARSE})
    produces: ClassVar[Stage | None] = Stage.SPARSE
    equivalence: ClassVar[Equivalence] = Equivalence.LOSSY
    factor: float = 2.0
    only: tuple[str, ...] = ()

    def apply(self, model: ir.Model) -> PassOutcome:
        for name, value in model.graph.initializers.items():
            if value.const_value is not None and (not self.only or name in self.only):
                value.const_value = ir.tensor(value.const_value.numpy() * np.float32(self.factor), name=name)
        return PassOutcome((Rewrite("double", "all", f"times {self.factor}"),))


@dataclass(frozen=True)
class ToyNeeds(Pass):
    """Has an option without a default, and does nothing."""

    name: ClassVar[str] = "toy-needs"
    consumes: ClassVar[frozenset[Stage]] = frozenset({Stage.DENSE})
    equivalence: ClassVar[Equivalence] = Equivalence.EXACT
    count: int

    def apply(self, model: ir.Model) -> PassOutcome:
        del model
        return PassOutcome()


def toy(
    apply: Callable[[ir.Model], None],
    *,
    equivalence: Equivalence = Equivalence.EXACT,
    produces: Stage | None = None,
    changes_interface: bool = False,
) -> Pass:
    """Return a pass that accepts every stage and runs `apply`."""
    flags = {"equivalence": equivalence, "produces": produces, "changes_interface": changes_interface}
    kind = type("_Toy", (_Toy,), flags)
    made: Pass = kind(apply)
    return made


@dataclass(frozen=True)
class _Toy(Pass):
    name: ClassVar[str] = "toy"
    consumes: ClassVar[frozenset[Stage]] = frozenset(Stage)
    equivalence: ClassVar[Equivalence] = Equivalence.EXACT
    action: Callable[[ir.Model], None]

    def apply(self, model: ir.Model) -> PassOutcome:
        self.action(model)
        return PassOutcome()
