"""A bound on what constants make us compute: a file of a few bytes may ask for any number of steps and bytes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx import defs, helper, numpy_helper, shape_inference

from graphprune.passes.reference import reference_evaluator

if TYPE_CHECKING:
    from onnx.reference import ReferenceEvaluator

MOST_STEPS = 10_000
"""Operators that the evaluation of one node may run: those in the body of a loop count each time."""

_FREE_BYTES = 2**30
_BYTES_A_BYTE = 64  # a weight of 4 bits becomes float32 (8 times) in a chain of up to 8 operators
_SMALL = 4096  # bytes: constants up to here decide shapes


class BudgetExceededError(Exception):
    """Evaluating would take more steps or bytes than the budget has left."""


@dataclass
class Budget:
    """What may still be computed of a model's constants: 1 GiB, and 64 bytes for each of its weights."""

    bytes_left: int
    steps_left: int = field(default=MOST_STEPS, init=False)

    @classmethod
    def of(cls, model: ir.Model) -> Budget:
        """The budget of a model."""
        tensors = (value.const_value for value in model.graph.initializers.values())
        weights = sum(tensor.nbytes for tensor in tensors if tensor is not None)
        return cls(_FREE_BYTES + _BYTES_A_BYTE * weights)

    def take(self, steps: int, nbytes: int) -> None:
        """Use up some of it.

        Raises:
            BudgetExceededError: More than is left.
        """
        if steps > self.steps_left:
            raise BudgetExceededError(f"it runs more than {MOST_STEPS} operators")
        if nbytes > self.bytes_left:
            raise BudgetExceededError(f"it takes {nbytes} bytes, more than the {self.bytes_left} that are left")
        self.steps_left -= steps
        self.bytes_left -= nbytes


def bounded_evaluator(proto: onnx.ModelProto, budget: Budget) -> ReferenceEvaluator:
    """Return an evaluator of `proto` whose nodes, and those of its subgraphs, ask `budget` before they run."""
    budget.steps_left = MOST_STEPS
    opsets = {opset.domain: opset.version for opset in proto.opset_import}

    def guard(evaluator: Any) -> None:  # noqa: ANN401 - onnx's class is untyped
        for node in evaluator.rt_nodes_:
            node.run = partial(_run, node.run, node.onnx_node, opsets, budget)

    return reference_evaluator(proto, guard)


def _run(
    run: Callable[..., Any],
    node: onnx.NodeProto,
    opsets: dict[str, int],
    budget: Budget,
    *inputs: Any,  # noqa: ANN401 - as the method that it stands for
    **others: Any,  # noqa: ANN401
) -> Any:  # noqa: ANN401
    budget.take(1, _bytes_of_results(node, opsets, inputs))
    return run(*inputs, **others)


def _bytes_of_results(node: onnx.NodeProto, opsets: dict[str, int], inputs: tuple[Any, ...]) -> int:
    """What the outputs take, as far as inference tells; what depends on values (NonZero) is no larger than they."""
    if not defs.has(node.op_type, node.domain) or any(attribute.HasField("g") for attribute in node.attribute):
        return 0
    given = {name: each for name, each in zip(node.input, inputs, strict=False) if isinstance(each, np.ndarray)}
    schema = defs.get_schema(node.op_type, opsets.get(node.domain, 1), node.domain)
    types = {
        name: helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in given.items()
    }
    data = {name: numpy_helper.from_array(array, name) for name, array in given.items() if array.nbytes <= _SMALL}
    try:
        found = shape_inference.infer_node_outputs(schema, node, types, data)
    except (shape_inference.InferenceError, RuntimeError, KeyError):
        return 0
    return sum(_bytes(kind.tensor_type) for kind in found.values() if kind.HasField("tensor_type"))


def _bytes(kind: onnx.TypeProto.Tensor) -> int:
    elements = math.prod(int(dim.dim_value) for dim in kind.shape.dim)
    return elements * int(helper.tensor_dtype_to_np_dtype(kind.elem_type).itemsize)
