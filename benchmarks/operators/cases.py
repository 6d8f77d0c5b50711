"""All cases by kind, and the operators that have none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx

from benchmarks.operators.convolutions import CONVOLUTIONS
from benchmarks.operators.elementwise import ELEMENTWISE
from benchmarks.operators.images import IMAGES
from benchmarks.operators.moving import MOVING
from benchmarks.operators.products import PRODUCTS
from benchmarks.operators.quantized import QUANTIZED
from benchmarks.operators.recurrent import RECURRENT
from benchmarks.operators.reducing import REDUCING
from benchmarks.operators.sorting import SORTING
from graphprune.backends.tvm.operators import OPERATORS
from graphprune.backends.tvm.rewrites.definitions import DEFINITIONS
from graphprune.packed.forms import CALLS

KINDS = {
    "convolutions": CONVOLUTIONS,
    "products": PRODUCTS,
    "recurrent": RECURRENT,
    "moving": MOVING,
    "reducing": REDUCING,
    "elementwise": ELEMENTWISE,
    "quantized": QUANTIZED,
    "images": IMAGES,
    "sorting": SORTING,
}
"""Cases by kind."""

WITHOUT_CASE = {
    **dict.fromkeys(("BlackmanWindow", "HammingWindow", "HannWindow", "Range"), "computed while compiling"),
    **dict.fromkeys(("Bernoulli", "LinearAttention", "SequenceMap"), "refused: its definition has no kernel"),
    "Scatter": "the old name of ScatterElements, which it becomes when a file is read",
}
"""Why operators that are lowered have no case."""


def lowered() -> frozenset[str]:
    """The operators that the TVM backend lowers: by a kernel, by a definition of its own, or by ONNX's.

    Calls of packed weights, which benchmarks/models.py and nm_layers.py time, are left out.
    """
    schemas: Sequence[Any] = onnx.defs.get_all_schemas()  # its type stubs lack everything about functions
    defined = {
        schema.name
        for schema in schemas
        if schema.domain == "" and (schema.has_function or schema.has_context_dependent_function)
    }
    return frozenset({*OPERATORS, *DEFINITIONS, *defined} - set(CALLS))
