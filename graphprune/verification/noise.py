"""A model that rounds as one with another order of sums may: values move by what that costs before they are rounded."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass
from onnx_ir.tape import Tape

from graphprune.verification.computed import computed_values
from graphprune.verification.level_steps import constant, in_levels
from graphprune.verification.roundings import precision, reads_floats, roundings, scale_place

_LEVELS = 256
"""Of 8 bits: what moves a scale by a share of 1/256 moves the largest value by one level."""


def with_noise(model: ir.Model) -> ir.Model:
    """Return a copy whose floats move, each up or down at random, by `Precision.noise` levels before they are rounded.

    Of operators on integers, which round inside, the scale moves instead. What rounds inside of a subgraph or function
    stays as it is. Each run of one session draws other signs, and each new session the same ones.
    """
    clone = model.clone()
    ShapeInferencePass()(clone)
    known = computed_values(clone)
    for seed, node in enumerate(roundings(clone)):
        tape, noise = Tape(), precision(known.get(node.outputs[0])).noise
        if reads_floats(node):
            node.replace_input_with(0, _moved(tape, node, noise, seed))
        elif (place := scale_place(node)) is not None and node.op_type != "QuantizeLinear":
            node.replace_input_with(place, _stretched(tape, node.inputs[place], noise / _LEVELS, seed))
        clone.graph.insert_before(node, tape.nodes)
    return clone


def _moved(tape: Tape, node: ir.Node, noise: float, seed: int) -> ir.Value:
    """What a node rounds, each element moved up or down."""
    x = node.inputs[0]
    signs = tape.op("Cast", [_signs(tape, x, seed)], {"to": ir.DataType.INT8})
    return tape.op("Add", [x, in_levels(tape, node, signs, noise)])


def _stretched(tape: Tape, scale: ir.Value | None, share: float, seed: int) -> ir.Value:
    """A scale that is larger or smaller by a share of itself."""
    assert scale is not None, "it has a place"
    share_of_it = tape.op("Mul", [scale, constant(tape, share, scale.dtype)])
    return tape.op("Add", [scale, tape.op("Mul", [share_of_it, _signs(tape, scale, seed)])])


def _signs(tape: Tape, like: ir.Value | None, seed: int) -> ir.Value:
    limits = {"low": -1.0, "high": 1.0, "seed": float(seed), "dtype": ir.DataType.FLOAT}
    return tape.op("Sign", [tape.op("RandomUniformLike", [like], limits)])
