"""Products of floats that ONNX Runtime quantizes as they run, and weights of a few bits in blocks."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic
from onnxruntime.quantization.matmul_nbits_quantizer import HQQWeightOnlyQuantConfig, MatMulNBitsQuantizer

import graphprune
from tests.compiler.quantized.tools import IMAGE_WEIGHTS, IMAGES, ROW_WEIGHTS, ROWS, Weights, assert_read, proto

LSTM = "g (float[3,1,4] x) => (float[3,1,1,2] y) { [layer] y = LSTM <hidden_size = 2> (x, w, r, b) }"
NETWORKS: dict[str, tuple[str, Weights]] = {
    "images": (IMAGES, IMAGE_WEIGHTS),
    "rows": (ROWS, ROW_WEIGHTS),
    "lstm": (LSTM, {"w": (1, 8, 4), "r": (1, 8, 2), "b": (1, 16)}),
}
OPTIONS: list[dict[str, Any]] = [
    {},
    {"per_channel": True},
    {"reduce_range": True, "per_channel": True},
    {"extra_options": {"WeightSymmetric": False}},
    {"extra_options": {"MatMulConstBOnly": False, "EnableSubgraph": True}},
]


@pytest.mark.parametrize("settings", OPTIONS, ids=str)
def test_dynamic(tmp_path: Path, settings: dict[str, Any]) -> None:
    quantize_dynamic(proto(IMAGES, IMAGE_WEIGHTS), tmp_path / "m.onnx", weight_type=QuantType.QInt8, **settings)
    assert_read(tmp_path / "m.onnx")


@pytest.mark.parametrize("kind", [QuantType.QInt8, QuantType.QUInt8])
@pytest.mark.parametrize("network", NETWORKS)
def test_dynamic_types(tmp_path: Path, network: str, kind: QuantType) -> None:
    quantize_dynamic(proto(*NETWORKS[network]), tmp_path / "m.onnx", weight_type=kind, per_channel=network == "rows")
    assert_read(tmp_path / "m.onnx")


TABLE = """g (float[2,40] x, int64[3] i) => (float[2,5] y, float[3,40] e) {
    [product] y = MatMul (x, w)
    [rows] e = Gather (t, i)
}"""


def written(path: Path, **settings: Any) -> Path:  # noqa: ANN401 - the tool's
    weights: Weights = {"w": (40, 5), "t": (7, 40)}
    quantizer = MatMulNBitsQuantizer(proto(TABLE, weights, 21), **settings)
    quantizer.process()
    quantizer.model.save_model_to_file(str(path))
    return path


@pytest.mark.parametrize("centre", ["symmetric", "asymmetric"])
@pytest.mark.parametrize(
    ("form", "bits", "block"),
    [
        *((QuantFormat.QOperator, bits, block) for bits, block in ((2, 16), (4, 16), (4, 256), (8, 32))),
        *((QuantFormat.QDQ, 4, block) for block in (16, 128)),
    ],
)
def test_weights_in_blocks(tmp_path: Path, form: QuantFormat, bits: int, block: int, centre: str) -> None:
    given = {"bits": bits, "block_size": block, "is_symmetric": centre == "symmetric", "quant_format": form}
    assert_read(written(tmp_path / "m.onnx", **given))


def test_tables_in_blocks(tmp_path: Path) -> None:
    given = {"block_size": 16, "op_types_to_quantize": ("MatMul", "Gather")}
    model = assert_read(written(tmp_path / "m.onnx", quant_axes=(("MatMul", 0), ("Gather", 1)), **given))
    assert {node.op_type for node in model.graph} == {"MatMulNBits", "GatherBlockQuantized"}


def test_one_block_a_column(tmp_path: Path) -> None:
    assert_read(written(tmp_path / "m.onnx", channel_wised_quantize=True, quant_format=QuantFormat.QDQ))


def test_zero_points_of_floats(tmp_path: Path) -> None:
    config = HQQWeightOnlyQuantConfig(block_size=32)
    assert_read(written(tmp_path / "m.onnx", algo_config=config))


def test_sums_are_of_floats_where_the_file_allows_integers(tmp_path: Path) -> None:
    path = written(tmp_path / "m.onnx", block_size=32, accuracy_level=4)
    exact = written(tmp_path / "exact.onnx", block_size=32)
    x: dict[str, np.ndarray] = {"x": np.ones((2, 40), np.float32), "i": np.zeros(3, np.int64)}
    one, other = (graphprune.compile(graphprune.load(each)).run(["y"], x)[0] for each in (path, exact))
    np.testing.assert_array_equal(one, other)
