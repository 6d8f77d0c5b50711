"""Graphs of one sample: what is rewritten, what stays, and why others are left whole; nothing is compiled."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.backends.base import OpenBatch, Variant, tensor_infos
from graphprune.backends.tvm.batch.site import BatchAxis, MixedSamplesError
from graphprune.backends.tvm.batch.split import (
    batch_size,
    find_batch_axes,
    open_batch,
    split_batch,
    take_one_sample,
)
from graphprune.backends.tvm.kernels.builder import Machine
from graphprune.errors import InputError
from graphprune.passes.shape_inference import infer_shapes
from graphprune_runtime.description import BatchNote
from tests.backends.tvm.graphs import Initializer, parse

MACHINE = Machine(16, 32, 32768, 1 << 20, 16 << 20, 1, frozenset())
REPEATED = np.repeat(np.arange(4, dtype=np.float32).reshape(1, 4), 3, axis=0)
TEXT = """g (float[{0},4] x, float[2,4] z) => (float[{0},4] y, float[{0},8] u) {{
    a = Add(x,c)
    r = Reshape(a,s)
    e = Expand(r,t)
    u = Reshape(e,v)
    n = Neg(z)
    m = ReduceSum<keepdims=0>(n)
    y = Add(a,m) }}"""


def inferred(text: str, constants: dict[str, Initializer] | None = None) -> ir.Model:
    model = parse(text, constants)
    infer_shapes(model)
    return model


def graph_of(samples: int = 3) -> ir.Model:
    constants: dict[str, Initializer] = {
        "c": np.repeat(REPEATED[:1], samples, 0),
        "s": np.array([samples, 1, 4], np.int64),
        "t": np.array([1, 2, 1], np.int64),
        "v": np.array([samples, 8], np.int64),
    }
    model = inferred(TEXT.format(samples), constants)
    for node in model.graph:
        node.name = f"{node.outputs[0].name}_node"
    return model


def test_values_of_the_batch_are_rewritten_and_others_stay() -> None:
    graph = graph_of().graph
    found = find_batch_axes(graph, batch_size(graph))
    take_one_sample(graph, found)
    shapes = {str(value.name): str(value.shape) for node in graph for value in node.outputs}
    assert shapes == {
        "a": "[1,4]", "r": "[1,1,4]", "e": "[1,2,4]", "u": "[1,8]", "n": "[2,4]", "m": "[]", "y": "[1,4]"
    }  # fmt: skip
    assert str(graph.inputs[0].shape) == "[1,4]"
    held = {name: np.asarray(value.const_value).tolist() for name, value in graph.initializers.items()}
    assert held == {
        "a_node.input1.sample": [[0, 1, 2, 3]],
        "r_node.input1.sample": [1, 1, 4],
        "e_node.input1.sample": [1, 2, 4],
        "u_node.input1.sample": [1, 8],
    }
    kinds = {name: value.dtype for name, value in graph.initializers.items()}
    assert kinds["a_node.input1.sample"] is ir.DataType.FLOAT
    assert kinds["u_node.input1.sample"] is ir.DataType.INT64


def test_a_constant_that_is_read_elsewhere_stays() -> None:
    text = "g (float[3,4] x) => (float[3,4] y) { a = ReduceSum<keepdims=0>(c)\n b = Add(x,c)\n y = Add(b,a) }"
    graph = inferred(text, {"c": REPEATED}).graph
    take_one_sample(graph, find_batch_axes(graph, 3))
    assert set(graph.initializers) == {"c", f"{graph.node(1).name}.input1.sample"}


def test_an_output_that_is_the_same_for_all_is_refused() -> None:
    graph = parse("g (float[3,4] x) => (float[3,4] y, float[3,4] c) { y = Add(x,c) }", {"c": REPEATED}).graph
    with pytest.raises(MixedSamplesError, match="output 'c' does not hold one row a sample"):
        find_batch_axes(graph, 3)


def test_an_input_of_another_first_extent_is_the_same_for_all() -> None:
    graph = graph_of().graph
    assert found_in(graph) == {"x": BatchAxis(0), **dict.fromkeys("areuy", BatchAxis(0))}


def found_in(graph: ir.Graph) -> dict[str, BatchAxis]:
    return {str(value.name): axis for value, axis in find_batch_axes(graph, batch_size(graph)).axes.items()}


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("g (float[1,4] x) => (float[1,4] y) { y = Relu(x) }", BatchNote(1, "there is no batch")),
        (
            "g (float[2,4] x) => (float[2,4] y, float[3,4] u) { y = Relu(x)\n u = Expand(c,s) }",
            BatchNote(1, "there is no batch"),
        ),
        (
            "g (float[2,4] x) => (float[2,4] y) { y = Relu(x) }",
            BatchNote(1, "its values fit the cache, or one sample is too little work for its layers"),
        ),
    ],
)
def test_why_a_batch_is_left_whole(text: str, note: BatchNote) -> None:
    model = parse(text, {"c": (1, 4), "s": np.array([3, 4], np.int64)})
    assert split_batch(model, MACHINE) == note


LARGE = "g (float[16,128,256] x) => (float[16,128,256] y) {{ {} }}"


def test_a_batch_is_split_where_that_is_faster() -> None:
    model = inferred(LARGE.format("y = MatMul(x,w)"), {"w": (256, 256)})
    assert split_batch(model, MACHINE) == BatchNote(16, "values of the whole batch do not fit the cache")
    assert str(model.graph.outputs[0].shape) == "[1,128,256]"


def test_samples_that_meet_are_left_whole() -> None:
    model = inferred(LARGE.format("[all] s = Softmax<axis=0>(x)\n y = MatMul(s,w)"), {"w": (256, 256)})
    assert split_batch(model, MACHINE) == BatchNote(1, "'all' (Softmax): it computes along the samples")
    assert str(model.graph.outputs[0].shape) == "[16,128,256]"


def opened(text: str) -> BatchNote:
    """Open the batch of a graph that is given for 3 and for 5 samples, a number that it may read as `n`."""
    given: list[dict[str, Initializer]] = [
        {"n": np.array([each], np.float32)} if "(x,n)" in text else {} for each in (3, 5)
    ]
    model, other = (inferred(text.replace("N", str(each)), n) for each, n in zip((3, 5), given, strict=True))
    infos = tensor_infos(parse(text.replace("N", "batch"), given[0]).graph.inputs)
    return open_batch(model, other, Variant(model, tuple(infos), OpenBatch(3, 5, other)))


def test_a_batch_is_opened_where_nothing_depends_on_its_size() -> None:
    assert opened("g (float[N,4] x) => (float[N,4] y) { y = Relu(x) }") == BatchNote(None, "their number is open")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("y = Softmax<axis=0>(x)", r"computes along the samples"),
        ("y = Mul(x,n)", "a sample depends on how many there are"),
    ],
)
def test_a_batch_that_cannot_be_opened_is_refused(body: str, reason: str) -> None:
    text = f"g (float[N,4] x, float[2,4] z) => (float[N,4] y) {{ {body} }}"
    with pytest.raises(InputError, match=rf"since they cannot be run one by one: .*{reason} \[GP534\]") as caught:
        opened(text)
    assert "--input-shape x:1x4" in str(caught.value)
    assert "z" not in str(caught.value).partition(";")[0].removeprefix("open dimensions in ")
