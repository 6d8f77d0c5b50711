"""Hardening a soft mask: exact zeros, and the distance between the soft and the hard weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphprune.graph.functions import DOMAIN
from graphprune.masked.calls import MaskCall, call_form, wide_type
from graphprune.masked.functions import function_text
from graphprune.masks.criteria import Magnitude, WeightValues

UNDECIDED = (0.01, 0.99)
"""Between them a mask is undecided: hardening changes the weight."""

_OPSET = 18


@dataclass(frozen=True)
class HardenedWeight:
    """A weight without its soft mask.

    Attributes:
        name: Of the weight.
        array: The weight, zero where it went.
        zeros: The number of zeros.
        gap: The norm of the soft weight minus the hard one, relative to that of the hard one.
        undecided: The share of elements whose mask is in (0.01, 0.99).
    """

    name: str
    array: npt.NDArray[Any]
    zeros: int
    gap: float
    undecided: float

    def __str__(self) -> str:
        size = self.array.size
        share = f"{self.zeros} of {size} elements are zero ({self.zeros / size:.1%})"
        return f"{share}, soft-to-hard gap {self.gap:.2e}, {self.undecided:.2%} undecided"


def harden(call: MaskCall) -> HardenedWeight:
    """Return the weight of `call` with exactly as many elements set to zero as its budget says.

    Raises:
        RecipeError: The weight holds NaN or an infinity (GP323).
    """
    array = call.tensor.numpy()
    scores = Magnitude().score(WeightValues(call.name, array))
    keep = call.pattern.keep_mask(scores, call.axes, call.pruned)
    hard = np.where(keep, array, array.dtype.type(0))
    mask, wide = soft_mask(call), array.astype(wide_type(call.tensor.dtype).numpy(), copy=False)
    norm = float(np.linalg.norm(np.where(keep, wide, 0)))
    difference = float(np.linalg.norm(wide * (mask - keep)))
    return HardenedWeight(
        name=call.name,
        array=hard,
        zeros=hard.size - int(np.count_nonzero(hard)),
        gap=difference / norm if norm else 0.0,
        undecided=float(np.mean((mask > UNDECIDED[0]) & (mask < UNDECIDED[1]))),
    )


def soft_mask(call: MaskCall) -> npt.NDArray[Any]:
    """Return the mask of `call` in the weight's shape, computed by its own function in onnx's evaluator."""
    from onnx.inliner import inline_local_functions
    from onnx.reference import ReferenceEvaluator

    wide = wide_type(call.tensor.dtype).numpy()
    feed = {
        "weight": call.tensor.numpy().astype(wide, copy=False),
        "budget": np.array(call.budget),
        "ratio": np.array(call.ratio),
        "temperature": np.array(call.temperature.value, wide),
    }
    plain = inline_local_functions(ir.to_proto(_mask_model(call)))  # it hands attributes of a function to few operators
    with np.errstate(all="ignore"):  # its sigmoid overflows where it is one
        (mask,) = ReferenceEvaluator(plain).run(None, feed)
    assert isinstance(mask, np.ndarray)
    return mask


def _mask_model(call: MaskCall) -> ir.Model:
    name, attributes = call_form(call.pattern, call.axes)
    attributes = {"relative": int(call.temperature.relative), **attributes}
    listed = ", ".join(f"{key} = {value}" for key, value in attributes.items())
    wide = wide_type(call.tensor.dtype).name.lower()
    inputs = f"{wide}[{','.join(map(str, call.tensor.shape.numpy()))}] weight, double budget, double ratio"
    return ir.from_onnx_text(f"""<ir_version: 10, opset_import: ["" : {_OPSET}, "{DOMAIN}" : 1]>
        g ({inputs}, {wide} temperature) => ({wide} mask) {{
            mask = {DOMAIN}.{name} <{listed}> (weight, budget, ratio, temperature)
        }}
        {function_text(name, _OPSET, "mask")}""")
