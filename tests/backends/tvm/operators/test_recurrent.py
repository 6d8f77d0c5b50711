"""RNN, GRU and LSTM against ONNX Runtime with optimisations off; in double precision, against torch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import graphprune as gp
from graphprune.backends.onnxruntime import session_for
from graphprune.backends.tvm.backend import machine_of
from graphprune.backends.tvm.lowering.fusion import Group
from graphprune.backends.tvm.lowering.graph import Lowering
from graphprune.backends.tvm.operators import recurrent
from graphprune.backends.tvm.program.recording import Kernels, Recording, Weights
from graphprune.errors import UnsupportedModelError
from graphprune.targets.target import resolve_target
from tests.backends.tvm.graphs import compile_, parse
from tests.backends.tvm.kernels.harness import NEEDS, skip_without
from tests.backends.tvm.operators.recurrent_layers import GATES, Layer

Arrays = dict[str, np.ndarray]


def assert_as_onnxruntime(
    layer: Layer, model: ir.Model | None = None, threads: int = 1, target: str = "native"
) -> None:
    """The compiled layer gives what ONNX Runtime gives, outputs that are zero exactly."""
    model = layer.model() if model is None else model
    feed = layer.feed()
    expected = session_for(model, optimize=False).run(None, feed)
    found = compile_(model, target, threads).run(None, feed)
    for info, ours, theirs in zip(model.graph.outputs, found, expected, strict=True):
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype), info.name
        np.testing.assert_allclose(ours, theirs, rtol=2e-6, atol=2e-6, err_msg=info.name or "")
        assert ((theirs != 0) | (ours == 0)).all()


@pytest.mark.parametrize("operands", [(), ("b", "n", "h", "c")], ids=["weights alone", "all operands"])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("operator", GATES)
def test_directions(operator: str, direction: str, operands: tuple[str, ...]) -> None:
    assert_as_onnxruntime(Layer(operator, direction=direction, operands=operands))


VARIANTS = {
    "one step": Layer("LSTM", steps=1, direction="bidirectional"),
    "one of everything": Layer("GRU", steps=1, batch=1, inputs=1, hidden=1),
    "many sequences": Layer("LSTM", batch=37, hidden=37, operands=("b", "p")),
    "reset after the product": Layer("GRU", attributes=", linear_before_reset=1", operands=("b", "n", "h")),
    "reset after the product, no bias": Layer("GRU", attributes=", linear_before_reset=1", operands=()),
    "coupled gates": Layer("LSTM", attributes=", input_forget=1", operands=("b", "p", "c")),
    "peepholes, both directions": Layer("LSTM", direction="bidirectional", operands=("b", "n", "h", "c", "p")),
    "clip": Layer("LSTM", attributes=", clip=0.1", operands=("b", "p", "c")),
    "clip and coupled gates": Layer("LSTM", attributes=", clip=0.1, input_forget=1", operands=("b", "p", "c")),
    "clip of a GRU": Layer("GRU", attributes=", clip=0.2", direction="bidirectional"),
    "clip of a GRU, reset after the product": Layer("GRU", attributes=", clip=0.2, linear_before_reset=1"),
    "clip of an RNN": Layer("RNN", attributes=", clip=0.2"),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_variants(name: str) -> None:
    assert_as_onnxruntime(VARIANTS[name])


ACTIVATIONS = [
    *(f'activations=["{name}"]' for name in ("Elu", "HardSigmoid", "LeakyRelu", "Relu", "Sigmoid", "Softplus")),
    'activations=["Softsign"]',
    *(
        f'activations=["{name}"], activation_alpha=[0.3], activation_beta=[0.7]'
        for name in ("Affine", "Elu", "HardSigmoid", "LeakyRelu", "ScaledTanh", "ThresholdedRelu")
    ),
]


def test_activations() -> None:
    layer, numbers = Layer("RNN"), range(len(ACTIVATIONS))
    nodes = [f"y{i} = RNN<hidden_size=20, {ACTIVATIONS[i]}>(x, w, r, b)" for i in numbers]
    outputs = ", ".join(f"float[5,1,3,20] y{i}" for i in numbers)
    model = parse(f"g (float[5,3,7] x) => ({outputs}) {{ {' '.join(nodes)} }}", layer.weights())
    assert_as_onnxruntime(layer, model)


def test_each_direction_has_its_own_activations_and_their_parameters() -> None:
    names = '["HardSigmoid", "Tanh", "Affine", "Sigmoid", "LeakyRelu", "ScaledTanh"]'
    parameters = "activation_alpha=[0.3, 0.7, 0.2, 1.1], activation_beta=[0.4, 0.1, 0.6]"
    layer = Layer("LSTM", direction="bidirectional", attributes=f", activations={names}, {parameters}")
    assert_as_onnxruntime(layer)
    assert_as_onnxruntime(layer, threads=2)


@pytest.mark.parametrize(
    ("batch", "direction", "threads"),
    [(1, "forward", 2), (8, "forward", 2), (3, "forward", 2), (6, "bidirectional", 5)],
)
def test_threads_share_directions_and_sequences(batch: int, direction: str, threads: int) -> None:
    layer = Layer("GRU", batch=batch, direction=direction, operands=("b", "n", "h"), zeros=0.9)
    assert_as_onnxruntime(layer, threads=threads)


@pytest.mark.parametrize(("threads", "zeros"), [(2, 0), (5, 0.9)])
def test_threads_share_the_products_of_a_large_weight(
    threads: int, zeros: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recurrent, "L2_SHARE", 0)
    layer = Layer("GRU", hidden=150, direction="bidirectional", operands=("b", "n", "h"), zeros=zeros)
    assert_as_onnxruntime(layer, threads=threads)


@pytest.mark.parametrize(
    ("hidden", "zeros", "shares"), [(256, 0, False), (260, 0, True), (260, 0.5, False), (512, 0.5, True)]
)
def test_a_large_weight_has_more_nonzeros_than_half_of_l2(hidden: int, zeros: float, *, shares: bool) -> None:
    """Of 2 MB: an LSTM of 256 has 4 * 256 * 256 elements of 4 bytes, in each direction."""
    layer = Layer("LSTM", hidden=hidden, zeros=zeros, direction="bidirectional")
    machine = replace(machine_of(resolve_target("x86-64-v4"), 2), l2_bytes=2 << 20)
    model = layer.model()
    lowering = Lowering(Recording(Kernels(), Weights()), machine, {}, {}, is_near=False, is_far=False)
    assert recurrent.Recurrent.of(lowering, Group(model.graph.node(0))).shares_products == shares


@pytest.mark.parametrize(("lanes", "zeros"), [(8, 0), (8, 0.95), (16, 0.95)])
def test_machines(lanes: int, zeros: float) -> None:
    target, feature = NEEDS[lanes]
    skip_without(feature)
    assert_as_onnxruntime(Layer("LSTM", hidden=33, zeros=zeros), target=target)


@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
@pytest.mark.parametrize("operator", GATES)
def test_sequences_without_a_step(operator: str, direction: str) -> None:
    layer = Layer(
        operator, batch=1, direction=direction, operands=("n", "h", "c") if operator == "LSTM" else ("n", "h")
    )
    feed = layer.feed() | {"n": np.zeros(1, np.int32)}
    expected = session_for(layer.model(), optimize=False).run(None, feed)
    for ours, theirs in zip(compile_(layer.model()).run(None, feed), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert not ours.any()


def test_a_long_sequence_takes_no_more_nodes() -> None:
    layers = [Layer("LSTM", steps=steps, zeros=0.9) for steps in (2, 500)]
    sessions = [compile_(layer.model()) for layer in layers]
    short, long = ([call.kernel for call in session.calls] for session in sessions)
    assert len(short) == len(long) <= 3
    assert_as_onnxruntime(layers[1])


@pytest.mark.parametrize("outputs", [("y",), ("yh",), ("yc",), ("y", "yc")])
def test_outputs_that_nobody_reads(outputs: tuple[str, ...]) -> None:
    layer = Layer("LSTM")
    assert_as_onnxruntime(layer, layer.model(outputs))


@pytest.mark.parametrize("operator", GATES)
@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
def test_double_precision(operator: str, direction: str) -> None:
    model = (layer := Layer(operator, direction=direction, operands=("b", "n", "h"), kind="double")).model()
    expected = gp.to_torch(model)(*map(torch.from_numpy, layer.feed().values()))
    for ours, theirs in zip(compile_(model).run(None, layer.feed()), expected, strict=True):
        assert ours.dtype == np.float64
        np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-13, atol=1e-13)


def test_halves_are_computed_in_float32() -> None:
    layer = Layer("LSTM", direction="bidirectional", operands=("b", "n", "h", "c"), kind="float16", zeros=0.9)
    session = compile_(layer.model())
    assert {note.kernel for note in session.kernels} == {"rows", "slots"}
    wide = parse(
        layer.text().replace("float16", "float"), {k: v.astype(np.float32) for k, v in layer.weights().items()}
    )
    feed = layer.feed()
    widened = {name: value if name == "n" else value.astype(np.float32) for name, value in feed.items()}
    for ours, theirs in zip(session.run(None, feed), session_for(wide, optimize=False).run(None, widened), strict=True):
        assert ours.dtype == np.float16
        np.testing.assert_allclose(ours.astype(np.float32), theirs, rtol=0.6 * 2**-10, atol=1e-6)


@pytest.mark.parametrize("operator", GATES)
def test_the_batch_first(operator: str) -> None:
    """ONNX Runtime has it not."""
    shape = {"direction": "bidirectional", "operands": ("b", "n", "h")}
    first, second = (Layer(operator, batch_first=is_first, **shape) for is_first in (True, False))  # type: ignore[arg-type]
    feed = first.feed()
    turned = feed | {"x": feed["x"].transpose(1, 0, 2), "h": feed["h"].transpose(1, 0, 2)}
    expected = session_for(second.model(), optimize=False).run(None, turned)
    y, *states = compile_(first.model()).run(None, feed)
    np.testing.assert_allclose(y, expected[0].transpose(2, 0, 1, 3), rtol=2e-6, atol=2e-6)
    for ours, theirs in zip(states, expected[1:], strict=True):
        np.testing.assert_allclose(ours, theirs.transpose(1, 0, 2), rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("hidden", [3, 150])
def test_weights_that_are_computed(hidden: int) -> None:
    layer = Layer("GRU", direction="bidirectional", hidden=hidden)
    constants = layer.weights()
    given = ", ".join(f"float[{','.join(map(str, constants[name].shape))}] {name}" for name in "wrb")
    model = parse(layer.text().replace("float[5,3,7] x", f"float[5,3,7] x, {given}"))
    feed = layer.feed() | constants
    for ours, theirs in zip(
        compile_(model).run(None, feed), session_for(model, optimize=False).run(None, feed), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("order", ["a row", "a column"])
def test_inputs_of_any_layout(order: str) -> None:
    text = Layer("LSTM").text().replace("float[5,3,7] x", "float[3,7,5] z").replace("[cell]", "X [cell]")
    turned = (
        "x = Transpose <perm=[2,0,1]> (z)" if order == "a column" else "t = Transpose <perm=[2,0,1]> (z) x = Relu(t)"
    )
    layer = Layer("LSTM", zeros=0.0)
    model = parse(text.replace("X ", f"{turned} "), layer.weights())
    feed = {"z": layer.feed()["x"].reshape(3, 7, 5)}
    expected = session_for(model, optimize=False).run(None, feed)
    for ours, theirs in zip(compile_(model).run(None, feed), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-6, atol=2e-6)


def test_a_layer_reads_the_one_before() -> None:
    text = """g (float[6,2,7] x) => (float[6,1,2,20] y) {
        a = LSTM<hidden_size=20, direction="bidirectional">(x, w, r, b) t = Transpose<perm=[0,2,1,3]>(a)
        s = Reshape(t, shape) y = GRU<hidden_size=20>(s, v, q) }"""
    layer = Layer("LSTM", direction="bidirectional")
    rest = Layer("GRU", inputs=40).weights()
    shape = np.array([6, 2, 40])
    model = parse(text, layer.weights() | {"v": rest["w"], "q": rest["r"], "shape": shape})
    feed = {"x": np.random.default_rng(0).standard_normal((6, 2, 7)).astype(np.float32)}
    (expected,) = session_for(model, optimize=False).run(None, feed)
    np.testing.assert_allclose(compile_(model).run(None, feed)[0], expected, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("operator", GATES)
def test_zeros_get_sparse_kernels(operator: str) -> None:
    layer = Layer(operator, steps=20, hidden=64, inputs=40, zeros=0.9, direction="bidirectional")
    products = 2 if operator == "GRU" else 1
    session = compile_(layer.model())
    assert [note.kernel for note in session.kernels] == ["rows", *["slots"] * products]
    assert [note.node for note in session.kernels] == ["cell.W", *["cell.R"] * products]
    assert_as_onnxruntime(layer)


def test_why_a_weight_with_zeros_runs_dense() -> None:
    notes = compile_(Layer("LSTM", hidden=64, zeros=0.3).model()).kernels
    assert (notes[-1].kernel, notes[-1].eligible) == ("dense", ("dense", "slots"))
    assert notes[-1].why.startswith("30.1% of the elements are zero; slots estimated at 1")


def test_operations_count_what_is_stored() -> None:
    models = {zeros: Layer("LSTM", steps=9, batch=4, hidden=64, zeros=zeros).model() for zeros in (0, 0.9)}
    for threads in (1, 2):
        dense, sparse = (compile_(model, threads=threads).calls[-1].operations for model in models.values())
        assert dense == 2 * 9 * 4 * 4 * 64 * 64
        assert sparse < dense / 2


@given(
    layer=st.builds(
        Layer,
        operator=st.sampled_from(list(GATES)),
        steps=st.integers(1, 9),
        batch=st.integers(1, 10),
        inputs=st.integers(1, 40),
        hidden=st.integers(1, 70),
        direction=st.sampled_from(["forward", "reverse", "bidirectional"]),
        operands=st.sets(st.sampled_from("bnh")).map(lambda names: tuple(sorted(names))),
        zeros=st.sampled_from([0, 0.5, 0.9, 1]),
    )
)
@settings(max_examples=8, deadline=None)
def test_any_layer(layer: Layer) -> None:
    assert_as_onnxruntime(layer)


REFUSALS = {
    "activation 'Gelu'": 'activations=["Gelu"]',
    "2 activations, expected 1": 'activations=["Tanh", "Tanh"]',
    "activation 'affine' without its alpha": 'activations=["Affine"]',
    "activation 'scaledtanh' without its beta": 'activations=["ScaledTanh"], activation_alpha=[1.0]',
    "activation 'thresholdedrelu' without its alpha": 'activations=["ThresholdedRelu"]',
}


@pytest.mark.parametrize("why", REFUSALS)
def test_refusals(why: str) -> None:
    with pytest.raises(UnsupportedModelError, match=rf"'cell' \(RNN\): {why} \[GP401\]"):
        compile_(Layer("RNN", attributes=f", {REFUSALS[why]}").model())


def test_no_steps_are_refused() -> None:
    with pytest.raises(UnsupportedModelError, match=r"'cell' \(LSTM\): it has no steps, sequences or inputs \[GP401\]"):
        compile_(Layer("LSTM", steps=0).model(("yh",)))


def test_more_products_than_kernels_count_are_refused() -> None:
    products = r"the products of its inputs have 2147614720 elements, expected at most 2147483647"
    with pytest.raises(UnsupportedModelError, match=rf"'cell' \(LSTM\): {products} \[GP401\]"):
        compile_(Layer("LSTM", steps=8192, batch=3277, hidden=20).model(("yh",)))
