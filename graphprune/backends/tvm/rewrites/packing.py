"""Weights with zeros as packed calls: in a prepared graph each is a constant, whatever it was made of in the file."""

from __future__ import annotations

import onnx_ir as ir

from graphprune.backends.tvm.operators.weights import FEWEST_ZEROS
from graphprune.backends.tvm.rewrites.prepare import Refusal, inline_packed
from graphprune.passes.base import run_pass
from graphprune.passes.pack_weights import PackWeights
from graphprune.stages.stage import get_stage

_PACK = PackWeights(layout="rows", min_sparsity=FEWEST_ZEROS)  # each kernel arranges a weight again


def pack_weights(model: ir.Model, refusal: Refusal) -> ir.Model:
    """The prepared model with packed calls for those of its weights that a sparse kernel may be the fastest for.

    Half-precision and dequantized weights are float32 matrices by now; those of recurrent layers, which choose a kernel
    for zeros by themselves, come out as they were. What is packed already stays.
    """
    if get_stage(model) not in PackWeights.consumes:
        return model
    packed = run_pass(_PACK, model).model
    inline_packed(packed, refusal)
    return packed
