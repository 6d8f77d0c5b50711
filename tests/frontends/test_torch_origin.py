"""From a file to torch and back: inputs, outputs and open dimensions are called as they were."""

from __future__ import annotations

import copy

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import fx

import graphprune as gp
from graphprune.backends.onnxruntime import session_for
from tests.weighted import inferred_model

TWO_BATCHES = """main (float[N,4] x, float[M,4] z, float[4,3] w) => (float[N,3] logits, float[M,3] scores) {
    logits = MatMul (x, w)
    scores = MatMul (z, w)
}"""


def interface(model: ir.Model) -> list[str]:
    return [f"{value.name} {value.type} {value.shape}" for value in (*model.graph.inputs, *model.graph.outputs)]


def exported(text: str, *shapes: tuple[int, ...]) -> tuple[ir.Model, ir.Model]:
    model = inferred_model(text)
    return model, gp.from_torch(gp.to_torch(model), tuple(torch.ones(shape) for shape in shapes))


@pytest.mark.parametrize("rows", [(2, 3), (3, 3), (1, 1)])
def test_names_and_open_dimensions_come_back(rows: tuple[int, int]) -> None:
    model, again = exported(TWO_BATCHES, (rows[0], 4), (rows[1], 4))
    assert interface(again) == interface(model)
    gp.verify(model, again).raise_for_failure()


def test_a_shared_extent_is_one() -> None:
    model, again = exported(
        "main (float[N,M] a, float[N,M] b) => (float[N,M] total) { total = Add (a, b) }", (2, 3), (2, 3)
    )
    assert interface(again) == interface(model)


def test_what_the_graph_fixes_becomes_static() -> None:
    text = """main (float[N,4] x, float[4,3] w) => (float[2,3] y) <int64[2] s = {2, 4}> {
        r = Reshape (x, s)
        y = MatMul (r, w)
    }"""
    _, again = exported(text, (2, 4))
    assert interface(again) == ["x FLOAT [2,4]", "y FLOAT [2,3]"]


def test_dynamic_shapes_that_are_given_count() -> None:
    module = gp.to_torch(inferred_model(TWO_BATCHES))
    again = gp.from_torch(module, (torch.ones(2, 4), torch.ones(3, 4)), dynamic_shapes=(None, None))
    assert [str(value.shape) for value in again.graph.inputs] == ["[2,4]", "[3,4]"]
    assert [value.name for value in again.graph.outputs] == ["logits", "scores"]


def test_keyword_inputs_are_left_open_too() -> None:
    model = inferred_model(TWO_BATCHES)
    again = gp.from_torch(gp.to_torch(model), (torch.ones(2, 4),), {"z": torch.ones(3, 4)})
    assert interface(again) == interface(model)


def test_a_copy_remembers_and_a_changed_interface_does_not() -> None:
    model = inferred_model(TWO_BATCHES)
    module = copy.deepcopy(gp.to_torch(model))
    args = (torch.ones(2, 4), torch.ones(3, 4))
    assert interface(gp.from_torch(module, args)) == interface(model)
    end = next(node for node in module.graph.nodes if node.op == "output")
    end.args = (end.args[0][:1],)
    module.recompile()
    assert isinstance(module, fx.GraphModule)
    assert [value.name for value in gp.from_torch(module, args).graph.outputs] != ["logits"]


@pytest.mark.parametrize("largest", [0, 1])
def test_the_largest_come_back_with_the_lower_index_first(largest: int) -> None:
    text = f"""main (float[N,6] x) => (float[N,3] y, int64[N,3] i) <int64[1] k = {{3}}> {{
        y, i = TopK <largest = {largest}> (x, k)
    }}"""
    model = inferred_model(text)
    x = torch.tensor([[1.0, 2.0, 2.0, 1.0, 2.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0, 0.0]])
    module = gp.to_torch(model)
    again = gp.from_torch(module, (x,))
    assert interface(again) == interface(model)
    values, indices = session_for(again, optimize=False).run(None, {"x": x.numpy()})
    for found, expected in zip((values, indices), module(x), strict=True):
        np.testing.assert_array_equal(found, expected)
