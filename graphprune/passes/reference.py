"""ONNX's reference evaluator, with corrected versions of the operators that it computes wrongly."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import onnx

if TYPE_CHECKING:
    from onnx.reference import ReferenceEvaluator


def reference_evaluator(
    proto: onnx.ModelProto, guard: Callable[[ReferenceEvaluator], None] | None = None
) -> ReferenceEvaluator:
    """Return an evaluator of `proto` in pure NumPy; it computes in whatever float type the model has.

    `guard` is given it before it runs, and each evaluator of a subgraph.
    """
    from onnx.reference import ReferenceEvaluator

    from graphprune.passes.reference_operators import MENDED

    class Guarded(ReferenceEvaluator):
        def _init(self) -> None:
            super()._init()
            if guard is not None:
                guard(self)

    return Guarded(proto, new_ops=list(MENDED))
