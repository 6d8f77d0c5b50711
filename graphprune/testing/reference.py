"""Onnx's reference evaluator, with the cases mended that it gets wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

if TYPE_CHECKING:
    from onnx.reference import ReferenceEvaluator


def reference_evaluator(model: ir.Model) -> ReferenceEvaluator:
    """Return an evaluator of `model` in pure NumPy; it computes in whatever float type the model has."""
    from onnx.reference import ReferenceEvaluator
    from onnx.reference.ops.op_conv_transpose import ConvTranspose as Ungrouped

    class ConvTranspose(Ungrouped):
        """Runs groups one by one: onnx's own implementation fails on more than one."""

        def _run(self, *inputs: Any, **attributes: Any) -> tuple[Any, ...]:  # noqa: ANN401 - as its base
            count = attributes.pop("group", None) or 1
            run = super()._run
            parts = [
                run(x, w, None, group=1, **attributes)[0]  # type: ignore[no-untyped-call]
                for x, w in zip(np.split(inputs[0], count, axis=1), np.split(inputs[1], count, axis=0), strict=True)
            ]
            result = np.concatenate(parts, axis=1)
            bias = inputs[2] if len(inputs) > 2 else None  # noqa: PLR2004
            return (result if bias is None else result + bias.reshape(-1, *[1] * (result.ndim - 2)),)

    return ReferenceEvaluator(ir.to_proto(model), new_ops=[ConvTranspose])
