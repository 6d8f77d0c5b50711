"""Values between the nodes of a model: which there are, and what they are."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphprune.verification.intermediate import node_values, run_with_outputs

TEXT = """<ir_version: 10, opset_import: ["" : 20]>
g (float[2] x, float[2] z) => (float[2] y) { a = Neg (x) b, c = Split <num_outputs = 2> (a) y = Add (a, z) }"""
FEED = {"x": np.array([1, 2], np.float32), "z": np.array([10, 20], np.float32)}


def test_values_come_in_topological_order() -> None:
    assert {name: node.op_type for name, node in node_values(ir.from_onnx_text(TEXT)).items()} == {
        "a": "Neg", "b": "Split", "c": "Split", "y": "Add"
    }  # fmt: skip
    assert list(node_values(ir.from_onnx_text(TEXT))) == ["a", "b", "c", "y"]


def test_values_between_outputs_and_inputs_are_given() -> None:
    model = ir.from_onnx_text(TEXT)
    found = run_with_outputs(model, {"c", "y", "x"}, FEED)
    assert {name: array.tolist() for name, array in found.items()} == {"c": [-2], "y": [9, 18], "x": [1, 2]}
    assert [value.name for value in model.graph.outputs] == ["y"]


def test_inputs_alone_are_what_is_fed() -> None:
    assert run_with_outputs(ir.from_onnx_text(TEXT), {"z"}, FEED) == {"z": FEED["z"]}
