"""Exporting from torch."""

import builtins
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from torch import nn

from graphprune.errors import GraphPruneError, InputError, UnsupportedModelError
from graphprune.frontends.onnx_file import load, save
from graphprune.frontends.torch_module import from_torch


class Network(nn.Module):
    """A convolution with norm, a shared weight, a linear layer and dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.linear = nn.Linear(8, 4)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.conv(x)))
        scores: torch.Tensor = self.dropout(self.linear(x.mean((2, 3))))
        return scores


@pytest.fixture(scope="module")
def x() -> torch.Tensor:
    return torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def network() -> Network:
    torch.manual_seed(0)
    return Network()


@pytest.fixture(scope="module")
def exported(x: torch.Tensor) -> tuple[Network, ir.Model]:
    torch.manual_seed(0)
    module = Network().eval()
    return module, from_torch(module, (x,))


def run(model: ir.Model, *inputs: torch.Tensor) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString(), options)
    names = [value.name for value in model.graph.inputs]
    return np.asarray(session.run(None, {str(n): v.numpy() for n, v in zip(names, inputs, strict=True)})[0])


def test_the_model_computes_what_the_module_computes(exported: tuple[Network, ir.Model], x: torch.Tensor) -> None:
    module, model = exported
    with torch.no_grad():
        np.testing.assert_allclose(run(model, x), module(x).numpy(), rtol=1e-5, atol=1e-6)


def test_initializers_are_the_state_dict(exported: tuple[Network, ir.Model]) -> None:
    module, model = exported
    state = {name: tensor for name, tensor in module.state_dict().items() if "num_batches" not in name}
    tensors = {name: value.const_value for name, value in model.graph.initializers.items()}
    assert set(state) <= set(tensors)
    for name, expected in state.items():
        tensor = tensors[name]
        assert tensor is not None
        np.testing.assert_array_equal(tensor.numpy(), expected.numpy())


def test_batch_norm_is_not_folded(exported: tuple[Network, ir.Model]) -> None:
    operators = [node.op_type for node in exported[1].graph]
    assert operators.count("Conv") == operators.count("BatchNormalization") == 1


def test_the_scaffolding_of_the_exporter_is_gone(exported: tuple[Network, ir.Model]) -> None:
    assert {"Shape", "Expand", "CastLike", "Constant", "Dropout"}.isdisjoint(n.op_type for n in exported[1].graph)


def test_equal_weights_keep_their_own_names() -> None:
    module = nn.Sequential(nn.LayerNorm(4), nn.LayerNorm(4))
    assert set(module.state_dict()) <= set(from_torch(module, (torch.zeros(2, 4),)).graph.initializers)


def test_shapes_are_known(exported: tuple[Network, ir.Model]) -> None:
    assert all(value.shape is not None for node in exported[1].graph for value in node.outputs)


def test_no_path_of_this_machine_is_in_the_model(exported: tuple[Network, ir.Model]) -> None:
    assert str(Path(torch.__file__).parent).encode() not in ir.to_proto(exported[1]).SerializeToString()


def test_the_model_can_be_saved_and_loaded(exported: tuple[Network, ir.Model], tmp_path: Path) -> None:
    save(exported[1], tmp_path / "m.onnx")
    assert ir.to_onnx_text(load(tmp_path / "m.onnx")) == ir.to_onnx_text(exported[1])


def test_every_part_keeps_its_mode(network: Network, x: torch.Tensor) -> None:
    network.train()
    network.norm.eval()
    from_torch(network, (x,))
    assert (network.training, network.norm.training, network.dropout.training) == (True, False, True)


def test_training_afterwards_does_not_change_the_model(network: Network, x: torch.Tensor) -> None:
    model = from_torch(network, (x,))
    before = run(model, x)
    with torch.no_grad():
        network.linear.weight.zero_()
    np.testing.assert_array_equal(run(model, x), before)


def test_dynamic_dimensions_stay_symbolic(network: Network, x: torch.Tensor) -> None:
    model = from_torch(network, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    shape = model.graph.inputs[0].shape
    assert shape is not None
    assert [isinstance(dim, int) for dim in shape] == [False, True, True, True]
    assert run(model, x[:1].repeat(5, 1, 1, 1)).shape == (5, 4)


def test_an_exported_program_is_taken(network: Network, x: torch.Tensor) -> None:
    program = torch.export.export(network.eval(), (x,))
    with torch.no_grad():
        np.testing.assert_allclose(run(from_torch(program), x), network(x).numpy(), rtol=1e-5, atol=1e-6)


def test_a_graph_module_is_taken(network: Network, x: torch.Tensor) -> None:
    traced = torch.fx.symbolic_trace(network.eval())
    model = from_torch(traced, (x,))
    assert {"conv.weight", "linear.weight"} <= set(model.graph.initializers)
    with torch.no_grad():
        np.testing.assert_allclose(run(model, x), network(x).numpy(), rtol=1e-5, atol=1e-6)


def test_keyword_inputs_are_passed(network: Network, x: torch.Tensor) -> None:
    assert [value.name for value in from_torch(network, kwargs={"x": x}).graph.inputs] == ["x"]


def test_a_bfloat16_weight_keeps_its_type() -> None:
    model = from_torch(nn.Linear(4, 4).to(torch.bfloat16), (torch.zeros(1, 4, dtype=torch.bfloat16),))
    assert model.graph.initializers["weight"].dtype == ir.DataType.BFLOAT16


class Branching(nn.Module):
    """Control flow on a value, which no export can capture."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.sum() > 0 else -x


def test_what_cannot_be_exported_is_named(x: torch.Tensor) -> None:
    with pytest.raises(UnsupportedModelError, match=r"^Branching cannot be exported to ONNX: .*\[GP121\]$") as caught:
        from_torch(Branching(), (x,))
    assert "\n" not in str(caught.value)


def test_a_failed_export_restores_the_mode(x: torch.Tensor) -> None:
    module = Branching().train()
    with pytest.raises(UnsupportedModelError):
        from_torch(module, (x,))
    assert module.training


def test_wrong_inputs_are_named(network: Network) -> None:
    with pytest.raises(UnsupportedModelError, match=r"^Network cannot be exported to ONNX: .*\[GP121\]$"):
        from_torch(network, (torch.zeros(2, 5, 8, 8),))


@pytest.mark.parametrize("thing", [None, "model.pt", {"weight": 1}])
def test_another_type_is_refused(thing: object) -> None:
    kind = type(thing).__name__
    with pytest.raises(InputError, match=rf"expected a torch\.nn\.Module, .*, got {kind} \[GP120\]$"):
        from_torch(thing)  # type: ignore[arg-type]  # the point of the test


def test_inputs_for_an_exported_program_are_refused(network: Network, x: torch.Tensor) -> None:
    program = torch.export.export(network.eval(), (x,))
    with pytest.raises(InputError, match=r"inputs and dynamic shapes of its own, give none \[GP120\]"):
        from_torch(program, (x,))
    with pytest.raises(InputError, match=r"\[GP120\]"):
        from_torch(program, dynamic_shapes={})


def test_a_missing_torch_is_named(monkeypatch: pytest.MonkeyPatch, network: Network) -> None:
    real = builtins.__import__

    def without_torch(
        name: str,
        scope: Mapping[str, object] | None = None,
        inner: Mapping[str, object] | None = None,
        names: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        if name == "torch":
            raise ModuleNotFoundError("No module named 'torch'")
        return real(name, scope, inner, names, level)

    monkeypatch.setattr(builtins, "__import__", without_torch)
    with pytest.raises(GraphPruneError, match=r"^torch is needed .*pip install 'graphprune\[train\]' \[GP122\]$"):
        from_torch(network, ())


def test_the_frontend_is_imported_without_torch() -> None:
    script = "import sys, graphprune.frontends.torch_module; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
