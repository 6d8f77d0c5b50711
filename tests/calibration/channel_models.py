"""Small models whose channels go by samples, and what is read of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

import graphprune as gp
from graphprune.backends.onnxruntime import session_for
from graphprune.passes.shape_inference import infer_shapes
from graphprune.planning.channels.options import ChannelOptions
from tests.backends.tvm.graphs import Initializer, parse

Array = npt.NDArray[Any]
Feeds = list[dict[str, Array]]

MLP = "g (float[n,8] x) => (float[n,6] y) { h = Gemm(x,u,b) a = Relu(h) y = MatMul(a,v) }"
WEIGHTS: dict[str, Initializer] = {"u": (8, 12), "b": (12,), "v": (12, 6)}


TWO = """g (float[n,8] x) => (float[n,6] y) {
    a = Gemm(x,u,b) c = Relu(a) d = MatMul(c,v) e = Tanh(d) y = MatMul(e,w) }"""
FEW_COUNT = np.where(np.arange(20) < 3, 10, 0.1)[:, None] * np.random.default_rng(3).standard_normal((20, 6))
TWO_WEIGHTS: dict[str, Initializer] = {"u": (8, 12), "b": (12,), "v": (12, 20), "w": FEW_COUNT.astype(np.float32)}
"""Of the second group, few channels count, so that a threshold takes more of it than of the first."""


SHAPES, STRIDED = "float[n,6,7,9] x", "<pads=[1,1,1,1],strides=[2,2]>"
CASES: dict[str, tuple[str, dict[str, Initializer], tuple[int, ...]]] = {
    "MatMul with an Add": (
        "g (float[n,8] x) => (float[n,6] y) { a = MatMul(x,u) c = Relu(a) d = MatMul(c,v) y = Add(d,k) }",
        {"u": (8, 12), "v": (12, 6), "k": (6,)},
        (50, 8),
    ),
    "MatMul alone, of three axes": (
        "g (float[n,8,5] x) => (float[n,8,6] y) { a = MatMul(x,u) c = Relu(a) y = MatMul(c,v) }",
        {"u": (5, 12), "v": (12, 6)},
        (50, 8, 5),
    ),
    "MatMul and a sum": (
        "g (float[n,8] x) => (float[n,8] y) { a = MatMul(x,u) c = Relu(a) d = MatMul(c,v) y = Add(x,d) }",
        {"u": (8, 12), "v": (12, 8)},
        (50, 8),
    ),
    "Gemm with factors": (
        "g (float[n,8] x) => (float[n,6] y) { a = MatMul(x,u) c = Relu(a) y = Gemm<alpha=0.5,beta=2.0>(c,v,k) }",
        {"u": (8, 12), "v": (12, 6), "k": (6,)},
        (50, 8),
    ),
    "Conv with padding": (
        f"g ({SHAPES}) => (float[n,5,4,5] y) {{ a = Conv(x,u,b) c = Relu(a) y = Conv{STRIDED}(c,v) }}",
        {"u": (12, 6, 1, 1), "b": (12,), "v": (5, 12, 3, 3)},
        (20, 6, 7, 9),
    ),
    "Conv of groups": (
        f"g ({SHAPES}) => (float[n,4,7,9] y) {{ a = Conv(x,u) c = Relu(a) y = Conv<group=2>(c,v,k) }}",
        {"u": (12, 6, 1, 1), "v": (4, 6, 1, 1), "k": (4,)},
        (20, 6, 7, 9),
    ),
    "Flatten": (
        """g (float[n,3,4,4] x) => (float[n,6] y) {
            a = Conv<pads=[1,1,1,1]>(x,u) c = Relu(a) f = Flatten(c) y = Gemm(f,v,k) }""",
        {"u": (8, 3, 3, 3), "v": (128, 6), "k": (6,)},
        (30, 3, 4, 4),
    ),
}


def made(text: str, given: dict[str, Initializer]) -> ir.Model:
    model = parse(text, given)
    infer_shapes(model)
    return model


def rows(*shape: int, seed: int = 0) -> Array:
    """Samples that do not vary around zero, each channel by a size of its own."""
    rng = np.random.default_rng(seed)
    scale = np.exp(rng.standard_normal((1, shape[1], *[1] * (len(shape) - 2))))
    return (rng.standard_normal(shape) * scale + rng.standard_normal(scale.shape)).astype(np.float32)


def recipe(sparsity: float = 0.5, **keys: Any) -> gp.Recipe:  # noqa: ANN401
    options = {key: keys.pop(key) for key in set(keys) & set(ChannelOptions.model_fields)}
    return gp.Recipe(sparsity=sparsity, pattern="channel", channels=ChannelOptions(criterion="flap", **options), **keys)


def run(model: ir.Model, feeds: Feeds, name: str) -> Array:
    """One value on all samples, stacked, by ONNX Runtime without its optimisations."""
    clone = model.clone()
    value = next(each for node in clone.graph for each in node.outputs if each.name == name)
    if not value.is_graph_output():
        clone.graph.outputs.append(value)
    session = session_for(clone, optimize=False)
    return np.concatenate([session.run([name], feed)[0] for feed in feeds]).astype(np.float64)


def constant(model: ir.Model, name: str) -> Array:
    tensor = model.graph.initializers[name].const_value
    assert tensor is not None
    return tensor.numpy()


def lowest(scores: Array, count: int) -> tuple[int, ...]:
    return tuple(sorted(int(each) for each in np.argsort(scores)[:count]))


def chosen(result: gp.ChannelPruneResult) -> dict[str, tuple[int, ...] | None]:
    return {each.group: each.channels for each in result.plan.channels}


def assert_same_mean(model: ir.Model, other: ir.Model, feeds: Feeds, name: str, renamed: str = "") -> None:
    """Compare the means of channels, over samples and positions; the values themselves differ."""
    one, two = run(model, feeds, name), run(other, feeds, renamed or name)
    axes = tuple(axis for axis in range(one.ndim) if axis != (1 if one.ndim == 4 else one.ndim - 1))
    np.testing.assert_allclose(two.mean(axis=axes), one.mean(axis=axes), atol=1e-5 * np.abs(one).max())
    assert np.abs(two - one).mean() > 0.01 * np.abs(one).mean()
