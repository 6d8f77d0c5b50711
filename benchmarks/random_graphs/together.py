"""Many drafts as one model, because compiling costs most by the model, and apart again where one is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
import onnx
from onnx import helper

from benchmarks.random_graphs.draft import Draft, Value
from benchmarks.random_graphs.elements import element_type


def together(drafts: Sequence[Draft]) -> onnx.ModelProto:
    """One model that holds all of them; they have one opset."""
    graph = helper.make_graph(
        [node for draft in drafts for node in draft.nodes],
        "random",
        [_info(value) for draft in drafts for value in draft.inputs],
        [_info(value) for draft in drafts for value in draft.outputs()],
        [onnx.numpy_helper.from_array(value.array, value.name) for draft in drafts for value in draft.constants],
    )
    opsets = [helper.make_opsetid("", drafts[0].opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def _info(value: Value) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(value.name, element_type(value.array.dtype), value.array.shape)


def feed_of(drafts: Sequence[Draft]) -> dict[str, np.ndarray]:
    """What they are run on."""
    return {value.name: value.array for draft in drafts for value in draft.inputs}


def without_named(drafts: Sequence[Draft], message: str) -> tuple[list[Draft], list[Draft]]:
    """The drafts that a message does not name, and those that it does."""
    named = set(re.findall(r"\bg\d+(?=_)", message))
    return [draft for draft in drafts if draft.name not in named], [draft for draft in drafts if draft.name in named]


def halves(drafts: Sequence[Draft]) -> Iterator[Sequence[Draft]]:
    """The two halves."""
    middle = len(drafts) // 2
    yield from (drafts[:middle], drafts[middle:])
