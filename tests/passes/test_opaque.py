"""Every pass on graphs with operators that nobody here knows: ONNX Runtime, which does, sees no difference."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from graphprune.analysis.products import reads_weight
from graphprune.backends.onnxruntime import session_for
from graphprune.calibration.quantize import quantize
from graphprune.frontends.onnx_file import load
from graphprune.graph.opaque import is_opaque
from graphprune.passes import (
    EqualizeChannels,
    ExpandContrib,
    FixInputShapes,
    FixInputValues,
    FoldBatchNorm,
    FoldChannels,
    FoldConstants,
    HardenMasks,
    InlineBranches,
    InsertSoftMasks,
    PackWeights,
    PermuteChannels,
    PruneChannels,
    PruneWeights,
    Quantize,
    RemoveIdentities,
    UnpackWeights,
)
from graphprune.passes.base import REGISTRY, Pass, run_pass
from graphprune.planning.planner import plan
from graphprune.planning.recipe import Recipe
from tests.frontends.files import write

HEADER = '<ir_version: 8, opset_import: ["" : 18, "com.microsoft" : 1]>\n'
MATRICES = """g (float[n,16] x) => (float[n,16] y) <float half = {0.5}> {
    a = MatMul (x, first)
    b = com.microsoft.BiasGelu (a, bias)
    c = com.microsoft.FusedMatMul <alpha = 0.5> (b, shared)
    d = MatMul (c, shared)
    e = Identity (d)
    f = MatMul (x, up)
    g = Relu (f)
    h = MatMul (g, down)
    two = Add (half, half)
    i = Mul (h, two)
    j = com.microsoft.QuickGelu (i)
    k = MatMul (j, last)
    y = Add (e, k)
}"""
PLANES = """g (float[n,8,6,6] x) => (float[n,16,6,6] y) {
    a = com.microsoft.FusedConv <activation = "Relu", pads = [1,1,1,1]> (x, fused)
    b = Conv <pads = [1,1,1,1]> (a, plain)
    c = BatchNormalization (b, scale, shift, mean, variance)
    d = Conv <pads = [1,1,1,1]> (x, side)
    e = Relu (d)
    f = Conv (e, back)
    y = Add (c, f)
}"""
SCORES = """g (float[n,16] x) => (float[n,16] y) <float scale = {0.25}, float root = {1.4142135}, float one = {1.0}> {
    q = MatMul (x, query)
    s = Transpose (q)
    t = MatMul (q, s)
    u = Mul (t, scale)
    v = Softmax (u)
    w = MatMul (v, x)
    h = MatMul (w, up)
    k = Div (h, root)
    e = Erf (k)
    f = Add (e, one)
    g = Mul (h, f)
    z = Mul (g, half)
    y = MatMul (z, down)
}"""


def random(*shape: int, zeros: int = 0, axis: int = 0) -> np.ndarray:
    """Seeded small values; the last `zeros` channels along an axis are zero."""
    values = 0.2 * np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)
    np.moveaxis(values, axis, 0)[shape[axis] - zeros :] = 0
    return values


def matrices(folder: Path) -> ir.Model:
    weights = {"first": random(16, 16), "bias": random(16), "shared": random(16, 16), "last": random(16, 16)}
    hidden = {"up": random(16, 32, zeros=8, axis=1), "down": random(32, 16)}
    return load(write(folder / "m.onnx", HEADER + MATRICES, **weights, **hidden))


def planes(folder: Path) -> ir.Model:
    kernels = {"fused": random(16, 8, 3, 3), "plain": random(16, 16, 3, 3), "side": random(8, 8, 3, 3, zeros=3)}
    norms = {name: np.abs(random(16)) for name in ("scale", "shift", "mean", "variance")}
    return load(write(folder / "m.onnx", HEADER + PLANES, **kernels, **norms, back=random(16, 8, 1, 1)))


def optimized(folder: Path) -> ir.Model:
    """What ONNX Runtime saves of a graph that it has optimised, which has FusedMatMul and Gelu."""
    weights = {"query": random(16, 16), "up": random(16, 32), "down": random(32, 16), "half": np.float32(0.5)}
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    given = write(folder / "m.onnx", HEADER + SCORES, **{name: np.asarray(each) for name, each in weights.items()})
    ort.InferenceSession(given, options, providers=["CPUExecutionProvider"])
    return load(folder / "optimized.onnx")


MODELS = [matrices, planes, optimized]
RECIPE = Recipe(sparsity=0.5)


def input_shape(model: ir.Model) -> tuple[int, ...]:
    return (3, *(int(dim) for dim in list(model.graph.inputs[0].shape or ())[1:]))  # type: ignore[arg-type]


def outputs(model: ir.Model) -> np.ndarray:
    return session_for(model, optimize=False).run(None, {"x": random(*input_shape(model))})[0]


def walls(model: ir.Model) -> list[tuple[object, ...]]:
    """The opaque nodes, with the bytes of the constants that they read otherwise than as weights of a product."""
    return [
        (node.op_identifier(), node.name, *(v.const_value.tobytes() for v in _operands(node) if v and v.const_value))
        for node in model.graph
        if is_opaque(model, node)
    ]


def _operands(node: ir.Node) -> list[ir.Value | None]:
    return [value for index, value in enumerate(node.inputs) if not reads_weight(node, index)]


def pruned(model: ir.Model) -> ir.Model:
    return run_pass(PruneWeights(plan=plan(model, Recipe(sparsity=0.9))), model).model


def channel_plan(model: ir.Model) -> PruneChannels:
    return PruneChannels(plan=plan(model, Recipe(sparsity=0.5, pattern="channel")))


EXACT: dict[type[Pass], Callable[[ir.Model], Pass]] = {
    EqualizeChannels: lambda _: EqualizeChannels(),
    FixInputShapes: lambda model: FixInputShapes(shapes=(("x", input_shape(model)),)),
    FoldBatchNorm: lambda _: FoldBatchNorm(),
    FoldChannels: lambda _: FoldChannels(),
    FoldConstants: lambda _: FoldConstants(),
    PackWeights: lambda _: PackWeights(),
    ExpandContrib: lambda _: ExpandContrib(),
    InlineBranches: lambda _: InlineBranches(),
    PermuteChannels: lambda _: PermuteChannels("2:4"),
    RemoveIdentities: lambda _: RemoveIdentities(),
}
LOSSY: dict[type[Pass], Callable[[ir.Model], Pass]] = {
    PruneWeights: lambda model: PruneWeights(plan=plan(model, RECIPE)),
    PruneChannels: channel_plan,
}
THERE_AND_BACK = {InsertSoftMasks, HardenMasks, UnpackWeights}


def test_every_pass_is_here() -> None:
    ours = {each for each in REGISTRY.values() if each.__module__.startswith("graphprune.")}
    assert ours == {*EXACT, *LOSSY, *THERE_AND_BACK, FixInputValues, Quantize}


@pytest.mark.parametrize("make", MODELS)
def test_there_are_opaque_nodes(make: Callable[[Path], ir.Model], tmp_path: Path) -> None:
    assert len(walls(make(tmp_path))) >= 1 + (make is not planes)


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("kind", EXACT, ids=lambda kind: kind.name)
def test_what_keeps_the_function_keeps_it(make: Callable[[Path], ir.Model], kind: type[Pass], tmp_path: Path) -> None:
    model = pruned(make(tmp_path)) if kind is PackWeights else make(tmp_path)
    after = run_pass(EXACT[kind](model), model).model
    np.testing.assert_allclose(outputs(after), outputs(model), rtol=1e-5, atol=1e-5)
    assert walls(after) == ([] if kind is ExpandContrib else walls(model))


@pytest.mark.parametrize(("make", "kind"), [(make, PruneWeights) for make in MODELS] + [(matrices, PruneChannels)])
def test_what_zeroes_weights_does_nothing_else(
    make: Callable[[Path], ir.Model], kind: type[Pass], tmp_path: Path
) -> None:
    model = make(tmp_path)
    result = run_pass(LOSSY[kind](model), model)
    assert result.changed
    by_hand = model.clone()
    for name, value in by_hand.graph.initializers.items():
        value.const_value = result.model.graph.initializers[name].const_value
    np.testing.assert_array_equal(outputs(result.model), outputs(by_hand))
    assert walls(result.model) == walls(model)


@pytest.mark.parametrize("make", MODELS)
def test_integers_end_at_opaque_nodes(make: Callable[[Path], ir.Model], tmp_path: Path) -> None:
    model = make(tmp_path)
    result = quantize(model, [{"x": random(*input_shape(model))}])
    assert len(result.rewrites) > 1
    assert walls(result.model) == walls(model)
    assert result.errors["y"] < 0.05


@pytest.mark.parametrize("make", MODELS)
def test_masks_and_packed_weights_come_and_go(make: Callable[[Path], ir.Model], tmp_path: Path) -> None:
    model = make(tmp_path)
    masks = InsertSoftMasks(plan=plan(model, RECIPE), temperature="1e-4")
    sparse = run_pass(HardenMasks(), run_pass(masks, model).model).model
    by_hand = run_pass(PruneWeights(plan=plan(model, RECIPE)), model).model
    np.testing.assert_array_equal(outputs(sparse), outputs(by_hand))
    unpacked = run_pass(UnpackWeights(), run_pass(PackWeights(), pruned(model)).model).model
    np.testing.assert_array_equal(outputs(unpacked), outputs(pruned(model)))
    assert walls(sparse) == walls(unpacked) == walls(model)


def test_an_input_that_is_fixed_goes_into_opaque_nodes_as_a_constant(tmp_path: Path) -> None:
    model = run_pass(EXACT[FixInputShapes](planes(tmp_path)), planes(tmp_path)).model
    fixed = run_pass(FixInputValues(values=(("x", 2),)), model).model
    given = {"x": np.full(input_shape(model), 2, np.float32)}
    expected = session_for(model, optimize=False).run(None, given)[0]
    np.testing.assert_array_equal(session_for(fixed, optimize=False).run(None, {})[0], expected)


def test_a_weight_that_an_opaque_node_reads_too_is_not_pruned(tmp_path: Path) -> None:
    model = matrices(tmp_path)
    assert {each.name for each in plan(model, RECIPE).weights} == {"first", "shared", "up", "down", "last"}
    fused = next(node for node in model.graph if node.op_type == "FusedMatMul")
    fused.op_type = "UnknownMatMul"
    assert {each.name for each in plan(model, RECIPE).weights} == {"first", "up", "down", "last"}


def test_channels_fold_beside_opaque_nodes_and_not_into_them(tmp_path: Path) -> None:
    for make, folded in ((matrices, {"up"}), (planes, {"side"})):
        result = run_pass(FoldChannels(), make(tmp_path))
        assert {rewrite.node for rewrite in result.rewrites} == folded


def test_the_domain_stays_in_the_file(tmp_path: Path) -> None:
    model = run_pass(FoldConstants(), optimized(tmp_path)).model
    assert onnx.helper.make_opsetid("com.microsoft", 1) in ir.to_proto(model).opset_import
