"""From a packed model to a graph that can be lowered: functions inlined, constants computed, everything static."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable

import onnx_ir as ir
from onnx_ir.passes.common import InlinePass, RemoveUnusedNodesPass, TopologicalSortPass

from graphprune.backends.tvm.operators.support import DTYPES, MOST_ELEMENTS
from graphprune.backends.tvm.rewrites.definitions import definition_of
from graphprune.backends.tvm.rewrites.float_reasons import mark, reason_of, refused_product
from graphprune.backends.tvm.rewrites.integer_products import dequantize_apart, multiply_integers
from graphprune.backends.tvm.rewrites.kept_levels import keep_levels
from graphprune.backends.tvm.rewrites.lift_functions import lift_functions
from graphprune.backends.tvm.rewrites.merge_pads import merge_pads
from graphprune.backends.tvm.rewrites.static_values import become_initializer, fold_static_values
from graphprune.backends.tvm.rewrites.turned_weights import turn_weights
from graphprune.backends.tvm.rewrites.whole_windows import name_whole_windows
from graphprune.errors import UnsupportedModelError
from graphprune.graph.functions import DOMAIN
from graphprune.graph.nodes import operator_name
from graphprune.packed.calls import is_decoding, read_call
from graphprune.passes.bounded_evaluation import Budget
from graphprune.passes.evaluation import CannotEvaluateError, evaluate
from graphprune.passes.inline_branches import inline_branches
from graphprune.passes.randomness import is_random
from graphprune.passes.remove_identities import RemoveIdentities
from graphprune.passes.schema_functions import expand_functions
from graphprune.passes.shape_inference import infer_shapes
from graphprune.passes.structure import subgraphs

OLDEST_OPSET = 18
"""What operators mean here; `graphprune.load` converts older files."""

_REFUSED = "refused"
FALLBACK = "--fallback onnxruntime runs them there"
"""The way on for nodes that cannot be lowered."""

Refusal = Callable[[ir.Node], str | None]
"""Why a node cannot be lowered, or None."""


def prepare(model: ir.Model, refusal: Refusal) -> ir.Model:
    """A copy of `model` that is ready to be lowered.

    Functions other than packed calls are inlined, constant sub-graphs computed, branches with a known condition taken,
    and nodes that cannot be lowered replaced by ONNX's own definition of their operator where it has one.

    Raises:
        UnsupportedModelError: the opset is too old [GP415], values have no static shape [GP403], or nodes cannot be
            lowered, all of which are listed with the reason [GP401], or one has too many elements [GP263].
    """
    model = _simplified(model, refusal, is_expanded=lambda node: refusal(node) is not None)
    _check(model.graph, refusal)
    return model


def prepare_partly(model: ir.Model, refusal: Refusal) -> tuple[ir.Model, dict[ir.Node, str]]:
    """A copy of `model` as `prepare` makes it, and the nodes of it that cannot be lowered, with the reasons.

    Raises:
        UnsupportedModelError: the opset is too old [GP415], or a value has too many elements [GP263].
    """

    def reason(node: ir.Node) -> str | None:
        return refusal(node) or _why_not_static(node)

    def is_expanded(node: ir.Node) -> bool:  # what runs elsewhere anyway has a kernel there
        return refusal(node) is not None and _why_not_static(node) is None

    model = _simplified(model, reason, is_expanded)
    _check_sizes(model.graph)
    return model, {node: why for node in model.graph if (why := reason(node)) is not None}


def _simplified(model: ir.Model, refusal: Refusal, is_expanded: Callable[[ir.Node], bool]) -> ir.Model:
    opset = model.opset_imports.get("", OLDEST_OPSET)
    if opset < OLDEST_OPSET:
        raise UnsupportedModelError(f"the model has opset {opset}, expected at least {OLDEST_OPSET}", code="GP415")
    model = model.clone()
    InlinePass(criteria=lambda function: function.domain != DOMAIN)(model)
    TopologicalSortPass()(model)
    name_nodes(model.graph)
    simplify(model, is_kept=_is_dequantization)
    floats: dict[str, str] = {}
    if any(map(_is_dequantization, model.graph)):
        turn_weights(model)
        keep_levels(model)
        is_integer = multiply_integers(model)
        floats |= {str(node.name): reason for node in model.graph if (reason := reason_of(node))}
        simplify(model)
        if is_integer:
            dequantize_apart(model.graph)
    _check_sizes(model.graph)
    name_whole_windows(model.graph)
    inline_packed(model, refusal)

    def is_supported(node: ir.Node) -> bool:
        if refused_product(node, reason := refusal(node)):
            floats[str(node.name)] = str(reason)
        return not is_expanded(node)

    while expand_functions(model, is_supported, definition_of):
        simplify(model)
        RemoveIdentities().apply(model)
    if merge_pads(model.graph):
        infer_shapes(model)
    lift_functions(model.graph)
    name_nodes(model.graph)
    mark(model.graph, floats)
    return model


def inline_packed(model: ir.Model, refusal: Refusal) -> None:
    """Replace packed calls without a kernel (doubles, three axes) by their bodies, which fold to dense weights.

    What only decodes a weight is computed here, since its body takes long.
    """
    decoding = [node for node in model.graph if is_decoding(node)]
    for node in decoding:
        become_initializer(model.graph, node.outputs[0], ir.tensor(read_call(node).decoded))
    model.graph.remove(decoding, safe=True)
    refused = [node for node in model.graph if node.domain == DOMAIN and refusal(node) is not None]
    for node in refused:
        _give_own_function(model, node)
    if decoding or refused:
        InlinePass(criteria=lambda function: function.overload.startswith(_REFUSED))(model)
        simplify(model)


def _give_own_function(model: ir.Model, node: ir.Node) -> None:
    """Let `node` call an overload, which is inlined without the calls that have a kernel, its nodes called after it."""
    own = model.functions[node.op_identifier()].clone()
    own.overload = node.overload = _REFUSED + str(node.name)
    for inner in own:
        inner.name = f"{node.name}.{inner.op_type}"
    model.functions[own.identifier()] = own


def name_nodes(graph: ir.Graph) -> None:
    """Give every node without a name one, so that messages can name it."""
    for index, node in enumerate(graph):
        node.name = node.name or f"{node.op_type}_{index}"


def simplify(model: ir.Model, is_kept: Callable[[ir.Node], bool] = lambda _: False) -> None:
    """Infer shapes and compute what they and the constants determine, but nodes to be kept, until nothing changes."""
    infer_shapes(model)
    while any([fold_static_values(model.graph), fold_constants(model, is_kept), inline_branches(model)]):
        RemoveUnusedNodesPass()(model)
        infer_shapes(model)
    RemoveUnusedNodesPass()(model)


def fold_constants(model: ir.Model, is_kept: Callable[[ir.Node], bool] = lambda _: False) -> bool:
    """Replace nodes whose inputs are all constant, but those to be kept, by initializers; True if there was one.

    An output of the graph that turns out constant is an initializer too.
    """
    graph, budget = model.graph, Budget.of(model)
    folded: list[tuple[ir.Node, list[ir.TensorProtocol]]] = []
    for node in graph:
        is_constant = all(value is None or value.const_value is not None for value in node.inputs)
        if is_constant and _is_pure(node) and not is_kept(node):
            with contextlib.suppress(CannotEvaluateError):
                folded.append((node, evaluate(model, node, budget)))
                for output, tensor in zip(node.outputs, folded[-1][1], strict=True):
                    output.const_value = tensor
    for node, tensors in folded:
        for output, tensor in zip(node.outputs, tensors, strict=True):
            if output.uses() or output.is_graph_output():
                become_initializer(graph, output, tensor)
    graph.remove([node for node, _ in folded], safe=True)
    return bool(folded)


def _is_dequantization(node: ir.Node) -> bool:
    return node.op_type == "DequantizeLinear"


def _is_pure(node: ir.Node) -> bool:
    """Whether the node always gives the same tensors for the same inputs; a Loop may, an If is inlined instead."""
    strings = any(value.dtype == ir.DataType.STRING for value in node.outputs)
    inner = [n for graph in subgraphs(node) for n in graph.all_nodes()]
    random = any(map(is_random, (node, *inner)))
    return node.domain == "" and node.op_type != "If" and not strings and not random


def _check(graph: ir.Graph, refusal: Refusal) -> None:
    refused = {node: reason for node in graph if (reason := refusal(node)) is not None}
    if refused:
        listed = "; ".join(f"'{node.name}' ({operator_name(node)}): {reason}" for node, reason in refused.items())
        raise UnsupportedModelError(f"cannot lower {len(refused)} nodes ({FALLBACK}): {listed}", code="GP401")
    unknown = [f"'{value.name}'" for node in graph for value in node.outputs if not _is_static(value)]
    if unknown:
        raise UnsupportedModelError(
            f"no static shape for {len(unknown)} values ({FALLBACK}): {', '.join(unknown)}", code="GP403"
        )
    for value in (*graph.inputs, *graph.outputs):
        if value.dtype not in DTYPES:
            raise UnsupportedModelError(
                f"value '{value.name}' is of {value.dtype}, for which there are no kernels", code="GP516"
            )
    _check_sizes(graph)


def _check_sizes(graph: ir.Graph) -> None:
    for value in (*graph.inputs, *graph.initializers.values(), *(value for node in graph for value in node.outputs)):
        elements = math.prod(value.shape.numpy()) if value.shape is not None and value.shape.is_static() else 0
        if elements > MOST_ELEMENTS:
            raise UnsupportedModelError(
                f"value '{value.name}' has {elements} elements, expected at most {MOST_ELEMENTS}", code="GP263"
            )


def _is_static(value: ir.Value) -> bool:
    if not value.name or not (value.uses() or value.is_graph_output()):
        return True
    return value.shape is not None and value.dtype is not None and value.shape.is_static()


def _why_not_static(node: ir.Node) -> str | None:
    """Which value of a node has no shape before the first run, or None."""
    values = [value for value in node.inputs if value is not None] + [v for v in node.outputs if v.name]
    unknown = next((value for value in values if not _is_static(value)), None)
    return None if unknown is None else f"the shape of '{unknown.name}' is only known when it runs"
