import math

import numpy as np
import onnx_ir as ir
import pytest

from benchmarks.peers.limit import limit_ms
from graphprune.backends.tvm.building.roofline import Level, Roofline
from graphprune.passes.shape_inference import infer_shapes

PEAK = Roofline(gflops=2.0, gops=8.0, levels=(Level(math.inf, 1.0),))


def product(zeros: int) -> ir.Model:
    """A layer of 10 rows by 64 x 32 weights, some of them zero."""
    model = ir.from_onnx_text(
        '<ir_version: 10, opset_import: ["" : 20]> '
        "g (float[10,64] x, float[64,32] w) => (float[10,32] y) { y = MatMul(x, w) }"
    )
    weight = model.graph.inputs.pop()
    array = np.ones(64 * 32, np.float32)
    array[:zeros] = 0
    weight.const_value = ir.Tensor(array.reshape(64, 32), name="w")
    model.graph.register_initializer(weight)
    infer_shapes(model)
    return model


@pytest.mark.parametrize("zeros", [0, 100, 2000])
def test_only_nonzeros_take_time(zeros: int) -> None:
    assert limit_ms(product(zeros), PEAK) == pytest.approx(1e3 * 2 * 10 * (64 * 32 - zeros) / 2e9)


def test_an_operator_of_unknown_cost_leaves_it_open() -> None:
    body = '{ y = Einsum <equation = "ij,jk->ik"> (x, x) }'
    text = f'<ir_version: 10, opset_import: ["" : 20]> g (float[4,4] x) => (float[4,4] y) {body}'
    assert limit_ms(ir.from_onnx_text(text), PEAK) is None
