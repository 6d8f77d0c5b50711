"""FoldBatchNorm: every producer and attribute, every refusal, and random graphs against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphprune.passes.base import PassResult, run_pass
from graphprune.passes.fold_batch_norm import FoldBatchNorm
from graphprune.testing.check_pass import check_pass

HEADER = '<ir_version: 10, opset_import: ["" : 18]>'


def network(
    body: str, weights: dict[str, tuple[int, ...]], x: str, y: str, *, extra: str = "", dtype: str = "float"
) -> ir.Model:
    """A graph over `x` whose named initializers are random; `v`, the variance, is positive."""
    rng = np.random.default_rng(7)
    declared = ", ".join(f"{dtype}[{','.join(map(str, shape))}] {name}" for name, shape in weights.items())
    text = f"{HEADER} g ({dtype}[{x}] x, {declared}) => ({dtype}[{y}] y{extra}) {{ {body} }}"
    model = ir.from_onnx_text(text)
    kind = {"float": np.float32, "double": np.float64, "float16": np.float16}[dtype]
    for value in list(model.graph.inputs)[1:]:
        shape = weights[str(value.name)]
        array = rng.uniform(0.5, 2, shape) if value.name == "v" else rng.standard_normal(shape)
        value.const_value = ir.tensor(array.astype(kind), name=value.name)
        model.graph.inputs.remove(value)
        model.graph.register_initializer(value)
    return model


def norm(channels: int) -> dict[str, tuple[int, ...]]:
    return dict.fromkeys(("s", "b", "m", "v"), (channels,))


def operators(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


def codes(result: PassResult) -> list[str]:
    return [skip.code for skip in result.skips]


BN = "y = BatchNormalization (z, s, b, m, v)"


@pytest.mark.parametrize(
    ("conv", "weights", "x", "y"),
    [
        ("Conv (x, w)", {"w": (4, 3, 3, 3)}, "1,3,6,6", "1,4,4,4"),
        ("Conv (x, w, c)", {"w": (4, 3, 3, 3), "c": (4,)}, "1,3,6,6", "1,4,4,4"),
        ('Conv <auto_pad = "SAME_UPPER", strides = [2,2]> (x, w)', {"w": (4, 3, 3, 3)}, "n,3,6,6", "n,4,3,3"),
        ("Conv <group = 2, pads = [1,1,1,1]> (x, w)", {"w": (6, 2, 3, 3)}, "1,4,6,6", "1,6,6,6"),
        ("Conv <group = 4> (x, w, c)", {"w": (4, 1, 3, 3), "c": (4,)}, "1,4,6,6", "1,4,4,4"),
        ("Conv <dilations = [2]> (x, w)", {"w": (4, 3, 3)}, "1,3,9", "1,4,5"),
        ("Conv (x, w)", {"w": (2, 3, 1, 1, 1)}, "1,3,2,2,2", "1,2,2,2,2"),
        ("ConvTranspose <strides = [2,2]> (x, w)", {"w": (3, 4, 2, 2)}, "1,3,4,4", "1,4,8,8"),
        ("ConvTranspose <group = 2> (x, w, c)", {"w": (4, 3, 2, 2), "c": (6,)}, "1,4,4,4", "1,6,5,5"),
        ("Gemm (x, w)", {"w": (3, 5)}, "2,3", "2,5"),
        ("Gemm <transB = 1, alpha = 0.5> (x, w, c)", {"w": (5, 3), "c": (5,)}, "n,3", "n,5"),
        ("Gemm <beta = 0.25> (x, w, c)", {"w": (3, 5), "c": (1, 5)}, "2,3", "2,5"),
        ("Gemm <beta = 3.0, transA = 1> (x, w, c)", {"w": (3, 5), "c": (1,)}, "3,2", "2,5"),
        ("Gemm <beta = 2.0> (x, w, c)", {"w": (3, 5), "c": ()}, "2,3", "2,5"),
        ("Gemm <beta = 0.0> (x, w, c)", {"w": (3, 5), "c": (5,)}, "2,3", "2,5"),
    ],
)
def test_it_folds(conv: str, weights: dict[str, tuple[int, ...]], x: str, y: str) -> None:
    channels = int(y.split(",")[1])
    model = network(f"z = {conv} {BN}", weights | norm(channels), x, y)
    result = check_pass(FoldBatchNorm(), model)
    assert operators(result.model) == [conv.split(maxsplit=1)[0]]
    assert (
        sorted(result.model.graph.initializers)
        == ["c" if "c" in weights else "w_bias", "w"][:: 1 if "c" in weights else -1]
    )
    assert result.model.graph[0].metadata_props["graphprune.pass"] == "fold-batch-norm"
    assert result.rewrites[0].rule == f"{conv.split(maxsplit=1)[0].lower()}-batch-norm"


@pytest.mark.parametrize("epsilon", ["0.0", "0.001", "0.5"])
def test_epsilon_counts_and_momentum_does_not(epsilon: str) -> None:
    body = f"z = Conv (x, w) y = BatchNormalization <epsilon = {epsilon}, momentum = 0.3> (z, s, b, m, v)"
    model = network(body, {"w": (4, 3, 1, 1)} | norm(4), "1,3,2,2", "1,4,2,2")
    assert check_pass(FoldBatchNorm(), model).changed


@pytest.mark.parametrize("dtype", ["double", "float16"])
def test_the_weight_keeps_its_type(dtype: str) -> None:
    model = network(f"z = Conv (x, w) {BN}", {"w": (4, 3, 1, 1)} | norm(4), "1,3,2,2", "1,4,2,2", dtype=dtype)
    result = run_pass(FoldBatchNorm(), model)
    assert operators(result.model) == ["Conv"]
    kinds = {value.dtype for value in result.model.graph.initializers.values()}
    assert kinds == {model.graph.initializers["w"].dtype}


def test_a_chain_and_its_output_name_survive() -> None:
    body = f"a = Conv (x, w) p = BatchNormalization (a, s, b, m, v) r = Relu (p) z = Conv (r, u) {BN}"
    model = network(body, {"w": (4, 4, 1, 1), "u": (4, 4, 1, 1)} | norm(4), "1,4,2,2", "1,4,2,2")
    result = check_pass(FoldBatchNorm(), model)
    assert operators(result.model) == ["Conv", "Relu", "Conv"]
    assert result.model.graph.outputs[0].name == "y"


def test_a_shared_bias_gets_a_twin_of_its_own() -> None:
    body = "z = Conv (x, w, c) " + BN.replace("y =", "p =") + " q = Conv (x, u, c) y = Add (p, q)"
    weights = {"w": (4, 3, 1, 1), "u": (4, 3, 1, 1), "c": (4,)}
    result = check_pass(FoldBatchNorm(), network(body, weights | norm(4), "1,3,2,2", "1,4,2,2"))
    assert sorted(result.model.graph.initializers) == ["c", "u", "w", "w_bias"]


def test_a_name_that_is_taken_is_not_taken_again() -> None:
    body = f"w_bias = Relu (x) z = Conv (w_bias, w) {BN}"
    result = check_pass(FoldBatchNorm(), network(body, {"w": (4, 3, 1, 1)} | norm(4), "1,3,2,2", "1,4,2,2"))
    assert sorted(result.model.graph.initializers) == ["w", "w_bias_1"]


def test_it_folds_inside_a_branch_and_leaves_functions_alone() -> None:
    text = """<ir_version: 10, opset_import: ["" : 18, "other" : 1]>
    g (float[1,1,2,2] x, bool c) => (float[1,1,2,2] y) <
        float[1,1,1,1] w = {3}, float[1,1,1,1] u = {5},
        float[1] s = {2}, float[1] b = {1}, float[1] m = {4}, float[1] v = {1}
    > {
        f = other.ConvNorm (x, u, s, b, m, v)
        y = If (c) <
            then_branch = t () => (float[1,1,2,2] p) { a = Conv (f, w) p = BatchNormalization (a, s, b, m, v) },
            else_branch = e () => (float[1,1,2,2] q) { q = Identity (f) }
        >
    }
    <domain: "other", opset_import: ["" : 18]>
    ConvNorm (x, w, s, b, m, v) => (y) { z = Conv (x, w) y = BatchNormalization (z, s, b, m, v) }
    """
    result = check_pass(FoldBatchNorm(), text, cases=[feed_of(flag) for flag in (0, 1)])
    assert result.changed
    assert [node.op_type for node in next(iter(result.model.functions.values()))] == ["Conv", "BatchNormalization"]


def feed_of(flag: int) -> dict[str, np.ndarray]:
    return {"x": np.arange(1, 5, dtype=np.float32).reshape(1, 1, 2, 2), "c": np.asarray(bool(flag))}


CONV = {"w": (4, 4, 1, 1)}


@pytest.mark.parametrize(
    ("body", "code", "reason"),
    [
        ("y = BatchNormalization (x, s, b, m, v)", "GP211", "an input of the graph"),
        (f"z = Relu (x) {BN}", "GP211", r"comes from node 'z' \(Relu\)"),
        (f"z = MatMul (x, x) {BN}", "GP211", r"comes from node 'z' \(MatMul\)"),
        (
            "z = Conv (x, w) y, p, q = BatchNormalization <training_mode = 1> (z, s, b, m, v)",
            "GP212",
            "training_mode 1 and 3 outputs",
        ),
        (f"z = Conv (x, w) p = {BN[4:]} y = Add (p, z)", "GP213", "'z' has 2 readers"),
        ("z = Conv (x, w) y = BatchNormalization (z, x1, b, m, v)", "GP215", "'x1' is not constant"),
        (f"u = Abs (w) z = Conv (x, u) {BN}", "GP215", r"weight 'u' of node 'z' \(Conv\) is not constant"),
        (f"z = Conv (x, w, x1) {BN}", "GP215", r"bias 'x1' of node 'z' \(Conv\) is not constant"),
        (f"z = Conv (x, w) p = {BN[4:]} q = Conv (p, w) y = Relu (q)", "GP216", "weight 'w' .* has 2 readers"),
    ],
)
def test_it_refuses(body: str, code: str, reason: str) -> None:
    model = network(body.replace("x1", "e"), CONV | norm(4) | {"e": (4,)}, "1,4,2,2", "1,4,2,2")
    if "x1" in body:
        value = model.graph.initializers.pop("e")
        value.const_value = None
        model.graph.inputs.append(value)
        reason = reason.replace("x1", "e")
    result = check_pass(FoldBatchNorm(), model) if code != "GP212" else run_pass(FoldBatchNorm(), model)
    assert codes(result) == [code]
    assert not result.changed
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(str(result.skips[0]))


def test_an_output_of_the_graph_is_a_reader() -> None:
    model = network(f"z = Conv (x, w) {BN}", CONV | norm(4), "1,4,2,2", "1,4,2,2", extra=", float[1,4,2,2] z")
    assert codes(check_pass(FoldBatchNorm(), model)) == ["GP213"]


@pytest.mark.parametrize(("node", "name"), [(0, "Conv"), (1, "BatchNormalization")])
def test_an_unknown_attribute_is_refused(node: int, name: str) -> None:
    model = network(f"z = Conv (x, w) {BN}", CONV | norm(4), "1,4,2,2", "1,4,2,2")
    model.graph[node].attributes["spatial"] = ir.AttrInt64("spatial", 0)
    skips = FoldBatchNorm().apply(model).skips
    assert [skip.code for skip in skips] == ["GP214"]
    assert f"attribute 'spatial' of node '{'zy'[node]}' ({name})" in skips[0].reason


def test_an_overridable_default_is_not_constant() -> None:
    model = network(f"z = Conv (x, w) {BN}", CONV | norm(4), "1,4,2,2", "1,4,2,2")
    model.graph.inputs.append(model.graph.initializers["s"])
    assert [skip.code for skip in FoldBatchNorm().apply(model).skips] == ["GP215"]


@pytest.mark.parametrize("variance", [-1.0, float("nan")])
def test_what_is_not_finite_is_refused(variance: float) -> None:
    model = network(f"z = Conv (x, w) {BN}", CONV | norm(4), "1,4,2,2", "1,4,2,2")
    model.graph.initializers["v"].const_value = ir.tensor(np.full(4, variance, np.float32), name="v")
    result = run_pass(FoldBatchNorm(), model)
    assert codes(result) == ["GP217"]
    assert "folded into 'w', 16 values are not finite" in result.skips[0].reason
    assert not result.changed


def test_a_gemm_whose_c_varies_along_rows_is_refused() -> None:
    model = network(f"z = Gemm (x, w, c) {BN}", {"w": (3, 4), "c": (2, 4)} | norm(4), "2,3", "2,4")
    result = check_pass(FoldBatchNorm(), model)
    assert codes(result) == ["GP218"]
    assert "has shape [2, 4], expected [4]" in result.skips[0].reason


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    group=st.integers(1, 3),
    per_group=st.integers(1, 3),
    inputs=st.integers(1, 3),
    kernel=st.integers(1, 3),
    bias=st.booleans(),
    transpose=st.booleans(),
)
def test_random_convolutions_fold(
    group: int,
    per_group: int,
    inputs: int,
    kernel: int,
    bias: bool,  # noqa: FBT001 - drawn
    transpose: bool,  # noqa: FBT001 - drawn
) -> None:
    out, channels = group * per_group, group * inputs
    weight = (channels, per_group, kernel) if transpose else (out, inputs, kernel)
    body = f"z = {'ConvTranspose' if transpose else 'Conv'} <group = {group}> (x, w{', c' if bias else ''}) {BN}"
    weights = {"w": weight} | ({"c": (out,)} if bias else {}) | norm(out)
    model = network(body, weights, f"n,{channels},5", f"n,{out},k")
    result = check_pass(FoldBatchNorm(), model, cases=1)
    assert len(result.model.graph) == 1
