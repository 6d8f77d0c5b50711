"""From the IR to torch: the same function, names as in the file, training behaviour, gradients, and refusals."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import nn

import graphprune as gp
from graphprune.backends.onnxruntime import session_for
from graphprune.errors import UnsupportedModelError
from graphprune.testing import models
from graphprune.training import Schedule, TrainingSettings, prepare
from graphprune.verification.feeds import random_feed
from tests.weighted import weighted_model

TINY = ["resnet_tiny", "mobilenet_tiny", "bert_tiny", "vit_tiny", "light_squeezenet", "light_shufflenet"]


def tensors(feed: dict[str, np.ndarray]) -> list[torch.Tensor]:
    return [torch.from_numpy(array) for array in feed.values()]


def outputs(module: nn.Module, *inputs: torch.Tensor) -> list[np.ndarray]:
    with torch.no_grad():
        results = module(*inputs)
    return [np.asarray(result) for result in (results if isinstance(results, tuple) else (results,))]


@pytest.mark.parametrize("name", TINY)
def test_whole_models_compute_the_same(name: str) -> None:
    model = models.build(name)
    feed = random_feed(model, 0)
    found = outputs(gp.to_torch(model), *tensors(feed))
    for result, expected in zip(found, session_for(model).run(None, feed), strict=True):
        np.testing.assert_allclose(result, expected, rtol=1e-4, atol=5e-5 * np.abs(expected).max())


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16, 5))


IMAGES = torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(1))


def imported(**keys: Any) -> tuple[nn.Sequential, torch.fx.GraphModule]:  # noqa: ANN401 - of from_torch
    original = network()
    return original, gp.to_torch(gp.from_torch(original, (IMAGES,), **keys))


def test_parameters_and_buffers_are_called_as_in_the_file() -> None:
    original, module = imported()
    assert {name for name, _ in module.named_parameters()} == {name for name, _ in original.named_parameters()}
    assert {"1.running_mean", "1.running_var"} <= {name for name, _ in module.named_buffers()}
    for name, value in module.state_dict().items():
        torch.testing.assert_close(value, original.state_dict()[name], rtol=0, atol=0)


def test_training_is_that_of_the_original_module() -> None:
    original, module = imported()
    for each in (original, module):
        each.train()
        optimizer = torch.optim.SGD(each.parameters(), 0.1, momentum=0.9)
        for _ in range(3):
            optimizer.zero_grad()
            each(IMAGES).square().mean().backward()
            optimizer.step()
        each.eval()
    for name, value in module.state_dict().items():
        torch.testing.assert_close(value, original.state_dict()[name], rtol=1e-4, atol=1e-6, msg=name)


def test_it_comes_in_eval_mode_and_round_trips() -> None:
    original, module = imported()
    assert not module.training
    again = gp.from_torch(module, (IMAGES,))
    weights = {name for name, _ in original.named_parameters()}
    assert weights <= set(again.graph.initializers)
    (found,) = session_for(again).run(None, {str(again.graph.inputs[0].name): IMAGES.numpy()})
    np.testing.assert_allclose(found, original.eval()(IMAGES).detach(), rtol=1e-5, atol=1e-6)


def test_an_open_batch_stays_open_through_the_round_trip() -> None:
    batch = torch.export.Dim("batch")
    original, module = imported(dynamic_shapes=({0: batch},))
    larger = torch.randn(7, 3, 6, 6)
    torch.testing.assert_close(module(larger), original.eval()(larger))
    again = gp.from_torch(module, (IMAGES,), dynamic_shapes=({0: batch},))
    assert not isinstance(again.graph.inputs[0].shape[0], int)  # type: ignore[index]
    (found,) = session_for(again).run(None, {str(again.graph.inputs[0].name): larger.numpy()})
    np.testing.assert_allclose(found, original(larger).detach(), rtol=1e-5, atol=1e-6)


def test_shapes_that_are_computed_follow_an_open_batch() -> None:
    text = """main (float[N,6] x) => (float[N,2,3] y) <int64[2] rest = {2, 3}, int64 zero = {0}, int64[1] first = {0}> {
        s = Shape (x)
        n = Gather (s, zero)
        m = Unsqueeze (n, first)
        to = Concat <axis = 0> (m, rest)
        y = Reshape (x, to)
    }"""
    module = gp.to_torch(weighted_model(text))
    x = torch.arange(30.0).reshape(5, 6)
    assert torch.equal(module(x), x.reshape(5, 2, 3))
    exported = torch.export.export(module, (x,), dynamic_shapes=({0: torch.export.Dim("n")},))
    assert exported.module()(torch.ones(9, 6)).shape == (9, 2, 3)


def test_dropout_follows_the_mode() -> None:
    text = """main (float[N,64] x, float[64,64] w) => (float[N,64] y) <float r = {0.5}> {
        a = MatMul (x, w)
        y = Dropout (a, r)
    }"""
    module = gp.to_torch(weighted_model(text))
    x = torch.randn(8, 64)
    assert torch.equal(module(x), module(x))
    module.train()
    share = (module(x) == 0).double().mean().item()
    assert 0.3 < share < 0.7


GRADIENTS = {
    "convolution": """main (double[1,2,5,5] x, double[3,2,3,3] w, double[3] w_b) => (double[1,3,3,3] y) {
        y = Conv <pads = [1,0,1,2], strides = [2,2]> (x, w, w_b)
    }""",
    "gemm and softmax": """main (double[2,4] x, double[3,4] w, double[3] w_c) => (double[2,3] y) {
        a = Gemm <transB = 1, alpha = 0.5, beta = 2.0> (x, w, w_c)
        y = Softmax (a)
    }""",
    "layer norm and gelu": """<ir_version: 10, opset_import: ["" : 20]>
    main (double[2,6] x, double[6] w, double[6] w_b) => (double[2,6] y) {
        a = LayerNormalization (x, w, w_b)
        y = Gelu (a)
    }""",
    "slices and gathers": """main (double[4,6] x, double[4,6] w) => (double[2,3] y) <
        int64[1] s = {5}, int64[1] e = {-7}, int64[1] a = {1}, int64[1] d = {-2}, int64[2] i = {-1, 0}
    > {
        m = Mul (x, w)
        r = Slice (m, s, e, a, d)
        y = Gather (r, i)
    }""",
}


@pytest.mark.parametrize("text", GRADIENTS.values(), ids=GRADIENTS)
def test_gradients_agree_with_finite_differences(text: str) -> None:
    model = weighted_model(text)
    module = gp.to_torch(model)
    inputs = [torch.from_numpy(array) for array in random_feed(model, 0).values()]
    names = [name for name, _ in module.named_parameters()]

    def call(*values: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = torch.func.functional_call(
            module, dict(zip(names, values[len(inputs) :], strict=True)), tuple(values[: len(inputs)])
        )
        return result

    arguments = [value.detach().clone().requires_grad_() for value in (*inputs, *module.parameters())]
    assert torch.autograd.gradcheck(call, arguments)


def test_strange_names_survive() -> None:
    model = weighted_model("main (float[N,4] x, float[4,3] w) => (float[N,3] y) { y = MatMul (x, w) }")
    value = model.graph.initializers.pop("w")
    value.name = "onnx::MatMul_12/a-b.weight"
    model.graph.register_initializer(value)
    module = gp.to_torch(model)
    assert list(module.state_dict()) == ["onnx::MatMul_12/a-b.weight"]
    assert module(torch.ones(2, 4)).shape == (2, 3)


def test_copies_and_compiled_modules_compute_the_same() -> None:
    _, module = imported()
    expected = module(IMAGES)
    torch.testing.assert_close(copy.deepcopy(module)(IMAGES), expected)
    torch.testing.assert_close(torch.compile(module, backend="aot_eager")(IMAGES), expected)


def refused(text: str) -> str:
    with pytest.raises(UnsupportedModelError) as caught:
        gp.to_torch(weighted_model(text))
    return str(caught.value)


def test_all_unsupported_operators_are_listed_at_once() -> None:
    message = refused(
        """main (float[1,1,4,4] x) => (float[1,1,4,4] y) {
        [a] u = Unknown (x)
        [b] v = com.acme.Other (u)
        [c] y = Unknown (v)
    }""".replace("main", '<ir_version: 10, opset_import: ["" : 18, "com.acme" : 1]>\nmain')
    )
    assert message == "to_torch: 2 operators are not supported: node 'a' (Unknown), node 'b' (Other) [GP130]"


def test_what_is_used_and_not_supported_is_named() -> None:
    norm = "[n] y, a, b = BatchNormalization <training_mode = 1> (x, v, v, v, v)"
    assert "node 'n' (BatchNormalization): its output 1 is used [GP131]" in refused(
        f"main (float[2,3] x, float[3] v) => (float[2,3] y, float[3] a, float[3] b) {{ {norm} }}"
    )
    assert "attribute 'color' [GP131]" in refused("main (float[4] x) => (float[4] y) { y = Relu <color = 1> (x) }")
    assert "[GP131]" in refused("main (uint16[4] x) => (uint16[4] y) { y = Add (x, x) }")
    pooling = "[n] y = MaxPool <kernel_shape = [2], dilations = [2]> (x)"
    assert "node 'n' (MaxPool): its output has no elements [GP131]" in refused(
        f"main (float[1,1,2] x) => (float[1,1,0] y) {{ {pooling} }}"
    )


def test_a_packed_model_is_refused() -> None:
    model = weighted_model("main (float[N,16] x, float[16,16] w) => (float[N,16] y) { y = MatMul (x, w) }")
    plan = gp.plan(model, gp.Recipe(sparsity=0.9))
    packed = gp.Pipeline([gp.passes.PruneWeights(plan), gp.passes.PackWeights()]).run(model).model
    with pytest.raises(UnsupportedModelError, match=r"stage packed; unpack it .*\[GP133\]"):
        gp.to_torch(packed)


def test_an_imported_model_is_trained_hardened_and_compiled() -> None:
    _, module = imported()
    recipe = gp.Recipe(sparsity=0.5, training=TrainingSettings(schedule=Schedule(length=2)))
    pruner = prepare(module, (IMAGES,), recipe)
    optimizer = torch.optim.SGD(module.parameters(), 0.01)
    module.train()
    for _ in range(3):
        optimizer.zero_grad()
        module(IMAGES).square().mean().backward()
        optimizer.step()
        pruner.step()
    finished = pruner.finalize().eval()
    sparse = gp.from_torch(finished, (IMAGES,))
    assert isinstance(sparse, ir.Model)
    session = gp.compile(sparse)
    gp.verify(sparse, session).raise_for_failure()
    assert int(finished.get_parameter("4.weight").count_nonzero()) == 320


def test_names_of_the_exporter_do_not_clash_with_those_of_an_imported_file() -> None:
    model = models.build("resnet_tiny")
    module = gp.to_torch(model)
    inputs = tuple(tensors(random_feed(model, 0)))
    again = gp.from_torch(module, inputs)
    assert {name for name, _ in module.named_parameters()} <= set(again.graph.initializers)
    (found,) = session_for(again).run(None, {str(again.graph.inputs[0].name): inputs[0].numpy()})
    np.testing.assert_allclose(found, module(*inputs).detach(), rtol=1e-3, atol=1e-5)
