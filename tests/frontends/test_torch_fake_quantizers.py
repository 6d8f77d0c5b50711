"""Fake quantizers of torch: exported with the ranges that they have, and left as they were."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from torch import nn
from torch.ao import quantization as ao

import graphprune
from graphprune.errors import PreconditionError, UnsupportedModelError
from tests.frontends.unoptimized import run_unoptimized

pytestmark = pytest.mark.filterwarnings("ignore:torch.ao.quantization is deprecated:DeprecationWarning")


class Quantized(nn.Module):
    """A convolution whose input and weight are quantized by modules of torch."""

    def __init__(self, weight: Callable[[], nn.Module] = ao.default_fused_per_channel_wt_fake_quant) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3)
        self.weight_quantizer = weight()
        self.input_quantizer = ao.default_fused_act_fake_quant()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = self.weight_quantizer(self.conv.weight)
        return nn.functional.conv2d(self.input_quantizer(x), weight, self.conv.bias)


def image() -> torch.Tensor:
    return torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(0))


def observed(**keys: Callable[[], nn.Module]) -> Quantized:
    module = Quantized(**keys)
    module(image())
    return module


def operators(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


def narrow() -> nn.Module:
    observer = ao.MovingAverageMinMaxObserver
    settings = {"quant_min": -7, "quant_max": 7, "dtype": torch.qint8, "qscheme": torch.per_tensor_symmetric}
    made: nn.Module = ao.FakeQuantize(observer, **settings)  # type: ignore[no-untyped-call]
    return made


@pytest.mark.parametrize("weight", [ao.default_fused_per_channel_wt_fake_quant, ao.default_weight_fake_quant, narrow])
def test_it_computes_what_torch_does(weight: Callable[[], nn.Module]) -> None:
    module = observed(weight=weight)
    model = graphprune.from_torch(module, (image(),))
    assert sorted(operators(model)) == ["Conv", "DequantizeLinear", "DequantizeLinear", "QuantizeLinear"]
    assert model.graph.initializers["conv.weight_quantized"].dtype == ir.DataType.INT8
    (found,) = run_unoptimized(model, image().numpy())
    module.apply(ao.disable_observer)
    np.testing.assert_allclose(found, module(image()).detach().numpy(), atol=1e-5)


def test_the_module_observes_nothing_while_it_is_exported() -> None:
    module = observed().eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    graphprune.from_torch(module, (100 * image(),))
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    module(100 * image())
    scale = module.get_buffer("input_quantizer.scale")
    assert not torch.equal(scale, before["input_quantizer.scale"]), "it observes again"


def test_a_quantizer_that_is_switched_off_is_none() -> None:
    module = observed()
    module.input_quantizer.apply(ao.disable_fake_quant)
    assert operators(graphprune.from_torch(module, (image(),))) == ["DequantizeLinear", "Conv"]


def test_a_quantizer_that_has_seen_nothing_is_refused_by_name() -> None:
    with pytest.raises(PreconditionError, match=r"Quantized: fake quantizer 'weight_quantizer' has seen no.*\[GP148\]"):
        graphprune.from_torch(Quantized(), (image(),))


def test_a_quantizer_with_a_scale_from_elsewhere_is_taken() -> None:
    module = observed()
    fresh = Quantized()
    for name in ("weight_quantizer", "input_quantizer"):
        fresh.get_submodule(name).load_state_dict(module.get_submodule(name).state_dict())
    ends = {"weight_quantizer.activation_post_process.min_val": float("inf")}
    for name, value in ends.items():
        fresh.get_buffer(name).fill_(value)
    assert "QuantizeLinear" in operators(graphprune.from_torch(fresh, (image(),)))


@pytest.mark.parametrize("levels", [(-200, 127), (-1, 255), (0, 256)])
def test_levels_that_8_bits_do_not_hold_are_refused_by_name(levels: tuple[int, int]) -> None:
    class Wide(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.fake_quantize_per_tensor_affine(x, 0.1, 0, *levels)

    what = f"Wide cannot be exported|fake quantization on the levels \\({levels[0]}, {levels[1]}\\)"
    with pytest.raises(UnsupportedModelError, match=what) as caught:
        graphprune.from_torch(Wide(), (image(),))
    assert caught.value.code == "GP121"


def test_halves_are_quantized_in_float32_and_come_back_as_halves() -> None:
    class Half(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.fake_quantize_per_tensor_affine(x, 0.125, 3, 0, 255)

    x = image().half()
    model = graphprune.from_torch(Half(), (x,))
    (found,) = run_unoptimized(model, x.numpy())
    assert found.dtype == np.float16
    np.testing.assert_array_equal(found, Half()(x).numpy())


FILE = """<ir_version: 10, opset_import: ["" : 20]> g (float[1,2,5,5] x) => (float[1,2,5,5] y)
    <float s = {0.05}, uint8 z = {100}, int8[2,2,1,1] w = {0, -3, 127, 0}, float[2] t = {0.25, 0.5},
    int8[2] none = {0, 0}, int32[2] b = {10, -20}, float[2] u = {0.0125, 0.025}, int32[2] zeros = {0, 0}> {
        q = QuantizeLinear (x, s, z)
        d = DequantizeLinear (q, s, z)
        e = DequantizeLinear <axis = 0> (w, t, none)
        c = DequantizeLinear <axis = 0> (b, u, zeros)
        o = Conv (d, e, c)
        p = QuantizeLinear (o, s, z)
        y = DequantizeLinear (p, s, z)
    }"""


def test_a_quantized_file_stays_one_on_its_way_through_torch(tmp_path: Path) -> None:
    path = tmp_path / "integers.onnx"
    path.write_bytes(onnx.parser.parse_model(FILE).SerializeToString())
    model, x = graphprune.load(path), torch.randn(1, 2, 5, 5, generator=torch.Generator().manual_seed(0))
    again = graphprune.from_torch(graphprune.to_torch(model), (x,))
    assert Counter(operators(again)) == Counter(operators(model))
    assert again.graph.initializers["w"].dtype == ir.DataType.INT8
    (before,), (after,) = (run_unoptimized(each, x.numpy()) for each in (model, again))
    np.testing.assert_allclose(after, before, atol=1e-6)
