"""Where graphs are cut into blocks."""

from __future__ import annotations

import pytest

from graphprune.analysis.weights import linear_weights
from graphprune.calibration.reconstruction.blocks import behind, into_blocks
from graphprune.passes.shape_inference import infer_shapes
from tests.backends.tvm.graphs import parse

GRAPHS = {
    "a chain": (
        "i = Neg(x) a = MatMul(i,u) b = Relu(a) c = MatMul(b,v) d = MatMul(c,w) e = MatMul(d,s) y = Tanh(e)",
        [["i"], ["a", "b", "c"], ["d", "e", "y"]],
    ),
    "the last one alone": (
        "a = MatMul(x,u) b = MatMul(a,v) y = MatMul(b,w)",
        [[], ["a", "b", "y"]],
    ),
    "residuals": (
        """a = MatMul(x,u) b = MatMul(a,v) c = Add(b,a) d = MatMul(c,w) e = Add(d,c) f = MatMul(e,s) y = Add(f,e)""",
        [[], ["a", "b", "c"], ["d", "e", "f", "y"]],
    ),
    "a residual over everything": (
        "a = MatMul(x,u) b = MatMul(a,v) c = MatMul(b,w) d = MatMul(c,s) y = Add(d,a)",
        [[], ["a", "b", "c", "d", "y"]],
    ),
    "what depends on no layer goes on beside": (
        "k = Exp(x) a = MatMul(x,u) b = MatMul(a,v) c = Mul(b,k) d = MatMul(c,w) e = MatMul(d,s) y = Mul(e,k)",
        [["k"], ["a", "b", "c"], ["d", "e", "y"]],
    ),
    "what is made of constants is in none": (
        "a = MatMul(x,u) t = Transpose(v) b = MatMul(a,t) c = MatMul(b,w) d = MatMul(c,s) y = Relu(d)",
        [[], ["a", "b"], ["c", "d", "y"]],
    ),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_where_a_graph_is_cut(name: str) -> None:
    text, expected = GRAPHS[name]
    model = parse(f"g (float[4,4] x) => (float[4,4] y) {{ {text} }}", dict.fromkeys("uvws", (4, 4)))
    infer_shapes(model)
    layers = [node for node in model.graph if node.op_type == "MatMul"]
    steps = into_blocks(model.graph, layers)
    assert [[node.outputs[0].name for node in step.nodes] for step in steps] == expected
    assert [node for step in steps for node in step.layers] == layers
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        given = [value.name for value in step.gives]
        assert given[-1:] == (["y"] if following is None else expected[steps.index(step)][-1:])


def test_outputs_in_the_middle_are_given_too() -> None:
    text = "a = MatMul(x,u) b = MatMul(a,v) c = MatMul(b,w) y = MatMul(c,s)"
    model = parse(f"g (float[4,4] x) => (float[4,4] y, float[4,4] a) {{ {text} }}", dict.fromkeys("uvws", (4, 4)))
    layers = [weight.node for weight in linear_weights(model)[0]]
    assert [[value.name for value in step.gives] for step in into_blocks(model.graph, layers)] == [
        [],
        ["a", "b"],
        ["y"],
    ]


def test_what_depends_on_layers() -> None:
    text = "k = Exp(x) a = MatMul(x,u) b = Mul(a,k) c = Neg(k) y = Add(b,c)"
    model = parse(f"g (float[4,4] x) => (float[4,4] y) {{ {text} }}", {"u": (4, 4)})
    layers = [weight.node for weight in linear_weights(model)[0]]
    assert {value.name for value in behind(model.graph, layers)} == {"a", "b", "y"}
