"""Channels that get the means and deviations of the dense model back, as ONNX Runtime sees them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
import pytest

import graphprune as gp
from graphprune.analysis.weights import linear_weights
from graphprune.backends.onnxruntime import session_for
from graphprune.calibration.channel_moments import ENOUGH
from graphprune.calibration.matching import moved
from graphprune.calibration.prune import prune
from graphprune.passes.fresh_names import FreshNames
from graphprune.passes.shape_inference import infer_shapes
from graphprune.verification.intermediate import with_outputs
from tests.backends.tvm.graphs import Initializer, parse

RNG = np.random.default_rng(1)
IMAGES = "g (float[n,8,6,6] x) => (float[n,6] y)"
TEXT = f"""{IMAGES} {{
    [one] a = Conv<pads=[1,1,1,1]>(x,u,b) r = Relu(a)
    [two] d = Conv<group=12,pads=[1,1,1,1]>(r,v) s = Relu(d)
    [three] e = Conv(s,w) t = BatchNormalization(e,g,h,m,q) p = GlobalAveragePool(t) f = Flatten(p)
    [four] k = MatMul(f,z) y = Add(k,c) }}"""
GIVEN: dict[str, Initializer] = {
    "u": (12, 8, 3, 3), "b": (12,), "v": (12, 1, 3, 3), "w": (10, 12, 1, 1), "z": (10, 6), "c": (6,),
    "g": RNG.uniform(1, 2, 10).astype(np.float32), "h": (10,), "m": (10,),
    "q": RNG.uniform(1, 2, 10).astype(np.float32),
}  # fmt: skip
SAMPLES = (RNG.standard_normal((2 * ENOUGH, 8, 6, 6)) + 1).astype(np.float32)
PRODUCTS = "adey"
"""What the products give, by letter; the last with its bias."""


def outputs(model: ir.Model, names: Sequence[str], samples: np.ndarray = SAMPLES) -> list[np.ndarray]:
    """Values as [channels, positions]."""
    found = session_for(with_outputs(model, names), optimize=False).run(list(names), {"x": samples})
    return [np.moveaxis(array.astype(np.float64), 1, 0).reshape(array.shape[1], -1) for array in found]


def constant(model: ir.Model, name: str) -> np.ndarray:
    tensor = model.graph.initializers[name].const_value
    assert tensor is not None
    return tensor.numpy()


def pruned(
    model: ir.Model, *repair: str, criterion: str = "magnitude", samples: np.ndarray = SAMPLES
) -> gp.PruneResult:
    plan = gp.plan(model, gp.Recipe(sparsity=0.5, criterion=criterion))
    return prune(model, plan, [{"x": samples}], repair=repair)


@pytest.mark.parametrize("repairs", [("batch-norm",), ("batch-norm", "bias", "drift", "least-squares")])
@pytest.mark.parametrize("criterion", ["magnitude", "sparsegpt"])
def test_each_product_has_the_moments_of_the_dense_one(criterion: str, repairs: tuple[str, ...]) -> None:
    model = parse(TEXT, GIVEN)
    result = pruned(model, *repairs, criterion=criterion)
    assert result.skips == ()
    unrepaired = pruned(model, criterion=criterion).model
    sides = [outputs(each, PRODUCTS) for each in (model, result.model, unrepaired)]
    for dense, found, before in zip(*sides, strict=True):
        np.testing.assert_allclose(found.mean(axis=1), dense.mean(axis=1), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(found.std(axis=1), dense.std(axis=1), rtol=1e-4)
        assert np.abs(before.std(axis=1) / dense.std(axis=1) - 1).max() > 0.01


def test_zeros_stay_and_rows_are_scaled() -> None:
    model = parse(TEXT, GIVEN)
    found, before = pruned(model, "batch-norm"), pruned(model)
    assert [(layer.name, layer.zeros) for layer in found.layers] == [("u", 432), ("w", 60), ("z", 30)]
    for name, axis in {"u": 0, "w": 0, "z": 1}.items():
        one, other = constant(found.model, name), constant(before.model, name)
        np.testing.assert_array_equal(one == 0, other == 0)
        rows = [np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1) for array in (one, other)]
        for scaled, row in zip(*rows, strict=True):
            ratios = scaled[row != 0] / row[row != 0]
            np.testing.assert_allclose(ratios, ratios[0], rtol=1e-5)


def test_errors_are_those_of_the_outputs() -> None:
    model = parse(TEXT, GIVEN)
    result = pruned(model, "batch-norm")
    dense, found = (outputs(each, "aek") for each in (model, result.model))
    shift = constant(result.model, result.model.graph.outputs[0].producer().inputs[1].name) - constant(model, "c")  # type: ignore[union-attr, arg-type]
    found[2] += shift[:, None]  # the bias of a MatMul is behind it
    expected = [np.linalg.norm(one - other) / np.linalg.norm(one) for one, other in zip(dense, found, strict=True)]
    np.testing.assert_allclose([layer.error for layer in result.layers], expected, rtol=1e-3)


def test_a_layer_that_takes_no_bias_is_not_scaled() -> None:
    model = parse("g (float[n,8] x) => (float[n,8] y) { y = MatMul(x,u) }", {"u": (8, 8)})
    samples = RNG.standard_normal((ENOUGH, 8)).astype(np.float32)
    found = pruned(model, "batch-norm", samples=samples)
    assert [(skip.code, skip.node) for skip in found.skips] == [("GP319", "u")]
    np.testing.assert_array_equal(constant(found.model, "u"), constant(pruned(model, samples=samples).model, "u"))


def test_integers_take_no_factors() -> None:
    text = (
        "g (float[n,8] x) => (float[n,8] y) { t = DequantizeLinear(u,s) a = MatMul(x,t) h = MatMul(a,v) y = Add(h,c) }"
    )
    given: dict[str, Initializer] = {
        "u": RNG.integers(-9, 9, (8, 8)).astype(np.int8), "s": np.array(0.5, np.float32), "v": (8, 8), "c": (8,),
    }  # fmt: skip
    found = pruned(parse(text, given), "batch-norm", samples=RNG.standard_normal((ENOUGH, 8)).astype(np.float32))
    assert [(skip.code, skip.node) for skip in found.skips] == [("GP318", "u")]


def test_a_product_fused_with_its_activation() -> None:
    text = """g (float[n,8,6,6] x) => (float[n,4,6,6] y) {
        [fused] a = com.microsoft.FusedConv<activation="Relu">(x,u,b) y = Conv(a,v) }"""
    model = parse(text, {"u": (8, 8, 1, 1), "b": (8,), "v": (4, 8, 1, 1)})
    model.opset_imports["com.microsoft"] = 1
    for value in model.graph:
        for each in value.outputs:
            each.dtype, each.shape = ir.DataType.FLOAT, ir.Shape(["n", 8 if each.name == "a" else 4, 6, 6])
    found = pruned(model, "batch-norm")
    assert [str(skip) for skip in found.skips] == [
        "u: node 'fused' (FusedConv) gives what lies behind its activation [GP588]"
    ]


BEHIND = {
    "in front of what is pruned": ("a = Conv(x,p,k) b = Conv(a,u,k) y = Relu(b)", []),
    "beside it": ("a = Conv(x,u,k) b = Conv(x,p,k) y = Add(a,b)", []),
    "behind it": ("a = Conv(x,u,k) b = Conv(a,p,k) y = Conv(b,q)", ["b", "y"]),
    "read in a branch": (
        """a = Conv(x,u,k) b = If(f)<then_branch = t () => (float[n,8,4,4] h) { h = Relu(a) },
            else_branch = e () => (float[n,8,4,4] i) { i = Neg(a) }> y = Conv(b,p)""",
        ["y"],
    ),
    "of a weight that others read": ("a = Conv(x,u) b = Conv(a,p) y = Conv(b,p)", []),
    "of what is computed": ("a = Conv(x,u) w = Relu(p) v = Add(w,w) y = Conv(a,v)", []),
}


@pytest.mark.parametrize("name", BEHIND)
def test_which_other_products_are_matched(name: str) -> None:
    text, expected = BEHIND[name]
    model = parse(
        f"g (float[n,8,4,4] x, bool f) => (float[n,8,4,4] y) {{ {text} }}",
        {"u": (8, 8, 1, 1), "p": (8, 8, 1, 1), "q": (8, 8, 1, 1), "k": (8,)},
    )
    infer_shapes(model)
    first = next(weight for weight in linear_weights(model)[0] if weight.name == "u")

    assert [product.node.outputs[0].name for product in moved(model, {first.node}, FreshNames(model))] == expected


def test_a_weight_that_is_an_output_is_not_scaled() -> None:
    model = parse(
        "g (float[n,8,4,4] x) => (float[n,8,4,4] y, float[8,8,1,1] p) { a = Conv(x,u) y = Conv(a,p) }",
        {"u": (8, 8, 1, 1), "p": (8, 8, 1, 1)},
    )
    infer_shapes(model)
    first = linear_weights(model)[0][0].node
    assert list(moved(model, {first}, FreshNames(model))) == []
