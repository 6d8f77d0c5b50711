"""Soft masks of a file through torch and back: the same calls, whose functions compute what torch trained."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import pytest
import torch
from torch import fx, nn

import graphprune as gp
from graphprune.backends.onnxruntime import session_for
from graphprune.errors import UnsupportedModelError
from graphprune.masked.calls import MaskCall, mask_calls
from graphprune.masks.axes import WeightAxes
from graphprune.masks.patterns import Unstructured
from graphprune.masks.pdp import soft_masked
from graphprune.masks.temperature import Temperature
from graphprune.passes.harden_masks import HardenMasks
from graphprune.passes.insert_soft_masks import InsertSoftMasks
from graphprune.stages.stage import Stage, get_stage
from graphprune.stages.verification import verify_stage
from tests.weighted import inferred_model, weight_of

PRODUCT = "main (TYPE[N,16] x, TYPE[16,8] w) => (TYPE[N,8] scores) { scores = MatMul (x, w) }"
CONVOLUTION = """main (float[N,8,5,5] x, float[16,8,3,3] w, float[16] w_b, float[16,16,1,1] w2) => (float[N,16,3,3] y) {
    h = Conv (x, w, w_b)
    r = Relu (h)
    y = Conv (r, w2)
}"""
FORMS = [
    (PRODUCT, "unstructured", "0.05"),
    (PRODUCT, "1:3", "0.1t2"),
    (PRODUCT, "block 4x1", "0.05"),
    (CONVOLUTION, "unstructured", "0.1t2"),
    (CONVOLUTION, "2:4", "0.05"),
    (CONVOLUTION, "block 4x1", "0.1t2"),
]


def masked(text: str = PRODUCT, pattern: str = "unstructured", **keys: Any) -> ir.Model:  # noqa: ANN401
    model = inferred_model(text.replace("TYPE", keys.pop("dtype", "float")))
    plan = gp.plan(model, gp.Recipe(sparsity=None if ":" in pattern else 0.5, pattern=pattern))
    options: dict[str, Any] = {"temperature": "0.1t2", "ratio": 0.7} | keys
    return gp.Pipeline([InsertSoftMasks(plan=plan, **options)]).run(model).model


def inputs_of(model: ir.Model) -> torch.Tensor:
    (value,) = model.graph.inputs
    assert value.dtype is not None
    assert value.shape is not None
    sizes = [dim if isinstance(dim, int) else 3 for dim in value.shape]
    array = np.random.default_rng(1).standard_normal(sizes).astype(value.dtype.numpy())
    return torch.from_numpy(array)


def trained(model: ir.Model, steps: int = 0) -> tuple[fx.GraphModule, ir.Model]:
    module, x = gp.to_torch(model), inputs_of(model)
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        module(x).square().mean().backward()
        optimizer.step()
    return module, gp.from_torch(module, (x,))


def run(model: ir.Model, x: torch.Tensor) -> npt.NDArray[Any]:
    return session_for(model, optimize=False).run(None, {"x": x.numpy()})[0]


def form(call: MaskCall) -> tuple[Any, ...]:
    names = tuple(value.name for value in (*call.node.inputs, *call.node.outputs) if value is not None)
    return (*names, call.node.name, call.pattern, call.axes, call.budget, call.ratio, call.temperature)


def interface(model: ir.Model) -> list[str]:
    return [f"{value.name} {value.type} {value.shape}" for value in (*model.graph.inputs, *model.graph.outputs)]


@pytest.mark.parametrize(("text", "pattern", "temperature"), FORMS)
def test_masks_come_back_as_the_calls_they_were(text: str, pattern: str, temperature: str) -> None:
    model = masked(text, pattern, temperature=temperature)
    _, again = trained(model)
    assert get_stage(again) is Stage.MASKED
    verify_stage(again)
    assert interface(again) == interface(model)
    assert [form(call) for call in mask_calls(again)] == [form(call) for call in mask_calls(model)]
    x = inputs_of(model)
    np.testing.assert_array_equal(run(again, x), run(model, x))


@pytest.mark.parametrize(("pattern", "text"), [("unstructured", CONVOLUTION), ("2:4", PRODUCT), ("block 4x1", PRODUCT)])
def test_a_trained_file_computes_what_torch_does_and_is_hardened(pattern: str, text: str) -> None:
    model = masked(text, pattern, ratio=1.0)
    module, again = trained(model, steps=3)
    x = inputs_of(model)
    assert not np.array_equal(weight_of(again, "w"), weight_of(model, "w"))
    np.testing.assert_allclose(run(again, x), module(x).detach().numpy(), rtol=1e-4, atol=1e-5)
    sparse = gp.Pipeline([HardenMasks()]).run(again).model
    assert not sparse.functions
    for call in mask_calls(again):
        weight = weight_of(sparse, call.name)
        assert weight.size - np.count_nonzero(weight) == call.pruned
        assert np.array_equal(weight[weight != 0], weight_of(again, call.name)[weight != 0])
    session = gp.compile(sparse)
    np.testing.assert_allclose(session.run(None, {"x": x.numpy()})[0], run(sparse, x), rtol=1e-4, atol=1e-5)


def test_the_gradient_takes_the_threshold_as_a_constant() -> None:
    model = masked()
    module, x = gp.to_torch(model), inputs_of(model)
    module(x).square().sum().backward()
    weight = torch.from_numpy(weight_of(model, "w").copy()).requires_grad_()
    keys: dict[str, Any] = {"pattern": Unstructured(), "axes": WeightAxes(1, 0), "budget": 0.5, "ratio": 0.7}
    loss = (x @ soft_masked(weight, temperature=Temperature(0.1, relative=True), **keys)).square().sum()
    torch.autograd.backward(loss)
    torch.testing.assert_close(module.get_parameter("w").grad, weight.grad)


@pytest.mark.parametrize("dtype", ["double", "float16"])
def test_other_types_come_back(dtype: str) -> None:
    model = masked(dtype=dtype)
    module, again = trained(model)
    x = inputs_of(model)
    assert [form(call) for call in mask_calls(again)] == [form(call) for call in mask_calls(model)]
    np.testing.assert_array_equal(run(again, x), run(model, x))
    np.testing.assert_allclose(module(x).detach().numpy(), run(model, x), rtol=2e-2, atol=2e-2)


def test_a_schedule_may_change_the_scalars() -> None:
    model = masked()
    module, x = gp.to_torch(model), inputs_of(model)
    before = module(x)
    module.get_buffer("w_ratio").fill_(1.0)
    module.get_buffer("w_temperature").fill_(0.01)
    again = gp.from_torch(module, (x,))
    (call,) = mask_calls(again)
    assert call.ratio == 1
    assert call.temperature.value == pytest.approx(0.01)
    assert not torch.equal(module(x), before)
    np.testing.assert_allclose(run(again, x), module(x).detach().numpy(), rtol=1e-4, atol=1e-5)


def test_names_that_code_cannot_hold_come_back() -> None:
    model = inferred_model(PRODUCT.replace("TYPE", "float"))
    weight = model.graph.initializers["w"]
    weight.name = "w [0]"
    plan = gp.plan(model, gp.Recipe(sparsity=0.5))
    model = gp.Pipeline([InsertSoftMasks(plan=plan)]).run(model).model
    assert [form(call) for call in mask_calls(trained(model)[1])] == [form(call) for call in mask_calls(model)]


def test_a_weight_of_several_readers_has_one_mask() -> None:
    text = """main (float[N,16] x, float[16,16] w) => (float[N,16] y) {
        h = MatMul (x, w)
        y = MatMul (h, w)
    }"""
    _, again = trained(masked(text), steps=1)
    (call,) = mask_calls(again)
    assert len(call.node.outputs[0].uses()) == 2


def test_a_module_around_and_an_exported_program_keep_the_masks() -> None:
    model = masked()
    module, x = gp.to_torch(model), inputs_of(model)
    around = gp.from_torch(nn.Sequential(module, nn.ReLU()), (x,))
    program = gp.from_torch(torch.export.export(copy.deepcopy(module), (x,)))
    assert [call.name for call in mask_calls(around)] == ["0.w"]
    for again, expected in ((around, np.maximum(run(model, x), 0)), (program, run(model, x))):
        assert get_stage(again) is Stage.MASKED
        (found,) = session_for(again, optimize=False).run(None, {str(again.graph.inputs[0].name): x.numpy()})
        np.testing.assert_array_equal(found, expected)


def test_gradients_of_single_samples_work() -> None:
    model = masked()
    module, x = gp.to_torch(model), inputs_of(model)
    parameters = {"w": module.get_parameter("w").detach()}

    def loss(values: dict[str, torch.Tensor], row: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = torch.func.functional_call(module, values, (row[None],))
        return scores.square().sum()

    found = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(parameters, x)["w"]
    module(x).square().sum().backward()
    torch.testing.assert_close(found.sum(0), module.get_parameter("w").grad)


def test_a_mask_that_no_longer_fits_is_refused() -> None:
    model = masked()
    narrow = gp.to_torch(model).half()
    with pytest.raises(UnsupportedModelError, match=r"its budget holds float16, expected double.*\[GP360\]"):
        gp.from_torch(narrow, (inputs_of(model).half(),))
    module = gp.to_torch(model)
    module.get_buffer("w_ratio").fill_(2.0)
    with pytest.raises(UnsupportedModelError, match=r"its ratio is 2, expected \[0, 1\] \[GP361\]"):
        gp.from_torch(module, (inputs_of(model),))


def test_a_damaged_mask_is_not_imported() -> None:
    model = masked()
    model.graph.initializers["w_ratio"].const_value = ir.tensor(np.array(2.0), name="w_ratio")
    with pytest.raises(UnsupportedModelError, match="GP361"):
        gp.to_torch(model)
